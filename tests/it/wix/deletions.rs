//! Deleted records: found by full syncs only, looked up by id, marked as deleted, and live again if Wix restores them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use wix_sim::{Endpoint, Entity, Fault, Request};

use crate::support::harness::{Finished, World};
use crate::support::truth::Truth;

/// One of the three tables, and the endpoints of its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) table: &'static str,
    pub(crate) key: &'static str,
    pub(crate) entity: Entity,
    pub(crate) listing: Endpoint,
    pub(crate) lookup: Endpoint,
}

pub(crate) const CUSTOMERS: Kind = Kind {
    table: "customers",
    key: "wix_contact_id",
    entity: Entity::Contacts,
    listing: Endpoint::ContactsQuery,
    lookup: Endpoint::ContactGet,
};
pub(crate) const APPOINTMENTS: Kind = Kind {
    table: "appointments",
    key: "wix_booking_id",
    entity: Entity::Bookings,
    listing: Endpoint::BookingsQuery,
    lookup: Endpoint::BookingsQuery,
};
pub(crate) const ORDERS: Kind = Kind {
    table: "orders",
    key: "wix_order_id",
    entity: Entity::Orders,
    listing: Endpoint::OrdersSearch,
    lookup: Endpoint::OrderGet,
};
pub(crate) const KINDS: [Kind; 3] = [CUSTOMERS, APPOINTMENTS, ORDERS];

/// A minimal record, created this many seconds after the start of a day.
pub(crate) fn record(kind: Kind, id: &str, created: usize) -> String {
    let (hour, minute, second) = (created / 3600, created / 60 % 60, created % 60);
    let created = format!("2026-01-01T{hour:02}:{minute:02}:{second:02}.000Z");
    let body = json!({
        "id": id, "revision": "1", "createdDate": created, "updatedDate": "2026-02-02T00:00:00.000Z",
        "status": if kind.entity == Entity::Orders { "APPROVED" } else { "CONFIRMED" },
    });
    if kind.entity == Entity::Bookings { json!({ "booking": body }).to_string() } else { body.to_string() }
}

/// The id of the nth record.
pub(crate) fn id(index: usize) -> String {
    format!("r{index:03}")
}

/// A site with this many records of each kind, created when `created` says, and synced tables.
pub(crate) fn site_created(count: usize, created: impl Fn(usize) -> usize) -> World {
    let world = World::empty().migrated();
    for kind in KINDS {
        for index in 0..count {
            world.sim.put_raw(kind.entity, &record(kind, &id(index), created(index)));
        }
    }
    world.sync_json(&["all"], 0);
    world.sim.clear_requests();
    world
}

/// The same with one second between two records.
pub(crate) fn site(count: usize) -> World {
    site_created(count, |index| index)
}

/// The id that a request looks up, if it is for a single record.
pub(crate) fn asked(request: &Request) -> Option<String> {
    match request.endpoint {
        Endpoint::ContactGet | Endpoint::OrderGet => request.path.rsplit('/').next().map(|id| id.replace("%2D", "-")),
        Endpoint::BookingsQuery => request.body.as_ref()?["query"]["filter"]["id"].as_str().map(str::to_owned),
        _ => None,
    }
}

/// A fault for list requests only.
pub(crate) fn on_listing(kind: Kind) -> Fault {
    Fault::on(kind.listing).when(|request| asked(request).is_none())
}

pub(crate) fn delete(world: &World, kind: Kind, indexes: impl IntoIterator<Item = usize>) {
    for index in indexes {
        world.sim.delete(kind.entity, &id(index));
    }
}

/// The ids that were looked up since the requests were last cleared, in order.
pub(crate) fn lookups(world: &World, kind: Kind) -> Vec<String> {
    world.sim.requests().iter().filter(|request| request.endpoint == kind.lookup).filter_map(asked).collect()
}

impl Kind {
    /// Whether "not found" needs a second lookup a day later before the row is marked.
    pub(crate) fn needs_confirmation(self) -> bool {
        self.entity == Entity::Bookings
    }

    /// Number of rows that a run marks if this many deleted records are looked up for the first time.
    pub(crate) fn marked_at_once(self, gone: usize) -> usize {
        if self.needs_confirmation() { 0 } else { gone }
    }
}

