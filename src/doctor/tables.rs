//! What is in the tables: the site, the current run, rejected records, and how old everything is.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::finding::{Findings, Outcome};
use crate::lock_owner::LockOwner;
use crate::store::status::{RunFilter, RunningState, TableRow};
use crate::store::{Store, StoreError};
use crate::table::Table;

/// A heartbeat comes every 15 seconds; after three that did not come something is wrong.
const QUIET_SECS: i64 = 50;

/// Without a success for this long, nobody seems to start runs.
const OLD_SECS: i64 = 86_400;

/// A full sync is due after a week, unless `--full-every` says otherwise; after two it is late.
const LATE_FULL_SYNC: Duration = Duration::from_secs(14 * 86_400);

pub(super) async fn check(store: &Store, site_id: Option<&str>, findings: &mut Findings) {
    findings.add("site", site(store, site_id).await);
    findings.add("run at work", current_run(store).await);
    match server(store).await {
        Ok(None) => {}
        Ok(Some(outcome)) => findings.add("serve", outcome),
        Err(error) => findings.add("serve", error),
    }
    findings.add("last run", last_run(store).await);
    let rows = match store.list_tables().await {
        Ok(rows) => rows,
        Err(error) => return findings.add("tables", error),
    };
    for table in Table::ALL {
        if let Some(row) = rows.iter().find(|row| row.table == table.name) {
            findings.add(table.name, freshness(table, row, store.now()));
        }
    }
    findings.add("records left out", rejected_records(&rows));
    findings.add("rows not listed", pending_deletions(&rows));
}

/// Whether the tables hold the configured site.
async fn site(store: &Store, site_id: Option<&str>) -> Result<Outcome, StoreError> {
    if let Some(site_id) = site_id {
        store.check_site(site_id).await?;
    }
    let schema = store.schema().name();
    Ok(match store.noted_sites().await?.first() {
        Some(site_id) => Outcome::ok(format!("schema {schema} holds site {site_id}")),
        None => Outcome::ok(format!("schema {schema} holds no site yet: the first run notes it")),
    })
}

/// Whether a run is running, or died.
async fn current_run(store: &Store) -> Result<Outcome, StoreError> {
    let Some(run) = store.running_run(&LockOwner::current()).await? else { return Ok(Outcome::ok("none")) };
    let since = run.started_at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
    let holder = run.lock_owner.map(|holder| format!(", {holder}")).unwrap_or_default();
    let (id, reason) = (run.run_id, run.reason.unwrap_or_default());
    Ok(match (run.state, run.heartbeat_age_seconds) {
        (RunningState::Running, Some(seconds)) if seconds > QUIET_SECS => Outcome::warn(
            format!("run {id}{since}{holder}, not heard of for {seconds} s"),
            "it may be stopped or cut off; its lease ends a minute after it was heard last",
        ),
        (RunningState::Running, _) => Outcome::ok(format!("run {id}{since}{holder}")),
        (RunningState::Dead, _) => Outcome::warn(
            format!("run {id}{since}{holder} stands as running, but {reason}"),
            "the next `wix-sync sync` records it as failed and goes on where it stopped",
        ),
        (RunningState::Unknown, _) => {
            Outcome::warn(format!("run {id}{since} stands as running; {reason}"), "connect as the owner of the tables")
        }
    })
}

/// Whether `wix-sync serve` died, or syncs wait that nobody does. `None` where nobody uses it.
async fn server(store: &Store) -> Result<Option<Outcome>, StoreError> {
    let state = store.serve_state(&LockOwner::current()).await?;
    Ok(state.describe().map(|found| match state.is_alive {
        Some(true) => Outcome::ok(found),
        _ => Outcome::warn(found, "start `wix-sync serve` again; queued syncs are kept"),
    }))
}

async fn last_run(store: &Store) -> Result<Outcome, StoreError> {
    let runs = store.list_runs(&RunFilter { limit: 2, sync_type: None, status: None }).await?;
    let ended = runs.into_iter().find_map(|run| run.completed_at.map(|at| (time(at), run)));
    let Some((at, run)) = ended else {
        return Ok(Outcome::warn("none has ended yet", "`wix-sync sync all` makes the first"));
    };
    let (id, sync_type) = (run.id.to_string(), run.sync_type);
    if run.status == "completed" {
        return Ok(Outcome::ok(format!("{id} ({sync_type}) completed at {at}")));
    }
    let reason = run.error.as_deref().and_then(|error| error.lines().next()).unwrap_or("no reason recorded");
    Ok(Outcome::warn(
        format!("{id} ({sync_type}) failed at {at}: {reason}"),
        format!("`wix-sync status {}` shows all of it", &id[..8]),
    ))
}

fn freshness(table: &Table, row: &TableRow, now: DateTime<Utc>) -> Outcome {
    let (Some(success), Some(age)) = (row.last_success_at, row.age_seconds) else {
        let mend =
            format!("`wix-sync sync {table}` reads them; without the Wix app on the site there is nothing to read");
        return Outcome::warn("never synced to the end", mend);
    };
    let full = row.last_full_sync_at.map_or_else(|| "never".to_owned(), time);
    let found = format!("{} rows; last success {}, last full pass {full}", row.rows, time(success));
    // A time in the future counts as late.
    let is_late =
        row.last_full_sync_at.is_none_or(|at| (now - at).to_std().map_or(true, |since| since > LATE_FULL_SYNC));
    if age > OLD_SECS {
        Outcome::warn(format!("{found}: more than a day ago"), "look whether cron or the timer still starts runs")
    } else if is_late {
        let mend = "run `wix-sync sync all --full` once, and see --full-every";
        Outcome::warn(format!("{found}: deletions are not found"), mend)
    } else {
        Outcome::ok(found)
    }
}

fn rejected_records(rows: &[TableRow]) -> Outcome {
    match listed(rows, |row| row.rejected_records) {
        None => Outcome::ok("none: every record could be written"),
        Some(list) => Outcome::warn(list, "`wix-sync errors` shows them with their reasons"),
    }
}

fn pending_deletions(rows: &[TableRow]) -> Outcome {
    match listed(rows, |row| row.pending_deletions) {
        None => Outcome::ok("none waits to be marked as deleted"),
        Some(list) => Outcome::warn(
            format!("{list} that Wix did not list wait for an answer"),
            "if Wix is right and they are too many to be believed: `wix-sync sync all --full --allow-mass-delete`",
        ),
    }
}

/// `customers 3, orders 1`.
fn listed(rows: &[TableRow], count: impl Fn(&TableRow) -> i64) -> Option<String> {
    let parts: Vec<String> =
        rows.iter().filter(|row| count(row) > 0).map(|row| format!("{} {}", row.table, count(row))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
