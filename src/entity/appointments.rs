//! Appointments: Wix bookings, read through the Bookings Reader v2 (wix-api.md 3).

use chrono::{DateTime, Utc};

use super::Entity;
use crate::json::{Object, Reading};
use crate::record::{Cell, Column, ColumnKind};
use crate::stream::Stream;
use crate::timestamp::{self, Timestamp};
use crate::wix::{Count, Listing, Lookup, Paging};

pub(super) struct Appointments;

/// The `with…` flags stay off: each can cause another 403 (wix-api.md 3.2).
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
    statuses: None,
    permission: "Read Bookings - Including Participants",
    app: "Wix Bookings",
};

/// In the order of `sql/upsert_appointments.sql`. Cells that are stored elsewhere are for the customer that is created
/// from the contact's details.
const COLUMNS: &[Column] = {
    use ColumnKind::{Integer, Text, Timestamp};
    &[
        Column::named("wix_contact_id", Text),
        Column::elsewhere("contact_first_name", Text),
        Column::elsewhere("contact_last_name", Text),
        Column::elsewhere("contact_email", Text),
        Column::elsewhere("contact_phone", Text),
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

    fn body<'a>(&self, item: &Object<'a>) -> Object<'a> {
        item.object("booking")
    }

    fn cells(&self, booking: &Object<'_>) -> Vec<Reading<Cell>> {
        let entity = booking.object("bookedEntity");
        let slot = entity.object("slot");
        let schedule = entity.object("schedule");
        let contact = booking.object("contactDetails");
        let booked = [&slot, &schedule];
        let Times { start, end, zone } = times(booking, &slot, &schedule);
        vec![
            contact.id("contactId").map(Cell::text),
            contact.text("firstName").map(Cell::text),
            contact.text("lastName").map(Cell::text),
            contact.short_text("email").map(Cell::text),
            contact.text("phone").map(Cell::text),
            first_text(&booked, "serviceId").map(Cell::text),
            entity.text("title").map(Cell::text),
            slot.object("resource").text("name").map(Cell::text),
            start.map(Cell::timestamp),
            end.map(Cell::timestamp),
            zone.map(Cell::text),
            location(&booked).map(Cell::text),
            participants(booking).map(|count| count.map_or(Cell::Null, Cell::Integer)),
            booking.text("status").map(Cell::text),
            booking.text("paymentStatus").map(Cell::text),
        ]
    }
}

