//! Writes one generated contact (v4).

use super::Shape;
use super::people::{Completeness, Person};
use super::text::{Dice, push, push_id, push_number, push_uuid};
use crate::clock::{NANOS_PER_MS, push_date, push_digits};
use crate::store::Record;

const SOURCES: [&str; 7] =
    ["WIX_BOOKINGS", "WIX_STORES", "WIX_FORMS", "ADMIN", "IMPORT", "WIX_SITE_MEMBERS", "WIX_CODE"];
const ACTIVITIES: [&str; 5] =
    ["BOOKINGS_APPOINTMENT", "ECOM_PURCHASE", "CONTACT_CREATED", "FORM_SUBMITTED", "MEMBER_LOGIN"];
const LABELS: [&str; 6] = [
    "contacts.customers",
    "contacts.contacted-me",
    "custom.vip",
    "custom.newsletter",
    "custom.wholesale",
    "custom.früher-kunde",
];
const NOTES: [&str; 6] = [
    "Prefers mornings ☀️",
    "Allergic to nuts 🥜; ask twice",
    "Brings a dog 🐕‍🦺",
    "Pays cash",
    "Long-time client 👩‍👩‍👧‍👦 family discount",
    "Quiet room, please. Said: \\\"no music\\\"\\nCall before 18:00",
];
const SUBSCRIPTIONS: [&str; 4] = ["SUBSCRIBED", "NOT_SET", "UNSUBSCRIBED", "PENDING"];
const DELIVERABILITY: [&str; 4] = ["VALID", "NOT_SET", "BOUNCED", "INACTIVE"];

pub(super) fn write(shape: &Shape, record: &Record, basic: bool, out: &mut String) {
    let mut dice = Dice::new(shape.seed, 2, u64::from(record.index));
    let person = Person::of(shape, record.index);
    let full = person.completeness == Completeness::Full;
    let has_phone = person.completeness == Completeness::PhoneOnly || (full && dice.chance(80));
    let has_name = person.completeness != Completeness::EmailOnly;
    let has_last = has_name && full && dice.chance(92);

    push_id(out, "{\"id\":", record.id);
    out.push_str(",\"revision\":");
    push_number(out, dice.below(12) as i64);
    if basic {
        write_primary_info(&person, has_phone, out);
        if has_name {
            out.push_str(",\"info\":{");
            write_name(&person, has_last, out);
            out.push('}');
        }
        out.push('}');
        return;
    }

    push(out, &[",\"source\":{\"sourceType\":\"", dice.pick(&SOURCES), "\""]);
    if dice.chance(70) {
        push_id(out, ",\"appId\":", dice.uuid());
    }
    out.push_str("},\"createdDate\":\"");
    push_date(out, record.created);
    out.push_str("\",\"updatedDate\":\"");
    push_date(out, record.updated);
    out.push('"');
    if dice.chance(85) {
        out.push_str(",\"lastActivity\":{\"activityDate\":\"");
        push_date(out, record.created + dice.below(90_000_000) as i64 * NANOS_PER_MS);
        push(out, &["\",\"activityType\":\"", dice.pick(&ACTIVITIES), "\"}"]);
    }
    write_primary_info(&person, has_phone, out);
    write_info(&person, &mut dice, [has_name, has_last, has_phone, full], out);
    if person.has_email() {
        out.push_str(",\"primaryEmail\":{\"email\":\"");
        person.push_email(out);
        let status = dice.pick(&SUBSCRIPTIONS);
        let deliverability = dice.pick(&DELIVERABILITY);
        push(out, &["\",\"subscriptionStatus\":\"", status, "\",\"deliverabilityStatus\":\"", deliverability, "\"}"]);
    }
    if has_phone {
        push(out, &[",\"primaryPhone\":{\"countryCode\":\"", person.culture.country, "\",\"e164Phone\":\""]);
        person.push_e164(out);
        out.push_str("\",\"formattedPhone\":\"");
        person.push_spaced_phone(out);
        out.push_str("\",\"subscriptionStatus\":\"NOT_SET\",\"phone\":\"");
        person.push_local_phone(out);
        out.push_str("\"}");
    }
    out.push('}');
}

