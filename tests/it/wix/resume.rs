//! Runs that were killed, stopped or timed out, and the runs that resume them.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

/// Changes records that a first load may have read already, and others that it has not read.
fn change(world: &World, ids: &[String], round: usize) {
    for id in [&ids[round * 7], &ids[ids.len() / 2 + round], &ids[ids.len() - 1 - round]] {
        world.sim.edit(Entity::Contacts, id, |contact| contact["info"]["company"] = json!(format!("Company {round}")));
    }
    world.sim.add(Entity::Contacts, 2);
    world.sim.add(Entity::Bookings, 1);
    world.sim.add(Entity::Orders, 1);
}

/// Where a request belongs to an incremental sync.
fn asks_for_changes(body: &Value) -> bool {
    ["query", "search"].iter().any(|member| body[member]["filter"].get("updatedDate").is_some())
}

#[test]
fn killed_first_load_resumes_and_loses_nothing() {
    let world = World::new(6000, 1500, 1500).migrated();
    let ids: Vec<String> =
        world.sim.contacts().iter().map(|contact| contact["id"].as_str().expect("an id").to_owned()).collect();
    let mut random = fastrand::Rng::with_seed(11);
    let mut kills = 0;
    loop {
        let nth = random.usize(1..8);
        let manner = random.u8(0..3);
        let place = if manner == 0 { Gate::before } else { Gate::behind };
        let gate = place(&world.sim, Endpoint::Any, nth);
        let mut running = world.start(&["sync", "all", "--batch-size", "100"]);
        let mut is_reached = false;
        while kills < 24 && !is_reached && !running.has_ended() {
            is_reached = gate.is_reached();
            std::thread::yield_now();
        }
        if !is_reached {
            drop(gate);
            running.wait().expect_exit(0);
            break;
        }
        change(&world, &ids, kills);
        if manner == 2 {
            // Some time after the response: during the transactions that write it.
            gate.open();
            let until = Instant::now() + Duration::from_micros(random.u64(0..40_000));
            while Instant::now() < until {
                std::thread::yield_now();
            }
        }
        running.signal(Signal::KILL);
        let code = running.wait().code;
        assert!(matches!(code, None | Some(0)), "{code:?}");
        if code == Some(0) {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 6, "it was killed only {kills} times");
    let first_load = world.sim.requests().iter().filter(|it| !it.body.as_ref().is_some_and(asks_for_changes)).count();
    let least = 1
        + world.sim.contacts().len().div_ceil(999)
        + world.sim.bookings().len().div_ceil(100)
        + world.sim.orders().len().div_ceil(100);
    // A kill costs the current request, the page that is being written, and the one at the page limit.
    assert!(first_load <= least + 3 * kills + 2, "{first_load} requests, at least {least}, {kills} kills");
    assert!(world.sim.requests().len() <= least + 5 * kills + 8, "{} in all", world.sim.requests().len());

    let runs = world.rows_as_json("select status, error from sync_logs order by started_at");
    for run in &runs[..kills] {
        assert_eq!(run["status"], "failed");
        assert!(run["error"].as_str().is_some_and(|error| error.contains("without recording its end")), "{run}");
    }
    assert_eq!((runs.len(), &runs[kills]), (kills + 1, &json!({"status": "completed", "error": null})));
    // Changes of records that were already read arrive with the next pass.
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn running_rows_of_an_adopted_log_are_closed() {
    let world = World::new(5, 0, 0).migrated();
    world.execute(
        "insert into sync_logs (sync_type, status, started_at) values ('customers', 'running', '2025-01-01Z'),
         ('all', 'running', '2025-02-01Z')",
    );
    world.run(&["sync", "customers"]).expect_exit(0).expect_stderr("2 earlier run(s)");
    let open = "select count(*) from sync_logs where status = 'running' or completed_at is null";
    assert_eq!(world.value::<i64>(open), 0);
    let failed = "select count(*) from sync_logs where status = 'failed' and error like '%without recording its end%'";
    assert_eq!(world.value::<i64>(failed), 2);
}

/// Appointments read up to the third page, where the run is killed; the clock was stopped at the returned instant.
fn killed_at_the_third_page(world: &World) -> DateTime<Utc> {
    let begin = Utc::now().trunc_subsecs(0);
    world.sim.freeze_clock(Some(begin));
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
    let running = world.start(&["sync", "appointments", "--batch-size", "100"]);
    gate.wait();
    // A page is requested while the one before is written.
    wait_until("what was read is written", || world.value::<i64>("select count(*) from appointments") == 200);
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(world.value::<i64>("select count(*) from appointments"), 200, "what was committed stays");
    begin
}

#[test]
fn resumed_sync_keeps_the_watermark_of_its_first_response() {
    let world = World::new(0, 450, 0).migrated();
    let begin = killed_at_the_third_page(&world);
    world.sim.set_clock_offset(TimeDelta::hours(2));
    let result = world.sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["resumed"], true);
    let watermark: DateTime<Utc> = world.value("select watermark from sync_state where table_name = 'appointments'");
    assert_eq!(watermark, begin);
}

#[test]
fn edit_before_a_resume_arrives_without_a_first_date() {
    let world = World::new(0, 450, 0).migrated();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).times(2).without_header("date"));
    killed_at_the_third_page(&world);
    let id = world.sim.bookings()[10]["booking"]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Bookings, &id, |item| item["booking"]["status"] = json!("CANCELED"));
    world.sim.set_clock_offset(TimeDelta::hours(2));
    world.run(&["sync", "appointments"]).expect_exit(0);
    world.run(&["sync", "appointments"]).expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn run_at_its_time_limit_is_resumed_by_the_next() {
    let world = World::new(20, 450, 0).migrated();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).nth(3).always().throttled().retry_after("60"));
    world.run(&["sync", "all", "--time-limit", "3s"]).expect_exit(6).expect_stderr("--time-limit");
    assert_eq!(world.value::<i64>("select count(*) from appointments"), 200);
    let run = world.rows_as_json("select status, error from sync_logs").remove(0);
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("--time-limit")), "{run}");
    world.sim.clear_faults();
    world.sim.clear_requests();
    let result = world.sync_json(&["all"], 0);
    assert_eq!(result["results"]["appointments"]["resumed"], true);
    assert!(world.sim.request_count(Endpoint::BookingsQuery) <= 3, "only what was left is read");
    world.assert_tables_equal_truth();
}

#[test]
fn stopped_sync_commits_what_was_read() {
    for (signal, exit) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = World::new(0, 450, 0).migrated();
        let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 4);
        let running = world.start(&["sync", "appointments"]);
        gate.wait();
        running.signal(signal);
        running.wait().expect_exit(exit);
        assert_eq!(world.value::<i64>("select count(*) from appointments"), 300);
        assert_eq!(world.value::<String>("select status from sync_logs"), "failed");
        drop(gate);
        world.run(&["sync", "appointments"]).expect_exit(0);
        world.assert_tables_equal_truth();
    }
}