fn first_text(objects: &[&Object<'_>], name: &str) -> Reading<Option<String>> {
    for object in objects {
        if let Some(text) = object.text(name)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The place's name, else its address.
fn location(booked: &[&Object<'_>; 2]) -> Reading<Option<String>> {
    let places = booked.map(|object| object.object("location"));
    let places: Vec<&Object<'_>> = places.iter().collect();
    match first_text(&places, "name")? {
        Some(name) => Ok(Some(name)),
        None => first_text(&places, "formattedAddress"),
    }
}

/// `totalParticipants`, or the sum of the choices where those are given instead (wix-api.md 3.4).
fn participants(booking: &Object<'_>) -> Reading<Option<i64>> {
    let total = booking.integer("totalParticipants")?;
    let count = match total {
        Some(_) => total,
        None => match chosen_participants(booking)? {
            Some(sum) => Some(sum),
            None => booking.integer("numberOfParticipants")?,
        },
    };
    match count {
        // The column is an `integer`.
        Some(count) if i32::try_from(count).is_err() => Err(booking.error("totalParticipants", "a number of people")),
        count => Ok(count),
    }
}

fn chosen_participants(booking: &Object<'_>) -> Reading<Option<i64>> {
    let choices = booking.object("participantsChoices").objects("serviceChoices")?;
    let counts = choices.iter().map(|choice| choice.integer("numberOfParticipants")).collect::<Reading<Vec<_>>>()?;
    Ok(counts.iter().flatten().copied().reduce(i64::saturating_add))
}

/// When a booking starts and ends, and its time zone as Wix names it.
struct Times {
    start: Reading<Option<DateTime<Utc>>>,
    end: Reading<Option<DateTime<Utc>>>,
    zone: Reading<Option<String>>,
}

/// Start and end: the booking's own, else the slot's, else the first and last session of a course.
///
/// The slot's times have been published in UTC, with an offset, and as local time with the zone beside it. Without a
/// zone, or with an unknown one, the booking's own start tells how far the slot's clock is from UTC. Without that too,
/// local times with an unknown zone cannot be read, and those without any zone are taken as UTC, like Wix's other
/// dates.
fn times(booking: &Object<'_>, slot: &Object<'_>, schedule: &Object<'_>) -> Times {
    let zone = first_text(&[slot, schedule], "timezone");
    let own_start = booking.timestamp("startDate");
    let slot_start = slot.timestamp("startDate");
    let clock_ahead = match (&own_start, &slot_start) {
        (Ok(Some(Timestamp::Instant(own))), Ok(Some(Timestamp::Local(local)))) => Some(local.and_utc() - own),
        _ => None,
    };
    let unknown_zone = slot.error("timezone", "a known time zone");
    let resolve = |timestamp: Option<Timestamp>| match (timestamp, &zone) {
        (None, _) => Ok(None),
        (Some(Timestamp::Instant(instant)), _) => Ok(Some(instant)),
        (Some(Timestamp::Local(local)), zone) => {
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
    let first = |own: Reading<Option<Timestamp>>, of_slot, of_schedule: Reading<Option<Timestamp>>| {
        for reading in [own, of_slot] {
            if let Some(timestamp) = reading? {
                return Ok(Some(timestamp));
            }
        }
        of_schedule
    };
    let start = first(own_start, slot_start, schedule.timestamp("firstSessionStart")).and_then(&resolve);
    let end = booking.timestamp("endDate");
    let end = first(end, slot.timestamp("endDate"), schedule.timestamp("lastSessionEnd")).and_then(&resolve);
    let is_unknown = [&start, &end].iter().any(|time| time.as_ref().err() == Some(&unknown_zone));
    Times { start, end, zone: if is_unknown { Err(unknown_zone) } else { zone } }
}

#[cfg(test)]
mod tests {
    use super::times;
    use crate::json::Object;
    use crate::timestamp::render;

    #[track_caller]
    fn check(booking: &str, start: Option<&str>, end: Option<&str>) {
        let booking = Object::parse(booking).unwrap();
        let times = times(&booking, &booking.object("slot"), &booking.object("schedule"));
        let (got_start, got_end) = (times.start.unwrap(), times.end.unwrap());
        assert_eq!((got_start.map(render).as_deref(), got_end.map(render).as_deref()), (start, end));
    }

    fn local(zone: &str) -> String {
        format!(r#"{{"slot":{{"startDate":"2026-07-01T08:00:00","endDate":"2026-07-01T08:30:00"{zone}}}}}"#)
    }

    #[test]
    fn the_bookings_own_times_come_first() {
        check(
            r#"{"startDate":"2026-09-21T09:30:00.000Z","endDate":"2026-09-21T10:15:00.000Z","slot":{"startDate":"2026-09-22T09:30:00Z"}}"#,
            Some("2026-09-21T09:30:00.000Z"),
            Some("2026-09-21T10:15:00.000Z"),
        );
        check(
            r#"{"schedule":{"firstSessionStart":"2026-10-01T18:00:00.000+01:00","lastSessionEnd":"2026-11-19T19:30:00.000Z","timezone":"Europe/Dublin"}}"#,
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
        let found = times(&booking, &booking.object("slot"), &booking.object("schedule"));
        let reason = "`slot.timezone` is not a known time zone";
        assert_eq!(found.start.unwrap_err().to_string(), reason);
        assert_eq!(found.end.unwrap_err().to_string(), reason);
        assert_eq!(found.zone.unwrap_err().to_string(), reason);
        let text = local(zone).replace("08:00:00", "08:00:00+02:00").replace("08:30:00", "08:30:00Z");
        let booking = Object::parse(&text).unwrap();
        let found = times(&booking, &booking.object("slot"), &booking.object("schedule"));
        assert_eq!(found.start.unwrap().map(render).as_deref(), Some("2026-07-01T06:00:00.000Z"));
        assert_eq!(found.end.unwrap().map(render).as_deref(), Some("2026-07-01T08:30:00.000Z"));
        assert_eq!(found.zone.unwrap().as_deref(), Some("Not/AZone"));
    }
}
