//! Errors of Wix, its gateways and the network, and how the run ends.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Fault};

use crate::support::harness::World;
use crate::support::truth::Truth;

type MakeFault = fn(Endpoint) -> Fault;

/// A small site with two pages of bookings and of orders.
fn small() -> World {
    World::new(60, 150, 150).migrated()
}

/// The last run, as `sync_logs` has it.
fn last_run(world: &World) -> Value {
    let columns = "status, error, results, completed_at is not null as ended";
    let rows = world.rows_as_json(&format!("select {columns} from sync_logs order by started_at desc limit 1"));
    rows.into_iter().next().expect("a run")
}

fn error_of(run: &Value) -> &str {
    run["error"].as_str().expect("a reason")
}

/// Wix's request id in a text, if one is there.
#[track_caller]
fn assert_names_request_id(text: &str) {
    let id = text.split("Wix request id ").nth(1).unwrap_or_else(|| panic!("no request id in: {text}"));
    assert!(id.chars().next().is_some_and(|first| first.is_ascii_alphanumeric()), "{text}");
}

#[test]
fn temporary_failures_leave_no_trace_in_the_tables() {
    let world = small();
    let faults = |endpoint| {
        vec![
            Fault::on(endpoint).status(500),
            Fault::on(endpoint).status(502).html("<html>bad gateway</html>"),
            Fault::on(endpoint).gateway_html(),
            Fault::on(endpoint).status(504),
            Fault::on(endpoint).throttled().retry_after("0"),
            Fault::on(endpoint).close(),
            Fault::on(endpoint).cut_body(),
            Fault::on(endpoint).cut_chunked_body(),
            Fault::on(endpoint).html("<!doctype html><title>Please wait</title>"),
            Fault::on(endpoint).empty_body(),
            Fault::on(endpoint).body("{}"),
            Fault::on(endpoint).body("[]"),
        ]
    };
    let mut sent = 0;
    for endpoint in [Endpoint::ContactsQuery, Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        for fault in faults(endpoint) {
            world.sim.fault(fault);
            sent += 1;
        }
    }
    let result = world.sync_json(&["all", "--max-retries", "12"], 0);
    world.assert_tables_equal_truth();
    let retries: i64 =
        ["customers", "appointments", "orders"].iter().filter_map(|t| result["results"][t]["retries"].as_i64()).sum();
    assert_eq!(retries, sent);
}

