//! Sample records and complete sample responses, made after Wix's own types, through the real decode and write path.
//! The expected rows were written by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;

const CONTACTS: [&str; 4] = [
    include_str!("payloads/contact-full.json"),
    include_str!("payloads/contact-phone-only.json"),
    include_str!("payloads/contact-name-only.json"),
    include_str!("payloads/contact-street-address.json"),
];
const BOOKINGS: [&str; 4] = [
    include_str!("payloads/booking-appointment-full.json"),
    include_str!("payloads/booking-course-schedule.json"),
    include_str!("payloads/booking-canceled.json"),
    include_str!("payloads/booking-minimal.json"),
];
const ORDERS: [&str; 6] = [
    include_str!("payloads/order-full.json"),
    include_str!("payloads/order-guest-no-contact.json"),
    include_str!("payloads/order-subscription-refund-multicurrency.json"),
    include_str!("payloads/order-canceled.json"),
    include_str!("payloads/order-imported.json"),
    include_str!("payloads/order-minimal.json"),
];

const NADIA: &str = "0a6d2f5e-1c1b-4e39-9a4e-5a54c3f0b101";
const TOMAS: &str = "0a6d2f5e-1c1b-4e39-9a4e-5a54c3f0b102";
const WALK_IN: &str = "0a6d2f5e-1c1b-4e39-9a4e-5a54c3f0b103";
const LI_WEI: &str = "0a6d2f5e-1c1b-4e39-9a4e-5a54c3f0b104";

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("a sample is JSON")
}

/// A table's rows without the raw records, which are compared separately.
fn rows(world: &World, table: &str, key: &str, samples: &[&str]) -> BTreeMap<String, Value> {
    let mut rows = world.rows(table, key);
    assert_eq!(rows.len(), samples.len());
    for sample in samples {
        let sample = json_of(sample);
        let id = sample["id"].as_str().or(sample["booking"]["id"].as_str()).expect("an id");
        assert_eq!(rows[id]["raw"], sample, "the record as Wix sent it");
    }
    rows.values_mut().for_each(|row| {
        row.remove("raw");
    });
    rows.into_iter().map(|(id, row)| (id, Value::Object(row))).collect()
}

#[track_caller]
fn assert_row(rows: &BTreeMap<String, Value>, key: &str, expected: &Value) {
    let id = expected[key].as_str().expect("a literal with its id");
    let row = &rows[id];
    for (column, value) in expected.as_object().expect("an object") {
        assert_eq!(&row[column], value, "{column} of {id}");
    }
    let columns = row.as_object().expect("an object").keys();
    let forgotten: Vec<&String> = columns.filter(|column| expected.get(column.as_str()).is_none()).collect();
    assert!(forgotten.is_empty(), "the literal does not tell {forgotten:?}");
}

/// All samples, synced.
fn world_of_samples() -> World {
    let world = World::empty().migrated();
    CONTACTS.iter().for_each(|text| world.sim.put_raw(Entity::Contacts, text));
    BOOKINGS.iter().for_each(|text| world.sim.put_raw(Entity::Bookings, text));
    ORDERS.iter().for_each(|text| world.sim.put_raw(Entity::Orders, text));
    world.full_sync_json(&["all"], 0);
    world
}

