//! Whole sites from Wix to the tables: first loads, second runs, edits, changes during pagination.

use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use wix_sim::{CursorStyle, Endpoint, Entity, Fault, Sim, Site, Sizes, TieOrder};

use crate::support::harness::World;
use crate::support::truth::{Truth, differences};

const TABLES: [(&str, &str); 3] =
    [("customers", "wix_contact_id"), ("appointments", "wix_booking_id"), ("orders", "wix_order_id")];

/// The transaction that wrote each row last: any new version of a row changes it.
fn row_versions(world: &World) -> Vec<Value> {
    let parts: Vec<String> = TABLES
        .iter()
        .map(|(table, key)| format!("select '{table}' t, {key} k, xmin::text, updated_at::text from {table}"))
        .collect();
    world.rows_as_json(&format!("{} order by 1, 2", parts.join(" union all ")))
}

fn site_of(sizes: Sizes, change: impl FnOnce(wix_sim::SimBuilder) -> wix_sim::SimBuilder) -> World {
    World::with_sim(change(Sim::builder()).start(Site::generate(sizes)).expect("the simulator starts")).migrated()
}

/// Fails if a contact that exists in Wix is missing or different in the table.
#[track_caller]
fn assert_no_contact_is_missing(world: &World) {
    let truth = Truth { bookings: Vec::new(), orders: Vec::new(), ..Truth::of(&world.sim) }.customers();
    let mut found = world.rows("customers", "wix_contact_id");
    // Records that were deleted during pagination may have been read before: only a later pass finds out.
    found.retain(|id, _| truth.contains_key(id));
    assert_eq!(differences("customers", &truth, &found), Vec::<String>::new());
}

#[test]
fn second_run_of_a_whole_site_changes_no_row() {
    let world = World::new(3500, 650, 620).migrated();
    // Appointments and orders are read at the same time: the last page of one waits for the first page of the other.
    let ((orders_begin, orders_begun), (tell, told)) = (channel(), channel());
    world.sim.on_request(Endpoint::OrdersSearch, 1, move |_| {
        // Nobody may be waiting any more.
        let _ = orders_begin.send(());
    });
    world.sim.on_request(Endpoint::BookingsQuery, 7, move |_| {
        let _ = tell.send(orders_begun.recv_timeout(Duration::from_secs(20)).is_ok());
    });
    let first = world.sync_json(&["all"], 0);
    assert_eq!(told.try_recv(), Ok(true), "orders are read beside appointments");
    world.assert_tables_equal_truth();
    let stubs: i64 = world.value("select count(*) from customers where raw is null");
    assert!(stubs > 0, "the site has bookings of contacts that it does not have");
    assert_eq!(first["results"]["customers"]["inserted"], 3500);
    let orders = world.sim.orders().len();
    assert_eq!(first["results"]["orders"]["inserted"], orders);

    // The minimum with Wix's pages: pages of contacts overlap by one record, and one request searches for new statuses.
    let least = [
        (Endpoint::ContactsQuery, 4),
        (Endpoint::BookingsQuery, 7),
        (Endpoint::OrdersSearch, orders.div_ceil(100) + 1),
    ];
    for (endpoint, requests) in least {
        assert_eq!(world.sim.request_count(endpoint), requests, "{endpoint:?}");
    }
    let order: Vec<Endpoint> = world.sim.requests().iter().map(|request| request.endpoint).collect();
    assert!(order[..4].iter().all(|endpoint| *endpoint == Endpoint::ContactsQuery), "the others link to customers");

    let before = row_versions(&world);
    let second = world.sync_json(&["all"], 0);
    assert_eq!(row_versions(&world), before);
    for (table, _) in TABLES {
        let results = &second["results"][table];
        assert_eq!((&results["kind"], &results["synced"]), (&json!("incremental"), &json!(0)), "{table}");
        assert_eq!(results["requests"], 1, "{table}");
    }
    world.assert_tables_equal_truth();

    let third = world.full_sync_json(&["appointments"], 0);
    assert_eq!(row_versions(&world), before, "nor does a full sync");
    let (first, third) = (&first["results"]["appointments"], &third["results"]["appointments"]);
    assert_eq!((&third["unchanged"], &third["updated"]), (&first["inserted"], &json!(0)));
}

