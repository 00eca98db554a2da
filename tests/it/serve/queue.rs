//! Triggers while a run is at work, after a crash, and beside runs of others; and the schedule.

use rustix::process::Signal;
use serde_json::json;
use wix_sim::Endpoint;

use super::server::{Served, wait_for_run};
use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

fn site() -> World {
    World::new(30, 250, 20).migrated()
}

fn queued(world: &World) -> i64 {
    world.value("select count(*) from sync_queue")
}

#[test]
fn triggers_during_a_run_are_queued_and_equal_ones_are_merged() {
    let world = site();
    let served = Served::start(&world, &[]);
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 2);
    let (first, status) = served.trigger("{}");
    assert_eq!(status, "running");
    gate.wait();
    let (second, status) = served.trigger(r#"{"table":"orders"}"#);
    assert_eq!(status, "queued");
    let (third, _) = served.trigger(r#"{"table":"orders"}"#);
    let (range, _) = served.trigger(r#"{"table":"appointments","dateRange":{"start":"2020-01-01"}}"#);
    // The running one may be past what has changed since: it is not the same.
    let (again, _) = served.trigger("{}");
    assert_eq!(second, third);
    assert!(second != range && first != again);
    assert_eq!(queued(&world), 4);
    let row = served.get(&format!("/api/async-sync/status?id={second}")).json()["syncLogs"][0].clone();
    assert_eq!((&row["status"], &row["sync_type"]), (&json!("queued"), &json!("orders")));
    let overview = served.get("/api/status").json();
    assert_eq!(
        (&overview["running"]["run_id"], &overview["queue"].as_array().map(Vec::len)),
        (&json!(first), &Some(4))
    );
    gate.open();
    for id in [&first, &second, &range, &again] {
        wait_for_run(&world, id, "completed");
    }
    assert_eq!((queued(&world), world.value::<i64>("select count(*) from sync_logs")), (0, 4));
    world.assert_tables_equal_truth();
}

/// The run that was at work is done again under its id, and so is the one that waited.
#[test]
fn triggers_survive_kill_9_under_their_ids() {
    let world = site();
    let served = Served::start(&world, &[]);
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 2);
    let (first, _) = served.trigger("{}");
    gate.wait();
    let (second, _) = served.trigger(r#"{"table":"orders"}"#);
    served.signal(Signal::KILL);
    served.wait();
    gate.open();
    // Another run closes the row of the one that died.
    world.sync_json(&["customers"], 0);
    wait_for_run(&world, &first, "failed");
    assert_eq!(queued(&world), 2);
    let served = Served::start(&world, &[]);
    for id in [&first, &second] {
        wait_for_run(&world, id, "completed");
    }
    wait_until("the queue is empty", || queued(&world) == 0);
    let errors = "select count(*) from sync_logs where error is not null or status <> 'completed'";
    assert_eq!((world.value::<i64>(errors), world.value::<i64>("select count(*) from sync_logs")), (0, 3));
    world.assert_tables_equal_truth();
    served.signal(Signal::TERM);
    assert_eq!(served.wait().0, Some(0));
}

#[test]
fn a_locked_schema_means_later_for_schedule_and_triggers() {
    let world = site();
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 2);
    let other = world.start(&["sync", "all"]);
    gate.wait();
    let served = Served::start(&world, &["--every", "1h"]);
    let (id, status) = served.trigger(r#"{"table":"orders"}"#);
    assert_eq!(status, "queued");
    wait_until("it has found the lock", || served.log().contains("a sync waits: "));
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 1);
    gate.open();
    other.wait().expect_exit(0);
    wait_for_run(&world, &id, "completed");
    let ended = "select count(*) filter (where status = 'completed' and sync_type = 'all') = 2 and bool_and(error is null) from sync_logs";
    wait_until("the scheduled run has come after the other", || world.value(ended));
    assert!(!served.log().contains("ERROR"), "{}", served.log());
}

#[test]
fn the_schedule_repeats_and_one_run_is_at_work_at_a_time() {
    let world = World::new(20, 10, 10).migrated();
    let served = Served::start(&world, &["--every", "1s"]);
    wait_until("three scheduled runs have ended", || {
        world.value("select count(*) >= 3 from sync_logs where sync_type = 'all' and status = 'completed'")
    });
    served.signal(Signal::TERM);
    assert_eq!(served.wait().0, Some(0));
    let overlap = "select exists (
        select from sync_logs a join sync_logs b on a.id <> b.id and a.started_at between b.started_at and b.completed_at
     )";
    assert!(!world.value::<bool>(overlap));
    world.assert_tables_equal_truth();
}

/// What fails before a run can start is recorded under the id that was answered.
#[test]
fn a_trigger_that_cannot_start_is_recorded_as_failed() {
    let mut world = World::new(5, 0, 0).migrated();
    world.sync_json(&["all"], 0);
    world.set("WIX_SITE_ID", "another-site");
    let served = Served::start(&world, &[]);
    let (id, _) = served.trigger("{}");
    wait_for_run(&world, &id, "failed");
    assert_eq!(queued(&world), 0);
    let row = served.get(&format!("/api/async-sync/status?id={id}")).json()["syncLogs"][0].clone();
    assert!(row["error"].as_str().is_some_and(|error| error.contains("site")), "{row}");
}
