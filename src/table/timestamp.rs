//! Dates in Wix's formats.
//!
//! Wix documents ISO 8601 in UTC with milliseconds. Events have up to nine fractional digits, and bookings have been
//! published with offsets and as local time without one (wix-api.md 3.4, 5).

use chrono::{
    DateTime, Datelike, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, SubsecRound,
    TimeDelta, TimeZone, Utc,
};
use chrono_tz::{TZ_VARIANTS, Tz};

/// A date and time of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// With `Z` or an offset.
    Instant(DateTime<Utc>),
    /// Without either: local time in some time zone.
    Local(NaiveDateTime),
}

/// Reads a date and time with any number of fractional digits, to the precision of Postgres (microseconds). `None` if
/// the text is not one.
pub fn parse(text: &str) -> Option<Timestamp> {
    let (timestamp, year) = match parse_exactly(text.trim())? {
        Timestamp::Instant(instant) => (Timestamp::Instant(instant.trunc_subsecs(6)), instant.year()),
        Timestamp::Local(local) => (Timestamp::Local(local.trunc_subsecs(6)), local.year()),
    };
    // Wix and Postgres do not accept all years that chrono can parse.
    (0..=9999).contains(&year).then_some(timestamp)
}

/// Reads a calendar date, which may have the time midnight. `None` if the text is not a date. Another time of day is
/// not accepted, because it may be another date in another time zone.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let date = match (NaiveDate::parse_from_str(text, "%Y-%m-%d"), text.split_once(['T', ' '])) {
        (Ok(date), _) => date,
        (Err(_), Some((day, time))) => {
            parse_exactly(text)?;
            let is_midnight = time.bytes().take(8).all(|byte| matches!(byte, b'0' | b':' | b'Z' | b'z'));
            NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|_| is_midnight)?
        }
        _ => return None,
    };
    (0..=9999).contains(&date.year()).then_some(date)
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

/// The instant of a local time in this time zone; `None` if the zone is unknown.
///
/// A zone is a name of the IANA database in upper or lower case, or an offset from UTC, such as `+02:00`, `UTC+2` and
/// `GMT+0200`.
///
/// If the clocks show a local time twice, the first instant is returned. If they skip it, it is moved forward by the
/// length of the skipped time.
pub fn in_zone(local: NaiveDateTime, zone: &str) -> Option<DateTime<Utc>> {
    let zone = zone.trim();
    match named_zone(zone) {
        Some(zone) => in_named_zone(local, zone),
        None => Some(offset(zone)?.from_local_datetime(&local).single()?.with_timezone(&Utc)),
    }
}

fn named_zone(text: &str) -> Option<Tz> {
    text.parse().ok().or_else(|| {
        let name = text.replace(' ', "_");
        TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(&name)).copied()
    })
}

/// `Z`, or an offset from UTC: positive is east of Greenwich, at most 14 hours.
fn offset(text: &str) -> Option<FixedOffset> {
    let prefix = text.get(..3).filter(|prefix| ["UTC", "GMT"].iter().any(|utc| prefix.eq_ignore_ascii_case(utc)));
    let rest = text[prefix.map_or(0, str::len)..].trim_start();
    if prefix.is_none() && rest.eq_ignore_ascii_case("Z") {
        return FixedOffset::east_opt(0);
    }
    let (sign, digits) = match (rest.strip_prefix('+'), rest.strip_prefix(['-', '\u{2212}'])) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return None,
    };
    let digits = digits.trim_start();
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some((hours, minutes)), _) if minutes.len() == 2 => (hours, minutes),
        (None, 3 | 4) => digits.split_at_checked(digits.len() - 2)?,
        (None, 1 | 2) => (digits, "0"),
        _ => return None,
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let is_offset = minutes < 60 && hours * 60 + minutes <= 14 * 60;
    FixedOffset::east_opt(sign * (hours * 60 + minutes) * 60).filter(|_| is_offset)
}

fn in_named_zone(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let instant = match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant,
        LocalResult::None => {
            // The zone's offset of the day before, applied to the skipped time, gives a time after the change.
            let day_before = zone.from_local_datetime(&local.checked_sub_signed(TimeDelta::days(1))?).earliest()?;
            day_before.checked_add_signed(TimeDelta::days(1))?
        }
    };
    Some(instant.with_timezone(&Utc))
}

/// The format of dates in Wix's filters: UTC, with as many fractional digits as needed.
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
    use super::{Timestamp, in_zone, parse, parse_date, render};

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
    fn zones_are_read_in_every_usual_spelling() {
        for (zone, expected) in [
            ("Europe/Berlin", "2026-07-01T06:00:00.000Z"),
            (" europe/berlin ", "2026-07-01T06:00:00.000Z"),
            ("AMERICA/NEW YORK", "2026-07-01T12:00:00.000Z"),
            ("UTC", "2026-07-01T08:00:00.000Z"),
            ("utc", "2026-07-01T08:00:00.000Z"),
            ("Z", "2026-07-01T08:00:00.000Z"),
            ("GMT", "2026-07-01T08:00:00.000Z"),
            ("Etc/UTC", "2026-07-01T08:00:00.000Z"),
            // Names of this area have the opposite sign.
            ("Etc/GMT-2", "2026-07-01T06:00:00.000Z"),
            ("UTC+2", "2026-07-01T06:00:00.000Z"),
            ("GMT+02:00", "2026-07-01T06:00:00.000Z"),
            ("UTC +0200", "2026-07-01T06:00:00.000Z"),
            ("+02:00", "2026-07-01T06:00:00.000Z"),
            ("+5:30", "2026-07-01T02:30:00.000Z"),
            ("-03", "2026-07-01T11:00:00.000Z"),
        ] {
            local("2026-07-01T08:00:00", zone, expected);
        }
        let Some(Timestamp::Local(local)) = parse("2026-07-01T08:00:00") else { panic!("a local time") };
        for zone in ["", "Mars/Olympus", "UTC+", "UTC+99", "+15:00", "+02:60", "+02:0", "02:00", "é+2", "UTC+é", "+0é"]
        {
            assert_eq!(in_zone(local, zone), None, "{zone}");
        }
    }

    #[test]
    fn date_may_have_midnight_and_no_other_time() {
        for text in ["1985-06-07", "1985-06-07T00:00:00.000Z", "1985-06-07T00:00:00+02:00", "1985-06-07 00:00:00"] {
            assert_eq!(parse_date(text).map(|date| date.to_string()).as_deref(), Some("1985-06-07"), "{text}");
        }
        for text in ["", "never", "1985-06-31", "1985-06-06T22:00:00.000Z", "1985-06-07T", "12345-01-01", "07.06.1985"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn invalid_date_is_none() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-02-30", "12345", "+12345-01-01T00:00:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
        let Some(Timestamp::Local(local)) = parse("2026-07-01T08:00:00") else { panic!("a local time") };
        assert_eq!(in_zone(local, "Mars/Olympus"), None);
    }
}
