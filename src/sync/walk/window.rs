//! Windows by date, and the proof that they leave no record out.
//!
//! A window starts at a date that was read from a record. If Wix shows rounded dates, or has records without a date,
//! the filter does not see all that is left. The totals tell: the total of the window that was left, minus the records
//! before the new one, must not exceed the total of the new one. Without totals, the records seen at the date must come
//! again.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::tally::Tally;
use super::{MAX_OFFSET, Order, Walk, created};
use crate::table::row::RecordMark;
use crate::wix::page::{NextPage, PageRequest};

/// A part of the list: the records created at a date or later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) number: u32,
    pub(super) from: Option<DateTime<Utc>>,
    /// Distinct records of the pass that do not belong to it.
    pub(super) before: u64,
    /// The latest total that Wix stated for it.
    pub(super) total: Option<u64>,
}

/// The place in the window that was left, to go back to.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) window: Window,
    pub(super) next: PageRequest,
    pub(super) last: Option<RecordMark>,
    pub(super) is_anchored: bool,
}

/// What a window has to show before it is trusted.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Minimum total of its first page.
    min_total: Option<u64>,
    /// The date at which it starts, at which a record is known.
    from: DateTime<Utc>,
    /// Hashes of the ids seen at that date. `None` if an earlier run saw them.
    ids: Option<HashSet<u64>>,
    left: Option<Left>,
    /// The number of records that are missing in it, as far as totals tell.
    missing: u64,
    /// True if a record with that date came on the first page.
    is_from_seen: bool,
    /// True if the window must be used, whatever it leaves out.
    is_forced: bool,
}

impl Check {
    fn is_of_start(&self) -> bool {
        self.ids.is_none()
    }

    /// For the window with which a resumed pass starts. Its totals are compared at the end, by [`Walk::confirm_start`].
    pub(super) fn of_start(from: DateTime<Utc>) -> Check {
        Check { min_total: None, from, ids: None, left: None, missing: 0, is_from_seen: false, is_forced: false }
    }
}

/// What to do at the end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Wix announced this many records more than it returned; 0 if all came.
    Shortfall(u64),
    /// The list is read again, from its beginning and without windows by date: they may have left records out.
    ReadAgain,
}

impl Walk {
    /// Starts a window at the latest date. `left` is the place to go back to if the window leaves records out.
    pub(super) fn begin_window_at_mark(&mut self, left: Option<Left>) {
        let Some(from) = self.mark else { return self.begin_at_start() };
        let before = self.tally.before_mark();
        let passed = before.saturating_sub(self.window.before);
        let min_total = self.window.total.map(|total| total.saturating_sub(passed));
        // What a resumed pass started with is still to be compared at the end.
        self.start_check = self.check.take().filter(Check::is_of_start).or(self.start_check.take());
        let ids = Some(self.tally.keys_at_mark());
        self.check = Some(Check { min_total, from, ids, left, missing: 0, is_from_seen: false, is_forced: false });
        self.tally.restart_at_mark();
        self.begin_window(Some(from), before);
    }

    /// Starts a window behind a record that Wix cannot deliver. What else it leaves out is a shortfall.
    pub(super) fn begin_forced_window(&mut self, from: DateTime<Utc>) {
        self.begin_window_at_mark(None);
        if let Some(check) = &mut self.check {
            *check = Check {
                ids: Some(HashSet::new()),
                is_forced: true,
                min_total: check.min_total,
                ..Check::of_start(from)
            };
        }
    }

    /// Whether this page shows that the window leaves records out.
    pub(super) fn leaves_records_out(&mut self, marks: &[RecordMark], next: &NextPage, total: Option<u64>) -> bool {
        let Some(check) = &mut self.check else { return false };
        // A total of 0 may also be that of a list which states none, so it proves nothing.
        if let (Some(min), Some(total)) = (check.min_total.take().filter(|min| *min > 0), total) {
            check.missing = min.saturating_sub(total);
            if check.missing == 0 {
                self.check = None;
                return false;
            }
            return true;
        }
        if check.ids.is_none() && total.is_some() {
            // The totals of a resumed pass are compared at its end.
            check.is_from_seen |= marks.iter().any(|mark| created(mark) == Some(check.from));
            return false;
        }
        let is_past = marks.iter().any(|mark| created(mark) > Some(check.from));
        let is_last = match next {
            NextPage::Cursor(_) => is_past,
            NextPage::End => true,
            NextPage::ByOffset => is_past || marks.is_empty(),
        };
        let has_shown_all = match &mut check.ids {
            Some(ids) => {
                marks.iter().filter_map(Tally::key_of).for_each(|id| {
                    ids.remove(&id);
                });
                ids.is_empty()
            }
            None => marks.iter().any(|mark| created(mark) == Some(check.from)),
        };
        if has_shown_all {
            self.is_unverified |= !check.is_forced;
            self.check = None;
        }
        is_last && !has_shown_all
    }