fn write_primary_info(person: &Person, has_phone: bool, out: &mut String) {
    if !person.has_email() && !has_phone {
        return;
    }
    out.push_str(",\"primaryInfo\":{");
    if person.has_email() {
        out.push_str("\"email\":\"");
        person.push_email(out);
        out.push_str(if has_phone { "\"," } else { "\"" });
    }
    if has_phone {
        out.push_str("\"phone\":\"");
        person.push_spaced_phone(out);
        out.push('"');
    }
    out.push('}');
}

fn write_name(person: &Person, has_last: bool, out: &mut String) {
    push(out, &["\"name\":{\"first\":\"", person.first.0, "\""]);
    if has_last {
        push(out, &[",\"last\":\"", person.last.0, "\""]);
    }
    out.push('}');
}

/// Writes `info`; the flags say: has a name, a last name, a phone, and is complete.
fn write_info(person: &Person, dice: &mut Dice, flags: [bool; 4], out: &mut String) {
    let [has_name, has_last, has_phone, full] = flags;
    out.push_str(",\"info\":{");
    if has_name {
        write_name(person, has_last, out);
        out.push(',');
    }
    if person.has_email() {
        push_id(out, "\"emails\":{\"items\":[{\"id\":", dice.uuid());
        out.push_str(",\"tag\":\"MAIN\",\"email\":\"");
        person.push_email(out);
        out.push_str("\",\"primary\":true}");
        if full && dice.chance(20) {
            push_id(out, ",{\"id\":", dice.uuid());
            out.push_str(",\"tag\":\"WORK\",\"email\":\"w.");
            person.push_email(out);
            out.push_str("\",\"primary\":false}");
        }
        out.push_str("]},");
    }
    if has_phone {
        push_id(out, "\"phones\":{\"items\":[{\"id\":", dice.uuid());
        out.push_str(",\"tag\":\"MOBILE\"");
        if full {
            push(out, &[",\"countryCode\":\"", person.culture.country, "\""]);
        }
        out.push_str(",\"phone\":\"");
        person.push_local_phone(out);
        if full {
            out.push_str("\",\"e164Phone\":\"");
            person.push_e164(out);
        }
        out.push_str("\",\"primary\":true}");
        if dice.chance(15) {
            push_id(out, ",{\"id\":", dice.uuid());
            out.push_str(",\"tag\":\"UNTAGGED\",\"phone\":\"ext 12\",\"primary\":false}");
        }
        out.push_str("]},");
    } else if dice.chance(30) {
        out.push_str("\"phones\":{\"items\":[]},");
    }
    if full {
        write_details(person, dice, out);
    }
    write_labels(dice, out);
    write_extended(person, dice, has_name, has_last, out);
    out.push('}');
}

fn write_details(person: &Person, dice: &mut Dice, out: &mut String) {
    let addresses = [0, 1, 1, 1, 2, 3][dice.below(6)];
    if addresses > 0 {
        out.push_str("\"addresses\":{\"items\":[");
        for number in 0..addresses {
            out.push_str(if number > 0 { "," } else { "" });
            push_id(out, "{\"id\":", dice.uuid());
            let tag = ["BILLING", "SHIPPING", "HOME", "UNTAGGED"][(number + dice.below(2)) % 4];
            push(out, &[",\"tag\":\"", tag, "\",\"address\":{"]);
            write_address(person, dice, out);
            out.push_str("}}");
        }
        out.push_str("]},");
    }
    if dice.chance(35) {
        push(out, &["\"company\":\"", person.last.0, " & Co.\","]);
        if dice.chance(60) {
            out.push_str("\"jobTitle\":\"Owner\",");
        }
    }
    if dice.chance(30) {
        out.push_str("\"birthdate\":\"");
        push_digits(out, 1940 + dice.below(65) as i64, 4);
        out.push('-');
        push_digits(out, 1 + dice.below(12) as i64, 2);
        out.push('-');
        push_digits(out, 1 + dice.below(28) as i64, 2);
        out.push_str("\",");
    }
    push(out, &["\"locale\":\"", person.culture.locale, "\","]);
    if dice.chance(15) {
        push_id(out, "\"locations\":{\"items\":[", dice.uuid());
        out.push_str("]},");
    }
    if dice.chance(25) {
        out.push_str("\"picture\":{\"image\":{\"id\":\"");
        let picture = dice.uuid();
        push_uuid(out, picture);
        out.push_str("~mv2.jpg\",\"url\":\"https://static.example/media/");
        push_uuid(out, picture);
        out.push_str("~mv2.jpg\",\"height\":300,\"width\":300}},");
    }
}

