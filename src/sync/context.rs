//! What a run is asked to do, what it works with, and why it fails. The other files of this folder import this one; it
//! imports only the rules below them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::pagination::PaginationError;
use super::plan::FullPolicy;
use crate::checkpoint::Checkpoint;
use crate::diff::TableDiff;
use crate::installation::WrongInstallation;
use crate::progress::Tracker;
use crate::run::{PassKind, TableSummary};
use crate::stop::{Stop, StopReason, Stopper};
use crate::store::{Store, StoreError};
use crate::table::Table;
use crate::wix::query::Until;
use crate::wix::{RequestCounter, Selection, WixClient, WixError};

/// What a run works with.
pub struct Run<'a> {
    pub run_id: Uuid,
    pub plan: &'a Plan,
    pub wix: &'a WixClient,
    pub stop: &'a Stop,
    /// For the heartbeat, which stops a run that lost its lease.
    pub stopper: &'a Stopper,
    pub reporter: &'a Arc<Tracker>,
}

/// A run does nothing that its plan does not allow.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The tables, separated by commas, or `all`, as in `sync_logs.sync_type`.
    pub sync_type: String,
    pub tables: Vec<&'static Table>,
    pub work: Work,
    /// Rows per transaction, at least 1.
    pub batch_size: usize,
    /// Whether rows that Wix no longer lists may be deleted, however many they are.
    pub allow_mass_delete: bool,
    /// Whether rows may lose a part of their records, however many they are.
    pub allow_mass_changes: bool,
    /// How long ended runs stay in `sync_logs`; forever if `None`.
    pub keep_logs: Option<TimeDelta>,
}

/// What a run is asked to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Lists what Wix has: everything, or what changed. Of a table with a date to choose by, only records in `range`.
    Sync { full: FullPolicy, range: Option<Range> },
    /// Lists nothing: looks up the records in `sync_errors` again, all of them.
    Errors,
    /// Lists nothing: fixes the differences that a comparison found.
    Repair {
        found: Vec<TableDiff>,
        /// Tables that could not be compared: their part of the run has failed.
        uncompared: Vec<Uncompared>,
    },
}

/// A table that could not be compared.
#[derive(Clone, Debug)]
pub struct Uncompared {
    pub table: &'static Table,
    pub reason: String,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<Until>,
}

impl Plan {
    /// When everything is read. Work that lists nothing never does so.
    pub(super) fn full_policy(&self) -> FullPolicy {
        match self.work {
            Work::Sync { full, .. } => full,
            Work::Errors | Work::Repair { .. } => FullPolicy { now: false, every: None, check_every: None },
        }
    }

    /// The range of time to read of a table.
    fn range_of(&self, table: &'static Table) -> Option<(&'static str, Range)> {
        match self.work {
            Work::Sync { range, .. } => table.range_field.zip(range),
            Work::Errors | Work::Repair { .. } => None,
        }
    }

    /// How a table is read, as far as that does not depend on earlier passes.
    pub(super) fn pass_kind(&self, table: &'static Table) -> PassKind {
        match self.work {
            Work::Errors => PassKind::Retry,
            Work::Repair { .. } => PassKind::Repair,
            Work::Sync { .. } if self.range_of(table).is_some() => PassKind::Range,
            Work::Sync { .. } => PassKind::Full,
        }
    }

    /// What to ask Wix for. No upper bound: a record that changes while the list is read would leave the window and
    /// shift the rest (wix-api.md 10).
    pub(super) fn selection(&self, table: &'static Table, checkpoint: &Checkpoint) -> Selection {
        match self.range_of(table) {
            Some((field, range)) => Selection::between(field, range.from, range.until),
            None => Selection::between("updatedDate", checkpoint.since, None),
        }
    }

    /// What to fix in a table, if that is the work.
    pub(super) fn differences(&self, table: &'static Table) -> Option<&TableDiff> {
        match &self.work {
            Work::Repair { found, .. } => found.iter().find(|comparison| comparison.table == table),
            Work::Sync { .. } | Work::Errors => None,
        }
    }

    pub(super) fn uncompared(&self) -> &[Uncompared] {
        match &self.work {
            Work::Repair { uncompared, .. } => uncompared,
            Work::Sync { .. } | Work::Errors => &[],
        }
    }
}

/// Why a pass, or the whole run, failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Wix's side.
    #[error(transparent)]
    Wix(#[from] WixError),
    /// Postgres's side.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Wix's answers do not prove that the list is whole.
    #[error(transparent)]
    Pagination(#[from] PaginationError),
    /// The credentials read another site.
    #[error(transparent)]
    WrongInstallation(#[from] Box<WrongInstallation>),
    /// The table could not be compared before the run, so nothing of it was repaired.
    #[error("{}", .0.reason)]
    NotCompared(Uncompared),
    /// The database did not do within this time what comes before a run.
    #[error("the database did not respond within {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// The run was asked to stop.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// The run was asked to stop and given up, because the database did not answer.
    #[error("{}", describe_overdue(*.0))]
    Overdue(StopReason),
}

fn describe_overdue(reason: StopReason) -> String {
    match reason {
        StopReason::DatabaseSilent => reason.to_string(),
        _ => format!("{reason} while it waited for the database"),
    }
}

impl SyncError {
    /// One line on what to do, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            SyncError::Wix(error) => error.hint(),
            SyncError::Store(error) => error.hint(),
            SyncError::Pagination(_) => Some(
                "the next sync continues at the last checkpoint, or from the start if there is none; changes arrive \
                 meanwhile, and --full starts over"
                    .to_owned(),
            ),
            SyncError::WrongInstallation(error) => Some(error.hint()),
            SyncError::NotCompared(uncompared) => uncompared.hint.clone(),
            SyncError::NoAnswer(_) => None,
            SyncError::Stopped(_) => Some("the next run continues from there".to_owned()),
            SyncError::Overdue(_) => {
                Some("`wix-sync doctor` shows whether the database responds, and which session holds a lock".to_owned())
            }
        }
    }

    /// The reason, if it was a stop that ended the run.
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self {
            SyncError::Stopped(reason)
            | SyncError::Overdue(reason)
            | SyncError::Wix(WixError::Stopped(reason))
            | SyncError::Store(StoreError::Stopped(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// True if other pages of the same list can probably be read.
    pub(super) fn is_about_some_pages(&self) -> bool {
        matches!(
            self,
            SyncError::Pagination(_)
                | SyncError::Wix(
                    WixError::Unavailable { .. }
                        | WixError::Refused { .. }
                        | WixError::CursorRefused { .. }
                        | WixError::TooLarge { .. }
                )
        )
    }

    /// True if the other tables would fail in the same way: the run ends here. A 401 of one listing may be a permission
    /// that only this one lacks.
    pub fn ends_the_run(&self) -> bool {
        match self {
            SyncError::Wix(
                WixError::Credentials { permission: None, .. }
                | WixError::Throttled { .. }
                | WixError::Certificate { .. }
                | WixError::Stopped(_),
            ) => true,
            SyncError::Wix(_) | SyncError::Pagination(_) | SyncError::NotCompared(_) => false,
            SyncError::Store(error) => error.is_about_all_tables(),
            SyncError::WrongInstallation(_)
            | SyncError::NoAnswer(_)
            | SyncError::Stopped(_)
            | SyncError::Overdue(_) => true,
        }
    }
}

/// One table's part of a run: what all work on it needs.
pub struct Pass<'a> {
    pub run: &'a Run<'a>,
    pub table: &'static Table,
    pub store: &'a mut Store,
    pub counter: &'a RequestCounter,
    pub summary: &'a mut TableSummary,
}
