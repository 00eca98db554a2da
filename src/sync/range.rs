//! A range of time that selects appointments by their start.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::wix::query::Until;

/// A range of time. `None` means that it has no bound on this side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<Until>,
}

/// One end of a range, as a user writes it.
#[derive(Clone, Copy)]
pub enum Bound {
    /// A day in UTC. As the end of a range it includes that day.
    Day(NaiveDate),
    Instant(DateTime<Utc>),
}

/// The last year that RFC 3339 supports.
const MAX_YEAR: i32 = 9999;

impl Range {
    /// `None` if the end is before the start.
    pub fn between(from: Option<Bound>, until: Option<Bound>) -> Option<Range> {
        let (from, until) = (from.map(Bound::begin), until.map(Bound::end));
        let is_empty = match (from, until) {
            (Some(from), Some(Until::Including(until))) => until < from,
            (Some(from), Some(Until::Before(until))) => until <= from,
            _ => false,
        };
        (!is_empty).then_some(Range { from, until })
    }
}

impl Bound {
    /// Parses a date such as 2026-01-31.
    pub fn parse_day(text: &str) -> Option<Bound> {
        let day = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()?;
        (0..=MAX_YEAR).contains(&day.year()).then_some(Bound::Day(day))
    }

    pub fn begin(self) -> DateTime<Utc> {
        match self {
            Bound::Day(day) => day.and_time(NaiveTime::MIN).and_utc(),
            Bound::Instant(instant) => instant,
        }
    }

    fn end(self) -> Until {
        match self {
            Bound::Day(day) if day.year() == MAX_YEAR => {
                Until::Including(self.begin() + TimeDelta::days(1) - TimeDelta::milliseconds(1))
            }
            Bound::Day(_) => Until::Before(self.begin() + TimeDelta::days(1)),
            Bound::Instant(instant) => Until::Including(instant),
        }
    }
}
