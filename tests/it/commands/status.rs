//! Every view of `status`: whole outputs, JSON shapes, and that it only reads.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;

/// Runs and tables as they may stand, all times fixed.
const HISTORY: &str = r#"
    insert into sync_logs (id, sync_type, status, started_at, completed_at, synced_count, error_count, results, error) values
    ('3a000000-0000-4000-8000-000000000001', 'all', 'completed', '2026-01-01T06:00:00Z', '2026-01-01T07:02:05Z', 1234567, 0,
     '{"customers": {"status": "completed", "kind": "full", "synced": 1234567, "inserted": 1234567, "errors": 0,
       "error_details": [], "requests": 1235, "duration_ms": 3700000}}', null),
    ('3a000000-0000-4000-8000-000000000002', 'customers', 'completed', '2026-01-02T06:00:00Z', '2026-01-02T06:00:04.2Z', 10, 2,
     '{"customers": {"status": "completed", "kind": "full", "synced": 10, "errors": 2, "notices": ["Wix has no birthdays"],
       "error_details": [{"wix_id": "w1", "reason": "info.birthdate is no date"}, {"wix_id": null, "reason": "id is missing"}]}}', null),
    ('4b000000-0000-4000-8000-000000000003', 'orders', 'failed', '2026-01-03T06:00:00Z', '2026-01-03T06:00:00.35Z', 0, 0,
     '{"orders": {"status": "failed", "kind": "full", "synced": 0, "error": "Wix answered 403"}}',
     E'orders: Wix answered 403 because the app lacks a permission that has a rather long name indeed\nsecond line'),
    ('5c000000-0000-4000-8000-000000000004', 'all', 'running', '2026-01-04T06:00:00Z', null, 0, 0, null, null);
    insert into customers (wix_contact_id, deleted_at) select 'w' || n, case when n > 1200 then now() end from generate_series(1, 1203) n;
    insert into customers (name) values ('By hand');
    insert into orders (wix_order_id) values ('o1');
    insert into sync_errors (table_name, record_key, reason, resolved_at) values
        ('customers', 'w1', 'info.birthdate is no date', null), ('customers', 'w2', 'was bad', now());
    insert into sync_locks (name, token, run_id, holder, acquired_at, renewed_at, expires_at) values
        ('sync', 3, '4b000000-0000-4000-8000-000000000003', '{}', now(), now(), '-infinity');
    insert into sync_state (table_name, wix_site_id, watermark, last_full_pass_at)
        values ('customers', 'site', '2026-01-02T05:59:59Z', '2026-01-02T06:00:04Z'), ('orders', 'site', null, null)"#;

fn history() -> World {
    let world = World::empty().migrated();
    world.execute(HISTORY);
    world
}

fn shown(world: &World, arguments: &[&str], exit: i32) -> String {
    let arguments: Vec<&str> = ["status"].iter().chain(arguments).copied().collect();
    world.run(&arguments).expect_exit(exit).shown()
}

fn as_json(world: &World, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["status", "--json"].iter().chain(arguments).copied().collect();
    let finished = world.run(&arguments).expect_exit(0);
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:#?}");
    serde_json::from_str(&finished.stdout).expect("it is JSON")
}

fn run_ids(status: &Value) -> Vec<&str> {
    let runs = status["runs"].as_array().expect("there is a list of runs");
    runs.iter().map(|run| &run["id"].as_str().expect("a run has an id")[35..]).collect()
}

#[test]
fn before_migrate() {
    let world = World::empty();
    insta::assert_snapshot!(shown(&world, &[], 0));
    let json = as_json(&world, &[]);
    assert_eq!((&json["migrated"], &json["schema"]), (&Value::Bool(false), &Value::from("public")));
    assert_eq!((&json["runs"], &json["tables"]), (&Value::from([""; 0]), &Value::from([""; 0])));
}

