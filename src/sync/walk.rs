//! The walk through a listing: which page comes next, and when Wix has said that there is no more.
//!
//! Pure: it sees marks of records and says what to ask for. Records are sorted by creation, which never
//! changes, so edits move nothing; what can move are the offsets of contacts, when one is deleted or
//! merged meanwhile. Hence each page by offset begins with the last record of the page before. Where that
//! record is not, the walk begins anew at its date of creation, and nothing is passed over.

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
    /// The ids seen with that date, and how new each was: they come again when the walk begins anew there.
    frontier_ids: HashMap<String, Option<DateTime<Utc>>>,
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
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            next: PageRequest::Window { created_from: None, offset: 0 },
            window_from: None,
            last: None,
            frontier: None,
            frontier_ids: HashMap::new(),
            is_sorted: true,
            last_page: Vec::new(),
            cursors: HashSet::new(),
            empty_pages: 0,
            anchored: false,
            restarts: 0,
            total: None,
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
        if self.anchored && marks.first().map(|mark| &mark.wix_id) != self.last.as_ref().map(|mark| &mark.wix_id) {
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
        let at_end = total.is_some_and(|total| offset + count >= total);
        if !at_end {
            self.go_on_behind(offset, count);
        }
        Ok(Some(Accepted { is_new, at_end }))
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
        let is_new: Vec<bool> = marks.iter().map(|mark| self.note_one(mark)).collect();
        if is_new.contains(&true) {
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
        match self.frontier_ids.get(id) {
            Some(seen) if mark.wix_updated_at <= *seen => false,
            _ => {
                self.frontier_ids.insert(id.clone(), mark.wix_updated_at);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::{MAX_OFFSET, Walk, WalkError};
    use crate::page::{NextPage, PageRequest};
    use crate::record::RecordMark;

    /// A listing by offset: ids with creation seconds, sorted.
    struct Listing(Vec<(u32, i64)>);

    impl Listing {
        fn page(&self, request: &PageRequest, limit: usize) -> (Vec<RecordMark>, u64) {
            let PageRequest::Window { created_from, offset } = request else { panic!("a cursor was asked for") };
            let from = created_from.map_or(i64::MIN, |from| from.timestamp());
            let window: Vec<RecordMark> = self
                .0
                .iter()
                .filter(|(_, created)| *created >= from)
                .map(|(id, created)| mark(*id, *created))
                .collect();
            let total = window.len() as u64;
            (window.into_iter().skip(*offset as usize).take(limit).collect(), total)
        }
    }

    fn mark(id: u32, created: i64) -> RecordMark {
        RecordMark {
            wix_id: Some(id.to_string()),
            wix_created_at: DateTime::from_timestamp(created, 0),
            wix_updated_at: None,
        }
    }

    /// Walks to the end, changing the listing before each request; the ids in order, and the requests made.
    fn walk(
        listing: &mut Listing,
        limit: usize,
        with_total: bool,
        mut change: impl FnMut(usize, &mut Listing),
    ) -> Result<(Vec<u32>, usize), WalkError> {
        let (mut walk, mut ids) = (Walk::default(), Vec::new());
        for requests in 1..10_000 {
            change(requests, listing);
            let (marks, total) = listing.page(walk.request(), limit);
            let Some(accepted) = walk.accept(&marks, &NextPage::ByOffset, with_total.then_some(total))? else {
                continue;
            };
            let new = marks.iter().zip(&accepted.is_new).filter(|(_, is_new)| **is_new);
            ids.extend(new.map(|(mark, _)| mark.wix_id.as_deref().unwrap().parse::<u32>().unwrap()));
            if accepted.at_end {
                return Ok((ids, requests));
            }
        }
        panic!("the walk does not end");
    }

    fn distinct(count: u32) -> Listing {
        Listing((0..count).map(|id| (id, i64::from(id))).collect())
    }

    #[test]
    fn every_record_comes_once_in_the_least_number_of_requests() {
        for (count, requests) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (1999, 2), (2000, 3), (20_000, 21)] {
            let (ids, made) = walk(&mut distinct(count), 1000, true, |_, _| {}).unwrap();
            assert_eq!(ids, (0..count).collect::<Vec<_>>());
            assert_eq!(made, requests, "{count} records");
        }
    }

    #[test]
    fn without_a_total_only_an_empty_page_is_the_end() {
        let (ids, made) = walk(&mut distinct(2500), 1000, false, |_, _| {}).unwrap();
        assert_eq!((ids.len(), made), (2500, 5));
    }

    #[test]
    fn short_pages_are_no_end() {
        let (ids, _) = walk(&mut distinct(2500), 37, true, |_, _| {}).unwrap();
        assert_eq!(ids.len(), 2500);
        let (ids, _) = walk(&mut distinct(5), 1, true, |_, _| {}).unwrap();
        assert_eq!(ids.len(), 5);
    }

    #[test]
    fn thousands_of_records_with_one_date_are_read_and_offsets_stay_small() {
        let mut listing = Listing((0..30_000).map(|id| (id, i64::from(id / 5000))).collect());
        let mut deepest = 0;
        let (mut walk, mut count) = (Walk::default(), 0);
        loop {
            if let PageRequest::Window { offset, .. } = walk.request() {
                deepest = deepest.max(*offset);
            }
            let (marks, total) = listing.page(walk.request(), 1000);
            let accepted = walk.accept(&marks, &NextPage::ByOffset, Some(total)).unwrap().unwrap();
            count += accepted.is_new.iter().filter(|is_new| **is_new).count();
            if accepted.at_end {
                break;
            }
        }
        listing.0.clear();
        assert_eq!(count, 30_000);
        assert!(deepest <= MAX_OFFSET, "{deepest}");
    }

    #[test]
    fn an_order_that_changes_with_each_request_is_refused_and_not_half_read() {
        let mut listing = Listing((0..3000).map(|id| (id, 7)).collect());
        let result = walk(&mut listing, 1000, true, |request, listing| listing.0.rotate_left(request * 517 % 3000));
        assert!(matches!(result, Err(WalkError::UnstableOrder)) || result.is_ok_and(|(ids, _)| ids.len() == 3000));
    }

    #[test]
    fn records_that_are_announced_and_never_listed_are_an_error() {
        let mut walk = Walk::default();
        for _ in 0..5 {
            assert_eq!(walk.accept(&[], &NextPage::ByOffset, Some(3)), Ok(None));
        }
        assert_eq!(
            walk.accept(&[], &NextPage::ByOffset, Some(3)),
            Err(WalkError::MissingRecords { total: 3, offset: 0 })
        );
    }

    #[test]
    fn a_repeated_page_or_cursor_ends_a_cursor_walk_with_an_error() {
        let cursor = |text: &str| NextPage::Cursor(text.to_owned());
        let mut walk = Walk::default();
        walk.accept(&[mark(1, 1)], &cursor("a"), None).unwrap();
        assert_eq!(walk.accept(&[mark(1, 1)], &cursor("b"), None), Err(WalkError::RepeatedPage));
        let mut walk = Walk::default();
        walk.accept(&[mark(1, 1)], &cursor("a"), None).unwrap();
        assert_eq!(walk.accept(&[mark(2, 2)], &cursor("a"), None), Err(WalkError::RepeatedPage));
        let mut walk = Walk::default();
        walk.accept(&[mark(1, 1)], &cursor("a"), None).unwrap();
        walk.accept(&[mark(2, 2)], &cursor("b"), None).unwrap();
        assert_eq!(walk.accept(&[mark(1, 1)], &cursor("a"), None), Err(WalkError::RepeatedPage), "a circle of two");
        let mut walk = Walk::default();
        let ends = (0..100).find(|page| walk.accept(&[], &cursor(&page.to_string()), None).is_err());
        assert_eq!(ends, Some(20), "empty pages without end");
    }

    #[test]
    fn a_refused_cursor_begins_anew_at_the_last_date_as_long_as_that_brings_something_new() {
        let cursor = || NextPage::Cursor("a".to_owned());
        let mut walk = Walk::default();
        walk.accept(&[mark(1, 1), mark(2, 5)], &cursor(), None).unwrap();
        walk.restart().unwrap();
        assert_eq!(*walk.request(), PageRequest::Window { created_from: DateTime::from_timestamp(5, 0), offset: 0 });
        let accepted = walk.accept(&[mark(2, 5), mark(3, 5)], &cursor(), None).unwrap().unwrap();
        assert_eq!(accepted.is_new, [false, true]);
        for _ in 0..5 {
            walk.restart().unwrap();
            walk.accept(&[mark(2, 5), mark(3, 5)], &cursor(), None).unwrap();
        }
        assert_eq!(walk.restart(), Err(WalkError::NoProgress));
    }

    #[test]
    fn an_unsorted_listing_begins_anew_at_its_beginning() {
        let mut walk = Walk::default();
        walk.accept(&[mark(1, 9), mark(2, 5)], &NextPage::Cursor("a".to_owned()), None).unwrap();
        walk.restart().unwrap();
        assert_eq!(*walk.request(), PageRequest::Window { created_from: None, offset: 0 });
    }

    proptest! {
        /// Deletions and additions during the walk: whoever is there from its begin to its end is read.
        #[test]
        fn no_record_that_stays_is_missed(
            dates in prop::collection::vec(0_i64..40, 1..120),
            changes in prop::collection::vec((0_usize..120, any::<bool>()), 0..40),
            limit in 2_usize..30,
            with_total in any::<bool>(),
        ) {
            let mut dates = dates;
            dates.sort_unstable();
            let mut listing = Listing(dates.iter().enumerate().map(|(id, date)| (id as u32, *date)).collect());
            let all = listing.0.clone();
            let mut changes = changes.into_iter();
            let (ids, _) = walk(&mut listing, limit, with_total, |_, listing| {
                if let Some((at, delete)) = changes.next() {
                    if delete && !listing.0.is_empty() {
                        listing.0.remove(at % listing.0.len());
                    } else {
                        listing.0.push((1000 + at as u32, 100));
                    }
                }
            }).map_err(|error| TestCaseError::fail(error.to_string()))?;
            for (id, _) in all.iter().filter(|record| listing.0.contains(record)) {
                prop_assert!(ids.contains(id), "record {} is missing", id);
            }
        }
    }
}
