//! All commands through a real PgBouncer in transaction mode, whose few server connections are also used by other
//! clients: session state does not survive a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use postgres::{Client, NoTls};
use private_postgres::{PgBouncer, PoolMode};
use rustix::process::Signal;
use wix_sim::Endpoint;

use crate::support::harness::World;
use crate::support::running::Gate;
use crate::support::truth::Truth;
use crate::upgrade::adoption::{TABLES, inherited};

const SETTINGS: [(&str, &str); 2] = [("default_pool_size", "3"), ("server_round_robin", "1")];

/// Clients that send short statements through the pooler until they are dropped.
struct Crowd {
    stop: Arc<AtomicBool>,
    statements: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn through(url: &str) -> Crowd {
        let (stop, statements) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..3)
            .map(|_| {
                let mut client = Client::connect(url, NoTls).expect("the pooler can be reached");
                let (stop, statements) = (stop.clone(), statements.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        client.batch_execute("begin; select pg_sleep(0.001); commit").expect("the pooler answers");
                        statements.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Crowd { stop, statements, clients }
    }

    /// Stops the clients. Fails the test if they were not active during it.
    fn disperse(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a busy client was served to the end");
        }
        assert!(self.statements.load(Ordering::Relaxed) > 20, "the servers were busy");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn search_path_left_in_a_session_has_no_effect() {
    let mut world = World::new(5, 5, 5).migrated();
    world.execute("create schema astray");
    let settings = [("default_pool_size", "1"), ("server_reset_query", "")];
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &settings).expect("the pooler starts");
    let url = bouncer.url("postgres");
    let mut other = Client::connect(&url, NoTls).expect("the pooler can be reached");
    other.batch_execute("set search_path = astray").expect("it is set");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
    assert_eq!(world.value::<i64>("select count(*) from pg_tables where schemaname = 'astray'"), 0);
}

/// The tables' content without values that differ from run to run.
fn tables(world: &World) -> Vec<Vec<serde_json::Value>> {
    [("customers", "wix_contact_id"), ("appointments", "wix_booking_id"), ("orders", "wix_order_id")]
        .map(|(table, key)| {
            world.rows_as_json(&format!(
                "select to_jsonb(t) - 'id' - 'customer_id' - 'created_at' - 'updated_at' as row,
                    (select wix_contact_id from customers c where c.id = (to_jsonb(t) ->> 'customer_id')::uuid) as customer
                 from {table} t where {key} is not null order by {key}"
            ))
        })
        .into()
}

#[test]
fn every_command_works_through_a_busy_pooler() {
    let direct = World::new(1500, 250, 250).migrated();
    direct.run(&["sync", "all"]).expect_exit(0);

    let mut pooled = World::new(1500, 250, 250);
    let bouncer = PgBouncer::start(&pooled.postgres, PoolMode::Transaction, &SETTINGS).expect("the pooler starts");
    let url = bouncer.url("postgres");
    pooled.set("DATABASE_URL", &url);
    let crowd = Crowd::through(&url);
    pooled.run(&["status"]).expect_exit(0);
    pooled.run(&["migrate"]).expect_exit(0);
    pooled.run(&["migrate"]).expect_exit(0);
    let first = pooled.sync_json(&["all", "--batch-size", "50"], 0);
    assert_eq!(first["results"]["customers"]["inserted"], 1500);
    pooled.run(&["sync", "appointments", "--start", "2024-01-01", "--end", "2024-12-31"]).expect_exit(0);
    let again = pooled.sync_json(&["all"], 0);
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(again["results"][table]["updated"], 0, "{table}");
        assert_eq!(again["results"][table]["inserted"], 0, "{table}");
    }
    let run = again["run_id"].as_str().expect("a run has an id");
    pooled.run(&["status", run]).expect_exit(0);
    pooled.run(&["status", "--json"]).expect_exit(0);
    crowd.disperse();
    assert!(bouncer.is_running(), "{}", bouncer.log_text());
    assert_eq!(tables(&pooled), tables(&direct));
}

#[test]
fn tables_are_adopted_through_a_busy_pooler() {
    let mut world = inherited(TABLES);
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &SETTINGS).expect("the pooler starts");
    let url = bouncer.url("postgres");
    world.set("DATABASE_URL", &url);
    let crowd = Crowd::through(&url);
    let statements = crowd.statements.clone();
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    while statements.load(Ordering::Relaxed) <= 20 && crowd.clients.iter().any(|client| !client.is_finished()) {
        std::thread::yield_now();
    }
    crowd.disperse();
    assert_eq!(world.value::<i64>("select count(*) from customers where wix_contact_id is null"), 1);
}

