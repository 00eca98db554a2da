//! Writes one generated extended booking.

use super::Shape;
use super::contact::write_address;
use super::people::Person;
use super::text::{Dice, push, push_id, push_number};
use crate::clock::{NANOS_PER_MS, push_date, push_local};
use crate::site::Entity;
use crate::store::Record;

const MINUTE: i64 = 60_000 * NANOS_PER_MS;
const DAY: i64 = 24 * 60 * MINUTE;
const SERVICES: [&str; 5] =
    ["Cut and finish", "Deep tissue massage", "Первая консультация", "ヨガ 60分", "Beratungsgespräch"];
const PAYMENTS: [&str; 6] = ["PAID", "NOT_PAID", "PARTIALLY_PAID", "EXEMPT", "PAID", "UNDEFINED"];
const OPTIONS: [&str; 4] = ["ONLINE", "OFFLINE", "MEMBERSHIP", "ONLINE"];
const NOTES: [&str; 4] = ["Please use the side door 🚪", "First visit", "Wheelchair ♿", "Ohne Voranmeldung geändert"];

pub(super) fn write(shape: &Shape, record: &Record, out: &mut String) {
    let mut dice = Dice::new(shape.seed, 3, u64::from(record.index));
    let kind = dice.below(100);
    push_id(out, "{\"booking\":{\"id\":", record.id);
    // A booking starts on a quarter of an hour, some days after it was made.
    let start = (record.created / (15 * MINUTE) + 1 + dice.below(60 * 96) as i64) * 15 * MINUTE;
    match kind {
        0..=3 => write_minimal(record, &mut dice, start, out),
        4..=15 => write_course(shape, record, &mut dice, start, out),
        _ => write_appointment(shape, record, &mut dice, start, out),
    }
    out.push_str("}}");
}

fn write_minimal(record: &Record, dice: &mut Dice, start: i64, out: &mut String) {
    push_id(out, ",\"totalParticipants\":1,\"bookedEntity\":{\"slot\":{\"serviceId\":", dice.uuid());
    push_id(out, ",\"scheduleId\":", dice.uuid());
    // Local times without a zone, which some old bookings have.
    out.push_str(",\"startDate\":\"");
    push_local(out, start);
    out.push_str("\",\"endDate\":\"");
    push_local(out, start + 30 * MINUTE);
    out.push_str("\"}},\"contactDetails\":{},\"status\":\"CREATED\",\"paymentStatus\":\"UNDEFINED\",\"selectedPaymentOption\":\"UNDEFINED\",\"createdDate\":\"");
    push_date(out, record.created);
    out.push_str("\",\"revision\":\"1\",\"startDate\":\"");
    push_date(out, start);
    out.push_str("\",\"updatedDate\":\"");
    push_date(out, record.updated);
    out.push('"');
}

fn write_course(shape: &Shape, record: &Record, dice: &mut Dice, start: i64, out: &mut String) {
    let end = start + 49 * DAY + 90 * MINUTE;
    push_id(
        out,
        ",\"participantsChoices\":{\"serviceChoices\":[{\"numberOfParticipants\":2,\"choices\":[{\"optionId\":",
        dice.uuid(),
    );
    push_id(out, ",\"custom\":\"adult\"}]},{\"numberOfParticipants\":1,\"choices\":[{\"optionId\":", dice.uuid());
    push_id(out, ",\"custom\":\"child\"}]}]},\"bookedEntity\":{\"schedule\":{\"scheduleId\":", dice.uuid());
    push_id(out, ",\"serviceId\":", dice.uuid());
    out.push_str(",\"location\":{\"name\":\"Church hall\",\"formattedAddress\":\"Mill Lane\",\"locationType\":\"OWNER_CUSTOM\"},\"timezone\":\"Europe/Dublin\",\"firstSessionStart\":\"");
    push_local(out, start + 60 * MINUTE);
    out.push_str("+01:00\",\"lastSessionEnd\":\"");
    push_date(out, end);
    out.push_str("\"},\"title\":\"Pottery for beginners (8 weeks) 🏺\",\"tags\":[\"COURSE\"]},");
    write_contact(shape, dice, out);
    out.push_str(",\"additionalFields\":[");
    write_note(dice, out);
    out.push_str("],\"status\":\"PENDING\",\"paymentStatus\":\"PARTIALLY_PAID\",\"selectedPaymentOption\":\"OFFLINE\"");
    write_end(record, dice, (start, end), out);
}

