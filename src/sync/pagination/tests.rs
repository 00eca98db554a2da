//! Lists that change while they are read.

use chrono::DateTime;
use proptest::prelude::*;

use super::offset::MAX_OFFSET;
use super::{Conclusion, Pagination, PaginationError};
use crate::table::row::{RecordMark, Version};
use crate::wix::page::{NextPage, PageRequest};

/// A list by offset: ids with creation seconds, sorted.
struct List(Vec<(u32, i64)>);

impl List {
    fn page(&self, request: &PageRequest, limit: usize) -> (Vec<RecordMark>, u64) {
        let PageRequest::Window { created_from, offset } = request else { panic!("a cursor was asked for") };
        let from = created_from.map_or(i64::MIN, |from| from.timestamp());
        let window: Vec<RecordMark> =
            self.0.iter().filter(|(_, created)| *created >= from).map(|(id, created)| mark(*id, *created)).collect();
        let total = window.len() as u64;
        (window.into_iter().skip(*offset as usize).take(limit).collect(), total)
    }
}

fn mark(id: u32, created: i64) -> RecordMark {
    RecordMark {
        wix_id: Some(id.to_string()),
        wix_created_at: DateTime::from_timestamp(created, 0),
        version: Version::default(),
        content: 0,
    }
}

/// Reads to the end, and changes the list before each request. Returns the ids in order, and the requests.
fn read(
    list: &mut List,
    limit: usize,
    with_total: bool,
    mut change: impl FnMut(usize, &mut List),
) -> Result<(Vec<u32>, usize), PaginationError> {
    let (mut pagination, mut ids) = (Pagination::default(), Vec::new());
    for requests in 1..10_000 {
        change(requests, list);
        let (marks, total) = list.page(pagination.request(), limit);
        let Some(accepted) = pagination.accept(&marks, &NextPage::ByOffset, with_total.then_some(total))? else {
            continue;
        };
        let new = marks.iter().zip(&accepted.is_new).filter(|(_, is_new)| **is_new);
        ids.extend(new.map(|(mark, _)| mark.wix_id.as_deref().unwrap().parse::<u32>().unwrap()));
        if accepted.at_end {
            return Ok((ids, requests));
        }
    }
    panic!("the pagination does not end");
}

/// Pages have at most this many records.
fn limited(limit: u32) -> Pagination {
    let mut pagination = Pagination::default();
    pagination.set_page_limit(limit);
    pagination
}

fn distinct(count: u32) -> List {
    List((0..count).map(|id| (id, i64::from(id))).collect())
}

/// How a server may compute a total from the true total and the offset and length of a page.
type TotalReading = fn(u64, u64, u64) -> u64;

#[test]
fn totals_with_another_meaning_do_not_end_the_pagination() {
    let readings: [TotalReading; 5] = [
        |_, _, _| 0,
        |_, _, count| count,
        |total, offset, count| total - offset - count,
        |total, offset, _| total - offset,
        |total, _, _| total,
    ];
    for (reading, total_of) in readings.iter().enumerate() {
        for records in 0..60 {
            let list = distinct(records);
            let (mut pagination, mut ids) = (limited(10), Vec::new());
            let is_whole = (0..100).any(|_| {
                let PageRequest::Window { offset, .. } = *pagination.request() else {
                    panic!("a cursor was asked for")
                };
                let (marks, total) = list.page(pagination.request(), 10);
                let total = total_of(total, offset.min(total), marks.len() as u64);
                let Some(accepted) = pagination.accept(&marks, &NextPage::ByOffset, Some(total)).unwrap() else {
                    return false;
                };
                let new = marks.iter().zip(&accepted.is_new).filter(|(_, is_new)| **is_new);
                ids.extend(new.map(|(mark, _)| mark.wix_id.as_deref().unwrap().parse::<u32>().unwrap()));
                accepted.at_end
            });
            assert!(is_whole, "{records} records, reading {reading}");
            assert_eq!(ids, (0..records).collect::<Vec<u32>>(), "{records} records, reading {reading}");
        }
    }
}

#[test]
fn every_record_comes_once_in_as_few_requests_as_possible() {
    for (count, requests) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (1999, 2), (2000, 3), (20_000, 21)] {
        let (ids, made) = read(&mut distinct(count), 1000, true, |_, _| {}).unwrap();
        assert_eq!(ids, (0..count).collect::<Vec<_>>());
        assert_eq!(made, requests, "{count} records");
    }
}

#[test]
fn without_a_total_only_an_empty_page_is_the_end() {
    let (ids, made) = read(&mut distinct(2500), 1000, false, |_, _| {}).unwrap();
    assert_eq!((ids.len(), made), (2500, 5));
}

#[test]
fn short_pages_do_not_end_the_list() {
    let (ids, _) = read(&mut distinct(2500), 37, true, |_, _| {}).unwrap();
    assert_eq!(ids.len(), 2500);
    let (ids, _) = read(&mut distinct(5), 1, true, |_, _| {}).unwrap();
    assert_eq!(ids.len(), 5);
}

