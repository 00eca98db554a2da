//! Lists that Wix does not document: other orders, rounded dates, records without a date, refused cursors.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::offset::MAX_OFFSET;
use super::{Conclusion, Pagination, PaginationError, Start};
use crate::table::row::{RecordMark, Version};
use crate::wix::page::{NextPage, PageRequest};

fn mark(id: u32, created: i64) -> RecordMark {
    RecordMark {
        wix_id: Some(id.to_string()),
        wix_created_at: DateTime::from_timestamp(created, 0),
        version: Version::default(),
        content: 0,
    }
}

/// A list, by offset or by cursor, whose dates, order and filter may be unusual.
#[derive(Clone, Debug)]
struct OddList {
    /// Ids with creation times in milliseconds; some have none.
    records: Vec<(u32, Option<i64>)>,
    /// Shown dates are rounded up to a multiple of this many milliseconds; filter and sort use the exact dates.
    rounding: i64,
    newest_first: bool,
    undated_last: bool,
    by_cursor: bool,
    with_total: bool,
}

impl OddList {
    fn ordered(&self, from: i64) -> Vec<(u32, Option<i64>)> {
        let mut records = self.records.clone();
        records.retain(|(_, created)| from == i64::MIN || created.is_some_and(|created| created >= from));
        let undated = if self.undated_last { i64::MAX } else { i64::MIN };
        records.sort_by_key(|(id, created)| (created.unwrap_or(undated), *id));
        if self.newest_first {
            records.reverse();
        }
        records
    }

    fn page(&self, request: &PageRequest, limit: usize) -> (Vec<RecordMark>, NextPage, Option<u64>) {
        let (from, offset) = match request {
            PageRequest::Window { created_from, offset } => {
                (created_from.map_or(i64::MIN, |from| from.timestamp_millis()), *offset as usize)
            }
            PageRequest::Cursor(cursor) => {
                let (from, offset) = cursor.split_once('/').unwrap();
                (from.parse().unwrap(), offset.parse().unwrap())
            }
        };
        let records = self.ordered(from);
        let shown = |created: i64| (created + self.rounding - 1).div_euclid(self.rounding) * self.rounding;
        let marks = records.iter().skip(offset).take(limit).map(|(id, created)| RecordMark {
            wix_id: Some(id.to_string()),
            wix_created_at: created.and_then(|created| DateTime::from_timestamp_millis(shown(created))),
            version: Version::default(),
            content: 0,
        });
        let next = match self.by_cursor {
            false => NextPage::ByOffset,
            true if offset + limit < records.len() => NextPage::Cursor(format!("{from}/{}", offset + limit)),
            true => NextPage::End,
        };
        (marks.collect(), next, self.with_total.then_some(records.len() as u64))
    }

    fn total(&self, from: Option<DateTime<Utc>>) -> Option<u64> {
        let from = from.map_or(i64::MIN, |from| from.timestamp_millis());
        self.with_total.then(|| self.ordered(from).len() as u64)
    }

    /// Reads to the end as [`crate::sync::reader`] does. `interrupt` refuses cursors and interrupts runs. Returns the
    /// ids from all runs, and the shortfall.
    fn read(
        &self,
        limit: usize,
        mut interrupt: impl FnMut(u32) -> Interruption,
    ) -> Result<(Vec<u32>, u64), PaginationError> {
        let (mut pagination, mut ids, mut start) = (Pagination::default(), Vec::new(), Start::default());
        for request in 0..5_000 {
            match interrupt(request) {
                Interruption::None => {}
                Interruption::Cursor => {
                    if matches!(pagination.request(), PageRequest::Cursor(_)) {
                        pagination.restart()?;
                    }
                }
                Interruption::Run => pagination = Pagination::starting_at(start),
            }
            let (marks, next, total) = self.page(pagination.request(), limit);
            let Some(accepted) = pagination.accept(&marks, &next, total)? else { continue };
            ids.extend(marks.iter().map(|mark| mark.wix_id.as_deref().unwrap().parse::<u32>().unwrap()));
            start = Start { created_from: pagination.high_water_mark(), records_before: pagination.records_before() };
            if !accepted.at_end {
                continue;
            }
            if let Some(from) = pagination.unconfirmed_start()
                && !pagination.confirm_start(self.total(None), self.total(Some(from)))
            {
                continue;
            }
            if pagination.shortfall() == 0 {
                return Ok((ids, 0));
            }
            if let Conclusion::Shortfall(shortfall) = pagination.conclude(self.total(None)) {
                return Ok((ids, shortfall));
            }
        }
        panic!("the pagination does not end");
    }

