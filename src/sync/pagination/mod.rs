//! The pagination of a list: decides which page to request next, and detects the end of the list.
//!
//! Pure: it gets facts about records and returns requests. Lists are sorted by creation date, which never changes, so
//! edits move nothing. Two things can move: offsets of contacts, when a contact is deleted or merged meanwhile, and
//! records with the same date, whose order Wix does not define. Therefore each page by offset must start with the last
//! record of the page before and must not repeat any other record. Otherwise the pagination restarts at the latest
//! date.
//!
//! An order that was not observed is not relied on: the high-water mark, and with it each checkpoint, exists only after
//! two different dates came in ascending order. `window` checks that a window by date has all remaining records; `end`
//! compares the number of records with the number that Wix announced.

mod by_date;
mod end;
mod error;
mod loops;
#[cfg(test)]
mod odd_lists;
mod offset;
mod order;
mod skip;
mod tally;
#[cfg(test)]
mod tests;
mod window;

use chrono::{DateTime, SubsecRound, Utc};

pub use self::error::PaginationError;
use self::loops::LoopCheck;
use self::order::{Order, created};
use self::tally::{Sighting, Tally};
use self::window::{Check, ReturnPoint, Verdict, Window, WindowUse};
use crate::table::row::RecordMark;
use crate::wix::page::{NextPage, PageRequest};

/// Maximum number of restarts without progress.
const MAX_RESTARTS: u32 = 5;

/// A page's position in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// For each record of the page: false if it came before in the same version.
    pub is_new: Vec<bool>,
    /// Number of the new or following records that came before: in another version, or because the list is read again.
    pub repeated: u64,
    /// True if this was the last page.
    pub at_end: bool,
}

/// Where to resume a pass that an earlier run started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Records created before this time came in earlier runs.
    pub created_from: Option<DateTime<Utc>>,
    /// The number of those records.
    pub records_before: u64,
}

/// The result at the end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The list is complete, except for this many records that Wix announced and did not return.
    Shortfall(u64),
    /// The list is read again from its beginning, without windows by date, which may have left records out.
    ReadAgain,
}

/// The state of reading one list.
#[derive(Clone, Debug, Default)]
pub struct Pagination {
    next: PageRequest,
    start: Start,
    window: Window,
    /// The number of windows so far.
    windows: u32,
    window_use: WindowUse,
    /// What the current window has to prove.
    check: Option<Check>,
    /// What the first window of a resumed pass has to prove, if another window started since.
    start_check: Option<Check>,
    /// True while the list is read from its beginning for the second time.
    is_second_reading: bool,
    /// True if some window by date could not be checked with totals.
    is_unverified: bool,
    /// Number of records that windows by date are known to leave out.
    hidden: u64,
    /// True if Wix refuses to sort the list.
    is_unsorted: bool,
    /// True if the list is read in windows by date for that reason: see [`by_date`].
    is_by_date: bool,
    order: Order,
    tally: Tally,
    loops: LoopCheck,
    /// The last record of the last page.
    last: Option<RecordMark>,
    /// True if the next page has to start with `last`.
    is_anchored: bool,
    /// Restarts since the last progress.
    restarts: u32,
    /// The largest number of distinct records so far: more is progress.
    best_count: u64,
    /// Number of records in the whole list, as stated on its first page.
    total: Option<u64>,
    /// Maximum number of records of the next page; `None` means no limit.
    page_limit: Option<u32>,
}

impl Pagination {
    /// Resumes where an earlier run stopped. Starts at the beginning if there is no date.
    pub fn starting_at(start: Start) -> Pagination {
        let created_from = start.created_from.map(|date| date.trunc_subsecs(3));
        let records_before = if created_from.is_some() { start.records_before } else { 0 };
        Pagination {
            next: PageRequest::starting_at(created_from),
            start: Start { created_from, records_before },
            window: Window { from: created_from, before: records_before, ..Window::default() },
            check: created_from.map(Check::of_start),
            order: Order::starting_at(created_from),
            tally: Tally::starting_with(records_before),
            ..Pagination::default()
        }
    }

