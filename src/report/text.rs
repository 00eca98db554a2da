//! Small text formats that several reports share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use console::Term;

use crate::number::grouped;
use crate::run::{TableSummary, UnreadableFields};

/// `1 request`, `2,000 requests`.
pub(super) fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or_default();
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. A second unit that is zero is omitted.
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 9_950 {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    seconds(u64::try_from((millis + 500) / 1000).unwrap_or(u64::MAX))
}

/// The time since an event, as in [`duration`]. Negative values come from different clocks and count as now.
pub(super) fn age(age_seconds: i64) -> String {
    seconds(u64::try_from(age_seconds).unwrap_or_default())
}

fn seconds(seconds: u64) -> String {
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
    };
    let large = format!("{} {}", grouped(large.0), large.1);
    if small.0 == 0 { large } else { format!("{large} {} {}", small.0, small.1) }
}

/// `2026-11-28 07:21 UTC`.
pub(super) fn time(instant: DateTime<Utc>) -> String {
    format!("{} UTC", minute(instant))
}

/// `2026-11-28 07:21`, for tables whose heading says that times are in UTC.
pub(super) fn minute(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M").to_string()
}

/// The result of a pass, in one line without the table's name.
pub(super) fn outcome(summary: &TableSummary) -> String {
    let counts = &summary.counts;
    let kinds = format!(
        "{} inserted, {} updated, {} unchanged",
        grouped(counts.inserted),
        grouped(counts.updated),
        grouped(counts.unchanged)
    );
    describe(summary, kinds)
}

/// Like [`outcome`], without zeros, because a terminal line is short.
pub(super) fn short_outcome(summary: &TableSummary) -> String {
    let counts = &summary.counts;
    let kinds = [(counts.inserted, "inserted"), (counts.updated, "updated"), (counts.unchanged, "unchanged")];
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
        parts.push(format!("{} rejected (see `wix-sync errors`)", grouped(counts.errors)));
    }
    if let Some(text) = unreadable_fields(&summary.unreadable_fields) {
        parts.push(format!("{text} (see `wix-sync errors`)"));
    }
    if summary.repaired_characters > 0 {
        parts.push(format!("{} repaired", counted(summary.repaired_characters, "character")));
    }
    let retries = match summary.retries {
        0 => String::new(),
        1 => " (1 retry)".to_owned(),
        retries => format!(" ({} retries)", grouped(retries)),
    };
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

/// Minimum width, in characters, at which text is wrapped. On narrower terminals there would be too many lines.
const MIN_COLUMNS: usize = 40;

/// The width of the terminal; `None` if it is not a terminal, where lines are not limited.
pub(super) fn columns(term: &Term) -> Option<usize> {
    let width = term.is_term().then(|| term.size_checked()).flatten().map(|(_, columns)| columns.into());
    width.filter(|width| *width >= MIN_COLUMNS)
}

/// Wraps text at spaces into lines of at most `width` characters; a longer word gets its own line.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{age, duration, grouped, time};

    #[test]
    fn numbers_and_durations() {
        assert_eq!(
            [grouped(0_u64), grouped(999_u64), grouped(1000_u64), grouped(1_234_567_u64)],
            ["0", "999", "1,000", "1,234,567"]
        );
        let durations = [0, 350, 4_200, 9_949, 9_950, 59_600, 60_000, 200_000, 7_500_000, 3_599_600, 86_400_000];
        assert_eq!(
            durations.map(|millis| duration(Duration::from_millis(millis))),
            ["0.0 s", "0.3 s", "4.2 s", "9.9 s", "10 s", "1 min", "1 min", "3 min 20 s", "2 h 5 min", "1 h", "1 d"]
        );
        assert_eq!(
            [-3, 59, 300, 3599, 11_100, 273_600].map(age),
            ["0 s", "59 s", "5 min", "59 min 59 s", "3 h 5 min", "3 d 4 h"]
        );
    }

    #[test]
    fn times_say_that_they_are_in_utc() {
        let instant = "2026-11-28T08:21:59.9+01:00".parse().expect("a time");
        assert_eq!(time(instant), "2026-11-28 07:21 UTC");
    }
}
