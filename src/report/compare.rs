//! Prints the result of `verify` and `sync --dry-run` as text and JSON: ids and paths of fields, no values of records.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Purpose;
use super::grid::{Cell, Colour, Style, grid, left, right};
use super::text::{counted, unreadable_fields};
use crate::diff::TableDiff;
use crate::number::grouped;
use crate::run::PassKind;
use crate::visible::one_line;

/// Maximum number of ids in the text, for each kind of difference; `--json` has all that are remembered.
const MAX_NAMED: usize = 10;

pub(super) fn render(found: &[TableDiff], purpose: Purpose, style: Style) -> String {
    if found.is_empty() {
        return String::new();
    }
    let mut out = render_counts(found, purpose, style);
    for diff in found {
        name_differences(&mut out, diff, purpose, style);
    }
    let (text, colour) = verdict(found, purpose);
    let requests: u64 = found.iter().map(|diff| diff.requests).sum();
    let line = style.hanging("", &format!("{text}; {} to Wix.", counted(requests, "request")));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n{}", style.paint(line.trim_end(), colour));
    if purpose == Purpose::DryRun && found.iter().any(|diff| diff.not_in_wix > 0) {
        let note = "Pending deletions would be looked up by id, and marked as deleted if Wix no longer has them.";
        out.push_str(&style.hanging("", note));
    }
    out
}

fn render_counts(found: &[TableDiff], purpose: Purpose, style: Style) -> String {
    let names = match purpose {
        Purpose::Verify => ["in Wix", "up to date", "missing", "different", "not in Wix", "rejected"],
        Purpose::DryRun => ["read", "unchanged", "inserted", "updated", "pending deletions", "rejected"],
    };
    let columns: Vec<_> = std::iter::once(left("table")).chain(names.map(right)).collect();
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|diff| {
            let warn =
                |number: u64| Cell::new(&grouped(number), if number > 0 { Colour::Yellow } else { Colour::None });
            vec![
                diff.table.name.into(),
                grouped(diff.records).into(),
                grouped(diff.up_to_date).into(),
                warn(diff.missing),
                warn(diff.different),
                warn(diff.not_in_wix),
                warn(diff.rejected),
            ]
        })
        .collect();
    grid(&columns, &rows, style).join("\n") + "\n"
}

fn verdict(found: &[TableDiff], purpose: Purpose) -> (String, Colour) {
    let differences: u64 = found.iter().map(TableDiff::differences).sum();
    let rejected: u64 = found.iter().map(|diff| diff.rejected).sum();
    let is_certain = found.iter().all(|diff| diff.notices.is_empty());
    match (purpose, differences) {
        (Purpose::DryRun, _) => ("Nothing was written".to_owned(), Colour::None),
        (Purpose::Verify, 0) if is_certain && rejected > 0 => {
            let rejected = counted(rejected, "rejected record");
            (format!("No differences, but {rejected} (see `wix-sync errors`)"), Colour::Yellow)
        }
        (Purpose::Verify, 0) if is_certain => ("All tables match Wix".to_owned(), Colour::Green),
        (Purpose::Verify, 0) => {
            ("No differences found, but not everything could be compared".to_owned(), Colour::Yellow)
        }
        (Purpose::Verify, _) => (format!("{} found", counted(differences, "difference")), Colour::Red),
    }
}

fn name_differences(out: &mut String, diff: &TableDiff, purpose: Purpose, style: Style) {
    let [missing, different, not_in_wix] = match purpose {
        Purpose::Verify => ["missing", "different", "not in Wix"],
        Purpose::DryRun => ["inserted", "updated", "pending deletions"],
    };
    let id = |wix_id: &String| wix_id.clone();
    let with_fields = |wix_id: &String| match diff.samples.iter().find(|sample| sample.wix_id == *wix_id) {
        None => wix_id.clone(),
        Some(sample) if sample.fields.is_empty() => {
            format!("{wix_id}: changed locally: {}", sample.columns_changed_locally.join(", "))
        }
        Some(sample) => format!("{wix_id}: {}", sample.fields.join(", ")),
    };
    let mut name = |kind: &str, named: Vec<String>, count: u64| {
        if count == 0 {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{} {kind}:", diff.table);
        named.iter().for_each(|line| out.push_str(&style.hanging("  ", line)));
        let more = count.saturating_sub(named.len() as u64);
        if more > 0 {
            let _ = writeln!(out, "  and {} more", grouped(more));
        }
    };
    name(missing, diff.missing_ids.iter().take(MAX_NAMED).map(id).collect(), diff.missing);
    name(different, diff.different_ids.iter().take(MAX_NAMED).map(with_fields).collect(), diff.different);
    name(not_in_wix, diff.not_in_wix_ids.iter().take(MAX_NAMED).map(id).collect(), diff.not_in_wix);
    let rejections = diff.rejections.iter().take(MAX_NAMED).map(|rejection| {
        format!("{}: {}", rejection.wix_id.as_deref().unwrap_or("a record without an id"), rejection.reason)
    });
    name("rejected", rejections.collect(), diff.rejected);
    let mut lines: Vec<String> = unreadable_fields(&diff.unreadable_fields).into_iter().collect();
    lines.extend(diff.notices.iter().cloned());
    if diff.not_installed {
        lines.push("its Wix app is not installed on the site".to_owned());
    }
    if diff.pass == PassKind::Incremental {
        lines.push("an incremental sync; only --full finds rows that are not in Wix".to_owned());
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    for line in lines {
        out.push_str(&style.hanging("", &format!("{}: {}", diff.table, one_line(&line))));
    }
}

pub(super) fn as_json(found: &[TableDiff], purpose: Purpose) -> Value {
    let differences: u64 = found.iter().map(TableDiff::differences).sum();
    let tables: Vec<Value> = found.iter().map(|diff| table_as_json(diff, purpose)).collect();
    match purpose {
        Purpose::Verify => json!({ "version": 1, "purpose": "verify", "differences": differences, "tables": tables }),
        Purpose::DryRun => json!({ "version": 1, "purpose": "dry-run", "tables": tables }),
    }
}

fn table_as_json(diff: &TableDiff, purpose: Purpose) -> Value {
    let [up_to_date, missing, different, not_in_wix] = match purpose {
        Purpose::Verify => ["up_to_date", "missing", "different", "not_in_wix"],
        Purpose::DryRun => ["unchanged", "inserted", "updated", "pending_deletions"],
    };
    let not_in_wix_ids = match purpose {
        Purpose::Verify => "not_in_wix_ids",
        Purpose::DryRun => "pending_deletion_ids",
    };
    json!({
        "table": diff.table,
        "kind": diff.pass,
        "records": diff.records,
        up_to_date: diff.up_to_date,
        missing: diff.missing,
        different: diff.different,
        not_in_wix: diff.not_in_wix,
        "rejected": diff.rejected,
        "new_rejected": diff.new_rejected,
        "unreadable_fields": diff.unreadable_fields,
        "requests": diff.requests,
        "not_installed": diff.not_installed,
        format!("{missing}_ids"): diff.missing_ids,
        format!("{different}_ids"): diff.different_ids,
        not_in_wix_ids: diff.not_in_wix_ids,
        "rejections": diff.rejections,
        "samples": diff.samples,
        "notices": diff.notices,
    })
}
