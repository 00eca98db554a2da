//! Prints the results of `status` and `migrate` as text.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Status;
use super::grid::{Cell, Colour, Style, grid, left, right};
use super::text::{age, counted, duration, minute, time};
use crate::number::grouped;
use crate::progress::TableProgress;
use crate::run::PassKind;
use crate::store::migrate::MigrationReport;
use crate::store::status::{RunRow, RunningRun, RunningState, TableRow};
use crate::table::Table;
use crate::visible::one_line;

/// Number of characters of an id in lists; `status` accepts any unique prefix.
const SHORT_ID: usize = 8;

/// The state of the tables, the current run, and the last runs.
pub(super) fn render_status(status: &Status<'_>, style: Style) -> String {
    let mut out = format!("Schema {}; times in UTC\n\n", one_line(status.schema));
    let columns = [left("table"), right("rows"), right("deleted"), right("pending deletions"), right("rejected")];
    push(&mut out, grid(&columns, &status.tables.iter().map(count_cells).collect::<Vec<_>>(), style));
    out.push('\n');
    let columns =
        [left("table"), left("last success"), right("age"), left("last full sync"), left("watermark").optional()];
    push(&mut out, grid(&columns, &status.tables.iter().map(time_cells).collect::<Vec<_>>(), style));
    out.push('\n');
    if let Some(running) = &status.running {
        out.push_str(&render_running(running, style));
        out.push('\n');
    }
    if let Some(serve) = status.serve.describe() {
        let _ = writeln!(out, "wix-sync serve: {serve}\n");
    }
    if status.runs.is_empty() {
        let text = if status.filtered { "No such run.\n" } else { "No run yet: `wix-sync sync` starts the first.\n" };
        out.push_str(text);
        return out;
    }
    let columns = [
        left("run"),
        left("type"),
        left("status"),
        left("started"),
        right("duration").optional(),
        right("synced").optional(),
        right("rejected"),
    ];
    let mut lines = grid(&columns, &status.runs.iter().map(run_cells).collect::<Vec<_>>(), style).into_iter();
    push(&mut out, lines.next().into_iter().collect());
    // The reason is in the next line: in a column it would break the lines.
    for (line, run) in lines.zip(&status.runs) {
        let _ = writeln!(out, "{line}");
        if let Some(error) = &run.error {
            let reason = format!("  reason: {}", one_line(error.lines().next().unwrap_or_default()));
            let _ = writeln!(out, "{}", cut(&reason, style.width));
        }
    }
    out
}

fn push(out: &mut String, lines: Vec<String>) {
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{line}");
    }
}

fn count_cells(row: &TableRow) -> Vec<Cell> {
    let count = |number: i64| grouped(number.unsigned_abs());
    let warn = |number: i64| Cell::new(&count(number), if number > 0 { Colour::Yellow } else { Colour::None });
    vec![
        row.table.as_str().into(),
        count(row.rows).into(),
        count(row.deleted_rows).into(),
        warn(row.pending_deletions),
        warn(row.rejected_records),
    ]
}

fn time_cells(row: &TableRow) -> Vec<Cell> {
    let minute_or = |time: Option<DateTime<Utc>>, other: &str| time.map_or_else(|| other.to_owned(), minute);
    vec![
        row.table.as_str().into(),
        minute_or(row.last_success_at, "never").into(),
        row.age_seconds.map(age).unwrap_or_default().into(),
        minute_or(row.last_full_sync_at, "never").into(),
        minute_or(row.watermark, "none").into(),
    ]
}

fn run_cells(run: &RunRow) -> Vec<Cell> {
    vec![
        run.id.to_string()[..SHORT_ID].into(),
        run.sync_type.as_str().into(),
        status_cell(run),
        run.started_at.map(minute).unwrap_or_default().into(),
        run_duration(run).unwrap_or_default().into(),
        grouped(run.synced_count.unsigned_abs()).into(),
        grouped(run.error_count.unsigned_abs()).into(),
    ]
}

