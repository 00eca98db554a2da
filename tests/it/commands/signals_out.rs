//! What the world outside is told of a run: a monitor's pings, the metrics file, and log lines as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use private_postgres::{PgBouncer, PoolMode};
use rustix::process::Signal;
use serde_json::Value;
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::monitor::{CHECK, Monitor};
use crate::support::running::Gate;

fn watched() -> (World, Monitor) {
    let mut world = World::new(5, 5, 5).migrated();
    let monitor = Monitor::start();
    world.set("WIX_SYNC_HEALTHCHECK_URL", &monitor.url());
    (world, monitor)
}

/// A record that nobody can read, so that a run leaves it out.
fn put_bad_record(world: &World) {
    world.sim.put_raw(
        Entity::Contacts,
        r#"{"id": "99999999-aaaa-4aaa-8aaa-000000000001", "createdDate": "2024-01-01T00:00:00.000Z",
            "updatedDate": "2024-01-01T00:00:00.000Z", "info": {"a secret": 1e-400000}}"#,
    );
}

#[test]
fn a_monitor_is_told_of_the_start_and_of_a_success() {
    let (world, monitor) = watched();
    world.run(&["sync", "all"]).expect_exit(0);
    let pings = monitor.take();
    assert_eq!(pings.iter().map(|ping| ping.signal.as_str()).collect::<Vec<_>>(), ["/start", ""]);
    let run: String = world.value("select id::text from sync_logs");
    assert!(pings.iter().all(|ping| ping.run_id == run), "{pings:#?}");
    assert!(pings[1].body.starts_with("customers: 5 synced, 0 deleted\n"), "{pings:#?}");
    // Neither of these is a run.
    world.run(&["status"]).expect_exit(0);
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["errors", "retry"]).expect_exit(0);
    assert!(monitor.take().is_empty());
}

#[test]
fn it_is_told_why_a_run_failed_also_one_that_could_not_begin() {
    let (mut world, monitor) = watched();
    world
        .sim
        .fault(Fault::on(Endpoint::OrdersSearch).always().permission_missing().header("x-wix-request-id", "req-1"));
    world.run(&["sync", "all"]).expect_exit(1);
    let pings = monitor.take();
    let error: String = world.value("select error from sync_logs");
    assert_eq!(
        pings.last().map(|ping| (ping.signal.as_str(), ping.body.as_str())),
        Some(("/fail", format!("exit code 1: {error}\n").as_str()))
    );
    world.set("WIX_API_TOKEN", "");
    world.run(&["sync", "all"]).expect_exit(2);
    assert_eq!(monitor.signals(), ["/fail"], "nothing had begun");
    let mut world = world.with_api_key();
    world.set("WIX_SYNC_HEALTHCHECK_URL", &monitor.url());
    world.set("DATABASE_URL", "postgresql://u:s3cret@127.0.0.1:1/d");
    world.run(&["sync", "all"]).expect_exit(1);
    let pings = monitor.take();
    assert!(pings.len() == 1 && pings[0].body.starts_with("exit code 1: could not connect"), "{pings:#?}");
    assert!(!pings[0].body.contains("s3cret"), "{pings:#?}");
}

#[test]
fn something_left_out_is_a_success_that_says_so_and_a_time_limit_is_neither() {
    let (world, monitor) = watched();
    put_bad_record(&world);
    world.run(&["sync", "all"]).expect_exit(3);
    let pings = monitor.take();
    let last = pings.last().expect("it was told");
    assert_eq!((last.signal.as_str(), last.body.contains("1 rejected")), ("", true), "{pings:#?}");
    assert!(!pings.iter().any(|ping| ping.body.contains("secret")), "{pings:#?}");
    world.run(&["sync", "all", "--time-limit", "0"]).expect_exit(6);
    assert_eq!(monitor.signals(), ["/start", "/log"]);
}

#[test]
fn of_a_run_that_another_one_keeps_from_its_work_nothing_is_said() {
    let (world, monitor) = watched();
    let gate = Gate::before(&world.sim, Endpoint::OrdersSearch, 1);
    let first = world.start(&["sync", "all"]);
    gate.wait();
    let path = metrics_path(&world);
    fs::write(&path, "as it was").expect("it can be written");
    world.run(&["sync", "all", "--metrics-file", &path.to_string_lossy()]).expect_exit(4);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "as it was");
    // While Wix is silent: the wish to stop is heard at once.
    first.signal(Signal::TERM);
    first.wait().expect_exit(143);
    gate.open();
    assert_eq!(monitor.signals(), ["/start", "/fail"]);
}

