//! Small pieces of text that several reports share.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use console::Term;

use crate::run::{TableSummary, UnreadableFields};
use crate::visible::one_line;

/// `12,345`.
pub(super) fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or_default().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 request`, `2,000 requests`.
pub(super) fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or_default();
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `350 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long ago: `12 s`, `5 min`, `3 h 5 min`, `4 d 2 h`. Negative values come from clocks that differ and count as
/// now.
pub(super) fn age(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A UTC time to the minute; the lines around it say that it is UTC.
pub(super) fn minute(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M").to_string()
}

/// A UTC time to the second.
pub(super) fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What a pass did, in one line without the table's name.
pub(super) fn outcome(summary: &TableSummary) -> String {
    let counts = &summary.counts;
    let kinds = format!(
        "{} new, {} changed, {} as before",
        grouped(counts.inserted),
        grouped(counts.updated),
        grouped(counts.unchanged)
    );
    describe(summary, kinds)
}

/// Like [`outcome`], without zeros: for a terminal, where room is scarce.
pub(super) fn short_outcome(summary: &TableSummary) -> String {
    let counts = &summary.counts;
    let kinds = [(counts.inserted, "new"), (counts.updated, "changed"), (counts.unchanged, "as before")];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", grouped(*count)))
        .collect();
    describe(summary, kinds.join(", "))
}

fn describe(summary: &TableSummary, kinds: String) -> String {
    let counts = &summary.counts;
    let mut parts = vec![format!("{} synced", grouped(counts.synced))];
    if !kinds.is_empty() {
        parts.push(kinds);
    }
    if counts.deleted > 0 {
        parts.push(format!("{} deleted", grouped(counts.deleted)));
    }
    if counts.errors > 0 {
        parts.push(format!("{} left out (see `wix-sync errors`)", grouped(counts.errors)));
    }
    if let Some(text) = unreadable_fields(&summary.unreadable_fields) {
        parts.push(format!("{text} (see `wix-sync errors`)"));
    }
    if summary.repaired_characters > 0 {
        parts.push(format!("{} repaired", counted(summary.repaired_characters, "character")));
    }
    let retries =
        if summary.retries > 0 { format!(", {} of them again", grouped(summary.retries)) } else { String::new() };
    parts.push(format!("{}{retries}", counted(summary.requests, "request")));
    parts.push(duration(Duration::from_millis(summary.duration_ms)));
    parts.join("; ")
}

/// `birthdate could not be read in 3 records, labels in 1`; `None` if all could be read.
pub(super) fn unreadable_fields(fields: &UnreadableFields) -> Option<String> {
    let mut text = String::new();
    for (column, count) in fields.counts() {
        match text.is_empty() {
            true => text = format!("{column} could not be read in {}", counted(count, "record")),
            false => text.push_str(&format!(", {column} in {}", grouped(count))),
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Narrower terminals get no line breaks: there would be too many.
const MIN_COLUMNS: usize = 40;

/// The width of the terminal; `None` if it is not one, and lines have no end.
pub(super) fn columns(term: &Term) -> Option<usize> {
    let width = term.is_term().then(|| term.size_checked()).flatten().map(|(_, columns)| columns.into());
    width.filter(|width| *width >= MIN_COLUMNS)
}

/// Wrapped at spaces into lines of at most `width` characters; a longer word gets a line of its own.
pub(super) fn broken(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.replace('\n', " ")] };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Columns of text, padded to the widest cell; numbers are right-aligned. Cells may be texts of others.
pub(super) fn table(header: &[&str], numeric: &[bool], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell).into_owned()).collect()).collect();
    let width_of = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width_of).collect();
    let render = |cells: &[String]| {
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if numeric[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    std::iter::once(header.as_slice()).chain(rows.iter().map(Vec::as_slice)).map(render).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{age, duration, grouped, table};

    #[test]
    fn numbers_and_durations() {
        assert_eq!(
            [grouped(0_u64), grouped(999_u64), grouped(1000_u64), grouped(1_234_567_u64)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(duration(Duration::from_millis(350)), "350 ms");
        assert_eq!(duration(Duration::from_millis(4200)), "4.2 s");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 5 min");
        assert_eq!([-3, 59, 3599, 11_100, 360_000].map(age), ["0 s", "59 s", "59 min", "3 h 5 min", "4 d 4 h"]);
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![vec!["customers".to_owned(), "5".to_owned()], vec!["orders".to_owned(), "1,000".to_owned()]];
        assert_eq!(
            table(&["table", "rows"], &[false, true], &rows),
            "table       rows\ncustomers      5\norders     1,000\n"
        );
    }
}
