//! Connections that break at the worst moments: around COMMIT, while the server is still committing, and at any byte.
//! Nothing is lost, and nothing is counted twice.

use private_postgres::{PgBouncer, PoolMode};
use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::cutting_proxy::{CuttingProxy, Loss};
use crate::support::harness::World;
use crate::support::running::wait_until;
use crate::support::truth::Truth;

/// Every transaction that writes a batch has a statement with this word.
const WRITES_A_BATCH: &str = "content_hash";

const TABLES: [&str; 3] = ["customers", "appointments", "orders"];

/// Rows of a transaction.
const BATCH_SIZE: usize = 100;

/// A small site and a connection that can be cut, with or without a pooler.
struct Wired {
    world: World,
    proxy: CuttingProxy,
    _bouncer: Option<PgBouncer>,
}

impl Wired {
    fn new(contacts: usize, bookings: usize, orders: usize, pooled: bool) -> Wired {
        let mut world = World::new(contacts, bookings, orders).migrated();
        let bouncer = pooled.then(|| {
            PgBouncer::start(&world.postgres, PoolMode::Transaction, &[("default_pool_size", "5")])
                .expect("the pooler starts")
        });
        let proxy = match &bouncer {
            Some(bouncer) => CuttingProxy::before_pooler(bouncer),
            None => CuttingProxy::before_server(&world.postgres),
        };
        world.set("DATABASE_URL", &proxy.url());
        Wired { world, proxy, _bouncer: bouncer }
    }

    /// Empties all tables: the next run is a first load again.
    fn begin_anew(&self) {
        self.world.execute(
            "truncate customers, appointments, orders, sync_logs, sync_state, sync_locks, sync_errors, sync_missing",
        );
    }

    /// Runs with a loss at this COMMIT, and runs again if the run failed because of it. Returns the statements of the
    /// transaction that was cut, if the run had that many.
    #[track_caller]
    fn run_with_loss(&self, arguments: &[&str], loss: Loss, nth: usize) -> Option<String> {
        self.run_with_loss_of(arguments, loss, nth, "")
    }

    /// Counts only the COMMITs of transactions with a statement that contains this text.
    #[track_caller]
    fn run_with_loss_of(&self, arguments: &[&str], loss: Loss, nth: usize, word: &str) -> Option<String> {
        self.proxy.lose(loss, nth, word);
        let finished = self.world.run(arguments);
        let struck = self.proxy.cuts().pop();
        self.proxy.mend();
        let writes_a_batch = struck.as_ref().is_some_and(|statements| statements.contains(WRITES_A_BATCH));
        if writes_a_batch || struck.is_none() {
            finished.expect_exit(0);
        } else if finished.code != Some(0) {
            finished.expect_exit(1);
            self.world.run(arguments).expect_exit(0);
        }
        assert_nothing_is_left_open(&self.world);
        struck
    }

    /// The sum of what all runs recorded about a table since the tables were emptied.
    fn counted(&self, table: &str, what: &str) -> i64 {
        self.world.value(&format!(
            "select coalesce(sum((results -> '{table}' ->> '{what}')::bigint), 0)::bigint from sync_logs"
        ))
    }
}

/// No run is `running`, and the program has no open transaction.
#[track_caller]
fn assert_nothing_is_left_open(world: &World) {
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where status = 'running'"), 0);
    let open = "select count(*) from pg_stat_activity
        where pid <> pg_backend_pid() and datname = 'postgres' and state not in ('idle', 'disabled')";
    wait_until("no transaction is open", || world.value::<i64>(open) == 0);
}

/// The tables' content in a form that is fast to compare.
fn contents(world: &World) -> Vec<Value> {
    world.rows_as_json(
        "select 'c' t, wix_contact_id id, content_hash::text, null customer from customers
         union all select 'a', wix_booking_id, a.content_hash::text, c.wix_contact_id
            from appointments a left join customers c on c.id = a.customer_id
         union all select 'o', wix_order_id, o.content_hash::text, c.wix_contact_id
            from orders o left join customers c on c.id = o.customer_id
         order by 1, 2",
    )
}

/// A pooler receives as much of a lost request as the server: nothing.
fn losses(pooled: bool) -> &'static [Loss] {
    if pooled { &[Loss::Answer] } else { &[Loss::Answer, Loss::Request] }
}