/// The ids of the rows that a lookup did not find and that wait for a second lookup.
pub(crate) fn absent(world: &World, kind: Kind) -> Vec<String> {
    let rows = world.query(&format!(
        "select wix_id from sync_missing where table_name = '{}' and absent_at is not null order by 1",
        kind.table
    ));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The ids of the rows that a lookup did not find: marked, or waiting for a second lookup.
pub(crate) fn not_found(world: &World, kind: Kind) -> Vec<String> {
    let mut ids = [deleted(world, kind), absent(world, kind)].concat();
    ids.sort();
    ids
}

/// Bookings only: checks that these wait and none is marked; a day later a run looks them up again and marks them.
#[track_caller]
pub(crate) fn confirm(world: &World, kind: Kind, gone: &[String]) {
    if kind.needs_confirmation() {
        assert_eq!(absent(world, kind), gone);
        let marked = deleted(world, kind);
        assert!(gone.iter().all(|id| !marked.contains(id)), "{marked:?} are marked before the second lookup");
        world.age_absences();
        let result = world.sync_json(&[kind.table], 0);
        assert_eq!(result["results"][kind.table]["deleted"], gone.len());
        assert_eq!(absent(world, kind), Vec::<String>::new());
    }
}

/// The ids of the rows that are marked.
pub(crate) fn deleted(world: &World, kind: Kind) -> Vec<String> {
    let Kind { table, key, .. } = kind;
    let rows = world.query(&format!("select {key} from {table} where deleted_at is not null order by 1"));
    rows.iter().map(|row| row.get(0)).collect()
}

pub(crate) fn ids(indexes: impl IntoIterator<Item = usize>) -> Vec<String> {
    indexes.into_iter().map(id).collect()
}

/// The live rows, each with the transaction that wrote it last.
fn versions(world: &World, kind: Kind) -> BTreeMap<String, String> {
    let Kind { table, key, .. } = kind;
    let rows = world.query(&format!("select {key}, xmin::text from {table} where deleted_at is null"));
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn full_sync_finds_deletions_with_few_requests() {
    let world = site(50);
    let gone = [0, 17, 49];
    let before = KINDS.map(|kind| versions(&world, kind));
    for kind in KINDS {
        delete(&world, kind, gone);
    }
    let changes = world.sync_json(&["all"], 0);
    for kind in KINDS {
        assert_eq!(changes["results"][kind.table]["kind"], "incremental");
        assert_eq!((deleted(&world, kind), lookups(&world, kind)), (vec![], vec![]), "an incremental sync can't tell");
    }
    let full = world.full_sync_json(&["all"], 0);
    for (kind, before) in KINDS.into_iter().zip(before) {
        let results = &full["results"][kind.table];
        assert_eq!(
            (&results["deleted"], &results["updated"], &results["unchanged"]),
            (&json!(kind.marked_at_once(3)), &json!(0), &json!(47))
        );
        let looks_for_statuses = usize::from(kind.entity == Entity::Orders);
        assert_eq!(
            results["requests"],
            1 + looks_for_statuses + 1 + 3,
            "{kind:?}: a page, of orders a look for new statuses, a record that is known, and each candidate"
        );
        confirm(&world, kind, &ids(gone));
        assert_eq!(deleted(&world, kind), ids(gone));
        let expected: BTreeMap<_, _> = before.into_iter().filter(|(id, _)| !ids(gone).contains(id)).collect();
        assert_eq!(versions(&world, kind), expected, "the others are untouched");
        let erased = format!(
            "select count(*) from {} where deleted_at is not null and raw is null and wix_created_at is not null",
            kind.table
        );
        assert_eq!(world.value::<i64>(&erased), 3, "what Wix erased is erased here, and the row stays");
    }
    world.sim.clear_requests();
    let again = world.full_sync_json(&["all"], 0);
    for kind in KINDS {
        assert_eq!(again["results"][kind.table]["deleted"], 0);
        assert_eq!(lookups(&world, kind), Vec::<String>::new(), "what is marked is not asked for again");
    }
}

#[test]
fn placeholders_missing_in_wix_are_looked_up_and_deleted() {
    let world = World::new(40, 60, 30).migrated();
    world.sync_json(&["all"], 0);
    let stubs: i64 = world.value("select count(*) from customers where raw is null");
    assert!((1..=20).contains(&stubs), "{stubs} stubs");
    world.sim.clear_requests();
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["deleted"], stubs);
    assert_eq!(lookups(&world, CUSTOMERS).len() as i64, 1 + stubs);
    world.assert_tables_equal(&Truth { stubs_are_gone: true, ..Truth::of(&world.sim) });
}

#[test]
fn deleted_placeholder_keeps_details_of_live_bookings() {
    let world = World::new(40, 60, 0).migrated();
    world.sync_json(&["all"], 0);
    world.full_sync_json(&["all"], 0);
    let told = "select wix_contact_id from customers where deleted_at is not null and email is not null order by 1";
    let stubs: Vec<String> = world.query(told).iter().map(|row| row.get(0)).collect();
    let [deleted, renamed, kept @ ..] = stubs.as_slice() else { panic!("{} stubs", stubs.len()) };
    assert!(!kept.is_empty());
    for booking in world.sim.bookings() {
        let id = booking["booking"]["id"].as_str().expect("an id");
        match booking["booking"]["contactDetails"]["contactId"].as_str() {
            Some(contact) if contact == deleted => world.sim.delete(Entity::Bookings, id),
            Some(contact) if contact == renamed => world.sim.edit(Entity::Bookings, id, |booking| {
                booking["booking"]["contactDetails"]["contactId"] = json!(kept[0]);
            }),
            _ => {}
        }
    }
    world.full_sync_json(&["all"], 0);
    assert!(world.query(told).iter().any(|row| row.get::<_, &str>(0) == deleted), "its booking may still be there");
    world.age_absences();
    world.full_sync_json(&["all"], 0);
    let left: Vec<String> = world.query(told).iter().map(|row| row.get(0)).collect();
    assert_eq!(left, kept);
    let erased = "select count(*) from customers where deleted_at is not null and num_nonnulls(name, phone, email) = 0";
    assert_eq!(world.value::<i64>(erased), 2, "name and phone are gone as well");
}

#[test]
fn empty_page_with_a_cursor_is_no_proof_of_a_deletion() {
    let world = World::new(0, 30, 0).migrated();
    world.sim.remember();
    let added = world.sim.add(Entity::Bookings, 1);
    world.sync_json(&["appointments"], 0);
    world.sim.clear_requests();
    // The list was read before the booking was created. The third request is for the booking alone, and all its pages
    // are empty.
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).stale());
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).nth(3).always().empty_page());
    let result = world.full_sync_json(&["appointments"], 3);
    assert_eq!(result["results"]["appointments"]["deleted"], 0);
    assert_eq!(world.sim.request_count(Endpoint::BookingsQuery), 3 + 20, "the cursors of 20 empty pages are followed");
    world.sim.clear_faults();
    let live =
        format!("select count(*) from appointments where wix_booking_id = '{}' and deleted_at is null", added[0]);
    assert_eq!(world.value::<i64>(&live), 1);
    world.full_sync_json(&["appointments"], 0);
    assert_eq!(world.value::<i64>(&live), 1);
}

