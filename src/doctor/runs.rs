//! Checks how the last runs ended. What they left out, the next runs also leave out.

use serde_json::Value;

use super::finding::{Outcome, time};
use crate::store::status::{RunFilter, RunRow, TableRow};
use crate::store::{Store, StoreError};

/// Maximum number of runs that are read to find the last run of each table.
const MAX_RUNS: i64 = 200;

/// How a run ended, for the tables whose last run it is.
struct LastRun<'a> {
    run: &'a RunRow,
    /// The incomplete tables, each with the reason.
    left_out: Vec<String>,
}

/// Returns an outcome for each last run of a table that did not end with exit code 0, or one for the newest run. Runs
/// that read a time range, or only single records, are ignored.
pub(super) async fn last_runs(store: &Store, rows: &[TableRow]) -> Result<Vec<Outcome>, StoreError> {
    let runs = store.list_runs(&RunFilter { limit: MAX_RUNS, sync_type: None, status: None }).await?;
    let mut last: Vec<LastRun<'_>> = Vec::new();
    for row in rows {
        // An adopted log has runs of another program: they say nothing about a table that was never synced since.
        let is_known =
            |run: &RunRow| row.last_success_at.is_some() || run.status == "failed" && run.exit_code.is_some();
        let is_last = |run: &&RunRow| run.completed_at.is_some() && is_known(run) && is_about(run, &row.table);
        let Some(run) = runs.iter().find(is_last) else { continue };
        let left_out = left_out(run, row).map(|what| format!("{}: {what}", row.table));
        match last.iter_mut().find(|known| known.run.id == run.id) {
            Some(known) => known.left_out.extend(left_out),
            None => last.push(LastRun { run, left_out: left_out.into_iter().collect() }),
        }
    }
    let outcomes: Vec<Outcome> = last.iter().filter_map(judge).collect();
    if !outcomes.is_empty() {
        return Ok(outcomes);
    }
    Ok(vec![match last.into_iter().map(|last| last.run).max_by_key(|run| run.completed_at) {
        Some(run) => Outcome::ok(format!("{} completed{}", describe(run), at(run))),
        None => Outcome::warning("none has ended yet", "run `wix-sync sync`"),
    }])
}

/// Whether it is a full or an incremental sync of this table, or failed before its kind was known.
fn is_about(run: &RunRow, table: &str) -> bool {
    let Some(result) = result_of(run, table) else {
        return run.status == "failed"
            && (run.sync_type == "all" || run.sync_type.split(',').any(|name| name == table));
    };
    let kind = result.get("kind").or_else(|| result.get("pass")).and_then(Value::as_str);
    // Earlier versions recorded no kind, or `changes`.
    kind.is_none_or(|kind| matches!(kind, "full" | "incremental" | "changes"))
}

fn result_of<'a>(run: &'a RunRow, table: &str) -> Option<&'a Value> {
    run.results.as_ref()?.get(table)
}

/// Why the run was incomplete for this table. Rejected records that are resolved now do not count.
fn left_out(run: &RunRow, row: &TableRow) -> Option<String> {
    let Some(result) = result_of(run, &row.table) else {
        return (run.status == "failed").then(|| "not synced".to_owned());
    };
    let text = |name: &str| result.get(name).and_then(Value::as_str);
    if text("status") == Some("failed") {
        return Some(text("error").unwrap_or("failed").to_owned());
    }
    if result.get("incomplete").and_then(Value::as_bool) == Some(true) {
        let notices = result.get("notices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let notices: Vec<&str> = notices.iter().filter_map(Value::as_str).collect();
        return Some(notices.join("; "));
    }
    let rejected = result.get("errors").and_then(Value::as_u64).unwrap_or_default();
    (rejected > 0 && row.rejected_records > 0).then(|| format!("{rejected} rejected"))
}

/// `None` if the run left nothing out.
fn judge(last: &LastRun<'_>) -> Option<Outcome> {
    let LastRun { run, left_out } = last;
    let (name, at) = (describe(run), at(run));
    let reasons = left_out.join("; ");
    let hint = format!("`wix-sync status {}` shows all of it", &run.id.to_string()[..8]);
    if run.status == "failed" {
        let whole = run.error.as_deref().and_then(|error| error.lines().next()).unwrap_or("no reason recorded");
        // A table that was synced before the run failed is up to date.
        return (!left_out.is_empty()).then(|| {
            let reason = if left_out.iter().all(|what| what.ends_with(": not synced")) { whole } else { &reasons };
            match whole.contains("stopped by SIG") || whole.contains("stopped at --time-limit") {
                true => Outcome::warning(
                    format!("{name} was stopped{at}: {reason}"),
                    "run `wix-sync sync`: it continues from there",
                ),
                false => Outcome::problem(
                    format!("{name} failed{at}: {reason}"),
                    format!("{hint}; run `wix-sync sync` again"),
                ),
            }
        });
    }
    (!left_out.is_empty()).then(|| Outcome::problem(format!("{name} ended with exit code 3{at}: {reasons}"), hint))
}

/// `run ID (all)`.
fn describe(run: &RunRow) -> String {
    format!("run {} ({})", run.id, run.sync_type)
}

fn at(run: &RunRow) -> String {
    run.completed_at.map(|at| format!(" at {}", time(at))).unwrap_or_default()
}
