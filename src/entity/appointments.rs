//! Appointments: Wix bookings, read through the Bookings Reader v2 (wix-api.md 3).

use chrono::{DateTime, TimeDelta, Utc};

use super::Entity;
use crate::json::{FieldError, Object};
use crate::record::{Cell, Column, ColumnKind};
use crate::stream::Stream;
use crate::timestamp::{self, Timestamp};
use crate::wix::{Count, Listing, Lookup, Paging};

pub(super) struct Appointments;

/// The `with…` flags stay off: each is one more way to a 403 (wix-api.md 3.2).
static LISTING: Listing = Listing {
    path: "/_api/bookings-reader/v2/extended-bookings/query",
    envelope: "query",
    items: "extendedBookings",
    metadata: "pagingMetadata",
    paging: Paging::Cursor,
    page_limit: 100,
    fieldsets: &[],
    lookup: Lookup::List,
    count: Count::At("/_api/bookings-reader/v2/extended-bookings/count"),
    wanted: None,
    permission: "Read Bookings - Including Participants",
    app: "Wix Bookings",
};

/// In the order in which `sql/upsert_appointments.sql` takes them. Unnamed are first name, last name, email and phone of
/// the contact: for the customer that is made of them.
const COLUMNS: &[Column] = {
    use ColumnKind::{Integer, Text, Timestamp};
    &[
        Column::named("wix_contact_id", Text),
        Column::unnamed(Text),
        Column::unnamed(Text),
        Column::unnamed(Text),
        Column::unnamed(Text),
        Column::named("service_id", Text),
        Column::named("service_name", Text),
        Column::named("staff_member", Text),
        Column::named("start_time", Timestamp),
        Column::named("end_time", Timestamp),
        Column::named("timezone", Text),
        Column::named("location", Text),
        Column::named("participants", Integer),
        Column::named("status", Text),
        Column::named("payment_status", Text),
    ]
};

impl Entity for Appointments {
    fn stream(&self) -> Stream {
        Stream::Appointments
    }

    fn listing(&self) -> &'static Listing {
        &LISTING
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn body<'a>(&self, item: &Object<'a>) -> Result<Object<'a>, FieldError> {
        item.object("booking")
    }

    fn cells(&self, booking: &Object<'_>) -> Result<Vec<Cell>, FieldError> {
        let entity = booking.object("bookedEntity")?;
        let slot = entity.object("slot")?;
        let schedule = entity.object("schedule")?;
        let contact = booking.object("contactDetails")?;
        let booked = [&slot, &schedule];
        let zone = first_text(&booked, "timezone")?;
        let (start, end) = times(booking, &slot, &schedule, zone.as_deref())?;
        Ok(vec![
            Cell::text(contact.text("contactId")?.filter(|id| !id.is_empty())),
            Cell::text(contact.text("firstName")?),
            Cell::text(contact.text("lastName")?),
            Cell::text(contact.text("email")?),
            Cell::text(contact.text("phone")?),
            Cell::text(first_text(&booked, "serviceId")?),
            Cell::text(entity.text("title")?),
            Cell::text(slot.object("resource")?.text("name")?),
            Cell::timestamp(start),
            Cell::timestamp(end),
            Cell::text(zone),
            Cell::text(location(&booked)?),
            participants(booking)?.map_or(Cell::Null, Cell::Integer),
            Cell::text(booking.text("status")?),
            Cell::text(booking.text("paymentStatus")?),
        ])
    }
}