#[test]
fn edits_and_additions_arrive_and_are_counted() {
    let world = World::new(1300, 230, 220).migrated();
    world.sync_json(&["all"], 0);
    let contacts = world.sim.contacts();
    for contact in contacts.iter().step_by(400) {
        let id = contact["id"].as_str().expect("an id");
        world.sim.edit(Entity::Contacts, id, |contact| {
            contact["info"]["name"] = json!({"first": "Zoë", "last": "O’Neill \"Z\""});
            contact["info"]["labelKeys"] = json!({"items": []});
            contact["primaryInfo"] = json!({"phone": "+49 30 555 0100"});
        });
    }
    for booking in world.sim.bookings().iter().take(2) {
        let id = booking["booking"]["id"].as_str().expect("an id");
        world.sim.edit(Entity::Bookings, id, |booking| booking["booking"]["status"] = json!("CANCELED"));
    }
    let order = world.sim.orders()[7]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Orders, &order, |order| {
        order["paymentStatus"] = json!("PARTIALLY_REFUNDED");
        order["priceSummary"]["total"]["amount"] = json!("12.345");
    });
    world.sim.add(Entity::Contacts, 5);
    world.sim.add(Entity::Bookings, 3);
    world.sim.add(Entity::Orders, 2);

    let result = world.sync_json(&["all"], 0);
    for (table, inserted, updated) in [("customers", 5, 4), ("appointments", 3, 2), ("orders", 2, 1)] {
        let results = &result["results"][table];
        assert_eq!((&results["inserted"], &results["updated"]), (&json!(inserted), &json!(updated)), "{table}");
    }
    world.assert_tables_equal_truth();
}

#[test]
fn order_of_single_table_runs_does_not_matter() {
    let world = World::new(900, 160, 240).migrated();
    let Truth { contacts, bookings, orders, .. } = Truth::of(&world.sim);
    world.run(&["sync", "orders"]).expect_exit(0);
    world.assert_tables_equal(&Truth { orders: orders.clone(), ..Truth::empty() });
    assert_eq!(world.sim.request_count(Endpoint::ContactsQuery), 0, "one table was asked for");
    world.run(&["sync", "appointments"]).expect_exit(0);
    world.assert_tables_equal(&Truth { bookings: bookings.clone(), orders: orders.clone(), ..Truth::empty() });
    world.run(&["sync", "customers"]).expect_exit(0);
    world.assert_tables_equal(&Truth { contacts, bookings, orders, stubs_are_gone: true });
    let types: Vec<Value> = world.rows_as_json("select sync_type, status from sync_logs order by started_at");
    assert_eq!(
        types,
        ["orders", "appointments", "customers"].map(|name| json!({"sync_type": name, "status": "completed"}))
    );
}

#[test]
fn batch_size_does_not_change_the_tables() {
    for size in ["1", "7", "1000"] {
        let world = World::new(70, 45, 40).migrated();
        world.sync_json(&["all", "--batch-size", size], 0);
        world.assert_tables_equal_truth();
    }
}

fn start_of(booking: &Value) -> &str {
    booking["booking"]["startDate"].as_str().expect("a begin")
}

#[test]
fn range_selects_appointments_by_their_start() {
    let world = World::new(150, 300, 0).migrated();
    let mut starts: Vec<String> = world.sim.bookings().iter().map(|booking| start_of(booking).to_owned()).collect();
    starts.sort();
    let (from, until) = (&starts[75], &starts[225]);
    let within = |from: &str, until: &str| {
        let mut truth = Truth::empty();
        truth.bookings = world.sim.bookings();
        // Dates of one form compare as text; a date alone sorts before its hours, and `~` after them.
        truth.bookings.retain(|booking| from <= start_of(booking) && start_of(booking) <= until);
        assert!(truth.bookings.len() > 50 && truth.bookings.len() < 250);
        truth
    };
    let state = || world.rows_as_json("select table_name, watermark, last_full_pass_at from sync_state order by 1");

    // The range includes both instants; here they have an offset.
    let with_offset = |text: &str| {
        let instant: chrono::DateTime<chrono::Utc> = text.parse().expect("a date");
        let zone = chrono::FixedOffset::east_opt(5 * 3600 + 1800).expect("an offset");
        instant.with_timezone(&zone).to_rfc3339()
    };
    let result = world.sync_json(&["appointments", "--start", &with_offset(from), "--end", &with_offset(until)], 0);
    assert_eq!(result["results"]["appointments"]["kind"], "range");
    world.assert_tables_equal(&within(from, until));
    assert_eq!(state().iter().filter(|row| !row["watermark"].is_null()).count(), 0, "a range proves nothing");

    world.empty_tables();
    let (first_day, last_day) = (&from[..10], &until[..10]);
    world.sync_json(&["appointments", "--start", first_day, "--end", last_day], 0);
    world.assert_tables_equal(&within(first_day, &format!("{last_day}~")));

    world.empty_tables();
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
    let before = state();
    assert!(before.iter().all(|row| !row["watermark"].is_null()), "{before:?}");
    world.sync_json(&["appointments", "--start", first_day], 0);
    world.sync_json(&["appointments", "--end", last_day], 0);
    assert_eq!(state(), before);
    world.assert_tables_equal_truth();
}

