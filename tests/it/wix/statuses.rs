//! Orders with a status that Wix added after this version was released.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Sim, Site, Sizes, StatusRule};

use crate::support::harness::World;

const RULES: [StatusRule; 2] = [StatusRule::Named, StatusRule::AnyCondition];

fn world(rule: StatusRule) -> World {
    let sizes = Sizes { contacts: 5, orders: 60, ..Sizes::default() };
    World::with_sim(Sim::builder().status_rule(rule).start(Site::generate(sizes)).expect("the simulator starts"))
        .migrated()
}

/// A listed order gets the status.
fn change(world: &World, index: usize, status: &str) -> String {
    let id = world.sim.orders()[index]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Orders, &id, |order| order["status"] = json!(status));
    id
}

fn status_of(world: &World, id: &str) -> Option<String> {
    let rows = world.query(&format!("select status from orders where wix_order_id = '{id}' and deleted_at is null"));
    rows.first().and_then(|row| row.get(0))
}

/// Makes the daily checks due.
fn wait_for_check(world: &World) {
    world.execute(
        "update sync_state set order_statuses = jsonb_set(order_statuses, '{looked_at}', to_jsonb(now() - interval '2 hours'))
         where order_statuses is not null",
    );
}

fn live(world: &World) -> i64 {
    world.value("select count(*) from orders where deleted_at is null")
}

#[test]
fn order_with_a_new_status_arrives_in_a_full_sync() {
    for rule in RULES {
        let world = world(rule);
        let first = change(&world, 3, "ON_HOLD");
        let second = change(&world, 40, "ARCHIVED_BY_WIX");
        let found: Value = serde_json::from_str(&world.run(&["verify", "orders", "--json"]).expect_exit(5).stdout)
            .expect("it is JSON");
        assert_eq!(found["tables"][0]["missing"], world.sim.orders().len(), "{rule:?}");
        let result = world.sync_json(&["all"], 0);
        assert!(result["results"]["orders"]["notices"].to_string().contains("ARCHIVED_BY_WIX, ON_HOLD"), "{result}");
        assert_eq!(status_of(&world, &first).as_deref(), Some("ON_HOLD"), "{rule:?}");
        assert_eq!(status_of(&world, &second).as_deref(), Some("ARCHIVED_BY_WIX"), "{rule:?}");
        assert_eq!(live(&world), world.sim.orders().len() as i64, "{rule:?}");
        world.run(&["verify"]).expect_exit(0);
        // From now on it is known: requested by name, and not reported again.
        world.sim.edit(Entity::Orders, &first, |order| order["number"] = json!("changed"));
        world.sync_json(&["orders"], 0);
        assert_eq!(world.value::<i64>("select count(*) from orders where order_number = 'changed'"), 1);
        let again = world.full_sync_json(&["orders"], 0);
        assert_eq!(again["results"]["orders"]["notices"], Value::Null, "{rule:?}");
        assert_eq!(again["results"]["orders"]["deleted"], 0);
        world.run(&["verify"]).expect_exit(0);
    }
}

#[test]
fn status_that_is_new_later_arrives_in_an_incremental_sync() {
    for rule in RULES {
        let world = world(rule);
        world.sync_json(&["all"], 0);
        let id = change(&world, 7, "ON_HOLD");
        // If excluding statuses shows what is hidden by default, one request returns everything. Otherwise a check is
        // needed.
        if rule == StatusRule::Named {
            world.sync_json(&["orders"], 0);
            wait_for_check(&world);
        }
        world.sim.clear_requests();
        world.sync_json(&["orders"], 0);
        assert_eq!(status_of(&world, &id).as_deref(), Some("ON_HOLD"), "{rule:?}");
        let most = if rule == StatusRule::Named { 3 } else { 1 };
        assert!(world.sim.request_count(Endpoint::OrdersSearch) <= most, "{rule:?}");
        world.run(&["verify"]).expect_exit(0);
        // A full sync does not take it for a deletion either.
        world.full_sync_json(&["orders"], 0);
        assert_eq!(live(&world), world.sim.orders().len() as i64, "{rule:?}");
    }
}

#[test]
fn incremental_sync_still_costs_one_request_per_table() {
    for rule in [StatusRule::Named, StatusRule::AnyCondition, StatusRule::NoExclusion] {
        let world = world(rule);
        world.sync_json(&["all"], 0);
        world.sim.clear_requests();
        world.sync_json(&["all"], 0);
        assert_eq!(world.sim.request_count(Endpoint::Any), 3, "{rule:?}");
    }
}

#[test]
fn refused_exclusion_filter_changes_nothing() {
    let world = world(StatusRule::NoExclusion);
    let result = world.sync_json(&["all"], 0);
    assert_eq!(result["results"]["orders"]["synced"], world.sim.orders().len());
    world.sync_json(&["all"], 0);
    world.run(&["verify"]).expect_exit(0);
}