#[test]
fn before_the_first_run() {
    let world = World::empty().migrated();
    insta::assert_snapshot!(shown(&world, &[], 0));
    let json = as_json(&world, &[]);
    assert_eq!((&json["migrated"], json["tables"].as_array().map(Vec::len)), (&Value::Bool(true), Some(3)));
    assert_eq!(json["tables"][0]["last_full_sync_at"], Value::Null);
}

#[test]
fn tables_and_runs() {
    insta::assert_snapshot!(shown(&history(), &[], 0));
}

#[test]
fn runs_of_one_kind() {
    let world = history();
    assert_eq!(run_ids(&as_json(&world, &[])), ["4", "3", "2", "1"], "newest first");
    assert_eq!(run_ids(&as_json(&world, &["--limit", "2"])), ["4", "3"]);
    assert_eq!(run_ids(&as_json(&world, &["--sync-type", "all"])), ["4", "1"]);
    assert_eq!(run_ids(&as_json(&world, &["--status", "completed"])), ["2", "1"]);
    assert_eq!(run_ids(&as_json(&world, &["--status", "completed", "--sync-type", "all", "--limit", "1"])), ["1"]);
    assert!(run_ids(&as_json(&world, &["--sync-type", "appointments"])).is_empty());
    insta::assert_snapshot!(shown(&world, &["--sync-type", "appointments"], 0));
}

#[test]
fn ten_runs_are_shown_unless_asked_for_more() {
    let world = World::empty().migrated();
    world.execute(
        "insert into sync_logs (sync_type, status, started_at, completed_at)
         select 'all', 'completed', now() - n * interval '1 hour', now() from generate_series(1, 25) n",
    );
    assert_eq!(run_ids(&as_json(&world, &[])).len(), 10);
    assert_eq!(run_ids(&as_json(&world, &["--limit", "10000"])).len(), 25);
}

#[test]
fn one_run_by_any_unique_beginning() {
    let world = history();
    let by_prefix = shown(&world, &["3a000000-0000-4000-8000-000000000002"], 0);
    insta::assert_snapshot!(by_prefix);
    insta::assert_snapshot!("one_failed_run", shown(&world, &["4"], 0));
    insta::assert_snapshot!("one_running_run", shown(&world, &["5C00"], 0));
    let json = as_json(&world, &["4b"]);
    assert_eq!(json["run"]["id"], "4b000000-0000-4000-8000-000000000003");
    assert_eq!(json["run"]["results"]["orders"]["error"], "Wix answered 403");
}

#[test]
fn a_beginning_of_several_ids_or_of_none() {
    let world = history();
    insta::assert_snapshot!("several_ids", shown(&world, &["3a"], 2));
    insta::assert_snapshot!("no_such_id", shown(&world, &["ffff"], 2));
    for odd in ["", "%", "3a%", "_", "'"] {
        let finished = world.run(&["status", odd]).expect_exit(2);
        assert!(finished.stdout.is_empty(), "{finished:#?}");
    }
}

#[test]
fn the_fields_that_scripts_rely_on() {
    let json = as_json(&history(), &["--limit", "1", "--status", "failed"]);
    let members = |value: &Value| -> Vec<String> { value.as_object().expect("an object").keys().cloned().collect() };
    assert_eq!(members(&json), ["migrated", "running", "runs", "schema", "serve", "tables", "version"]);
    assert_eq!(
        members(&json["runs"][0]),
        [
            "completed_at",
            "error",
            "error_count",
            "exit_code",
            "id",
            "results",
            "started_at",
            "status",
            "sync_type",
            "synced_count"
        ]
    );
    assert_eq!(
        members(&json["tables"][0]),
        [
            "age_seconds",
            "deleted_rows",
            "last_full_sync_at",
            "last_success_at",
            "pending_deletions",
            "rejected_records",
            "rows",
            "table",
            "watermark"
        ]
    );
    assert_eq!(
        members(&json["running"]),
        [
            "heartbeat_age_seconds",
            "heartbeat_at",
            "lock_owner",
            "reason",
            "run_id",
            "started_at",
            "state",
            "sync_type",
            "tables"
        ]
    );
    assert_eq!(json["version"], 1);
    assert_eq!(json["runs"][0]["started_at"], "2026-01-03T06:00:00.000Z");
    let customers = &json["tables"][0];
    assert_eq!(
        (&customers["table"], &customers["rows"], &customers["deleted_rows"]),
        (&"customers".into(), &1200.into(), &3.into())
    );
    assert_eq!(
        (&customers["rejected_records"], &customers["watermark"]),
        (&1.into(), &"2026-01-02T05:59:59.000Z".into())
    );
}