#[test]
fn sample_contacts_become_these_customers() {
    let world = world_of_samples();
    let rows = rows(&world, "customers", "wix_contact_id", &CONTACTS);
    let expected = [
        json!({
            "wix_contact_id": NADIA, "name": "Nadia Okafor", "first_name": "Nadia", "last_name": "Okafor",
            "email": "nadia.okafor@example.com", "phone": "+353 1 555 0142", "company": "Okafor Design",
            "job_title": "Owner", "birthdate": "1988-03-21", "locale": "en-IE",
            "labels": ["contacts.customers", "custom.vip"], "notes": null, "merged_into": null, "deleted_at": false,
            "wix_created_at": "2025-11-03T08:12:44.193000Z", "wix_updated_at": "2026-09-14T16:40:07.552000Z", "wix_revision": 7,
        }),
        json!({
            "wix_contact_id": TOMAS, "name": "Tomas", "first_name": "Tomas", "last_name": null, "email": null,
            "phone": "087 555 0199", "company": null, "job_title": null, "birthdate": null, "locale": null,
            "labels": null, "notes": null, "merged_into": null, "deleted_at": false,
            "wix_created_at": "2026-01-19T10:05:00.000000Z", "wix_updated_at": "2026-01-19T10:05:00.441000Z", "wix_revision": 1,
        }),
        json!({
            "wix_contact_id": WALK_IN, "name": "Walk-in", "first_name": "Walk-in", "last_name": null, "email": null,
            "phone": null, "company": null, "job_title": null, "birthdate": null, "locale": null,
            "labels": null, "notes": null, "merged_into": null, "deleted_at": false,
            "wix_created_at": "2024-06-30T23:59:59.999000Z", "wix_updated_at": "2024-06-30T23:59:59.999000Z", "wix_revision": 0,
        }),
        json!({
            "wix_contact_id": LI_WEI, "name": "伟 李", "first_name": "伟", "last_name": "李", "email": "li.wei@example.org",
            "phone": null, "company": null, "job_title": null, "birthdate": null, "locale": null,
            "labels": [], "notes": null, "merged_into": null, "deleted_at": false,
            "wix_created_at": "2025-02-11T07:31:20.100000Z", "wix_updated_at": "2026-09-14T16:40:07.552000Z", "wix_revision": 3,
        }),
    ];
    expected.iter().for_each(|row| assert_row(&rows, "wix_contact_id", row));
}

#[test]
fn sample_bookings_become_these_appointments() {
    let world = world_of_samples();
    let rows = rows(&world, "appointments", "wix_booking_id", &BOOKINGS);
    let expected = [
        json!({
            "wix_booking_id": "3c1f7f3a-6a55-4b86-8a6a-2d4b6f9c0a01", "customer": NADIA, "wix_contact_id": NADIA,
            "service_id": "64a1f2b3-2f3e-4a76-b6d5-7b1a2c3d4e01", "service_name": "Cut and finish",
            "staff_member": "Mira Quinn", "start_time": "2026-09-21T09:30:00.000000Z",
            "end_time": "2026-09-21T10:15:00.000000Z", "timezone": "Europe/Dublin", "location": "Main studio",
            "participants": 1, "status": "CONFIRMED", "payment_status": "PAID", "notes": null, "deleted_at": false,
            "wix_created_at": "2026-09-14T16:40:04.870000Z", "wix_updated_at": "2026-09-14T16:41:10.333000Z", "wix_revision": 4,
        }),
        json!({
            "wix_booking_id": "3c1f7f3a-6a55-4b86-8a6a-2d4b6f9c0a02", "customer": TOMAS, "wix_contact_id": TOMAS,
            "service_id": "64a1f2b3-2f3e-4a76-b6d5-7b1a2c3d4e11", "service_name": "Pottery for beginners (8 weeks)",
            "staff_member": null, "start_time": "2026-10-01T17:00:00.000000Z", "end_time": "2026-11-19T19:30:00.000000Z",
            "timezone": "Europe/Dublin", "location": "Church hall", "participants": 3, "status": "PENDING",
            "payment_status": "PARTIALLY_PAID", "notes": null, "deleted_at": false,
            "wix_created_at": "2026-08-30T11:00:00.000000Z", "wix_updated_at": "2026-09-02T09:15:41.007000Z", "wix_revision": 2,
        }),
        json!({
            "wix_booking_id": "3c1f7f3a-6a55-4b86-8a6a-2d4b6f9c0a03", "customer": LI_WEI, "wix_contact_id": LI_WEI,
            "service_id": "64a1f2b3-2f3e-4a76-b6d5-7b1a2c3d4e21", "service_name": "Evening yoga", "staff_member": null,
            "start_time": "2026-09-10T17:00:00.000000Z", "end_time": "2026-09-10T18:00:00.000000Z",
            "timezone": "America/New_York", "location": "500 Hudson St, New York", "participants": 2,
            "status": "CANCELED", "payment_status": "REFUNDED", "notes": null, "deleted_at": false,
            "wix_created_at": "2026-09-01T05:20:00.000000Z", "wix_updated_at": "2026-09-09T22:01:12.900000Z", "wix_revision": 3,
        }),
        json!({
            "wix_booking_id": "3c1f7f3a-6a55-4b86-8a6a-2d4b6f9c0a04", "customer": null, "wix_contact_id": null,
            "service_id": "64a1f2b3-2f3e-4a76-b6d5-7b1a2c3d4e31", "service_name": null, "staff_member": null,
            "start_time": "2026-12-01T08:00:00.000000Z", "end_time": "2026-12-01T08:30:00.000000Z", "timezone": null,
            "location": null, "participants": 1, "status": "CREATED", "payment_status": "UNDEFINED", "notes": null,
            "deleted_at": false, "wix_created_at": "2026-11-01T00:00:00.000000Z", "wix_updated_at": null, "wix_revision": 1,
        }),
    ];
    expected.iter().for_each(|row| assert_row(&rows, "wix_booking_id", row));
}