#[test]
fn row_that_returns_is_live_again() {
    let world = site(30);
    let before = KINDS.map(|kind| world.rows(kind.table, kind.key));
    let texts = KINDS.map(|kind| world.sim.texts(kind.entity));
    for kind in KINDS {
        delete(&world, kind, [4, 5]);
    }
    world.full_sync_json(&["all"], 0);
    for (kind, texts) in KINDS.into_iter().zip(texts) {
        confirm(&world, kind, &ids([4, 5]));
        assert_eq!(deleted(&world, kind), ids([4, 5]));
        // One is restored unchanged, which only a full sync notices; one has a new date.
        world.sim.put_raw(kind.entity, &texts[4]);
        world.sim.put_raw(kind.entity, &texts[5]);
        world.sim.edit(kind.entity, &id(5), |_| {});
    }
    let changes = world.sync_json(&["all"], 0);
    for kind in KINDS {
        assert_eq!(deleted(&world, kind), ids([4]), "{kind:?}");
        assert_eq!(changes["results"][kind.table]["updated"], 1);
    }
    world.full_sync_json(&["all"], 0);
    for (kind, before) in KINDS.into_iter().zip(before) {
        let mut after = world.rows(kind.table, kind.key);
        // The edited record has a new revision and a new date.
        after.insert(id(5), before[&id(5)].clone());
        assert_eq!(after, before, "{kind:?}");
        assert_eq!(deleted(&world, kind), Vec::<String>::new());
    }
}