/// The status, with the exit code if the status does not imply it: `completed (3)`, `failed (130)`.
fn status_cell(run: &RunRow) -> Cell {
    let text = match (run.status.as_str(), run.exit_code) {
        (status, None) | (status @ "completed", Some(0)) | (status @ "failed", Some(1)) => status.to_owned(),
        (status, Some(code)) => format!("{status} ({code})"),
    };
    Cell::new(&text, status_colour(&run.status, run.exit_code))
}

pub(super) fn status_colour(status: &str, exit_code: Option<i32>) -> Colour {
    match (status, exit_code) {
        ("completed", None | Some(0)) => Colour::Green,
        ("completed", _) => Colour::Yellow,
        ("failed", _) => Colour::Red,
        _ => Colour::None,
    }
}

/// `orders: 3 h 5 min ago, at 2026-01-02 06:00 UTC`.
pub(super) fn describe_age(row: &TableRow) -> String {
    match (row.age_seconds, row.last_success_at) {
        (Some(_), Some(at)) if row.is_in_the_future => {
            format!("{}: at {}, which is in the future: a clock was wrong", row.table, time(at))
        }
        (Some(seconds), Some(at)) => format!("{}: {} ago, at {}", row.table, age(seconds), time(at)),
        _ => format!("{}: never", row.table),
    }
}

/// The current run and its progress, or why it is no longer running.
fn render_running(run: &RunningRun, style: Style) -> String {
    let id = &run.run_id.to_string()[..SHORT_ID];
    let heartbeat = run.heartbeat_age_seconds.map(|seconds| format!("last heartbeat {} ago", age(seconds)));
    let lock = run.lock_owner.as_ref().map(|owner| format!("locked by {owner}"));
    let lock: Vec<String> = lock.into_iter().chain(heartbeat).collect();
    let reason = run.reason.as_deref().unwrap_or_default();
    let sync_type = &run.sync_type;
    let mut out = match run.state {
        RunningState::Running => {
            let since = run.started_at.map(|at| format!(" since {}", time(at))).unwrap_or_default();
            style.hanging("", &format!("Running{since}: run {id} ({sync_type})"))
        }
        RunningState::Dead => style.hanging(
            "",
            &format!(
                "Dead: run {id} ({sync_type}) is recorded as running, but {reason}. \
                 The next `wix-sync sync` records it as failed and resumes its work."
            ),
        ),
        RunningState::Unknown => {
            style.hanging("", &format!("Run {id} ({sync_type}) is recorded as running; {reason}."))
        }
    };
    if !lock.is_empty() {
        out.push_str(&style.hanging("", &lock.join(", ")));
    }
    // In the order in which a run syncs them.
    let tables = Table::ALL.iter().filter_map(|table| Some((table.name, run.tables.get(table.name)?)));
    let rows: Vec<Vec<Cell>> = tables
        .map(|(table, progress)| {
            vec![
                format!("  {table}").into(),
                progress.status.as_str().into(),
                progress.pass.map_or("", PassKind::as_str).into(),
                records(progress).into(),
                grouped(progress.requests).into(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let columns = [left("  table"), left("status"), left("kind"), left("records"), right("requests")];
        push(&mut out, grid(&columns, &rows, style));
    }
    out
}

/// `12,000 of 30,000 (40 %)`.
fn records(progress: &TableProgress) -> String {
    match progress.total.filter(|total| *total > 0) {
        // Records created during the run are not in the total.
        Some(total) => {
            let percent = (progress.records.saturating_mul(100) / total).min(100);
            format!("{} of {} ({percent} %)", grouped(progress.records), grouped(total))
        }
        None => grouped(progress.records),
    }
}

/// What `migrate` did, including columns of adopted tables whose meaning changed.
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
            "Adopted {schema}.{table} with its {}; their ids and notes stay.",
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

pub(super) fn run_duration(run: &RunRow) -> Option<String> {
    let took = run.completed_at? - run.started_at?;
    Some(duration(took.to_std().unwrap_or(Duration::ZERO)))
}

/// Cuts the text to the width of the terminal; `status RUN` shows all of it. In a pipe nothing is cut.
fn cut(line: &str, width: Option<usize>) -> String {
    match width.filter(|width| line.chars().count() > *width) {
        Some(width) => line.chars().take(width - 1).chain(['…']).collect(),
        None => line.to_owned(),
    }
}
