//! Whether all is well: the run at work and how far it is, dead runs, `--max-age`, and the view `sync_health`.

use private_postgres::{PgBouncer, PoolMode};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Fault};

use crate::support::harness::World;
use crate::support::running::{Gate, Running, wait_until};

/// A run that has asked for its third page of bookings, and is held there, once its heartbeat has told of that and of all
/// orders.
fn at_work(world: &World) -> (Running, Gate) {
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 3);
    let running = world.start(&["sync", "all", "--batch-size", "100"]);
    gate.wait();
    let told = "select coalesce((progress -> 'appointments' ->> 'records')::bigint, 0),
        coalesce((progress -> 'orders' ->> 'records')::bigint, 0) from sync_locks";
    let orders = world.sim.orders().len() as i64;
    wait_until("the heartbeat tells of two pages of bookings and of all orders", || {
        let row = world.client().query_one(told, &[]).expect("the lock's row");
        (row.get::<_, i64>(0), row.get::<_, i64>(1)) == (200, orders)
    });
    (running, gate)
}

fn site() -> World {
    World::new(30, 450, 150).migrated()
}

fn running(world: &World) -> Value {
    let shown = world.run(&["status", "--json"]).expect_exit(0).stdout;
    serde_json::from_str::<Value>(&shown).expect("it is JSON")["running"].take()
}

#[test]
fn a_run_at_work_tells_how_far_it_is() {
    let world = site();
    assert_eq!(running(&world), Value::Null);
    let (first, gate) = at_work(&world);
    let shown = running(&world);
    let run: String = world.value("select id::text from sync_logs");
    assert_eq!((&shown["run_id"], &shown["sync_type"]), (&json!(run), &json!("all")));
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("running"), &Value::Null));
    assert!(shown["lock_owner"].as_str().is_some_and(|owner| owner.starts_with(&format!("pid {} ", first.pid()))));
    assert_eq!(
        shown["tables"],
        json!({
            "customers": {"status": "completed", "kind": "full", "records": 30, "total": 30, "requests": 1},
            "appointments": {"status": "running", "kind": "full", "records": 200, "total": null, "requests": 3},
            // Read at the same time, with a look for new statuses; what it ended with is told once both have ended.
            "orders": {"status": "running", "kind": "full", "records": world.sim.orders().len(), "total": null, "requests": 3},
        })
    );
    let text = world.run(&["status"]).expect_exit(0).stdout;
    for part in [
        &format!(": run {} (all)\nlocked by pid {} on ", &run[..8], first.pid()),
        "\n  table         status     kind  records           requests\n",
        "\n  customers     completed  full  30 of 30 (100 %)         1\n",
        "\n  appointments  running    full  200                      3\n",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    gate.open();
    first.wait().expect_exit(0);
    assert_eq!(running(&world), Value::Null);
}

#[test]
fn a_run_at_work_is_seen_through_a_pooler_as_well() {
    let mut world = World::new(30, 450, 150);
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &[("default_pool_size", "2")])
        .expect("the pooler starts");
    world.set("DATABASE_URL", &bouncer.url("postgres"));
    let world = world.migrated();
    let (first, gate) = at_work(&world);
    assert_eq!(running(&world)["state"], "running");
    world.run(&["status", "--max-age", "1s"]).expect_exit(0);
    gate.open();
    first.wait().expect_exit(0);
}

#[test]
fn a_run_that_died_is_not_shown_as_at_work() {
    let world = site();
    let (first, gate) = at_work(&world);
    first.signal(Signal::KILL);
    gate.open();
    first.wait();
    let shown = running(&world);
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("dead"), &json!("its process is gone")));
    assert_eq!(shown["tables"]["appointments"]["records"], 200);

    // Of a process on another machine nothing is known until its lease has ended.
    world.execute("update sync_locks set holder = jsonb_set(holder, '{host}', '\"elsewhere\"')");
    assert_eq!(running(&world)["state"], "running");
    world.execute("update sync_locks set expires_at = clock_timestamp() - interval '1 second'");
    assert_eq!(running(&world)["reason"], "its lock has expired");
    let text = world.run(&["status"]).expect_exit(0).stdout;
    assert!(text.contains("Dead: run ") && text.contains("records it as failed and resumes"), "{text}");

    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(running(&world), Value::Null);
}

#[test]
fn a_reader_who_cannot_see_the_lease_calls_nobody_dead() {
    let mut world = site();
    let (first, gate) = at_work(&world);
    world.execute("create role watcher login; grant select on all tables in schema public to watcher");
    for table in ["sync_logs", "sync_migrations"] {
        world.execute(&format!("create policy watch on {table} for select to watcher using (true)"));
    }
    let url = world.postgres.url_as("watcher", "postgres");
    world.set("DATABASE_URL", &url);
    assert_eq!(running(&world)["state"], "unknown");
    gate.open();
    first.wait().expect_exit(0);
}