#[test]
fn row_that_returns_with_an_older_date_is_live_again() {
    for kind in KINDS {
        let world = site(30);
        let old = world.sim.texts(kind.entity).swap_remove(4);
        world.sim.edit(kind.entity, &id(4), |_| {});
        world.sync_json(&[kind.table], 0);
        delete(&world, kind, [4]);
        world.full_sync_json(&[kind.table], 0);
        confirm(&world, kind, &ids([4]));
        assert_eq!(deleted(&world, kind), ids([4]), "{kind:?}");
        // For example from a backup.
        world.sim.put_raw(kind.entity, &old);
        world.full_sync_json(&[kind.table], 0);
        assert_eq!(deleted(&world, kind), Vec::<String>::new(), "{kind:?}: Wix has it");
    }
}

#[test]
fn record_deleted_during_a_sync_is_deleted_by_the_next() {
    for kind in KINDS {
        let world = site(50);
        world.sim.fault(on_listing(kind).always().short_page(10));
        // Before the third page is read, deletes one record each of the first page, the next page, the middle and the
        // end.
        world.sim.on_request(kind.listing, 3, move |sim| {
            for index in [2, 21, 35, 49] {
                sim.delete(kind.entity, &id(index));
            }
        });
        let result = world.full_sync_json(&[kind.table], 0);
        assert_eq!(result["results"][kind.table]["deleted"], kind.marked_at_once(3));
        assert_eq!(lookups(&world, kind).len(), 4, "{kind:?}: {:?}", lookups(&world, kind));
        confirm(&world, kind, &ids([21, 35, 49]));
        assert_eq!(deleted(&world, kind), ids([21, 35, 49]), "{kind:?}");
        world.full_sync_json(&[kind.table], 0);
        confirm(&world, kind, &ids([2]));
        assert_eq!(deleted(&world, kind), ids([2, 21, 35, 49]), "{kind:?}");
    }
}

#[test]
fn equal_dates_at_page_borders_hide_no_deletion() {
    // Groups of five and a block of twenty with one date each; pages of seven start and end within them.
    let created = |index: usize| if (20..40).contains(&index) { 20 } else { index - index % 5 };
    let gone = [0, 4, 6, 7, 13, 14, 20, 26, 27, 33, 39, 45, 46, 47, 48, 49, 59];
    for size in ["1", "7", "1000"] {
        let world = site_created(60, created);
        for kind in KINDS {
            world.sim.fault(on_listing(kind).always().short_page(7));
        }
        world.full_sync_json(&["all", "--batch-size", size], 0);
        for kind in KINDS {
            assert_eq!(lookups(&world, kind), Vec::<String>::new(), "{kind:?}, batches of {size}: nothing is gone");
            delete(&world, kind, gone);
        }
        world.full_sync_json(&["all", "--batch-size", size], 0);
        for kind in KINDS {
            assert_eq!(lookups(&world, kind).len(), 1 + gone.len(), "{kind:?}, batches of {size}");
            confirm(&world, kind, &ids(gone));
            assert_eq!(deleted(&world, kind), ids(gone), "{kind:?}, batches of {size}");
        }
    }
}

#[test]
fn stop_during_lookups_keeps_the_results() {
    for kind in KINDS {
        let world = site(60);
        delete(&world, kind, 10..20);
        // Lookups of the known record and three candidates have responses.
        world.sim.fault(Fault::on(kind.lookup).when(|request| asked(request) == Some(id(13))).hang());
        let (send, receive) = mpsc::channel::<Pid>();
        let nth = if kind.lookup == kind.listing { 6 } else { 5 };
        world.sim.on_request(kind.lookup, nth, move |_| {
            let process = receive.recv().expect("the program's id");
            kill_process(process, Signal::TERM).expect("the signal is sent");
        });
        let arguments = ["sync", kind.table, "--full"];
        let child = world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the binary runs");
        send.send(Pid::from_child(&child)).expect("somebody waits for it");
        Finished::of(&arguments, child.wait_with_output().expect("it ends")).expect_exit(143);
        assert_eq!(not_found(&world, kind), ids(10..13), "{kind:?}");

        world.sim.clear_requests();
        let result = world.sync_json(&[kind.table], 0);
        let results = &result["results"][kind.table];
        assert_eq!((&results["kind"], &results["resumed"]), (&json!("full"), &json!(true)));
        assert_eq!(results["deleted"], kind.marked_at_once(7));
        assert_eq!(lookups(&world, kind)[1..], ids(13..20), "{kind:?}");
        world.sim.clear_faults();
        confirm(&world, kind, &ids(10..20));
        assert_eq!(deleted(&world, kind), ids(10..20), "{kind:?}");
    }
}
