//! Skipping a record that Wix cannot deliver.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::Pagination;
use super::window::Check;
use crate::wix::page::PageRequest;

impl Pagination {
    /// Number of records on the next page that came before: 1 if it has to start with the last record, else 0.
    pub fn overlap(&self) -> u32 {
        u32::from(self.is_anchored)
    }

    /// The latest creation date that came, or at which a resumed pass started.
    pub fn latest(&self) -> Option<DateTime<Utc>> {
        self.order.latest()
    }

    /// Number of records with that date.
    pub fn count_at_latest(&self) -> usize {
        self.tally.len_at_latest()
    }

    /// True if some record with the latest date came. False if it is only known to be next.
    pub fn is_latest_seen(&self) -> bool {
        self.order.is_latest_seen()
    }

    /// True if records came out of order: then their dates do not show what is next.
    pub fn is_out_of_order(&self) -> bool {
        self.order.is_broken() || self.order.has_late_undated()
    }

    /// True if two different dates came in ascending order.
    pub fn is_in_order(&self) -> bool {
        self.order.is_proven()
    }

    /// The date at which this run started, if an earlier run read the records before it.
    pub fn start(&self) -> Option<DateTime<Utc>> {
        self.start.created_from
    }

    /// Skips the next record of a list by offset.
    pub fn skip_offset(&mut self) {
        if let PageRequest::Window { offset, .. } = &mut self.next {
            *offset += 1;
        }
        // The record with which the page had to start came before.
        if !std::mem::take(&mut self.is_anchored) {
            self.tally.note_skipped();
        }
    }

    /// Resumes a list by cursor at a date: all records before it came, except one. Other records that a window from
    /// this date leaves out are a shortfall.
    pub fn skip_to(&mut self, from: DateTime<Utc>) {
        self.tally.note_skipped();
        self.tally.skip_latest();
        self.order.skip_to(from);
        self.begin_window_at_latest(None);
        let min_total = self.check.as_ref().and_then(|check| check.min_total);
        self.check = Some(Check { min_total, is_forced: true, ..Check::new(from, HashSet::new()) });
    }
}
