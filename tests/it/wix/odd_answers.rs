//! Odd responses of Wix: lists without an end, ignored filters, duplicate fields, damaged text, and copies by id that
//! differ from the list's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use wix_sim::{CursorStyle, Endpoint, Entity, Fault, Sim, Site};

use crate::support::harness::World;
use crate::wix::deletions::asked;
use crate::wix::lists::{date, record, site_of};

const BY_CURSOR: [(Endpoint, Entity, &str); 2] =
    [(Endpoint::BookingsQuery, Entity::Bookings, "appointments"), (Endpoint::OrdersSearch, Entity::Orders, "orders")];

const KINDS: [(Endpoint, Entity, &str); 3] =
    [(Endpoint::ContactsQuery, Entity::Contacts, "customers"), BY_CURSOR[0], BY_CURSOR[1]];

fn live_rows(world: &World, table: &str) -> i64 {
    world.value(&format!("select count(*) from {table} where raw is not null and deleted_at is null"))
}

/// The notices of a table in a result.
fn notices(result: &Value, table: &str) -> String {
    result["results"][table]["notices"].to_string()
}

#[test]
fn list_without_an_end_is_an_error_that_names_the_table() {
    for (endpoint, entity, table) in BY_CURSOR {
        // Two alternating pages; one page; many pages.
        for count in [200, 30, 1_950] {
            let world = site_of(entity, count, |index| Some(date(index, 0)));
            world.sim.fault(Fault::on(endpoint).always().endless());
            let result = world.sync_json(&[table], 1);
            let error = result["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.starts_with(table), "{table}, {count}: {error}");
            assert_eq!(result["results"][table]["synced"], count, "{table}, {count}");
            assert_eq!(live_rows(&world, table), count);
            let requests = world.sim.request_count(endpoint) as i64;
            assert!(requests < 2 * (count / 100 + 25), "{table}, {count}: {requests} requests");
            world.sim.clear_faults();
            world.run(&["sync", table]).expect_exit(0);
        }
    }
}

#[test]
fn endless_list_of_new_versions_is_an_error() {
    let world = site_of(Entity::Orders, 200, |index| Some(date(index, 0)));
    let answers = AtomicUsize::new(0);
    let newer = move |_: &wix_sim::Request, body: &str| {
        let number = answers.fetch_add(1, Ordering::Relaxed);
        body.replace(
            "\"updatedDate\":\"2026-01-01T00:00:00.000Z\"",
            &format!("\"updatedDate\":\"{}\"", date(number as i64, 7)),
        )
    };
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().endless().rewrite(newer));
    let result = world.sync_json(&["orders"], 1);
    assert!(result["error"].to_string().contains("orders"), "{result}");
    assert_eq!(result["results"]["orders"]["synced"], 200);
    assert!(world.sim.request_count(Endpoint::OrdersSearch) < 200);
}

#[test]
fn alternating_empty_and_known_pages_are_an_error() {
    let world = site_of(Entity::Bookings, 100, |index| Some(date(index, 0)));
    let answers = AtomicUsize::new(0);
    let every_other = move |_: &wix_sim::Request, body: &str| {
        if answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return body.to_owned();
        }
        let page: Value = serde_json::from_str(body).expect("a page");
        json!({"extendedBookings": [], "pagingMetadata": {"cursors": page["pagingMetadata"]["cursors"]}}).to_string()
    };
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().endless().rewrite(every_other));
    let result = world.sync_json(&["appointments"], 1);
    assert_eq!(result["results"]["appointments"]["synced"], 100);
    assert!(world.sim.request_count(Endpoint::BookingsQuery) < 60);
}

#[test]
fn repeated_records_count_once() {
    // All have one date: each restart reads them again.
    for style in [CursorStyle::Keyset, CursorStyle::Offset] {
        let sim = Sim::builder().cursor_style(style).start(Site::empty()).expect("the simulator starts");
        let world = World::with_sim(sim).migrated();
        for index in 0..4_000 {
            let text = record(Entity::Orders, &format!("r{index:05}"), Some(&date(i64::from(index > 2), 0)));
            world.sim.put_raw(Entity::Orders, &text);
        }
        let refused = Fault::on(Endpoint::OrdersSearch).nth(36).times(2).when(|it| it.cursor().is_some()).bad_cursor();
        world.sim.fault(refused);
        let result = world.sync_json(&["orders"], 0);
        let orders = &result["results"]["orders"];
        assert_eq!((&orders["synced"], &orders["inserted"]), (&json!(4_000), &json!(4_000)), "{style:?}");
    }
}

