//! Skipping a record that Wix cannot deliver.

use chrono::{DateTime, Utc};

use super::{Order, Walk};
use crate::wix::page::PageRequest;

impl Walk {
    pub fn set_page_limit(&mut self, page_limit: u32) {
        self.page_limit = u64::from(page_limit);
    }

    /// The number of records on the next page that came before: the one with which it has to start.
    pub fn overlap(&self) -> u32 {
        u32::from(self.is_anchored)
    }

    /// The latest creation date that came, or with which a resumed pass started.
    pub fn mark(&self) -> Option<DateTime<Utc>> {
        self.mark
    }

    /// The number of records seen with that date.
    pub fn count_at_mark(&self) -> usize {
        self.tally.len_at_mark()
    }

    /// True if records came out of order: their dates then tell nothing about what is next.
    pub fn is_out_of_order(&self) -> bool {
        self.order == Order::Broken || self.has_late_undated
    }

    /// Where this run started, if an earlier one read what is before.
    pub fn start(&self) -> Option<DateTime<Utc>> {
        self.start.created_from
    }

    /// True if some record with the latest date came. False if it is only known to be next.
    pub fn is_mark_seen(&self) -> bool {
        self.is_mark_seen
    }

    /// True if two different dates came in ascending order.
    pub fn is_in_order(&self) -> bool {
        self.is_order_proven()
    }

    /// Skips the next record of a list by offset.
    pub fn skip_offset(&mut self) {
        if let PageRequest::Window { offset, .. } = &mut self.next {
            *offset += 1;
        }
        // The record with which the page had to start came already.
        if !std::mem::take(&mut self.is_anchored) {
            self.tally.note_skipped();
        }
    }

    /// Continues a list by cursor at a date: all records before it came, but one.
    pub fn skip_to(&mut self, from: DateTime<Utc>) {
        self.tally.note_skipped();
        self.tally.skip_mark();
        (self.mark, self.is_mark_seen) = (Some(from), false);
        self.begin_forced_window(from);
    }
}