/// Writes the fields of an address; bookings and orders use it as well.
pub(super) fn write_address(person: &Person, dice: &mut Dice, out: &mut String) {
    let street = dice.pick(&person.culture.streets);
    let (city, subdivision, postal) = dice.pick(&person.culture.cities);
    let number = 1 + dice.below(400) as i64;
    if dice.chance(35) {
        out.push_str("\"streetAddress\":{\"number\":\"");
        push_number(out, number);
        push(out, &["\",\"name\":\"", street, "\"}"]);
    } else {
        out.push_str("\"addressLine\":\"");
        push_number(out, number);
        push(out, &[" ", street, "\""]);
        if dice.chance(25) {
            out.push_str(",\"addressLine2\":\"Flat 3\"");
        }
    }
    push(
        out,
        &[
            ",\"city\":\"",
            city,
            "\",\"subdivision\":\"",
            subdivision,
            "\",\"country\":\"",
            &subdivision[..2],
            "\",\"postalCode\":\"",
            postal,
            "\"",
        ],
    );
}

fn write_labels(dice: &mut Dice, out: &mut String) {
    out.push_str("\"labelKeys\":{\"items\":[");
    let count = dice.below(4);
    let first = dice.below(LABELS.len());
    for number in 0..count {
        out.push_str(if number > 0 { ",\"" } else { "\"" });
        push(out, &[LABELS[(first + number) % LABELS.len()], "\""]);
    }
    out.push_str("]},");
}

fn write_extended(person: &Person, dice: &mut Dice, has_name: bool, has_last: bool, out: &mut String) {
    out.push_str("\"extendedFields\":{\"items\":{\"contacts.displayByFirstName\":\"");
    if has_name {
        let last = if has_last { person.last.0 } else { "" };
        let space = if has_last { " " } else { "" };
        push(out, &[person.first.0, space, last]);
        push(out, &["\",\"contacts.displayByLastName\":\"", last, space, person.first.0]);
    } else {
        person.push_email(out);
    }
    out.push('"');
    if person.has_email() {
        out.push_str(",\"emailSubscriptions.effectiveEmail\":\"");
        person.push_email(out);
        push(
            out,
            &[
                "\",\"emailSubscriptions.subscriptionStatus\":\"",
                dice.pick(&SUBSCRIPTIONS),
                "\",\"emailSubscriptions.deliverabilityStatus\":\"",
                dice.pick(&DELIVERABILITY),
                "\"",
            ],
        );
    }
    if dice.chance(40) {
        out.push_str(",\"custom.loyalty-points\":");
        push_number(out, dice.below(1000) as i64);
    }
    if dice.chance(30) {
        push(out, &[",\"custom.notes\":\"", dice.pick(&NOTES), "\""]);
    }
    if dice.chance(12) {
        out.push_str(",\"custom.last-visit\":\"2025-0");
        push_number(out, 1 + dice.below(9) as i64);
        out.push_str("-14\"");
    }
    out.push_str("}}");
}