/// What `status --max-age` says of it: the exit code, the tables that it names in JSON, and stderr.
fn judged(world: &World, max_age: &str, exit: i32) -> (Value, String) {
    let finished = world.run(&["status", "--json", "--max-age", max_age]).expect_exit(exit);
    let shown: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    (shown["stale"].clone(), finished.stderr)
}

#[test]
fn a_table_that_was_tried_and_never_synced_is_too_old_as_well() {
    let world = World::new(5, 0, 5).migrated();
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    world.run(&["sync", "all"]).expect_exit(1);
    judged(&world, "2h", 0);
    world.execute("update sync_logs set started_at = now() - interval '3 hours'");
    let (stale, said) = judged(&world, "2h", 5);
    assert_eq!(stale, json!(["orders"]));
    assert!(said.contains("orders: never"), "{said}");
}

#[test]
fn a_table_whose_last_success_is_too_long_ago_ends_with_five() {
    let world = World::new(5, 5, 5);
    let (stale, said) = judged_before_migrate(&world);
    assert_eq!((stale, said.contains("is not migrated: no run has started")), (Value::Null, true));
    let world = world.migrated();
    let (stale, said) = judged(&world, "1s", 5);
    assert!(stale == json!([]) && said.contains("was never synced: no run has started"), "{stale} {said}");

    world.run(&["sync", "customers"]).expect_exit(0);
    world.run(&["sync", "orders"]).expect_exit(0);
    assert_eq!(judged(&world, "2h", 0), (json!([]), String::new()));
    world.execute("update sync_state set last_success_at = now() - interval '3 hours' where table_name = 'orders'");
    let (stale, said) = judged(&world, "2h", 5);
    assert_eq!(stale, json!(["orders"]));
    assert!(
        said.starts_with("error: last successful sync is older than --max-age 2h: orders: 3 h ago, at 20"),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");
    let (stale, _) = judged(&world, "1h 30min", 5);
    assert_eq!(stale, json!(["orders"]));
    judged(&world, "4h", 0);
    world.execute("update sync_state set last_success_at = now() - interval '1 day' where table_name = 'customers'");
    assert_eq!(judged(&world, "2h", 5).0, json!(["customers", "orders"]));

    // The table of the last run says so in text as well, and a run that fails makes nothing younger.
    let text = world.run(&["status", "--max-age", "2h"]).expect_exit(5);
    assert!(text.stdout.contains("  1 d  ") && text.stderr.contains("customers: 1 d ago"), "{text:#?}");
    world.run(&["status", "--max-age", "soon"]).expect_exit(2).expect_stderr("not a duration");
}

fn judged_before_migrate(world: &World) -> (Value, String) {
    judged(world, "2h", 5)
}

#[test]
fn a_run_that_fails_makes_no_table_younger() {
    let world = World::new(5, 5, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute("update sync_state set last_success_at = now() - interval '3 hours'");
    world.sim.fault(wix_sim::Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    world.run(&["sync", "all"]).expect_exit(1);
    assert_eq!(judged(&world, "2h", 5).0, json!(["orders"]));
}

#[test]
fn the_view_tells_what_status_tells() {
    let world = site();
    let columns: Vec<String> = world
        .query("select attname::text from pg_attribute where attrelid = 'sync_health'::regclass and attnum > 0 order by attnum")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(
        columns,
        [
            "table_name",
            "rows",
            "deleted_rows",
            "unresolved_errors",
            "missing_rows",
            "last_success_at",
            "age",
            "last_full_pass_at",
            "watermark",
            "running_run_id",
            "running_progress"
        ]
    );
    let never = world.query("select table_name, rows, age from sync_health");
    assert_eq!(never.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["customers", "appointments", "orders"]);
    assert!(never.iter().all(|row| row.get::<_, i64>(1) == 0));
    let (first, gate) = at_work(&world);
    let run: String = world.value("select id::text from sync_logs");
    let at_work = world.rows_as_json("select * from sync_health")[1].take();
    assert_eq!((&at_work["running_run_id"], &at_work["running_progress"]["records"]), (&json!(run), &json!(200)));
    gate.open();
    first.wait().expect_exit(0);

    let orders: i64 = world.value("select count(*) from orders");
    world.execute(
        "update orders set deleted_at = now() where wix_order_id in (select wix_order_id from orders limit 7);
         insert into sync_missing (table_name, wix_id) values ('orders', 'a'), ('orders', 'b');
         insert into sync_errors (table_name, record_key, reason, resolved_at) values
            ('orders', 'a', 'bad', null), ('orders', 'b', 'was bad', now());
         update sync_state set last_success_at = now() - interval '3 hours' where table_name = 'orders'",
    );
    let row = world.rows_as_json("select *, age > interval '2 hours' as is_stale from sync_health")[2].take();
    for (member, expected) in [
        ("rows", json!(orders - 7)),
        ("deleted_rows", json!(7)),
        ("missing_rows", json!(2)),
        ("unresolved_errors", json!(1)),
        ("is_stale", json!(true)),
        ("running_run_id", Value::Null),
    ] {
        assert_eq!(row[member], expected, "{member}");
    }
    let status: Value = serde_json::from_str(&world.run(&["status", "--json"]).stdout).expect("it is JSON");
    for (field, column) in [
        ("rows", "rows"),
        ("deleted_rows", "deleted_rows"),
        ("pending_deletions", "missing_rows"),
        ("rejected_records", "unresolved_errors"),
    ] {
        assert_eq!(status["tables"][2][field], row[column], "{field}");
    }
}

#[test]
fn the_view_reads_with_the_rights_of_whoever_asks_where_the_server_has_that() {
    let world = World::new(5, 5, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute("create role passer_by nologin; grant select on sync_health to passer_by");
    let mut client = world.client();
    client.batch_execute("set role passer_by").expect("the role is there");
    let has_invoker: bool = world.value("select current_setting('server_version_num')::integer >= 150000");
    assert_eq!(client.query("select * from sync_health", &[]).is_err(), has_invoker);
}

/// The query of docs/supabase.md: no row means that all is well.
const MONITOR: &str = "select table_name, age, unresolved_errors, missing_rows from sync_health
    where age is null or age > interval '2 hours' or unresolved_errors > 0 or missing_rows > 0";

/// A role that may read all tables, and the policies that let it see rows.
fn watcher(world: &World, policies: &[&str]) -> postgres::Client {
    world.execute("create role watcher login; grant select on all tables in schema public to watcher");
    for table in policies {
        world.execute(&format!("create policy watch on {table} for select to watcher using (true)"));
    }
    let mut client = world.client();
    client.batch_execute("set role watcher").expect("the role is there");
    client
}

const COUNTED: [&str; 6] = ["customers", "appointments", "orders", "sync_state", "sync_errors", "sync_missing"];

#[test]
fn a_role_that_sees_no_row_gets_an_error_from_the_view() {
    let world = World::new(5, 5, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.fault(wix_sim::Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    world.execute("update sync_state set last_success_at = now() - interval '3 hours'");
    let has_invoker: bool = world.value("select current_setting('server_version_num')::integer >= 150000");
    let mut client = watcher(&world, &[]);
    for sql in [MONITOR, "select count(*) from sync_health", "select table_name from sync_health limit 1"] {
        match client.query(sql, &[]) {
            Ok(_) => assert!(!has_invoker, "{sql}: it looks healthy"),
            Err(error) => {
                let said = error.as_db_error().expect("Postgres answers").message().to_owned();
                assert!(said.contains("row level security hides the tables of wix-sync from role watcher"), "{said}");
            }
        }
    }
}

#[test]
fn a_role_that_one_table_is_hidden_from_gets_an_error_from_the_view() {
    let world = World::new(5, 5, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let has_invoker: bool = world.value("select current_setting('server_version_num')::integer >= 150000");
    for (index, hidden) in COUNTED.iter().enumerate() {
        let policies: Vec<&str> = COUNTED.iter().filter(|table| *table != hidden).copied().collect();
        let mut client = watcher(&world, &policies);
        assert_eq!(client.query(MONITOR, &[]).is_err(), has_invoker, "{hidden}, {index}");
        world.execute("drop owned by watcher; drop role watcher");
    }
    // Who has a policy for all of them sees what the owner sees.
    let mut client = watcher(&world, &COUNTED);
    assert_eq!(client.query(MONITOR, &[]).expect("it may ask").len(), 0);
    world.execute("update sync_state set last_success_at = now() - interval '3 hours'");
    assert_eq!(client.query(MONITOR, &[]).expect("it may ask").len(), 3);
    world.execute("drop policy watch on sync_state; create policy watch on sync_state to watcher using (false)");
    assert_eq!(client.query(MONITOR, &[]).is_err(), has_invoker, "a policy that lets no row through");
}

#[test]
fn status_of_a_role_that_sees_no_row_of_the_tables_is_never_fresh() {
    let mut world = World::new(5, 5, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    drop(watcher(&world, &["sync_logs", "sync_migrations"]));
    let url = world.postgres.url_as("watcher", "postgres");
    world.set("DATABASE_URL", &url);
    let finished = world.run(&["status", "--max-age", "2h"]);
    assert!(finished.code != Some(0), "{finished:#?}");
    if world.value::<bool>("select current_setting('server_version_num')::integer >= 150000") {
        finished.expect_stderr("row level security hides the tables");
        world.run(&["status"]).expect_exit(0).expect_stderr("row level security hides the tables");
    }
}

#[test]
fn the_view_keeps_its_grants_and_its_readers_rights_when_it_is_replaced() {
    let world = World::new(5, 5, 5);
    world.execute("create role service_role nologin bypassrls");
    world.run(&["migrate"]).expect_exit(0);
    let options: Option<String> =
        world.value("select array_to_string(reloptions, ',') from pg_class where oid = 'sync_health'::regclass");
    let has_invoker: bool = world.value("select current_setting('server_version_num')::integer >= 150000");
    assert_eq!(options.as_deref(), has_invoker.then_some("security_invoker=true"));
    assert!(world.value::<bool>("select has_table_privilege('service_role', 'sync_health', 'select')"));
}