/// Loses each COMMIT of a first load in turn.
fn a_first_load_survives_each_loss(pooled: bool) {
    let wired = Wired::new(20, 210, 120, pooled);
    let batch_size = BATCH_SIZE.to_string();
    let (world, arguments) = (&wired.world, ["sync", "all", "--batch-size", &batch_size]);
    let sizes = [world.sim.contacts().len(), world.sim.bookings().len(), world.sim.orders().len()];
    world.run(&arguments).expect_exit(0);
    world.assert_tables_equal_truth();
    let whole = contents(world);
    let check = |what: &str| {
        for (table, size) in TABLES.iter().zip(sizes) {
            assert_eq!(wired.counted(table, "inserted"), size as i64, "{table}, {what}");
        }
        assert_eq!(contents(world), whole, "{what}");
    };
    for loss in losses(pooled) {
        for nth in 1.. {
            wired.begin_anew();
            let Some(struck) = wired.run_with_loss(&arguments, *loss, nth) else { break };
            check(&format!("{loss:?} of COMMIT {nth} behind\n{struck}"));
        }
        // Two tables are written at the same time, so the nth COMMIT differs between runs: each table's COMMITs once
        // more.
        for (table, size) in TABLES.iter().zip(sizes) {
            for nth in 1..=size.div_ceil(BATCH_SIZE) {
                wired.begin_anew();
                let struck = wired.run_with_loss_of(&arguments, *loss, nth, &format!("{table} as t"));
                check(&format!("{loss:?} of batch {nth} of {table}"));
                assert!(struck.is_some_and(|statements| statements.contains(WRITES_A_BATCH)), "{nth} of {table}");
            }
        }
    }
}

/// Loses each COMMIT in turn of a first load whose pages are several batches each.
#[test]
fn lost_part_of_a_page_is_counted_once() {
    let wired = Wired::new(20, 60, 60, false);
    let sizes = [wired.world.sim.contacts().len(), wired.world.sim.bookings().len(), wired.world.sim.orders().len()];
    for nth in 1.. {
        wired.begin_anew();
        let Some(struck) = wired.run_with_loss(&["sync", "all", "--batch-size", "15"], Loss::Answer, nth) else {
            break;
        };
        for (table, size) in TABLES.iter().zip(sizes) {
            let counted = wired.counted(table, "inserted");
            assert_eq!(counted, size as i64, "{table}, COMMIT {nth} behind\n{struck}");
        }
    }
    wired.world.assert_tables_equal_truth();
}

#[test]
fn lost_commit_of_a_first_load_is_counted_once() {
    a_first_load_survives_each_loss(false);
}

#[test]
fn lost_commit_of_a_first_load_is_counted_once_through_a_pooler() {
    a_first_load_survives_each_loss(true);
}

