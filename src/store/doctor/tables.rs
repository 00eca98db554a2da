//! What stands in the tables: the site, the run at work, what was left out, and how old everything is.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{failed, settled};
use crate::finding::Finding;
use crate::holder::Holder;
use crate::store::connect::Store;
use crate::store::error::StoreError;
use crate::store::status::{RunFilter, RunningState, TableRow};
use crate::table::Table;

/// A heartbeat comes every 15 seconds; after three that did not come something is wrong.
const QUIET_SECS: i64 = 50;

/// Without a success for so long, nobody seems to start runs.
const OLD_SECS: i64 = 86_400;

/// A full pass is due after a week, unless `--full-every` says otherwise; after two it is late.
const LATE_FULL_PASS: Duration = Duration::from_secs(14 * 86_400);

impl Store {
    pub(super) async fn examine_tables(&self, site_id: Option<&str>, observer: &Holder) -> Vec<Finding> {
        let mut findings = vec![
            settled("site", self.site(site_id).await),
            settled("run at work", self.run_at_work(observer).await),
            settled("last run", self.last_run().await),
        ];
        match self.list_tables().await {
            Ok(tables) => {
                for table in &tables {
                    findings.push(freshness(table, self.now()));
                }
                findings.push(errors(&tables));
                findings.push(missing(&tables));
            }
            Err(error) => findings.push(failed("tables", &error)),
        }
        findings
    }

    /// Whether the tables hold the site that is configured.
    async fn site(&self, site_id: Option<&str>) -> Result<Finding, StoreError> {
        const CHECK: &str = "site";
        let (noted, schema) = (self.noted_sites().await?, self.schema.name());
        Ok(match (noted.iter().find(|noted| site_id.is_some_and(|id| id != *noted)), noted.first()) {
            (Some(other), _) => {
                let given = site_id.unwrap_or_default();
                let error =
                    StoreError::OtherSite { schema: schema.to_owned(), noted: other.clone(), given: given.to_owned() };
                failed(CHECK, &error)
            }
            (None, Some(noted)) => Finding::ok(CHECK, format!("schema {schema} holds site {noted}")),
            (None, None) => Finding::ok(CHECK, format!("schema {schema} holds no site yet: the first run notes it")),
        })
    }

    /// Whether a run is at work, or died.
    async fn run_at_work(&self, observer: &Holder) -> Result<Finding, StoreError> {
        const CHECK: &str = "run at work";
        let Some(run) = self.running_run(observer).await? else { return Ok(Finding::ok(CHECK, "none")) };
        let since = run.started_at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
        let holder = run.holder.map(|holder| format!(", {holder}")).unwrap_or_default();
        let (id, reason) = (run.run_id, run.reason.unwrap_or_default());
        Ok(match (run.state, run.heard_seconds_ago) {
            (RunningState::Running, Some(seconds)) if seconds > QUIET_SECS => Finding::warn(
                CHECK,
                format!("run {id}{since}{holder}, not heard of for {seconds} s"),
                "it may be stopped or cut off; its lease ends a minute after it was heard last",
            ),
            (RunningState::Running, _) => Finding::ok(CHECK, format!("run {id}{since}{holder}")),
            (RunningState::Dead, _) => Finding::warn(
                CHECK,
                format!("run {id}{since}{holder} stands as running, but {reason}"),
                "the next `wix-sync sync` records it as failed and goes on where it stopped",
            ),
            (RunningState::Unknown, _) => Finding::warn(
                CHECK,
                format!("run {id}{since} stands as running; {reason}"),
                "connect as the owner of the tables",
            ),
        })
    }

    async fn last_run(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "last run";
        let runs = self.list_runs(&RunFilter { limit: 2, sync_type: None, status: None }).await?;
        let Some(run) = runs.into_iter().find(|run| run.completed_at.is_some()) else {
            return Ok(Finding::warn(CHECK, "none has ended yet", "`wix-sync sync all` makes the first"));
        };
        let at = run.completed_at.map(time).unwrap_or_default();
        Ok(match (run.status.as_str(), run.error_count) {
            ("completed", _) => Finding::ok(CHECK, format!("{} ({}) completed at {at}", run.id, run.sync_type)),
            _ => {
                let reason =
                    run.error.as_deref().and_then(|error| error.lines().next()).unwrap_or("no reason recorded");
                Finding::warn(
                    CHECK,
                    format!("{} ({}) failed at {at}: {reason}", run.id, run.sync_type),
                    format!("`wix-sync status {}` shows all of it", &run.id.to_string()[..8]),
                )
            }
        })
    }
}

fn freshness(row: &TableRow, now: DateTime<Utc>) -> Finding {
    let table = Table::ALL.iter().find(|table| table.name == row.table);
    let check = table.map_or("tables", |table| table.name);
    let (Some(success), Some(age)) = (row.last_success_at, row.age_seconds) else {
        let mend =
            format!("`wix-sync sync {check}` reads them; without the Wix app on the site there is nothing to read");
        return Finding::warn(check, "never synced to the end", mend);
    };
    let full = row.last_full_pass_at.map_or_else(|| "never".to_owned(), time);
    let found = format!("{} rows; last success {}, last full pass {full}", row.rows, time(success));
    let is_late =
        row.last_full_pass_at.is_none_or(|at| (now - at).to_std().map_or(true, |since| since > LATE_FULL_PASS));
    if age > OLD_SECS {
        Finding::warn(
            check,
            format!("{found}: more than a day ago"),
            "look whether cron or the timer still starts runs",
        )
    } else if is_late {
        Finding::warn(
            check,
            format!("{found}: deletions are not found"),
            "run `wix-sync sync all --full` once, and see --full-every",
        )
    } else {
        Finding::ok(check, found)
    }
}

fn errors(tables: &[TableRow]) -> Finding {
    const CHECK: &str = "records left out";
    match listed(tables, |table| table.unresolved_errors) {
        None => Finding::ok(CHECK, "none: every record could be written"),
        Some(list) => Finding::warn(CHECK, list, "`wix-sync errors` shows them with their reasons"),
    }
}

fn missing(tables: &[TableRow]) -> Finding {
    const CHECK: &str = "rows not listed";
    match listed(tables, |table| table.missing_rows) {
        None => Finding::ok(CHECK, "none waits to be marked as deleted"),
        Some(list) => Finding::warn(
            CHECK,
            format!("{list} that Wix did not list wait for an answer"),
            "if Wix is right and they are too many to be believed: `wix-sync sync all --full --allow-mass-delete`",
        ),
    }
}

/// `customers 3, orders 1`.
fn listed(tables: &[TableRow], count: impl Fn(&TableRow) -> i64) -> Option<String> {
    let parts: Vec<String> = tables
        .iter()
        .filter(|table| count(table) > 0)
        .map(|table| format!("{} {}", table.table, count(table)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
