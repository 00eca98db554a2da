//! Pages by offset. Each page starts with the last record of the page before.

use super::order::created;
use super::window::{ReturnPoint, WindowUse};
use super::{Accepted, MAX_RESTARTS, Pagination, PaginationError};
use crate::table::row::RecordMark;
use crate::wix::page::PageRequest;

/// Maximum offset, in records, if a window by date can be used instead. Some Wix endpoints fail near 10,000 (wix-api.md
/// 2.2), and on most servers a page takes longer the larger its offset is.
pub(super) const MAX_OFFSET: u64 = 8_000;

impl Pagination {
    pub(super) fn accept_by_offset(
        &mut self,
        offset: u64,
        marks: &[RecordMark],
        total: Option<u64>,
    ) -> Result<Option<Accepted>, PaginationError> {
        if !self.follows(marks) {
            self.restart()?;
            return Ok(None);
        }
        self.window.total = total.or(self.window.total);
        let count = marks.len() as u64;
        if count == 0 {
            // The total may be older than a deletion, so another request has to confirm it. If it does, the list ended
            // early, and the difference is its shortfall.
            if total.is_some_and(|total| total > offset) && self.restarts < MAX_RESTARTS {
                self.restarts += 1;
                return Ok(None);
            }
            return Ok(Some(Accepted { is_new: Vec::new(), repeated: 0, at_end: true }));
        }
        // A total below the number of records read is wrong. On a page that is not full it may be the page's own count,
        // so another request checks that nothing follows.
        let is_full = self.page_limit.is_some_and(|limit| count >= u64::from(limit));
        let at_end = total == Some(offset + count) && !is_full;
        let accepted = self.note(marks, at_end);
        if !at_end {
            self.loops.check_progress()?;
            self.continue_behind(offset, count);
        }
        Ok(Some(accepted))
    }

    /// Uses windows by date although they leave records out, because Wix refuses the next offset. Returns false if that
    /// is not the reason for the refusal, or if no window can start here.
    pub fn avoid_offset(&mut self) -> bool {
        let is_deep = matches!(self.next, PageRequest::Window { offset, .. } if offset > MAX_OFFSET);
        if !is_deep || !self.can_begin_window() {
            return false;
        }
        self.window_use = WindowUse::Required;
        self.begin_window_at_latest(None);
        true
    }

    /// Whether a page follows the one before: it starts with that page's last record if it has to, and its other
    /// records did not come on an earlier page of this window. If one of them did, the order of records with the same
    /// date has changed, and other records may have been skipped.
    fn follows(&self, marks: &[RecordMark]) -> bool {
        let mut marks = marks.iter();
        if self.is_anchored && marks.next().map(|mark| &mark.wix_id) != self.last.as_ref().map(|mark| &mark.wix_id) {
            return false;
        }
        let latest = self.order.latest();
        !marks.any(|mark| created(mark) == latest && self.tally.came_at_latest(mark, self.window.number))
    }

    /// Makes the next page start with the last record of this one. If this page had only that record, the next page
    /// starts after it, so that the pagination advances.
    fn continue_behind(&mut self, offset: u64, count: u64) {
        self.is_anchored = count > 1;
        let next = if self.is_anchored { offset + count - 1 } else { offset + count };
        self.next = PageRequest::Window { created_from: self.window.from, offset: next };
        let is_deep = offset + count > MAX_OFFSET;
        if is_deep && self.window_use != WindowUse::Avoided && self.can_begin_window() {
            let return_point = ReturnPoint {
                window: self.window,
                next: self.next.clone(),
                last: self.last.clone(),
                is_anchored: self.is_anchored,
            };
            self.begin_window_at_latest(Some(return_point));
        }
    }

    fn can_begin_window(&self) -> bool {
        self.order.is_proven() && self.order.latest() > self.window.from
    }
}
