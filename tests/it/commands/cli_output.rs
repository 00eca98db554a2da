//! What the commands print, as whole outputs: exit code, stdout, stderr. What differs from run to run is
//! replaced by marks.

use std::process::Command;

use serde_json::Value;
use wix_sim::{Endpoint, Entity, Fault, Sim, Site, Sizes};

use crate::support::harness::{Finished, World};
use crate::support::redact::redact;

/// The width that a terminal would have; without one, clap takes it from here.
const WIDTH: &str = "100";

fn run(world: &World, arguments: &[&str]) -> Finished {
    run_with(world, arguments, |_| {})
}

fn run_with(world: &World, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Finished {
    let mut command = world.command(arguments);
    command.env("COLUMNS", WIDTH).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    change(&mut command);
    Finished::of(arguments, command.output().expect("the binary runs"))
}

/// How wide the column of durations is depends on them: runs of spaces become two.
fn squeezed(finished: &Finished) -> String {
    let redacted = finished.redacted();
    let lines = redacted.lines().map(|line| line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim));
    lines.map(|cells| cells.collect::<Vec<_>>().join("  ") + "\n").collect()
}

/// The members of an object and of its objects, sorted, with the kind of each value.
fn shape(value: &Value, name: &str, out: &mut Vec<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(members) => {
            for (member, value) in members {
                shape(value, &format!("{name}.{member}"), out);
            }
            return;
        }
    };
    out.push(format!("{}: {kind}", name.trim_start_matches('.')));
}

