//! What becomes of the records that events name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chrono::{TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::webhooks::{claims, post};
use wix_sim::{Endpoint, Entity, Fault, Request};

use super::server::{Served, wait_for_run};
use super::webhooks::{
    BOOKING, CONTACT, INSTANCE, ORDER, contact_ids, deliver, entries, signed, wait_until_empty, webhooks, world,
};
use crate::support::harness::World;
use crate::support::running::wait_until;
use crate::support::truth::Truth;

/// A page of contacts without any.
const NOTHING: &str = r#"{"contacts": [], "pagingMetadata": {"count": 0, "offset": 0, "total": 0}}"#;

/// Contacts that no booking and no order names, so that the oracle knows what follows from their end.
fn unnamed_contacts(world: &World) -> Vec<String> {
    let (bookings, orders) = (world.sim.bookings(), world.sim.orders());
    let named: Vec<&Value> = bookings
        .iter()
        .map(|booking| &booking["booking"]["contactDetails"]["contactId"])
        .chain(orders.iter().map(|order| &order["buyerInfo"]["contactId"]))
        .collect();
    contact_ids(world).into_iter().filter(|id| !named.iter().any(|named| *named == id)).collect()
}

#[test]
fn events_bring_new_changed_deleted_merged_and_restored_records() {
    let world = world(40, 12, 12);
    let served = Served::start(&world, &[]);
    let mut events = webhooks(&served);
    for entity in [Entity::Contacts, Entity::Bookings, Entity::Orders] {
        for id in world.sim.add(entity, 3) {
            events.happened(entity, "created", &id);
        }
    }
    let contacts = unnamed_contacts(&world);
    world.sim.edit(Entity::Contacts, &contacts[0], |contact| contact["info"]["company"] = json!("Changed"));
    events.happened(Entity::Contacts, "updated", &contacts[0]);
    events.duplicate(3);
    events.shuffle(7);
    deliver(&mut events);
    wait_until_empty(&world);
    world.assert_tables_equal_truth();

    // Merged, with the three events in any order.
    for (number, pair) in contacts[4..10].chunks(2).enumerate() {
        world.sim.merge_contacts(&pair[0], &pair[1]);
        events.merged(&pair[0], &pair[1]);
        events.shuffle(number as u64 + 1);
    }
    let (deleted, again) = (&contacts[10], &contacts[11]);
    let record = world.sim.record(Entity::Contacts, again).expect("it is there");
    for id in [deleted, again] {
        world.sim.delete(Entity::Contacts, id);
        events.happened(Entity::Contacts, "deleted", id);
    }
    deliver(&mut events);
    wait_until_empty(&world);
    for pair in contacts[4..10].chunks(2) {
        let merged = format!(
            "select merged_into from customers where wix_contact_id = '{}' and deleted_at is not null",
            pair[0]
        );
        assert_eq!(world.value::<String>(&merged), pair[1]);
    }
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 5);
    world.assert_live_rows_equal(&Truth::of(&world.sim));

    world.sim.put_raw(Entity::Contacts, &record.to_string());
    events.restored(again);
    deliver(&mut events);
    wait_until_empty(&world);
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 4);
    world.assert_live_rows_equal(&Truth::of(&world.sim));

    // The next sync finds nothing to do, and events left no runs behind.
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 1);
    let result = world.full_sync_json(&["all"], 0);
    for table in ["customers", "appointments", "orders"] {
        let counts = &result["results"][table];
        assert_eq!((counts["inserted"].as_u64(), counts["updated"].as_u64()), (Some(0), Some(0)), "{table}: {counts}");
    }
}

#[test]
fn test_events_leave_no_trace() {
    let world = world(5, 5, 5);
    let served = Served::start(&world, &[]);
    let state = "select md5(string_agg(t::text, '|' order by t::text)) from (
        select c::text from customers c union all select a::text from appointments a union all select o::text from orders o
        union all select m::text from sync_missing m union all select e::text from sync_errors e
        union all select s::text from sync_state s) t";
    let before: String = world.value(state);
    let mut events = webhooks(&served);
    events.happened(Entity::Contacts, "deleted", CONTACT);
    events.happened(Entity::Bookings, "confirmed", BOOKING);
    events.happened(Entity::Orders, "approved", ORDER);
    deliver(&mut events);
    wait_until_empty(&world);
    assert_eq!(world.value::<String>(state), before);
}

