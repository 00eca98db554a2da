//! Crashes of the server, which lose everything that was not flushed: acknowledged data stays.

use private_postgres::Server;
use wix_sim::{Endpoint, Sim, Site, Sizes};

use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

/// A server that flushes its log as late as possible, so that a crash loses as much as possible.
fn world(synchronous_commit: &str, contacts: usize, bookings: usize) -> World {
    let server = Server::builder()
        .setting("synchronous_commit", synchronous_commit)
        .setting("wal_writer_delay", "10s")
        .setting("bgwriter_delay", "10s")
        .setting("checkpoint_timeout", "1h");
    let sizes = Sizes { contacts, bookings, orders: 0, ..Sizes::default() };
    World::with_server(Sim::start(Site::generate(sizes)).expect("the simulator starts"), server).migrated()
}

#[test]
fn committed_batches_survive_a_crash_with_async_commit() {
    let world = world("off", 0, 450);
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 4);
    let running = world.start(&["sync", "appointments", "--batch-size", "100"]);
    gate.wait();
    wait_until("two pages are written", || world.value::<i64>("select count(*) from appointments") >= 200);
    world.postgres.kill_hard().expect("the server ends");
    world.postgres.restart().expect("the server starts");
    gate.open();
    running.wait().expect_exit(0);
    world.assert_tables_equal_truth();
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where status = 'completed'"), 1);
}

#[test]
fn lost_transaction_is_not_confused_with_its_ids_next_user() {
    let world = world("on", 250, 0);
    world.execute(
        "create function wait_for_the_test() returns trigger language plpgsql as $$ begin
            while not pg_try_advisory_xact_lock_shared(7) loop perform pg_sleep(0.005); end loop;
            return null;
        end $$;
        create constraint trigger slow after insert on customers deferrable initially deferred
            for each row execute function wait_for_the_test()",
    );
    let mut keeper = world.client();
    keeper.batch_execute("select pg_advisory_lock(7)").expect("the lock");
    let running = world.start(&["sync", "customers"]);
    wait_until("the program waits for COMMIT", || {
        world.value("select exists (select from pg_stat_activity where state = 'active' and query = 'COMMIT')")
    });
    world.postgres.kill_hard().expect("the server ends");
    world.postgres.restart().expect("the server starts");
    // Other transactions run first, and get the ids that were assigned before the crash.
    let mut others = world.client();
    for _ in 0..100 {
        others.batch_execute("select pg_current_xact_id()").expect("a transaction");
    }
    running.wait().expect_exit(0);
    world.assert_tables_equal_truth();
}