#[test]
fn sample_orders_become_these_orders() {
    let world = world_of_samples();
    let mut rows = rows(&world, "orders", "wix_order_id", &ORDERS);
    // Only the products' names of the items; the rest equals the record's own list.
    for sample in ORDERS.map(json_of) {
        let cells = rows.get_mut(sample["id"].as_str().expect("an id")).expect("the row");
        let items = &sample["lineItems"];
        assert_eq!(&cells["items"], items);
        let names: Vec<Value> =
            items.as_array().expect("a list").iter().map(|item| item["productName"]["original"].clone()).collect();
        cells["items"] = json!(names);
    }
    let expected = [
        json!({
            "wix_order_id": "e1d2c3b4-a596-4877-8665-544332211001", "customer": NADIA, "wix_contact_id": NADIA,
            "order_number": "10042", "email": "nadia.okafor@example.com", "order_date": "2026-09-14T16:40:00.120000Z",
            "status": "APPROVED", "payment_status": "PAID", "fulfillment_status": "PARTIALLY_FULFILLED", "currency": "EUR",
            "subtotal": "81", "shipping": "6.5", "tax": "15.69", "discount": "3.6", "total_amount": "83.9",
            "items": ["Stoneware mug", "Cut and finish"], "deleted_at": false,
            "wix_created_at": "2026-09-14T16:40:00.120000Z", "wix_updated_at": "2026-09-15T08:02:33.480000Z", "wix_revision": null,
        }),
        json!({
            "wix_order_id": "e1d2c3b4-a596-4877-8665-544332211002", "customer": null, "wix_contact_id": null,
            "order_number": "10043", "email": "guest.buyer@example.net", "order_date": "2026-09-16T21:11:09.004000Z",
            "status": "APPROVED", "payment_status": "NOT_PAID", "fulfillment_status": "NOT_FULFILLED", "currency": "EUR",
            "subtotal": "50", "shipping": "0", "tax": "0", "discount": "0", "total_amount": "50",
            "items": ["Gift card"], "deleted_at": false,
            "wix_created_at": "2026-09-16T21:11:09.004000Z", "wix_updated_at": "2026-09-16T21:11:09.004000Z", "wix_revision": null,
        }),
        json!({
            "wix_order_id": "e1d2c3b4-a596-4877-8665-544332211003", "customer": LI_WEI, "wix_contact_id": LI_WEI,
            "order_number": "10044", "email": "li.wei@example.org", "order_date": "2026-07-01T00:00:00.000000Z",
            "status": "APPROVED", "payment_status": "PARTIALLY_REFUNDED", "fulfillment_status": "FULFILLED", "currency": "USD",
            "subtotal": "65.865", "shipping": "9.99", "tax": "5.815", "discount": "0", "total_amount": "82.92",
            "items": ["Coffee club"], "deleted_at": false,
            "wix_created_at": "2026-07-01T00:00:03.331000Z", "wix_updated_at": "2026-09-18T13:45:59.999000Z", "wix_revision": null,
        }),
        json!({
            "wix_order_id": "e1d2c3b4-a596-4877-8665-544332211004", "customer": TOMAS, "wix_contact_id": TOMAS,
            "order_number": "10041", "email": null, "order_date": "2026-09-02T10:00:00.000000Z",
            "status": "CANCELED", "payment_status": "NOT_PAID", "fulfillment_status": "NOT_FULFILLED", "currency": "EUR",
            "subtotal": "0", "shipping": null, "tax": null, "discount": null, "total_amount": "0",
            "items": ["Custom commission"], "deleted_at": false,
            "wix_created_at": "2026-09-02T10:00:00.000000Z", "wix_updated_at": "2026-09-03T10:30:00.000000Z", "wix_revision": null,
        }),
        json!({
            "wix_order_id": "e1d2c3b4-a596-4877-8665-544332211005", "customer": null, "wix_contact_id": null,
            "order_number": "#WC-1993", "email": "old.customer@example.com", "order_date": "2019-05-05T05:05:05.000000Z",
            "status": "APPROVED", "payment_status": "PAID", "fulfillment_status": "FULFILLED", "currency": "USD",
            "subtotal": "10", "shipping": null, "tax": null, "discount": null, "total_amount": "10",
            "items": ["Legacy product"], "deleted_at": false,
            "wix_created_at": "2019-05-05T05:05:05.000000Z", "wix_updated_at": "2026-08-04T12:00:00.000000Z", "wix_revision": null,
        }),
        json!({
            "wix_order_id": "e1d2c3b4-a596-4877-8665-544332211006", "customer": null, "wix_contact_id": null,
            "order_number": "10045", "email": null, "order_date": "2026-09-20T00:00:00.000000Z",
            "status": "PENDING", "payment_status": "UNSPECIFIED", "fulfillment_status": "NOT_FULFILLED", "currency": null,
            "subtotal": null, "shipping": null, "tax": null, "discount": null, "total_amount": null,
            "items": [], "deleted_at": false,
            "wix_created_at": "2026-09-20T00:00:00.000000Z", "wix_updated_at": "2026-09-20T00:00:00.000000Z", "wix_revision": null,
        }),
    ];
    expected.iter().for_each(|row| assert_row(&rows, "wix_order_id", row));
}