#[test]
fn booking_that_is_gone_waits_for_a_second_lookup_a_day_later() {
    let world = world(5, 5, 0);
    let served = Served::start(&world, &[]);
    let id = world.sim.bookings()[0]["booking"]["id"].as_str().expect("an id").to_owned();
    world.sim.delete(Entity::Bookings, &id);
    let mut events = webhooks(&served);
    events.happened(Entity::Bookings, "updated", &id);
    deliver(&mut events);
    wait_until_empty(&world);
    assert_eq!(world.value::<i64>("select count(*) from sync_missing where absent_at is not null"), 1);
    assert_eq!(world.value::<i64>("select count(*) from appointments where deleted_at is not null"), 0);
    world.age_absences();
    events.happened(Entity::Bookings, "updated", &id);
    deliver(&mut events);
    wait_until("it is marked", || world.value("select count(*) = 1 from appointments where deleted_at is not null"));
}

#[test]
fn burst_for_few_records_costs_few_requests() {
    let world = world(400, 0, 0);
    let served = Served::start(&world, &[]);
    let ids = contact_ids(&world);
    world.sim.edit_every(Entity::Contacts, 1, |contact| contact["info"]["jobTitle"] = json!("Changed"));
    thread::scope(|scope| {
        for part in 0..4 {
            let (ids, served) = (&ids, &served);
            scope.spawn(move || {
                let mut events = webhooks(served);
                ids.iter().skip(part).step_by(4).for_each(|id| events.happened(Entity::Contacts, "updated", id));
                events.duplicate(5);
                events.shuffle(part as u64 + 1);
                deliver(&mut events);
            });
        }
    });
    wait_until_empty(&world);
    world.assert_tables_equal_truth();
    let requests = world.sim.requests();
    let count = |endpoint| requests.iter().filter(|request| request.endpoint == endpoint).count();
    assert_eq!(count(Endpoint::ContactGet), 0);
    assert!(requests.len() <= 400, "{} requests", requests.len());
    let metrics = served.get("/metrics").body;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect("it is there");
        line.parse().expect("a number")
    };
    // Those that were given up are counted too.
    assert!(value("wix_sync_event_lookup_requests_total") >= 1.0, "{metrics}");
    assert!(value("wix_sync_event_lookup_seconds_total") > 0.0, "{metrics}");
    assert!(metrics.contains("wix_sync_events_total{outcome=\"stored\"} 2000"), "{metrics}");
}

#[test]
fn killed_server_loses_no_event() {
    let world = world(300, 30, 30);
    let mut served = Served::start(&world, &[]);
    let changed = world.sim.edit_every(Entity::Contacts, 1, |contact| contact["info"]["company"] = json!("Changed"));
    assert_eq!(changed, 300);
    let ids = contact_ids(&world);
    let mut events = Vec::new();
    for (round, part) in ids.chunks(100).enumerate() {
        let mut sender = webhooks(&served);
        part.iter().for_each(|id| sender.happened(Entity::Contacts, "updated", id));
        thread::scope(|scope| {
            let sending = scope.spawn(|| sender.deliver().expect("tokens can be signed"));
            wait_until("some have come", || {
                let seen: bool = world.value("select exists (select from sync_inbox)");
                seen || sending.is_finished()
            });
            served.signal(Signal::KILL);
            sending.join().expect("it ends");
        });
        let _ = served.wait();
        served = Served::start(&world, &[]);
        events.push((round, sender));
    }
    // Wix sends again what got no answer.
    for (_, sender) in &mut events {
        let port = format!("127.0.0.1:{}", served.port);
        sender.pass(TimeDelta::minutes(1));
        sender.deliver_to(&port);
        deliver(sender);
        assert_eq!(sender.waiting(), 0);
    }
    wait_until_empty(&world);
    world.assert_tables_equal_truth();
}

#[test]
fn event_during_its_lookup_is_looked_up_again() {
    let world = world(5, 0, 0);
    let served = Served::start(&world, &[]);
    let id = world.sim.contacts()[0]["id"].as_str().expect("an id").to_owned();
    let mut events = webhooks(&served);
    events.happened(Entity::Contacts, "updated", &id);
    let mut later = events.clone();
    let changed = id.clone();
    // The answer is made already when the record changes once more.
    world.sim.after_request(Endpoint::ContactsQuery, 1, move |sim| {
        sim.edit(Entity::Contacts, &changed, |contact| contact["info"]["company"] = json!("Changed meanwhile"));
        later.deliver().expect("tokens can be signed");
    });
    deliver(&mut events);
    wait_until_empty(&world);
    world.assert_tables_equal_truth();
}

