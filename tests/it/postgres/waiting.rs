//! Locks that another session never releases, and stops during the wait: every command ends and names the blocking
//! session, and a run that was asked to stop ends within seconds.

use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::Endpoint;

use crate::support::harness::{Finished, World};
use crate::support::monitor::Monitor;
use crate::support::running::{Gate, wait_until};

/// A forgotten session that holds its locks until it is dropped.
struct Forgotten {
    _client: Client,
    pid: i32,
}

impl Forgotten {
    /// A session that runs this in a transaction, and then does nothing.
    fn session(world: &World, statement: &str) -> Forgotten {
        let mut config: Config = world.postgres.url("postgres").parse().expect("a connection string");
        let mut client = config.application_name("coffee break").connect(NoTls).expect("the database can be reached");
        client.batch_execute(&format!("begin; {statement}")).expect("the lock is there to be had");
        let pid = client.query_one("select pg_backend_pid()", &[]).expect("an answer").get(0);
        Forgotten { _client: client, pid }
    }

    fn lock(world: &World, table: &str) -> Forgotten {
        Forgotten::session(world, &format!("lock table {table}"))
    }

    /// Text that the message must contain, and text that it must not.
    #[track_caller]
    fn expect_named(&self, text: &str, table: &str) {
        for part in [
            &format!("pid {} (user postgres, application coffee break, idle in transaction for ", self.pid),
            &format!(" on {table}"),
            &format!("select pg_terminate_backend({})", self.pid),
        ] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        assert!(!text.contains("pg_backend_pid"), "its query may hold personal data: {text}");
    }
}

/// Waits until the program waits for a lock.
fn wait_for_lock(world: &World) {
    wait_until("the program waits for the lock", || {
        world.value::<bool>(
            "select exists (select from pg_stat_activity where application_name = 'wix-sync' and wait_event_type = 'Lock')",
        )
    });
}

/// Shortens the waits of a test: a stricter limit of the user stays in force.
fn wait_briefly(world: &World) {
    world.execute("alter database postgres set lock_timeout = '500ms'");
}

fn synced() -> World {
    let world = World::new(20, 20, 20).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world
}

#[test]
fn commands_that_read_name_the_session_that_locks_a_table() {
    let world = synced();
    wait_briefly(&world);
    for (arguments, table) in [
        (&["status"][..], "sync_errors"),
        (&["errors"], "sync_errors"),
        (&["verify", "all"], "sync_missing"),
        (&["status"], "customers"),
        (&["sync", "all"], "sync_locks"),
        (&["sync", "all"], "sync_state"),
    ] {
        let forgotten = Forgotten::lock(&world, table);
        let finished = world.run(arguments).expect_exit(1);
        forgotten.expect_named(&finished.stderr, table);
    }
    let forgotten = Forgotten::lock(&world, "sync_errors");
    let finished = world.run(&["doctor"]).expect_exit(5);
    forgotten.expect_named(&finished.stdout, "sync_errors");
}

