//! Prints the result of `errors` as text: rejected records and unreadable fields.

use std::fmt::Write;

use super::grid::{Cell, Style, left, right, wrapped_grid};
use super::text::{counted, minute};
use crate::number::grouped;
use crate::store::dead_letters::{ErrorList, ErrorRow};
use crate::visible::one_line;

/// Maximum number of ids per unreadable field; `--json` has more.
const MAX_NAMED: usize = 10;

const NO_ID: &str = "without an id";

pub(super) fn render(schema: &str, errors: &ErrorList, style: Style) -> String {
    let ErrorList { records, total, unreadable_fields } = errors;
    let schema = one_line(schema);
    if records.is_empty() && unreadable_fields.is_empty() {
        return format!("Schema {schema}: no rejected records\n");
    }
    let mut out = match records.is_empty() {
        true => format!("Schema {schema}: no rejected records, but unreadable fields\n"),
        false => render_records(&schema, records, *total, style),
    };
    for field in unreadable_fields {
        let count = counted(field.records.unsigned_abs(), "record");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\nUnreadable field {}.{} in {count}:", one_line(&field.table), one_line(&field.column));
        for wix_id in field.wix_ids.iter().take(MAX_NAMED) {
            let _ = writeln!(out, "  {}", one_line(wix_id));
        }
        let more = field.records.unsigned_abs().saturating_sub(field.wix_ids.len().min(MAX_NAMED) as u64);
        if more > 0 {
            let _ = writeln!(out, "  and {} more", grouped(more));
        }
    }
    if !unreadable_fields.is_empty() {
        let note = "These columns are NULL; `raw` has what Wix sent. The rest of each record is in its table.";
        out.push('\n');
        out.push_str(&style.hanging("", note));
    }
    out
}

fn render_records(schema: &str, errors: &[ErrorRow], total: i64, style: Style) -> String {
    let rows: Vec<Vec<Cell>> = errors
        .iter()
        .map(|error| {
            vec![
                error.table.as_str().into(),
                error.wix_id.as_deref().unwrap_or(NO_ID).into(),
                grouped(error.tries.unsigned_abs()).into(),
                minute(error.first_failed_at).into(),
                minute(error.last_failed_at).into(),
                error.reason.as_str().into(),
            ]
        })
        .collect();
    let columns = [left("table"), left("Wix id"), right("tries"), left("first try"), left("last try"), left("reason")];
    let mut out = format!("Schema {schema}; times in UTC\n\n");
    match wrapped_grid(&columns, &rows, style) {
        Some(lines) => lines.iter().for_each(|line| {
            let _ = writeln!(out, "{line}");
        }),
        None => errors.iter().for_each(|error| out.push_str(&render_record(error, style))),
    }
    let more = total.unsigned_abs().saturating_sub(errors.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "\nand {} more; --limit N shows more", grouped(more));
    }
    out.push('\n');
    let note = "Each is tried again when it changes in Wix, once a day, and by `wix-sync errors retry`.";
    out.push_str(&style.hanging("", note));
    out
}

/// In separate lines, for a terminal that is too narrow for columns.
fn render_record(error: &ErrorRow, style: Style) -> String {
    let wix_id = error.wix_id.as_deref().unwrap_or(NO_ID);
    let tries = error.tries.unsigned_abs();
    let tries = if tries == 1 { "1 try".to_owned() } else { format!("{} tries", grouped(tries)) };
    let times = format!("{tries}, first {}, last {}", minute(error.first_failed_at), minute(error.last_failed_at));
    [format!("{} {wix_id}", error.table), format!("  {}", error.reason), format!("  {times}")]
        .iter()
        .map(|line| {
            let text = line.trim_start();
            style.hanging(&line[..line.len() - text.len()], text)
        })
        .collect()
}
