//! Appointments: Wix bookings, read through the Bookings Reader v2 (wix-api.md 3).

use chrono::{DateTime, NaiveDateTime, Utc};

use super::customers::CUSTOMERS;
use super::definition::{Events, Relation, Table};
use super::field::Kind::{Id, Integer, Text, Timestamp};
use super::field::{Cell, Field};
use super::json::{FieldError, Object, Reading, value_or_note};
use super::listing::{Count, Listing, Lookup, Paging};
use super::row::Contact;
use super::timestamp::{self, Timestamp as Time};

pub static APPOINTMENTS: Table = Table {
    name: "appointments",
    records: "Wix bookings",
    id_column: "wix_booking_id",
    // The `with…` flags stay off: each needs another permission and may cause a 403 (wix-api.md 3.2).
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
    events: Events { fqdns: &["wix.bookings.v2.booking"], automations: &[("booking_id", "booking_id")] },
    inside: Some("booking"),
    fields: &[
        Field::at("wix_contact_id", Id, "contactDetails.contactId"),
        Field::from("service_id", Text, |booking| booked_text(booking, "serviceId").map(Cell::from)),
        Field::at("service_name", Text, "bookedEntity.title"),
        Field::at("staff_member", Text, "bookedEntity.slot.resource.name"),
        Field::from("start_time", Timestamp, |booking| start(booking).map(Cell::from)),
        Field::from("end_time", Timestamp, |booking| end(booking).map(Cell::from)),
        Field::from("timezone", Text, |booking| timezone(booking).map(Cell::from)),
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

/// The contact that a booking names, with its contact details.
pub(super) fn contact(booking: &Object<'_>, unreadable: &mut Vec<&'static str>) -> Contact {
    Contact {
        // If the contact's id cannot be read, the column `wix_contact_id` is noted as unreadable.
        wix_id: booking.id("contactDetails.contactId").ok().flatten(),
        first_name: value_or_note(booking.text("contactDetails.firstName"), "contact_first_name", unreadable),
        last_name: value_or_note(booking.text("contactDetails.lastName"), "contact_last_name", unreadable),
        email: value_or_note(booking.short_text("contactDetails.email"), "contact_email", unreadable),
        phone: value_or_note(booking.text("contactDetails.phone"), "contact_phone", unreadable),
    }
}

/// A text field of the booked slot, else of the booked course.
fn booked_text(booking: &Object<'_>, name: &str) -> Reading<Option<String>> {
    for place in ["bookedEntity.slot", "bookedEntity.schedule"] {
        if let Some(text) = booking.object(place).text(name)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The name of the location, else its address.
fn location(booking: &Object<'_>) -> Reading<Cell> {
    match booked_text(booking, "location.name")? {
        Some(name) => Ok(Cell::Text(name)),
        None => booked_text(booking, "location.formattedAddress").map(Cell::from),
    }
}

/// `totalParticipants`, or the sum over the choices if those are given instead (wix-api.md 3.4).
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

fn start(booking: &Object<'_>) -> Reading<Option<DateTime<Utc>>> {
    time(booking, "startDate", "firstSessionStart")
}

fn end(booking: &Object<'_>) -> Reading<Option<DateTime<Utc>>> {
    time(booking, "endDate", "lastSessionEnd")
}

/// The time zone as Wix names it; an error if it is unknown and a local time needs it.
fn timezone(booking: &Object<'_>) -> Reading<Option<String>> {
    let errors = [start(booking).err(), end(booking).err()];
    match errors.into_iter().flatten().find(|error| *error == unknown_zone(booking)) {
        Some(unknown) => Err(unknown),
        None => booked_text(booking, "timezone"),
    }
}

fn unknown_zone(booking: &Object<'_>) -> FieldError {
    booking.object("bookedEntity.slot").error("timezone", "a known time zone")
}

/// The booking's own time, else the slot's, else that of the course's first or last session.
fn time(booking: &Object<'_>, name: &str, session: &str) -> Reading<Option<DateTime<Utc>>> {
    let (slot, schedule) = (booking.object("bookedEntity.slot"), booking.object("bookedEntity.schedule"));
    for (object, name) in [(booking, name), (&slot, name), (&schedule, session)] {
        match object.timestamp(name)? {
            Some(Time::Instant(instant)) => return Ok(Some(instant)),
            Some(Time::Local(local)) => return from_local(booking, local),
            None => {}
        }
    }
    Ok(None)
}

/// Reads a local time.
///
/// Slots have been published with times in UTC, with an offset, and as local time with a separate time zone. If the
/// zone is missing or unknown, the difference between the slot's start and the booking's own start is the offset.
/// Without that, a local time with an unknown zone cannot be read, and one without a zone is UTC, like Wix's other
/// dates.
fn from_local(booking: &Object<'_>, local: NaiveDateTime) -> Reading<Option<DateTime<Utc>>> {
    let zone = booked_text(booking, "timezone");
    let zone_name = zone.as_ref().ok().and_then(Option::as_deref);
    if let Some(instant) = zone_name.and_then(|zone| timestamp::in_zone(local, zone)) {
        return Ok(Some(instant));
    }
    let starts = (booking.timestamp("startDate"), booking.object("bookedEntity.slot").timestamp("startDate"));
    if let (Ok(Some(Time::Instant(own))), Ok(Some(Time::Local(slot)))) = starts {
        return Ok(local.and_utc().checked_sub_signed(slot.and_utc() - own));
    }
    match zone? {
        None => Ok(Some(local.and_utc())),
        Some(_) => Err(unknown_zone(booking)),
    }
}

#[cfg(test)]
mod tests {
    use super::{end, start, timezone};
    use crate::table::json::Object;
    use crate::table::timestamp::render;

    #[track_caller]
    fn check(booking: &str, expected_start: Option<&str>, expected_end: Option<&str>) {
        let booking = Object::parse(booking).unwrap();
        let (start, end) = (start(&booking).unwrap().map(render), end(&booking).unwrap().map(render));
        assert_eq!((start.as_deref(), end.as_deref()), (expected_start, expected_end));
    }

    fn local(zone: &str) -> String {
        format!(
            r#"{{"bookedEntity":{{"slot":{{"startDate":"2026-07-01T08:00:00","endDate":"2026-07-01T08:30:00"{zone}}}}}}}"#
        )
    }

    #[test]
    fn times_of_the_booking_come_first() {
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
    fn local_times_use_zone_then_offset_then_utc() {
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
    fn unknown_zone_affects_only_local_times() {
        let zone = r#","timezone":"Not/AZone""#;
        let text = local(zone);
        let booking = Object::parse(&text).unwrap();
        let reason = "`bookedEntity.slot.timezone` is not a known time zone";
        assert_eq!(start(&booking).unwrap_err().to_string(), reason);
        assert_eq!(end(&booking).unwrap_err().to_string(), reason);
        assert_eq!(timezone(&booking).unwrap_err().to_string(), reason);
        let text = local(zone).replace("08:00:00", "08:00:00+02:00").replace("08:30:00", "08:30:00Z");
        let booking = Object::parse(&text).unwrap();
        assert_eq!(start(&booking).unwrap().map(render).as_deref(), Some("2026-07-01T06:00:00.000Z"));
        assert_eq!(end(&booking).unwrap().map(render).as_deref(), Some("2026-07-01T08:30:00.000Z"));
        assert_eq!(timezone(&booking).unwrap().as_deref(), Some("Not/AZone"));
    }
}
