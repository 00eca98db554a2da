//! A run: takes the lease, runs the passes of its tables, and records itself in `sync_logs`.
//!
//! It does not depend on the command line and prints nothing; it reports events.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::context::{Run, SyncError, Uncompared};
use super::linking::link_contacts;
use super::pass;
use super::site::claim_site;
use crate::event::{Event, Reporter};
use crate::exit::Exit;
use crate::lock_owner::LockOwner;
use crate::run::{PassKind, RunSummary, Status, TableSummary};
use crate::stop::Stop;
use crate::store::lease::Heartbeat;
use crate::store::retry::{LAST_PATIENCE, report_if_slow};
use crate::store::{Store, StoreError};
use crate::table::Table;

/// Maximum time of the database work before a run. It is longer than any wait for a lock, so beyond it the database
/// does not respond.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);

/// Maximum wait for a lease that its owner holds only briefly.
const BRIEF_PATIENCE: Duration = Duration::from_secs(30);

/// Time between two attempts to take such a lease. Its owner frees it for longer than this each time.
const BRIEF_POLL: Duration = Duration::from_millis(100);

/// Maximum time to release the lease.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// Maximum time for a stopped run to finish its batch and record its end. After that the work is cancelled: the
/// database does not respond.
const GRACE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct RunOutcome {
    pub summary: RunSummary,
    pub error: Option<SyncError>,
}

/// Result of the tables of a run.
struct Synced {
    tables: Vec<TableSummary>,
    /// The error that decides the exit code.
    error: Option<SyncError>,
    has_old_logs: bool,
}

/// Runs under the lease, and records the run. If Wix refuses one table, the others are still synced.
///
/// # Errors
///
/// If the run could not start, or its start or end could not be recorded.
pub async fn run(run: &Run<'_>, store: &mut Store) -> Result<RunOutcome, SyncError> {
    under_lease(run, store, &LockOwner::current(), async |store| execute(run, store).await).await
}

/// Runs the work under the lease, after checking that the tables belong to the configured site.
pub(super) async fn under_lease<T>(
    run: &Run<'_>,
    store: &mut Store,
    owner: &LockOwner,
    work: impl AsyncFnOnce(&mut Store) -> Result<T, SyncError>,
) -> Result<T, SyncError> {
    let lease = report_if_slow(Some(run.reporter.clone()), take_lease(run, store, owner));
    unless_overdue(run.stop, LAST_PATIENCE, lease).await?;
    run.reporter.report(Event::LeaseTaken { schema: store.schema().name() });
    let heartbeat = Heartbeat::start(store, run.stopper.clone(), run.reporter.clone());
    let work = async {
        unless_overdue(run.stop, LAST_PATIENCE, claim_site(run, store)).await?;
        work(store).await
    };
    let outcome = unless_overdue(run.stop, GRACE, work).await;
    drop(heartbeat);
    give_lease_back(store).await;
    outcome
}

/// Cancels the work if a stop does not end it because the database does not respond. Nothing is lost: transactions are
/// atomic, and the next run resumes.
pub async fn unless_overdue<T, E: From<SyncError>>(
    stop: &Stop,
    grace: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::select! {
        biased;
        result = work => result,
        reason = stop.overdue(grace) => Err(SyncError::Overdue(reason).into()),
    }
}

/// Takes the lease. Waits for an owner that holds it only briefly: see [`LockOwner::briefly`].
async fn take_lease(run: &Run<'_>, store: &mut Store, owner: &LockOwner) -> Result<(), SyncError> {
    let clock = Instant::now();
    let lease = async {
        store.check_ready().await?;
        loop {
            match store.acquire_lease(run.run_id, owner).await {
                Err(StoreError::Locked { is_brief: true, .. }) if clock.elapsed() < BRIEF_PATIENCE => {
                    run.stop.sleep(BRIEF_POLL).await?;
                }
                taken => return Ok::<(), SyncError>(taken?),
            }
        }
    };
    timeout(BEGIN_PATIENCE, lease).await.map_err(|_| SyncError::NoAnswer(BEGIN_PATIENCE))?
}

/// If this fails, the lease expires.
async fn give_lease_back(store: &mut Store) {
    store.hurry();
    match timeout(RELEASE_PATIENCE, store.release_lease()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = error.to_string(), "the lease could not be released"),
        Err(_) => tracing::debug!("the lease could not be released: no answer"),
    }
}