#[test]
fn exit_codes_are_recorded_and_those_of_earlier_versions_derived() {
    let world = World::new(3, 3, 3).migrated();
    let codes = |world: &World| {
        let json = as_json(world, &[]);
        let runs = json["runs"].as_array().expect("there is a list of runs").clone();
        runs.iter().map(|run| run["exit_code"].clone()).collect::<Vec<Value>>()
    };
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.put_raw(Entity::Orders, r#"{"status": "APPROVED"}"#);
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().permission_missing());
    world.run(&["sync", "customers"]).expect_exit(1);
    assert_eq!(codes(&world), [json!(1), json!(3), json!(0)]);
    let shown = world.run(&["status"]).expect_exit(0).stdout;
    assert!(shown.contains("  completed (3)  ") && !shown.contains("(1)"), "{shown}");
    // Only what the rest of the row implies.
    world.execute("update sync_logs set exit_code = null");
    assert_eq!(codes(&world), [Value::Null, json!(3), json!(0)]);
    world.execute("update sync_logs set error_count = 0, results = '{\"orders\": {\"incomplete\": true}}'");
    assert_eq!(codes(&world), [Value::Null, json!(3), json!(3)]);
    world.execute("update sync_logs set results = null");
    assert_eq!(codes(&world), [Value::Null, Value::Null, Value::Null]);
}

/// What `status` and others show on a terminal of this width, without colours.
#[cfg(target_os = "linux")]
fn on_terminal(world: &World, columns: u16, arguments: &[&str]) -> String {
    let mut command = world.command(arguments);
    command.env("TERM", "xterm-256color").env("NO_COLOR", "1");
    let shown = crate::support::terminal::run_on_terminal_of(columns, arguments, command).stdout;
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    shown.replace("\r\n", "\n")
}