#[test]
fn unclear_answers_wait_and_stop_nobody() {
    let world = world(5, 0, 3);
    let served = Served::start(&world, &[]);
    let broken = world.sim.orders()[0]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Orders, &broken, |order| order["status"] = json!("CANCELED"));
    let faults =
        [Endpoint::OrdersSearch, Endpoint::OrderGet].map(|endpoint| Fault::on(endpoint).always().system_error());
    faults.into_iter().for_each(|fault| world.sim.fault(fault));
    let mut events = webhooks(&served);
    events.happened(Entity::Orders, "canceled", &broken);
    let new = world.sim.add(Entity::Contacts, 1).remove(0);
    events.happened(Entity::Contacts, "created", &new);
    deliver(&mut events);
    let waits = "select count(*) = 1 and min(tries) > 0 from sync_inbox where table_name = 'orders'";
    wait_until("the order waits", || world.value(waits));
    wait_until("the contact came", || {
        world.value(&format!("select exists (select from customers where wix_contact_id = '{new}')"))
    });
    world.sim.clear_faults();
    wait_until_empty(&world);
    world.assert_tables_equal_truth();
}

/// Credentials that are refused are tried after growing waits, however many events come.
#[test]
fn events_do_not_end_the_waits_after_refusals() {
    let world = world(5, 0, 0);
    let served = Served::start(&world, &[]);
    world.sim.fault(Fault::on(Endpoint::Any).always().unauthenticated());
    let ids = contact_ids(&world);
    let mut events = webhooks(&served);
    for _ in 0..30 {
        events.happened(Entity::Contacts, "updated", &ids[0]);
    }
    deliver(&mut events);
    wait_until("it was refused", || served.log().contains("a sync waits: "));
    let before = world.sim.requests().len();
    // The waits are 0.75 s and more, then twice that: this takes less time.
    for _ in 0..30 {
        events.happened(Entity::Contacts, "updated", &ids[1]);
        deliver(&mut events);
    }
    let requests = world.sim.requests().len() - before;
    assert!(requests <= 8, "{requests} requests: {}", served.log());
    world.sim.clear_faults();
    wait_until_empty(&world);
}

#[test]
fn list_that_ignores_the_filter_by_id_is_noticed() {
    let world = world(5, 0, 0);
    let served = Served::start(&world, &[]);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().ignore_filter("id"));
    let mut events = webhooks(&served);
    for contact in world.sim.contacts().iter().take(2) {
        let id = contact["id"].as_str().expect("an id");
        world.sim.edit(Entity::Contacts, id, |contact| contact["info"]["company"] = json!("Changed"));
        events.happened(Entity::Contacts, "updated", id);
    }
    deliver(&mut events);
    wait_until_empty(&world);
    world.assert_tables_equal_truth();
}

#[test]
fn order_that_is_not_placed_yet_is_not_written() {
    let world = world(3, 0, 3);
    let served = Served::start(&world, &[]);
    let id = world.sim.add(Entity::Orders, 1).remove(0);
    world.sim.edit(Entity::Orders, &id, |order| order["status"] = json!("INITIALIZED"));
    let mut events = webhooks(&served);
    events.happened(Entity::Orders, "created", &id);
    deliver(&mut events);
    wait_until_empty(&world);
    assert_eq!(world.value::<i64>("select count(*) from orders"), 3);
    world.sim.edit(Entity::Orders, &id, |order| order["status"] = json!("APPROVED"));
    events.happened(Entity::Orders, "approved", &id);
    deliver(&mut events);
    wait_until_empty(&world);
    assert_eq!(world.value::<i64>("select count(*) from orders"), 4);
}

