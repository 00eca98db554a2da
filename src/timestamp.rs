//! Dates as Wix writes them.
//!
//! Wix documents ISO 8601 in UTC with milliseconds; events carry up to nine fractional digits, and
//! bookings have been published with offsets and as local time without any (wix-api.md 3.4, 5).

use chrono::{
    DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, SubsecRound, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

/// A point in time as it stands in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// With `Z` or an offset.
    Instant(DateTime<Utc>),
    /// Without either: the wall clock of some time zone.
    Local(NaiveDateTime),
}

/// Reads a date and time, with any number of fractional digits, to the microsecond that Postgres keeps.
/// `None` if it is none.
pub fn parse(text: &str) -> Option<Timestamp> {
    Some(match parse_exactly(text.trim())? {
        Timestamp::Instant(instant) => Timestamp::Instant(instant.trunc_subsecs(6)),
        Timestamp::Local(local) => Timestamp::Local(local.trunc_subsecs(6)),
    })
}

fn parse_exactly(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp::Instant(instant.with_timezone(&Utc)));
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"] {
        if let Ok(instant) = DateTime::parse_from_str(text, format) {
            return Some(Timestamp::Instant(instant.with_timezone(&Utc)));
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return Some(Timestamp::Local(local));
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(Timestamp::Local(date.and_time(NaiveTime::MIN)))
}

/// The instant of a wall clock reading in the named IANA zone; `None` if there is no such zone.
///
/// A reading that the clocks show twice is the first of the two; one that they skip is moved forward
/// by the length of the gap.
pub fn in_zone(local: NaiveDateTime, zone: &str) -> Option<DateTime<Utc>> {
    let zone: Tz = zone.trim().parse().ok()?;
    let instant = match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant,
        LocalResult::None => {
            // The zone's offset before the gap, applied to the skipped reading, lands behind the gap.
            let day_before = zone.from_local_datetime(&local.checked_sub_signed(TimeDelta::days(1))?).earliest()?;
            day_before.checked_add_signed(TimeDelta::days(1))?
        }
    };
    Some(instant.with_timezone(&Utc))
}

/// As Wix wants dates in filters: UTC, with as many fractional digits as there are.
pub fn render(instant: DateTime<Utc>) -> String {
    let format = if instant.timestamp_subsec_nanos().is_multiple_of(1_000_000) {
        SecondsFormat::Millis
    } else {
        SecondsFormat::AutoSi
    };
    instant.to_rfc3339_opts(format, true)
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, in_zone, parse, render};

    #[track_caller]
    fn instant(text: &str, expected: &str) {
        match parse(text) {
            Some(Timestamp::Instant(instant)) => assert_eq!(render(instant), expected),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn local(text: &str, zone: &str, expected: &str) {
        match parse(text) {
            Some(Timestamp::Local(local)) => assert_eq!(in_zone(local, zone).map(render).as_deref(), Some(expected)),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn instants_with_any_fraction_and_offset() {
        instant("2026-09-14T16:40:07.552Z", "2026-09-14T16:40:07.552Z");
        instant("2026-09-14T16:40:07Z", "2026-09-14T16:40:07.000Z");
        instant("2026-09-14T16:40:07.123456Z", "2026-09-14T16:40:07.123456Z");
        instant("2026-09-14T16:40:07.123456789Z", "2026-09-14T16:40:07.123456Z");
        instant("2026-10-01T18:00:00.000+01:00", "2026-10-01T17:00:00.000Z");
        instant("2026-10-01T18:00:00+0530", "2026-10-01T12:30:00.000Z");
        instant("2026-10-01T18:00-03:00", "2026-10-01T21:00:00.000Z");
    }

    #[test]
    fn local_times_follow_their_zone_across_dst() {
        local("2026-07-01T08:00:00", "Europe/Dublin", "2026-07-01T07:00:00.000Z");
        local("2026-12-01T08:00:00", "Europe/Dublin", "2026-12-01T08:00:00.000Z");
        local("2026-11-01T01:30:00", "America/New_York", "2026-11-01T05:30:00.000Z");
        local("2026-03-08T02:30:00", "America/New_York", "2026-03-08T07:30:00.000Z");
        local("2026-03-08", "Asia/Kolkata", "2026-03-07T18:30:00.000Z");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-02-30", "12345"] {
            assert_eq!(parse(text), None, "{text}");
        }
        let Some(Timestamp::Local(local)) = parse("2026-07-01T08:00:00") else { panic!("a local time") };
        assert_eq!(in_zone(local, "Mars/Olympus"), None);
    }
}
