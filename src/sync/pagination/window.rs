//! A window by date, and the check that it leaves no record out.
//!
//! A window starts at the creation date of a record. If Wix shows rounded dates, or has records without a date, the
//! filter may leave out some of the remaining records. The totals show that: the total of the previous window, minus
//! the records before the new one, must not exceed the total of the new one. Without totals, the records seen at the
//! start date must come again.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::order::created;
use super::tally::Tally;
use crate::table::row::RecordMark;
use crate::wix::page::{NextPage, PageRequest};

/// A part of the list: the records created at a date or later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// Number of the window in the pass.
    pub(super) number: u32,
    pub(super) from: Option<DateTime<Utc>>,
    /// Number of distinct records of the pass that are outside of it.
    pub(super) before: u64,
    /// The latest total that Wix stated for it.
    pub(super) total: Option<u64>,
}

/// Whether windows by date may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WindowUse {
    #[default]
    Allowed,
    /// A window left records out, so the list is read only by offset.
    Avoided,
    /// Wix refuses large offsets: windows are used although they leave records out.
    Required,
}

/// The position in the previous window, to return to.
#[derive(Clone, Debug)]
pub(super) struct ReturnPoint {
    pub(super) window: Window,
    pub(super) next: PageRequest,
    pub(super) last: Option<RecordMark>,
    pub(super) is_anchored: bool,
}

/// What a window has to prove before it is used.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Minimum total of its first page.
    pub(super) min_total: Option<u64>,
    /// The date at which it starts. A record with this date is known.
    pub(super) from: DateTime<Utc>,
    /// Hashes of the ids seen at that date. `None` if an earlier run saw them.
    pub(super) ids: Option<HashSet<u64>>,
    pub(super) return_point: Option<ReturnPoint>,
    /// Number of records that are missing in it, according to totals.
    pub(super) missing: u64,
    /// True if a record with that date came on the first page.
    pub(super) is_from_seen: bool,
    /// True if the window must be used even if it leaves records out.
    pub(super) is_forced: bool,
}

/// What a page proves about its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Open,
    /// The window has all remaining records, as far as this can be known without totals.
    Complete,
    /// Totals prove that the window has all remaining records.
    Verified,
    LeavesOut,
}

impl Check {
    pub(super) fn new(from: DateTime<Utc>, ids: HashSet<u64>) -> Check {
        Check { ids: Some(ids), ..Check::of_start(from) }
    }

    /// For the first window of a resumed pass. Its totals are compared at the end of the list.
    pub(super) fn of_start(from: DateTime<Utc>) -> Check {
        Check {
            min_total: None,
            from,
            ids: None,
            return_point: None,
            missing: 0,
            is_from_seen: false,
            is_forced: false,
        }
    }

    pub(super) fn is_of_start(&self) -> bool {
        self.ids.is_none()
    }

    /// Checks a page of the window.
    pub(super) fn note_page(&mut self, marks: &[RecordMark], next: &NextPage, total: Option<u64>) -> Verdict {
        // A total of 0 may mean that the list states no totals, so it proves nothing.
        if let (Some(min), Some(total)) = (self.min_total.take().filter(|min| *min > 0), total) {
            self.missing = min.saturating_sub(total);
            return if self.missing == 0 { Verdict::Verified } else { Verdict::LeavesOut };
        }
        let is_from = |mark: &RecordMark| created(mark) == Some(self.from);
        if self.ids.is_none() && total.is_some() {
            self.is_from_seen |= marks.iter().any(is_from);
            return Verdict::Open;
        }
        let has_shown_all = match &mut self.ids {
            Some(ids) => {
                marks.iter().filter_map(Tally::key_of).for_each(|id| {
                    ids.remove(&id);
                });
                ids.is_empty()
            }
            None => marks.iter().any(is_from),
        };
        let is_past = marks.iter().any(|mark| created(mark) > Some(self.from));
        let is_last = match next {
            NextPage::Cursor(_) => is_past,
            NextPage::End => true,
            NextPage::ByOffset => is_past || marks.is_empty(),
        };
        match (has_shown_all, is_last) {
            // Records that a forced window leaves out are always a shortfall.
            (true, _) if self.is_forced => Verdict::Verified,
            (true, _) => Verdict::Complete,
            (false, true) => Verdict::LeavesOut,
            (false, false) => Verdict::Open,
        }
    }
}
