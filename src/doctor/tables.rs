//! Checks the content of the tables: the site, the current run, what the last runs left out, and the age of the data.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Findings, Outcome, time};
use super::runs::last_runs;
use super::wix::Answers;
use crate::checkpoint::TableState;
use crate::lock_owner::LockOwner;
use crate::number::grouped;
use crate::store::status::{RunningState, TableRow};
use crate::store::{Store, StoreError};
use crate::table::Table;

/// Maximum age of a heartbeat, in seconds. A heartbeat is written every 15 seconds, so three are missing.
const QUIET_SECS: i64 = 50;

/// Maximum age of an event that was not looked up yet, in seconds. `serve` and every run look events up.
const LATE_LOOKUP_SECS: i64 = 3_600;

/// Maximum age of the last success, in seconds. After that, runs are probably no longer started.
const OLD_SECS: i64 = 86_400;

/// Maximum age of the last full sync. By default a full sync is due after one week.
const LATE_FULL_SYNC: Duration = Duration::from_secs(14 * 86_400);

/// Maximum time by which a watermark (Wix's clock) may be ahead of the database server's clock.
const LATEST_WATERMARK: TimeDelta = TimeDelta::hours(1);

pub(super) async fn check(store: &mut Store, site_id: Option<&str>, answers: &Answers, findings: &mut Findings) {
    findings.add("site", site(store, site_id).await);
    findings.add("current run", current_run(store).await);
    match server(store).await {
        Ok(None) => {}
        Ok(Some(outcome)) => findings.add("serve", outcome),
        Err(error) => findings.add("serve", error),
    }
    let rows = match store.list_tables().await {
        Ok(rows) => rows,
        Err(error) => return findings.add("tables", error),
    };
    findings.add_all("last run", last_runs(store, &rows).await);
    for table in Table::ALL {
        if let Some(row) = rows.iter().find(|row| row.table == table.name) {
            findings.add(table.name, freshness(table, row, store.now()));
        }
        match store.load_table_state(table).await {
            Ok(state) => judge_state(table, &state).into_iter().for_each(|outcome| findings.add(table.name, outcome)),
            Err(error) => findings.add(table.name, error),
        }
        findings.add_all(table.name, lost_source(store, table, answers).await);
    }
    findings.add("rejected records", rejected_records(&rows));
    findings.add_all("pending deletions", pending_deletions(store).await);
}

/// Whether the tables belong to the configured site.
pub(super) async fn site(store: &Store, site_id: Option<&str>) -> Result<Outcome, StoreError> {
    if let Some(site_id) = site_id {
        store.check_site(site_id).await?;
    }
    let schema = store.schema().name();
    Ok(match store.noted_sites().await?.first() {
        Some(site_id) => Outcome::ok(format!("schema {schema} holds site {site_id}")),
        None => Outcome::ok(format!("schema {schema} holds no site yet: the first sync stores it")),
    })
}

/// Whether a run is in progress, or died.
async fn current_run(store: &Store) -> Result<Outcome, StoreError> {
    let Some(run) = store.running_run(&LockOwner::current()).await? else { return Ok(Outcome::ok("none")) };
    let since = run.started_at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
    let owner = run.lock_owner.map(|owner| format!(", {owner}")).unwrap_or_default();
    let (id, reason) = (run.run_id, run.reason.unwrap_or_default());
    Ok(match (run.state, run.heartbeat_age_seconds) {
        (RunningState::Running, Some(seconds)) if seconds > QUIET_SECS => Outcome::warning(
            format!("run {id}{since}{owner}: last heartbeat {seconds} s ago"),
            "it may be stopped or disconnected; its lock expires a minute after the last heartbeat",
        ),
        (RunningState::Running, _) => {
            Outcome::ok(format!("run {id}{since}{owner}; a sync started now exits with code 4"))
        }
        (RunningState::Dead, _) => Outcome::warning(
            format!("run {id}{since}{owner} is recorded as running, but {reason}"),
            "run `wix-sync sync`: it records that run as failed and continues where it stopped",
        ),
        (RunningState::Unknown, _) => Outcome::warning(
            format!("run {id}{since} is recorded as running; {reason}"),
            "connect as the owner of the tables",
        ),
    })
}

/// Whether `wix-sync serve` died, or queued syncs or events wait for too long. `None` if it is not used.
async fn server(store: &Store) -> Result<Option<Outcome>, StoreError> {
    let state = store.serve_state(&LockOwner::current()).await?;
    Ok(state.describe().map(|found| match state.is_alive {
        Some(true) if state.oldest_inbox_seconds.is_some_and(|age| age > LATE_LOOKUP_SECS) => Outcome::warning(
            found,
            "run `wix-sync sync`: it looks them up and shows why that fails; the log of the server has the reason too",
        ),
        Some(true) => Outcome::ok(found),
        _ => Outcome::warning(
            found,
            "start `wix-sync serve` again, or run `wix-sync sync` for the records; queued syncs and events are kept",
        ),
    }))
}

