//! Full and incremental syncs: their requests, their watermarks, and their results.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::running::Gate;

const LISTINGS: [Endpoint; 3] = [Endpoint::ContactsQuery, Endpoint::BookingsQuery, Endpoint::OrdersSearch];

/// Stops the simulator's clock at a whole second.
fn freeze(world: &World) -> DateTime<Utc> {
    let now = Utc::now().trunc_subsecs(0);
    world.sim.freeze_clock(Some(now));
    now
}

fn watermark(world: &World, table: &str) -> Option<DateTime<Utc>> {
    world.value(&format!("select watermark from sync_state where table_name = '{table}'"))
}

fn pass_of(world: &World, arguments: &[&str]) -> Value {
    world.sync_json(&[&["customers"], arguments].concat(), 0)["results"]["customers"]["kind"].clone()
}

fn contact(id: &str, created: &str, updated: &str) -> String {
    json!({"id": id, "revision": 1, "createdDate": created, "updatedDate": updated,
        "info": {"name": {"first": id}}, "primaryInfo": {}})
    .to_string()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[test]
fn incremental_sync_starts_ten_minutes_before_the_watermark() {
    let world = World::new(40, 30, 30).migrated();
    let begin = freeze(&world);
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.clear_requests();
    world.run(&["sync", "all"]).expect_exit(0);
    let requests = world.sim.requests();
    assert_eq!(requests.len(), LISTINGS.len());
    assert_eq!(requests[0].endpoint, LISTINGS[0], "customers first, the others side by side");
    assert!(LISTINGS.iter().all(|listing| requests.iter().any(|request| request.endpoint == *listing)));
    for request in requests {
        let body = request.body.expect("JSON");
        let query = body.get("query").or_else(|| body.get("search")).expect("a query");
        assert_eq!(query["filter"]["updatedDate"], json!({"$gte": text(begin - TimeDelta::minutes(10))}));
        assert!(query["filter"].get("createdDate").is_none(), "{body}");
        assert_eq!(query["sort"], json!([{"fieldName": "createdDate", "order": "ASC"}]));
    }
}

#[test]
fn only_a_finished_sync_moves_the_watermark() {
    let world = World::new(1500, 20, 20).migrated();
    let begin = freeze(&world);
    let at = |hours: i64| world.sim.set_clock_offset(TimeDelta::hours(hours));
    world.sim.on_request(Endpoint::ContactsQuery, 2, |sim| sim.set_clock_offset(TimeDelta::hours(1)));
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(watermark(&world, "customers"), Some(begin), "the first answer's, not the second's");
    assert_eq!(watermark(&world, "orders"), Some(begin + TimeDelta::hours(1)));

    at(2);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).permission_missing());
    world.run(&["sync", "customers"]).expect_exit(1);
    world.run(&["sync", "orders"]).expect_exit(0);
    assert_eq!(watermark(&world, "customers"), Some(begin), "neither a failed pass nor another table's");
    at(-24);
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(watermark(&world, "customers"), Some(begin), "never backward");
    at(3);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).without_header("date"));
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(watermark(&world, "customers"), Some(begin), "no date is no reason");
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(watermark(&world, "customers"), Some(begin + TimeDelta::hours(3)));
}

