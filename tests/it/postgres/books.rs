//! Row counts and write numbers of tables: rows that another program removed, a database that is behind what the run
//! wrote, and counts that differ from Wix's own.

use std::path::Path;
use std::process::Command;

use postgres::{Client, NoTls};
use private_postgres::Server;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault, Request};

use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

fn count(world: &World, table: &str) -> i64 {
    world.value(&format!("select count(*) from {table} where deleted_at is null"))
}

/// The tables have every record of Wix.
#[track_caller]
fn assert_whole(world: &World) {
    let tables = [("customers", Entity::Contacts), ("appointments", Entity::Bookings)];
    for (table, entity) in tables {
        let rows = format!("select count(*) from {table} where deleted_at is null and raw is not null");
        assert_eq!(world.value::<i64>(&rows), world.sim.len(entity) as i64, "{table}");
    }
    assert_eq!(count(world, "orders"), world.sim.orders().len() as i64);
}

/// The notices of the run about a table.
fn notices(result: &Value, table: &str) -> String {
    result["results"][table]["notices"].to_string()
}

/// Copies a data directory over an existing one.
pub(crate) fn copy(from: &Path, to: &Path) {
    for (program, arguments) in [("rm", vec!["-rf".as_ref(), to]), ("cp", vec!["-a".as_ref(), from, to])] {
        assert!(Command::new(program).args(arguments).status().expect("it runs").success(), "{program}");
    }
}

/// A run with 700 bookings that waits before its sixth page, and a copy of the data directory from before the third
/// page.
fn run_with_an_older_copy(world: &World, older: &Path) -> (crate::support::running::Running, Gate) {
    let (early, late) =
        (Gate::before(&world.sim, Endpoint::BookingsQuery, 3), Gate::before(&world.sim, Endpoint::BookingsQuery, 6));
    let running = world.start(&["sync", "appointments", "--batch-size", "100"]);
    early.wait();
    wait_until("two pages are written", || count(world, "appointments") == 200);
    world.postgres.stop().expect("the server stops");
    copy(world.postgres.data_dir(), older);
    world.postgres.restart().expect("the server starts");
    early.open();
    late.wait();
    wait_until("five pages are written", || count(world, "appointments") == 500);
    (running, late)
}

fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("wix-sync-{name}-{}", std::process::id()))
}

#[test]
fn failover_to_a_standby_that_is_behind_fails_the_run() {
    let mut world = World::new(0, 700, 0).migrated();
    let kept = scratch("standby");
    let sockets = |server: &Server| server.socket_dir().display().to_string();
    // The standby's socket exists only while it runs. The run must not reach it before the primary has stopped.
    let standby = Server::builder().keep(&kept).start().expect("the standby starts");
    let hosts = format!("{},{}", sockets(&world.postgres), sockets(&standby));
    world.set("DATABASE_URL", &format!("postgresql:///postgres?user=postgres&host={hosts}&port=5432,5432"));
    standby.stop().expect("it stops");

    let (running, gate) = run_with_an_older_copy(&world, &kept.join("data"));
    world.postgres.kill_hard().expect("the primary is gone");
    standby.restart().expect("the standby takes over");
    gate.open();
    running.wait().expect_exit(1).expect_stderr("does not hold what this run wrote last");

    let mut client = Client::connect(&standby.url("postgres"), NoTls).expect("the standby can be reached");
    let mut rows = || -> i64 { client.query_one("select count(*) from appointments", &[]).expect("a count").get(0) };
    assert_eq!(rows(), 200);
    let result = world.sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["resumed"], true);
    assert_eq!(rows(), 700);
    drop(standby);
    std::fs::remove_dir_all(kept).expect("it can be removed");
}

#[test]
fn restored_older_data_directory_fails_the_run() {
    let world = World::new(0, 700, 0).migrated();
    let kept = scratch("older");
    let (running, gate) = run_with_an_older_copy(&world, &kept);
    world.postgres.stop().expect("the server stops");
    copy(&kept, world.postgres.data_dir());
    world.postgres.restart().expect("the server starts");
    gate.open();
    running.wait().expect_exit(1).expect_stderr("does not hold what this run wrote last");
    assert_eq!(count(&world, "appointments"), 200);
    assert_eq!(world.sync_json(&["appointments"], 0)["results"]["appointments"]["resumed"], true);
    world.assert_tables_equal_truth();
    std::fs::remove_dir_all(kept).expect("it can be removed");
}

