//! A run: the passes of its tables, and the record of it in `sync_logs`.
//!
//! Prints nothing: it reports events. It does nothing that [`Plan`] does not allow.

mod announced;
mod batch;
mod by_date;
mod by_id;
pub mod compare;
mod coverage;
mod dead_letters;
mod deletions;
mod drift;
mod filters;
mod linking;
mod lookup;
mod losses;
mod narrow;
mod page_size;
mod placeholders;
pub mod plan;
mod prefetch;
mod reader;
mod repair;
mod room;
mod statuses;
mod stream_sync;
mod walk;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use uuid::Uuid;

use self::linking::link_contacts;
use crate::store::retry::LAST_PATIENCE;

use self::plan::FullPolicy;
use crate::checkpoint::Checkpoint;
use crate::comparison::Comparison;
use crate::event::{Event, Reporter};
use crate::run::{PassKind, RunSummary, Status, TableSummary};
use crate::stop::{Stop, StopReason};
use crate::store::{Store, StoreError};
use crate::table::Table;
use crate::wix::query::Until;
use crate::wix::{Selection, WixClient, WixError};

#[derive(Clone, Debug)]
pub struct Plan {
    /// A table's name, or `all`, as in `sync_logs.sync_type`.
    pub sync_type: &'static str,
    pub tables: Vec<&'static Table>,
    /// Rows per transaction, at least 1.
    pub batch_size: usize,
    /// Only appointments that start in this range.
    pub range: Option<Range>,
    /// Whether to read everything.
    pub full: FullPolicy,
    /// Whether rows that Wix no longer lists may be deleted, however many they are.
    pub allow_mass_delete: bool,
    /// Whether rows may lose a part of their records, however many they are.
    pub allow_mass_changes: bool,
    /// Nothing is listed: only the records in `sync_errors` are tried again, all of them.
    pub only_errors: bool,
    /// Nothing is listed: only these differences are fixed.
    pub repairs: Vec<Comparison>,
    /// Tables that are not repaired because they could not be compared: their part of the run has failed.
    pub uncompared: Vec<Uncompared>,
    /// How long ended runs stay in `sync_logs`; forever if `None`.
    pub keep_logs: Option<TimeDelta>,
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
    /// How a table is read, as far as that does not depend on earlier passes.
    fn pass_kind(&self, table: &'static Table) -> PassKind {
        match self.range {
            _ if self.only_errors => PassKind::Errors,
            _ if !self.repairs.is_empty() => PassKind::Repair,
            Some(_) if table.range_field.is_some() => PassKind::Range,
            _ => PassKind::Full,
        }
    }

    /// What to ask Wix for. No upper bound: a record that changes while the list is read would leave the window and
    /// shift the rest (wix-api.md 10).
    fn selection(&self, table: &'static Table, checkpoint: &Checkpoint) -> Selection {
        match (self.range, table.range_field) {
            (Some(range), Some(field)) => Selection::between(field, range.from, range.until),
            _ => Selection::between("updatedDate", checkpoint.since, None),
        }
    }
}