#[test]
fn range_for_other_tables_or_reversed_is_wrong_usage() {
    let world = World::empty().migrated();
    for (arguments, message) in [
        (&["sync", "customers", "--start", "2025-01-01"][..], "--start"),
        (&["sync", "orders", "--end", "2025-01-01"][..], "--end"),
        (&["sync", "appointments", "--start", "yesterday"][..], "--start"),
        (&["sync", "appointments", "--start", "2025-02-01", "--end", "2025-01-31"][..], "--end is before --start"),
    ] {
        world.run(arguments).expect_exit(2).expect_stderr(message);
    }
    assert_eq!(world.sim.requests().len(), 0, "nothing was started");
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 0);
}

#[test]
fn short_pages_and_missing_totals_lose_nothing() {
    let world = World::new(1700, 250, 240).migrated();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().short_page(333));
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().short_page(33));
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().short_page(7));
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();

    let world = World::new(2100, 0, 0).migrated();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().without_total());
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn thousands_of_contacts_with_one_creation_date_all_arrive() {
    let world = site_of(Sizes { contacts: 12_000, tie_block: 9500, ..Sizes::default() }, |sim| sim);
    let result = world.sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["inserted"], 12_000);
    world.assert_tables_equal_truth();
}

#[test]
fn changing_order_of_ties_loses_nothing_silently() {
    // A block that fits into a page can be read again completely.
    let world =
        site_of(Sizes { contacts: 2600, tie_block: 700, ..Sizes::default() }, |sim| sim.tie_order(TieOrder::Unstable));
    world.sync_json(&["customers"], 0);
    world.assert_tables_equal_truth();

    // With a larger block it is unknown whether all of it was read: the run fails and reports it.
    let world =
        site_of(Sizes { contacts: 3600, tie_block: 3000, ..Sizes::default() }, |sim| sim.tie_order(TieOrder::Unstable));
    let result = world.sync_json(&["customers"], 1);
    assert_eq!(result["status"], "failed");
    let error: String = world.value("select error from sync_logs");
    assert!(error.contains("order"), "{error}");
}

