//! Records that lost a field: many at once are held, a few are ordinary changes.

use serde_json::{Value, json};
use wix_sim::{Entity, Sim};

use crate::support::harness::World;

/// Removes the contact details from every nth booking that has some. Returns how many were changed.
fn bookings_without_contacts(sim: &Sim, step: usize) -> usize {
    let bookings = sim.bookings();
    let having = bookings.iter().filter(|item| item["booking"]["contactDetails"]["contactId"].is_string());
    let ids: Vec<&str> = having.step_by(step).filter_map(|item| item["booking"]["id"].as_str()).collect();
    for id in &ids {
        sim.edit(Entity::Bookings, id, |item| {
            item["booking"].as_object_mut().expect("an object").remove("contactDetails");
        });
    }
    ids.len()
}

fn appointments(world: &World) -> Vec<Value> {
    world.rows_as_json(
        "select wix_booking_id, customer_id, wix_contact_id, raw, wix_revision from appointments order by 1",
    )
}

fn held(world: &World) -> i64 {
    world.value("select count(*) from sync_held")
}

#[test]
fn mass_loss_of_contact_details_waits_for_confirmation() {
    let world = World::new(60, 90, 0).migrated();
    world.sync_json(&["all"], 0);
    let before = appointments(&world);
    assert!(before.iter().any(|row| !row["customer_id"].is_null()));
    let edited = bookings_without_contacts(&world.sim, 1);
    for arguments in [&["all"][..], &["all", "--full"], &["all"]] {
        let result = world.sync_json(arguments, 3);
        let notice = result["results"]["appointments"]["notices"].to_string();
        assert!(notice.contains("booking.contactDetails") && notice.contains("--allow-mass-changes"), "{notice}");
        assert_eq!(appointments(&world), before, "{arguments:?}");
    }
    let result = world.sync_json(&["all", "--allow-mass-changes"], 0);
    assert_eq!(result["results"]["appointments"]["updated"], edited, "{result}");
    assert_eq!(
        (held(&world), world.value("select count(*) from appointments where customer_id is not null")),
        (0, 0_i64)
    );
}

#[test]
fn held_copies_are_replaced_by_complete_ones() {
    let world = World::new(60, 90, 0).migrated();
    world.sync_json(&["all"], 0);
    let whole = world.sim.texts(Entity::Bookings);
    let edited = bookings_without_contacts(&world.sim, 1);
    world.sync_json(&["all"], 3);
    assert_eq!(held(&world), edited as i64);
    for text in whole {
        world.sim.put_raw(Entity::Bookings, &text);
    }
    world.sync_json(&["all", "--full"], 0);
    assert_eq!(held(&world), 0);
}

#[test]
fn contacts_in_a_smaller_field_set_lose_nothing() {
    let world = World::new(120, 0, 0).migrated();
    world.sync_json(&["customers"], 0);
    let before = world.rows_as_json("select * from customers order by id");
    world.sim.edit_every(Entity::Contacts, 2, |contact| {
        let members = contact.as_object_mut().expect("an object");
        members.remove("createdDate");
        let info = members["info"].as_object_mut().expect("an object");
        info.retain(|name, _| name == "name");
    });
    let result = world.sync_json(&["customers", "--full"], 3);
    assert!(result["results"]["customers"]["notices"].to_string().contains("createdDate"), "{result}");
    assert_eq!(world.rows_as_json("select * from customers order by id"), before);
}

#[test]
fn few_records_may_lose_a_part() {
    let world = World::new(60, 90, 0).migrated();
    world.sync_json(&["all"], 0);
    let edited = bookings_without_contacts(&world.sim, 5);
    assert!(edited <= 20);
    let result = world.sync_json(&["all"], 0);
    assert_eq!(result["results"]["appointments"]["updated"], edited, "{result}");
    assert_eq!(held(&world), 0);
}

#[test]
fn other_changes_arrive_while_copies_are_held() {
    let world = World::new(60, 90, 0).migrated();
    world.sync_json(&["all"], 0);
    let edited = bookings_without_contacts(&world.sim, 2);
    let bookings = world.sim.bookings();
    let whole =
        bookings.iter().find(|item| item["booking"]["contactDetails"]["contactId"].is_string()).expect("one is whole");
    let id = whole["booking"]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Bookings, &id, |item| item["booking"]["status"] = json!("DECLINED"));
    let result = world.sync_json(&["all"], 3);
    assert_eq!(result["results"]["appointments"]["updated"], 1, "{result}");
    assert_eq!(held(&world), edited as i64);
}

#[test]
fn repair_respects_the_limit_for_losses() {
    let world = World::new(60, 90, 0).migrated();
    world.sync_json(&["all"], 0);
    let before = appointments(&world);
    bookings_without_contacts(&world.sim, 1);
    world.run(&["verify", "appointments", "--repair"]).expect_exit(3).expect_stderr("booking.contactDetails");
    assert_eq!(appointments(&world), before);
}
