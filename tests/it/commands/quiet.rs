//! `--quiet`: errors only, with every command, and what was left out when it is new.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;

/// A contact without an id is rejected.
fn put_bad_contact(world: &World, name: &str) {
    world.sim.put_raw(Entity::Contacts, &json!({"revision": 1, "info": {"name": {"first": name}}}).to_string());
}

#[test]
fn commands_that_find_nothing_wrong_print_nothing() {
    let world = World::new(5, 5, 5);
    for arguments in [
        ["migrate"].as_slice(),
        &["status"],
        &["sync", "all"],
        &["sync", "all", "--dry-run"],
        &["verify"],
        &["errors"],
        &["errors", "retry"],
        &["status", "--max-age", "1h"],
        &["doctor"],
    ] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-q"]).collect();
        let finished = world.run(&arguments).expect_exit(0);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""), "{arguments:?}");
    }
    for command in ["status", "errors", "verify", "doctor"] {
        let finished = world.run(&[command, "--json", "-q"]).expect_exit(0);
        assert!(serde_json::from_str::<Value>(&finished.stdout).is_ok(), "{finished:#?}");
    }
}

#[test]
fn problems_are_still_printed() {
    let world = World::new(5, 0, 0).migrated();
    world.run(&["status", "--max-age", "1h", "-q"]).expect_exit(5).expect_stderr("never synced");
    let verified = world.run(&["verify", "customers", "-q"]).expect_exit(5);
    assert!(verified.stdout.contains("customers"), "{verified:#?}");
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().permission_missing());
    world.run(&["sync", "customers", "-q"]).expect_exit(1).expect_stderr("403");
}

#[test]
fn a_rejected_record_is_reported_when_it_is_new() {
    let world = World::new(5, 0, 0).migrated();
    put_bad_contact(&world, "one");
    let sync = || world.run(&["sync", "customers", "--full", "-q"]).expect_exit(3);
    let first = sync();
    assert!(first.stderr.contains("WARN") && !first.stderr.contains("ERROR"), "{first:#?}");
    assert!(first.stderr.contains("without an id") && first.stderr.contains("#exit-3"), "{first:#?}");
    for arguments in [["sync", "customers", "--full", "-q"], ["sync", "customers", "--check-every=0", "-q"]] {
        assert_eq!(world.run(&arguments).expect_exit(3).stderr, "", "it is known");
    }
    put_bad_contact(&world, "two");
    let third = sync();
    assert_eq!(third.stderr.matches("without an id").count(), 1, "{third:#?}");
    // Without -q each run says it.
    world.run(&["sync", "customers", "--full"]).expect_exit(3).expect_stderr("2 rejected records");
}

#[test]
fn blocked_deletions_are_reported_when_they_are_new() {
    let world = World::new(60, 0, 0).migrated();
    world.run(&["sync", "customers"]).expect_exit(0);
    for contact in world.sim.contacts().iter().take(30) {
        world.sim.delete(Entity::Contacts, contact["id"].as_str().expect("an id"));
    }
    world.run(&["sync", "customers", "--full", "-q"]).expect_exit(3).expect_stderr("--allow-mass-delete");
    let contact = world.sim.contacts()[0]["id"].as_str().expect("an id").to_owned();
    world.sim.delete(Entity::Contacts, &contact);
    assert_eq!(world.run(&["sync", "customers", "--full", "-q"]).expect_exit(3).stderr, "", "only the number differs");
    world.run(&["sync", "customers", "--full"]).expect_exit(3).expect_stderr("--allow-mass-delete");
}
