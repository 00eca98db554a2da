//! `status`, `errors` and `migrate` as text.

use std::fmt::Write;

use chrono::TimeDelta;

use super::text::{counted, duration, grouped, table, time};
use crate::store::dead_letters::ErrorRow;
use crate::store::migrate::MigrationReport;
use crate::store::status::{RunRow, TableRow};

/// So much of an id is shown in lists; `status` takes any unique beginning.
const SHORT_ID: usize = 8;

/// The state of the tables and the last runs.
pub(super) fn render_status(schema: &str, tables: &[TableRow], runs: &[RunRow], filtered: bool) -> String {
    let never = || "never".to_owned();
    let rows: Vec<Vec<String>> = tables
        .iter()
        .map(|row| {
            vec![
                row.table.to_owned(),
                grouped(row.rows.unsigned_abs()),
                grouped(row.deleted_rows.unsigned_abs()),
                grouped(row.unresolved_errors.unsigned_abs()),
                row.last_full_pass_at.map_or_else(never, time),
            ]
        })
        .collect();
    let mut out = format!("Schema {schema}; all times in UTC\n\n");
    out.push_str(&table(
        &["table", "rows", "deleted", "errors", "last full pass"],
        &[false, true, true, true, false],
        &rows,
    ));
    out.push('\n');
    if runs.is_empty() {
        let text = if filtered { "No such run.\n" } else { "No run yet: `wix-sync sync all` makes the first.\n" };
        out.push_str(text);
        return out;
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            vec![
                run.id.to_string()[..SHORT_ID].to_owned(),
                run.sync_type.clone(),
                run.status.clone(),
                run.started_at.map(time).unwrap_or_default(),
                run_duration(run).unwrap_or_default(),
                grouped(run.synced_count.unsigned_abs()),
                grouped(run.error_count.unsigned_abs()),
                run.error.as_deref().map(first_line).unwrap_or_default(),
            ]
        })
        .collect();
    let header = ["run", "type", "status", "started", "took", "synced", "errors", "reason"];
    out.push_str(&table(&header, &[false, false, false, false, true, true, true, false], &rows));
    out
}

/// One run in detail.
pub(super) fn render_run(run: &RunRow) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:<10} {value}");
    };
    line("run", run.id.to_string());
    line("type", run.sync_type.clone());
    line("status", run.status.clone());
    line("started", run.started_at.map(time).unwrap_or_default());
    line("ended", run.completed_at.map_or_else(|| "not yet, or it could not record it".to_owned(), time));
    if let Some(took) = run_duration(run) {
        line("took", took);
    }
    line("synced", grouped(run.synced_count.unsigned_abs()));
    line("errors", grouped(run.error_count.unsigned_abs()));
    for reason in run.error.iter().flat_map(|error| error.lines()) {
        line("reason", reason.to_owned());
    }
    let results = run.results.as_ref().and_then(serde_json::Value::as_object);
    for (table, result) in results.into_iter().flatten() {
        let Some(members) = result.as_object() else { continue };
        let simple = members.iter().filter(|(name, value)| !value.is_array() && !value.is_object() && *name != "error");
        let values: Vec<String> = simple
            .map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let _ = writeln!(out, "\n{table}\n  {}", values.join(", "));
        for notice in members.get("notices").and_then(|value| value.as_array()).into_iter().flatten() {
            let _ = writeln!(out, "  notice: {}", notice.as_str().unwrap_or_default());
        }
        for detail in members.get("error_details").and_then(|value| value.as_array()).into_iter().flatten() {
            let id = detail.get("wix_id").and_then(|id| id.as_str()).unwrap_or("without an id");
            let reason = detail.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default();
            let _ = writeln!(out, "  left out: {id}: {reason}");
        }
    }
    out
}

/// The records that could not be written.
pub(super) fn render_errors(schema: &str, errors: &[ErrorRow], total: i64) -> String {
    if errors.is_empty() {
        return format!("Schema {schema}: every record could be written.\n");
    }
    let rows: Vec<Vec<String>> = errors
        .iter()
        .map(|error| {
            vec![
                error.table.clone(),
                error.wix_id.clone().unwrap_or_else(|| "without an id".to_owned()),
                grouped(error.tries.unsigned_abs()),
                time(error.first_failed_at),
                time(error.last_failed_at),
                error.reason.clone(),
            ]
        })
        .collect();
    let header = ["table", "Wix id", "tries", "first", "last", "reason"];
    let mut out = format!("Schema {schema}; all times in UTC\n\n");
    out.push_str(&table(&header, &[false, false, true, false, false, false], &rows));
    if total.unsigned_abs() > errors.len() as u64 {
        let _ = writeln!(out, "\n{} of {}; --limit N shows more", errors.len(), grouped(total.unsigned_abs()));
    }
    out.push_str("\nEach is tried again when it changes, once a day, and by `wix-sync errors retry`.\n");
    out
}

/// What `migrate` did, with what changes its meaning in the predecessor's tables.
pub(super) fn render_migration(report: &MigrationReport) -> String {
    let schema = &report.schema;
    if report.applied.is_empty() {
        return format!("Schema {schema} is up to date.\n");
    }
    let mut out =
        format!("Schema {schema} is up to date now: {} applied.\n", counted(report.applied.len() as u64, "migration"));
    for (table, rows) in &report.adopted {
        let _ = writeln!(
            out,
            "Took over {schema}.{table} with its {}; their ids and notes stay.",
            counted(rows.unsigned_abs(), "row")
        );
    }
    if report.adopted.iter().any(|(table, _)| *table == "orders") {
        out.push_str(
            "orders.status held the fulfillment status and will hold Wix's order status; the fulfillment status is in fulfillment_status.\n\
             Orders that wait (PENDING) or were rejected (REJECTED) will be in orders too; the predecessor left them out.\n",
        );
    }
    if !report.adopted.is_empty() {
        out.push_str("What the predecessor invented ('Unknown', 0, 'pending', [], now()) is replaced by what Wix has, or NULL, with the first sync.\n");
    }
    out
}

fn run_duration(run: &RunRow) -> Option<String> {
    let took: TimeDelta = run.completed_at? - run.started_at?;
    Some(duration(took.to_std().unwrap_or_default()))
}

/// The first line, at most 80 characters of it.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
