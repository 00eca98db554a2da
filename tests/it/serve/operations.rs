//! Limits, stops, probes, metrics, log lines, and what `status` and `doctor` tell of a server.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::Endpoint;

use super::server::{Served, read_answer, wait_for_run};
use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

#[test]
fn a_stop_ends_the_run_in_hand_and_records_it() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP"), (Signal::INT, "SIGINT")] {
        let world = World::new(30, 250, 20).migrated();
        let served = Served::start(&world, &[]);
        let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 2);
        let (id, _) = served.trigger("{}");
        gate.wait();
        let (waiting, _) = served.trigger(r#"{"table":"orders"}"#);
        served.signal(signal);
        let (code, log) = served.wait();
        gate.open();
        assert_eq!(code, Some(0), "{log}");
        let (status, error): (String, String) = {
            let rows = world.query(&format!("select status, error from sync_logs where id = '{id}'"));
            (rows[0].get(0), rows[0].get(1))
        };
        assert_eq!(status, "failed");
        assert!(error.contains(&format!("stopped by {name}")), "{error}");
        // What waited is kept for the next process.
        assert_eq!(world.value::<String>("select string_agg(id::text, ' ') from sync_queue"), waiting);
        assert!(!world.run(&["status"]).expect_exit(0).stdout.contains("died"));
    }
}

/// The scheduled look at the queue gets no answer.
#[test]
fn a_stop_does_not_wait_for_a_silent_database() {
    let world = World::new(3, 0, 0).migrated();
    let served = Served::start(&world, &["--every", "3s"]);
    wait_until("the first run has ended", || {
        world.value("select exists (select from sync_logs where status = 'completed')")
    });
    let mut blocker = world.client();
    let mut block = blocker.transaction().expect("a transaction");
    block.batch_execute("lock table sync_queue in access exclusive mode").expect("the lock");
    wait_until("the server waits for the table", || {
        world.value("select exists (select from pg_locks where relation = 'sync_queue'::regclass and not granted)")
    });
    served.signal(Signal::TERM);
    let (code, log) = served.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped by SIGTERM while it waited for the database"), "{log}");
}