/// Tables that are synced later are unchanged: the older state has no data of them.
#[test]
fn table_that_falls_behind_after_its_sync_fails_the_run() {
    let world = World::new(2500, 40, 30).migrated();
    let kept = scratch("ended");
    let third_page = Gate::before(&world.sim, Endpoint::ContactsQuery, 3);
    let others =
        [Endpoint::BookingsQuery, Endpoint::OrdersSearch].map(|endpoint| Gate::before(&world.sim, endpoint, 1));
    let running = world.start(&["sync", "all"]);
    third_page.wait();
    wait_until("pages are written", || count(&world, "customers") >= 1000);
    world.postgres.stop().expect("the server stops");
    copy(world.postgres.data_dir(), &kept);
    world.postgres.restart().expect("the server starts");
    third_page.open();
    let is_done =
        "select last_success_at is not null and drift is not null from sync_state where table_name = 'customers'";
    wait_until("the customers are synced", || world.value(is_done));
    others.iter().for_each(Gate::wait);
    world.postgres.stop().expect("the server stops");
    copy(&kept, world.postgres.data_dir());
    world.postgres.restart().expect("the server starts");
    others.into_iter().for_each(Gate::open);
    running.wait().expect_exit(1).expect_stderr("does not hold what this run wrote last");
    assert_eq!(world.sync_json(&["all"], 0)["results"]["customers"]["resumed"], true);
    assert_whole(&world);
    std::fs::remove_dir_all(kept).expect("it can be removed");
}

/// The second run acquires the lease with the token that the first run had before the failover.
#[test]
fn run_that_lost_its_lease_in_a_failover_writes_nothing() {
    let world = World::new(0, 700, 0).migrated();
    let kept = scratch("lease");
    world.postgres.stop().expect("the server stops");
    copy(world.postgres.data_dir(), &kept);
    world.postgres.restart().expect("the server starts");
    let at_work = || {
        let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
        let running = world.start(&["sync", "appointments", "--batch-size", "100"]);
        gate.wait();
        wait_until("two pages are written", || count(&world, "appointments") == 200);
        (running, gate)
    };
    let (first, first_gate) = at_work();
    world.postgres.stop().expect("the server stops");
    copy(&kept, world.postgres.data_dir());
    world.postgres.restart().expect("the server starts");
    let (second, second_gate) = at_work();
    first_gate.open();
    first.wait().expect_exit(1).expect_stderr("another run took the lock");
    assert_eq!(count(&world, "appointments"), 200);
    assert!(
        world.value::<bool>("select expires_at > clock_timestamp() from sync_locks"),
        "the second run has its lease"
    );
    second_gate.open();
    second.wait().expect_exit(0);
    world.assert_tables_equal_truth();
    std::fs::remove_dir_all(kept).expect("it can be removed");
}

#[test]
fn table_truncated_during_a_full_sync_fails_the_run() {
    let world = World::new(2500, 10, 10).migrated();
    let gate = Gate::before(&world.sim, Endpoint::ContactsQuery, 3);
    let running = world.start(&["sync", "all"]);
    gate.wait();
    wait_until("pages are written", || count(&world, "customers") >= 1000);
    world.execute("truncate customers cascade");
    gate.open();
    running.wait().expect_exit(1).expect_stderr("customers holds");
    assert!(world.value::<bool>("select last_success_at is null from sync_state where table_name = 'customers'"));
    let result = world.sync_json(&["all"], 0);
    assert!(notices(&result, "customers").contains("a full sync follows"), "{result}");
    assert_whole(&world);
    world.sync_json(&["all"], 0);
}

#[test]
fn rows_deleted_during_an_incremental_sync_come_back() {
    let world = World::new(300, 40, 30).migrated();
    world.sync_json(&["all"], 0);
    let gate = Gate::before(&world.sim, Endpoint::OrdersSearch, 1);
    let running = world.start(&["sync", "all"]);
    gate.wait();
    world.execute("delete from customers where wix_contact_id in (select wix_contact_id from customers limit 50)");
    gate.open();
    running.wait().expect_exit(1).expect_stderr("customers holds");
    let result = world.sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["kind"], "full");
    assert_whole(&world);
}

#[test]
fn emptied_table_is_read_again() {
    for first in [
        &["sync", "appointments"][..],
        &["sync", "appointments", "--start", "2020-01-01"],
        &["errors", "retry"],
        &["verify", "--repair"],
        &["sync", "orders"],
    ] {
        let world = World::new(300, 40, 30).migrated();
        world.sync_json(&["all"], 0);
        world.execute("truncate customers cascade");
        let finished = world.run(first);
        assert!(matches!(finished.code, Some(0 | 3)), "{finished:#?}");
        world.sync_json(&["all"], 0);
        assert_whole(&world);
    }
}