/// Loses each COMMIT in turn of a full sync that finds edits, additions and deletions.
fn later_pass_survives_each_loss(pooled: bool) {
    let wired = Wired::new(30, 60, 30, pooled);
    let world = &wired.world;
    world.run(&["sync", "all"]).expect_exit(0);
    // Placeholders of contacts that Wix does not have are looked up once, and marked as deleted.
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    // A booking is marked by the second lookup, a day after the first: each run marks the one that the previous run
    // noted.
    let mut gone = Vec::new();
    let newest = world.sim.add(Entity::Bookings, 1).remove(0);
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.delete(Entity::Bookings, &newest);
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    let mut noted = newest;
    let mut strike = |loss: Loss, nth: usize, word: &str| -> Option<String> {
        world.execute("delete from sync_logs");
        world.age_absences();
        for (entity, records) in [
            (Entity::Contacts, world.sim.contacts()),
            (Entity::Bookings, world.sim.bookings()),
            (Entity::Orders, world.sim.orders()),
        ] {
            let id = |index: usize| {
                let record: &Value = &records[index];
                record["id"].as_str().or(record["booking"]["id"].as_str()).expect("an id").to_owned()
            };
            // The newest contacts, so that no other record names them.
            let (edited, deleted) = (id(nth % 7), id(records.len() - 1));
            world.sim.edit(entity, &edited, |record| record["more"] = json!(format!("{loss:?} {nth} {word}")));
            if entity == Entity::Bookings {
                world.sim.delete(entity, &deleted);
                gone.push(std::mem::replace(&mut noted, deleted));
            }
            world.sim.add(entity, 1);
        }
        let struck = wired.run_with_loss_of(&["sync", "all", "--full"], loss, nth, word)?;
        let what = format!("{loss:?} of COMMIT {nth} behind\n{struck}");
        for table in TABLES {
            assert_eq!(wired.counted(table, "inserted"), 1, "{table}: inserted, {what}");
            assert_eq!(wired.counted(table, "updated"), 1, "{table}: updated, {what}");
        }
        // An added booking may name a contact that Wix does not have. Its placeholder is marked by the next pass.
        for (table, deleted) in [("appointments", 1), ("orders", 0)] {
            assert_eq!(wired.counted(table, "deleted"), deleted, "{table}: deleted, {what}");
        }
        let marked = "select wix_booking_id from appointments where deleted_at is not null order by 1";
        let marked: Vec<String> = world.query(marked).iter().map(|row| row.get(0)).collect();
        gone.sort();
        assert_eq!(marked, gone, "{what}");
        Some(struck)
    };
    for loss in losses(pooled) {
        let whole = (1..).find(|nth| strike(*loss, *nth, "").is_none());
        assert!(whole > Some(10), "{whole:?}: a run has more COMMITs than that");
        // The nth COMMIT differs between runs: the one of a deletion is covered here.
        assert!(strike(*loss, 1, "deleted_at = $2").is_some(), "no deletion was struck");
    }
    // A full sync, because the last added booking may have created a placeholder.
    world.age_absences();
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    world.assert_live_rows_equal(&Truth { stubs_are_gone: true, ..Truth::of(&world.sim) });
}

#[test]
fn lost_commit_of_a_later_sync_is_counted_once() {
    later_pass_survives_each_loss(false);
}

#[test]
fn lost_commit_of_a_later_sync_is_counted_once_through_a_pooler() {
    later_pass_survives_each_loss(true);
}

#[test]
fn lost_commit_of_migrate_is_completed_by_the_next() {
    let wired = Wired::new(5, 5, 5, false);
    let world = &wired.world;
    let anew = || world.execute("drop schema public cascade; create schema public");
    anew();
    world.run(&["migrate"]).expect_exit(0);
    let whole = world.catalog();
    for loss in [Loss::Answer, Loss::Request] {
        for nth in 1.. {
            anew();
            wired.proxy.lose(loss, nth, "");
            let finished = world.run(&["migrate"]);
            let struck = wired.proxy.cuts().pop();
            wired.proxy.mend();
            let Some(struck) = struck else { break };
            assert!(matches!(finished.code, Some(0 | 1)), "{finished:#?}");
            world.run(&["migrate"]).expect_exit(0);
            assert_eq!(world.catalog(), whole, "{loss:?} of COMMIT {nth} behind\n{struck}");
        }
        world.run(&["sync", "all"]).expect_exit(0);
        world.assert_tables_equal_truth();
    }
}

/// A trigger that runs within COMMIT as long as the test holds a lock. It polls for the lock, because a wait would end
/// at the program's own limit.
const SLOW_COMMIT: &str = "
    create function wait_for_the_test() returns trigger language plpgsql as $$ begin
        while not pg_try_advisory_xact_lock_shared(7) loop perform pg_sleep(0.005); end loop;
        return null;
    end $$;
    create constraint trigger slow after insert on customers deferrable initially deferred
        for each row execute function wait_for_the_test()";

/// Of the program's connections: the one that is still committing, and the one that checks its outcome.
const COMMITTING: &str = "state = 'active' and query = 'COMMIT'";
const ASKING: &str = "query like 'select write_number from %'";

