//! Log lines: what `-v` and `-vv` show, and what is in those of JSON.

use serde_json::Value;
use wix_sim::{Endpoint, Fault};

use crate::support::harness::{Finished, World};

/// The log lines of a run as JSON.
fn logged(finished: &Finished) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    finished.stderr.lines().map(parse).collect()
}

#[test]
fn requests_retries_and_batches_are_logged_with_their_table() {
    let mut world = World::new(5, 5, 5).migrated();
    world.set("WIX_SYNC_RETRY_DELAY_MS", "10");
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).status(503).header("x-wix-request-id", "req-7"));
    let finished = world.run(&["sync", "all", "-v", "--log-format", "json"]).expect_exit(0);
    let lines = logged(&finished);
    let orders: Vec<&Value> = lines.iter().filter(|line| line["table"] == "orders").collect();
    let requests: Vec<&&Value> = orders.iter().filter(|line| line["status"].is_u64()).collect();
    assert_eq!(requests[0]["status"], 503, "{requests:#?}");
    assert_eq!((&requests[0]["attempt"], &requests[0]["request_id"]), (&1.into(), &"req-7".into()), "{requests:#?}");
    assert_eq!((&requests[1]["attempt"], &requests[1]["status"]), (&2.into(), &200.into()), "{requests:#?}");
    for request in &requests {
        assert_eq!(request["method"], "POST");
        assert!(request["path"].as_str().is_some_and(|path| path.starts_with('/')), "{request:#?}");
        assert!(request["elapsed_ms"].is_u64() && request["request_id"].is_string(), "{request:#?}");
    }
    let retry = orders.iter().find(|line| line["delay_ms"].is_u64()).expect("the retry is logged");
    let text = retry["message"].as_str().expect("a text");
    assert!(text.starts_with("orders: retry 1 of 3 in ") && text.contains("Wix answered 503"), "{text}");
    let batch = orders.iter().find(|line| line["record_count"].is_u64()).expect("the batch is logged");
    assert_eq!((&batch["inserted"], &batch["rejected"]), (&batch["record_count"], &0.into()), "{batch:#?}");
    assert!(batch["elapsed_ms"].is_u64(), "{batch:#?}");
    let text = world.run(&["sync", "all", "-v"]).expect_exit(0);
    assert!(text.stderr.contains("attempt 1: 200 in ") && text.stderr.contains(", request id "), "{text:#?}");
}

#[test]
fn paths_are_logged_without_queries_and_secrets_never() {
    let world = World::new(5, 0, 0).migrated().with_app();
    let finished = world.run(&["sync", "customers", "-vv"]).expect_exit(0);
    let credentials = world.sim.credentials();
    assert!(finished.stderr.contains("POST /oauth2/token: sent"), "{finished:#?}");
    assert!(!finished.stderr.contains(&credentials.app_secret) && !finished.stderr.contains('?'), "{finished:#?}");
}

#[test]
fn json_lines_of_a_run_carry_its_id_and_the_last_one_the_exit_code() {
    let mut world = World::new(5, 5, 5).migrated();
    for (arguments, exit) in [
        (["sync", "all", "-v"].as_slice(), 0),
        (&["sync", "all"], 0),
        (&["errors", "retry"], 0),
        (&["sync", "customers", "--full"], 1),
    ] {
        if exit == 1 {
            world.set("WIX_API_BASE_URL", "http://127.0.0.1:1");
        }
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--log-format", "json"]).collect();
        let finished = world.run(&arguments).expect_exit(exit);
        let id: String = world.value("select id::text from sync_logs order by started_at desc limit 1");
        let lines = logged(&finished);
        assert!(lines.iter().all(|line| line["run_id"] == id.as_str()), "{id}: {lines:#?}");
        assert_eq!(finished.stderr.matches("\"run_id\"").count(), lines.len(), "once per line");
        assert_eq!(lines.last().map(|line| &line["exit_code"]), Some(&exit.into()), "{lines:#?}");
    }
}

#[test]
fn a_refused_connection_names_host_and_port() {
    let mut world = World::new(5, 0, 0).migrated();
    world.set("WIX_API_BASE_URL", "http://127.0.0.1:1");
    world.run(&["sync", "customers", "-v"]).expect_exit(1).expect_stderr("no connection to 127.0.0.1:1: ");
    world.set("DATABASE_URL", "postgresql://u@127.0.0.1:1/d");
    world.run(&["sync", "customers"]).expect_exit(1).expect_stderr("127.0.0.1:1: ");
}
