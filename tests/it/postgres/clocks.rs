//! Wrong clocks: of the machine of a run, and times in the tables that were written with a wrong clock.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;

const YEAR: i64 = 365 * 86_400;

/// Sets the binary's clock this many seconds ahead. Needs the C compiler which Rust itself links with.
fn set_clock_ahead(world: &mut World, seconds: i64) {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let library = std::env::temp_dir().join(format!("wix-sync-wrong-clock-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/postgres/wrong_clock.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        let built = built.expect("this test needs a C compiler named cc");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        library
    });
    world.set("LD_PRELOAD", &library.to_string_lossy());
    world.set("WRONG_CLOCK_SECONDS", &seconds.to_string());
}

/// The columns with times of wix-sync that are not within the last hour, by the server's clock.
fn wrong_times(world: &World) -> Vec<String> {
    let columns = world.query(
        "select table_name::text, column_name::text from information_schema.columns
         where table_schema = 'public' and data_type = 'timestamp with time zone' and table_name <> 'sync_health'
            and column_name !~ '^wix_' and column_name not in ('start_time', 'end_time', 'order_date', 'watermark')
         order by 1, 2",
    );
    let mut wrong = Vec::new();
    for row in &columns {
        let (table, column): (&str, &str) = (row.get(0), row.get(1));
        let is_wrong: bool = world.value(&format!(
            "select exists (select from {table} where {column} <> '-infinity'
                and {column} not between now() - interval '1 hour' and now() + interval '2 minutes')"
        ));
        if is_wrong {
            wrong.push(format!("{table}.{column}"));
        }
    }
    assert!(columns.len() > 20, "the columns are found at all");
    wrong
}

fn delete_first(world: &World) {
    let id = |record: &Value| record["id"].as_str().expect("an id").to_owned();
    world.sim.delete(Entity::Contacts, &id(&world.sim.contacts()[0]));
    world.sim.delete(Entity::Bookings, &id(&world.sim.bookings()[0]["booking"]));
    world.sim.delete(Entity::Orders, &id(&world.sim.orders()[0]));
}

/// All work that stores times, on a machine whose clock is wrong.
fn no_time_of_its_own(seconds: i64) {
    let mut world = World::new(30, 30, 30).migrated();
    set_clock_ahead(&mut world, seconds);
    world.run(&["sync", "all"]).expect_exit(0);
    delete_first(&world);
    world.execute(
        "insert into sync_errors (table_name, record_key, reason) values ('orders', 'hash:1', 'has no id'),
            ('customers', '99999999-aaaa-4aaa-8aaa-000000000002', 'it was bad')",
    );
    world.run(&["sync", "all", "--full", "--keep-logs", "30d"]);
    assert_eq!(wrong_times(&world), Vec::<String>::new());
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 2, "runs of today are kept");
    assert!(world.value::<bool>("select bool_and(completed_at >= started_at) from sync_logs"));
    // A machine with a correct clock continues.
    world.set("WRONG_CLOCK_SECONDS", "0");
    let result = world.sync_json(&["customers", "--full-every", "7d"], 0);
    assert_eq!(result["results"]["customers"]["kind"], "incremental");
    world.run(&["status", "--max-age", "1h"]).expect_exit(0);
}

#[test]
fn clock_ten_years_ahead_writes_the_servers_time() {
    no_time_of_its_own(10 * YEAR);
}

#[test]
fn clock_ten_years_behind_writes_the_servers_time() {
    no_time_of_its_own(-10 * YEAR);
}

