//! Whether Wix applies the requested filters: what it returns tells.

use chrono::TimeDelta;

use super::reader::Reader;
use crate::table::row::RecordMark;
use crate::table::timestamp;

/// How far a date can be from the filter's: Wix may show dates that are rounded to whole seconds.
const ROUNDING: TimeDelta = TimeDelta::seconds(1);

impl Reader<'_> {
    /// A warning if a record of an incremental sync did not change since the requested time. The records are written
    /// anyway.
    pub(super) fn ignored_filter(&self, marks: &[RecordMark]) -> Option<String> {
        let since = self.reading.start.since?;
        let is_older = |mark: &RecordMark| mark.version.updated_at.is_some_and(|at| at < since - ROUNDING);
        marks.iter().any(is_older).then(|| {
            format!(
                "Wix's list of {} ignores the filter by updatedDate: records came that did not change since {}. All records \
                 that it returns are read, which takes longer",
                self.reading.table,
                timestamp::render(since)
            )
        })
    }

    /// Whether records came that are not in the current window by date. The list is then read without windows, since
    /// each of them would return all of it.
    pub(super) fn leaves_window(&mut self, marks: &[RecordMark]) -> bool {
        let mut dates = marks.iter().filter_map(|mark| mark.wix_created_at);
        dates.any(|date| self.is_outside_window(date, ROUNDING)) && self.give_up_windows()
    }
}