#[test]
fn date_header_in_the_future_hides_no_change() {
    for ahead in [TimeDelta::minutes(20), TimeDelta::hours(11), TimeDelta::days(4000)] {
        let world = World::new(30, 0, 0).migrated();
        let begin = freeze(&world);
        let wrong = (begin + ahead).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        world.sim.fault(Fault::on(Endpoint::ContactsQuery).header("date", &wrong));
        world.sync_json(&["customers"], 0);
        assert_eq!(watermark(&world, "customers"), Some(begin + ahead));
        let ids: Vec<String> = world.sim.contacts().iter().map(|contact| contact["id"].to_string()).collect();
        for (round, id) in ids.iter().enumerate().take(3) {
            world.sim.set_clock_offset(TimeDelta::minutes(5 * round as i64 + 1));
            world
                .sim
                .edit(Entity::Contacts, id.trim_matches('"'), |contact| contact["info"]["company"] = json!("Anew"));
            // Soon afterwards, only changed records are requested.
            let is_over = ahead == TimeDelta::days(4000) && round > 0;
            let dry = world.sync_json(&["customers", "--dry-run"], if is_over { 0 } else { 3 });
            assert_eq!(dry["tables"][0]["notices"].to_string().contains("is in the future"), !is_over);
            world.sim.clear_requests();
            let result = world.sync_json(&["customers"], 0);
            assert_eq!(result["results"]["customers"]["updated"], 1, "{ahead}, round {round}");
            let pass = if is_over { "incremental" } else { "full" };
            assert_eq!(result["results"]["customers"]["kind"], pass, "{ahead}, round {round}");
            assert_eq!(result["results"]["customers"]["notices"].is_null(), is_over, "{result}");
            assert_eq!(world.sim.request_count(Endpoint::ContactsQuery), if is_over { 1 } else { 2 });
        }
        world.sim.set_clock_offset(ahead.min(TimeDelta::hours(12)));
        assert_eq!(pass_of(&world, &[]), "incremental", "{ahead}");
        world.assert_tables_equal_truth();
    }
}

#[test]
fn missing_date_header_makes_every_sync_full() {
    let world = World::new(20, 0, 0).migrated();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().without_header("date"));
    for _ in 0..2 {
        let shown = world.run(&["sync", "customers"]).expect_exit(0);
        assert!(shown.stderr.contains("customers: Wix's responses have no Date header"), "{shown:#?}");
    }
    world.sim.clear_faults();
    assert_eq!((pass_of(&world, &[]), pass_of(&world, &[])), (json!("full"), json!("incremental")));
}

#[test]
fn earlier_date_in_a_later_response_corrects_the_first() {
    let world = World::new(1500, 0, 0).migrated();
    let begin = freeze(&world);
    let wrong = (begin + TimeDelta::hours(2)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).header("date", &wrong));
    world.sync_json(&["customers"], 0);
    assert_eq!(watermark(&world, "customers"), Some(begin));
}

#[test]
fn range_does_not_change_the_tables_state() {
    let world = World::new(10, 50, 10).migrated();
    // The write number increases with each transaction that writes the table.
    let state = || {
        let mut rows = world.rows_as_json("select * from sync_state where table_name = 'appointments'");
        rows[0].as_object_mut().expect("a row").remove("write_number").expect("the books have a number");
        rows
    };
    world.run(&["sync", "all"]).expect_exit(0);
    let before = state();
    world.sim.set_clock_offset(TimeDelta::hours(1));
    world.run(&["sync", "all", "--start", "2020-01-01", "--end", "2030-01-01"]).expect_exit(0);
    world.run(&["sync", "appointments", "--start", "2025-01-01"]).expect_exit(0);
    assert_eq!(state(), before);
}

#[test]
fn full_syncs_run_on_request_and_when_due() {
    let world = World::new(10, 0, 0).migrated();
    let age =
        |days: i64| world.execute(&format!("update sync_state set last_full_pass_at = now() - interval '{days} days'"));
    assert_eq!(pass_of(&world, &["--full-every", "0"]), "full", "the first is");
    assert_eq!(pass_of(&world, &[]), "incremental");
    assert_eq!(pass_of(&world, &["--full"]), "full");
    age(6);
    assert_eq!(pass_of(&world, &[]), "incremental");
    age(8);
    assert_eq!(pass_of(&world, &["--full-every", "0"]), "incremental");
    // With an old date: only a full sync can find it.
    world.sim.put_raw(Entity::Contacts, &contact("old", "2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"));
    assert_eq!(pass_of(&world, &["--full-every", "30d"]), "incremental");
    assert_eq!(world.value::<i64>("select count(*) from customers"), 10);
    assert_eq!(pass_of(&world, &[]), "full");
    world.assert_tables_equal_truth();
    age(1);
    assert_eq!(pass_of(&world, &["--full-every", "1s"]), "full");
}