#[cfg(target_os = "linux")]
#[test]
fn every_line_fits_a_terminal_of_80_and_of_140_columns() {
    let world = history();
    world.execute(
        r#"insert into sync_logs (sync_type, status, started_at, completed_at, synced_count, error_count, exit_code, results) values
            ('appointments', 'completed', '2026-01-05T06:00:00Z', '2026-01-08T10:59:59Z', 123456789, 1234567, 3,
             '{"appointments": {"status": "completed", "kind": "incremental", "inserted": 3000000, "updated": 123456, "unchanged": 3000000,
               "deleted": 12345, "errors": 37, "requests": 30000, "retries": 3, "duration_ms": 273600000, "incomplete": true,
               "notices": ["40 of 200 rows are no longer returned by the list endpoint, so nothing is deleted; run once with --allow-mass-delete"],
               "unreadable_fields": {"start_time": 7}, "error_details": [{"wix_id": "b1", "reason": "`startDate` is not a valid time"}]}}');
         insert into sync_errors (table_name, record_key, wix_id, reason, first_failed_at, last_failed_at)
         values ('appointments', 'b1', '1f6ea3d1-8a3e-4a7c-9a63-0b3a3c1f8a11',
            '`bookedEntity.slot.startDate` is not a valid time, and this reason is so long that it needs several lines on most terminals',
            '2026-01-05T06:00:00Z', '2026-01-07T06:00:00Z');
         update sync_errors set first_failed_at = '2026-01-05T06:00:00Z', last_failed_at = '2026-01-06T06:00:00Z'
         where record_key = 'w1';
         update sync_logs set id = '6d000000-0000-4000-8000-000000000005' where sync_type = 'appointments'"#,
    );
    for (arguments, snapshots) in [
        (&["status"][..], ["status_at_80_columns", "status_at_140_columns"]),
        (&["status", "6d"], ["run_at_80_columns", "run_at_140_columns"]),
        (&["status", "4b"], ["failed_run_at_80_columns", "failed_run_at_140_columns"]),
        (&["errors"], ["errors_at_80_columns", "errors_at_140_columns"]),
    ] {
        for (columns, snapshot) in [80, 140].into_iter().zip(snapshots) {
            let shown = on_terminal(&world, columns, arguments);
            assert!(shown.lines().all(|line| line.chars().count() <= columns.into()), "{columns}: {shown}");
            insta::assert_snapshot!(snapshot, shown);
        }
        let piped = world.run(arguments).stdout;
        assert!(!piped.contains('…'), "nothing is cut in a pipe: {piped}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn colours_are_for_terminals_without_no_color() {
    let world = history();
    let arguments = ["status"];
    let mut command = world.command(&arguments);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let shown = crate::support::terminal::run_on_terminal_of(100, &arguments, command).stdout;
    for part in ["\u{1b}[33mcompleted (3)\u{1b}[0m", "\u{1b}[31mfailed\u{1b}[0m", "\u{1b}[32mcompleted\u{1b}[0m"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    on_terminal(&world, 100, &arguments);
    assert!(!world.run(&arguments).stdout.contains('\u{1b}'));
}

#[test]
fn it_reads_as_a_role_that_can_do_nothing_else() {
    let mut world = history();
    world.execute(
        "create role watcher login bypassrls; grant select on all tables in schema public to watcher;
         alter role watcher set default_transaction_read_only = on",
    );
    let seen = |world: &World| {
        [["status"].as_slice(), &["status", "4b"], &["status", "--json"]]
            .map(|arguments| world.run(arguments).expect_exit(0).stdout)
    };
    let as_owner = seen(&world);
    let url = world.postgres.url_as("watcher", "postgres");
    world.set("DATABASE_URL", &url);
    assert_eq!(seen(&world), as_owner);
}

#[test]
fn it_reads_where_row_level_security_has_a_policy_for_the_role() {
    let mut world = history();
    world.execute("create role watcher login; grant select on all tables in schema public to watcher");
    for table in [
        "customers",
        "appointments",
        "orders",
        "sync_logs",
        "sync_state",
        "sync_errors",
        "sync_missing",
        "sync_locks",
        "sync_migrations",
    ] {
        world.execute(&format!("create policy watch on {table} for select to watcher using (true)"));
    }
    let as_owner = world.run(&["status"]).stdout;
    let url = world.postgres.url_as("watcher", "postgres");
    world.set("DATABASE_URL", &url);
    assert_eq!(world.run(&["status"]).expect_exit(0).stdout, as_owner);
}

#[test]
fn a_mistyped_value_is_answered_with_the_right_one() {
    let world = World::empty();
    for (arguments, meant) in [
        (["status", "--sync-type", "custmers"].as_slice(), "'customers'"),
        (&["status", "--status", "compleated"], "'completed'"),
        (&["status", "--limt", "3"], "'--limit'"),
        (&["statsu"], "'status'"),
        (&["sync", "order"], "'orders'"),
    ] {
        let refused = world.run(arguments).expect_exit(2).expect_stderr(meant);
        assert!(refused.stdout.is_empty(), "{refused:#?}");
    }
    for limit in ["--limit=0", "--limit=-1", "--limit=ten"] {
        world.run(&["status", limit]).expect_exit(2).expect_stderr("--limit");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let world = history();
    let mut child = world
        .command(&["status", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the binary ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