#[test]
fn offsets_stay_small_with_thousands_of_records_of_one_date() {
    let mut list = List((0..30_000).map(|id| (id, i64::from(id / 5000))).collect());
    let mut deepest = 0;
    let (mut pagination, mut count) = (Pagination::default(), 0);
    loop {
        if let PageRequest::Window { offset, .. } = pagination.request() {
            deepest = deepest.max(*offset);
        }
        let (marks, total) = list.page(pagination.request(), 1000);
        let accepted = pagination.accept(&marks, &NextPage::ByOffset, Some(total)).unwrap().unwrap();
        count += accepted.is_new.iter().filter(|is_new| **is_new).count();
        if accepted.at_end {
            break;
        }
    }
    list.0.clear();
    assert_eq!(count, 30_000);
    assert!(deepest <= MAX_OFFSET, "{deepest}");
}

#[test]
fn order_that_changes_with_each_request_is_an_error() {
    let mut list = List((0..3000).map(|id| (id, 7)).collect());
    let result = read(&mut list, 1000, true, |request, list| list.0.rotate_left(request * 517 % 3000));
    assert!(matches!(result, Err(PaginationError::UnstableOrder)) || result.is_ok_and(|(ids, _)| ids.len() == 3000));
}

#[test]
fn id_that_comes_twice_is_read_if_one_page_holds_both() {
    // Wix returns no id twice. Such a list looks like one whose order changes, which may skip other records.
    let twice = || List(vec![(0, 1), (1, 2), (2, 2), (1, 2), (3, 3), (4, 4)]);
    let (mut ids, _) = read(&mut twice(), 3, true, |_, _| {}).unwrap();
    ids.dedup();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    assert_eq!(read(&mut twice(), 2, true, |_, _| {}), Err(PaginationError::UnstableOrder));
}

#[test]
fn records_that_are_announced_and_not_returned_are_a_shortfall() {
    let mut pagination = Pagination::default();
    for _ in 0..5 {
        assert_eq!(pagination.accept(&[], &NextPage::ByOffset, Some(3)), Ok(None));
    }
    assert!(pagination.accept(&[], &NextPage::ByOffset, Some(3)).unwrap().unwrap().at_end);
    assert_eq!(pagination.shortfall(), 3);
    assert_eq!(pagination.clone().conclude(Some(3)), Conclusion::Shortfall(3));
    assert_eq!(pagination.clone().conclude(Some(1)), Conclusion::Shortfall(1), "two were deleted meanwhile");
    assert_eq!(pagination.conclude(Some(0)), Conclusion::Shortfall(0));
}

/// Reads first pages whose cursors are always refused, until the pagination fails. Returns the number of pages.
fn pages_until_error(mut pagination: Pagination, mut page: impl FnMut(u32) -> Vec<RecordMark>) -> u32 {
    for pages in 1..1000 {
        pagination.accept(&page(pages), &NextPage::Cursor(format!("cursor {pages}")), None).unwrap();
        if pagination.restart().is_err() {
            return pages;
        }
    }
    panic!("the pagination does not end");
}

#[test]
fn restarts_without_progress_end_with_an_error() {
    let unsorted = || {
        let mut pagination = Pagination::default();
        pagination.begin_unsorted();
        pagination
    };
    let undated = |id: u32| RecordMark { wix_created_at: None, ..mark(id, 0) };
    let nameless = |created: i64| RecordMark { wix_id: None, content: created as u64, ..mark(0, created) };
    assert!(pages_until_error(Pagination::default(), |_| vec![mark(1, 1), mark(2, 2)]) < 10);
    assert!(pages_until_error(unsorted(), |_| vec![mark(2, 2), mark(1, 1)]) < 10, "an unsorted list");
    assert!(pages_until_error(Pagination::default(), |_| vec![mark(1, 1), undated(2)]) < 10, "a record without a date");
    assert!(pages_until_error(Pagination::default(), |_| vec![mark(1, 1), nameless(1)]) < 10, "one without an id");
    let other_order = |page: u32| vec![mark(1, i64::from(page) % 3), mark(2, i64::from(page + 1) % 3)];
    assert!(pages_until_error(Pagination::default(), other_order) < 20, "another order each time");
    let newer_copy = |page: u32| {
        vec![RecordMark {
            version: Version { revision: None, updated_at: DateTime::from_timestamp(page.into(), 0) },
            ..mark(1, 1)
        }]
    };
    assert!(pages_until_error(Pagination::default(), newer_copy) < 10, "a record that changes all the time");
    // It may restart any number of times while new records come. Each page starts with the last record of the one
    // before.
    let mut pagination = Pagination::default();
    for page in 0..100 {
        let marks = [mark(page, page.into()), mark(page + 1, i64::from(page) + 1)];
        pagination.accept(&marks, &NextPage::Cursor(page.to_string()), None).unwrap().unwrap();
        pagination.restart().unwrap();
    }
}

