//! The input of a run, its resources, and its errors. The other files of this folder import this one.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::pagination::PaginationError;
use super::plan::FullPolicy;
use super::range::Range;
use crate::checkpoint::Checkpoint;
use crate::diff::TableDiff;
use crate::installation::WrongInstallation;
use crate::progress::Tracker;
use crate::run::{PassKind, TableSummary};
use crate::stop::{Stop, StopReason, Stopper};
use crate::store::{Store, StoreError};
use crate::table::Table;
use crate::wix::{RequestCounter, Selection, WixClient, WixError};

/// The resources of a run.
pub struct Run<'a> {
    pub run_id: Uuid,
    pub plan: &'a Plan,
    pub wix: &'a WixClient,
    pub stop: &'a Stop,
    /// For the heartbeat, which stops a run that lost its lease.
    pub stopper: &'a Stopper,
    pub reporter: &'a Arc<Tracker>,
}

/// What a run may do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The tables, separated by commas, or `all`, as in `sync_logs.sync_type`.
    pub sync_type: String,
    pub tables: Vec<&'static Table>,
    pub work: Work,
    /// Rows per transaction, at least 1.
    pub batch_size: usize,
    /// Whether the safety limit for deletions is off.
    pub allow_mass_delete: bool,
    /// Whether the safety limit for records that lose a part is off.
    pub allow_mass_changes: bool,
    /// How long finished runs stay in `sync_logs`; forever if `None`.
    pub keep_logs: Option<TimeDelta>,
}

/// The kind of work of a run.
#[derive(Clone, Debug)]
pub enum Work {
    /// Reads Wix's lists, all or only what changed. Of a table with a date to select by, only records in `range`.
    Sync { full: FullPolicy, range: Option<Range> },
    /// Looks up all records in `sync_errors` again. Reads no list.
    Errors,
    /// Fixes the differences that a comparison found. Reads no list.
    Repair {
        found: Vec<TableDiff>,
        /// Tables that could not be compared. They count as failed in this run.
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

impl Plan {
    /// A plan with all safety limits on, which deletes no old runs from `sync_logs`.
    pub fn new(sync_type: String, tables: Vec<&'static Table>, work: Work, batch_size: usize) -> Plan {
        Plan {
            sync_type,
            tables,
            work,
            batch_size,
            allow_mass_delete: false,
            allow_mass_changes: false,
            keep_logs: None,
        }
    }

    /// When to start full syncs. Never for work that reads no list.
    pub(super) fn full_policy(&self) -> FullPolicy {
        match self.work {
            Work::Sync { full, .. } => full,
            Work::Errors | Work::Repair { .. } => FullPolicy { now: false, every: None, check_every: None },
        }
    }

    /// The time range of a table.
    fn range_of(&self, table: &'static Table) -> Option<(&'static str, Range)> {
        match self.work {
            Work::Sync { range, .. } => table.range_field.zip(range),
            Work::Errors | Work::Repair { .. } => None,
        }
    }

    /// The kind of pass of a table, as far as it does not depend on earlier passes.
    pub(super) fn pass_kind(&self, table: &'static Table) -> PassKind {
        match self.work {
            Work::Errors => PassKind::Retry,
            Work::Repair { .. } => PassKind::Repair,
            Work::Sync { .. } if self.range_of(table).is_some() => PassKind::Range,
            Work::Sync { .. } => PassKind::Full,
        }
    }

    /// The filter for Wix. It has no upper bound: a record that changes while the list is read would leave the filtered
    /// list and shift the rest (wix-api.md 10).
    pub(super) fn selection(&self, table: &'static Table, checkpoint: &Checkpoint) -> Selection {
        match self.range_of(table) {
            Some((field, range)) => Selection::between(field, range.from, range.until),
            None => Selection::between("updatedDate", checkpoint.since, None),
        }
    }

    /// The differences to fix in a table, if this is a repair.
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
    /// Wix.
    #[error(transparent)]
    Wix(#[from] WixError),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Wix's responses do not prove that the list is complete.
    #[error(transparent)]
    Pagination(#[from] PaginationError),
    /// The credentials belong to another site.
    #[error(transparent)]
    WrongInstallation(#[from] Box<WrongInstallation>),
    /// The table could not be compared before the run, so nothing was repaired.
    #[error("{}", .0.reason)]
    NotCompared(Uncompared),
    /// The database did not do the work before a run within this time.
    #[error("the database did not respond within {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// A stop was requested.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// A stop was requested, and the work was cancelled because the database did not respond.
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
    /// What to do, in one line, if there is something to do.
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

    /// The reason if a stop ended the run.
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

    /// True if the other tables would fail for the same reason, so the run ends. A 401 of one list may be a permission
    /// that only this list needs.
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

/// One table's part of a run.
pub struct Pass<'a> {
    pub run: &'a Run<'a>,
    pub table: &'static Table,
    pub store: &'a mut Store,
    pub counter: &'a RequestCounter,
    pub summary: &'a mut TableSummary,
}
