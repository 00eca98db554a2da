//! Checks by the dates of the records whether Wix applies the requested filters.

use chrono::{DateTime, TimeDelta, Utc};

use crate::table::Table;
use crate::table::row::RecordMark;
use crate::table::timestamp;

/// Maximum difference between a date and the filter's date: Wix may show dates rounded to whole seconds.
pub(super) const ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// Returns a warning if a record of an incremental sync did not change since the requested time. The records are still
/// written.
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