/// Syncs the tables, and records the start and the end of the run.
async fn execute(run: &Run<'_>, store: &mut Store) -> Result<RunOutcome, SyncError> {
    store.end_with(run.stop, run.reporter.clone());
    let (started_at, clock) = (store.now(), Instant::now());
    record_start(run, store, started_at).await?;
    let Synced { mut tables, error, has_old_logs } = sync_all(run, store).await;
    find_news(run, store, &mut tables).await;
    let summary = RunSummary {
        run_id: run.run_id,
        sync_type: run.plan.sync_type.clone(),
        status: if error.is_none() { Status::Completed } else { Status::Failed },
        started_at,
        duration_ms: elapsed_ms(clock),
        error: describe_failures(&tables).or_else(|| error.as_ref().map(ToString::to_string)),
        tables,
    };
    let exit = Exit::of_run(&summary, error.as_ref().and_then(SyncError::stop_reason));
    if let Err(unrecorded) = record_end(run, store, &summary, exit).await {
        let stopped = run.stop.requested().map(SyncError::from);
        if error.is_none() && stopped.is_none() {
            return Err(unrecorded);
        }
        // The caller gets the error that made the run fail. A lost connection also breaks this step.
        let hint = unrecorded.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        notice(run, &format!("the end of the run could not be recorded in sync_logs: {unrecorded}{hint}"));
        if error.is_none() {
            return Err(stopped.unwrap_or(unrecorded));
        }
    }
    if error.is_none() && has_old_logs {
        trim_logs(run, store).await;
    }
    run.reporter.report(Event::RunFinished { summary: &summary });
    Ok(RunOutcome { summary, error })
}

/// Finds out whether this run left out something that the table's last run did not leave out.
async fn find_news(run: &Run<'_>, store: &mut Store, tables: &mut [TableSummary]) {
    for summary in tables.iter_mut().filter(|summary| !summary.has_news) {
        let left_out: Vec<&str> =
            summary.left_out.iter().filter(|it| !it.is_rejected).map(|it| it.text.as_str()).collect();
        if left_out.is_empty() || run.stop.requested().is_some() {
            continue;
        }
        let (table, run_id) = (summary.table, run.run_id);
        match store.retry(async |store| store.last_notices(table, run_id).await).await {
            Ok(known) => summary.has_news = has_news(&left_out, &known),
            Err(error) => {
                tracing::debug!(error = error.to_string(), "{table}: what the last run left out is not known");
                summary.has_news = true;
            }
        }
    }
}

/// Whether a sentence is new, compared with `known`. Numbers are ignored, because they change from run to run.
fn has_news(left_out: &[&str], known: &[String]) -> bool {
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == ',', "");
    let known: Vec<String> = known.iter().map(|text| words(text)).collect();
    left_out.iter().any(|text| !known.contains(&words(text)))
}

async fn record_start(run: &Run<'_>, store: &mut Store, started_at: DateTime<Utc>) -> Result<(), SyncError> {
    let (run_id, sync_type) = (run.run_id, run.plan.sync_type.as_str());
    let begin = async |store: &mut Store| store.begin_run(run_id, sync_type, started_at).await;
    let stale_count = store.retry(begin).await.inspect_err(|error| {
        if matches!(error, StoreError::Stopped(_)) {
            notice(run, "the run could not be recorded in sync_logs: it was stopped before");
        }
    })?;
    run.reporter.report(Event::RunStarted { run_id });
    if stale_count > 0 {
        notice(run, &format!("{stale_count} earlier run(s) ended without recording it and are marked as failed"));
    }
    Ok(())
}

/// Syncs the groups of tables one after the other, and then does the work that needs all of them.
async fn sync_all(run: &Run<'_>, store: &mut Store) -> Synced {
    let mut ended: Vec<(TableSummary, Option<SyncError>)> = run.plan.uncompared().iter().map(fail_uncompared).collect();
    for tables in side_by_side(&run.plan.tables) {
        if ended.iter().any(|(_, error)| error.as_ref().is_some_and(SyncError::ends_the_run)) {
            break;
        }
        ended.extend(sync_tables(run, store, &tables).await);
    }
    let (mut tables, errors): (Vec<TableSummary>, Vec<Option<SyncError>>) = ended.into_iter().unzip();
    let mut errors: Vec<SyncError> = errors.into_iter().flatten().collect();
    let mut has_old_logs = false;
    if !errors.iter().any(SyncError::ends_the_run) {
        match look_at_end(run, store, &mut tables).await {
            Ok((has_old, error)) => {
                has_old_logs = has_old;
                errors.extend(error);
            }
            Err(error) => errors.push(error),
        }
    }
    // A stop has priority: it decides the exit code.
    errors.sort_by_key(|error| error.stop_reason().is_none());
    let mut errors = errors.into_iter();
    let mut error = errors.next();
    for other in errors {
        if let (Some(SyncError::Wix(first)), SyncError::Wix(other)) = (&mut error, &other) {
            first.add_permissions(other);
        }
    }
    Synced { tables, error, has_old_logs }
}