#[test]
fn repeated_page_or_cursor_is_an_error() {
    let cursor = |text: &str| NextPage::Cursor(text.to_owned());
    let mut pagination = Pagination::default();
    pagination.accept(&[mark(1, 1)], &cursor("a"), None).unwrap();
    assert_eq!(pagination.accept(&[mark(1, 1)], &cursor("b"), None), Err(PaginationError::RepeatedPage));
    let mut pagination = Pagination::default();
    pagination.accept(&[mark(1, 1)], &cursor("a"), None).unwrap();
    assert_eq!(pagination.accept(&[mark(2, 2)], &cursor("a"), None), Err(PaginationError::RepeatedPage));
    let mut pagination = Pagination::default();
    pagination.accept(&[mark(1, 1)], &cursor("a"), None).unwrap();
    pagination.accept(&[mark(2, 2)], &cursor("b"), None).unwrap();
    assert_eq!(
        pagination.accept(&[mark(1, 1)], &cursor("a"), None),
        Err(PaginationError::RepeatedPage),
        "a circle of two"
    );
    let mut pagination = Pagination::default();
    let ends = (0..100).find(|page| pagination.accept(&[], &cursor(&page.to_string()), None).is_err());
    assert_eq!(ends, Some(20), "empty pages without end");
}

#[test]
fn refused_cursor_restarts_at_the_latest_date() {
    let cursor = || NextPage::Cursor("a".to_owned());
    let mut pagination = Pagination::default();
    pagination.accept(&[mark(1, 1), mark(2, 5)], &cursor(), None).unwrap();
    pagination.restart().unwrap();
    assert_eq!(*pagination.request(), PageRequest::Window { created_from: DateTime::from_timestamp(5, 0), offset: 0 });
    let accepted = pagination.accept(&[mark(2, 5), mark(3, 5)], &cursor(), None).unwrap().unwrap();
    assert_eq!(accepted.is_new, [false, true]);
    for _ in 0..5 {
        pagination.restart().unwrap();
        pagination.accept(&[mark(2, 5), mark(3, 5)], &cursor(), None).unwrap();
    }
    assert_eq!(pagination.restart(), Err(PaginationError::NoProgress));
}

#[test]
fn restart_in_an_unsorted_list_starts_at_its_beginning() {
    let mut pagination = Pagination::default();
    pagination.accept(&[mark(1, 9), mark(2, 5)], &NextPage::Cursor("a".to_owned()), None).unwrap();
    pagination.restart().unwrap();
    assert_eq!(*pagination.request(), PageRequest::Window { created_from: None, offset: 0 });
}

proptest! {
    /// Records of one date come in another order with each request: all are read, or it is reported that some may be
    /// missing.
    #[test]
    fn any_order_among_records_of_one_date_is_read_whole(
        blocks in prop::collection::vec(1_usize..6, 1..12),
        orders in prop::collection::vec(any::<u64>(), 1..60),
        limit in 1_usize..9,
        with_total in any::<bool>(),
    ) {
        let dates = blocks.iter().enumerate().flat_map(|(date, size)| std::iter::repeat_n(date as i64, *size));
        let mut list = List(dates.enumerate().map(|(id, date)| (id as u32, date)).collect());
        let count = list.0.len();
        let result = read(&mut list, limit, with_total, |request, list| {
            let order = orders[request % orders.len()];
            list.0.sort_by_key(|(id, date)| (*date, u64::from(*id + 1).wrapping_mul(order | 1)));
        });
        match result {
            Ok((ids, _)) => {
                for id in 0..count as u32 {
                    prop_assert!(ids.contains(&id), "record {} is missing", id);
                }
            }
            Err(error) => prop_assert_eq!(error, PaginationError::UnstableOrder),
        }
    }

    /// Deletions and additions while the list is read: each record that exists all the time is read.
    #[test]
    fn records_that_stay_are_read_whatever_else_changes(
        dates in prop::collection::vec(0_i64..40, 1..120),
        changes in prop::collection::vec((0_usize..120, any::<bool>()), 0..40),
        limit in 2_usize..30,
        with_total in any::<bool>(),
    ) {
        let mut dates = dates;
        dates.sort_unstable();
        let mut list = List(dates.iter().enumerate().map(|(id, date)| (id as u32, *date)).collect());
        let all = list.0.clone();
        let mut changes = changes.into_iter();
        let mut added = 1000_u32..;
        let (ids, _) = read(&mut list, limit, with_total, |_, list| {
            if let Some((at, delete)) = changes.next() {
                if delete && !list.0.is_empty() {
                    list.0.remove(at % list.0.len());
                } else {
                    list.0.extend(added.next().map(|id| (id, 100)));
                }
            }
        }).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for (id, _) in all.iter().filter(|record| list.0.contains(record)) {
            prop_assert!(ids.contains(id), "record {} is missing", id);
        }
    }
}