#[test]
fn clock_a_year_ahead_keeps_recent_runs() {
    let mut world = World::new(3, 3, 3).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    set_clock_ahead(&mut world, YEAR);
    world.run(&["sync", "all", "--keep-logs", "90d"]).expect_exit(0);
    world.run(&["sync", "all", "--keep-logs", "90d"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 3);
    world.execute("update sync_logs set started_at = started_at - interval '91 days', completed_at = completed_at - interval '91 days'");
    world.run(&["sync", "all", "--keep-logs", "90d"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 1, "all but this run go");
}

#[test]
fn metrics_use_the_servers_time() {
    let mut world = World::new(3, 3, 3).migrated();
    let path = std::env::temp_dir().join(format!("wix-sync-clocks-{}.prom", std::process::id()));
    let file = path.to_string_lossy().into_owned();
    std::fs::write(&path, "wix_sync_last_success_timestamp_seconds{schema=\"public\",table=\"orders\"} 4000000000\n")
        .expect("it is written");
    set_clock_ahead(&mut world, 10 * YEAR);
    world.run(&["sync", "customers", "--metrics-file", &file]).expect_exit(0);
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::remove_file(&path).expect("it is there");
    let success = |table: &str| -> f64 {
        let start = format!("wix_sync_last_success_timestamp_seconds{{schema=\"public\",table=\"{table}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        value.unwrap_or_else(|| panic!("{table}: {text}")).parse().expect("a number")
    };
    let now: f64 = world.value("select extract(epoch from now())::float8");
    assert!((now - success("customers")).abs() < 60.0, "{text}");
    assert_eq!(success("orders"), 0.0);
}

#[test]
fn last_full_sync_in_the_future_is_due() {
    for ahead in ["1 day", "1 year", "10 years"] {
        let world = World::new(3, 3, 3).migrated();
        world.run(&["sync", "all"]).expect_exit(0);
        world.execute(&format!("update sync_state set last_full_pass_at = now() + interval '{ahead}'"));
        let result = world.sync_json(&["all"], 0);
        for table in ["customers", "appointments", "orders"] {
            assert_eq!(result["results"][table]["kind"], "full", "{table}, {ahead}");
        }
        assert_eq!(world.sync_json(&["all"], 0)["results"]["orders"]["kind"], "incremental");
    }
}

#[test]
fn last_success_in_the_future_is_stale() {
    let world = World::new(3, 3, 3).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute("update sync_state set last_success_at = now() + interval '1 year' where table_name = 'orders'");
    let finished = world.run(&["status", "--max-age", "1000d", "--json"]).expect_exit(5);
    let shown: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert_eq!(shown["stale"], json!(["orders"]));
    assert!(finished.stderr.contains("which is in the future"), "{finished:#?}");
    let old = "select string_agg(table_name, ',') from sync_health where age > interval '1000 days'";
    assert_eq!(world.value::<String>(old), "orders");
    world.run(&["sync", "all"]).expect_exit(0);
    world.run(&["status", "--max-age", "1h"]).expect_exit(0);
    // A table that was never synced and has had no run.
    world.execute(
        "update sync_state set last_success_at = null; update sync_logs set started_at = now() + interval '1 year'",
    );
    world.run(&["status", "--max-age", "1h"]).expect_exit(5);
}

#[test]
fn rejected_record_dated_in_the_future_is_retried() {
    let world = World::new(3, 3, 3).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let contact = world.sim.contacts()[0]["id"].as_str().expect("an id").to_owned();
    world.execute(&format!(
        "insert into sync_errors (table_name, record_key, wix_id, reason, last_failed_at, program_version)
         values ('customers', '{contact}', '{contact}', 'it was bad', now() + interval '1 year', '{version}'),
            ('customers', 'hash:1', null, 'has no id', now() + interval '1 year', '{version}')",
        version = env!("CARGO_PKG_VERSION")
    ));
    world.sim.clear_requests();
    world.run(&["sync", "customers"]);
    let open = "select string_agg(record_key, ',') from sync_errors where resolved_at is null";
    assert_eq!(world.value::<Option<String>>(open).as_deref(), Some("hash:1"), "it was looked up");
    world.execute("update sync_errors set last_failed_at = now() + interval '1 year' where wix_id is null");
    world.run(&["sync", "customers", "--full"]).expect_exit(0);
    assert_eq!(world.value::<Option<String>>(open), None, "a whole full sync did not bring it");
}

#[test]
fn pending_deletion_dated_in_the_future_is_retried() {
    let world = World::new(30, 3, 3).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let contact = world.sim.contacts()[0]["id"].as_str().expect("an id").to_owned();
    world.sim.delete(Entity::Contacts, &contact);
    world.execute(&format!(
        "insert into sync_missing (table_name, wix_id, found_at, tried_at)
         values ('customers', '{contact}', now() + interval '1 year', now() + interval '1 year')"
    ));
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), 1);
}

#[test]
fn lease_that_ends_too_late_is_not_trusted() {
    let world = World::new(3, 3, 3).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let run = "11111111-1111-4111-8111-111111111111";
    for ahead in ["2 minutes", "1 day", "10 years"] {
        world.execute(&format!(
            "insert into sync_logs (id, sync_type, status) values ('{run}', 'all', 'running')
             on conflict (id) do update set status = 'running', completed_at = null;
             update sync_locks set run_id = '{run}', expires_at = now() + interval '{ahead}',
                holder = jsonb_set(holder, '{{host}}', '\"elsewhere\"')"
        ));
        let status = world.run(&["status", "--json"]).expect_exit(0);
        let status: Value = serde_json::from_str(&status.stdout).expect("it is JSON");
        assert_eq!(status["running"]["state"], "dead", "{ahead}");
        let shown = "select count(*) from sync_health where running_run_id is not null";
        assert_eq!(world.value::<i64>(shown), 0, "{ahead}");
        world.run(&["sync", "all"]).expect_exit(0);
    }
    // One that a run can write counts.
    world.execute(
        "update sync_locks set expires_at = clock_timestamp() + interval '59 seconds',
            holder = jsonb_set(holder, '{host}', '\"elsewhere\"')",
    );
    world.run(&["sync", "all"]).expect_exit(4);
    assert_eq!(world.value::<i64>("select count(*) from sync_health where running_run_id is not null"), 3);
}
