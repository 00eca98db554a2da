//! Full syncs that never end or restart: changes still arrive.

use chrono::{SubsecRound, TimeDelta, Utc};
use serde_json::json;
use wix_sim::{Endpoint, Entity, Fault, Request};

use crate::support::harness::World;

/// Whether a request belongs to a full sync and is not its first.
fn is_later_page(request: &Request) -> bool {
    let Some(query) = request.body.as_ref().map(|body| &body["query"]) else { return false };
    let is_resumed = !query["filter"]["createdDate"].is_null();
    query["filter"]["updatedDate"].is_null() && (is_resumed || query["paging"]["offset"] != 0)
}

fn broken(world: &World) {
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).when(is_later_page).always().status(400));
}

/// Changes a contact's company, and advances Wix's clock.
fn edit(world: &World, index: usize, company: &str) -> String {
    world.sim.set_clock_offset(TimeDelta::minutes(30 + 30 * index as i64));
    let id = world.sim.contacts()[index]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Contacts, &id, |contact| contact["info"]["company"] = json!(company));
    id
}

fn company(world: &World, id: &str) -> Option<String> {
    world.value(&format!("select company from customers where wix_contact_id = '{id}'"))
}

#[test]
fn changes_arrive_while_a_full_sync_cannot_end() {
    let world = World::new(1500, 0, 0).migrated();
    world.sim.freeze_clock(Some(Utc::now().trunc_subsecs(0)));
    world.sync_json(&["customers"], 0);
    broken(&world);
    for (index, arguments) in [&["customers", "--full"][..], &["customers"], &["customers"]].into_iter().enumerate() {
        let id = edit(&world, index, "Changed");
        world.sync_json(arguments, 1);
        assert_eq!(company(&world, &id).as_deref(), Some("Changed"), "run {index}");
        let last_run: String = world.value("select status from sync_logs order by started_at desc limit 1");
        assert_eq!(last_run, "failed");
    }
    let success =
        "select last_success_at < (select min(started_at) from sync_logs where status = 'failed') from sync_state
        where table_name = 'customers'";
    assert!(world.value::<bool>(success), "no run since was a success");
    world.sim.clear_faults();
    let result = world.sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["resumed"], true);
    world.assert_tables_equal_truth();
}

#[test]
fn changes_arrive_while_a_first_full_sync_cannot_end() {
    let world = World::new(1500, 0, 0).migrated();
    world.sim.freeze_clock(Some(Utc::now().trunc_subsecs(0)));
    broken(&world);
    world.sync_json(&["customers"], 1);
    assert_eq!(world.value::<i64>("select count(*) from customers"), 1000);
    for index in 0..3 {
        let id = edit(&world, index, "Changed");
        world.sync_json(&["customers"], 1);
        assert_eq!(company(&world, &id).as_deref(), Some("Changed"), "run {index}");
    }
    world.sim.clear_faults();
    world.sync_json(&["customers"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn full_starts_over_after_an_interrupted_full_sync() {
    let world = World::new(1500, 0, 0).migrated();
    world.sync_json(&["customers"], 0);
    broken(&world);
    world.sync_json(&["customers", "--full"], 1);
    world.sim.clear_faults();
    // Before its checkpoint, and with an old date, which no incremental sync requests.
    let mut contact = world.sim.contacts()[3].clone();
    contact["info"]["company"] = json!("Behind the checkpoint");
    contact["revision"] = json!(99);
    world.sim.put_raw(Entity::Contacts, &contact.to_string());
    let result = world.sync_json(&["customers", "--full"], 0);
    assert!(result["results"]["customers"]["resumed"].is_null(), "{result}");
    assert_eq!(company(&world, contact["id"].as_str().expect("an id")).as_deref(), Some("Behind the checkpoint"));
}