    fn missing(&self, ids: &[u32]) -> Vec<u32> {
        let ids: std::collections::HashSet<u32> = ids.iter().copied().collect();
        self.records.iter().map(|(id, _)| *id).filter(|id| !ids.contains(id)).collect()
    }
}

/// What to do before a request.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    None,
    /// Refuse the cursor.
    Cursor,
    /// Kill the run and resume it.
    Run,
}

#[test]
fn deep_list_with_a_record_without_a_date_is_read_by_offset() {
    let records = (0..9_501).map(|id| (id, (id != 17).then_some(i64::from(id) * 1000))).collect();
    let list =
        OddList { records, rounding: 1, newest_first: false, undated_last: true, by_cursor: false, with_total: true };
    let (ids, shortfall) = list.read(1000, |_| Interruption::None).unwrap();
    assert_eq!((list.missing(&ids), shortfall), (vec![], 0));
    // If Wix refuses large offsets, the window must be used, and the shortfall is known.
    let (mut pagination, mut ids) = (Pagination::default(), Vec::new());
    loop {
        if matches!(pagination.request(), PageRequest::Window { offset, .. } if *offset > MAX_OFFSET) {
            assert!(pagination.avoid_offset());
            continue;
        }
        let (marks, next, total) = list.page(pagination.request(), 1000);
        let Some(accepted) = pagination.accept(&marks, &next, total).unwrap() else { continue };
        ids.extend(marks.iter().map(|mark| mark.wix_id.as_deref().unwrap().parse::<u32>().unwrap()));
        if accepted.at_end {
            break;
        }
    }
    assert_eq!((list.missing(&ids), pagination.conclude(list.total(None))), (vec![17], Conclusion::Shortfall(1)));
}

#[test]
fn window_at_a_rounded_date_is_left_for_the_offset() {
    // Thirty records of one import are at the start of the window; their shown dates are rounded up.
    let second = |id: u32| i64::from(if (7_980..8_010).contains(&id) { 7_980 } else { id });
    let records = (0..9_500).map(|id| (id, Some(second(id) * 1000 + 400)));
    let list = OddList {
        records: records.collect(),
        rounding: 1000,
        newest_first: false,
        undated_last: true,
        by_cursor: false,
        with_total: true,
    };
    let (ids, shortfall) = list.read(1000, |_| Interruption::None).unwrap();
    assert_eq!((list.missing(&ids), shortfall), (vec![], 0));
}

#[test]
fn no_high_water_mark_before_two_dates_came_in_order() {
    let cursor = |number: u32| NextPage::Cursor(number.to_string());
    let mut pagination = Pagination::default();
    pagination.accept(&[mark(1, 7), mark(2, 7)], &cursor(1), None).unwrap();
    assert_eq!((pagination.high_water_mark(), pagination.records_before()), (None, 0), "one date proves nothing");
    pagination.accept(&[mark(3, 9)], &cursor(2), None).unwrap();
    assert_eq!((pagination.high_water_mark(), pagination.records_before()), (DateTime::from_timestamp(9, 0), 2));
    pagination.accept(&[mark(4, 3)], &cursor(3), None).unwrap();
    assert_eq!(pagination.high_water_mark(), None, "newest first");
    // A resumed pass keeps its start until then.
    let start = Start { created_from: DateTime::from_timestamp(7, 0), records_before: 5 };
    let mut pagination = Pagination::starting_at(start);
    pagination.accept(&[mark(1, 7), mark(2, 7)], &cursor(1), None).unwrap();
    assert_eq!((pagination.high_water_mark(), pagination.records_before()), (start.created_from, 5));
    pagination.accept(&[mark(3, 9)], &cursor(2), None).unwrap();
    assert_eq!((pagination.high_water_mark(), pagination.records_before()), (DateTime::from_timestamp(9, 0), 7));
    // If the order does not hold, it starts at the beginning.
    assert_eq!(pagination.accept(&[mark(4, 8)], &cursor(3), None), Ok(None));
    assert_eq!(*pagination.request(), PageRequest::Window { created_from: None, offset: 0 });
}