fn write_appointment(shape: &Shape, record: &Record, dice: &mut Dice, start: i64, out: &mut String) {
    let end = start + 15 * MINUTE * (1 + dice.below(8) as i64);
    out.push_str(",\"totalParticipants\":");
    push_number(out, 1 + dice.below(4) as i64);
    push_id(out, ",\"bookedEntity\":{\"slot\":{\"sessionId\":", dice.uuid());
    push_id(out, ",\"serviceId\":", dice.uuid());
    push_id(out, ",\"scheduleId\":", dice.uuid());
    push_id(out, ",\"eventId\":", dice.uuid());
    // Times are mostly UTC, sometimes with an offset, sometimes local with a time zone.
    let form = dice.below(20);
    out.push_str(",\"startDate\":\"");
    write_slot_time(form, start, out);
    out.push_str("\",\"endDate\":\"");
    write_slot_time(form, end, out);
    push_id(out, "\",\"timezone\":\"Asia/Kolkata\",\"resource\":{\"id\":", dice.uuid());
    push_id(out, ",\"name\":\"Mira Quinn\",\"email\":\"mira@studio.example\",\"scheduleId\":", dice.uuid());
    push_id(out, ",\"type\":\"1cd44cf8-756f-41c3-bd90-3e2ffcaf1155\"},\"location\":{\"id\":", dice.uuid());
    out.push_str(",\"name\":\"Main studio\",\"formattedAddress\":\"14 Harbour Row, Dublin\",\"locationType\":\"OWNER_BUSINESS\"},\"resourceSelections\":[{\"resourceTypeId\":\"1cd44cf8-756f-41c3-bd90-3e2ffcaf1155\",\"selectionMethod\":\"SPECIFIC_RESOURCE\"}],\"allDay\":false},\"title\":\"");
    let tag = if dice.chance(70) { "INDIVIDUAL" } else { "GROUP" };
    push(out, &[dice.pick(&SERVICES), "\",\"tags\":[\"", tag, "\"]},"]);
    write_contact(shape, dice, out);
    if dice.chance(40) {
        out.push_str(",\"additionalFields\":[");
        write_note(dice, out);
        out.push(']');
    }
    let (status, payment) = match dice.below(100) {
        0..=12 => ("CANCELED", "REFUNDED"),
        13..=15 => ("DECLINED", "NOT_PAID"),
        16..=18 => ("WAITING_LIST", "NOT_PAID"),
        19..=24 => ("PENDING", "NOT_PAID"),
        _ => ("CONFIRMED", dice.pick(&PAYMENTS)),
    };
    push(
        out,
        &[
            ",\"status\":\"",
            status,
            "\",\"paymentStatus\":\"",
            payment,
            "\",\"selectedPaymentOption\":\"",
            dice.pick(&OPTIONS),
            "\"",
        ],
    );
    if dice.chance(5) {
        out.push_str(",\"doubleBooked\":true");
    }
    if dice.chance(6) {
        push_id(out, ",\"multiServiceBookingInfo\":{\"id\":", dice.uuid());
        out.push_str(",\"type\":\"SEQUENTIAL_BOOKINGS\"}");
    }
    write_end(record, dice, (start, end), out);
}

fn write_slot_time(form: usize, at: i64, out: &mut String) {
    match form {
        0 | 1 => {
            push_local(out, at + 330 * MINUTE);
            out.push_str("+05:30");
        }
        2 => push_local(out, at + 330 * MINUTE),
        _ => push_date(out, at),
    }
}

fn write_note(dice: &mut Dice, out: &mut String) {
    push_id(out, "{\"id\":", dice.uuid());
    push(out, &[",\"value\":\"", dice.pick(&NOTES), "\",\"label\":\"Notes\",\"valueType\":\"LONG_TEXT\"}"]);
}

/// Mostly an existing contact, sometimes an unknown id, sometimes no id, sometimes nothing.
fn write_contact(shape: &Shape, dice: &mut Dice, out: &mut String) {
    let kind = dice.below(100);
    let contacts = shape.sizes.contacts;
    out.push_str("\"contactDetails\":{");
    if kind < 4 {
        out.push('}');
        return;
    }
    let index = dice.below(contacts.max(1)) as u32;
    let person = Person::of(shape, index);
    match kind {
        4..=9 => {}
        10..=13 => {
            push_id(out, "\"contactId\":", dice.uuid());
            out.push(',');
        }
        _ if contacts == 0 => {}
        _ => {
            push_id(out, "\"contactId\":", shape.id(Entity::Contacts, index));
            out.push(',');
        }
    }
    push(out, &["\"firstName\":\"", person.first.0, "\""]);
    if dice.chance(90) {
        push(out, &[",\"lastName\":\"", person.last.0, "\""]);
    }
    if person.has_email() && dice.chance(90) {
        out.push_str(",\"email\":\"");
        person.push_email(out);
        out.push('"');
    }
    if dice.chance(70) {
        out.push_str(",\"phone\":\"");
        person.push_e164(out);
        out.push('"');
    }
    if dice.chance(30) {
        out.push_str(",\"fullAddress\":{");
        write_address(&person, dice, out);
        out.push('}');
    }
    push(out, &[",\"timeZone\":\"", person.culture.zone, "\",\"countryCode\":\"", person.culture.country, "\"}"]);
}

fn write_end(record: &Record, dice: &mut Dice, times: (i64, i64), out: &mut String) {
    out.push_str(",\"createdDate\":\"");
    push_date(out, record.created);
    out.push_str("\",\"revision\":\"");
    push_number(out, 1 + dice.below(9) as i64);
    let creator = ["memberId", "wixUserId", "anonymousVisitorId", "memberId"][dice.below(4)];
    push(out, &["\",\"createdBy\":{\"", creator, "\":"]);
    push_id(out, "", dice.uuid());
    out.push_str("},\"startDate\":\"");
    push_date(out, times.0);
    out.push_str("\",\"endDate\":\"");
    push_date(out, times.1);
    out.push_str("\",\"updatedDate\":\"");
    push_date(out, record.updated);
    out.push('"');
    if dice.chance(50) {
        push_id(out, ",\"formSubmissionId\":", dice.uuid());
        out.push_str(",\"formId\":\"00000000-0000-0000-0000-000000000000\"");
    }
    out.push_str(",\"appId\":\"13d21c63-b5ec-5912-8397-c3a5ddb27a97\",\"createdByAppId\":\"13d21c63-b5ec-5912-8397-c3a5ddb27a97\",\"depositSelected\":false");
}