#[test]
fn record_that_changes_during_the_sync_counts_once() {
    // Without a sort the list is read again from the start, and the record has changed meanwhile.
    let world = site_of(Entity::Bookings, 900, |index| Some(date(900 - index, 0)));
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().refuse_sort());
    world.sim.on_request(Endpoint::BookingsQuery, 5, |sim| {
        sim.edit(Entity::Bookings, "r00005", |booking| booking["booking"]["status"] = json!("CANCELED"));
    });
    let result = world.sync_json(&["appointments"], 0);
    let appointments = &result["results"]["appointments"];
    assert_eq!((&appointments["synced"], &appointments["inserted"]), (&json!(900), &json!(900)), "{result}");
    let status = "select status from appointments where wix_booking_id = 'r00005'";
    assert_eq!(world.value::<String>(status).to_uppercase(), "CANCELED");
}

#[test]
fn ignored_filter_by_update_date_is_reported_once() {
    for (endpoint, entity, table) in KINDS {
        let world = site_of(entity, 250, |index| Some(date(index, 0)));
        world.run(&["sync", table]).expect_exit(0);
        world.sim.edit(entity, "r00007", |_| {});
        world.sim.fault(Fault::on(endpoint).always().ignore_filter("updatedDate"));
        let before: String =
            world.value(&format!("select watermark::text from sync_state where table_name = '{table}'"));
        let result = world.sync_json(&[table], 0);
        let told = notices(&result, table);
        assert_eq!(told.matches("ignores the filter by updatedDate").count(), 1, "{result}");
        assert!(told.contains(table), "{told}");
        let counts = &result["results"][table];
        assert_eq!((&counts["synced"], &counts["updated"]), (&json!(250), &json!(1)), "{result}");
        let after: String =
            world.value(&format!("select watermark::text from sync_state where table_name = '{table}'"));
        assert!(after >= before, "{after}");
        world.sim.clear_faults();
        let result = world.sync_json(&[table], 0);
        assert!(!notices(&result, table).contains("ignores"), "{result}");
    }
}

#[test]
fn ignored_filter_by_creation_date_loses_nothing() {
    let world = site_of(Entity::Bookings, 2_500, |index| Some(date(index * 977, 0)));
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().refuse_sort().ignore_filter("createdDate"));
    let result = world.sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["synced"], 2_500);
    let requests = world.sim.request_count(Endpoint::BookingsQuery);
    assert!(requests < 45, "{requests} requests for 25 pages");
}

#[test]
fn lookup_by_id_follows_the_cursor_of_an_empty_page() {
    let world = World::new(0, 30, 0).migrated();
    world.sim.remember();
    let added = world.sim.add(Entity::Bookings, 1);
    world.sync_json(&["appointments"], 0);
    world.sim.clear_requests();
    // The list lacks the booking, so it is looked up; its first pages are empty.
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).stale().when(|request| asked(request).is_none()));
    let wanted = added[0].clone();
    let is_wanted =
        move |request: &wix_sim::Request| asked(request).as_ref() == Some(&wanted) || request.cursor().is_some();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).times(3).when(is_wanted).empty_page());
    let result = world.full_sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["deleted"], 0);
    let pending: i64 = world.value("select count(*) from sync_missing");
    assert_eq!(pending, 0, "it was found");
    assert_eq!(live_rows(&world, "appointments"), 31);
}

#[test]
fn duplicate_fields_and_flags_as_text_are_read() {
    let world = site_of(Entity::Orders, 150, |index| Some(date(index, 0)));
    // Half of the records under the same name again, escaped; the description of the page as text.
    let rewriting = |_: &wix_sim::Request, body: &str| {
        let page: Value = serde_json::from_str(body).expect("a page");
        let records = page["orders"].as_array().expect("orders");
        let (first, second) = records.split_at(records.len() / 2);
        let metadata = &page["metadata"];
        let has_next = metadata["hasNext"].to_string();
        let metadata = json!({
            "count": metadata["count"].to_string(), "total": "9", "tooManyToCount": "true",
            "hasNext": has_next, "cursors": metadata["cursors"],
        });
        let list = |records| serde_json::to_string(records).expect("a list");
        format!(r#"{{"orders":{},"\u006frders":{},"metadata":{metadata}}}"#, list(first), list(second))
    };
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().rewrite(rewriting));
    let result = world.sync_json(&["orders"], 0);
    assert_eq!(result["results"]["orders"]["synced"], 150, "{result}");
    assert_eq!(live_rows(&world, "orders"), 150);
}

