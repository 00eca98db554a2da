//! Two runs at once, lock owners that died, and suspended runs that continue after another run took the lease.

use private_postgres::{PgBouncer, PoolMode};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity};

use crate::support::harness::World;
use crate::support::running::{Gate, Running, wait_until};

/// A run that waits for its third page of bookings, with the first two written. The orders, which are read at the same
/// time, are done.
fn at_work(world: &World) -> (Running, Gate) {
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
    let running = world.start(&["sync", "all", "--batch-size", "100"]);
    gate.wait();
    wait_until("what was read is written", || {
        world.value(
            "select (select count(*) from appointments) = 200
                and exists (select from sync_state where table_name = 'orders' and drift is not null)",
        )
    });
    (running, gate)
}

fn site() -> World {
    World::new(30, 450, 150).migrated()
}

fn end_lease(world: &World) {
    world.execute("update sync_locks set expires_at = clock_timestamp() - interval '1 second'");
}

#[test]
fn second_run_is_refused_and_writes_nothing() {
    let world = site();
    let (first, gate) = at_work(&world);
    let state = || world.rows_as_json("select *, (select count(*) from appointments) n from sync_state order by 1");
    let (before, requests) = (state(), world.sim.requests().len());
    let run: String = world.value("select id::text from sync_logs");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("this machine has a name");
    for table in ["all", "customers"] {
        let second = world.run(&["sync", table]).expect_exit(4);
        for part in [&run, &format!("pid {} ", first.pid()), host.trim()] {
            assert!(second.stderr.contains(part), "`{part}` is not in {second:#?}");
        }
    }
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 1);
    assert_eq!((state(), world.sim.requests().len()), (before, requests));
    gate.open();
    first.wait().expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn lease_of_a_killed_local_run_is_taken_at_once() {
    let world = site();
    let (first, gate) = at_work(&world);
    first.signal(Signal::KILL);
    gate.open();
    assert!(world.value::<bool>("select expires_at > clock_timestamp() from sync_locks"), "its lease is not over");
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
    assert_eq!(first.wait().code, None);
}

#[test]
fn lease_of_another_machine_blocks_until_it_expires() {
    let world = site();
    let (first, gate) = at_work(&world);
    first.signal(Signal::KILL);
    gate.open();
    first.wait();
    world.execute("update sync_locks set holder = jsonb_set(holder, '{host}', '\"elsewhere\"')");
    world.run(&["sync", "all"]).expect_exit(4).expect_stderr("elsewhere");
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 1);
    end_lease(&world);
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
}

/// A run is suspended with a response of Wix in memory. Another run takes the lease and ends. Then the first continues.
fn wakes_up_too_late(world: &World) {
    let (first, gate) = at_work(world);
    first.pause();
    gate.open();
    let third = || world.sim.requests().into_iter().filter(|it| it.endpoint == Endpoint::BookingsQuery).nth(2);
    wait_until("the third page is sent", || third().is_some_and(|request| request.status.is_some()));
    // Bookings of that page, changed without a newer date: the first run's copies would overwrite them.
    for mut item in world.sim.bookings().into_iter().skip(200).take(100) {
        item["booking"]["status"] = json!("DECLINED");
        world.sim.put_raw(Entity::Bookings, &item.to_string());
    }
    world.run(&["sync", "all"]).expect_exit(4);
    end_lease(world);
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();

    let tables = || -> Vec<Value> {
        world.rows_as_json(
            "select 'state' t, to_jsonb(s) j from sync_state s union all select 'log', to_jsonb(l) from sync_logs l
             union all select 'lock', to_jsonb(k) from sync_locks k
             union all select 'row', to_jsonb(a) from appointments a order by 1, 2",
        )
    };
    let before = tables();
    let requests = world.sim.requests().len();
    first.signal(Signal::CONT);
    first.wait().expect_exit(1).expect_stderr("another run took the lock");
    assert_eq!(tables(), before, "the first run wrote something");
    let asked = world.sim.requests().len() - requests;
    assert!(asked <= 1, "it went on asking Wix, behind the page that is read while one is written: {asked}");
    world.assert_tables_equal_truth();
    let runs = world.rows_as_json("select status, error is not null as has_reason from sync_logs order by started_at");
    assert_eq!(
        runs,
        [json!({"status": "failed", "has_reason": true}), json!({"status": "completed", "has_reason": false})]
    );
    world.run(&["sync", "all"]).expect_exit(0);
}

#[test]
fn suspended_run_that_lost_its_lease_cannot_write() {
    wakes_up_too_late(&site());
}

#[test]
fn suspended_run_behind_a_pooler_cannot_write() {
    let mut world = site();
    let settings = [("default_pool_size", "3"), ("server_round_robin", "1")];
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &settings).expect("the pooler starts");
    world.set("DATABASE_URL", &bouncer.url("postgres"));
    wakes_up_too_late(&world);
}

/// After an older data directory was restored, the next run gets the token of the run that is still active.
#[test]
fn run_with_a_duplicate_fencing_token_cannot_write() {
    let world = site();
    let (first, gate) = at_work(&world);
    let rows = || world.rows_as_json("select count(*) from appointments union all select count(*) from sync_errors");
    let before = rows();
    world.execute(
        "update sync_locks set run_id = '11111111-1111-4111-8111-111111111111',
            holder = jsonb_set(holder, '{host}', '\"elsewhere\"')",
    );
    gate.open();
    first.wait().expect_exit(1).expect_stderr("another run took the lock");
    assert_eq!(rows(), before, "the first run wrote something");
    let held: bool = world.value("select expires_at > clock_timestamp() from sync_locks");
    assert!(held, "it gave the lease of the other one back");
}

#[test]
fn run_without_its_sync_logs_row_fails_with_1() {
    let world = World::new(0, 250, 0).migrated();
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
    let run = world.start(&["sync", "appointments"]);
    gate.wait();
    world.execute("delete from sync_logs");
    gate.open();
    run.wait().expect_exit(1).expect_stderr("is no longer running according to sync_logs");
    world.run(&["sync", "appointments"]).expect_exit(0);
    world.assert_tables_equal_truth();
}