#[test]
fn deletions_need_a_known_record_that_can_be_looked_up() {
    let world = world(60, 0, 0);
    let served = Served::start(&world, &[]);
    let mut events = webhooks(&served);
    for id in contact_ids(&world).iter().take(30) {
        world.sim.delete(Entity::Contacts, id);
        events.happened(Entity::Contacts, "deleted", id);
    }
    // Nothing can be looked up: "not found" proves nothing.
    world.sim.fault(Fault::on(Endpoint::ContactGet).always().status(404));
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().when(is_by_id).rewrite(|_, _| NOTHING.to_owned()));
    deliver(&mut events);
    let waits = "select count(*) = 30 and min(tries) > 0 from sync_inbox";
    wait_until("all wait", || world.value(waits));
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 0);
    world.sim.clear_faults();
    world.execute("update sync_inbox set due_at = now()");
    wait_until_empty(&world);
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 30);
    world.assert_live_rows_equal(&Truth::of(&world.sim));
}

fn is_by_id(request: &Request) -> bool {
    request.body.as_ref().is_some_and(|body| !body["query"]["filter"]["id"].is_null())
}

#[test]
fn ordinary_sync_empties_the_inbox() {
    let world = world(30, 5, 5);
    let contacts = unnamed_contacts(&world);
    let id = |number: usize| contacts[number].as_str();
    world.sim.delete(Entity::Contacts, id(0));
    world.sim.merge_contacts(id(1), id(2));
    for (table, wix_id) in [("customers", id(0)), ("customers", id(1)), ("orders", ORDER), ("appointments", BOOKING)] {
        world.execute(&format!("insert into sync_inbox (table_name, wix_id) values ('{table}', '{wix_id}')"));
    }
    world.sync_json(&["all"], 0);
    assert_eq!(entries(&world), 0);
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 2);
    assert_eq!(world.value::<i64>("select count(*) from customers where merged_into is not null"), 1);
    world.assert_live_rows_equal(&Truth::of(&world.sim));
    world.sim.clear_requests();
    world.sync_json(&["all"], 0);
    assert!(!world.sim.requests().iter().any(|request| request.endpoint == Endpoint::ContactGet));
}

/// Each made-up id costs a request: no run may take hours for them.
#[test]
fn ordinary_sync_leaves_a_flood_of_unknown_ids_to_later_runs() {
    let world = world(5, 0, 0);
    world.execute(
        "insert into sync_inbox (table_name, wix_id)
         select 'customers', gen_random_uuid()::text from generate_series(1, 1000)",
    );
    world.sync_json(&["all"], 0);
    let lookups = world.sim.requests().len();
    assert!(lookups < 400, "{lookups} requests");
    let left = entries(&world);
    assert!(left > 0 && left < 1_000, "{left} are left");
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 0);
}

#[test]
fn full_inbox_is_answered_503_and_a_waiting_event_is_sent_again() {
    let world = world(3, 0, 0);
    let served = Served::start(&world, &[]);
    world.execute(
        "insert into sync_inbox (table_name, wix_id, due_at)
         select 'customers', 'flood-' || n, now() + interval '1 hour' from generate_series(1, 100000) n",
    );
    let id = world.sim.add(Entity::Contacts, 1).remove(0);
    let mut events = webhooks(&served);
    events.happened(Entity::Contacts, "created", &id);
    assert_eq!(events.deliver().expect("it can be signed"), [503]);
    assert_eq!(entries(&world), 100_000);
    world.execute("truncate sync_inbox");
    assert!(events.deliver().expect("it can be signed").is_empty(), "it waits a minute");
    events.pass(TimeDelta::minutes(1));
    deliver(&mut events);
    wait_until_empty(&world);
    world.assert_tables_equal_truth();
}

#[test]
fn sync_waits_for_a_drain_and_triggers_get_their_turn() {
    let world = world(50, 0, 0);
    let served = Served::start(&world, &[]);
    let ids = contact_ids(&world);
    let address = format!("127.0.0.1:{}", served.port);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for id in ids.iter().cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let event = json!({"entityFqdn": "wix.contacts.v4.contact", "slug": "updated", "entityId": id});
                let token = signed(&claims(INSTANCE, &event, Utc::now()));
                let status = post(&address, "/webhooks/wix", &[], &token).expect("it answers");
                assert_eq!(status, 200);
            }
        });
        wait_until("a drain holds the lock", || {
            world.value("select coalesce(bool_or((holder->>'is_brief')::boolean and expires_at > now()), false) from sync_locks")
        });
        world.run(&["sync", "customers"]).expect_exit(0);
        let (id, _) = served.trigger("{\"table\": \"customers\"}");
        wait_for_run(&world, &id, "completed");
        is_over.store(true, Ordering::Relaxed);
    });
    wait_until_empty(&world);
}
