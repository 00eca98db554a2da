//! The only place that prints. stdout is for data, stderr for everything else.

mod compare;
mod doctor;
mod error;
mod grid;
mod lines;
mod metrics;
mod progress;
pub mod prompt;
mod rejected;
mod run_detail;
mod status;
mod text;
mod wait;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::MultiProgress;
use serde_json::{Value, json};

use crate::diff::TableDiff;
use crate::doctor::{CheckStatus, Finding};
use crate::event::Reporter;
use crate::json_time;
use crate::run::{RunSummary, TableSummary};
use crate::store::dead_letters::ErrorList;
use crate::store::migrate::MigrationReport;
use crate::store::serve::ServeState;
use crate::store::status::{RunRow, RunningRun, TableRow};
use crate::table::Table;
use crate::visible;

use grid::Style;

pub use error::{log_error, log_exit, print_error};
pub use lines::NEWS;
pub use metrics::{MetricsFile, MetricsText, RunMetrics};

/// True with `--quiet`.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses text unless something is wrong. JSON and files are still written.
pub fn set_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// What a completed run left out and what to do, as a sentence after a comma; `None` if nothing was left out.
fn describe_left_out(summary: &RunSummary) -> Option<String> {
    let reasons: Vec<String> = summary.tables.iter().filter_map(left_out_of).collect();
    (!reasons.is_empty()).then(|| {
        format!("but something was left out (exit code 3, see docs/troubleshooting.md#exit-3): {}", reasons.join("; "))
    })
}

fn left_out_of(summary: &TableSummary) -> Option<String> {
    let mut reasons = Vec::new();
    if summary.counts.errors > 0 {
        reasons.push(format!("{} (see `wix-sync errors`)", text::counted(summary.counts.errors, "rejected record")));
    }
    reasons.extend(summary.left_out.iter().map(|left_out| left_out.text.clone()));
    (!reasons.is_empty()).then(|| format!("{}: {}", summary.table, reasons.join("; ")))
}

/// A line about a rejected record.
fn name_rejected(table: &Table, wix_id: Option<&str>, reason: &str) -> String {
    match wix_id {
        Some(wix_id) => format!("{table}: record {wix_id} was rejected: {reason}"),
        None => format!("{table}: a record without an id was rejected: {reason}"),
    }
}

/// Progress bars on a terminal, else lines.
pub fn choose(bars: &MultiProgress, draws_bars: bool) -> Arc<dyn Reporter> {
    if draws_bars { Arc::new(progress::Progress::new(bars.clone())) } else { Arc::new(lines::Lines::default()) }
}

/// Lines without terminal formatting, for a server.
pub fn lines() -> Arc<dyn Reporter> {
    Arc::new(lines::Lines::default())
}

/// The run's result as one JSON object on stdout. `version` grows when a field changes its meaning or is removed.
pub fn print_run_json(summary: &RunSummary, exit_code: u8) -> io::Result<()> {
    let object = json!({
        "version": 1,
        "run_id": summary.run_id,
        "sync_type": summary.sync_type,
        "status": summary.status,
        "started_at": json_time::text(summary.started_at),
        "duration_ms": summary.duration_ms,
        "synced_count": summary.synced_count(),
        "error_count": summary.error_count(),
        "results": summary.results(),
        "error": summary.error,
        "exit_code": exit_code,
    });
    print_json(&object)
}

/// Prints the findings of `doctor`; the last line has the counts. `version` grows when a field changes its meaning or
/// is removed.
pub fn print_findings(findings: &[Finding], exit_code: u8, as_json: bool) -> io::Result<()> {
    if as_json {
        let count = |status: CheckStatus| findings.iter().filter(|finding| finding.outcome.status == status).count();
        let object = json!({
            "version": 1,
            "checks": findings,
            "problems": count(CheckStatus::Problem),
            "warnings": count(CheckStatus::Warning),
            "exit_code": exit_code,
        });
        return print_json(&object);
    }
    if is_quiet() && findings.iter().all(|finding| finding.outcome.status != CheckStatus::Problem) {
        return Ok(());
    }
    write(&doctor::render_findings(findings, Style::of_stdout()))
}