fn freshness(table: &Table, row: &TableRow, now: DateTime<Utc>) -> Outcome {
    let (Some(success), Some(age)) = (row.last_success_at, row.age_seconds) else {
        return Outcome::warning("never synced to the end", format!("run `wix-sync sync {table}`"));
    };
    let full = row.last_full_sync_at.map_or_else(|| "never".to_owned(), time);
    let message = format!("{} rows; last success {}, last full sync {full}", grouped(row.rows), time(success));
    // A time in the future counts as late.
    let is_late =
        row.last_full_sync_at.is_none_or(|at| (now - at).to_std().map_or(true, |since| since > LATE_FULL_SYNC));
    if row.is_in_the_future {
        let hint = format!("check the database server's clock, then run `wix-sync sync {table}`");
        Outcome::warning(format!("{message}: the last success is in the future"), hint)
    } else if age > OLD_SECS {
        Outcome::warning(format!("{message}: more than a day ago"), "check whether cron or the timer still starts runs")
    } else if is_late {
        let hint = format!("run `wix-sync sync {table} --full` once, and see --full-every");
        Outcome::warning(format!("{message}: deletions may not be found"), hint)
    } else {
        Outcome::ok(message)
    }
}

/// What the next run will report about the table.
fn judge_state(table: &Table, state: &TableState) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    if state.rows_differ() {
        outcomes.push(Outcome::warning(
            format!(
                "holds {} rows, but the last run left {}: something other than wix-sync removed or added rows",
                grouped(state.holds),
                grouped(state.must_hold.unwrap_or_default())
            ),
            format!("run `wix-sync sync {table}`: it reads everything again"),
        ));
    }
    if state.shortfall > 0 {
        outcomes.push(Outcome::problem(
            format!("the last full sync got {} fewer records than Wix announced", state.shortfall),
            format!("run `wix-sync sync {table} --full`; if it stays, report it to Wix"),
        ));
    }
    if state.watermark.is_some_and(|watermark| watermark > state.now + LATEST_WATERMARK) {
        outcomes.push(Outcome::warning(
            "changes were read up to a time that is in the future: a clock was wrong",
            format!("run `wix-sync sync {table}`: it reads everything if Wix's clock says the same"),
        ));
    }
    if state.has_held {
        outcomes.push(Outcome::problem(
            "changes are blocked by the safety limit: too many rows would lose parts of their records",
            format!(
                "check the permissions of the credentials; if the change is real: `wix-sync sync {table} --allow-mass-changes`"
            ),
        ));
    }
    if state.has_unreadable {
        outcomes.push(Outcome::warning(
            "some fields are NULL because what Wix sent cannot be read",
            "`wix-sync errors` lists the columns and ids; correct the values in Wix",
        ));
    }
    outcomes
}

/// Wix no longer returns such records, and the table has rows.
async fn lost_source(store: &Store, table: &'static Table, answers: &Answers) -> Result<Vec<Outcome>, StoreError> {
    let others: Vec<&str> = Table::ALL.iter().map(|other| other.name).filter(|name| *name != table.name).collect();
    let others = others.join(" ");
    if answers.without_app.contains(&table) && store.has_live_rows(table).await? {
        return Ok(vec![Outcome::problem(
            "its app is not installed on the site any more, and the table still has rows: they stay, and each sync exits \
             with code 3",
            format!("install the app again, or sync only the others: `wix-sync sync {others}`"),
        )]);
    }
    if answers.empty.contains(&table) && store.has_rows_of_wix(table).await? {
        return Ok(vec![Outcome::problem(
            format!("Wix returns no {table} at all, but the table has rows: nothing is deleted"),
            "check WIX_SITE_ID and whether the app or its permission was removed",
        )]);
    }
    Ok(Vec::new())
}

fn rejected_records(rows: &[TableRow]) -> Outcome {
    let parts: Vec<String> = rows
        .iter()
        .filter(|row| row.rejected_records > 0)
        .map(|row| format!("{} {}", row.table, grouped(row.rejected_records)))
        .collect();
    if parts.is_empty() {
        return Outcome::ok("none");
    }
    Outcome::problem(
        parts.join(", "),
        "`wix-sync errors` shows the reasons; correct them, then run `wix-sync errors retry`",
    )
}

async fn pending_deletions(store: &mut Store) -> Result<Vec<Outcome>, StoreError> {
    let (mut outcomes, mut waiting) = (Vec::new(), Vec::new());
    for table in Table::ALL {
        let pending = store.read_pending(table).await?;
        let count = pending.limited;
        if count.exceeds_limit() {
            outcomes.push(Outcome::problem(
                format!(
                    "deletions are blocked by the safety limit: {} of {} rows of {table} are not in Wix's list",
                    grouped(count.missing),
                    grouped(count.live)
                ),
                format!(
                    "check the permissions of the credentials; if the deletions are real: `wix-sync sync {table} \
                     --allow-mass-delete`"
                ),
            ));
        } else if count.missing + pending.placeholders > 0 {
            waiting.push(format!("{table} {}", grouped(count.missing + pending.placeholders)));
        }
    }
    if !waiting.is_empty() {
        outcomes.push(Outcome::ok(format!("{}; the next sync looks them up", waiting.join(", "))));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::ok("none"));
    }
    Ok(outcomes)
}
