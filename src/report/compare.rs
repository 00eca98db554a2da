//! The result of `verify` and `sync --dry-run`, as text and as JSON. Ids and paths of fields only: never a value of a
//! record.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::Purpose;
use super::text::{counted, grouped, table, unreadable_fields};
use crate::comparison::Comparison;
use crate::run::PassKind;
use crate::visible::one_line;

/// Maximum ids in the text for each kind of difference; `--json` has all that are remembered.
const MAX_NAMED: usize = 10;

pub(super) fn render(found: &[Comparison], purpose: Purpose) -> String {
    if found.is_empty() {
        return String::new();
    }
    let header = match purpose {
        Purpose::Verify => ["table", "in Wix", "as Wix has it", "missing", "outdated", "not in Wix", "rejected"],
        Purpose::DryRun => ["table", "read", "as before", "to insert", "to update", "to look for", "left out"],
    };
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| {
            let counts =
                [one.listed, one.current, one.missing, one.outdated, one.unlisted, one.new_unreadable() + one.rejected];
            std::iter::once(one.table.to_string()).chain(counts.map(grouped)).collect()
        })
        .collect();
    let mut out = table(&header, &[false, true, true, true, true, true, true], &rows);
    for one in found {
        name_gaps(&mut out, one);
    }
    let requests: u64 = found.iter().map(|one| one.requests).sum();
    let gaps: u64 = found.iter().map(Comparison::gaps).sum();
    let rejected: u64 = found.iter().map(|one| one.rejected).sum();
    let is_certain = found.iter().all(|one| one.notices.is_empty());
    out.push('\n');
    out.push_str(&match (purpose, gaps) {
        (Purpose::Verify, 0) if is_certain && rejected > 0 => {
            format!("No gap found; left out: {} (see `wix-sync errors`)", counted(rejected, "rejected record"))
        }
        (Purpose::Verify, 0) if is_certain => "The tables are as Wix has them".to_owned(),
        (Purpose::Verify, 0) => "No gap found, but not all could be compared".to_owned(),
        (Purpose::Verify, _) => format!("{} found", counted(gaps, "gap")),
        (Purpose::DryRun, _) => "Nothing was written".to_owned(),
    });
    let _ = writeln!(out, "; {} to Wix.", counted(requests, "request"));
    if purpose == Purpose::DryRun && found.iter().any(|one| one.unlisted > 0) {
        out.push_str("Rows that Wix does not list would be asked for by id, and marked as deleted if they are gone.\n");
    }
    out
}

fn name_gaps(out: &mut String, one: &Comparison) {
    let mut name = |kind: &str, ids: &[String], count: u64| {
        if count == 0 {
            return;
        }
        let _ = writeln!(out, "\n{} {kind}:", one.table);
        for wix_id in ids.iter().take(MAX_NAMED) {
            let sample = one.samples.iter().find(|sample| sample.wix_id == *wix_id);
            let differs = sample.map_or(String::new(), |sample| match (&sample.members[..], &sample.columns[..]) {
                ([], []) => String::new(),
                ([], columns) => format!(": in the table only: {}", columns.join(", ")),
                (members, _) => format!(": {}", members.join(", ")),
            });
            let _ = writeln!(out, "  {}{}", one_line(wix_id), one_line(&differs));
        }
        let more = count.saturating_sub(ids.len().min(MAX_NAMED) as u64);
        if more > 0 {
            let _ = writeln!(out, "  and {} more", grouped(more));
        }
    };
    name("missing", &one.missing_ids, one.missing);
    name("outdated", &one.outdated_ids, one.outdated);
    name("not in Wix", &one.unlisted_ids, one.unlisted);
    let known: HashSet<_> = one.rejected_records.iter().collect();
    let new = one.unreadable_records.iter().filter(|record| !known.contains(record));
    for (wix_id, reason) in new.chain(&one.rejected_records).take(MAX_NAMED) {
        let wix_id = one_line(wix_id.as_deref().unwrap_or("without an id"));
        let _ = writeln!(out, "{} {wix_id}: {}", one.table, one_line(reason));
    }
    if let Some(text) = unreadable_fields(&one.unreadable_fields) {
        let _ = writeln!(out, "{}: {text}", one.table);
    }
    for notice in &one.notices {
        let _ = writeln!(out, "{}: {}", one.table, one_line(notice));
    }
    if one.not_installed {
        let _ = writeln!(out, "{}: its Wix app is not installed on the site", one.table);
    }
    if one.pass == PassKind::Incremental {
        let _ = writeln!(out, "{}: a changes pass; only --full looks for rows that Wix does not list", one.table);
    }
}

pub(super) fn as_json(found: &[Comparison], purpose: Purpose) -> Value {
    json!({
        "version": 1,
        "purpose": match purpose { Purpose::Verify => "verify", Purpose::DryRun => "dry-run" },
        "gaps": found.iter().map(Comparison::gaps).sum::<u64>(),
        "tables": found,
    })
}