#[test]
fn run_records_the_session_that_locks_a_table() {
    let world = synced();
    wait_briefly(&world);
    let forgotten = Forgotten::lock(&world, "sync_missing");
    let finished = world.run(&["sync", "orders", "--full"]).expect_exit(1);
    forgotten.expect_named(&finished.stderr, "sync_missing");
    let error: String = world.value("select error from sync_logs where status = 'failed'");
    assert!(error.contains(&format!("pid {} (user postgres, ", forgotten.pid)), "{error}");
    drop(forgotten);
    world.run(&["sync", "orders", "--full"]).expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn wait_for_a_locked_row_is_bounded() {
    let world = synced();
    let forgotten = Forgotten::session(&world, "select from sync_locks for update");
    let finished = world.run(&["sync", "all"]).expect_exit(1);
    forgotten.expect_named(&finished.stderr, "sync_locks");
}

#[test]
fn migrate_names_the_session_that_locks_a_table() {
    let world = World::empty();
    world.execute(
        "create table customers (id uuid primary key, wix_contact_id text unique, name text, email text, phone text)",
    );
    let forgotten = Forgotten::session(&world, "select from customers");
    let finished = world.run(&["migrate"]).expect_exit(1);
    forgotten.expect_named(&finished.stderr, "customers");
    drop(forgotten);
    world.run(&["migrate"]).expect_exit(0);
}

#[test]
fn stricter_lock_timeout_of_the_role_stays_in_force() {
    let world = synced();
    let _forgotten = Forgotten::lock(&world, "sync_errors");
    wait_briefly(&world);
    let clock = Instant::now();
    world.run(&["errors"]).expect_exit(1).expect_stderr("a lock was not granted in time");
    assert!(clock.elapsed() < Duration::from_secs(8), "{:?}", clock.elapsed());
}

/// Starts a command, sends the signal when it waits for the lock, and fails unless it ends within seconds.
#[track_caller]
fn stopped(world: &World, arguments: &[&str], signal: Signal, exit: i32) -> Finished {
    let run = world.start(arguments);
    wait_for_lock(world);
    let clock = Instant::now();
    run.signal(signal);
    let finished = run.wait().expect_exit(exit);
    assert!(clock.elapsed() < Duration::from_secs(9), "{:?}: {finished:#?}", clock.elapsed());
    finished
}

#[test]
fn waiting_run_ends_within_seconds_of_a_signal() {
    for (table, arguments) in [
        ("sync_errors", &["sync", "all"][..]),
        ("orders", &["sync", "orders", "--full"]),
        ("sync_locks", &["sync", "all"]),
        ("sync_missing", &["verify", "all"]),
    ] {
        let world = synced();
        world.execute("update orders set content_hash = null");
        // The exclusive lock on `orders` allows reads.
        let mode = if table == "orders" { "exclusive" } else { "access exclusive" };
        let forgotten = Forgotten::session(&world, &format!("lock table {table} in {mode} mode"));
        let finished = stopped(&world, arguments, Signal::TERM, 143);
        assert!(finished.stderr.contains("stopped by SIGTERM"), "{finished:#?}");
        assert!(!finished.stderr.contains("no answer"), "{finished:#?}");
        if table == "orders" {
            forgotten.expect_named(&finished.stderr, "orders");
            let failed = "select count(*) from sync_logs where status = 'failed' and error like '%stopped by SIGTERM%'";
            assert_eq!(world.value::<i64>(failed), 1);
        }
        drop(forgotten);
        world.sync_json(&["all"], 0);
        world.assert_tables_equal_truth();
    }
}

#[test]
fn stop_while_sync_logs_is_locked_keeps_its_exit_code() {
    for (signal, exit) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let world = synced();
        let _forgotten = Forgotten::lock(&world, "sync_logs");
        stopped(&world, &["sync", "all"], signal, exit).expect_stderr("the run could not be recorded in sync_logs");
    }
    let world = synced();
    let _forgotten = Forgotten::lock(&world, "sync_logs");
    let run = world.run(&["sync", "all", "--time-limit", "1s"]).expect_exit(6);
    run.expect_stderr("the run could not be recorded in sync_logs");
}

#[test]
fn stop_after_sync_logs_was_locked_keeps_its_exit_code() {
    for (signal, exit) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = World::new(0, 450, 0).migrated();
        let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
        let run = world.start(&["sync", "appointments"]);
        gate.wait();
        let forgotten = Forgotten::lock(&world, "sync_logs");
        run.signal(signal);
        gate.open();
        let finished = run.wait().expect_exit(exit);
        forgotten.expect_named(&finished.stderr, "sync_logs");
        assert!(finished.stderr.contains("the end of the run could not be recorded in sync_logs"), "{finished:#?}");
        drop(forgotten);
        world.sync_json(&["appointments"], 0);
        world.assert_tables_equal_truth();
    }
}

#[test]
fn run_that_cannot_record_its_end_fails_with_the_reason() {
    let world = World::new(0, 0, 250).migrated();
    wait_briefly(&world);
    let gate = Gate::before(&world.sim, Endpoint::OrdersSearch, 3);
    let run = world.start(&["sync", "orders"]);
    gate.wait();
    let forgotten = Forgotten::lock(&world, "sync_logs");
    gate.open();
    let finished = run.wait().expect_exit(1);
    forgotten.expect_named(&finished.stderr, "sync_logs");
    drop(forgotten);
    world.run(&["sync", "orders"]).expect_exit(0);
    let runs = world.rows_as_json("select status from sync_logs order by started_at");
    assert_eq!(runs, [json!({"status": "failed"}), json!({"status": "completed"})]);
    world.assert_tables_equal_truth();
}

#[test]
fn sighup_stops_a_run_like_sigterm() {
    let mut world = World::new(0, 450, 0).migrated();
    let monitor = Monitor::start();
    world.set("WIX_SYNC_HEALTHCHECK_URL", &monitor.url());
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
    let run = world.start(&["sync", "appointments", "--json"]);
    gate.wait();
    run.signal(Signal::HUP);
    let finished = run.wait().expect_exit(129).expect_stderr("stopped by SIGHUP");
    drop(gate);
    let shown: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert_eq!((&shown["exit_code"], &shown["status"]), (&json!(129), &json!("failed")));
    assert_eq!(world.value::<String>("select status from sync_logs"), "failed");
    assert_eq!(monitor.signals(), ["/start", "/fail"]);
    assert_eq!(world.value::<i64>("select count(*) from appointments"), 200);
}

#[test]
fn sighup_that_was_ignored_at_the_start_stays_ignored() {
    let world = World::new(0, 250, 0).migrated();
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 2);
    // As nohup does.
    let command = world.command(&["sync", "appointments"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = crate::support::running::Running::of(&["sync", "appointments"], shell);
    gate.wait();
    run.signal(Signal::HUP);
    gate.open();
    run.wait().expect_exit(0);
}