#[test]
fn a_monitor_that_fails_never_fails_a_run_and_is_complained_of_once() {
    let (mut world, monitor) = watched();
    monitor.answer_with(500);
    let finished = world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(finished.stderr.matches("WIX_SYNC_HEALTHCHECK_URL").count(), 1, "{finished:#?}");
    assert!(finished.stderr.contains("it answered 500") && !finished.stderr.contains(CHECK), "{finished:#?}");
    assert_eq!(monitor.signals(), ["/start", "/start", "", ""], "each once more");
    monitor.answer_with(404);
    world.run(&["sync", "all"]).expect_exit(0).expect_stderr("it answered 404");
    assert_eq!(monitor.signals(), ["/start", ""], "asking again would not help");

    world.set("WIX_SYNC_HEALTHCHECK_URL", &format!("http://127.0.0.1:1{CHECK}"));
    let finished = world.run(&["sync", "all"]).expect_exit(0).expect_stderr("could not be notified");
    assert!(!finished.stderr.contains(CHECK), "{finished:#?}");
    world.set("WIX_SYNC_HEALTHCHECK_URL", "hc-ping.com/secret-check");
    let finished = world.run(&["sync", "all"]).expect_exit(2).expect_stderr("WIX_SYNC_HEALTHCHECK_URL: ");
    assert!(!finished.stderr.contains("secret-check"), "{finished:#?}");
}

fn metrics_path(world: &World) -> PathBuf {
    let directory =
        std::env::temp_dir().join(format!("wix-sync-metrics-{}", world.sim.base_url().replace([':', '/'], "-")));
    fs::create_dir_all(&directory).expect("it can be made");
    directory.join("wix-sync.prom")
}

/// The samples of the file, by name and labels.
fn samples(path: &Path) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(path).expect("it is there");
    let mut types = Vec::new();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(comment) if comment.starts_with("TYPE ") => {
                assert!(comment.ends_with(" gauge"), "{line}");
                types.push(comment.split(' ').nth(1).expect("a name").to_owned());
            }
            Some(comment) => assert!(comment.starts_with("HELP "), "{line}"),
            None => {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let metric = name.split('{').next().unwrap_or_default();
                assert_eq!(types.last().map(String::as_str), Some(metric), "samples stand below their type");
                let value = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(found.insert(name.to_owned(), value).is_none(), "{line} comes twice");
            }
        }
    }
    assert!(text.ends_with('\n'));
    found
}

