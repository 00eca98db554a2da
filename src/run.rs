//! The result of a run: shown at its end, and stored in `sync_logs`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::table::Table;
use crate::table::row::Row;

/// Maximum number of rejected records that `sync_logs.results` lists per table; all are in `sync_errors`.
const MAX_ERROR_DETAILS: usize = 100;

/// The status of a run or of a table's pass, in the words of `sync_logs.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Running, or ended without recording it.
    Running,
    /// Reached the end of every list.
    Completed,
    Failed,
}

impl Status {
    /// The text in `sync_logs.status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
        }
    }
}

/// The kind of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PassKind {
    /// Everything.
    Full,
    /// What Wix changed since the last complete sync. Checkpoints of earlier versions say `changes`.
    #[serde(alias = "changes")]
    Incremental,
    /// Appointments that start in a given range of time.
    Range,
    /// Only rejected records. Earlier versions wrote `errors`.
    #[serde(alias = "errors")]
    Retry,
    /// Only the differences that a comparison found.
    Repair,
}

impl PassKind {
    /// The text in `sync_logs.results`.
    pub fn as_str(self) -> &'static str {
        match self {
            PassKind::Full => "full",
            PassKind::Incremental => "incremental",
            PassKind::Range => "range",
            PassKind::Retry => "retry",
            PassKind::Repair => "repair",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// Number of inserted, updated and unchanged records.
    pub synced: u64,
    pub inserted: u64,
    pub updated: u64,
    /// Rows that already had the record's content and were not written.
    pub unchanged: u64,
    /// Rows marked as deleted.
    pub deleted: u64,
    /// Rejected records, which are in `sync_errors`.
    pub errors: u64,
}

/// Number of records with an unreadable field, by column. It contains no values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnreadableFields(BTreeMap<&'static str, u64>);

impl UnreadableFields {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add<'a>(&mut self, rows: impl IntoIterator<Item = &'a Row>) {
        for column in rows.into_iter().flat_map(|row| &row.unreadable_fields) {
            *self.0.entry(column).or_default() += 1;
        }
    }

    /// Sorted by column.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(column, count)| (*column, *count))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorDetail {
    pub wix_id: Option<String>,
    /// It names fields, but no values.
    pub reason: String,
}

/// The result of one pass: an entry of `sync_logs.results`.
#[derive(Clone, Debug, Serialize)]
pub struct TableSummary {
    #[serde(skip)]
    pub table: &'static Table,
    pub status: Status,
    #[serde(rename = "kind")]
    pub pass: PassKind,
    /// True if it resumed a pass of an earlier run.
    #[serde(skip_serializing_if = "is_false")]
    pub resumed: bool,
    #[serde(flatten)]
    pub counts: RecordCounts,
    /// The first rejected records, at most [`MAX_ERROR_DETAILS`].
    pub error_details: Vec<ErrorDetail>,
    /// Columns that are null in some of the records because Wix's value could not be read.
    #[serde(skip_serializing_if = "UnreadableFields::is_empty")]
    pub unreadable_fields: UnreadableFields,
    /// Number of requests to Wix, including retries.
    pub requests: u64,
    pub retries: u64,
    /// Number of characters removed or replaced because Postgres cannot store them.
    pub repaired_characters: u64,
    pub duration_ms: u64,
    /// Sentences for the operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// True if something other than a rejected record was left out: the run is not a full success.
    #[serde(skip_serializing_if = "is_false")]
    pub incomplete: bool,
    /// What was left out, as sentences, except the records that this pass rejected.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
    /// True if something was left out that earlier runs did not leave out.
    #[serde(skip)]
    pub has_news: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something that a pass left out.
#[derive(Clone, Debug)]
pub struct LeftOut {
    pub text: String,
    /// True for rejected records, which are reported one by one when they are new.
    pub is_rejected: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl RecordCounts {
    pub fn add(&mut self, inserted: u64, updated: u64, unchanged: u64) {
        self.inserted += inserted;
        self.updated += updated;
        self.unchanged += unchanged;
        self.synced = self.inserted + self.updated + self.unchanged;
    }
}

impl TableSummary {
    pub fn new(table: &'static Table, pass: PassKind) -> TableSummary {
        TableSummary {
            table,
            status: Status::Running,
            pass,
            resumed: false,
            counts: RecordCounts::default(),
            error_details: Vec::new(),
            unreadable_fields: UnreadableFields::default(),
            requests: 0,
            retries: 0,
            repaired_characters: 0,
            duration_ms: 0,
            notices: Vec::new(),
            incomplete: false,
            left_out: Vec::new(),
            has_news: false,
            error: None,
        }
    }

    /// Counts a rejected record. A record that is already listed is not counted again.
    pub fn add_error(&mut self, wix_id: Option<String>, reason: String) {
        let mut listed = self.error_details.iter_mut();
        if wix_id.is_some()
            && let Some(detail) = listed.find(|detail| detail.wix_id == wix_id)
        {
            detail.reason = reason;
            return;
        }
        self.counts.errors += 1;
        if self.error_details.len() < MAX_ERROR_DETAILS {
            self.error_details.push(ErrorDetail { wix_id, reason });
        }
    }

    /// True if every record is in the table and no copy is blocked.
    pub fn is_complete(&self) -> bool {
        self.status == Status::Completed && self.counts.errors == 0 && !self.incomplete
    }
}

#[derive(Clone, Debug)]
pub struct RunSummary {
    pub run_id: Uuid,
    /// The tables, separated by commas, or `all`.
    pub sync_type: String,
    /// Completed only if all passes are.
    pub status: Status,
    /// By the database server's clock.
    pub started_at: DateTime<Utc>,
    pub duration_ms: u64,
    /// One entry per started table, in order.
    pub tables: Vec<TableSummary>,
    pub error: Option<String>,
}

impl RunSummary {
    pub fn synced_count(&self) -> u64 {
        self.tables.iter().map(|summary| summary.counts.synced).sum()
    }

    pub fn error_count(&self) -> u64 {
        self.tables.iter().map(|summary| summary.counts.errors).sum()
    }

    /// `sync_logs.results`: an object with one field per table.
    pub fn results(&self) -> serde_json::Value {
        self.tables.iter().map(|summary| (summary.table.name.to_owned(), serde_json::json!(summary))).collect()
    }
}
