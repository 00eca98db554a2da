//! Prints the result of `status RUN`: one run as text, with a column per table.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value};

use super::grid::{Cell, Colour, Column, Style, grid, left, right};
use super::status::{run_duration, status_colour};
use super::text::{counted, duration, time};
use crate::number::grouped;
use crate::store::status::RunRow;
use crate::visible::one_line;

/// Maximum number of listed rejected records per table.
const MAX_LISTED: usize = 20;

/// The counts of a table: the field of `results`, its name in text, and whether it is shown if it is zero.
const ROWS: [(&str, &str, bool); 11] = [
    ("kind", "kind", true),
    ("status", "status", true),
    ("inserted", "inserted", true),
    ("updated", "updated", true),
    ("unchanged", "unchanged", true),
    ("deleted", "deleted", true),
    ("errors", "rejected", true),
    ("requests", "requests", true),
    ("retries", "retries", false),
    ("repaired_characters", "repaired characters", false),
    ("duration_ms", "duration", true),
];

type Tables<'a> = Vec<(&'a str, &'a Map<String, Value>)>;

pub(super) fn render(run: &RunRow, style: Style) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str, colour: Colour| {
        let text = style.hanging(&format!("{name:<10}"), value);
        out.push_str(&style.paint(text.trim_end(), colour));
        out.push('\n');
    };
    line("run", &run.id.to_string(), Colour::None);
    line("type", &run.sync_type, Colour::None);
    let exit = run.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    line("status", &format!("{}{exit}", run.status), status_colour(&run.status, run.exit_code));
    line("started", &run.started_at.map(time).unwrap_or_default(), Colour::None);
    line("ended", &run.completed_at.map_or_else(|| "not recorded yet".to_owned(), time), Colour::None);
    if let Some(took) = run_duration(run) {
        line("duration", &took, Colour::None);
    }
    line("synced", &grouped(run.synced_count.unsigned_abs()), Colour::None);
    line("rejected", &grouped(run.error_count.unsigned_abs()), Colour::None);
    for reason in run.error.iter().flat_map(|error| error.lines()) {
        line("reason", reason, Colour::None);
    }
    let results = run.results.as_ref().and_then(Value::as_object).into_iter().flatten();
    let tables: Tables<'_> =
        results.filter_map(|(table, result)| Some((table.as_str(), result.as_object()?))).collect();
    if !tables.is_empty() {
        out.push('\n');
        out.push_str(&render_counts(&tables, style));
    }
    for (table, result) in &tables {
        out.push_str(&render_reasons(table, result, style));
    }
    out
}

/// One row per count and one column per table, which fits every terminal.
fn render_counts(tables: &Tables<'_>, style: Style) -> String {
    let names: Vec<String> = tables.iter().map(|(table, _)| one_line(table).into_owned()).collect();
    let columns: Vec<Column<'_>> = std::iter::once(left("")).chain(names.iter().map(|name| right(name))).collect();
    let rows: Vec<Vec<Cell>> = ROWS
        .iter()
        .filter(|(field, _, if_zero)| {
            let is_shown = |result: &Map<String, Value>| number(result, field) > 0 || *if_zero && has(result, field);
            tables.iter().any(|(_, result)| is_shown(result))
        })
        .map(|(field, name, _)| {
            let cells = tables.iter().map(|(_, result)| cell(result, field));
            std::iter::once(Cell::from(*name)).chain(cells).collect()
        })
        .collect();
    grid(&columns, &rows, style).join("\n") + "\n"
}

fn has(result: &Map<String, Value>, field: &str) -> bool {
    result.contains_key(field) || field == "kind" && result.contains_key("pass")
}

fn number(result: &Map<String, Value>, field: &str) -> u64 {
    result.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn cell(result: &Map<String, Value>, field: &str) -> Cell {
    let text = |field: &str| result.get(field).and_then(Value::as_str);
    match field {
        // Runs of earlier versions have other field names.
        "kind" => match text("kind").or_else(|| text("pass")) {
            Some("changes") => "incremental".into(),
            Some("errors") => "retry".into(),
            other => other.unwrap_or_default().into(),
        },
        "status" => {
            let status = text("status").unwrap_or_default();
            let is_incomplete = number(result, "errors") > 0 || is_true(result, "incomplete");
            Cell::new(status, status_colour(status, Some(if is_incomplete { 3 } else { 0 })))
        }
        _ if !result.contains_key(field) => "".into(),
        "duration_ms" => duration(Duration::from_millis(number(result, field))).into(),
        "errors" if number(result, field) > 0 => Cell::new(&grouped(number(result, field)), Colour::Yellow),
        _ => grouped(number(result, field)).into(),
    }
}

fn is_true(result: &Map<String, Value>, field: &str) -> bool {
    result.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// Why a table failed or is incomplete, and what was rejected.
fn render_reasons(table: &str, result: &Map<String, Value>, style: Style) -> String {
    let mut lines = Vec::new();
    if is_true(result, "resumed") {
        lines.push("resumed the work of an earlier run".to_owned());
    }
    lines.extend(result.get("error").and_then(Value::as_str).map(|error| format!("failed: {error}")));
    for notice in result.get("notices").and_then(Value::as_array).into_iter().flatten() {
        let kind = if is_true(result, "incomplete") { "incomplete" } else { "notice" };
        lines.push(format!("{kind}: {}", notice.as_str().unwrap_or_default()));
    }
    for (column, count) in result.get("unreadable_fields").and_then(Value::as_object).into_iter().flatten() {
        let records = counted(count.as_u64().unwrap_or_default(), "record");
        lines.push(format!("unreadable field: {column} in {records} (written as NULL)"));
    }
    let details: Vec<&Value> = result.get("error_details").and_then(Value::as_array).into_iter().flatten().collect();
    for detail in details.iter().take(MAX_LISTED) {
        let field = |name: &str| detail.get(name).and_then(Value::as_str);
        lines.push(format!(
            "rejected: {}: {}",
            field("wix_id").unwrap_or("a record without an id"),
            field("reason").unwrap_or_default()
        ));
    }
    let more = number(result, "errors").saturating_sub(details.len().min(MAX_LISTED) as u64);
    if more > 0 && !details.is_empty() {
        lines.push(format!("rejected: and {} more (see `wix-sync errors`)", grouped(more)));
    }
    let mut out = String::new();
    if !lines.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{}", one_line(table));
    }
    lines.iter().for_each(|line| out.push_str(&style.hanging("  ", line)));
    out
}