#[test]
fn record_exactly_on_the_boundary_arrives() {
    let world = World::new(5, 0, 0).migrated();
    let begin = freeze(&world);
    world.run(&["sync", "customers"]).expect_exit(0);
    let boundary = begin - TimeDelta::minutes(10);
    for (id, updated) in
        [("boundary", boundary), ("watermark", begin), ("before", boundary - TimeDelta::milliseconds(1))]
    {
        world.sim.put_raw(Entity::Contacts, &contact(id, &text(updated), &text(updated)));
    }
    world.run(&["sync", "customers"]).expect_exit(0);
    let found: Vec<Value> =
        world.rows_as_json("select name from customers where name in ('boundary', 'watermark', 'before') order by 1");
    assert_eq!(found, [json!({"name": "boundary"}), json!({"name": "watermark"})]);
}

#[test]
fn thousands_of_changes_of_one_instant_all_arrive() {
    let world = World::new(20, 0, 0).migrated();
    world.run(&["sync", "customers"]).expect_exit(0);
    freeze(&world);
    world.sim.add(Entity::Contacts, 3500);
    let result = world.sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["inserted"], 3500);
    assert_eq!(result["results"]["customers"]["requests"], 4);
    world.assert_tables_equal_truth();
}

#[test]
fn expired_cursors_in_an_incremental_sync_lose_nothing() {
    let world = World::new(0, 450, 450).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    for (entity, records) in [(Entity::Bookings, world.sim.bookings()), (Entity::Orders, world.sim.orders())] {
        for record in records {
            let id = record["id"].as_str().or(record["booking"]["id"].as_str()).expect("an id");
            world.sim.edit(entity, id, |record| record["more"] = json!(1));
        }
    }
    for endpoint in [Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        let count = AtomicUsize::new(0);
        let every_second = move |request: &wix_sim::Request| {
            request.cursor().is_some() && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
        };
        world.sim.fault(Fault::on(endpoint).when(every_second).always().expire_cursors());
    }
    let result = world.sync_json(&["all"], 0);
    assert_eq!(result["results"]["appointments"]["updated"], 450);
    assert_eq!(result["results"]["orders"]["updated"], world.sim.orders().len());
    let refused = world.sim.requests().iter().filter(|request| request.status == Some(400)).count();
    assert!(refused >= 4, "only {refused} cursors died");
    world.assert_tables_equal_truth();
}

#[test]
fn cursor_lists_that_cannot_be_sorted_are_read_whole() {
    let world = World::new(20, 350, 350).migrated();
    world.run(&["sync", "customers"]).expect_exit(0);
    for endpoint in [Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        world.sim.fault(Fault::on(endpoint).always().refuse_sort());
    }
    // Killed in the middle: an unknown order cannot be resumed, so the pass restarts.
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 4);
    let running = world.start(&["sync", "appointments"]);
    gate.wait();
    running.signal(Signal::KILL);
    running.wait();
    drop(gate);
    world.sim.clear_requests();
    let first = world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
    assert_eq!(first["results"]["appointments"]["requests"], 5, "one that is refused, and the least number of pages");
    for (entity, record) in [(Entity::Bookings, &world.sim.bookings()[7]), (Entity::Orders, &world.sim.orders()[7])] {
        let id = record["id"].as_str().or(record["booking"]["id"].as_str()).expect("an id");
        world.sim.edit(entity, id, |record| record["more"] = json!(1));
    }
    let changes = world.sync_json(&["all"], 0);
    assert_eq!(
        (&changes["results"]["orders"]["kind"], &changes["results"]["orders"]["updated"]),
        (&json!("incremental"), &json!(1))
    );
    world.sim.delete(Entity::Orders, world.sim.orders()[3]["id"].as_str().expect("an id"));
    let full = world.full_sync_json(&["orders"], 0);
    assert_eq!(full["results"]["orders"]["deleted"], 1);
    // Bookings are looked up with the endpoint of the list.
    world.sim.delete(Entity::Bookings, world.sim.bookings()[3]["booking"]["id"].as_str().expect("an id"));
    let full = world.full_sync_json(&["appointments"], 0);
    assert_eq!(full["results"]["appointments"]["deleted"], 0, "a second lookup has to confirm it a day later");
    world.age_absences();
    let full = world.full_sync_json(&["appointments"], 0);
    assert_eq!(full["results"]["appointments"]["deleted"], 1);
}