#[test]
fn failed_later_page_is_requested_again() {
    let world = small();
    for fault in [
        Fault::on(Endpoint::OrdersSearch).nth(2).cut_body(),
        Fault::on(Endpoint::OrdersSearch).nth(3).empty_body(),
        Fault::on(Endpoint::BookingsQuery).nth(2).body("{}"),
        Fault::on(Endpoint::BookingsQuery).nth(3).html("<html></html>"),
    ] {
        world.sim.fault(fault);
    }
    let result = world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
    assert_eq!(
        (&result["results"]["appointments"]["retries"], &result["results"]["orders"]["retries"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn throttled_request_waits_as_long_as_wix_says() {
    for form in ["1", "date"] {
        let world = small();
        let date = || (world.sim.now() + TimeDelta::seconds(2)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let value = if form == "date" { date() } else { form.to_owned() };
        world.sim.fault(Fault::on(Endpoint::ContactsQuery).throttled().retry_after(&value));
        let result = world.sync_json(&["customers", "--max-retries", "0"], 0);
        assert_eq!(result["results"]["customers"]["retries"], 1, "being throttled uses up no retry");
        let requests = world.sim.requests();
        assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [Some(429), Some(200)]);
        // The header has whole seconds, so the date can be up to about one second ahead.
        let waited = requests[1].at - requests[0].at;
        assert!(waited >= Duration::from_millis(900), "{form}: it waited only {waited:?}");
    }
}

#[test]
fn run_fails_with_wixs_response_after_all_retries() {
    let cases: [(Fault, &str); 6] = [
        (Fault::on(Endpoint::OrdersSearch).system_error(), "500"),
        (Fault::on(Endpoint::OrdersSearch).status(503), "503"),
        (Fault::on(Endpoint::OrdersSearch).gateway_html(), "503"),
        (Fault::on(Endpoint::OrdersSearch).empty_body(), "its body is empty"),
        (Fault::on(Endpoint::OrdersSearch).html("<html>"), "HTML"),
        (Fault::on(Endpoint::OrdersSearch).body("{}"), "metadata"),
    ];
    for (fault, said) in cases {
        let world = World::new(3, 2, 5).migrated();
        world.sim.fault(fault.always());
        let finished = world.run(&["sync", "all", "--max-retries", "2"]).expect_exit(1).expect_stderr(said);
        let requests = world.sim.request_count(Endpoint::OrdersSearch);
        assert_eq!(requests, 4, "a try, two retries, and one to see whether it is only this page");
        assert_names_request_id(&finished.stderr);
        let run = last_run(&world);
        assert_eq!((&run["status"], &run["ended"]), (&json!("failed"), &json!(true)));
        assert!(error_of(&run).contains(said) && error_of(&run).contains("orders"), "{run}");
        assert_names_request_id(error_of(&run));
        assert_eq!(run["results"]["customers"]["status"], "completed");
        assert_eq!(world.value::<i64>("select count(*) from customers"), world.sim.contacts().len() as i64);
    }
}

#[test]
fn connections_that_always_break_fail_with_a_reason() {
    for fault in [
        Fault::on(Endpoint::ContactsQuery).close(),
        Fault::on(Endpoint::ContactsQuery).cut_body(),
        Fault::on(Endpoint::ContactsQuery).cut_chunked_body(),
    ] {
        let world = World::new(30, 0, 0).migrated();
        world.sim.fault(fault.always());
        world.run(&["sync", "customers", "--max-retries", "1"]).expect_exit(1).expect_stderr("in 2 tries");
        assert_eq!(world.value::<i64>("select count(*) from customers"), 0, "half a page is none");
        assert_eq!(last_run(&world)["status"], "failed");
    }
}

#[test]
fn refused_or_expired_token_is_renewed() {
    // One table at a time: two that are refused at the same time need only one new token.
    let world = small().with_app();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).nth(2).unauthenticated());
    world.sim.on_request(Endpoint::OrdersSearch, 2, |sim| sim.revoke_tokens());
    for (table, tokens) in [("customers", 1), ("appointments", 2), ("orders", 2)] {
        let before = world.sim.request_count(Endpoint::OauthToken);
        world.sync_json(&[table], 0);
        let asked = world.sim.request_count(Endpoint::OauthToken) - before;
        assert_eq!(asked, tokens, "{table}: one to begin with, and one for a refusal");
    }
    world.assert_tables_equal_truth();

    // With a lifetime of four hours it is valid an hour later, and not five hours later.
    let world = small().with_app();
    world.sim.on_request(Endpoint::BookingsQuery, 2, |sim| sim.set_clock_offset(TimeDelta::hours(1)));
    world.sim.on_request(Endpoint::OrdersSearch, 2, |sim| sim.set_clock_offset(TimeDelta::hours(5)));
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
    assert_eq!(world.sim.request_count(Endpoint::OauthToken), 2);
}

#[test]
fn failed_token_request_is_retried() {
    let world = World::new(5, 0, 0).migrated().with_app();
    for fault in [
        Fault::on(Endpoint::OauthToken).system_error(),
        Fault::on(Endpoint::OauthToken).html("<html></html>"),
        Fault::on(Endpoint::OauthToken).throttled().retry_after("0"),
    ] {
        world.sim.fault(fault);
    }
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn status_401_for_one_table_is_a_missing_permission() {
    for with_app in [false, true] {
        for (endpoint, table) in [
            (Endpoint::ContactsQuery, "customers"),
            (Endpoint::BookingsQuery, "appointments"),
            (Endpoint::OrdersSearch, "orders"),
        ] {
            let mut world = World::new(20, 250, 250).migrated();
            if with_app {
                world = world.with_app();
            }
            world.sim.fault(Fault::on(endpoint).always().unauthenticated());
            let finished = world.run(&["sync", "all"]).expect_exit(1).expect_stderr("permission \"Read ");
            // For the first table this is not known yet.
            let refused = finished.stderr.contains("Wix refused the credentials in ");
            assert_eq!(refused, table == "customers", "{}", finished.stderr);
            assert_eq!(finished.stderr.contains("does not allow these credentials"), !refused, "{}", finished.stderr);
            let run = last_run(&world);
            for other in ["customers", "appointments", "orders"] {
                let status = if other == table { "failed" } else { "completed" };
                assert_eq!(run["results"][other]["status"], status, "{other}");
            }
            assert!(error_of(&run).contains(table) && error_of(&run).contains("401"), "{run}");
            let (most, tokens) = if with_app { (4, 5) } else { (1, 0) };
            assert!((1..=most).contains(&world.sim.request_count(endpoint)), "{table}");
            assert!(world.sim.request_count(Endpoint::OauthToken) <= tokens, "{table}");
        }
    }
}

#[test]
fn missing_permission_for_one_table_spares_the_others() {
    for (endpoint, table, permission) in [
        (Endpoint::ContactsQuery, "customers", "Read Contacts"),
        (Endpoint::BookingsQuery, "appointments", "Read Bookings"),
        (Endpoint::OrdersSearch, "orders", "Read Orders"),
    ] {
        let world = World::new(20, 15, 15).migrated();
        world.sim.fault(Fault::on(endpoint).always().permission_missing());
        let finished = world.run(&["sync", "all"]).expect_exit(1).expect_stderr(permission);
        assert_names_request_id(&finished.stderr);
        let run = last_run(&world);
        assert_eq!(run["status"], "failed");
        assert!(error_of(&run).contains(table) && error_of(&run).contains("403"), "{run}");
        assert_eq!(world.sim.request_count(endpoint), 1, "asking again does not help");
        for other in ["customers", "appointments", "orders"].iter().filter(|other| **other != table) {
            assert_eq!(run["results"][other]["status"], "completed", "{other}");
            assert!(run["results"][other]["synced"].as_i64() > Some(0), "{run}");
        }
        world.sim.clear_faults();
        world.sync_json(&["all"], 0);
        let stubs_are_gone = table == "customers";
        world.assert_tables_equal(&Truth { stubs_are_gone, ..Truth::of(&world.sim) });
    }
}

#[test]
fn permissions_missing_for_several_tables_are_all_named_in_one_hint() {
    let world = World::new(5, 5, 5).migrated();
    for endpoint in [Endpoint::ContactsQuery, Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        world.sim.fault(Fault::on(endpoint).always().permission_missing());
    }
    for arguments in [&["sync"][..], &["verify"]] {
        let finished = world.run(arguments).expect_exit(1);
        let hint = finished.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        for permission in ["Read Contacts", "Read Bookings", "Read Orders"] {
            assert!(hint.contains(permission), "{permission}: {finished:#?}");
        }
    }
}

#[test]
fn answer_of_a_proxy_is_not_taken_for_one_of_wix() {
    let mut world = World::new(3, 0, 0).migrated();
    for status in [200, 302, 403, 404, 407] {
        world.sim.clear_faults();
        let page = "<html><body>Blocked by policy</body></html>";
        let fault = Fault::on(Endpoint::ContactsQuery).always().status(status).html(page);
        world.sim.fault(fault.without_header("x-wix-request-id"));
        let finished = world.run(&["sync", "customers", "--max-retries", "0"]).expect_exit(1);
        finished
            .expect_stderr(&format!("{status} (not Wix's answer: a proxy between?"))
            .expect_stderr("hint: a proxy or firewall answered instead of Wix");
    }
    // The proxy is named, without its password.
    world.set("http_proxy", "http://user:pa55word@127.0.0.1:1");
    let finished = world.run(&["sync", "customers", "--max-retries", "0"]).expect_exit(1);
    assert!(!finished.shown().contains("pa55word"), "{finished:#?}");
    finished.expect_stderr("http_proxy names 127.0.0.1:1");
}

#[test]
fn app_that_is_not_installed_is_an_empty_table() {
    let world = World::new(10, 8, 8).migrated();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().app_not_installed());
    world.run(&["sync", "all"]).expect_exit(0).expect_stderr("not installed");
    let run = last_run(&world);
    assert_eq!((&run["status"], &run["error"]), (&json!("completed"), &Value::Null));
    assert_eq!(run["results"]["orders"]["status"], "completed");

    world.sim.clear_faults();
    world.sync_json(&["all"], 0);
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().app_not_installed());
    world.run(&["sync", "all"]).expect_exit(3).expect_stderr("not installed");
    world.assert_tables_equal_truth();
}

#[test]
fn repeated_page_is_an_error() {
    for endpoint in [Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        let world = World::new(5, 350, 350).migrated();
        world.sim.fault(Fault::on(endpoint).nth(2).always().repeat_page());
        world.run(&["sync", "all"]).expect_exit(1).expect_stderr("same page");
        assert!(world.sim.request_count(endpoint) <= 4, "{}", world.sim.request_count(endpoint));
        assert_eq!(last_run(&world)["status"], "failed");
    }
}

#[test]
fn repeated_contacts_page_is_skipped() {
    for times in [1, 2, 3] {
        let world = World::new(3200, 0, 0).migrated();
        world.sim.fault(Fault::on(Endpoint::ContactsQuery).nth(2).times(times).repeat_page());
        world.sync_json(&["customers"], 0);
        world.assert_tables_equal_truth();
        assert!(world.sim.request_count(Endpoint::ContactsQuery) < 15, "it does not go round for ever");
    }
}

#[test]
fn empty_page_with_a_next_cursor_is_not_the_end() {
    let world = World::new(5, 250, 250).migrated();
    for endpoint in [Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        world.sim.fault(Fault::on(endpoint).empty_page());
        world.sim.fault(Fault::on(endpoint).nth(3).empty_page());
    }
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
}

/// A page of all orders whose list ends before its count does.
fn orders_cut_short(world: &World, listed: usize) -> Fault {
    let orders = world.sim.orders();
    let page =
        json!({"orders": orders[..listed], "metadata": {"count": orders.len(), "cursors": {}, "hasNext": false}});
    Fault::on(Endpoint::OrdersSearch).body(page.to_string())
}

#[test]
fn page_shorter_than_its_count_is_requested_again() {
    let world = World::new(0, 0, 12).migrated();
    world.sim.fault(orders_cut_short(&world, 9));
    world.sync_json(&["orders"], 0);
    // The page, the page again, and a search for new statuses.
    assert_eq!(world.sim.request_count(Endpoint::OrdersSearch), 3);
    world.assert_tables_equal_truth();
}

#[test]
fn records_counted_but_never_listed_are_reported() {
    let world = World::new(0, 0, 12).migrated();
    let listed = world.sim.orders().len() - 3;
    let missing = "Wix announced 3 more orders than it returned";
    world.sim.fault(orders_cut_short(&world, listed).always());
    world.run(&["sync", "orders"]).expect_exit(3).expect_stderr(missing);
    assert_eq!(world.value::<i64>("select count(*) from orders where deleted_at is null"), listed as i64);
    let shown = world.run(&["verify", "orders"]).expect_exit(5);
    assert!(shown.stdout.contains(missing) && !shown.stdout.contains("match Wix"), "{shown:#?}");
    world.sim.clear_faults();
    let result = world.sync_json(&["orders"], 0);
    assert_eq!(result["results"]["orders"]["kind"], "full");
    world.assert_tables_equal_truth();

    let world = World::new(0, 0, 12).migrated();
    let page = json!({"metadata": {"count": 12, "cursors": {}, "hasNext": false}});
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).times(2).body(page.to_string()));
    world.sync_json(&["orders"], 0);
    world.assert_tables_equal_truth();
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().body(page.to_string()));
    world.run(&["sync", "orders"]).expect_exit(1).expect_stderr("it has no `orders`, though it counts 12 there");
}

