//! The walk through a listing: which page comes next, and when Wix has said that there is no more.
//!
//! Pure: it sees marks of records and says what to ask for. Records are sorted by creation, which never
//! changes, so edits move nothing. What can move are the offsets of contacts, when one is deleted or merged
//! meanwhile, and records of one date, among which Wix promises no order. Hence each page by offset begins with
//! the last record of the page before and repeats no other. Where it does not, the walk begins anew at that
//! record's date of creation, and nothing is passed over: as many records as places, none of them twice, are all.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::page::{NextPage, PageRequest};
use crate::record::RecordMark;

/// Offsets beyond this are avoided by beginning a new window: some Wix endpoints fail near 10,000
/// (wix-api.md 2.2), and the cost of a page grows with its offset on most servers.
const MAX_OFFSET: u64 = 8_000;

/// So often a window may be begun anew without progress before the walk is given up.
const MAX_RESTARTS: u32 = 5;

/// So many pages in a row may be empty though a cursor follows.
const MAX_EMPTY_PAGES: u32 = 20;

/// Wix's answers do not add up to a whole listing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The same page again and again, or page after page without records.
    #[error(
        "Wix answered the same page twice, or named the same cursor twice, so the listing can't be read to its end"
    )]
    RepeatedPage,
    /// A page without records, though more are said to be there.
    #[error("Wix says that there are {total} records, but lists none from position {offset} on")]
    MissingRecords {
        /// What Wix says.
        total: u64,
        /// Where nothing came.
        offset: u64,
    },
    /// The order changes from request to request.
    #[error("Wix lists its records in an order that changes from page to page, so some could be missed")]
    UnstableOrder,
    /// The cursor is refused again and again at the same place.
    #[error("Wix refuses its own cursors, and beginning anew brings nothing new")]
    NoProgress,
}

/// What a page is to the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// For each record of the page: false if it was settled with an earlier page.
    pub is_new: Vec<bool>,
    /// True if this was the last page.
    pub at_end: bool,
}

/// What is known of a record that came.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// How new its newest copy was.
    updated_at: Option<DateTime<Utc>>,
    /// In which window it came last: by offset it does not come again on a later page of that one.
    window: u32,
}

/// One traversal of a listing.
#[derive(Clone, Debug)]
pub struct Walk {
    next: PageRequest,
    /// The creation date at which the current window begins.
    window_from: Option<DateTime<Utc>>,
    /// The last record of the last page.
    last: Option<RecordMark>,
    /// The latest creation date seen: where the walk can begin anew.
    frontier: Option<DateTime<Utc>>,
    /// The ids seen with that date: they come again when the walk begins anew there.
    frontier_ids: HashMap<String, Seen>,
    /// The number of the current window.
    window: u32,
    /// False once a record came that is older than one before it: then only the very beginning is safe to
    /// begin anew at.
    is_sorted: bool,
    /// The ids of the last page of a cursor walk: a server that repeats pages must not keep us busy for ever.
    last_page: Vec<Option<String>>,
    /// Hashes of the cursors that were followed since the walk began or began anew, against longer circles.
    cursors: HashSet<u64>,
    /// Pages by cursor without any record, in a row.
    empty_pages: u32,
    /// True if the next page has to begin with `last`.
    anchored: bool,
    /// How often the walk began anew since it last brought something new.
    restarts: u32,
    /// Records in the whole listing, by Wix's word on its first page.
    total: Option<u64>,
    /// The most records that Wix gives in one page.
    page_limit: u64,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            next: PageRequest::Window { created_from: None, offset: 0 },
            window_from: None,
            last: None,
            frontier: None,
            frontier_ids: HashMap::new(),
            window: 0,
            is_sorted: true,
            last_page: Vec::new(),
            cursors: HashSet::new(),
            empty_pages: 0,
            anchored: false,
            restarts: 0,
            total: None,
            page_limit: u64::MAX,
        }
    }
}

impl Walk {
    /// A walk that goes on at a date of creation; from the very beginning without one.
    pub fn starting_at(created_from: Option<DateTime<Utc>>) -> Walk {
        Walk {
            next: PageRequest::Window { created_from, offset: 0 },
            window_from: created_from,
            frontier: created_from,
            ..Walk::default()
        }
    }

    /// The same walk through pages of at most so many records.
    pub fn with_page_limit(self, page_limit: u32) -> Walk {
        Walk { page_limit: u64::from(page_limit), ..self }
    }

    /// Where a later walk can go on: all records created before are settled.
    pub fn frontier(&self) -> Option<DateTime<Utc>> {
        if self.is_sorted { self.frontier } else { None }
    }

    /// What to ask for next.
    pub fn request(&self) -> &PageRequest {
        &self.next
    }

    /// Records in the whole listing, where Wix says so.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes the answer to [`Walk::request`]. `None` means that the page does not follow the one before:
    /// it is to be left aside, and the next request begins anew.
    pub fn accept(
        &mut self,
        marks: &[RecordMark],
        next: &NextPage,
        total: Option<u64>,
    ) -> Result<Option<Accepted>, WalkError> {
        match (&self.next, next) {
            (PageRequest::Window { offset, .. }, NextPage::ByOffset) => {
                let offset = *offset;
                self.accept_by_offset(offset, marks, total)
            }
            _ => self.accept_by_cursor(marks, next).map(Some),
        }
    }

