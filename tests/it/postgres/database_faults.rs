//! Database faults during a run, and how the run ends.

use postgres::error::SqlState;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::time::Duration;

use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

const OURS: &str = "from pg_stat_activity where application_name = 'wix-sync'";

/// Terminates the program's connections. Fails if there was none.
fn cut(world: &World) {
    let cut: i64 = world.value(&format!("select count(*) from (select pg_terminate_backend(pid) {OURS}) t"));
    assert!(cut > 0, "the program had a connection");
}

/// Waits until the program waits for a lock.
fn wait_for_lock(world: &World) {
    wait_until("the program waits for the lock", || {
        world.value::<i64>(&format!("select count(*) {OURS} and wait_event_type = 'Lock'")) > 0
    });
}

#[test]
fn connection_cut_between_two_pages_is_reopened() {
    for (endpoint, nth) in [
        (Endpoint::ContactsQuery, 2),
        (Endpoint::BookingsQuery, 1),
        (Endpoint::BookingsQuery, 3),
        (Endpoint::OrdersSearch, 2),
    ] {
        let world = World::new(1500, 250, 250).migrated();
        let gate = Gate::before(&world.sim, endpoint, nth);
        let running = world.start(&["sync", "all", "--batch-size", "100"]);
        gate.wait();
        cut(&world);
        gate.open();
        running.wait().expect_exit(0);
        world.assert_tables_equal_truth();
    }
}

#[test]
fn connection_cut_without_changes_is_reopened() {
    let world = World::new(20, 20, 20).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 1);
    let running = world.start(&["sync", "all"]);
    gate.wait();
    cut(&world);
    gate.open();
    running.wait().expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn connection_cut_in_a_transaction_loses_no_row() {
    let world = World::new(50, 250, 0).migrated();
    let mut blocker = world.client();
    let mut block = blocker.transaction().expect("a transaction");
    block.batch_execute("lock table appointments in exclusive mode").expect("the lock");
    let running = world.start(&["sync", "all", "--batch-size", "100"]);
    wait_for_lock(&world);
    cut(&world);
    block.rollback().expect("the lock is given back");
    running.wait().expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn stopped_run_ends_although_the_database_is_silent() {
    let world = World::new(1500, 0, 0).migrated();
    let gate = Gate::before(&world.sim, Endpoint::ContactsQuery, 2);
    let run = world.start(&["sync", "customers", "--time-limit", "2s"]);
    gate.wait();
    let backends: Vec<i32> = world.query(&format!("select pid {OURS}")).iter().map(|row| row.get(0)).collect();
    assert!(!backends.is_empty());
    let send_to_all = |signal: Signal| {
        for backend in &backends {
            let process = Pid::from_raw(*backend).expect("a process number");
            kill_process(process, signal).expect("the signal is sent");
        }
    };
    send_to_all(Signal::STOP);
    gate.open();
    run.wait().expect_exit(6).expect_stderr("the database gave no answer after that");
    send_to_all(Signal::CONT);
    world.execute("update sync_locks set expires_at = now()");
    world.sync_json(&["customers"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn run_stopped_while_waiting_is_recorded_as_stopped() {
    let world = World::new(0, 0, 30).migrated();
    let mut blocker = world.client();
    let mut block = blocker.transaction().expect("a transaction");
    block.batch_execute("lock table orders in exclusive mode").expect("the lock");
    let run = world.start(&["sync", "orders"]);
    wait_for_lock(&world);
    run.signal(Signal::TERM);
    let finished = run.wait().expect_exit(143);
    assert!(finished.stderr.contains("stopped by SIGTERM") && !finished.stderr.contains("no answer"), "{finished:#?}");
    block.rollback().expect("the lock is given back");
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where status = 'failed'"), 1);
    world.sync_json(&["orders"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn run_waits_for_a_restarted_server() {
    let world = World::new(1500, 250, 150).migrated();
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 2);
    let running = world.start(&["sync", "all", "--batch-size", "100"]);
    gate.wait();
    world.postgres.stop().expect("the server stops");
    gate.open();
    world.postgres.restart().expect("the server starts");
    running.wait().expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn server_timeouts_only_make_batches_smaller() {
    let mut world = World::new(2000, 150, 0).migrated();
    world.execute(
        "create role syncer login bypassrls;
         grant usage on schema public to syncer;
         grant all on all tables in schema public to syncer;
         alter role syncer set statement_timeout = '300ms';
         alter role syncer set idle_in_transaction_session_timeout = '1s';
         create function nap() returns trigger language plpgsql as 'begin perform pg_sleep(0.001); return new; end';
         create trigger nap before insert on customers for each row execute function nap()",
    );
    world.set("DATABASE_URL", &world.postgres.url_as("syncer", "postgres"));
    // Longer than a transaction may be idle: none may be open meanwhile.
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).nth(2).delay(Duration::from_millis(1500)));
    world.run(&["sync", "all", "--batch-size", "2000"]).expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn deadlocks_with_another_writer_lose_nothing() {
    let world = World::new(300, 0, 0).migrated();
    world.run(&["sync", "customers"]).expect_exit(0);
    let contacts = world.sim.contacts();
    for contact in &contacts {
        let id = contact["id"].as_str().expect("an id");
        world.sim.edit(Entity::Contacts, id, |contact| contact["info"]["company"] = json!("Another"));
    }
    let touch = |at: usize| {
        let id = contacts[at]["id"].as_str().expect("an id");
        format!("update customers set name = name where wix_contact_id = '{id}'")
    };
    let (first, last) = (touch(0), touch(contacts.len() - 1));
    let mut writer = world.client();
    let mut block = writer.transaction().expect("a transaction");
    block.batch_execute(&last).expect("the last row");
    let running = world.start(&["sync", "customers"]);
    for round in 0..3 {
        wait_until("the program waits for the writer", || {
            world.value::<i64>(&format!("select count(*) {OURS} and wait_event_type = 'Lock'")) > 0
        });
        // A deadlock: Postgres aborts one of the two.
        match block.batch_execute(&first) {
            Ok(()) => block.commit().expect("the writer was spared"),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED));
                break;
            }
        }
        block = writer.transaction().expect("a transaction");
        if round == 2
            || world.value::<i64>("select count(*) from customers where company is distinct from 'Another'") == 0
        {
            break;
        }
        block.batch_execute(&last).expect("the last row");
        if world.value::<String>("select status from sync_logs order by started_at desc limit 1") != "running" {
            break;
        }
    }
    drop(block);
    running.wait().expect_exit(0);
    wait_until("a deadlock is counted", || {
        world.value::<i64>("select deadlocks from pg_stat_database where datname = 'postgres'") > 0
    });
    world.assert_tables_equal_truth();
}

#[test]
fn read_only_database_is_named() {
    let world = World::new(5, 0, 0).migrated();
    world.execute("alter database postgres set default_transaction_read_only = on");
    world.run(&["sync", "all"]).expect_exit(1).expect_stderr("is read-only");
    assert_eq!(world.sim.requests().len(), 0, "nothing was asked of Wix");
}