/// What a run works with.
pub struct Run<'a> {
    pub plan: &'a Plan,
    pub wix: &'a WixClient,
    /// Tells when the run is asked to stop.
    pub stop: &'a Stop,
    pub reporter: &'a Arc<dyn Reporter>,
    pub run_id: Uuid,
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
    Walk(#[from] walk::WalkError),
    /// The table could not be compared before the run, so nothing of it was repaired.
    #[error("{}", .0.reason)]
    NotCompared(Uncompared),
    /// The run was asked to stop.
    #[error(transparent)]
    Stopped(#[from] StopReason),
}

impl SyncError {
    /// One line on what to do, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            SyncError::Wix(error) => error.hint(),
            SyncError::Store(error) => error.hint(),
            SyncError::Walk(_) => Some(
                "the next sync continues at the last checkpoint, or from the start if there is none; changes arrive \
                 meanwhile, and --full starts over"
                    .to_owned(),
            ),
            SyncError::NotCompared(uncompared) => uncompared.hint.clone(),
            SyncError::Stopped(_) => Some("the next run continues from there".to_owned()),
        }
    }

    /// The reason, if it was a stop that ended the run.
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self {
            SyncError::Stopped(reason)
            | SyncError::Wix(WixError::Stopped(reason))
            | SyncError::Store(StoreError::Stopped(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// True if other pages of the same list can probably be read.
    fn is_about_some_pages(&self) -> bool {
        matches!(
            self,
            SyncError::Walk(_)
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
            SyncError::Wix(_) | SyncError::Walk(_) | SyncError::NotCompared(_) => false,
            SyncError::Store(error) => error.is_about_all_tables(),
            SyncError::Stopped(_) => true,
        }
    }
}

#[derive(Debug)]
pub struct RunOutcome {
    pub summary: RunSummary,
    pub error: Option<SyncError>,
}

impl Run<'_> {
    /// Does the run and records its end. If Wix refuses one table, the others are still synced.
    ///
    /// # Errors
    ///
    /// Only if the start or the end of the run could not be recorded.
    pub async fn execute(&self, store: &mut Store) -> Result<RunOutcome, SyncError> {
        store.end_with(self.stop);
        let (started_at, clock) = (store.now(), Instant::now());
        let (run_id, sync_type) = (self.run_id, self.plan.sync_type);
        let begin = async |store: &mut Store| store.begin_run(run_id, sync_type, started_at).await;
        let stale_count = store.retry(begin).await.inspect_err(|error| {
            if matches!(error, StoreError::Stopped(_)) {
                self.warn("the run could not be recorded in sync_logs: it was stopped before");
            }
        })?;
        self.reporter.report(Event::RunStarted { run_id });
        if stale_count > 0 {
            let text = format!("{stale_count} earlier run(s) ended without recording it; they are failed now");
            self.warn(&text);
        }
        let mut ended: Vec<(TableSummary, Option<SyncError>)> =
            self.plan.uncompared.iter().map(|uncompared| self.fail_uncompared(uncompared)).collect();
        for tables in side_by_side(&self.plan.tables) {
            if ended.iter().any(|(_, error)| error.as_ref().is_some_and(SyncError::ends_the_run)) {
                break;
            }
            ended.extend(self.sync_tables(store, &tables).await);
        }
        let (mut tables, errors): (Vec<TableSummary>, Vec<Option<SyncError>>) = ended.into_iter().unzip();
        let mut errors: Vec<SyncError> = errors.into_iter().flatten().collect();
        let mut has_old_logs = false;
        if !errors.iter().any(SyncError::ends_the_run) {
            match self.look_at_end(store, &mut tables).await {
                Ok((has_old, error)) => {
                    has_old_logs = has_old;
                    errors.extend(error);
                }
                Err(error) => errors.push(error),
            }
        }
        // A stop comes first for the caller: it decides the exit code.
        errors.sort_by_key(|error| error.stop_reason().is_none());
        let first_error = errors.into_iter().next();
        let summary = RunSummary {
            run_id: self.run_id,
            sync_type: self.plan.sync_type,
            status: if first_error.is_none() { Status::Completed } else { Status::Failed },
            started_at,
            duration_ms: elapsed_ms(clock),
            error: describe_failures(&tables).or_else(|| first_error.as_ref().map(ToString::to_string)),
            tables,
        };
        match (self.record_end(store, &summary).await, &first_error) {
            (Ok(()), _) => {}
            (Err(error), first_error) => {
                let stopped = self.stop.requested().map(SyncError::from);
                if first_error.is_none() && stopped.is_none() {
                    return Err(error);
                }
                // The caller gets the error that made the run fail; a broken connection breaks this too.
                let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                self.warn(&format!("the end of the run could not be recorded in sync_logs: {error}{hint}"));
                if first_error.is_none() {
                    return Err(stopped.unwrap_or(error));
                }
            }
        }
        if first_error.is_none() && has_old_logs {
            self.trim_logs(store).await;
        }
        self.reporter.report(Event::RunFinished { summary: &summary });
        Ok(RunOutcome { summary, error: first_error })
    }

    /// Through a new connection if the old one is gone, even after a stop was asked for: the end of the run must not
    /// get lost. Then it has little time.
    async fn record_end(&self, store: &mut Store, summary: &RunSummary) -> Result<(), SyncError> {
        let now = store.now();
        if self.stop.requested().is_none() {
            match store.retry(async |store| store.finish_run(summary, now).await).await {
                Err(StoreError::Stopped(_)) => {}
                other => return Ok(other?),
            }
        }
        store.hurry();
        let record = async {
            match store.finish_run(summary, now).await {
                Err(error) if error.is_connection_lost() => {
                    store.reconnect().await?;
                    store.finish_run(summary, now).await
                }
                other => other,
            }
        };
        match timeout(LAST_PATIENCE, record).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(store.name_blocker(error).await.into()),
            Err(_) => Err(StoreError::Silent {
                doing: "could not record the end of the run in sync_logs",
                seconds: LAST_PATIENCE.as_secs(),
            }
            .into()),
        }
    }

    fn warn(&self, text: &str) {
        self.reporter.report(Event::Notice { table: None, text });
    }

    /// Runs that ended before this time are removed from the log.
    fn logs_before(&self, store: &Store) -> Option<DateTime<Utc>> {
        self.plan.keep_logs.and_then(|keep| store.now().checked_sub_signed(keep))
    }

    /// Deletes old rows of the log. If that fails, the run has not failed.
    async fn trim_logs(&self, store: &mut Store) {
        let Some(before) = self.logs_before(store) else { return };
        if let Err(error) = store.trim_logs(before).await {
            self.reporter.report(Event::Notice { table: None, text: &error.to_string() });
        }
    }

    /// Syncs tables that do not need each other, at the same time if a second connection can be opened.
    async fn sync_tables(
        &self,
        store: &mut Store,
        tables: &[&'static Table],
    ) -> Vec<(TableSummary, Option<SyncError>)> {
        let mut sibling = None;
        if tables.len() == 2 {
            sibling = store
                .sibling()
                .await
                .inspect_err(|error| {
                    tracing::debug!(error = error.to_string(), "no second connection: one table after the other");
                })
                .ok();
        }
        let ended = match (tables, sibling) {
            (&[first, second], Some(mut sibling)) => {
                let both = async { tokio::join!(self.sync_table(store, first), self.sync_table(&mut sibling, second)) };
                let ended = <[_; 2]>::from(both.await).into();
                store.adopt_books(&sibling);
                ended
            }
            _ => {
                let mut ended = Vec::new();
                for table in tables {
                    ended.push(self.sync_table(store, table).await);
                }
                ended
            }
        };
        for (summary, _) in &ended {
            self.reporter.report(Event::TableFinished { summary });
        }
        ended
    }

    /// What is left to do once all tables are synced: links of orders, and a last check of the books. A table that does
    /// not hold what they say was truncated or restored during the run, maybe after its own sync had ended. The first
    /// value tells whether old logs may be removed.
    async fn look_at_end(
        &self,
        store: &mut Store,
        tables: &mut [TableSummary],
    ) -> Result<(bool, Option<SyncError>), SyncError> {
        let synced: Vec<&'static Table> = tables
            .iter()
            .filter(|summary| summary.status == Status::Completed)
            .filter(|summary| matches!(summary.pass, PassKind::Full | PassKind::Changes))
            .map(|summary| summary.table)
            .collect();
        let before = self.logs_before(store);
        let end = store.retry(async |store| store.look_at_end(&synced, before).await).await?;
        if end.has_unlinked {
            link_contacts(self, store, tables).await.inspect_err(|error| {
                let text = format!("links to customers are left to the next run: {error}");
                self.reporter.report(Event::Notice { table: None, text: &text });
            })?;
        }
        if let Some(error @ (StoreError::RowsDiffer { table, .. } | StoreError::Behind { table })) = &end.differing
            && let Some(summary) = tables.iter_mut().find(|summary| summary.table.name == *table)
        {
            (summary.status, summary.error) = (Status::Failed, Some(error.to_string()));
        }
        Ok((end.has_old_logs, end.differing.map(SyncError::Store)))
    }

    fn fail_uncompared(&self, uncompared: &Uncompared) -> (TableSummary, Option<SyncError>) {
        let mut summary = TableSummary::new(uncompared.table, PassKind::Repair);
        (summary.status, summary.error) = (Status::Failed, Some(uncompared.reason.clone()));
        (summary, Some(SyncError::NotCompared(uncompared.clone())))
    }

    async fn sync_table(&self, store: &mut Store, table: &'static Table) -> (TableSummary, Option<SyncError>) {
        let clock = Instant::now();
        let mut summary = TableSummary::new(table, self.plan.pass_kind(table));
        self.reporter.report(Event::TableStarted { table });
        let error = stream_sync::sync_table(self, store, &mut summary).await.err();
        summary.status = if error.is_none() { Status::Completed } else { Status::Failed };
        summary.error = error.as_ref().map(ToString::to_string);
        summary.duration_ms = elapsed_ms(clock);
        (summary, error)
    }
}

/// The tables in groups that are synced one after the other. The tables of a group, at most two, are synced at the same
/// time: none of them needs another table of the run that is not synced yet.
fn side_by_side(tables: &[&'static Table]) -> Vec<Vec<&'static Table>> {
    let (later, first): (Vec<&'static Table>, Vec<&'static Table>) =
        tables.iter().partition(|table| table.needs.iter().any(|needed| tables.contains(needed)));
    first.chunks(2).chain(later.chunks(2)).map(<[&'static Table]>::to_vec).collect()
}

/// `sync_logs.error`: each table that failed, with the reason.
fn describe_failures(tables: &[TableSummary]) -> Option<String> {
    let failures: Vec<String> = tables
        .iter()
        .filter_map(|summary| summary.error.as_ref().map(|error| format!("{}: {error}", summary.table)))
        .collect();
    (!failures.is_empty()).then(|| failures.join("\n"))
}

fn elapsed_ms(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}