#[test]
fn several_migrate_at_once_through_a_pooler() {
    let mut world = World::empty();
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &SETTINGS).expect("the pooler starts");
    let url = bouncer.url("postgres");
    world.set("DATABASE_URL", &url);
    let finished = crate::upgrade::migrate::at_once(&world, 6, &["migrate"]);
    crate::upgrade::migrate::done_by_one(&finished);
    world.run(&["status"]).expect_exit(0);
}

/// Leaves prepared statements with drivers' usual names on the pooler's server connections, and disconnects.
fn leave_statements(url: &str) {
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(url, NoTls).expect("the pooler answers")).collect();
    // Each in a transaction at the same time, so that each has its own server connection.
    for client in &mut clients {
        client.batch_execute("begin").expect("a server");
    }
    for client in &mut clients {
        let statements: String = (0..50).map(|number| format!("prepare s{number} as select {number};")).collect();
        client.batch_execute(&statements).expect("they are prepared");
    }
    for client in &mut clients {
        client.batch_execute("commit").expect("it ends");
    }
}

#[test]
fn statements_that_others_prepared_do_not_collide() {
    let mut world = World::new(150, 120, 120);
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &SETTINGS).expect("the pooler starts");
    let url = bouncer.url("postgres");
    leave_statements(&url);
    let mut client = Client::connect(&url, NoTls).expect("the pooler answers");
    let left = client.simple_query("select name from pg_prepared_statements").expect("an answer");
    assert!(left.len() > 50, "a server of the pool holds them");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate"]).expect_exit(0);
    for arguments in [&["sync", "all"][..], &["sync", "all", "--full"], &["status"], &["errors", "retry"]] {
        world.run(arguments).expect_exit(0);
    }
    world.assert_live_rows_equal(&Truth { stubs_are_gone: true, ..Truth::of(&world.sim) });
}

#[test]
fn killed_run_behind_a_pooler_leaves_no_lock() {
    let mut world = World::new(30, 450, 0);
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &SETTINGS).expect("the pooler starts");
    let url = bouncer.url("postgres");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate"]).expect_exit(0);
    let crowd = Crowd::through(&url);
    for nth in [1, 3] {
        let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, nth);
        let running = world.start(&["sync", "all", "--batch-size", "100"]);
        gate.wait();
        running.signal(Signal::KILL);
        running.wait();
        drop(gate);
        let locks = "select count(*) from pg_locks where locktype = 'advisory'";
        assert_eq!(world.value::<i64>(locks), 0, "no session may hold a lock: the next client gets that session");
    }
    world.run(&["sync", "all"]).expect_exit(0);
    crowd.disperse();
    world.assert_tables_equal_truth();
}

#[test]
fn pooler_with_a_single_connection_causes_no_deadlock() {
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let mut world = World::new(20, 120, 120).migrated();
        let settings = [("default_pool_size", "1"), ("reserve_pool_size", "0")];
        let bouncer = PgBouncer::start(&world.postgres, mode, &settings).expect("the pooler starts");
        world.set("DATABASE_URL", &bouncer.url("postgres"));
        world.run(&["sync", "all"]).expect_exit(0);
        world.assert_tables_equal_truth();
    }
}