#[test]
fn shortfall_is_remembered_by_a_resumed_run() {
    let world = World::new(0, 0, 260).migrated();
    // The first page always counts one record more than it returns; the rest is returned only to the second run.
    let orders = world.sim.orders();
    let listed: Vec<&Value> = orders[..100].iter().collect();
    let first =
        json!({"orders": listed[..99], "metadata": {"count": 100, "cursors": {"next": "second"}, "hasNext": true}});
    let is_first = |request: &wix_sim::Request| request.cursor().is_none();
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).times(4).when(is_first).body(first.to_string()));
    let rest =
        json!({"orders": orders[100..200], "metadata": {"count": 100, "cursors": {"next": "third"}, "hasNext": true}});
    world.sim.fault(
        Fault::on(Endpoint::OrdersSearch).body(rest.to_string()).when(|request| request.cursor() == Some("second")),
    );
    world.sim.fault(
        Fault::on(Endpoint::OrdersSearch).always().system_error().when(|request| request.cursor() == Some("third")),
    );
    world.run(&["sync", "orders", "--max-retries", "0"]).expect_exit(1);
    world.sim.clear_faults();
    world.run(&["sync", "orders"]).expect_exit(3).expect_stderr("Wix announced 1 more orders");
    let result = world.sync_json(&["orders"], 0);
    assert_eq!(result["results"]["orders"]["kind"], "full");
    world.assert_tables_equal_truth();
}

