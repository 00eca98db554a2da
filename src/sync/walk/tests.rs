//! The walk over listings that change meanwhile.

use chrono::DateTime;
use proptest::prelude::*;

use super::{Conclusion, MAX_OFFSET, Walk, WalkError};
use crate::table::row::{RecordMark, Version};
use crate::wix::page::{NextPage, PageRequest};

/// A listing by offset: ids with creation seconds, sorted.
struct Listing(Vec<(u32, i64)>);

impl Listing {
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

/// Walks to the end, changing the listing before each request. Returns the ids in order, and the requests.
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

/// How a server may compute a total, from the true one and the offset and length of a page.
type TotalReading = fn(u64, u64, u64) -> u64;

#[test]
fn totals_that_are_none_end_no_walk() {
    let readings: [TotalReading; 5] = [
        |_, _, _| 0,
        |_, _, count| count,
        |total, offset, count| total - offset - count,
        |total, offset, _| total - offset,
        |total, _, _| total,
    ];
    for (reading, total_of) in readings.iter().enumerate() {
        for records in 0..60 {
            let listing = distinct(records);
            let (mut walk, mut ids) = (Walk::default().with_page_limit(10), Vec::new());
            let is_whole = (0..100).any(|_| {
                let PageRequest::Window { offset, .. } = *walk.request() else { panic!("a cursor was asked for") };
                let (marks, total) = listing.page(walk.request(), 10);
                let total = total_of(total, offset.min(total), marks.len() as u64);
                let Some(accepted) = walk.accept(&marks, &NextPage::ByOffset, Some(total)).unwrap() else {
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
fn an_id_at_two_places_of_one_date_is_read_where_a_page_holds_both_and_else_refused() {
    // Wix returns no id twice; such a listing cannot be told from a changing order, which may hide others.
    let twice = || Listing(vec![(0, 1), (1, 2), (2, 2), (1, 2), (3, 3), (4, 4)]);
    let (mut ids, _) = walk(&mut twice(), 3, true, |_, _| {}).unwrap();
    ids.dedup();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    assert_eq!(walk(&mut twice(), 2, true, |_, _| {}), Err(WalkError::UnstableOrder));
}

#[test]
fn records_that_are_announced_and_never_listed_are_a_shortfall() {
    let mut walk = Walk::default();
    for _ in 0..5 {
        assert_eq!(walk.accept(&[], &NextPage::ByOffset, Some(3)), Ok(None));
    }
    assert!(walk.accept(&[], &NextPage::ByOffset, Some(3)).unwrap().unwrap().at_end);
    assert_eq!(walk.shortfall(), 3);
    assert_eq!(walk.clone().conclude(Some(3)), Conclusion::Shortfall(3));
    assert_eq!(walk.clone().conclude(Some(1)), Conclusion::Shortfall(1), "two were deleted meanwhile");
    assert_eq!(walk.conclude(Some(0)), Conclusion::Shortfall(0));
}

/// Reads first pages whose cursors are always refused, until the walk gives up. Returns how many pages that took.
fn pages_until_given_up(mut walk: Walk, mut page: impl FnMut(u32) -> Vec<RecordMark>) -> u32 {
    for pages in 1..1000 {
        walk.accept(&page(pages), &NextPage::Cursor(format!("cursor {pages}")), None).unwrap();
        if walk.restart().is_err() {
            return pages;
        }
    }
    panic!("the walk goes on for ever");
}

#[test]
fn a_walk_that_begins_anew_without_getting_on_is_given_up() {
    let unsorted = || {
        let mut walk = Walk::default();
        walk.begin_unsorted();
        walk
    };
    let undated = |id: u32| RecordMark { wix_created_at: None, ..mark(id, 0) };
    let nameless = |created: i64| RecordMark { wix_id: None, content: created as u64, ..mark(0, created) };
    assert!(pages_until_given_up(Walk::default(), |_| vec![mark(1, 1), mark(2, 2)]) < 10);
    assert!(pages_until_given_up(unsorted(), |_| vec![mark(2, 2), mark(1, 1)]) < 10, "an unsorted listing");
    assert!(pages_until_given_up(Walk::default(), |_| vec![mark(1, 1), undated(2)]) < 10, "a record without a date");
    assert!(pages_until_given_up(Walk::default(), |_| vec![mark(1, 1), nameless(1)]) < 10, "one without an id");
    let other_order = |page: u32| vec![mark(1, i64::from(page) % 3), mark(2, i64::from(page + 1) % 3)];
    assert!(pages_until_given_up(Walk::default(), other_order) < 20, "another order each time");
    let newer_copy = |page: u32| {
        vec![RecordMark {
            version: Version { revision: None, updated_at: DateTime::from_timestamp(page.into(), 0) },
            ..mark(1, 1)
        }]
    };
    assert!(pages_until_given_up(Walk::default(), newer_copy) < 10, "a record that changes all the time");
    // It may restart as often as it has to while records come. Each page starts with the last record of the one before.
    let mut walk = Walk::default();
    for page in 0..100 {
        let marks = [mark(page, page.into()), mark(page + 1, i64::from(page) + 1)];
        walk.accept(&marks, &NextPage::Cursor(page.to_string()), None).unwrap().unwrap();
        walk.restart().unwrap();
    }
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
    /// Records of one date in another order with each request: all are read, or it is reported that some may be
    /// missing.
    #[test]
    fn no_order_among_records_of_one_date_makes_one_missed(
        blocks in prop::collection::vec(1_usize..6, 1..12),
        orders in prop::collection::vec(any::<u64>(), 1..60),
        limit in 1_usize..9,
        with_total in any::<bool>(),
    ) {
        let dates = blocks.iter().enumerate().flat_map(|(date, size)| std::iter::repeat_n(date as i64, *size));
        let mut listing = Listing(dates.enumerate().map(|(id, date)| (id as u32, date)).collect());
        let count = listing.0.len();
        let result = walk(&mut listing, limit, with_total, |request, listing| {
            let order = orders[request % orders.len()];
            listing.0.sort_by_key(|(id, date)| (*date, u64::from(*id + 1).wrapping_mul(order | 1)));
        });
        match result {
            Ok((ids, _)) => {
                for id in 0..count as u32 {
                    prop_assert!(ids.contains(&id), "record {} is missing", id);
                }
            }
            Err(error) => prop_assert_eq!(error, WalkError::UnstableOrder),
        }
    }

    /// Deletions and additions during the walk: a record that exists from start to end is read.
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
        let mut added = 1000_u32..;
        let (ids, _) = walk(&mut listing, limit, with_total, |_, listing| {
            if let Some((at, delete)) = changes.next() {
                if delete && !listing.0.is_empty() {
                    listing.0.remove(at % listing.0.len());
                } else {
                    listing.0.extend(added.next().map(|id| (id, 100)));
                }
            }
        }).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for (id, _) in all.iter().filter(|record| listing.0.contains(record)) {
            prop_assert!(ids.contains(id), "record {} is missing", id);
        }
    }
}