fn first_text(objects: &[&Object<'_>], name: &str) -> Result<Option<String>, FieldError> {
    for object in objects {
        if let Some(text) = object.text(name)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The place's name, else its address.
fn location(booked: &[&Object<'_>]) -> Result<Option<String>, FieldError> {
    let places = booked.iter().map(|object| object.object("location")).collect::<Result<Vec<_>, _>>()?;
    let places: Vec<&Object<'_>> = places.iter().collect();
    match first_text(&places, "name")? {
        Some(name) => Ok(Some(name)),
        None => first_text(&places, "formattedAddress"),
    }
}

/// `totalParticipants`, or the sum of the choices where those are given instead (wix-api.md 3.4).
fn participants(booking: &Object<'_>) -> Result<Option<i64>, FieldError> {
    if let Some(total) = booking.integer("totalParticipants")? {
        return Ok(Some(total));
    }
    let choices = booking.object("participantsChoices")?.objects("serviceChoices")?;
    let counts = choices.iter().map(|choice| choice.integer("numberOfParticipants")).collect::<Result<Vec<_>, _>>()?;
    match counts.iter().flatten().copied().reduce(i64::saturating_add) {
        Some(sum) => Ok(Some(sum)),
        None => booking.integer("numberOfParticipants"),
    }
}

/// Begin and end.
type Times = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Begin and end: the booking's own, else the slot's, else the first and last session of a course.
///
/// The slot's have been published in UTC, with an offset, and as local time with the zone beside it. Where
/// the zone is missing too, the booking's own begin tells how far the slot's clock is from UTC; where even
/// that is missing, they are taken as UTC, which Wix's dates are in otherwise.
fn times(
    booking: &Object<'_>,
    slot: &Object<'_>,
    schedule: &Object<'_>,
    zone: Option<&str>,
) -> Result<Times, FieldError> {
    let own_start = booking.timestamp("startDate")?;
    let slot_start = slot.timestamp("startDate")?;
    let clock_ahead = match (own_start, slot_start) {
        (Some(Timestamp::Instant(own)), Some(Timestamp::Local(local))) => local.and_utc() - own,
        _ => TimeDelta::zero(),
    };
    let resolve = |timestamp: Timestamp| match timestamp {
        Timestamp::Instant(instant) => Some(instant),
        Timestamp::Local(local) => match zone.and_then(|zone| timestamp::in_zone(local, zone)) {
            Some(instant) => Some(instant),
            None => local.and_utc().checked_sub_signed(clock_ahead),
        },
    };
    let start = own_start.or(slot_start).or(schedule.timestamp("firstSessionStart")?);
    let end = booking.timestamp("endDate")?.or(slot.timestamp("endDate")?).or(schedule.timestamp("lastSessionEnd")?);
    Ok((start.and_then(resolve), end.and_then(resolve)))
}

#[cfg(test)]
mod tests {
    use super::times;
    use crate::json::Object;
    use crate::timestamp::render;

    #[track_caller]
    fn check(booking: &str, zone: Option<&str>, start: Option<&str>, end: Option<&str>) {
        let booking = Object::parse(booking).unwrap();
        let (slot, schedule) = (booking.object("slot").unwrap(), booking.object("schedule").unwrap());
        let (got_start, got_end) = times(&booking, &slot, &schedule, zone).unwrap();
        assert_eq!((got_start.map(render).as_deref(), got_end.map(render).as_deref()), (start, end));
    }

    #[test]
    fn the_bookings_own_times_come_first() {
        check(
            r#"{"startDate":"2026-09-21T09:30:00.000Z","endDate":"2026-09-21T10:15:00.000Z","slot":{"startDate":"2026-09-22T09:30:00Z"}}"#,
            None,
            Some("2026-09-21T09:30:00.000Z"),
            Some("2026-09-21T10:15:00.000Z"),
        );
        check(
            r#"{"schedule":{"firstSessionStart":"2026-10-01T18:00:00.000+01:00","lastSessionEnd":"2026-11-19T19:30:00.000Z"}}"#,
            Some("Europe/Dublin"),
            Some("2026-10-01T17:00:00.000Z"),
            Some("2026-11-19T19:30:00.000Z"),
        );
        check("{}", None, None, None);
    }

    #[test]
    fn local_times_use_the_zone_then_the_distance_of_the_two_begins_then_utc() {
        let slot = r#"{"slot":{"startDate":"2026-07-01T08:00:00","endDate":"2026-07-01T08:30:00"}}"#;
        check(slot, Some("America/New_York"), Some("2026-07-01T12:00:00.000Z"), Some("2026-07-01T12:30:00.000Z"));
        check(slot, None, Some("2026-07-01T08:00:00.000Z"), Some("2026-07-01T08:30:00.000Z"));
        check(slot, Some("Not/AZone"), Some("2026-07-01T08:00:00.000Z"), Some("2026-07-01T08:30:00.000Z"));
        check(
            r#"{"startDate":"2026-07-01T06:00:00Z","slot":{"startDate":"2026-07-01T08:00:00","endDate":"2026-07-01T08:30:00"}}"#,
            None,
            Some("2026-07-01T06:00:00.000Z"),
            Some("2026-07-01T06:30:00.000Z"),
        );
    }
}