/// Uses a new connection if the old one is lost, even after a stop, so that the end of the run is recorded. After a
/// stop the time for this is short.
async fn record_end(run: &Run<'_>, store: &mut Store, summary: &RunSummary, exit: Exit) -> Result<(), SyncError> {
    let (now, exit) = (store.now(), exit as u8);
    if run.stop.requested().is_none() {
        match store.retry(async |store| store.finish_run(summary, exit, now).await).await {
            Err(StoreError::Stopped(_)) => {}
            other => return Ok(other?),
        }
    }
    store.hurry();
    let record = async {
        match store.finish_run(summary, exit, now).await {
            Err(error) if error.is_connection_lost() => {
                store.reconnect().await?;
                store.finish_run(summary, exit, now).await
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

fn notice(run: &Run<'_>, text: &str) {
    run.reporter.report(Event::Notice { table: None, text });
}

/// Runs that ended before this time are removed from the log.
fn logs_before(run: &Run<'_>, store: &Store) -> Option<DateTime<Utc>> {
    run.plan.keep_logs.and_then(|keep| store.now().checked_sub_signed(keep))
}

/// Deletes old rows of the log. A failure of this does not fail the run.
async fn trim_logs(run: &Run<'_>, store: &mut Store) {
    let Some(before) = logs_before(run, store) else { return };
    if let Err(error) = store.trim_logs(before).await {
        run.reporter.report(Event::Notice { table: None, text: &error.to_string() });
    }
}

/// Syncs independent tables, at the same time if a second connection can be opened.
async fn sync_tables(
    run: &Run<'_>,
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
            let both = async { tokio::join!(sync_table(run, store, first), sync_table(run, &mut sibling, second)) };
            let ended = <[_; 2]>::from(both.await).into();
            store.copy_row_counts(&sibling);
            ended
        }
        _ => {
            let mut ended = Vec::new();
            for table in tables {
                ended.push(sync_table(run, store, table).await);
            }
            ended
        }
    };
    for (summary, _) in &ended {
        run.reporter.report(Event::TableFinished { summary });
    }
    ended
}

/// The work after all tables are synced: sets links to customers, and checks the row counts. A table with another count
/// than recorded was truncated or restored during the run, maybe after its own sync had ended. The first value is
/// whether old logs can be removed.
async fn look_at_end(
    run: &Run<'_>,
    store: &mut Store,
    tables: &mut [TableSummary],
) -> Result<(bool, Option<SyncError>), SyncError> {
    let synced: Vec<&'static Table> = tables
        .iter()
        .filter(|summary| summary.status == Status::Completed)
        .filter(|summary| matches!(summary.pass, PassKind::Full | PassKind::Incremental))
        .map(|summary| summary.table)
        .collect();
    let before = logs_before(run, store);
    let end = store.retry(async |store| store.look_at_end(&synced, before).await).await?;
    if end.has_unlinked {
        link_contacts(run, store, tables).await.inspect_err(|error| {
            let text = format!("links to customers are set by the next run: {error}");
            run.reporter.report(Event::Notice { table: None, text: &text });
        })?;
    }
    if let Some(error @ (StoreError::RowsDiffer { table, .. } | StoreError::Behind { table })) = &end.differing
        && let Some(summary) = tables.iter_mut().find(|summary| summary.table.name == *table)
    {
        (summary.status, summary.error) = (Status::Failed, Some(error.to_string()));
    }
    Ok((end.has_old_logs, end.differing.map(SyncError::Store)))
}

fn fail_uncompared(uncompared: &Uncompared) -> (TableSummary, Option<SyncError>) {
    let mut summary = TableSummary::new(uncompared.table, PassKind::Repair);
    (summary.status, summary.error) = (Status::Failed, Some(uncompared.reason.clone()));
    (summary, Some(SyncError::NotCompared(uncompared.clone())))
}

async fn sync_table(run: &Run<'_>, store: &mut Store, table: &'static Table) -> (TableSummary, Option<SyncError>) {
    let clock = Instant::now();
    let mut summary = TableSummary::new(table, run.plan.pass_kind(table));
    run.reporter.report(Event::TableStarted { table });
    // Boxed: the compiler limits the nesting of futures.
    let error = Box::pin(pass::sync_table(run, store, &mut summary)).await.err();
    summary.status = if error.is_none() { Status::Completed } else { Status::Failed };
    summary.error = error.as_ref().map(ToString::to_string);
    summary.duration_ms = elapsed_ms(clock);
    (summary, error)
}

/// Groups of at most two tables. The groups are synced one after the other, the tables of a group at the same time:
/// they need no table of the run that is not synced yet.
fn side_by_side(tables: &[&'static Table]) -> Vec<Vec<&'static Table>> {
    let (later, first): (Vec<&'static Table>, Vec<&'static Table>) =
        tables.iter().partition(|table| table.needs.iter().any(|needed| tables.contains(needed)));
    first.chunks(2).chain(later.chunks(2)).map(<[&'static Table]>::to_vec).collect()
}

/// The text of `sync_logs.error`: each failed table with the reason.
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

#[cfg(test)]
mod tests {
    use super::has_news;

    #[test]
    fn other_numbers_are_no_news_and_other_sentences_are() {
        let known = ["22 of 210 rows are no longer listed".to_owned()];
        assert!(!has_news(&["1,023 of 9,210 rows are no longer listed"], &known));
        assert!(has_news(&["22 of 210 rows are no longer listed", "a part was lost"], &known));
        assert!(has_news(&["22 of 210 rows are no longer listed"], &[]));
    }
}