#[test]
fn basic_contact_is_a_row_that_the_full_contact_fills() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Contacts, include_str!("payloads/contact-basic-fieldset.json"));
    world.full_sync_json(&["customers"], 0);
    let columns = "select name, email, company, labels, wix_created_at, wix_revision from customers";
    let basic = json!({"name": "Nadia Okafor", "email": "nadia.okafor@example.com", "company": null, "labels": null,
        "wix_created_at": null, "wix_revision": 7});
    assert_eq!(world.rows_as_json(columns), [basic]);
    world.sim.put_raw(Entity::Contacts, CONTACTS[0]);
    world.full_sync_json(&["customers"], 0);
    let company: String = world.value("select company from customers");
    assert_eq!(company, "Okafor Design");
}

#[test]
fn sample_responses_fill_the_tables() {
    let world = World::empty().migrated();
    for (endpoint, answer) in [
        (Endpoint::ContactsQuery, include_str!("payloads/contacts-v4-list.json")),
        (Endpoint::BookingsQuery, include_str!("payloads/bookings-query-page1.json")),
        (Endpoint::BookingsQuery, include_str!("payloads/bookings-query-last.json")),
        (Endpoint::OrdersSearch, include_str!("payloads/orders-search-page1.json")),
        (Endpoint::OrdersSearch, include_str!("payloads/orders-search-last.json")),
    ] {
        world.sim.fault(Fault::on(endpoint).body(answer));
    }
    let result = world.full_sync_json(&["all"], 0);
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(result["results"][table]["inserted"], 4, "{table}");
    }
    // Bookings and orders are read at the same time; a last request looks for new statuses of orders.
    let mut cursors: Vec<Option<String>> =
        world.sim.requests().iter().map(|request| request.cursor().map(str::to_owned)).collect();
    cursors.sort_unstable();
    let (second_bookings, second_orders) =
        ("eyJvcGFxdWUiOiJib29raW5ncy1wYWdlLTIifQ", "eyJvcGFxdWUiOiJvcmRlcnMtcGFnZS0yIn0");
    assert_eq!(cursors, [None, None, None, None, Some(second_bookings.to_owned()), Some(second_orders.to_owned())]);
}
