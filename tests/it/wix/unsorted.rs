//! Long lists that Wix refuses to sort: read in windows by date, with progress over several runs.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::wix::lists::{date, record, site_of};

const LIST: Endpoint = Endpoint::BookingsQuery;

fn rows(world: &World) -> i64 {
    world.value("select count(*) from appointments where raw is not null and deleted_at is null")
}

fn refuse_sort(world: &World) {
    world.sim.fault(Fault::on(LIST).always().refuse_sort());
}

/// Bookings of three years: few at first, then many, and an import at one instant.
fn site(count: i64) -> World {
    site_of(Entity::Bookings, count, move |index| {
        Some(date(if index % 7 == 0 { 40_000_000 } else { index * index * 9 }, index % 1000))
    })
}

#[test]
fn long_list_is_read_whole_in_windows_and_finds_deletions() {
    let world = site(2_400);
    refuse_sort(&world);
    let first = world.sync_json(&["appointments"], 0);
    assert_eq!(first["results"]["appointments"]["inserted"], 2_400);
    let requests = world.sim.request_count(LIST);
    assert!(requests <= 24 * 2 + 10, "{requests} requests for 24 pages");
    for index in [0, 7, 1200, 2399] {
        world.sim.delete(Entity::Bookings, &format!("r{index:05}"));
    }
    world.full_sync_json(&["appointments"], 0);
    // A booking is looked up twice, a day apart.
    world.age_absences();
    assert_eq!(world.sync_json(&["appointments"], 0)["results"]["appointments"]["deleted"], 4);
    assert_eq!(rows(&world), 2_396);
    world.run(&["verify", "appointments"]).expect_exit(0);
}

#[test]
fn interrupted_runs_make_progress() {
    for is_throttled in [false, true] {
        let world = site(2_400);
        let (mut runs, mut last) = (0, Value::Null);
        loop {
            world.sim.clear_faults();
            let stop = Fault::on(LIST).nth(14).always();
            world.sim.fault(if is_throttled { stop.throttled().retry_after("60") } else { stop.system_error() });
            refuse_sort(&world);
            let limit = if is_throttled { "3s" } else { "10m" };
            let finished = world.run(&["sync", "appointments", "--max-retries", "0", "--time-limit", limit]);
            runs += 1;
            if finished.code == Some(0) {
                break;
            }
            finished.expect_exit(if is_throttled { 6 } else { 1 });
            let state = world.rows_as_json(
                "select full_checkpoint->>'created_from' as at from sync_state where table_name = 'appointments'",
            );
            assert_ne!(state[0]["at"], last, "run {runs} made no progress");
            last = state[0]["at"].clone();
            assert!(runs < 12, "it does not come to its end");
        }
        assert!(runs > 2, "{runs} runs");
        assert_eq!(rows(&world), 2_400);
    }
}

#[test]
fn full_sync_that_was_killed_finds_deletions_in_all_windows() {
    let world = site(1_500);
    refuse_sort(&world);
    world.sync_json(&["appointments"], 0);
    for index in [0, 7, 750, 1499] {
        world.sim.delete(Entity::Bookings, &format!("r{index:05}"));
    }
    world.sim.clear_faults();
    world.sim.fault(Fault::on(LIST).nth(14).system_error());
    refuse_sort(&world);
    world.full_sync_json(&["appointments", "--max-retries", "0"], 1);
    let result = world.sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["resumed"], true);
    world.age_absences();
    assert_eq!(world.sync_json(&["appointments"], 0)["results"]["appointments"]["deleted"], 4);
    assert_eq!(rows(&world), 1_496);
}

#[test]
fn refused_date_filter_changes_nothing() {
    let world = site(900);
    let is_window = |request: &wix_sim::Request| {
        request.body.as_ref().is_some_and(|body| body["query"]["filter"].get("createdDate").is_some())
    };
    world.sim.fault(Fault::on(LIST).always().when(is_window).status(400));
    refuse_sort(&world);
    world.run(&["sync", "appointments"]).expect_exit(0);
    assert_eq!(rows(&world), 900);
}

#[test]
fn bookings_without_a_date_arrive_or_are_reported() {
    // One of the first pages: the list is read in its own order.
    let world = site(900);
    world.sim.put_raw(Entity::Bookings, &record(Entity::Bookings, "a", None));
    refuse_sort(&world);
    world.run(&["sync", "appointments"]).expect_exit(0);
    assert_eq!(rows(&world), 901);
    // One of the last pages: a total shows it.
    let world = site(900);
    world.sim.put_raw(Entity::Bookings, &record(Entity::Bookings, "z", None));
    world.sim.fault(Fault::on(LIST).always().refuse_sort().states_total());
    world.run(&["sync", "appointments"]).expect_exit(0);
    assert_eq!(rows(&world), 901);
}

#[test]
fn short_lists_and_incremental_syncs_need_no_further_request() {
    let world = site(350);
    refuse_sort(&world);
    world.run(&["sync", "appointments"]).expect_exit(0);
    assert_eq!(world.sim.request_count(LIST), 5);
    for index in 0..350 {
        world.sim.edit(Entity::Bookings, &format!("r{index:05}"), |it| it["booking"]["status"] = json!("CANCELED"));
    }
    world.sim.clear_requests();
    let result = world.sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["updated"], 350);
    assert_eq!(world.sim.request_count(LIST), 5);
}