#[test]
fn duplicate_list_in_an_offset_page_skips_no_record() {
    let world = site_of(Entity::Contacts, 2_300, |index| Some(date(index, 0)));
    let twice = |_: &wix_sim::Request, body: &str| {
        let end = body.rfind(",\"pagingMetadata\"").expect("metadata");
        format!("{},{}", &body[..end], &body[1..])
    };
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().rewrite(twice));
    let result = world.sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["synced"], 2_300, "{result}");
}

#[test]
fn escaped_field_name_in_a_lookup_is_read() {
    let world = World::new(5, 0, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute("delete from orders where wix_order_id = (select min(wix_order_id) from orders)");
    world.execute("delete from customers where wix_contact_id = (select min(wix_contact_id) from customers)");
    let escaped = |_: &wix_sim::Request, body: &str| {
        body.replacen("\"order\"", "\"\\u006frder\"", 1).replacen("\"contact\"", "\"\\u0063ontact\"", 1)
    };
    world.sim.fault(Fault::on(Endpoint::OrderGet).always().rewrite(escaped));
    world.sim.fault(Fault::on(Endpoint::ContactGet).always().rewrite(escaped));
    world.run(&["verify", "--repair"]).expect_exit(3);
    world.run(&["verify"]).expect_exit(0);
}

/// A record with this field, which is not valid JSON.
fn damaged(entity: Entity, id: &str, index: i64, member: &str) -> String {
    let text = record(entity, id, Some(&date(index, 0)));
    let end = if entity == Entity::Bookings { "}}" } else { "}" };
    format!("{},{member}{end}", text.strip_suffix(end).expect("an object"))
}

#[test]
fn record_that_is_not_json_is_rejected_alone() {
    for (endpoint, entity, table) in KINDS {
        let world = site_of(entity, 120, |index| Some(date(index, 0)));
        let (good, bad) = (record(entity, "r00050", Some(&date(50, 0))), damaged(entity, "r00050", 50, "\"n\":NaN"));
        let members: fn(&str) -> Value = |text| serde_json::from_str(text).expect("a record");
        let good = Arc::new(members(&good));
        world.sim.fault(Fault::on(endpoint).always().rewrite(move |_, body| {
            let stored = serde_json::to_string(&*good).expect("text");
            assert!(!body.contains("r00050") || body.contains(&stored), "{body}");
            body.replace(&stored, &bad)
        }));
        let result = world.sync_json(&[table], 3);
        let counts = &result["results"][table];
        assert_eq!((&counts["synced"], &counts["errors"]), (&json!(119), &json!(1)), "{result}");
        assert_eq!(counts["error_details"][0], json!({"wix_id": "r00050", "reason": "the record is not valid JSON"}));
        assert_eq!(live_rows(&world, table), 119);
        // Of orders, with a search for new statuses.
        let least = if entity == Entity::Contacts { 1 } else { 2 } + usize::from(entity == Entity::Orders);
        assert_eq!(world.sim.request_count(endpoint), least, "no page twice");
        world.sim.clear_faults();
        world.full_sync_json(&[table], 0);
        assert_eq!(live_rows(&world, table), 120);
    }
}

#[test]
fn odd_text_in_one_record_does_not_affect_others() {
    let deep = format!("\"n\":{}1{}", "[".repeat(200), "]".repeat(200));
    let digits = format!("\"n\":{}", "7".repeat(400));
    // Whether each record arrives.
    let members = [
        ("\"n\":\"a\nb\tc\u{1}\"", true),
        ("\"n\":\"C:\\dir\"", true),
        ("\"n\":\"\\ud800\"", true),
        (deep.as_str(), true),
        (digits.as_str(), true),
        ("\"n\":1e999", true),
        ("\"n\":1e400000", false),
        ("\"n\":+1", false),
        ("\"n\":", false),
        ("n:1", false),
        ("\"n\":[1,]", false),
        ("\"n\":undefined,", false),
    ];
    for (endpoint, entity, table) in KINDS {
        let world = site_of(entity, 60, |index| Some(date(index, 0)));
        let records: Vec<(String, String)> = members
            .iter()
            .enumerate()
            .map(|(index, (member, _))| {
                let id = format!("r{index:05}");
                let index = index as i64;
                (record(entity, &id, Some(&date(index, 0))), damaged(entity, &id, index, member))
            })
            .collect();
        let rewriting = move |_: &wix_sim::Request, body: &str| {
            records.iter().fold(body.to_owned(), |body, (good, bad)| body.replace(good, bad))
        };
        world.sim.fault(Fault::on(endpoint).always().rewrite(rewriting));
        let result = world.sync_json(&[table], 3);
        let counts = &result["results"][table];
        let lost = members.iter().filter(|(_, arrives)| !arrives).count();
        assert_eq!((&counts["synced"], &counts["errors"]), (&json!(60 - lost), &json!(lost)), "{result}");
        for (index, (member, arrives)) in members.iter().enumerate() {
            let id = format!("r{index:05}");
            let is_named = counts["error_details"].as_array().expect("details").iter().any(|one| one["wix_id"] == id);
            assert_eq!(is_named, !arrives, "{table}: {member}");
        }
        assert!(counts["repaired_characters"].as_u64() >= Some(5), "{result}");
    }
    let world = site_of(Entity::Contacts, 3, |index| Some(date(index, 0)));
    let text = record(Entity::Contacts, "r00001", Some(&date(1, 0)));
    let bad = damaged(Entity::Contacts, "r00001", 1, "\"info\":{\"name\":{\"first\":\"A\nb\"}}");
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().rewrite(move |_, body| body.replace(&text, &bad)));
    world.run(&["sync", "customers"]).expect_exit(0);
    let first: String = world.value("select first_name from customers where wix_contact_id = 'r00001'");
    assert_eq!(first, "A\nb", "nothing of it is lost");
}