/// The records of one page, all with the same date.
fn page_of_one_date(page: u32) -> Vec<RecordMark> {
    (0..1_000).map(|index| mark(page * 1_000 + index, 7)).collect()
}

#[test]
fn number_of_records_that_are_remembered_is_bounded() {
    let mut pagination = Pagination::default();
    for page in 0..460 {
        pagination.accept(&page_of_one_date(page), &NextPage::Cursor(page.to_string()), None).unwrap();
        assert_eq!(pagination.is_overfull(), page >= 450, "{page}");
    }
    assert_eq!((pagination.record_count(), pagination.tally.len_at_latest()), (460_000, 450_000));
    assert!(!pagination.is_overfull_without_order(), "windows by date would not help");
    pagination.accept(&[mark(1, 6)], &NextPage::Cursor("older".to_owned()), None).unwrap();
    assert!(pagination.is_overfull_without_order());
    pagination.begin_unsorted();
    assert_eq!((pagination.is_overfull(), pagination.record_count()), (false, 0));
}

#[test]
fn long_list_that_repeats_itself_ends() {
    let mut pagination = Pagination::default();
    let end = (0..3_000).find_map(|page| {
        let cursor = NextPage::Cursor(page.to_string());
        pagination.accept(&page_of_one_date(page % 480), &cursor, None).err().map(|error| (page, error))
    });
    let (page, error) = end.unwrap();
    assert_eq!(error, PaginationError::Endless);
    assert!(page < 5 * 480, "it came {page} pages far");
}

proptest! {
    /// Ignored sorts, records without a date, rounded dates, refused cursors and interrupted runs: all records arrive,
    /// or a shortfall is reported, or the run fails.
    #[test]
    fn odd_list_is_read_whole_or_its_shortfall_is_known(
        dates in prop::collection::vec(prop::option::weighted(0.97, 0_i64..4000), 1..80),
        rounding in prop::sample::select(vec![1_i64, 1, 100, 1000]),
        (newest_first, undated_last, by_cursor, with_total) in any::<(bool, bool, bool, bool)>(),
        interruptions in prop::collection::vec((1_u32..60, any::<bool>()), 0..6),
        limit in 1_usize..30,
    ) {
        let records: Vec<_> = dates.iter().enumerate().map(|(id, created)| (id as u32, *created)).collect();
        let has_undated = records.iter().any(|(_, created)| created.is_none());
        let list = OddList { records, rounding, newest_first, undated_last, by_cursor, with_total };
        let result = list.read(limit, |request| {
            match interruptions.iter().find(|(at, _)| *at == request) {
                Some((_, true)) => Interruption::Run,
                Some((_, false)) => Interruption::Cursor,
                None => Interruption::None,
            }
        });
        if let Ok((ids, shortfall)) = result {
            let missing = list.missing(&ids);
            // Without a total, records without a date that a filter leaves out are not noticed.
            let is_hopeless = has_undated && !with_total;
            let is_known = missing.is_empty() || shortfall > 0 || is_hopeless;
            prop_assert!(is_known, "{missing:?} are missing, shortfall {shortfall}");
            prop_assert!(!with_total || missing.len() as u64 <= shortfall, "{missing:?}, shortfall {shortfall}");
            // Records that came before an interruption, and not again after it, are counted as missing.
            let is_exact = with_total && interruptions.is_empty();
            prop_assert!(!is_exact || missing.len() as u64 == shortfall, "{missing:?}, shortfall {shortfall}");
        }
    }
}

#[test]
fn resumed_list_with_a_refused_cursor_is_checked() {
    let records = (0..31)
        .map(|id| {
            (
                id,
                if id == 19 {
                    None
                } else {
                    Some(if id < 2 {
                        0
                    } else if id < 29 {
                        1
                    } else {
                        2
                    })
                },
            )
        })
        .collect();
    let list =
        OddList { records, rounding: 1, newest_first: false, undated_last: true, by_cursor: true, with_total: true };
    let (ids, shortfall) = list
        .read(3, |request| match request {
            1 => Interruption::Run,
            10 => Interruption::Cursor,
            _ => Interruption::None,
        })
        .unwrap();
    assert_eq!((list.missing(&ids), shortfall), (vec![], 0));
}
