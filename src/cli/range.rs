//! `--start` and `--end` of `sync`: which appointments are read.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

use super::args::{SyncArgs, Target};
use crate::config::ConfigError;
use crate::sync::Range;
use crate::table::timestamp::{self, Timestamp};
use crate::wix::query::Until;

/// The range of time that the arguments name, if they name one.
pub(super) fn parse(args: &SyncArgs) -> Result<Option<Range>, ConfigError> {
    let error = |message: String| ConfigError {
        message,
        hint: Some(
            "a time is a date such as 2025-01-31 (UTC), or RFC 3339 such as 2025-01-31T09:30:00+01:00".to_owned(),
        ),
    };
    let from = args
        .start
        .as_deref()
        .map(|text| bound(text).ok_or_else(|| error(format!("--start: `{text}` is no time"))))
        .transpose()?;
    let until = args
        .end
        .as_deref()
        .map(|text| bound(text).ok_or_else(|| error(format!("--end: `{text}` is no time"))))
        .transpose()?;
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    if Target::tables(&args.targets).iter().all(|table| table.range_field.is_none()) {
        let message = format!("--start and --end are for appointments, not for {}", Target::sync_type(&args.targets));
        return Err(ConfigError { message, hint: None });
    }
    let from = from.map(Bound::begin);
    let until = until.map(Bound::end);
    let empty = match (from, until) {
        (Some(from), Some(Until::Including(until))) => until < from,
        (Some(from), Some(Until::Before(until))) => until <= from,
        _ => false,
    };
    if empty {
        return Err(ConfigError { message: "--end lies before --start".to_owned(), hint: None });
    }
    Ok(Some(Range { from, until }))
}

#[derive(Clone, Copy)]
enum Bound {
    Day(NaiveDate),
    Instant(DateTime<Utc>),
}

/// The last year that RFC 3339 can write.
const MAX_YEAR: i32 = 9999;

fn bound(text: &str) -> Option<Bound> {
    if let Ok(day) = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
        return (0..=MAX_YEAR).contains(&day.year()).then_some(Bound::Day(day));
    }
    match timestamp::parse(text)? {
        Timestamp::Instant(instant) => Some(Bound::Instant(instant)),
        Timestamp::Local(_) => None,
    }
}

impl Bound {
    fn begin(self) -> DateTime<Utc> {
        match self {
            Bound::Day(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
            Bound::Instant(instant) => instant,
        }
    }

    /// As the end of a range, a day is included as a whole.
    fn end(self) -> Until {
        match self {
            // RFC 3339 has no later year.
            Bound::Day(day) if day.year() == MAX_YEAR => {
                Until::Including(self.begin() + TimeDelta::days(1) - TimeDelta::milliseconds(1))
            }
            Bound::Day(_) => Until::Before(self.begin() + TimeDelta::days(1)),
            Bound::Instant(instant) => Until::Including(instant),
        }
    }
}