#[test]
fn copies_by_id_of_another_shape_are_stable() {
    type Change = fn(&mut Value);
    let more: Change = |record| record["onlyById"] = json!({"x": 1});
    let fewer: Change = |record| {
        record.as_object_mut().map(|record| record.remove("lastActivity").or(record.remove("priceSummary")));
    };
    for change in [more, fewer] {
        let world = World::new(40, 0, 40).migrated();
        let by_id = move |_: &wix_sim::Request, body: &str| {
            let mut answer: Value = serde_json::from_str(body).unwrap_or_default();
            for member in ["contact", "order"] {
                answer.get_mut(member).map(change);
            }
            answer.to_string()
        };
        world.sim.fault(Fault::on(Endpoint::ContactGet).always().rewrite(by_id));
        world.sim.fault(Fault::on(Endpoint::OrderGet).always().rewrite(by_id));
        world.run(&["sync", "all"]).expect_exit(0);
        // Missing, changed locally, and older than in Wix.
        for (table, key) in [("customers", "wix_contact_id"), ("orders", "wix_order_id")] {
            world.execute(&format!(
                "delete from {table} where {key} = (select min({key}) from {table} where raw is not null);
                 update {table} set raw = raw || '{{\"mine\": 1}}', content_hash = '\\x00'
                    where {key} = (select max({key}) from {table} where raw is not null)"
            ));
        }
        for (entity, id) in [
            (Entity::Contacts, world.sim.contacts()[7]["id"].clone()),
            (Entity::Orders, world.sim.orders()[7]["id"].clone()),
        ] {
            world.sim.edit(entity, id.as_str().expect("an id"), |record| record["note"] = json!("new"));
        }
        world.run(&["verify", "customers", "--repair"]);
        world.run(&["verify", "orders", "--repair"]);
        world.run(&["verify"]).expect_exit(0);
        world.run(&["sync", "all", "--full"]).expect_exit(0);
        world.run(&["verify"]).expect_exit(0);
        let log: i64 = world.value("select count(*) from sync_logs");
        world.run(&["verify", "--repair"]).expect_exit(0);
        assert_eq!(world.value::<i64>("select count(*) from sync_logs"), log, "nothing is left to repair");
    }
}

#[test]
fn row_missing_in_the_list_keeps_the_lists_shape() {
    let world = World::new(30, 0, 0).migrated();
    world.run(&["sync", "customers"]).expect_exit(0);
    let by_id = |_: &wix_sim::Request, body: &str| body.replacen("\"contact\":{", "\"contact\":{\"onlyById\":1,", 1);
    world.sim.fault(Fault::on(Endpoint::ContactGet).always().rewrite(by_id));
    // The list ends early for a while: a replica that lags behind.
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).times(1).ends_after(27).total_off_by(-3));
    world.full_sync_json(&["customers"], 0);
    assert_eq!(live_rows(&world, "customers"), 30, "they are there by id");
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["updated"], 0, "{result}");
    world.run(&["verify", "customers"]).expect_exit(0);
}