    /// Where a later run can resume: all records created before this time came with this page or an earlier one.
    pub fn high_water_mark(&self) -> Option<DateTime<Utc>> {
        if self.is_by_date {
            self.window.from
        } else if self.order.is_proven() {
            self.order.latest()
        } else {
            self.start.created_from.filter(|_| self.order.is_unproven() && !self.order.has_late_undated())
        }
    }

    /// The number of distinct records of this pass that were created before [`Pagination::high_water_mark`].
    pub fn records_before(&self) -> u64 {
        if self.high_water_mark().is_none() {
            0
        } else if self.is_by_date {
            self.window.before
        } else if self.order.is_proven() {
            self.tally.before_latest()
        } else {
            self.start.records_before
        }
    }

    pub fn request(&self) -> &PageRequest {
        &self.next
    }

    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Limits the next page to this many records.
    pub fn set_page_limit(&mut self, page_limit: u32) {
        self.page_limit = Some(page_limit);
    }

    /// Takes the page that came for [`Pagination::request`]. Returns `None` if the page does not follow the one before,
    /// or lacks a record that it must have. Then the page is dropped, and the next request starts elsewhere.
    pub fn accept(
        &mut self,
        marks: &[RecordMark],
        next: &NextPage,
        total: Option<u64>,
    ) -> Result<Option<Accepted>, PaginationError> {
        if self.last.is_none() && !matches!(self.next, PageRequest::Window { offset: 1.., .. }) {
            self.total = total.or(self.total);
        }
        if self.leaves_records_out(marks, next, total) && self.leave_window() {
            return Ok(None);
        }
        let delivered = self.tally.delivered();
        let accepted = match (&self.next, next) {
            (PageRequest::Window { offset, .. }, NextPage::ByOffset) => {
                let offset = *offset;
                self.accept_by_offset(offset, marks, total)?
            }
            _ => Some(self.accept_by_cursor(marks, next, total)?),
        };
        // The earlier run relied on the order, which does not hold: records that it skipped may be anywhere.
        if self.order.is_broken() && self.start.created_from.is_some() {
            self.tally.take_back(delivered);
            self.begin_second_reading();
            return Ok(None);
        }
        Ok(accepted)
    }

