//! The pagination of a list: which page comes next, and when Wix has said that there is no more.
//!
//! Pure: it sees the marks of records and says what to request. Lists are sorted by creation date, which never changes,
//! so edits move nothing. Two things can move: the offsets of contacts, when one is deleted or merged meanwhile, and
//! records with the same date, among which Wix promises no order. Therefore each page by offset begins with the last
//! record of the page before and repeats no other record. If it does not, the pagination restarts at the latest date.
//!
//! Nothing is concluded from an order that was not seen: the high-water mark, and with it each checkpoint, exists only
//! after two different dates came in ascending order. `window` checks that a window by date holds all that is left, and
//! compares the number of records that came with the number that Wix announced.

mod by_date;
mod offset;
mod skip;
mod tally;
mod window;

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, Utc};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use self::tally::{MAX_RECORDS, Place, Sighting, Tally};
pub use self::window::Conclusion;
use self::window::{Check, Window};
use crate::table::row::RecordMark;
use crate::wix::page::{NextPage, PageRequest};

/// Largest offset that is requested as long as a window by date can avoid it: some Wix endpoints fail near 10,000
/// (wix-api.md 2.2), and on most servers a page costs more the larger its offset is.
const MAX_OFFSET: u64 = 8_000;

/// Maximum number of restarts without progress.
const MAX_RESTARTS: u32 = 5;

/// Maximum number of consecutive pages of one window on which nothing is new to it, although others follow: empty ones,
/// or ones of records that came on its earlier pages in the same version.
const MAX_STALE_PAGES: u32 = 20;

/// The records that are remembered of a window come again at most this many times, and [`EXTRA_RECORDS`] more: a record that
/// changes while the list is read may come again, in another version.
const MAX_TIMES_AGAIN: u64 = 3;
const EXTRA_RECORDS: u64 = 5_000;

/// Wix's answers do not make a whole list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The same page again and again, or page after page without records.
    #[error(
        "Wix answered the same page twice, or named the same cursor twice, so the listing can't be read to its end"
    )]
    RepeatedPage,
    /// Page after page without anything new, with ever new cursors.
    #[error(
        "Wix's list does not end: page after page has no record, or only records that came before, with new cursors"
    )]
    Endless,
    /// The order changes from request to request.
    #[error("Wix lists its records in an order that changes from page to page, so some could be missed")]
    UnstableOrder,
    /// The cursor is refused again and again at the same place.
    #[error("Wix refuses its own cursors, and beginning anew brings nothing new")]
    NoProgress,
}

/// How a page fits into the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// For each record of the page: false if it came before, in the same version.
    pub is_new: Vec<bool>,
    /// How many of the new ones, or of those that follow, came before: in another version, or because the list is read
    /// again.
    pub repeated: u64,
    /// True if this was the last page.
    pub at_end: bool,
}

/// What the dates have shown of the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Only one date came so far.
    Unproven,
    /// Two different dates came in ascending order, and none came out of order.
    Proven,
    /// A record came that is older than one before it.
    Broken,
}

/// Where a pass continues that an earlier run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// All records created before this time came in earlier runs.
    pub created_from: Option<DateTime<Utc>>,
    /// The number of those records.
    pub records_before: u64,
}

/// The state of reading one list.
#[derive(Clone, Debug)]
pub struct Walk {
    next: PageRequest,
    start: Start,
    window: Window,
    /// The number of windows so far.
    windows: u32,
    /// What the current window still has to show.
    check: Option<Check>,
    /// What the window with which a resumed pass started has to show, if another one started since.
    start_check: Option<Check>,
    /// False if a window by date was seen to leave records out: the list is then read by offset alone.
    may_use_windows: bool,
    /// True if Wix refuses large offsets: windows by date are then used although they leave records out.
    must_use_windows: bool,
    /// True while the list is read from its beginning for the second time.
    is_second_reading: bool,
    /// True if some window by date could not be checked with totals.
    is_unverified: bool,
    /// Records that windows by date are known to leave out.
    hidden: u64,
    /// True if Wix refuses to sort the list.
    is_unsorted: bool,
    /// True if it is therefore read in windows by date: see [`by_date`].
    is_by_date: bool,
    order: Order,
    /// True once a record without a date came behind one with a date: a window by date would leave such records out.
    has_late_undated: bool,
    /// The last record of the last page.
    last: Option<RecordMark>,
    /// The latest creation date seen, in milliseconds as filters have them.
    mark: Option<DateTime<Utc>>,
    /// True if a record with that date came in this run.
    is_mark_seen: bool,
    tally: Tally,
    /// The largest number of distinct records so far: more is progress.
    best_count: u64,
    /// A hash of the last page by cursor, if it had records.
    last_page: Option<u64>,
    /// Hashes of the cursors that were followed in this window.
    cursors: HashSet<u64>,
    /// Consecutive pages of this window on which nothing was new to it.
    stale_pages: u32,
    /// Records that came in this window, and how many of them were new to it.
    came: u64,
    came_new: u64,
    /// True if the next page has to start with `last`.
    is_anchored: bool,
    /// Restarts since the last progress.
    restarts: u32,
    /// Records in the whole list, as its first page says.
    total: Option<u64>,
    page_limit: u64,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            next: PageRequest::Window { created_from: None, offset: 0 },
            start: Start::default(),
            window: Window::default(),
            windows: 0,
            check: None,
            start_check: None,
            may_use_windows: true,
            must_use_windows: false,
            is_second_reading: false,
            is_unverified: false,
            hidden: 0,
            is_unsorted: false,
            is_by_date: false,
            order: Order::Unproven,
            has_late_undated: false,
            last: None,
            mark: None,
            is_mark_seen: false,
            tally: Tally::default(),
            best_count: 0,
            last_page: None,
            cursors: HashSet::new(),
            stale_pages: 0,
            came: 0,
            came_new: 0,
            is_anchored: false,
            restarts: 0,
            total: None,
            page_limit: u64::MAX,
        }
    }
}

