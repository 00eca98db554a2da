//! Deletions after an interrupted full sync, of records without a date, and of records in `sync_errors`.

use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;
use crate::wix::deletions::{APPOINTMENTS, CUSTOMERS, KINDS, Kind, absent, confirm, delete, deleted, id, ids, lookups};
use crate::wix::deletions::{asked, on_listing, record, site, site_created};

/// A full sync that fails at its fourth page of ten records, and stays unfinished.
fn interrupt(world: &World, kind: Kind, batch_size: &str) {
    world.sim.fault(on_listing(kind).nth(4).system_error());
    world.sim.fault(on_listing(kind).always().short_page(10));
    let result = world.full_sync_json(&[kind.table, "--max-retries", "0", "--batch-size", batch_size], 1);
    assert_eq!(result["results"][kind.table]["status"], "failed");
}

/// Resumes it.
fn resume(world: &World, kind: Kind, batch_size: &str) -> Value {
    let result = world.sync_json(&[kind.table, "--batch-size", batch_size], 0);
    let results = &result["results"][kind.table];
    assert_eq!((&results["kind"], &results["resumed"]), (&json!("full"), &json!(true)), "{kind:?}");
    results.clone()
}

#[test]
fn failed_list_deletes_nothing_until_it_is_resumed() {
    for kind in KINDS {
        for size in ["1", "7", "1000"] {
            // Groups of five with one date each: pages and the interruption fall within groups.
            let world = site_created(60, |index| index - index % 5);
            // On both sides of page limits, and of the interruption.
            let gone = [0, 9, 10, 19, 20, 29, 30, 31, 45, 59];
            delete(&world, kind, gone);
            interrupt(&world, kind, size);
            assert_eq!((deleted(&world, kind), lookups(&world, kind)), (vec![], vec![]), "{kind:?}, {size}");
            let results = resume(&world, kind, size);
            assert_eq!(results["deleted"], kind.marked_at_once(10));
            assert_eq!(lookups(&world, kind).len(), 11, "{kind:?}, batches of {size}");
            confirm(&world, kind, &ids(gone));
            assert_eq!(deleted(&world, kind), ids(gone), "{kind:?}, batches of {size}");
        }
    }
}

/// Whether a request belongs to a full sync.
fn reads_everything(request: &wix_sim::Request) -> bool {
    asked(request).is_none() && !request.body.as_ref().is_some_and(|body| body.to_string().contains("updatedDate"))
}

#[test]
fn repeatedly_failing_sync_finally_deletes_each_row() {
    for kind in KINDS {
        let world = site(60);
        delete(&world, kind, (0..60).step_by(4));
        let mut failures = 0;
        // Each run reads one page of the full sync and fails at the next. `--full` would restart it.
        world.execute("update sync_state set last_full_pass_at = null");
        loop {
            world.sim.clear_faults();
            world.sim.fault(on_listing(kind).when(reads_everything).nth(2).system_error());
            world.sim.fault(on_listing(kind).always().short_page(10));
            let finished = world.run(&["sync", kind.table, "--max-retries", "0"]);
            if finished.code == Some(0) {
                break;
            }
            finished.expect_exit(1);
            assert_eq!(deleted(&world, kind), Vec::<String>::new(), "{kind:?}");
            failures += 1;
            assert!(failures < 10, "{kind:?}: it does not come to its end");
        }
        assert!(failures > 2, "{kind:?}");
        world.sim.clear_faults();
        confirm(&world, kind, &ids((0..60).step_by(4)));
        assert_eq!(deleted(&world, kind), ids((0..60).step_by(4)), "{kind:?}");
    }
}

#[test]
fn deletions_before_a_resume_are_found_in_the_rest() {
    for kind in KINDS {
        let world = site(60);
        delete(&world, kind, [3, 50]);
        interrupt(&world, kind, "1000");
        delete(&world, kind, [5, 51]);
        resume(&world, kind, "1000");
        confirm(&world, kind, &ids([3, 50, 51]));
        assert_eq!(deleted(&world, kind), ids([3, 50, 51]), "{kind:?}");
        world.full_sync_json(&[kind.table], 0);
        confirm(&world, kind, &ids([5]));
        assert_eq!(deleted(&world, kind), ids([3, 5, 50, 51]), "{kind:?}");
    }
}

#[test]
fn resumed_sync_without_records_finds_earlier_deletions() {
    for kind in KINDS {
        let world = site(40);
        delete(&world, kind, [3]);
        interrupt(&world, kind, "1000");
        // Starts at the last record that was read; each later page of contacts starts with a record of the page before.
        let last = if kind.entity == Entity::Contacts { 28 } else { 30 };
        delete(&world, kind, last..40);
        resume(&world, kind, "1000");
        let expected: Vec<String> = [3].into_iter().chain(last..40).map(id).collect();
        confirm(&world, kind, &expected);
        assert_eq!(deleted(&world, kind), expected, "{kind:?}: as by a pass that was not interrupted");
    }
}

