//! Instants as whole nanoseconds: parsing and writing Wix's dates, and the simulator's clock.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// Nanoseconds in a millisecond, the precision Wix writes.
pub(crate) const NANOS_PER_MS: i64 = 1_000_000;
/// The date of a record without a readable one; sorts before every other date.
pub(crate) const NO_DATE: i64 = i64::MIN;

/// The simulator's clock: the machine's clock plus an offset, or one fixed instant.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    pub(crate) offset: TimeDelta,
    pub(crate) frozen: Option<DateTime<Utc>>,
}

impl Clock {
    /// Now, cut to milliseconds as every date in a record is.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let now = self.frozen.unwrap_or_else(Utc::now);
        let shifted = now.checked_add_signed(self.offset).unwrap_or(now);
        DateTime::from_timestamp_millis(shifted.timestamp_millis()).unwrap_or(shifted)
    }
}

/// Nanoseconds since 1970; dates beyond 64 bits become the smallest or largest value.
pub(crate) fn nanos(at: DateTime<Utc>) -> i64 {
    let end = if at.timestamp() < 0 { NO_DATE + 1 } else { i64::MAX };
    at.timestamp_nanos_opt().unwrap_or(end)
}

/// Reads a date with zone at full precision.
pub(crate) fn parse_instant(text: &str) -> Option<i64> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(nanos(at.with_timezone(&Utc)))
}

/// Parses a record's date: with a zone, or without one as UTC.
pub(crate) fn parse_record_date(text: &str) -> i64 {
    parse_instant(text)
        .or_else(|| {
            let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
            Some(nanos(local.and_utc()))
        })
        .unwrap_or(NO_DATE)
}

/// Appends a date in Wix's form, `2026-09-14T16:40:07.552Z`.
pub(crate) fn push_date(out: &mut String, at: i64) {
    push_local(out, at);
    out.push('Z');
}

/// Appends a date with milliseconds and without zone.
pub(crate) fn push_local(out: &mut String, at: i64) {
    let ms = at.div_euclid(NANOS_PER_MS);
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    push_digits(out, year, 4);
    out.push('-');
    push_digits(out, month, 2);
    out.push('-');
    push_digits(out, day, 2);
    out.push('T');
    push_digits(out, in_day / 3_600_000, 2);
    out.push(':');
    push_digits(out, in_day / 60_000 % 60, 2);
    out.push(':');
    push_digits(out, in_day / 1000 % 60, 2);
    out.push('.');
    push_digits(out, in_day % 1000, 3);
}

/// The same as a new string.
pub(crate) fn date_text(at: i64) -> String {
    let mut out = String::with_capacity(24);
    push_date(&mut out, at);
    out
}

pub(crate) fn push_digits(out: &mut String, number: i64, width: u32) {
    let mut unit = 10i64.pow(width - 1);
    while unit > 0 {
        out.push((b'0' + (number / unit % 10) as u8) as char);
        unit /= 10;
    }
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_a_round_trip() {
        for text in [
            "2019-03-01T00:00:00.000Z",
            "2024-02-29T23:59:59.999Z",
            "1970-01-01T00:00:00.001Z",
            "1969-12-31T23:59:59.999Z",
        ] {
            assert_eq!(date_text(parse_instant(text).expect("a date with zone")), text);
        }
    }

    #[test]
    fn instants_are_read_with_offsets_and_all_digits() {
        let utc = parse_instant("2026-01-01T00:00:00.123456789Z");
        assert_eq!(parse_instant("2026-01-01T02:00:00.123456789+02:00"), utc);
        assert_eq!(parse_instant("2026-01-01"), None);
        assert_eq!(parse_record_date("no date"), NO_DATE);
    }
}
