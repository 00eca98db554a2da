//! Detects a list that repeats itself and would never end.

use std::collections::HashSet;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::error::PaginationError;
use super::tally::{MAX_RECORDS, Tally};
use crate::table::row::RecordMark;

/// Maximum number of consecutive pages in one window without anything new: empty pages, or pages of records that came
/// earlier in the window in the same version.
const MAX_STALE_PAGES: u32 = 20;

/// Maximum number of times that the records of a window may come again, plus [`EXTRA_RECORDS`]. A record that changes
/// while the list is read may come again in another version.
const MAX_TIMES_AGAIN: u64 = 3;

/// Number of records that may come again in a window, in addition to [`MAX_TIMES_AGAIN`].
const EXTRA_RECORDS: u64 = 5_000;

/// The records of one window.
#[derive(Clone, Debug, Default)]
pub(super) struct LoopCheck {
    /// Hash of the last page by cursor, if it had records.
    last_page: Option<u64>,
    /// Hashes of the cursors that were followed.
    cursors: HashSet<u64>,
    /// Number of consecutive pages without anything new.
    stale_pages: u32,
    /// All records that came.
    came: u64,
    /// The records that came for the first time in this window.
    new: u64,
}

impl LoopCheck {
    /// Returns an error if this page by cursor is the same as the page before.
    pub(super) fn check_page(&mut self, marks: &[RecordMark]) -> Result<(), PaginationError> {
        let page = (!marks.is_empty()).then(|| hash_of_page(marks));
        if page.is_some() && page == self.last_page {
            return Err(PaginationError::RepeatedPage);
        }
        self.last_page = page;
        Ok(())
    }

    /// Returns an error if this cursor was followed before.
    pub(super) fn check_cursor(&mut self, cursor: &str) -> Result<(), PaginationError> {
        match self.cursors.insert(xxh3_64(cursor.as_bytes())) {
            true => Ok(()),
            false => Err(PaginationError::RepeatedPage),
        }
    }

    /// Adds a page with this many records, of which `new` are new to the window.
    pub(super) fn note_page(&mut self, records: usize, new: u64, is_stale: bool) {
        self.came += records as u64;
        self.new += new;
        self.stale_pages = if is_stale { self.stale_pages + 1 } else { 0 };
    }

    /// Returns an error if the list continues without anything new.
    pub(super) fn check_progress(&self) -> Result<(), PaginationError> {
        let remembered = self.new.min(MAX_RECORDS as u64);
        let came_again = self.came - self.new;
        if self.stale_pages > MAX_STALE_PAGES || came_again > MAX_TIMES_AGAIN * remembered + EXTRA_RECORDS {
            Err(PaginationError::Endless)
        } else {
            Ok(())
        }
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
