//! Whether Wix applies the requested filters: the dates of the records that come tell.

use chrono::{DateTime, TimeDelta, Utc};

use crate::table::Table;
use crate::table::row::RecordMark;
use crate::table::timestamp;

/// How far a date can be from the filter's: Wix may show dates that are rounded to whole seconds.
pub(super) const ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// A warning if a record of an incremental sync did not change since the requested time. The records are written
/// anyway.
pub(super) fn describe_ignored_filter(
    table: &'static Table,
    since: DateTime<Utc>,
    marks: &[RecordMark],
) -> Option<String> {
    let is_older = |mark: &RecordMark| mark.version.updated_at.is_some_and(|at| at < since - ROUNDING);
    marks.iter().any(is_older).then(|| {
        format!(
            "Wix's list of {table} ignores the filter by updatedDate: records came that did not change since {}. All records \
             that it returns are read, which takes longer",
            timestamp::render(since)
        )
    })
}
