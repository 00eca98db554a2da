//! Appointments: Wix bookings, read through the Bookings Reader v2 (wix-api.md 3).

use chrono::{DateTime, Utc};

use super::customers::CUSTOMERS;
use super::definition::{Relation, Table};
use super::field::Kind::{Id, Integer, Text, Timestamp};
use super::field::{Cell, Field};
use super::json::{Object, Reading, value_or_note};
use super::listing::{Count, Listing, Lookup, Paging};
use super::row::Contact;
use super::timestamp::{self, Timestamp as Time};

pub static APPOINTMENTS: Table = Table {
    name: "appointments",
    records: "Wix bookings",
    id_column: "wix_booking_id",
    // The `with…` flags stay off: each is one more way to a 403 (wix-api.md 3.2).
    listing: Listing {
        path: "/_api/bookings-reader/v2/extended-bookings/query",
        envelope: "query",
        items: "extendedBookings",
        metadata: "pagingMetadata",
        paging: Paging::Cursor,
        page_limit: 100,
        fieldsets: &[],
        lookup: Lookup::List,
        count: Count::At("/_api/bookings-reader/v2/extended-bookings/count"),
        statuses: None,
        api: "bookings API",
        permission: "Read Bookings - Including Participants",
        app: "Wix Bookings",
    },
    inside: Some("booking"),
    fields: &[
        Field::at("wix_contact_id", Id, "contactDetails.contactId"),
        Field::from("service_id", Text, |booking| booked_text(booking, "serviceId").map(Cell::from)),
        Field::at("service_name", Text, "bookedEntity.title"),
        Field::at("staff_member", Text, "bookedEntity.slot.resource.name"),
        Field::from("start_time", Timestamp, |booking| Times::of(booking).start.map(Cell::from)),
        Field::from("end_time", Timestamp, |booking| Times::of(booking).end.map(Cell::from)),
        Field::from("timezone", Text, |booking| Times::of(booking).zone.map(Cell::from)),
        Field::from("location", Text, location),
        Field::from("participants", Integer, participants),
        Field::status("status", "status", &["CONFIRMED", "CREATED", "CANCELED", "PENDING", "DECLINED", "WAITING_LIST"]),
        Field::status("payment_status", "paymentStatus", &PAYMENT_STATUSES),
    ],
    has_notes: true,
    range_field: Some("startDate"),
    needs: &[&CUSTOMERS],
    relation: Some(Relation::Booking { contact }),
    personal: &["location"],
};

const PAYMENT_STATUSES: [&str; 6] = ["NOT_PAID", "PAID", "PARTIALLY_PAID", "REFUNDED", "EXEMPT", "FAILED"];

/// The contact that a booking names, and what the booking says about it.
pub(super) fn contact(booking: &Object<'_>, unreadable: &mut Vec<&'static str>) -> Contact {
    Contact {
        // Named as a column of the table where it cannot be read.
        wix_id: booking.id("contactDetails.contactId").ok().flatten(),
        first_name: value_or_note(booking.text("contactDetails.firstName"), "contact_first_name", unreadable),
        last_name: value_or_note(booking.text("contactDetails.lastName"), "contact_last_name", unreadable),
        email: value_or_note(booking.short_text("contactDetails.email"), "contact_email", unreadable),
        phone: value_or_note(booking.text("contactDetails.phone"), "contact_phone", unreadable),
    }
}