#[test]
fn listed_records_without_a_date_are_not_pending() {
    let world = World::empty().migrated();
    for kind in KINDS {
        for index in 0..40 {
            let mut text: Value = serde_json::from_str(&record(kind, &id(index), index)).expect("a record");
            let body = if kind.entity == Entity::Bookings { &mut text["booking"] } else { &mut text };
            if index < 25 {
                body.as_object_mut().expect("an object").remove("createdDate");
            }
            world.sim.put_raw(kind.entity, &text.to_string());
        }
        world.sim.fault(on_listing(kind).always().short_page(7));
    }
    world.sync_json(&["all", "--batch-size", "1"], 0);
    world.full_sync_json(&["all", "--batch-size", "1"], 0);
    for kind in KINDS {
        assert_eq!(lookups(&world, kind), Vec::<String>::new(), "{kind:?}");
        delete(&world, kind, [3]);
    }
    world.full_sync_json(&["all", "--batch-size", "1"], 0);
    for kind in KINDS {
        confirm(&world, kind, &ids([3]));
        assert_eq!(deleted(&world, kind), ids([3]), "{kind:?}");
    }
}

/// The record with a number that no `jsonb` holds.
pub(crate) fn broken(kind: Kind, index: usize) -> String {
    record(kind, &id(index), index).replacen('{', r#"{"n":1e-400000,"#, 1)
}

fn unresolved(world: &World, kind: Kind) -> Vec<String> {
    let rows = world.query(&format!(
        "select wix_id from sync_errors where table_name = '{}' and resolved_at is null and record is not null order by 1",
        kind.table
    ));
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn listed_rejected_records_are_not_pending() {
    let world = site(40);
    for kind in KINDS {
        for index in [3, 20, 39, 40] {
            world.sim.put_raw(kind.entity, &broken(kind, index));
        }
        world.sim.fault(on_listing(kind).always().short_page(7));
    }
    for size in ["1", "1000"] {
        world.full_sync_json(&["all", "--batch-size", size], 3);
        for kind in KINDS {
            assert_eq!((deleted(&world, kind), lookups(&world, kind)), (vec![], vec![]), "{kind:?}");
            assert_eq!(unresolved(&world, kind), ids([3, 20, 39, 40]));
        }
    }
}

#[test]
fn row_of_a_rejected_record_is_deleted_with_it() {
    let world = site(40);
    for kind in KINDS {
        world.sim.put_raw(kind.entity, &broken(kind, 3));
    }
    world.full_sync_json(&["all"], 3);
    for kind in KINDS {
        assert_eq!(unresolved(&world, kind), ids([3]));
        delete(&world, kind, [3]);
    }
    // The booking's rejected record waits for the second lookup, like its row.
    world.full_sync_json(&["all"], 3);
    assert_eq!((absent(&world, APPOINTMENTS), unresolved(&world, APPOINTMENTS)), (ids([3]), ids([3])));
    world.age_absences();
    world.full_sync_json(&["all"], 0);
    for kind in KINDS {
        assert_eq!(deleted(&world, kind), ids([3]), "{kind:?}");
    }
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where record is not null"), 0);
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where resolved_at is null"), 0);
}

#[test]
fn pending_row_with_an_unwritable_record_is_rejected() {
    let world = site(40);
    // Not listed, but found by id, as with a list that lags behind.
    delete(&world, CUSTOMERS, [7]);
    let edited = broken(CUSTOMERS, 7).replace("2026-02-02T", "2026-02-03T");
    world.sim.on_request(CUSTOMERS.lookup, 1, move |sim| sim.put_raw(Entity::Contacts, &edited));
    world.full_sync_json(&["customers"], 3);
    assert_eq!((deleted(&world, CUSTOMERS), unresolved(&world, CUSTOMERS)), (vec![], ids([7])));
}

#[test]
fn pending_row_that_is_found_is_written_from_the_response() {
    let world = site(40);
    delete(&world, CUSTOMERS, [7]);
    let mut edited: Value = serde_json::from_str(&record(CUSTOMERS, &id(7), 7)).expect("a record");
    edited["updatedDate"] = json!("2026-03-03T00:00:00.000Z");
    edited["info"] = json!({"company": "New Co."});
    world.sim.on_request(CUSTOMERS.lookup, 1, move |sim| sim.put_raw(Entity::Contacts, &edited.to_string()));
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["updated"], 1);
    assert_eq!(deleted(&world, CUSTOMERS), Vec::<String>::new());
    world.assert_tables_equal_truth();
    let missing = world.value::<i64>("select count(*) from sync_missing");
    assert_eq!(missing, 0, "it is no candidate any more");
}

#[test]
fn changed_link_does_not_end_a_pending_deletion() {
    let world = World::empty().migrated();
    for (index, contact) in ["a", "b"].into_iter().enumerate() {
        world.sim.put_raw(Entity::Contacts, &record(CUSTOMERS, contact, index));
    }
    for index in 0..60 {
        let mut booking: Value = serde_json::from_str(&record(APPOINTMENTS, &id(index), index)).expect("a record");
        booking["booking"]["contactDetails"] = json!({"contactId": "a"});
        world.sim.put_raw(Entity::Bookings, &booking.to_string());
    }
    world.sync_json(&["all"], 0);
    delete(&world, APPOINTMENTS, [3]);
    interrupt(&world, APPOINTMENTS, "1000");
    // The row is pending deletion; now its customer is merged, which changes the row.
    world.sim.merge_contacts("a", "b");
    world.full_sync_json(&["all"], 0);
    assert_eq!(deleted(&world, CUSTOMERS), ["a"]);
    confirm(&world, APPOINTMENTS, &ids([3]));
    assert_eq!(deleted(&world, APPOINTMENTS), ids([3]));
}