#[test]
fn manually_removed_or_added_rows_start_a_full_sync() {
    for change in [
        "delete from customers where wix_contact_id in (select wix_contact_id from customers order by 1 limit 100)",
        "update customers set deleted_at = now() where wix_contact_id in (select wix_contact_id from customers limit 9)",
        "truncate customers cascade; insert into customers (name) values ('By hand')",
    ] {
        let world = World::new(300, 40, 30).migrated();
        world.sync_json(&["all"], 0);
        world.execute(change);
        let result = world.sync_json(&["all"], 0);
        assert_eq!(result["results"]["customers"]["kind"], "full", "{change}");
        assert!(notices(&result, "customers").contains("but the last run left"), "{change}: {result}");
        world.execute("delete from customers where wix_contact_id is null");
        assert_whole(&world);
        assert_eq!(world.sync_json(&["all"], 0)["results"]["customers"]["kind"], "incremental");
    }
}

#[test]
fn rows_without_a_wix_id_are_ignored() {
    let world = World::new(30, 10, 10).migrated();
    world.sync_json(&["all"], 0);
    world.execute("insert into customers (name) values ('Walk-in'); insert into orders (status) values ('own')");
    let result = world.sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["kind"], "incremental");
    assert!(result["results"]["customers"]["notices"].is_null(), "{result}");
}

/// Makes the daily count checks due.
fn age_checks(world: &World) {
    world.execute(
        "update sync_state set drift = jsonb_set(drift, '{checked_at}', to_jsonb(now() - interval '2 hours'))",
    );
}

#[test]
fn drift_check_finds_deletions_with_two_requests_an_hour() {
    let world = World::new(120, 60, 40).migrated();
    world.sync_json(&["all"], 0);
    world.sync_json(&["all", "--full"], 0);
    let gone = world.sim.contacts()[7]["id"].as_str().expect("an id").to_owned();
    world.sim.delete(Entity::Contacts, &gone);
    let deleted = || {
        world.value::<i64>(&format!(
            "select count(*) from customers where wix_contact_id = '{gone}' and deleted_at is not null"
        ))
    };
    let requests = || {
        let count = world.sim.request_count(Endpoint::Any);
        world.sim.clear_requests();
        count
    };
    requests();
    world.sync_json(&["all"], 0);
    assert_eq!(requests(), 3, "no check is due within an hour of a full sync");
    age_checks(&world);
    world.sync_json(&["all"], 0);
    assert_eq!((requests(), deleted()), (5, 0), "one count of contacts, one of bookings");
    world.sync_json(&["all"], 0);
    assert_eq!(requests(), 3);
    age_checks(&world);
    let result = world.sync_json(&["all"], 0);
    assert!(notices(&result, "customers").contains("in two checks in a row"), "{result}");
    assert_eq!((result["results"]["customers"]["kind"].clone(), deleted()), (json!("full"), 1));
    // Once a day.
    world.sim.delete(Entity::Contacts, world.sim.contacts()[3]["id"].as_str().expect("an id"));
    for _ in 0..3 {
        age_checks(&world);
        assert_eq!(world.sync_json(&["all"], 0)["results"]["customers"]["kind"], "incremental");
    }
}

#[test]
fn refused_or_wrong_count_does_not_fail_a_run() {
    let world = World::new(60, 60, 10).migrated();
    world.sim.fault(Fault::on(Endpoint::BookingsCount).always().permission_missing());
    // Wix counts one contact more than it returns.
    let smallest = |request: &Request| request.body.as_ref().is_some_and(|body| body["query"]["paging"]["limit"] == 1);
    world.sim.fault(
        Fault::on(Endpoint::ContactsQuery)
            .when(smallest)
            .always()
            .body(r#"{"contacts":[{"id":"x"}],"pagingMetadata":{"count":1,"offset":0,"total":61}}"#),
    );
    world.sync_json(&["all"], 0);
    let passes: Vec<Value> = (0..4)
        .map(|_| {
            age_checks(&world);
            world.sync_json(&["all"], 0)["results"]["customers"]["kind"].clone()
        })
        .collect();
    assert_eq!(
        passes,
        ["incremental", "full", "incremental", "incremental"],
        "after the full sync that difference is normal"
    );
}

#[test]
fn check_every_zero_asks_for_no_count() {
    let world = World::new(20, 10, 10).migrated();
    world.sync_json(&["all"], 0);
    age_checks(&world);
    world.sim.clear_requests();
    world.sync_json(&["all", "--check-every", "0"], 0);
    assert_eq!(world.sim.request_count(Endpoint::Any), 3);
}