    /// Restarts at the latest date, for instance after Wix refused a cursor, or at the beginning if no order was
    /// observed. Returns an error if restarts bring nothing new.
    pub fn restart(&mut self) -> Result<(), PaginationError> {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return Err(match self.next {
                PageRequest::Cursor(_) => PaginationError::NoProgress,
                PageRequest::Window { .. } => PaginationError::UnstableOrder,
            });
        }
        if self.is_by_date {
            self.restart_date_window();
        } else if self.order.is_proven() {
            self.begin_window_at_latest(None);
        } else {
            self.begin_at_start();
        }
        Ok(())
    }

    /// Whether more records came without an order, or with one date, than can be remembered. Records may then be
    /// missing without a shortfall.
    pub fn is_overfull(&self) -> bool {
        self.tally.is_overfull()
    }

    /// Whether the reason for that is an unsorted list, although a sort was requested. Windows by date need less
    /// memory.
    pub fn is_overfull_without_order(&self) -> bool {
        self.is_overfull() && self.order.is_broken() && !self.is_unsorted && !self.is_second_reading
    }

    /// Creates a tally that only knows that the records so far come again.
    fn forget_all(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.forget(0);
        tally
    }

    fn begin_at_start(&mut self) {
        let from = self.start.created_from.filter(|_| !self.order.is_broken());
        let before = if from.is_some() { self.start.records_before } else { 0 };
        self.tally.restart_at_beginning(before);
        self.begin_window(from, before);
    }

    fn begin_window(&mut self, from: Option<DateTime<Utc>>, before: u64) {
        self.windows += 1;
        self.window = Window { number: self.windows, from, before, total: None };
        self.is_anchored = false;
        self.loops = LoopCheck::default();
        self.tally.begin_window();
        self.next = PageRequest::starting_at(from);
    }

    /// Starts a window at the latest date. `return_point` is used if the window leaves records out.
    fn begin_window_at_latest(&mut self, return_point: Option<ReturnPoint>) {
        let Some(from) = self.order.latest() else { return self.begin_at_start() };
        let before = self.tally.before_latest();
        let passed = before.saturating_sub(self.window.before);
        let min_total = self.window.total.map(|total| total.saturating_sub(passed));
        // The requirement of a resumed pass's first window is checked at the end of the list.
        self.start_check = self.check.take().filter(Check::is_of_start).or(self.start_check.take());
        self.check = Some(Check { min_total, return_point, ..Check::new(from, self.tally.keys_at_latest()) });
        self.tally.restart_at_latest();
        self.begin_window(Some(from), before);
    }

    /// Whether this page proves that the window leaves records out.
    fn leaves_records_out(&mut self, marks: &[RecordMark], next: &NextPage, total: Option<u64>) -> bool {
        let Some(check) = &mut self.check else { return false };
        let verdict = check.note_page(marks, next, total);
        if matches!(verdict, Verdict::Complete | Verdict::Verified) {
            self.is_unverified |= verdict == Verdict::Complete;
            self.check = None;
        }
        verdict == Verdict::LeavesOut
    }

    /// Returns to the previous window, or to the beginning of the list. False if the current window must be used.
    fn leave_window(&mut self) -> bool {
        let Some(check) = self.check.take() else { return false };
        let has_no_way_back = check.return_point.is_none() && self.is_second_reading;
        if self.window_use == WindowUse::Required || check.is_forced || has_no_way_back {
            self.hidden += check.missing.max(1);
            return false;
        }
        let Some(point) = check.return_point else {
            self.begin_second_reading();
            return true;
        };
        self.window_use = WindowUse::Avoided;
        (self.window, self.next) = (point.window, point.next);
        (self.last, self.is_anchored) = (point.last, point.is_anchored);
        self.tally.resume();
        true
    }

    fn accept_by_cursor(
        &mut self,
        marks: &[RecordMark],
        next: &NextPage,
        total: Option<u64>,
    ) -> Result<Accepted, PaginationError> {
        self.loops.check_page(marks)?;
        self.window.total = total.or(self.window.total);
        let NextPage::Cursor(cursor) = next else {
            return Ok(self.note(marks, true));
        };
        let accepted = self.note(marks, false);
        self.loops.check_cursor(cursor)?;
        self.loops.check_progress()?;
        self.next = PageRequest::Cursor(cursor.clone());
        Ok(accepted)
    }

    /// Remembers a page.
    fn note(&mut self, marks: &[RecordMark], at_end: bool) -> Accepted {
        let is_anchored = std::mem::take(&mut self.is_anchored);
        let mut accepted = Accepted { is_new: Vec::with_capacity(marks.len()), repeated: 0, at_end };
        let (mut is_stale, mut new_in_window) = (true, 0);
        for (index, mark) in marks.iter().enumerate() {
            let place = self.order.note(created(mark));
            let Sighting { is_first, is_news, is_first_in_window } =
                self.tally.note(mark, place, self.window.number, is_anchored && index == 0);
            accepted.is_new.push(is_news);
            accepted.repeated += u64::from(is_news && !is_first && mark.wix_id.is_some());
            is_stale &= !is_first_in_window && !is_news;
            new_in_window += u64::from(is_first_in_window);
        }
        accepted.repeated += self.tally.take_forgotten();
        self.loops.note_page(marks.len(), new_in_window, is_stale);
        // Without an order, the pagination restarts at the beginning, so new records are no progress.
        if self.order.is_proven() || self.order.is_unproven() {
            if self.tally.count() > self.best_count {
                self.restarts = 0;
            }
            self.best_count = self.best_count.max(self.tally.count());
        }
        if let Some(last) = marks.last() {
            self.last = Some(last.clone());
        }
        accepted
    }
}