#[test]
fn help() {
    let world = World::empty();
    insta::assert_snapshot!("help", run(&world, &["--help"]).shown());
    insta::assert_snapshot!("help_sync", run(&world, &["sync", "--help"]).shown());
    insta::assert_snapshot!("help_status", run(&world, &["status", "--help"]).shown());
    insta::assert_snapshot!("help_migrate", run(&world, &["migrate", "--help"]).shown());
    let version = run(&world, &["--version"]).expect_exit(0);
    assert_eq!(version.stdout, format!("wix-sync {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage() {
    let world = World::empty().migrated();
    for (name, arguments) in [
        ("usage_no_command", [].as_slice()),
        ("usage_all_as_flag", &["sync", "--all"]),
        ("usage_table_as_flag", &["sync", "--customers"]),
        ("usage_almost_a_dangerous_flag", &["sync", "--allow-mass-delet"]),
        ("usage_not_a_number", &["sync", "--rate-limit", "-5"]),
        ("usage_not_a_duration", &["sync", "--time-limit", "soon"]),
        ("usage_sync_type", &["status", "--sync-type", "contacts"]),
        ("usage_unknown_target", &["sync", "contacts"]),
        ("usage_unknown_flag", &["sync", "all", "--force"]),
        ("usage_range_of_customers", &["sync", "customers", "--start", "2025-01-01"]),
        ("usage_no_time", &["sync", "appointments", "--start", "yesterday"]),
        ("usage_range_backward", &["sync", "appointments", "--start", "2025-02-01", "--end", "2025-01-01"]),
        ("usage_batch_size", &["sync", "all", "--batch-size", "0"]),
        ("usage_quiet_and_verbose", &["status", "-q", "-v"]),
    ] {
        let finished = run(&world, arguments).expect_exit(2);
        assert!(finished.stdout.is_empty(), "{finished:#?}");
        insta::assert_snapshot!(name, finished.shown());
    }
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 0, "nothing was started");
    assert_eq!(world.sim.requests().len(), 0);
}

#[test]
fn what_is_not_set_is_named() {
    let world = World::empty();
    for (name, arguments, missing) in [
        ("missing_database", ["status"].as_slice(), ["DATABASE_URL"].as_slice()),
        ("missing_database_for_sync", &["sync", "all"], &["DATABASE_URL"]),
        ("missing_site", &["sync", "all"], &["WIX_SITE_ID"]),
        ("missing_credentials", &["sync", "all"], &["WIX_API_TOKEN"]),
        ("missing_everything", &["sync"], &["WIX_SITE_ID", "WIX_API_TOKEN", "DATABASE_URL"]),
    ] {
        let finished = run_with(&world, arguments, |command| {
            // Without a `.env`, and its path is in the message.
            command.current_dir("/");
            for variable in missing {
                command.env_remove(variable);
            }
        });
        insta::assert_snapshot!(name, finished.expect_exit(2).shown());
    }
    let part = run_with(&world, &["sync", "all"], |command| {
        command.env_remove("WIX_API_TOKEN").env("WIX_CLIENT_ID", "an-app").current_dir("/");
    });
    insta::assert_snapshot!("missing_part_of_credentials", part.expect_exit(2).shown());
    let nowhere = run_with(&world, &["migrate", "--database-url", "postgresql://u:s3cret@127.0.0.1:1/d"], |_| {});
    assert!(!nowhere.stderr.contains("s3cret"), "{nowhere:#?}");
    let shown = nowhere.expect_exit(1).shown();
    let (before, after) = shown.split_once(" (os error ").expect("the system's reason is there");
    let after = after.split_once(')').map_or("", |(_, after)| after);
    insta::assert_snapshot!("no_server", format!("{before}{after}"));
}

/// No typing error may be answered with a flag that switches a safety off.
#[test]
fn no_tip_names_a_dangerous_flag() {
    let world = World::empty();
    for command in ["sync", "verify", "migrate", "status", "doctor", "errors"] {
        for typed in [
            "--all",
            "--allow",
            "--allow-all",
            "--mass-delete",
            "--allow-mass-delete-x",
            "--keep",
            "--policies",
            "--repai",
        ] {
            let finished = run(&world, &[command, typed]).expect_exit(2);
            let shown = finished.stderr.replace(&format!("'{typed}'"), "");
            for flag in ["--allow-mass", "--keep-policies", "--repair"] {
                assert!(!shown.contains(flag), "{command} {typed}: {shown}");
            }
        }
    }
}

#[test]
fn several_tables_are_one_run() {
    let world = World::empty().migrated();
    for (arguments, sync_type) in [
        (&["sync"][..], "all"),
        (&["sync", "orders", "customers", "orders"], "customers,orders"),
        (&["sync", "orders,appointments", "--full"], "appointments,orders"),
        (&["sync", "customers", "all"], "all"),
    ] {
        run(&world, arguments).expect_exit(0);
        let recorded: String = world.value("select sync_type from sync_logs order by started_at desc limit 1");
        assert_eq!(recorded, sync_type, "{arguments:?}");
    }
    let filtered = run(&world, &["status", "--sync-type", "orders,customers", "--json"]).expect_exit(0);
    let status: Value = serde_json::from_str(&filtered.stdout).expect("it is JSON");
    assert_eq!(status["runs"].as_array().map(Vec::len), Some(1), "{status}");
}

/// A table that no run was to sync is not too old; one that a run of several tables was to sync is.
#[test]
fn max_age_counts_the_tables_of_a_run_of_several() {
    let world = World::empty().migrated();
    let failed = "insert into sync_logs (sync_type, status, started_at, completed_at)
                  values ('customers,orders', 'failed', now() - interval '1 day', now() - interval '1 day')";
    world.execute(failed);
    let finished = run(&world, &["status", "--max-age", "2h"]).expect_exit(5);
    let line = finished.stderr.lines().find(|line| line.contains("max-age")).unwrap_or_default();
    assert!(line.contains("customers") && line.contains("orders") && !line.contains("appointments"), "{line}");
}

#[test]
fn migrate_and_status_need_nothing_of_wix() {
    let world = World::empty();
    for arguments in [["migrate"].as_slice(), &["status"]] {
        let finished = run_with(&world, arguments, |command| {
            for (name, _) in world.command(&[]).get_envs() {
                if name.to_string_lossy().starts_with("WIX_") {
                    command.env_remove(name);
                }
            }
        });
        finished.expect_exit(0);
    }
    assert_eq!(world.sim.requests().len(), 0);
}

#[test]
fn migrating_and_syncing_as_cron_sees_it() {
    let sizes = Sizes { contacts: 1500, bookings: 120, orders: 130, ..Sizes::default() };
    let world = World::with_sim(Sim::start(Site::generate(sizes).seed(7)).expect("the simulator starts"));
    insta::assert_snapshot!("sync_before_migrate", run(&world, &["sync", "all"]).redacted());
    insta::assert_snapshot!("migrate_first", run(&world, &["migrate"]).redacted());
    insta::assert_snapshot!("migrate_second", run(&world, &["migrate"]).redacted());
    insta::assert_snapshot!("sync_first", run(&world, &["sync", "all"]).redacted());
    insta::assert_snapshot!("sync_second", run(&world, &["sync", "all"]).redacted());
    insta::assert_snapshot!("sync_quiet", run(&world, &["sync", "all", "-q"]).redacted());
    insta::assert_snapshot!("status_after", squeezed(&run(&world, &["status"])));

    let finished = run(&world, &["sync", "all", "--json"]).expect_exit(0);
    assert_eq!(finished.stdout.lines().count(), 1, "one object: {finished:#?}");
    let result: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    let mut members = Vec::new();
    shape(&result, "", &mut members);
    insta::assert_snapshot!("sync_json_members", members.join("\n"));
    insta::assert_snapshot!("sync_json_stderr", redact(&finished.stderr));
}

#[test]
fn a_run_that_fails_for_one_table_says_which_and_why() {
    let world = World::new(20, 10, 10).migrated();
    world
        .sim
        .fault(Fault::on(Endpoint::BookingsQuery).always().permission_missing().header("x-wix-request-id", "req-1"));
    insta::assert_snapshot!("sync_failed", run(&world, &["sync", "all"]).expect_exit(1).redacted());
    insta::assert_snapshot!("sync_failed_quiet", run(&world, &["sync", "all", "-q"]).expect_exit(1).redacted());
    insta::assert_snapshot!("status_failed", squeezed(&run(&world, &["status"])));
    let error: String = world.value("select error from sync_logs order by started_at limit 1");
    assert!(error.starts_with("appointments: ") && error.contains("req-1"), "{error}");
}

#[test]
fn a_run_that_leaves_a_record_out_names_it() {
    let world = World::new(5, 0, 0).migrated();
    world.sim.put_raw(
        Entity::Contacts,
        r#"{"id": "99999999-aaaa-4aaa-8aaa-000000000001", "createdDate": "2024-01-01T00:00:00.000Z",
            "updatedDate": "2024-01-01T00:00:00.000Z", "info": {"a secret": 1e-400000}}"#,
    );
    let finished = run(&world, &["sync", "customers"]).expect_exit(3);
    assert!(!finished.stderr.contains("secret"), "{finished:#?}");
    insta::assert_snapshot!(
        "sync_incomplete",
        redact(&finished.shown().replace("99999999-aaaa-4aaa-8aaa-000000000001", "RECORD"))
    );
}

