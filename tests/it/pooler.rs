//! All commands through a real PgBouncer in transaction mode, whose few servers other clients keep busy:
//! what a statement leaves behind in a session is another client's at the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use postgres::{Client, NoTls};
use private_postgres::{PgBouncer, PoolMode};

use crate::adoption::{TABLES, inherited};
use crate::harness::World;

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

    /// Ends it, and fails the test if it had nothing to do with the pooler while the test ran.
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

/// What the tables hold, without what differs from run to run.
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
fn every_command_works_through_a_busy_pooler_as_it_does_without() {
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
fn tables_are_taken_over_through_a_busy_pooler() {
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
    let finished = crate::migrate::at_once(&world, 6, &["migrate"]);
    crate::migrate::done_by_one(&finished);
    world.run(&["status"]).expect_exit(0);
}