#[test]
fn bookings_without_sort_and_cursor_fail_the_run() {
    let world = World::new(0, 250, 0).migrated();
    let by_cursor = Fault::on(Endpoint::BookingsQuery).always().bad_cursor();
    world.sim.fault(by_cursor.when(|request| request.cursor().is_some()));
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().refuse_sort());
    let result = world.sync_json(&["appointments"], 1);
    assert!(result["results"]["appointments"]["error"].to_string().contains("refuses its own cursors"), "{result}");
    // Without those of the incremental sync, which still reads changes.
    let is_full = |request: &&wix_sim::Request| !format!("{:?}", request.body).contains("updatedDate");
    let requests = world.sim.requests();
    assert!(requests.iter().filter(is_full).count() < 20);
}

#[test]
fn bookings_with_a_has_next_flag_are_read_to_the_end() {
    let world = World::new(5, 250, 0).migrated();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().has_next_on_bookings());
    world.sync_json(&["all"], 0);
    world.assert_tables_equal_truth();
}

#[test]
fn other_refusals_fail_at_once_with_wixs_message() {
    let world = World::new(5, 5, 0).migrated();
    let body = r#"{"message":"the field is unknown","details":{"applicationError":{"code":"MALFORMED_FILTER"}}}"#;
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().status(400).body(body));
    world.run(&["sync", "all"]).expect_exit(1).expect_stderr("MALFORMED_FILTER");
    assert_eq!(world.sim.request_count(Endpoint::ContactsQuery), 1);
    assert_eq!(last_run(&world)["results"]["appointments"]["status"], "completed");
}