/// The creation date as filters have it: in milliseconds.
fn created(mark: &RecordMark) -> Option<DateTime<Utc>> {
    mark.wix_created_at.map(|date| date.trunc_subsecs(3))
}

impl Walk {
    /// Continues where an earlier run stopped; starts at the beginning without a date.
    pub fn starting_at(start: Start) -> Walk {
        let created_from = start.created_from.map(|date| date.trunc_subsecs(3));
        let start =
            Start { created_from, records_before: if created_from.is_some() { start.records_before } else { 0 } };
        Walk {
            next: PageRequest::Window { created_from, offset: 0 },
            start,
            window: Window { from: created_from, before: start.records_before, ..Window::default() },
            check: created_from.map(Check::of_start),
            mark: created_from,
            tally: Tally::starting_with(start.records_before),
            ..Walk::default()
        }
    }

    /// Limits pages to this many records.
    pub fn with_page_limit(self, page_limit: u32) -> Walk {
        Walk { page_limit: u64::from(page_limit), ..self }
    }

    /// Where a later run can continue: all records created before came with this page or an earlier one.
    pub fn frontier(&self) -> Option<DateTime<Utc>> {
        match self.order {
            _ if self.is_by_date => self.window.from,
            _ if self.has_late_undated => None,
            Order::Proven => self.mark,
            Order::Unproven => self.start.created_from,
            Order::Broken => None,
        }
    }

    /// The number of distinct records of this pass that were created before [`Walk::frontier`].
    pub fn records_before(&self) -> u64 {
        match (self.frontier(), self.order) {
            (None, _) => 0,
            _ if self.is_by_date => self.window.before,
            (Some(_), Order::Proven) => self.tally.before_mark(),
            (Some(_), _) => self.start.records_before,
        }
    }

    pub fn request(&self) -> &PageRequest {
        &self.next
    }

    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes the answer to [`Walk::request`]. `None` means that the page does not follow the one before, or does not
    /// hold what it must: it is dropped, and the next request starts elsewhere.
    pub fn accept(
        &mut self,
        marks: &[RecordMark],
        next: &NextPage,
        total: Option<u64>,
    ) -> Result<Option<Accepted>, WalkError> {
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
        // The earlier run relied on the order, which does not hold: what it skipped may be anywhere.
        if self.order == Order::Broken && self.start.created_from.is_some() {
            self.tally.take_back(delivered);
            self.begin_second_reading();
            return Ok(None);
        }
        Ok(accepted)
    }