    /// Begins anew at the last record's date, for instance after Wix refused a cursor. An error if that
    /// brings nothing new any more.
    pub fn restart(&mut self) -> Result<(), WalkError> {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return Err(match self.next {
                PageRequest::Cursor(_) => WalkError::NoProgress,
                PageRequest::Window { .. } => WalkError::UnstableOrder,
            });
        }
        self.begin_window(if self.is_sorted { self.frontier } else { None });
        Ok(())
    }

    /// Begins at the very beginning, in an order that nobody knows.
    pub fn begin_unsorted(&mut self) {
        self.is_sorted = false;
        self.begin_window(None);
    }

    fn begin_window(&mut self, created_from: Option<DateTime<Utc>>) {
        self.window_from = created_from;
        self.anchored = false;
        self.window += 1;
        self.last_page.clear();
        self.cursors.clear();
        self.next = PageRequest::Window { created_from, offset: 0 };
    }

    fn accept_by_cursor(&mut self, marks: &[RecordMark], next: &NextPage) -> Result<Accepted, WalkError> {
        let page: Vec<Option<String>> = marks.iter().map(|mark| mark.wix_id.clone()).collect();
        if !page.is_empty() && page == self.last_page {
            return Err(WalkError::RepeatedPage);
        }
        self.empty_pages = if page.is_empty() { self.empty_pages + 1 } else { 0 };
        self.last_page = page;
        let accepted = Accepted { is_new: self.note(marks), at_end: !matches!(next, NextPage::Cursor(_)) };
        if let NextPage::Cursor(cursor) = next {
            let is_repeated = !self.cursors.insert(xxh3_64(cursor.as_bytes()));
            if is_repeated || self.empty_pages > MAX_EMPTY_PAGES {
                return Err(WalkError::RepeatedPage);
            }
            self.next = PageRequest::Cursor(cursor.clone());
        }
        Ok(accepted)
    }

    fn accept_by_offset(
        &mut self,
        offset: u64,
        marks: &[RecordMark],
        total: Option<u64>,
    ) -> Result<Option<Accepted>, WalkError> {
        if self.last.is_none() && offset == 0 {
            self.total = total;
        }
        if !self.follows(marks) {
            self.restart()?;
            return Ok(None);
        }
        let count = marks.len() as u64;
        if count == 0 {
            return match total {
                // The total may be older than a deletion: it has to hold when asked again.
                Some(total) if total > offset => {
                    self.restarts += 1;
                    if self.restarts > MAX_RESTARTS {
                        Err(WalkError::MissingRecords { total, offset })
                    } else {
                        Ok(None)
                    }
                }
                _ => Ok(Some(Accepted { is_new: Vec::new(), at_end: true })),
            };
        }
        let is_new = self.note(marks);
        // A total below what was read can't be one. Beside a page with no place left it may be another number, such as
        // the page's own count: there it is worth a request to see that nothing follows.
        let at_end = total == Some(offset + count) && count < self.page_limit;
        if !at_end {
            self.go_on_behind(offset, count);
        }
        Ok(Some(Accepted { is_new, at_end }))
    }

    /// Whether a page follows the one before: it begins with that one's last record where it has to, and none of the
    /// others came on an earlier page of this window. Where one did, records of one date stand in another order now,
    /// and one that stood behind may stand before.
    fn follows(&self, marks: &[RecordMark]) -> bool {
        let mut marks = marks.iter();
        if self.anchored && marks.next().map(|mark| &mark.wix_id) != self.last.as_ref().map(|mark| &mark.wix_id) {
            return false;
        }
        !marks.any(|mark| mark.wix_created_at == self.frontier && self.came_in_window(mark))
    }

    fn came_in_window(&self, mark: &RecordMark) -> bool {
        let seen = mark.wix_id.as_ref().and_then(|id| self.frontier_ids.get(id));
        seen.is_some_and(|seen| seen.window == self.window)
    }

    /// The next page begins with the last record of this one. A page of that one record alone goes on
    /// behind it, lest the walk stand still.
    fn go_on_behind(&mut self, offset: u64, count: u64) {
        let deep = offset + count > MAX_OFFSET;
        if deep && self.is_sorted && self.frontier > self.window_from {
            self.begin_window(self.frontier);
            return;
        }
        self.anchored = count > 1;
        let offset = if self.anchored { offset + count - 1 } else { offset + count };
        self.next = PageRequest::Window { created_from: self.window_from, offset };
    }

    /// Remembers a page. For each record: whether it is new.
    fn note(&mut self, marks: &[RecordMark]) -> Vec<bool> {
        let before = (self.frontier, self.frontier_ids.len());
        let is_new: Vec<bool> = marks.iter().map(|mark| self.note_one(mark)).collect();
        // However much comes: without an order a walk begins anew at its very beginning, and gets no further. Nor does
        // one that brings records without an id, or newer copies of known ones, again and again.
        if self.is_sorted && (self.frontier, self.frontier_ids.len()) != before {
            self.restarts = 0;
        }
        if let Some(last) = marks.last() {
            self.last = Some(last.clone());
        }
        is_new
    }

    /// Whether a record is new: not seen yet, or a newer copy than the one that was.
    fn note_one(&mut self, mark: &RecordMark) -> bool {
        let Some(id) = &mark.wix_id else { return true };
        if mark.wix_created_at < self.frontier {
            self.is_sorted = false;
            return true;
        }
        if mark.wix_created_at > self.frontier {
            self.frontier = mark.wix_created_at;
            self.frontier_ids.clear();
        }
        match self.frontier_ids.get_mut(id) {
            Some(seen) => {
                let is_newer = mark.wix_updated_at > seen.updated_at;
                *seen = Seen { updated_at: mark.wix_updated_at.max(seen.updated_at), window: self.window };
                is_newer
            }
            None => {
                let seen = Seen { updated_at: mark.wix_updated_at, window: self.window };
                self.frontier_ids.insert(id.clone(), seen);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
