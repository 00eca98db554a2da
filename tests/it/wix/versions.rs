//! Which copy of a record is newer: by revision, then by date; if a listed copy looks older, by a lookup.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn contact(revision: u64, updated: &str, company: &str) -> String {
    json!({"id": "c1", "revision": revision, "createdDate": "2026-01-01T00:00:00.000Z", "updatedDate": updated,
        "info": {"name": {"first": "Ada"}, "company": company}, "primaryInfo": {}})
    .to_string()
}

fn order(updated: &str, number: &str) -> String {
    json!({"id": "o1", "number": number, "createdDate": "2026-01-01T00:00:00.000Z", "updatedDate": updated,
        "status": "APPROVED"})
    .to_string()
}

fn value(world: &World, what: &str) -> Value {
    world.rows_as_json(what)[0].clone()
}

#[test]
fn higher_revision_wins_whatever_its_date() {
    let world = World::empty().migrated();
    let now = Utc::now().trunc_subsecs(3);
    world.sim.put_raw(Entity::Contacts, &contact(7, &text(now), "old"));
    world.sync_json(&["customers"], 0);
    world.sim.put_raw(Entity::Contacts, &contact(8, &text(now - TimeDelta::milliseconds(100)), "new"));
    world.run(&["verify", "customers"]).expect_exit(5);
    world.sim.clear_requests();
    world.sync_json(&["customers"], 0);
    assert_eq!(world.sim.request_count(Endpoint::ContactGet), 0);
    let row = value(&world, "select company, wix_revision from customers");
    assert_eq!(row, json!({"company": "new", "wix_revision": 8}));
    world.run(&["verify", "customers"]).expect_exit(0);
}

#[test]
fn record_with_a_former_future_date_is_looked_up() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Orders, &order("9999-12-31T00:00:00.000Z", "1"));
    world.sync_json(&["orders"], 0);
    world.sim.put_raw(Entity::Orders, &order(&text(Utc::now()), "2"));
    world.run(&["verify", "orders"]).expect_exit(5);
    world.sim.clear_requests();
    let result = world.sync_json(&["orders"], 0);
    assert_eq!(result["results"]["orders"]["updated"], 1, "{result}");
    assert_eq!(world.sim.request_count(Endpoint::OrderGet), 1);
    assert_eq!(value(&world, "select order_number from orders"), json!({"order_number": "2"}));
    world.run(&["verify", "orders"]).expect_exit(0);
    world.sim.clear_requests();
    world.sync_json(&["orders"], 0);
    assert_eq!(world.sim.request_count(Endpoint::OrderGet), 0);
}

#[test]
fn list_that_lags_does_not_revert_newer_rows() {
    let world = World::empty().migrated();
    let now = Utc::now().trunc_subsecs(3);
    world.sim.put_raw(Entity::Contacts, &contact(1, &text(now), "old"));
    world.sim.remember();
    world.sim.put_raw(Entity::Contacts, &contact(2, &text(now + TimeDelta::seconds(1)), "new"));
    world.sync_json(&["customers"], 0);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().stale());
    world.sim.clear_requests();
    let result = world.sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["unchanged"], 1, "{result}");
    assert_eq!(world.sim.request_count(Endpoint::ContactGet), 1);
    assert_eq!(value(&world, "select company from customers"), json!({"company": "new"}));
}

#[test]
fn older_copy_without_a_lookup_is_rejected_and_retried() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Orders, &order("9999-12-31T00:00:00.000Z", "1"));
    world.sync_json(&["orders"], 0);
    world.sim.put_raw(Entity::Orders, &order(&text(Utc::now()), "2"));
    world.sim.fault(Fault::on(Endpoint::OrderGet).always().system_error());
    let result = world.sync_json(&["orders", "--max-retries", "0"], 3);
    assert_eq!(result["results"]["orders"]["errors"], 1, "{result}");
    assert!(result["results"]["orders"]["error_details"].to_string().contains("looks older"), "{result}");
    world.sim.clear_faults();
    world.run(&["errors", "retry"]).expect_exit(0);
    assert_eq!(value(&world, "select order_number from orders"), json!({"order_number": "2"}));
}