#[test]
fn metrics_tell_of_each_run_also_of_one_that_failed() {
    let mut world = World::new(5, 5, 5).migrated();
    put_bad_record(&world);
    let path = metrics_path(&world);
    let file = path.to_string_lossy().into_owned();
    let arguments = ["sync", "all", "--metrics-file", &file];
    world.run(&arguments).expect_exit(3);
    let first = samples(&path);
    for (name, value) in [
        ("wix_sync_last_run_success{schema=\"public\",type=\"all\"}", 1.0),
        ("wix_sync_last_run_exit_code{schema=\"public\",type=\"all\"}", 3.0),
        ("wix_sync_last_run_synced{schema=\"public\",table=\"customers\"}", 5.0),
        ("wix_sync_last_run_inserted{schema=\"public\",table=\"customers\"}", 5.0),
        ("wix_sync_last_run_updated{schema=\"public\",table=\"customers\"}", 0.0),
        ("wix_sync_last_run_unchanged{schema=\"public\",table=\"customers\"}", 0.0),
        ("wix_sync_last_run_deleted{schema=\"public\",table=\"customers\"}", 0.0),
        ("wix_sync_last_run_errors{schema=\"public\",table=\"customers\"}", 1.0),
        // A page, and a look for new statuses.
        ("wix_sync_last_run_requests{schema=\"public\",table=\"orders\"}", 2.0),
        ("wix_sync_last_run_retries{schema=\"public\",table=\"orders\"}", 0.0),
        ("wix_sync_last_run_table_success{schema=\"public\",table=\"orders\"}", 1.0),
    ] {
        assert_eq!(first.get(name), Some(&value), "{name}");
    }
    let ended = first["wix_sync_last_run_timestamp_seconds{schema=\"public\",type=\"all\"}"];
    let stored: f64 = world.value("select extract(epoch from max(completed_at))::float8 from sync_logs");
    assert!((ended - stored).abs() < 60.0, "{ended} {stored}");
    let success = "wix_sync_last_success_timestamp_seconds{schema=\"public\",table=\"orders\"}";
    assert!(
        first.contains_key(success)
            && first.contains_key("wix_sync_last_run_duration_seconds{schema=\"public\",type=\"all\"}")
    );

    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    world.run(&arguments).expect_exit(1);
    let second = samples(&path);
    assert_eq!(second["wix_sync_last_run_success{schema=\"public\",type=\"all\"}"], 0.0);
    assert_eq!(second["wix_sync_last_run_table_success{schema=\"public\",table=\"orders\"}"], 0.0);
    assert_eq!(second[success], first[success], "it stays known when that was");
    world.set("DATABASE_URL", "postgresql://u@127.0.0.1:1/d");
    world.run(&arguments).expect_exit(1);
    let third = samples(&path);
    assert_eq!(third["wix_sync_last_run_exit_code{schema=\"public\",type=\"all\"}"], 1.0);
    assert_eq!(third[success], first[success]);
    let directory = path.parent().expect("it has one");
    let left: Vec<_> = fs::read_dir(directory).expect("it is there").collect();
    assert_eq!(left.len(), 1, "no temporary file is left: {left:#?}");
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_run_begins() {
    let world = World::new(5, 5, 5).migrated();
    let path = metrics_path(&world);
    let directory = path.parent().expect("it has one").to_string_lossy().into_owned();
    for bad in [directory.clone(), format!("{directory}/missing/wix.prom"), "/proc/wix.prom".to_owned(), String::new()]
    {
        let finished =
            world.run(&["sync", "all", "--metrics-file", &bad]).expect_exit(2).expect_stderr("--metrics-file");
        assert!(finished.stderr.contains("hint: ") || bad.is_empty(), "{finished:#?}");
    }
    assert_eq!((world.value::<i64>("select count(*) from sync_logs"), world.sim.requests().len()), (0, 0));
    // A reader never sees half of it: the file is another one each time.
    fs::write(&path, "old").expect("it can be written");
    let before = fs::File::open(&path).expect("it is there");
    world.run(&["sync", "all", "--metrics-file", &path.to_string_lossy()]).expect_exit(0);
    assert_eq!(std::io::read_to_string(before).expect("it can be read"), "old");
    assert!(fs::read_to_string(&path).expect("it is there").contains("wix_sync_last_run_success"));
}

#[test]
fn signals_go_out_through_a_pooler_as_well() {
    let (mut world, monitor) = watched();
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &[("default_pool_size", "2")])
        .expect("the pooler starts");
    world.set("DATABASE_URL", &bouncer.url("postgres"));
    let path = metrics_path(&world);
    world.run(&["sync", "all", "--metrics-file", &path.to_string_lossy()]).expect_exit(0);
    assert_eq!(monitor.signals(), ["/start", ""]);
    assert_eq!(samples(&path)["wix_sync_last_run_success{schema=\"public\",type=\"all\"}"], 1.0);
}

/// The fields that README.md promises.
const FIELDS: [&str; 26] = [
    "timestamp",
    "level",
    "message",
    "run_id",
    "table",
    "kind",
    "wix_id",
    "error",
    "hint",
    "exit_code",
    "synced",
    "inserted",
    "updated",
    "unchanged",
    "deleted",
    "rejected",
    "requests",
    "method",
    "path",
    "attempt",
    "status",
    "request_id",
    "elapsed_ms",
    "delay_ms",
    "record_count",
    "total",
];

#[test]
fn log_lines_as_json_have_the_fields_that_are_promised_and_no_others() {
    let world = World::new(5, 5, 5).migrated();
    put_bad_record(&world);
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = |arguments: &[&str], exit: i32| -> Vec<Value> {
        let finished = world.run(arguments).expect_exit(exit);
        assert!(!finished.shown().contains("secret"), "{finished:#?}");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let lines: Vec<Value> = finished.stderr.lines().map(parse).collect();
        for line in &lines {
            for (name, value) in line.as_object().expect("an object") {
                assert!(FIELDS.contains(&name.as_str()), "`{name}` in {line}");
                assert!(!value.is_object() && !value.is_array(), "{line}");
                seen.insert(name.clone());
            }
        }
        lines
    };
    lines(&["sync", "all", "--log-format", "json", "-v"], 3);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).times(1).throttled().retry_after("0"));
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    let failed = lines(&["sync", "all", "--log-format", "json", "-v"], 1);
    let last = failed.last().expect("there are lines");
    assert_eq!((&last["level"], &last["exit_code"]), (&Value::from("ERROR"), &Value::from(1)));
    assert!(
        last["message"].as_str().is_some_and(|text| text.starts_with("orders: ")) && last["hint"].is_string(),
        "{last}"
    );
    // Also what is wrong before anything begins.
    let wrong = lines(&["sync", "customers", "--start", "2025-01-01", "--log-format", "json"], 2);
    assert!(wrong.len() == 1 && wrong[0]["exit_code"] == 2, "{wrong:#?}");
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), {
        let mut all = FIELDS.to_vec();
        all.sort_unstable();
        all
    });
}