#[test]
fn large_requests_and_slow_clients_are_cut_off() {
    let world = World::empty().migrated();
    let served = Served::start(&world, &[]);
    let slow = served.connect();
    (&slow).write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow:").expect("it is sent");
    let body = "x".repeat((1 << 20) + 1);
    assert_eq!(served.call("POST", "/api/async-sync/trigger", &[], &body).status, 413);
    let long = format!("x-long: {}", "x".repeat(64 << 10));
    assert_eq!(served.call("GET", "/healthz", &[&long], "").status, 431);
    let many: Vec<String> = (0..200).map(|number| format!("x-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(served.call("GET", "/healthz", &many, "").status, 431);
    assert_eq!(served.get("/healthz").body, "ok\n");
    // It ends with 408 or with nothing, but it ends.
    let answer = read_answer(slow);
    assert!(matches!(answer.status, 0 | 408), "{answer:?}");
    // Nor does a body that never comes keep its connection.
    let mut slow = served.connect();
    slow.write_all(b"POST /api/async-sync/trigger HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
        .expect("it is sent");
    assert_eq!(read_answer(slow).status, 408);
}

/// Name, labels and value of each sample, by the rules of the text format.
fn parse_metrics(text: &str) -> Vec<(String, f64)> {
    let mut described = Vec::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(matches!(kind, "gauge" | "counter"), "{line}");
            described.push(name.to_owned());
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let bare = name.split('{').next().unwrap_or_default();
            assert!(described.last().is_some_and(|known| known == bare), "{line} has no TYPE before it");
            samples.push((name.to_owned(), value.parse().expect("a number")));
        }
    }
    samples
}

#[test]
fn probes_and_metrics_tell_how_the_server_is() {
    let world = World::new(20, 10, 10).migrated();
    let served = Served::start(&world, &["--every", "1h"]);
    wait_until("the scheduled run has ended", || {
        world.value("select exists (select from sync_logs where status = 'completed')")
    });
    wait_until("it is counted", || served.get("/metrics").body.contains("wix_sync_runs_total"));
    let answer = served.get("/metrics");
    assert!(answer.headers.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
    let customers: i64 = world.value("select count(*) from customers where deleted_at is null");
    let samples = parse_metrics(&answer.body);
    let value = |name: &str| samples.iter().find(|(found, _)| found == name).map(|(_, value)| *value);
    assert_eq!(value("wix_sync_runs_total{type=\"all\",status=\"completed\"}"), Some(1.0));
    assert_eq!(value("wix_sync_table_rows{table=\"customers\"}"), Some(customers as f64));
    assert_eq!(value("wix_sync_queue_length"), Some(0.0));
    assert_eq!(value("wix_sync_database_up"), Some(1.0));
    assert!(value("wix_sync_wix_requests_total").is_some_and(|count| count >= 3.0), "{samples:?}");
    assert_eq!((served.get("/healthz").status, served.get("/readyz").status), (200, 200));
    world.execute("alter table sync_migrations rename to elsewhere");
    wait_until("it is not ready", || served.get("/readyz").status == 503);
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn status_and_doctor_tell_of_a_server_that_died() {
    let world = World::empty().migrated();
    let serve =
        || -> Value { serde_json::from_str(&world.run(&["status", "--json"]).expect_exit(0).stdout).expect("JSON") };
    assert_eq!(serve()["serve"]["is_alive"], json!(null));
    let served = Served::start(&world, &[]);
    wait_until("its heartbeat is there", || serve()["serve"]["is_alive"] == json!(true));
    assert!(world.run(&["status"]).expect_exit(0).stdout.contains("wix-sync serve: running (pid "));
    served.signal(Signal::KILL);
    served.wait();
    assert_eq!(serve()["serve"]["is_alive"], json!(false));
    assert!(world.run(&["status"]).expect_exit(0).stdout.contains("wix-sync serve: died (pid "));
    assert!(world.run(&["doctor"]).stdout.contains("died (pid "));
    let served = Served::start(&world, &[]);
    wait_until("it is alive again", || serve()["serve"]["is_alive"] == json!(true));
    served.signal(Signal::TERM);
    served.wait();
    assert_eq!(serve()["serve"]["is_alive"], json!(null));
}

#[test]
fn status_and_doctor_tell_of_records_that_wait_for_a_lookup() {
    let world = World::empty().migrated();
    let enter = |id: &str, tries: i32, minutes: i32| {
        world.execute(&format!(
            "insert into sync_inbox (table_name, wix_id, tries, received_at, due_at)
             values ('orders', '{id}', {tries}, now() - interval '{minutes} minutes', now() + interval '1 hour')"
        ));
    };
    enter("new", 0, 0);
    let status = world.run(&["status"]).expect_exit(0).stdout;
    assert!(status.contains("wix-sync serve: not running; 1 records wait for a lookup"), "{status}");
    let served = Served::start(&world, &[]);
    wait_until("it is alive", || world.run(&["status"]).stdout.contains("wix-sync serve: running"));
    let checks = || -> Vec<Value> {
        let found: Value = serde_json::from_str(&world.run(&["doctor", "--json"]).stdout).expect("JSON");
        found["checks"].as_array().into_iter().flatten().filter(|check| check["check"] == "serve").cloned().collect()
    };
    assert_eq!(checks()[0]["status"], "ok");
    enter("old", 7, 90);
    let check = checks().remove(0);
    assert_eq!(check["status"], "warning", "{check}");
    assert!(check["hint"].as_str().is_some_and(|hint| hint.contains("wix-sync sync")), "{check}");
    let status: Value = serde_json::from_str(&world.run(&["status", "--json"]).stdout).expect("JSON");
    let serve = &status["serve"];
    assert_eq!((&serve["inbox_entries"], &serve["failing_inbox_entries"]), (&json!(2), &json!(1)), "{serve}");
    assert!(serve["oldest_inbox_seconds"].as_i64().is_some_and(|age| age >= 5_400), "{serve}");
    assert!(world.run(&["status"]).stdout.contains(", and 1 of the lookups failed several times"));
    served.signal(Signal::TERM);
    served.wait();
}

#[test]
fn systemd_hears_of_readiness_and_of_the_stop() {
    let mut world = World::empty().migrated();
    let path = std::env::temp_dir().join(format!("wix-sync-notify-{}", std::process::id()));
    // Left behind by a test that was killed.
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    world.set("NOTIFY_SOCKET", &path.to_string_lossy());
    world.set("WATCHDOG_USEC", "30000000");
    let hear = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).expect("something comes");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let served = Served::start(&world, &[]);
    assert_eq!((hear(), hear()), ("READY=1".to_owned(), "WATCHDOG=1".to_owned()));
    served.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(served.wait().0, Some(0));
    std::fs::remove_file(&path).expect("it can be removed");
}

#[test]
fn runs_of_the_server_tell_the_monitor() {
    let mut world = World::new(5, 0, 0).migrated();
    let monitor = crate::support::monitor::Monitor::start();
    world.set("WIX_SYNC_HEALTHCHECK_URL", &monitor.url());
    let served = Served::start(&world, &[]);
    let (id, _) = served.trigger("{}");
    wait_for_run(&world, &id, "completed");
    let mut pings = Vec::new();
    wait_until("start and end were told", || {
        pings.extend(monitor.take());
        pings.len() == 2
    });
    assert_eq!(
        pings.iter().map(|ping| (ping.signal.as_str(), &ping.run_id)).collect::<Vec<_>>(),
        [("/start", &id), ("", &id)]
    );
}

#[test]
fn a_database_that_is_not_migrated_ends_the_start() {
    let world = World::empty();
    world.run(&["serve", "--listen", "127.0.0.1:0"]).expect_exit(2).expect_stderr("wix-sync migrate");
}