#[test]
fn contacts_that_cannot_be_sorted_are_not_read_by_offset() {
    let world = World::new(20, 0, 0).migrated();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().refuse_sort());
    world.run(&["sync", "customers"]).expect_exit(1).expect_stderr("400");
    assert_eq!(world.sim.requests().len(), 1);
}

#[test]
fn edit_behind_the_current_page_arrives_with_the_next_sync() {
    let world = World::new(2500, 0, 0).migrated();
    let ids: Vec<String> =
        world.sim.contacts().iter().map(|contact| contact["id"].as_str().expect("an id").to_owned()).collect();
    for pass in ["full", "incremental"] {
        freeze(&world);
        world.sim.set_clock_offset(if pass == "full" { TimeDelta::zero() } else { TimeDelta::hours(3) });
        if pass == "incremental" {
            ids.iter().for_each(|id| world.sim.edit(Entity::Contacts, id, |it| it["info"]["company"] = json!("x")));
        }
        let edited = [ids[3].clone(), ids[2400].clone()];
        let hours = if pass == "full" { 1 } else { 4 };
        world.sim.on_request(Endpoint::ContactsQuery, 2, move |sim| {
            for id in &edited {
                sim.edit(Entity::Contacts, id, |contact| contact["info"]["company"] = json!(pass));
            }
            // Much later than the edit: a watermark taken at the end would miss it.
            sim.set_clock_offset(TimeDelta::hours(hours));
        });
        assert_eq!(pass_of(&world, &[]), pass);
        assert_eq!(pass_of(&world, &[]), "incremental");
        world.assert_tables_equal_truth();
    }
}

#[test]
fn dates_finer_than_microseconds_lose_nothing() {
    let world = World::empty().migrated();
    let put = |number: usize, updated: &str, first: &str| {
        let fraction = [format!("{:09}", 123_456_000 + number), format!("{:06}", 123_000 + number)];
        let created = format!("2026-01-01T00:00:{:02}.{}Z", number / 100, fraction[number % 2]);
        let mut record: Value =
            serde_json::from_str(&contact(&format!("c{number:04}"), &created, updated)).expect("JSON");
        record["info"]["name"]["first"] = json!(first);
        world.sim.put_raw(Entity::Contacts, &record.to_string());
    };
    (0..2500).for_each(|number| put(number, "2026-01-02T00:00:00.123456788Z", "a"));
    let arguments = ["customers", "--batch-size", "100"];
    assert_eq!(world.sync_json(&arguments, 0)["results"]["customers"]["inserted"], 2500);
    // Newer by digits that Postgres does not store.
    (0..2500).step_by(2).for_each(|number| put(number, "2026-01-02T00:00:00.123456789Z", "b"));
    let result = world.full_sync_json(&arguments, 0);
    assert_eq!(result["results"]["customers"]["updated"], 1250);
    assert_eq!(result["results"]["customers"]["requests"], 3, "no row is taken for missing");
    world.assert_tables_equal_truth();
}

