//! `status`, `errors` and `migrate` as text.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};

use super::Status;
use super::text::{age, counted, duration, grouped, minute, table, time};
use crate::progress::TableProgress;
use crate::run::PassKind;
use crate::store::dead_letters::{ErrorList, ErrorRow};
use crate::store::migrate::MigrationReport;
use crate::store::status::{RunRow, RunningRun, RunningState, TableRow};
use crate::table::Table;
use crate::visible::one_line;

/// Characters of an id in lists; `status` takes any unique prefix.
const SHORT_ID: usize = 8;

/// Maximum ids per field that could not be read; `--json` names more.
const MAX_NAMED: usize = 10;

/// The current run, the state of the tables, and the last runs: at most 80 columns wide.
pub(super) fn render_status(status: &Status<'_>) -> String {
    let mut out = format!("Schema {}; all times in UTC\n\n", status.schema);
    out.push_str(&table(
        &["table", "rows", "deleted", "missing", "errors"],
        &[false, true, true, true, true],
        &status.tables.iter().map(count_cells).collect::<Vec<_>>(),
    ));
    out.push('\n');
    out.push_str(&table(
        &["table", "last success", "age", "last full pass", "watermark"],
        &[false, false, true, false, false],
        &status.tables.iter().map(time_cells).collect::<Vec<_>>(),
    ));
    out.push('\n');
    if let Some(running) = &status.running {
        out.push_str(&render_running(running));
        out.push('\n');
    }
    if let Some(serve) = status.serve.describe() {
        let _ = writeln!(out, "wix-sync serve: {serve}\n");
    }
    if status.runs.is_empty() {
        let text =
            if status.filtered { "No such run.\n" } else { "No run yet: `wix-sync sync all` makes the first.\n" };
        out.push_str(text);
        return out;
    }
    let rows: Vec<Vec<String>> = status
        .runs
        .iter()
        .map(|run| {
            vec![
                run.id.to_string()[..SHORT_ID].to_owned(),
                run.sync_type.clone(),
                run.status.clone(),
                run.started_at.map(minute).unwrap_or_default(),
                run_duration(run).unwrap_or_default(),
                grouped(run.synced_count.unsigned_abs()),
                grouped(run.error_count.unsigned_abs()),
            ]
        })
        .collect();
    let header = ["run", "type", "status", "started", "took", "synced", "errors"];
    let runs = table(&header, &[false, false, false, false, true, true, true], &rows);
    let mut lines = runs.lines();
    let _ = writeln!(out, "{}", lines.next().unwrap_or_default());
    // The reason is below its run: beside it, it would be cut off or break the lines.
    for (line, run) in lines.zip(&status.runs) {
        let _ = writeln!(out, "{line}");
        if let Some(error) = &run.error {
            let _ = writeln!(out, "  reason: {}", one_line(&first_line(error)));
        }
    }
    out
}

fn count_cells(row: &TableRow) -> Vec<String> {
    let count = |number: i64| grouped(number.unsigned_abs());
    vec![
        row.table.clone(),
        count(row.rows),
        count(row.deleted_rows),
        count(row.missing_rows),
        count(row.unresolved_errors),
    ]
}

fn time_cells(row: &TableRow) -> Vec<String> {
    let minute_or = |time: Option<DateTime<Utc>>, other: &str| time.map_or_else(|| other.to_owned(), minute);
    vec![
        row.table.clone(),
        minute_or(row.last_success_at, "never"),
        row.age_seconds.map(age).unwrap_or_default(),
        minute_or(row.last_full_pass_at, "never"),
        minute_or(row.watermark, "none"),
    ]
}

pub(super) fn describe_age(row: &TableRow) -> String {
    match (row.age_seconds, row.last_success_at) {
        (Some(_), Some(at)) if row.is_in_the_future => {
            format!("{}: last success at {}, which is in the future: a clock was wrong", row.table, time(at))
        }
        (Some(seconds), Some(at)) => format!("{}: last success {} ago, at {}", row.table, age(seconds), time(at)),
        _ => format!("{}: never synced", row.table),
    }
}