/// The connection breaks while the server is committing a batch, which ends after the program has checked it. A page is
/// one batch or, with `in_parts`, three.
fn a_commit_goes_on_behind_a_broken_wire(pooled: bool, in_parts: bool) {
    let wired = Wired::new(250, 0, 0, pooled);
    let world = &wired.world;
    world.execute(SLOW_COMMIT);
    let (mut keeper, mut watcher) = (world.client(), world.client());
    keeper.batch_execute("select pg_advisory_lock(7)").expect("the lock");
    wired.proxy.lose(Loss::Wire, 1, WRITES_A_BATCH);
    let size = if in_parts { "100" } else { "1000" };
    let running = world.start(&["sync", "customers", "--batch-size", size, "--json"]);
    wait_until("the wire is cut", || !wired.proxy.cuts().is_empty());
    let mut is_there = |condition: &str| {
        let sql = format!("select exists (select from pg_stat_activity where {condition})");
        watcher.query_one(&sql, &[]).expect("an answer").get::<_, bool>(0)
    };
    wait_until("the program wants to know what became of it", || is_there(ASKING));
    wait_until("the old backend is still at it", || is_there(COMMITTING));
    keeper.batch_execute("select pg_advisory_unlock(7)").expect("the lock is given back");
    let finished = running.wait().expect_exit(0);
    let result: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(result["results"]["customers"]["inserted"], 250, "{result}");
    assert_eq!(wired.counted("customers", "inserted"), 250);
    world.assert_tables_equal_truth();
    assert_nothing_is_left_open(world);
}

#[test]
fn commit_behind_a_broken_connection_is_awaited() {
    a_commit_goes_on_behind_a_broken_wire(false, false);
}

#[test]
fn commit_behind_a_broken_pooler_connection_is_awaited() {
    a_commit_goes_on_behind_a_broken_wire(true, false);
}

#[test]
fn commit_of_a_part_behind_a_broken_connection_is_counted() {
    a_commit_goes_on_behind_a_broken_wire(false, true);
}

/// Total number of cuts.
const CUTS: usize = 40;

/// Bytes after which connections are cut, mostly few; after all cuts, never.
fn random_lives(seed: u64) -> impl FnMut() -> Option<usize> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lives = 0;
    move || {
        lives += 1;
        let most = 1 << random.u32(8..20);
        (lives <= CUTS).then(|| random.usize(1..most))
    }
}

fn rows(world: &World) -> i64 {
    world.value(
        "select (select count(*) from customers where raw is not null) + (select count(*) from appointments)
            + (select count(*) from orders)",
    )
}

/// Runs until one succeeds. The results of each run must match its changes to the tables.
#[track_caller]
fn run_until_one_gets_through(world: &World) {
    for _ in 0..CUTS {
        let (before, runs) = (rows(world), world.value::<i64>("select count(*) from sync_logs"));
        let finished = world.run(&["sync", "all", "--batch-size", "1000"]);
        let inserted = rows(world) - before;
        let latest = "select status, results from sync_logs order by started_at desc limit 1";
        let latest = world.rows_as_json(latest).pop();
        if let Some(run) = latest.filter(|_| world.value::<i64>("select count(*) from sync_logs") > runs)
            && run["results"].is_object()
        {
            let counted: i64 =
                TABLES.iter().map(|table| run["results"][table]["inserted"].as_i64().unwrap_or_default()).sum();
            assert_eq!(counted, inserted, "{run}, {finished:#?}");
        }
        if finished.code == Some(0) {
            return;
        }
        finished.expect_exit(1);
    }
    panic!("not one of {CUTS} runs got through");
}

/// A first load and a later pass over a connection that is cut dozens of times, at any byte of any message.
fn survives_cuts_at_any_byte(pooled: bool, seed: u64) {
    let wired = Wired::new(1500, 300, 280, pooled);
    let world = &wired.world;
    wired.proxy.cut_after(random_lives(seed));
    run_until_one_gets_through(world);
    let mut cuts = wired.proxy.cuts().len();
    for contact in world.sim.contacts().iter().step_by(3) {
        let id = contact["id"].as_str().expect("an id");
        world.sim.edit(Entity::Contacts, id, |contact| contact["info"]["company"] = json!("Cut & Sons"));
    }
    for entity in [Entity::Contacts, Entity::Bookings, Entity::Orders] {
        world.sim.add(entity, 150);
    }
    wired.proxy.cut_after(random_lives(seed + 1));
    run_until_one_gets_through(world);
    cuts += wired.proxy.cuts().len();
    assert!(cuts >= 24, "seed {seed}: only {cuts} cuts");
    wired.proxy.mend();
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
    assert_nothing_is_left_open(world);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where status = 'completed'"), 3);
}

#[test]
fn connection_cut_at_any_byte_loses_nothing() {
    survives_cuts_at_any_byte(false, 5);
}

#[test]
fn connection_cut_at_any_byte_loses_nothing_through_a_pooler() {
    survives_cuts_at_any_byte(true, 6);
}