/// Prints what `migrate` did or would do.
pub fn print_migration(report: &MigrationReport, is_dry_run: bool) -> io::Result<()> {
    print(&status::render_migration(report, is_dry_run))
}

pub fn print_not_migrated(schema: &str, as_json: bool) -> io::Result<()> {
    if as_json {
        let object =
            json!({ "version": 1, "schema": schema, "migrated": false, "running": null, "tables": [], "runs": [] });
        return print_json(&object);
    }
    print(&format!("Schema {schema} is not migrated yet: run `wix-sync migrate`, then `wix-sync sync all`.\n"))
}

#[derive(Debug)]
pub struct Status<'a> {
    pub schema: &'a str,
    /// The run that is recorded as running.
    pub running: Option<RunningRun>,
    pub serve: ServeState,
    pub tables: &'a [TableRow],
    /// With `--max-age`: the tables whose last successful sync is too old.
    pub stale: Option<&'a [&'a TableRow]>,
    /// Newest first.
    pub runs: Vec<RunRow>,
    /// True if the runs are filtered.
    pub filtered: bool,
}

pub fn print_status(status: &Status<'_>, as_json: bool) -> io::Result<()> {
    if as_json {
        let mut object = json!({
            "version": 1,
            "schema": status.schema,
            "migrated": true,
            "running": status.running,
            "serve": status.serve,
            "tables": status.tables,
            "runs": status.runs,
        });
        if let Some(stale) = status.stale {
            object["stale"] = stale.iter().map(|table| table.table.as_str()).collect();
        }
        return print_json(&object);
    }
    print_styled(&status::render_status(status, Style::of_stdout()))
}

/// `orders: 3 h 5 min ago, at 2026-01-02 06:00 UTC`.
pub fn describe_age(table: &TableRow) -> String {
    status::describe_age(table)
}

/// Prints the rejected records and the unreadable fields, without values of records.
pub fn print_errors(schema: &str, errors: &ErrorList, as_json: bool) -> io::Result<()> {
    if as_json {
        let object = json!({
            "version": 1,
            "schema": schema,
            "total": errors.total,
            "rejected_records": errors.records,
            "unreadable_fields": errors.unreadable_fields,
        });
        return print_json(&object);
    }
    print_styled(&rejected::render(schema, errors, Style::of_stdout()))
}

/// The purpose of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Verify,
    DryRun,
}

pub fn print_comparison(found: &[TableDiff], purpose: Purpose, as_json: bool) -> io::Result<()> {
    if as_json {
        return print_json(&compare::as_json(found, purpose));
    }
    let text = compare::render(found, purpose, Style::of_stdout());
    let is_problem =
        purpose == Purpose::Verify && found.iter().any(|diff| diff.differences() > 0 || !diff.notices.is_empty());
    if is_problem { write(&text) } else { print_styled(&text) }
}

pub fn print_run(run: &RunRow, as_json: bool) -> io::Result<()> {
    if as_json {
        return print_json(&json!({ "version": 1, "run": run }));
    }
    print_styled(&run_detail::render(run, Style::of_stdout()))
}

/// Prints the content of a file, such as a completion script, to stdout.
pub fn print_file(contents: &[u8]) -> io::Result<()> {
    write(&String::from_utf8_lossy(contents))
}

/// Prints lines of text to stdout, except with `--quiet`. Terminal control characters are escaped here.
fn print(text: &str) -> io::Result<()> {
    print_styled(&visible::lines(text))
}

/// Like [`print()`], for text with colours, whose cells are already escaped.
fn print_styled(text: &str) -> io::Result<()> {
    if is_quiet() { Ok(()) } else { write(text) }
}

fn print_json(object: &Value) -> io::Result<()> {
    write(&visible::json(&format!("{object}\n")))
}

/// Writes to stdout. A closed pipe is not an error: its reader has read enough.
fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