#[test]
fn counting_cursors_give_the_same_tables() {
    let sizes = Sizes { contacts: 40, bookings: 450, orders: 430, ..Sizes::default() };
    let world = site_of(sizes, |sim| sim.cursor_style(CursorStyle::Offset));
    world.sim.on_request(Endpoint::OrdersSearch, 3, |sim| {
        sim.add(Entity::Orders, 30);
    });
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn contacts_that_change_during_pagination_hide_no_others() {
    let world = World::new(4200, 0, 0).migrated();
    let ids: Vec<String> =
        world.sim.contacts().iter().map(|contact| contact["id"].as_str().expect("an id").to_owned()).collect();
    // After the current position, between two pages, and before it; and new ones in between.
    for (request, doomed) in [(2, 0..40), (3, 1990..2005), (4, 900..950), (5, 2990..3010)] {
        let doomed = ids[doomed].to_vec();
        world.sim.on_request(Endpoint::ContactsQuery, request, move |sim| {
            doomed.iter().for_each(|id| sim.delete(Entity::Contacts, id));
            sim.add(Entity::Contacts, 3);
        });
    }
    world.sync_json(&["customers"], 0);
    let gone: HashSet<&String> = ids.iter().filter(|id| world.sim.record(Entity::Contacts, id).is_none()).collect();
    assert_eq!(gone.len(), 40 + 15 + 50 + 20, "all hooks ran during the walk");
    assert_no_contact_is_missing(&world);
}

#[test]
fn deletion_of_the_last_contact_ends_the_pagination() {
    let world = World::new(1500, 0, 0).migrated();
    let last = world.sim.contacts()[1499]["id"].as_str().expect("an id").to_owned();
    world.sim.on_request(Endpoint::ContactsQuery, 2, move |sim| sim.delete(Entity::Contacts, &last));
    world.sync_json(&["customers"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn expired_cursors_restart_and_count_nothing_twice() {
    let world = World::new(30, 520, 510).migrated();
    for (endpoint, request) in [
        (Endpoint::BookingsQuery, 2),
        (Endpoint::BookingsQuery, 5),
        (Endpoint::OrdersSearch, 3),
        (Endpoint::OrdersSearch, 6),
    ] {
        world.sim.on_request(endpoint, request, |sim| sim.expire_cursors());
    }
    let result = world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
    assert_eq!(result["results"]["appointments"]["inserted"], 520);
    assert_eq!(result["results"]["orders"]["inserted"], world.sim.orders().len());
    let refused = world.sim.requests().iter().filter(|request| request.status == Some(400)).count();
    assert!(refused >= 2, "the cursors were refused {refused} times");
}

#[test]
fn records_edited_during_pagination_arrive() {
    let world = World::new(1100, 350, 0).migrated();
    let ids: Vec<String> =
        world.sim.bookings().iter().map(|item| item["booking"]["id"].as_str().expect("an id").to_owned()).collect();
    world.sim.on_request(Endpoint::BookingsQuery, 2, move |sim| {
        for id in ids.iter().step_by(20) {
            sim.edit(Entity::Bookings, id, |item| item["booking"]["status"] = json!("DECLINED"));
        }
    });
    world.sync_json(&["all"], 0);
    assert_eq!(world.value::<i64>("select count(*) from appointments"), 350, "an edit moves no record");
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn transactions_hold_at_most_the_batch_size() {
    // A statement has at most 65,535 parameters: far fewer rows than these, with one parameter per cell.
    for (size, contacts, bookings) in [("10000", 10_000, 3500), ("7", 50, 120)] {
        let world = World::new(contacts, bookings, 0).migrated();
        let result = world.sync_json(&["all", "--batch-size", size], 0);
        for (table, count) in [("customers", contacts), ("appointments", bookings)] {
            assert_eq!(result["results"][table]["inserted"], count);
            let most: i64 = world.value(&format!(
                "select max(n) from (select count(*) n from {table} where raw is not null group by xmin::text) q"
            ));
            assert!(most <= size.parse().expect("a number"), "{most} rows of {table} in one transaction");
        }
    }
}

/// A booking with local times, without an offset and with positive and negative offsets.
fn booking_at(id: &str, start: &str, end: &str, zone: &str) -> String {
    json!({"booking": {
        "id": id, "revision": "1", "status": "CONFIRMED",
        "createdDate": "2026-01-01T01:30:00.123+05:30", "updatedDate": "2026-01-01T00:00:00.5-03:30",
        "startDate": start, "endDate": end, "bookedEntity": {"slot": {"timezone": zone}},
    }})
    .to_string()
}

#[test]
fn time_zones_of_machine_and_database_do_not_matter() {
    for (machine, database) in [
        ("America/New_York", "Asia/Kolkata"),
        ("Asia/Kolkata", "America/New_York"),
        ("Pacific/Apia", "Pacific/Marquesas"),
        ("Europe/Berlin", "Europe/Dublin"),
    ] {
        let mut world = World::new(40, 130, 110).migrated();
        world.execute(&format!("alter database postgres set timezone = '{database}'"));
        world.set("TZ", machine);
        for (id, start, end, zone) in [
            // The repeated hour, the skipped hour, and the last minute of a year.
            ("fold", "2026-10-25T02:30:00", "2026-10-25T03:30:00.5", "Europe/Berlin"),
            ("gap", "2026-03-29T01:59:59.999", "2026-03-29T03:00:00", "Europe/Berlin"),
            ("us", "2026-03-08T01:30:00", "2026-11-01T01:30:00", "America/New_York"),
            ("offset", "2026-06-30T23:59:59.999-11:00", "2026-07-01T00:00:00+14:00", "Asia/Kolkata"),
            ("utc", "2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z", "Pacific/Apia"),
            ("no zone", "2026-10-25T02:30:00", "2026-10-25T03:30:00", ""),
        ] {
            world.sim.put_raw(Entity::Bookings, &booking_at(id, start, end, zone));
        }
        world.sync_json(&["all", "--batch-size", "50"], 0);
        world.assert_tables_equal_truth();
        // Days are days of UTC, and an incremental sync starts at the right instant.
        let day = world.sync_json(&["appointments", "--start", "2026-12-31", "--end", "2026-12-31"], 0);
        let listed = world.sim.bookings().iter().filter(|booking| start_of(booking).starts_with("2026-12-31")).count();
        assert_eq!(day["results"]["appointments"]["synced"], listed, "TZ={machine}");
        world.sim.edit(Entity::Bookings, "fold", |booking| booking["booking"]["status"] = json!("CANCELED"));
        let changes = world.sync_json(&["all"], 0);
        assert_eq!(changes["results"]["appointments"]["synced"], 1, "TZ={machine}");
        let again = world.full_sync_json(&["appointments"], 0);
        let results = &again["results"]["appointments"];
        assert_eq!((&results["updated"], &results["deleted"]), (&json!(0), &json!(0)), "TZ={machine}");
        world.assert_tables_equal_truth();
    }
}