/// A text of the booked slot, else of the booked course.
fn booked_text(booking: &Object<'_>, name: &str) -> Reading<Option<String>> {
    for place in ["bookedEntity.slot", "bookedEntity.schedule"] {
        if let Some(text) = booking.object(place).text(name)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The place's name, else its address.
fn location(booking: &Object<'_>) -> Reading<Cell> {
    match booked_text(booking, "location.name")? {
        Some(name) => Ok(Cell::Text(name)),
        None => booked_text(booking, "location.formattedAddress").map(Cell::from),
    }
}

/// `totalParticipants`, or the sum of the choices where those are given instead (wix-api.md 3.4).
fn participants(booking: &Object<'_>) -> Reading<Cell> {
    let mut count = booking.integer("totalParticipants")?;
    if count.is_none() {
        count = chosen_participants(booking)?;
    }
    if count.is_none() {
        count = booking.integer("numberOfParticipants")?;
    }
    Ok(count.map_or(Cell::Null, Cell::Integer))
}

fn chosen_participants(booking: &Object<'_>) -> Reading<Option<i64>> {
    let choices = booking.objects("participantsChoices.serviceChoices")?;
    let counts = choices.iter().map(|choice| choice.integer("numberOfParticipants")).collect::<Reading<Vec<_>>>()?;
    Ok(counts.iter().flatten().copied().reduce(i64::saturating_add))
}

/// When a booking starts and ends, and its time zone as Wix names it.
struct Times {
    start: Reading<Option<DateTime<Utc>>>,
    end: Reading<Option<DateTime<Utc>>>,
    zone: Reading<Option<String>>,
}

impl Times {
    /// Start and end: the booking's own, else the slot's, else the first and last session of a course.
    ///
    /// The slot's have been published in UTC, with an offset, and as local time with the zone beside it. Where there is no
    /// zone, or one that is not understood, the booking's own start tells how far the slot's clock is from UTC. Without
    /// that too, local times with an unknown zone cannot be read, and those without any zone are in UTC, as Wix's dates
    /// otherwise are.
    fn of(booking: &Object<'_>) -> Times {
        let (slot, schedule) = (booking.object("bookedEntity.slot"), booking.object("bookedEntity.schedule"));
        let zone = booked_text(booking, "timezone");
        let own_start = booking.timestamp("startDate");
        let slot_start = slot.timestamp("startDate");
        let clock_ahead = match (&own_start, &slot_start) {
            (Ok(Some(Time::Instant(own))), Ok(Some(Time::Local(local)))) => Some(local.and_utc() - own),
            _ => None,
        };
        let unknown_zone = slot.error("timezone", "a known time zone");
        let resolve = |time: Option<Time>| match (time, &zone) {
            (None, _) => Ok(None),
            (Some(Time::Instant(instant)), _) => Ok(Some(instant)),
            (Some(Time::Local(local)), zone) => {
                let zone_name = zone.as_ref().ok().and_then(Option::as_deref);
                let in_zone = zone_name.and_then(|zone| timestamp::in_zone(local, zone));
                match (in_zone, clock_ahead, zone) {
                    (Some(instant), _, _) => Ok(Some(instant)),
                    (_, Some(ahead), _) => Ok(local.and_utc().checked_sub_signed(ahead)),
                    (_, None, Ok(None)) => Ok(Some(local.and_utc())),
                    (_, None, Ok(Some(_))) => Err(unknown_zone.clone()),
                    (_, None, Err(error)) => Err(error.clone()),
                }
            }
        };
        let start = first([own_start, slot_start, schedule.timestamp("firstSessionStart")]).and_then(&resolve);
        let ends = [booking.timestamp("endDate"), slot.timestamp("endDate"), schedule.timestamp("lastSessionEnd")];
        let end = first(ends).and_then(&resolve);
        let is_unknown = [&start, &end].iter().any(|time| time.as_ref().err() == Some(&unknown_zone));
        Times { start, end, zone: if is_unknown { Err(unknown_zone) } else { zone } }
    }
}

/// The first time that is there.
fn first(readings: [Reading<Option<Time>>; 3]) -> Reading<Option<Time>> {
    for reading in readings {
        if let Some(time) = reading? {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::Times;
    use crate::table::json::Object;
    use crate::table::timestamp::render;

    #[track_caller]
    fn check(booking: &str, start: Option<&str>, end: Option<&str>) {
        let booking = Object::parse(booking).unwrap();
        let times = Times::of(&booking);
        let (got_start, got_end) = (times.start.unwrap(), times.end.unwrap());
        assert_eq!((got_start.map(render).as_deref(), got_end.map(render).as_deref()), (start, end));
    }

    fn local(zone: &str) -> String {
        format!(
            r#"{{"bookedEntity":{{"slot":{{"startDate":"2026-07-01T08:00:00","endDate":"2026-07-01T08:30:00"{zone}}}}}}}"#
        )
    }

    #[test]
    fn the_bookings_own_times_come_first() {
        check(
            r#"{"startDate":"2026-09-21T09:30:00.000Z","endDate":"2026-09-21T10:15:00.000Z","bookedEntity":{"slot":{"startDate":"2026-09-22T09:30:00Z"}}}"#,
            Some("2026-09-21T09:30:00.000Z"),
            Some("2026-09-21T10:15:00.000Z"),
        );
        check(
            r#"{"bookedEntity":{"schedule":{"firstSessionStart":"2026-10-01T18:00:00.000+01:00","lastSessionEnd":"2026-11-19T19:30:00.000Z","timezone":"Europe/Dublin"}}}"#,
            Some("2026-10-01T17:00:00.000Z"),
            Some("2026-11-19T19:30:00.000Z"),
        );
        check("{}", None, None);
    }

    #[test]
    fn local_times_use_the_zone_then_the_distance_of_the_two_starts_then_utc() {
        check(
            &local(r#","timezone":"America/New_York""#),
            Some("2026-07-01T12:00:00.000Z"),
            Some("2026-07-01T12:30:00.000Z"),
        );
        check(&local(""), Some("2026-07-01T08:00:00.000Z"), Some("2026-07-01T08:30:00.000Z"));
        for zone in ["", r#","timezone":"Not/AZone""#] {
            let booking = local(zone).replacen('{', r#"{"startDate":"2026-07-01T06:00:00Z","#, 1);
            check(&booking, Some("2026-07-01T06:00:00.000Z"), Some("2026-07-01T06:30:00.000Z"));
        }
    }

    #[test]
    fn an_unknown_zone_costs_local_times_and_no_others() {
        let zone = r#","timezone":"Not/AZone""#;
        let text = local(zone);
        let booking = Object::parse(&text).unwrap();
        let found = Times::of(&booking);
        let reason = "`bookedEntity.slot.timezone` is not a known time zone";
        assert_eq!(found.start.unwrap_err().to_string(), reason);
        assert_eq!(found.end.unwrap_err().to_string(), reason);
        assert_eq!(found.zone.unwrap_err().to_string(), reason);
        let text = local(zone).replace("08:00:00", "08:00:00+02:00").replace("08:30:00", "08:30:00Z");
        let booking = Object::parse(&text).unwrap();
        let found = Times::of(&booking);
        assert_eq!(found.start.unwrap().map(render).as_deref(), Some("2026-07-01T06:00:00.000Z"));
        assert_eq!(found.end.unwrap().map(render).as_deref(), Some("2026-07-01T08:30:00.000Z"));
        assert_eq!(found.zone.unwrap().as_deref(), Some("Not/AZone"));
    }
}
