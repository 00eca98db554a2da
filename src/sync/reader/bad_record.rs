//! Searches the creation date of a record that Wix cannot deliver, in a list by cursor.

use chrono::{DateTime, Utc};

use super::narrowing::MAX_SKIPPED;
use super::source::{FAR_MS, Source, at};
use crate::sync::pagination::Pagination;
use crate::wix::WixError;

/// First step of the search, in milliseconds. Each step is twice as long.
const FIRST_STEP_MS: i64 = 1_000;

/// Returns the creation date of the next record, which cannot be read, and the millisecond after it; `None` if it is
/// not found. Another request checks that no unread record is before it, since several bad records or a lost response
/// can mislead the search.
pub(super) async fn find_bad_date(
    source: &Source<'_>,
    pagination: &Pagination,
) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>, WixError> {
    let latest = pagination.latest().map(|date| date.timestamp_millis());
    if pagination.is_latest_seen() && !pagination.is_in_order() {
        // Only one date came. It is the first of the list if no record is before it.
        let from = pagination.start().map(|start| start.timestamp_millis());
        if from != latest && !source.is_empty(from, latest).await? {
            return Ok(None);
        }
    }
    let first = latest.map(|latest| latest + i64::from(pagination.is_latest_seen()));
    let start = first.unwrap_or(0);
    if source.is_readable(start, None).await? {
        // The record has the latest date.
        return Ok(Some((at(start - 1), at(start))));
    }
    let mut until = None;
    for _ in 0..=MAX_SKIPPED {
        let bad = last_unreadable(source, start, until).await?;
        if bad == start || source.is_empty(first, Some(bad)).await? {
            return Ok(Some((at(bad), at(bad + 1))));
        }
        until = Some(bad);
    }
    Ok(None)
}

/// The last millisecond from which the first record cannot be read. The steps grow, and then halve.
async fn last_unreadable(source: &Source<'_>, start: i64, until: Option<i64>) -> Result<i64, WixError> {
    let (mut bad, mut step) = (start, FIRST_STEP_MS);
    let end = until.unwrap_or(FAR_MS);
    let mut good = loop {
        let next = bad.saturating_add(step).min(end);
        if next == end || source.is_readable(next, until).await? {
            break next;
        }
        (bad, step) = (next, step.saturating_mul(2));
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        match source.is_readable(middle, until).await? {
            true => good = middle,
            false => bad = middle,
        }
    }
    Ok(bad)
}