    /// Restarts at the latest date, for instance after Wix refused a cursor; at the beginning if the order was not seen
    /// to hold. An error if that brings nothing new any more.
    pub fn restart(&mut self) -> Result<(), WalkError> {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return Err(match self.next {
                PageRequest::Cursor(_) => WalkError::NoProgress,
                PageRequest::Window { .. } => WalkError::UnstableOrder,
            });
        }
        if self.is_by_date {
            self.restart_date_window();
        } else if self.is_order_proven() {
            self.begin_window_at_mark(None);
        } else {
            self.begin_at_start();
        }
        Ok(())
    }

    /// Starts at the beginning, in an unknown order.
    pub fn begin_unsorted(&mut self) {
        let (page_limit, windows) = (self.page_limit, self.windows);
        let tally = self.forget_all();
        *self = Walk { is_unsorted: true, order: Order::Broken, page_limit, windows, tally, ..Walk::default() };
        self.begin_at_start();
    }

    /// A tally that knows only that the records so far come again.
    fn forget_all(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.forget(0);
        tally
    }

    /// Whether more records came without an order, or with one date, than can be remembered: some may be missing without
    /// a shortfall.
    pub fn is_overfull(&self) -> bool {
        self.tally.is_overfull()
    }

    /// Whether that is because the list has no order, although Wix was asked for one. Windows by date need less memory.
    pub fn is_overfull_without_order(&self) -> bool {
        self.is_overfull() && self.order == Order::Broken && !self.is_unsorted && !self.is_second_reading
    }

    /// True if a window by date can begin at the latest date.
    fn is_order_proven(&self) -> bool {
        self.order == Order::Proven && !self.has_late_undated
    }

    fn begin_at_start(&mut self) {
        let from = if self.order == Order::Broken { None } else { self.start.created_from };
        let before = if from.is_some() { self.start.records_before } else { 0 };
        self.tally.restart_at_beginning(before);
        self.begin_window(from, before);
    }

    fn begin_window(&mut self, from: Option<DateTime<Utc>>, before: u64) {
        self.windows += 1;
        self.window = Window { number: self.windows, from, before, total: None };
        self.is_anchored = false;
        self.begin_counting();
        self.next = PageRequest::Window { created_from: from, offset: 0 };
    }

    fn begin_counting(&mut self) {
        (self.last_page, self.stale_pages, self.came, self.came_new) = (None, 0, 0, 0);
        self.cursors.clear();
        self.tally.begin_window();
    }

    fn accept_by_cursor(
        &mut self,
        marks: &[RecordMark],
        next: &NextPage,
        total: Option<u64>,
    ) -> Result<Accepted, WalkError> {
        let page = (!marks.is_empty()).then(|| hash_of_page(marks));
        if page.is_some() && page == self.last_page {
            return Err(WalkError::RepeatedPage);
        }
        self.window.total = total.or(self.window.total);
        self.last_page = page;
        let NextPage::Cursor(cursor) = next else {
            return Ok(self.note(marks, true));
        };
        let accepted = self.note(marks, false);
        if !self.cursors.insert(xxh3_64(cursor.as_bytes())) {
            return Err(WalkError::RepeatedPage);
        }
        self.check_end()?;
        self.next = PageRequest::Cursor(cursor.clone());
        Ok(accepted)
    }

    /// An error if the list continues without anything new.
    fn check_end(&self) -> Result<(), WalkError> {
        let remembered = self.came_new.min(MAX_RECORDS as u64);
        let came_again = self.came - self.came_new;
        if self.stale_pages > MAX_STALE_PAGES || came_again > MAX_TIMES_AGAIN * remembered + EXTRA_RECORDS {
            Err(WalkError::Endless)
        } else {
            Ok(())
        }
    }

    /// Remembers a page.
    fn note(&mut self, marks: &[RecordMark], at_end: bool) -> Accepted {
        let is_anchored = std::mem::take(&mut self.is_anchored);
        let mut accepted = Accepted { is_new: Vec::with_capacity(marks.len()), repeated: 0, at_end };
        let mut is_stale = true;
        for (index, mark) in marks.iter().enumerate() {
            let sighting = self.note_one(mark, is_anchored && index == 0);
            accepted.is_new.push(sighting.is_news);
            accepted.repeated += u64::from(sighting.is_news && !sighting.is_first && mark.wix_id.is_some());
            is_stale &= !sighting.is_first_in_window && !sighting.is_news;
            self.came_new += u64::from(sighting.is_first_in_window);
        }
        accepted.repeated += self.tally.take_forgotten();
        self.came += marks.len() as u64;
        self.stale_pages = if is_stale { self.stale_pages + 1 } else { 0 };
        // Without an order the pagination restarts at the beginning and gets no further, however much comes.
        if self.is_order_proven() || self.order == Order::Unproven {
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

    /// Whether a record came before. `is_last_one` is true for the record with which the page before ended.
    fn note_one(&mut self, mark: &RecordMark, is_last_one: bool) -> Sighting {
        let created = created(mark);
        let place = match created.cmp(&self.mark) {
            std::cmp::Ordering::Less => Place::Behind,
            std::cmp::Ordering::Equal => Place::AtMark,
            std::cmp::Ordering::Greater => Place::Ahead,
        };
        match place {
            Place::Behind if created.is_some() => self.order = Order::Broken,
            Place::Behind => self.has_late_undated = true,
            Place::Ahead => {
                if self.is_mark_seen && self.mark.is_some() && self.order == Order::Unproven {
                    self.order = Order::Proven;
                }
                self.mark = created;
            }
            Place::AtMark => {}
        }
        self.is_mark_seen |= place != Place::Behind;
        self.tally.note(mark, place, self.window.number, is_last_one)
    }
}

/// A hash of the records of a page, in their order.
fn hash_of_page(marks: &[RecordMark]) -> u64 {
    let mut hash = Xxh3::new();
    for mark in marks {
        hash.update(&Tally::key_of(mark).unwrap_or(mark.content).to_le_bytes());
    }
    hash.digest()
}

#[cfg(test)]
mod odd_lists;
#[cfg(test)]
mod tests;