#[test]
fn stop_while_waiting_for_wix_ends_at_once_and_is_recorded() {
    let waits: [(Signal, i32, MakeFault); 3] = [
        (Signal::TERM, 143, |endpoint| Fault::on(endpoint).always().throttled().retry_after("60")),
        (Signal::INT, 130, |endpoint| Fault::on(endpoint).always().throttled().retry_after("60")),
        (Signal::TERM, 143, |endpoint| Fault::on(endpoint).always().hang()),
    ];
    for (signal, exit, fault) in waits {
        let world = World::new(20, 150, 0).migrated();
        world.sim.fault(fault(Endpoint::BookingsQuery));
        let running = world.start(&["sync", "all"]);
        let reached = || {
            let hangs = world.sim.requests().iter().any(|request| request.endpoint == Endpoint::BookingsQuery);
            let waits = world.sim.requests().iter().any(|request| request.status == Some(429));
            waits || (hangs && matches!(exit, 143))
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !reached() {
            assert!(Instant::now() < deadline, "the program never asked for bookings");
            std::thread::yield_now();
        }
        running.signal(signal);
        let finished = running.wait().expect_exit(exit);
        let run = last_run(&world);
        assert_eq!((&run["status"], &run["ended"]), (&json!("failed"), &json!(true)), "{finished:?}");
        assert!(error_of(&run).contains("SIG"), "{run}");
        assert_eq!(run["results"]["customers"]["synced"], 20, "what was done before stays");
        // Well below the requested minute; the program reports how long it took.
        let seconds: f64 = world.value("select extract(epoch from completed_at - started_at)::float8 from sync_logs");
        assert!(seconds < 50.0, "it waited {seconds} s");
    }
}

#[test]
fn throttling_without_a_wait_uses_up_no_retries() {
    let world = small();
    for endpoint in [Endpoint::ContactsQuery, Endpoint::BookingsQuery, Endpoint::OrdersSearch] {
        world.sim.fault(Fault::on(endpoint).times(9).throttled().retry_after("0"));
    }
    let past = (world.sim.now() - TimeDelta::hours(1)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).nth(2).times(3).throttled().retry_after(&past));
    // Without a delay of its own: delays double with every refusal, and thirty come in a row here.
    let result = world.sync_json(&["all", "--max-retries", "0", "--retry-delay", "0"], 0);
    world.assert_tables_equal_truth();
    assert_eq!(result["results"]["customers"]["retries"], 9);
    assert_eq!(result["results"]["orders"]["retries"], 12);
}

#[test]
fn long_throttling_is_waited_out_without_requests() {
    type Header = fn(Fault) -> Fault;
    let headers: [(&str, Header); 4] = [
        ("huge", |fault| fault.retry_after("99999999999999999999")),
        ("a far date", |fault| fault.retry_after("Fri, 31 Dec 9999 23:59:59 GMT")),
        ("absent", |fault| fault),
        ("unreadable", |fault| fault.retry_after("soon")),
    ];
    for (name, header) in headers {
        let world = small();
        world.sim.fault(header(Fault::on(Endpoint::BookingsQuery).nth(2).throttled()));
        world.run(&["sync", "all", "--time-limit", "2s", "--batch-size", "100"]).expect_exit(6);
        assert_eq!(world.sim.request_count(Endpoint::BookingsQuery), 2, "{name}: it asked again at once");
        assert_eq!(world.value::<i64>("select count(*) from appointments"), 100, "{name}: what was read is kept");
        assert_eq!(last_run(&world)["status"], "failed", "{name}");
        world.run(&["sync", "all"]).expect_exit(0);
        world.assert_tables_equal_truth();
    }
}