/// The current run and its progress, or that it is not running any more.
fn render_running(run: &RunningRun) -> String {
    let id = &run.run_id.to_string()[..SHORT_ID];
    let heard = run.heard_seconds_ago.map(|seconds| format!("heard {} ago", age(seconds)));
    let holder: Vec<String> = run.holder.clone().into_iter().chain(heard).collect();
    let holder = one_line(&holder.join(", ")).into_owned();
    let reason = one_line(run.reason.as_deref().unwrap_or_default());
    let sync_type = one_line(&run.sync_type);
    let mut out = match run.state {
        RunningState::Running => {
            let since = run.started_at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
            format!("At work{since}: run {id} ({sync_type})\n")
        }
        RunningState::Dead => format!(
            "Dead: run {id} ({sync_type}) stands as running, but {reason}.\n\
             The next `wix-sync sync` records it as failed and goes on from there.\n"
        ),
        RunningState::Unknown => format!("Run {id} ({sync_type}) stands as running; {reason}.\n"),
    };
    if !holder.is_empty() {
        let _ = writeln!(out, "{holder}");
    }
    // In the order in which a run takes them.
    let tables = Table::ALL.iter().filter_map(|table| Some((table.name, run.tables.get(table.name)?)));
    let rows: Vec<Vec<String>> = tables
        .map(|(table, progress)| {
            vec![
                format!("  {table}"),
                progress.status.as_str().to_owned(),
                progress.pass.map_or("", PassKind::as_str).to_owned(),
                records(progress),
                grouped(progress.requests),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["  table", "state", "pass", "records", "requests"];
        out.push_str(&table(&header, &[false, false, false, false, true], &rows));
    }
    out
}

/// `12,000 of 30,000 (40 %)`.
fn records(progress: &TableProgress) -> String {
    match progress.total.filter(|total| *total > 0) {
        // Records that were created meanwhile are not in the total.
        Some(total) => {
            let percent = (progress.records.saturating_mul(100) / total).min(100);
            format!("{} of {} ({percent} %)", grouped(progress.records), grouped(total))
        }
        None => grouped(progress.records),
    }
}

pub(super) fn render_run(run: &RunRow) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<10} {}", one_line(&value));
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
        let _ = writeln!(out, "\n{}\n  {}", one_line(table), one_line(&values.join(", ")));
        for (column, count) in
            members.get("unreadable_fields").and_then(|value| value.as_object()).into_iter().flatten()
        {
            let _ = writeln!(
                out,
                "  {} could not be read in {}",
                one_line(column),
                counted(count.as_u64().unwrap_or_default(), "record")
            );
        }
        for notice in members.get("notices").and_then(|value| value.as_array()).into_iter().flatten() {
            let _ = writeln!(out, "  notice: {}", one_line(notice.as_str().unwrap_or_default()));
        }
        for detail in members.get("error_details").and_then(|value| value.as_array()).into_iter().flatten() {
            let id = detail.get("wix_id").and_then(|id| id.as_str()).unwrap_or("without an id");
            let reason = detail.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default();
            let _ = writeln!(out, "  left out: {}: {}", one_line(id), one_line(reason));
        }
    }
    out
}

pub(super) fn render_errors(schema: &str, errors: &ErrorList) -> String {
    let ErrorList { records, total, unreadable_fields } = errors;
    let mut out = match (records.is_empty(), unreadable_fields.is_empty()) {
        (true, true) => return format!("Schema {schema}: every record could be written.\n"),
        (true, false) => {
            format!("Schema {schema}: every record could be written, some without fields that could not be read.\n")
        }
        (false, _) => render_rejected(schema, records, *total),
    };
    for field in unreadable_fields {
        let count = counted(field.records.unsigned_abs(), "record");
        let _ = writeln!(out, "\n{}.{} could not be read in {count}:", field.table, field.column);
        for wix_id in field.wix_ids.iter().take(MAX_NAMED) {
            let _ = writeln!(out, "  {}", one_line(wix_id));
        }
        let more = field.records.unsigned_abs().saturating_sub(field.wix_ids.len().min(MAX_NAMED) as u64);
        if more > 0 {
            let _ = writeln!(out, "  and {} more", grouped(more));
        }
    }
    if !unreadable_fields.is_empty() {
        out.push_str("\nThese columns are NULL; `raw` has what Wix sent. Nothing is left out of the tables for it.\n");
    }
    out
}

fn render_rejected(schema: &str, errors: &[ErrorRow], total: i64) -> String {
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

/// What `migrate` did, with the changes of meaning in the predecessor's tables.
pub(super) fn render_migration(report: &MigrationReport, is_dry_run: bool) -> String {
    let schema = &report.schema;
    let mut out = String::new();
    if is_dry_run {
        out.push_str("Dry run: nothing was changed. Without --dry-run this is what is done and said:\n");
    }
    if report.applied.is_empty() && report.restored.is_empty() {
        if report.remaining.is_empty() {
            let _ = writeln!(out, "Schema {schema} is up to date.");
        }
        return out;
    }
    if !report.applied.is_empty() {
        let applied = counted(report.applied.len() as u64, "migration");
        let _ = writeln!(out, "Schema {schema} is up to date now: {applied} applied.");
    }
    for restored in &report.restored {
        let _ = writeln!(out, "Restored {restored}.");
    }
    if !report.to_read.is_empty() && report.applied.is_empty() {
        let _ = writeln!(out, "The next run reads all of {} from Wix again.", report.to_read.join(", "));
    }
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

/// The first line, cut to fit 80 columns; `status RUN` shows all of it.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(69) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
