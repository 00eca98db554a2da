//! Warnings of a run.

use super::context::{Pass, Run};
use crate::event::{Event, Reporter};
use crate::number::grouped;
use crate::run::{LeftOut, TableSummary};
use crate::table::Table;
use crate::wix::WixError;

/// The warning that an incremental sync cannot know what changed.
pub(super) const FROM_THE_FUTURE: &str = "by Wix's clock, the time up to which changes were read is in the future: \
    a response had a wrong date, so a full sync follows";

/// Shows a warning and adds it to the run's record.
pub(super) fn warn(run: &Run<'_>, summary: &mut TableSummary, text: String) {
    run.reporter.report(Event::Notice { table: Some(summary.table), text: &text });
    summary.notices.push(text);
}

/// Like [`warn`], for something that was not done: the run is then no full success.
pub(super) fn warn_incomplete(run: &Run<'_>, summary: &mut TableSummary, text: String) {
    summary.incomplete = true;
    summary.left_out.push(LeftOut { text: text.clone(), is_rejected: false });
    warn(run, summary, text);
}

impl Pass<'_> {
    pub(super) fn warn(&mut self, text: String) {
        warn(self.run, self.summary, text);
    }

    pub(super) fn warn_incomplete(&mut self, text: String) {
        warn_incomplete(self.run, self.summary, text);
    }

    /// Like [`Pass::warn_incomplete`], about rejected records.
    pub(super) fn warn_rejected(&mut self, text: String) {
        self.summary.incomplete = true;
        self.summary.left_out.push(LeftOut { text: text.clone(), is_rejected: true });
        self.warn(text);
    }
}

/// The warning that the Wix app is no longer installed although the table has rows.
pub(super) fn describe_missing_app(error: &WixError) -> String {
    format!("{error}; the rows of the time when it was installed stay in the table")
}

/// The warning that Wix's list is empty although the table has rows.
pub(super) fn describe_empty_listing(table: &'static Table) -> String {
    format!("Wix returned no {table}, but the table has rows: nothing was deleted")
}

/// The warning that fewer records came than Wix announced.
pub(super) fn describe_shortfall(table: &'static Table, shortfall: u64) -> String {
    let shortfall = grouped(shortfall);
    format!("Wix announced {shortfall} more {table} than it returned, also when requested again: they may be missing")
}

/// The warning that more records came than can be remembered.
pub(super) fn describe_overfull(table: &'static Table) -> String {
    format!(
        "more than 450,000 {table} came without an order, or with one creation date: all of them were read, \
         but it is not known whether Wix left some out, and deletions are not detected"
    )
}