#[test]
fn more_records_of_one_instant_than_a_page_all_arrive() {
    for disturbance in ["nothing", "a dying cursor", "a kill"] {
        let world = World::new(0, 120, 120).migrated();
        let moment = freeze(&world);
        for entity in [Entity::Bookings, Entity::Orders] {
            world.sim.add(entity, 350);
        }
        world.sim.set_clock_offset(TimeDelta::minutes(1));
        for entity in [Entity::Bookings, Entity::Orders] {
            world.sim.add(entity, 30);
        }
        for (endpoint, table) in [(Endpoint::BookingsQuery, "appointments"), (Endpoint::OrdersSearch, "orders")] {
            // The fourth page lies within the block.
            match disturbance {
                "a dying cursor" => world.sim.fault(Fault::on(endpoint).nth(4).expire_cursors()),
                "a kill" => {
                    let gate = Gate::before(&world.sim, endpoint, 4);
                    let running = world.start(&["sync", table, "--batch-size", "100"]);
                    gate.wait();
                    running.signal(Signal::KILL);
                    running.wait();
                }
                _ => {}
            }
            world.run(&["sync", table, "--batch-size", "100"]).expect_exit(0);
            let count = format!("select count(*) from {table} where wix_created_at = '{moment}'");
            assert_eq!(world.value::<i64>(&count), 350, "{table}, {disturbance}");
        }
        world.assert_tables_equal_truth();
        // All at one instant again, now in an incremental sync.
        world.sim.set_clock_offset(TimeDelta::hours(1));
        for entity in [Entity::Bookings, Entity::Orders] {
            world.sim.add(entity, 250);
        }
        for table in ["appointments", "orders"] {
            assert_eq!(world.sync_json(&[table], 0)["results"][table]["inserted"], 250, "{table}");
        }
        world.assert_tables_equal_truth();
    }
}

#[test]
fn dates_finer_than_milliseconds_are_found_after_a_resume() {
    let world = World::empty().migrated();
    let begin = freeze(&world);
    world.run(&["sync", "all"]).expect_exit(0);
    // About ten minutes before the watermark, by a millisecond, a microsecond and a nanosecond.
    let whole = (begin - TimeDelta::minutes(10)).format("%Y-%m-%dT%H:%M:%S").to_string();
    for (id, fraction) in [("ms", "001"), ("micro", "000001"), ("nano", "000000001"), ("exact", "000000000")] {
        let updated = format!("{whole}.{fraction}Z");
        world.sim.put_raw(Entity::Contacts, &contact(id, &updated, &updated));
        let booking = json!({"booking": {"id": id, "revision": "1", "createdDate": updated, "updatedDate": updated}});
        world.sim.put_raw(Entity::Bookings, &booking.to_string());
        let order = json!({"id": id, "status": "APPROVED", "createdDate": updated, "updatedDate": updated});
        world.sim.put_raw(Entity::Orders, &order.to_string());
    }
    let result = world.sync_json(&["all"], 0);
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(result["results"][table]["inserted"], 4, "{table}");
    }

    // A page limit between records that differ by less than Postgres, or a filter in milliseconds, can distinguish.
    for digits in [3, 6, 9] {
        let world = World::empty().migrated();
        for index in 0..400 {
            let fraction = format!("{:09}", 999_999_000 + index);
            let date = format!("2026-01-01T00:00:00.{}Z", &fraction[..digits]);
            let booking = json!({"booking": {"id": format!("b{index:03}"), "createdDate": date, "updatedDate": date}});
            world.sim.put_raw(Entity::Bookings, &booking.to_string());
        }
        let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
        let running = world.start(&["sync", "appointments", "--batch-size", "100"]);
        gate.wait();
        running.signal(Signal::KILL);
        running.wait();
        drop(gate);
        let result = world.sync_json(&["appointments", "--batch-size", "100"], 0);
        assert_eq!(result["results"]["appointments"]["resumed"], true, "{digits} digits");
        assert_eq!(world.value::<i64>("select count(*) from appointments where deleted_at is null"), 400);
        let again = world.full_sync_json(&["appointments", "--batch-size", "100"], 0);
        assert_eq!(again["results"]["appointments"]["unchanged"], 400, "{digits} digits: no row is taken for missing");
        world.assert_tables_equal_truth();
    }
}