#[test]
fn log_lines_as_json_are_one_object_each() {
    let world = World::new(5, 5, 5).migrated();
    let finished = run(&world, &["sync", "all", "--log-format", "json"]).expect_exit(0);
    let messages: Vec<Value> = finished
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let finished_streams =
        messages.iter().filter(|message| message["elapsed_ms"].is_u64() && message["table"].is_string());
    assert_eq!(finished_streams.count(), 3, "{messages:#?}");
    assert!(finished.stdout.is_empty(), "{finished:#?}");
}

#[test]
fn nothing_is_coloured_or_drawn_without_a_terminal() {
    let world = World::new(5, 5, 5).migrated();
    for arguments in
        [["sync", "all", "-v"].as_slice(), &["sync", "all"], &["status"], &["sync", "nothing"], &["--help"]]
    {
        let finished = run_with(&world, arguments, |command| {
            command.env("TERM", "xterm-256color");
        });
        let text = finished.shown();
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_there_are_bars_and_no_log_lines() {
    let world = World::new(1500, 150, 150).migrated();
    let drawn = |arguments: &[&str], no_color: bool| {
        let mut command = world.command(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        crate::support::terminal::run_on_terminal(arguments, command).expect_exit(0).stdout
    };
    let bars = drawn(&["sync", "all"], false);
    for part in ["\u{1b}[", "customers", "1,500 synced", "appointments", "orders", "completed in"] {
        assert!(bars.contains(part), "`{part}` is not in {bars:?}");
    }
    assert!(!bars.contains("INFO"), "{bars:?}");
    let lines = drawn(&["sync", "all", "--no-progress"], true);
    assert!(lines.contains("INFO") && !lines.contains('\u{1b}'), "{lines:?}");
}
