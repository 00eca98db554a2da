//! The time range of `sync`: `--start` and `--end`.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::args::SyncArgs;
use super::values::Target;
use crate::config::ConfigError;
use crate::sync::{Bound, Range};
use crate::table::timestamp::{self, Timestamp};

/// The time range, if the arguments give one.
pub(super) fn parse(args: &SyncArgs) -> Result<Option<Range>, ConfigError> {
    let now = Utc::now();
    let read = |flag: &str, text: &Option<String>| match text {
        Some(text) => bound(text, now).map(Some).ok_or_else(|| ConfigError {
            message: format!("`{flag} {text}`: not a date (use 2026-01-31, 2026-01-31T10:00:00Z or 7d)"),
            hint: None,
        }),
        None => Ok(None),
    };
    let (from, until) = (read("--start", &args.start)?, read("--end", &args.end)?);
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    if Target::tables(&args.targets).iter().all(|table| table.range_field.is_none()) {
        let message = format!("--start and --end are for appointments, not for {}", Target::sync_type(&args.targets));
        return Err(ConfigError { message, hint: None });
    }
    let is_empty = || ConfigError { message: "--end is before --start".to_owned(), hint: None };
    Range::between(from, until).map(Some).ok_or_else(is_empty)
}

/// Parses a date, a time (UTC if it has no time zone), or a duration before now, such as `7d`.
fn bound(text: &str, now: DateTime<Utc>) -> Option<Bound> {
    if let Ok(duration) = humantime::parse_duration(text.trim()) {
        let time = now.checked_sub_signed(TimeDelta::from_std(duration).ok()?)?;
        return (time.year() >= 0).then_some(Bound::Instant(time));
    }
    if let Some(day) = Bound::parse_day(text) {
        return Some(day);
    }
    Some(Bound::Instant(match timestamp::parse(text)? {
        Timestamp::Instant(instant) => instant,
        Timestamp::Local(local) => local.and_utc(),
    }))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::bound;

    #[test]
    fn bounds_are_dates_times_or_ages() {
        let now: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T10:00", "2026-01-31T10:00:00Z"),
            ("2026-01-31T10:00:30", "2026-01-31T10:00:30Z"),
            ("2026-01-31T10:00+02:00", "2026-01-31T08:00:00Z"),
            ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
            ("7d", "2026-03-03T12:00:00Z"),
            ("90min", "2026-03-10T10:30:00Z"),
            (" 2h ", "2026-03-10T10:00:00Z"),
        ] {
            assert_eq!(bound(text, now).map(|bound| bound.begin().to_rfc3339()), Some(expected.replace('Z', "+00:00")));
        }
        for text in
            ["", "yesterday", "7", "-7d", "9999999999999999d", "99999y", "2026-02-30", "2026-13-01T10:00", "10:00"]
        {
            assert!(bound(text, now).is_none(), "{text}");
        }
    }
}