    /// Returns to the window that was left, or to the beginning of the list. False if the window must be used.
    pub(super) fn leave_window(&mut self) -> bool {
        let Some(check) = self.check.take() else { return false };
        if self.must_use_windows || check.is_forced || (check.left.is_none() && self.is_second_reading) {
            self.hidden += check.missing.max(1);
            return false;
        }
        let Some(left) = check.left else {
            self.begin_second_reading();
            return true;
        };
        self.may_use_windows = false;
        self.window = left.window;
        self.next = left.next;
        self.last = left.last;
        self.is_anchored = left.is_anchored;
        self.tally.resume();
        true
    }

    /// Uses windows by date although they leave records out, because Wix refuses the offset that would be next. False
    /// if that is not the reason for the refusal, or if no window can start here.
    pub fn avoid_offset(&mut self) -> bool {
        let is_deep = matches!(self.next, PageRequest::Window { offset, .. } if offset > MAX_OFFSET);
        if !is_deep || !self.is_order_proven() || self.mark <= self.window.from {
            return false;
        }
        (self.may_use_windows, self.must_use_windows) = (true, true);
        self.begin_window_at_mark(None);
        true
    }

    /// The date at which a resumed pass started, if its totals are still to be compared with those of the whole list.
    pub fn unconfirmed_start(&self) -> Option<DateTime<Utc>> {
        let check = self.check.as_ref().filter(|check| check.is_of_start()).or(self.start_check.as_ref())?;
        Some(check.from)
    }

    /// Compares the total of the whole list with that of the window with which a resumed pass started, if the whole
    /// list has more records than came. If the window left records out, reads the list from its beginning and returns
    /// false. A total is `None` if Wix did not tell it.
    pub fn confirm_start(&mut self, whole: Option<u64>, window: Option<u64>) -> bool {
        let Some(check) = self.check.take_if(|check| check.is_of_start()).or(self.start_check.take()) else {
            return true;
        };
        let is_complete = match (whole, window) {
            (Some(whole), _) if whole <= self.tally.count() => true,
            (Some(whole), Some(window)) => whole <= self.start.records_before + window,
            _ => {
                self.is_unverified = true;
                check.is_from_seen
            }
        };
        if !is_complete {
            self.begin_second_reading();
        }
        is_complete
    }

    /// The number of distinct records that came, with those of earlier runs of the pass.
    pub fn record_count(&self) -> u64 {
        self.tally.count()
    }

    /// How many records Wix announced and did not return, if this is the end of the list.
    pub fn shortfall(&self) -> u64 {
        let came = self.tally.count().saturating_sub(self.window.before);
        self.window.total.map_or(0, |total| total.saturating_sub(came)) + self.hidden
    }

    /// After this, a shortfall is a reason to read the list again, once.
    pub fn allow_second_reading(&mut self) {
        self.is_unverified = true;
    }

    /// What to do at the end of the list; `whole` is the current total of the whole list, which may have changed.
    pub fn conclude(&mut self, whole: Option<u64>) -> Conclusion {
        let lacking = whole.map_or(u64::MAX, |whole| whole.saturating_sub(self.tally.count()));
        let undated = if self.is_by_date { whole.map_or(0, |_| lacking) } else { 0 };
        let shortfall = self.shortfall().min(lacking).max(undated);
        if shortfall > 0 && self.is_unverified && !self.is_second_reading {
            self.begin_second_reading();
            return Conclusion::ReadAgain;
        }
        Conclusion::Shortfall(shortfall)
    }

    /// Reads the list again from its beginning, by its own pages alone.
    pub(super) fn begin_second_reading(&mut self) {
        let tally = self.forget_all();
        *self = Walk {
            tally,
            is_second_reading: true,
            may_use_windows: false,
            windows: self.windows + 1,
            window: Window { number: self.windows + 1, ..Window::default() },
            is_unsorted: self.is_unsorted,
            order: if self.is_unsorted { Order::Broken } else { Order::Unproven },
            total: self.total,
            page_limit: self.page_limit,
            ..Walk::default()
        };
    }
}
