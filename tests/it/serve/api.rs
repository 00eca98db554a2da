//! Triggers and status as AsyncSyncAgent answered them, and who may call.

use serde_json::json;

use super::server::{Served, wait_for_run};
use crate::support::harness::World;

const TRIGGER: &str = "/api/async-sync/trigger";
const STATUS: &str = "/api/async-sync/status";
const TOKEN: &str = "s3cret-token-of-the-test";

#[test]
fn calls_of_the_predecessor_are_answered_as_before() {
    let world = World::new(20, 10, 10).migrated();
    let served = Served::start(&world, &[]);
    let answer = served.call("POST", TRIGGER, &[], r#"{"table":"customers","supabaseUserId":null,"dateRange":null}"#);
    let id = answer.json()["syncId"].as_str().expect("an id").to_owned();
    assert_eq!(answer.status, 202, "{answer:?}");
    let expected =
        json!({ "success": true, "message": "Sync started for customers", "syncId": id, "status": "running" });
    assert_eq!(answer.json(), expected);
    wait_for_run(&world, &id, "completed");
    assert_eq!(world.value::<i64>("select count(*) from customers"), 20);

    // No body, and no table: all.
    for body in ["", "{}", r#"{"table":null}"#] {
        let (id, _) = served.trigger(body);
        wait_for_run(&world, &id, "completed");
        assert_eq!(world.value::<String>(&format!("select sync_type from sync_logs where id = '{id}'")), "all");
    }
    world.assert_tables_equal_truth();
    let range = r#"{"table":"appointments","dateRange":{"start":"2020-01-01","end":"2035-12-31T00:00:00.000Z"}}"#;
    wait_for_run(&world, &served.trigger(range).0, "completed");

    let answer = served.get(TRIGGER);
    assert_eq!((answer.status, &answer.json()["success"]), (200, &json!(true)));
    assert_eq!(answer.json()["recentSyncs"].as_array().expect("rows").len(), 5);
    let answer = served.get(&format!("{STATUS}?limit=2&sync_type=all&status=completed")).json();
    let summary = json!({ "total": 2, "running": 0, "completed": 5, "failed": 0 });
    assert_eq!((&answer["success"], &answer["summary"]), (&json!(true), &summary));
    let row = served.get(&format!("{STATUS}?id={id}")).json()["syncLogs"][0].clone();
    let names: Vec<&str> = row.as_object().expect("a row").keys().map(String::as_str).collect();
    let mut expected = [
        "id",
        "sync_type",
        "status",
        "user_id",
        "started_at",
        "completed_at",
        "synced_count",
        "error_count",
        "results",
        "error",
        "created_at",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!((&row["id"], &row["synced_count"]), (&json!(id), &json!(20)));
    let unknown = served.get(&format!("{STATUS}?id=00000000-0000-4000-8000-000000000000")).json();
    assert_eq!(unknown["syncLogs"], json!([]));
}

#[test]
fn wrong_calls_get_json_that_says_why() {
    let world = World::empty().migrated();
    let served = Served::start(&world, &[]);
    let refused = |body: &str| {
        let answer = served.call("POST", TRIGGER, &[], body);
        (answer.status, answer.json()["success"] == json!(false), answer.json()["error"].as_str().map(str::to_owned))
    };
    for (body, error) in [
        (r#"{"table":"invoices"}"#, "Unknown table: invoices"),
        (r#"{"table":"orders","dateRange":{"start":"2025-01-01"}}"#, "dateRange is for appointments, not for orders"),
        (r#"{"dateRange":{"start":"soon"}}"#, "dateRange.start: not a time (use 2026-01-31 or 2026-01-31T10:00:00Z)"),
        (r#"{"dateRange":{"start":"2025-02-01","end":"2025-01-31"}}"#, "dateRange: end is before start"),
    ] {
        assert_eq!(refused(body), (400, true, Some(error.to_owned())), "{body}");
    }
    assert_eq!(refused("table=all").0, 400);
    for query in ["limit=many", "limit=0", "id=1"] {
        assert_eq!(served.get(&format!("{STATUS}?{query}")).status, 400, "{query}");
    }
    for (method, path) in [("PUT", TRIGGER), ("DELETE", STATUS), ("POST", STATUS), ("POST", "/healthz")] {
        let answer = served.call(method, path, &[], "");
        assert_eq!((answer.status, answer.json()), (405, json!({ "error": "Method not allowed" })), "{method} {path}");
    }
    assert_eq!(served.get("/nothing").json(), json!({ "error": "Not found" }));
    assert_eq!(world.value::<i64>("select (select count(*) from sync_logs) + (select count(*) from sync_queue)"), 0);
}

#[test]
fn a_user_is_stored_only_if_supabase_knows_them() {
    let world = World::empty();
    let (known, unknown) = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
    let user_of =
        |id: &str| world.value::<Option<String>>(&format!("select user_id::text from sync_logs where id = '{id}'"));
    let body = |user: &str| format!(r#"{{"table":"orders","supabaseUserId":"{user}"}}"#);
    world.run(&["migrate"]).expect_exit(0);
    let served = Served::start(&world, &[]);
    let (id, _) = served.trigger(&body(known));
    wait_for_run(&world, &id, "completed");
    assert_eq!(user_of(&id), None);
    world.execute(&format!(
        "create schema auth; create table auth.users (id uuid primary key); insert into auth.users values ('{known}')"
    ));
    for (user, expected) in [(known, Some(known)), (unknown, None), ("me", None)] {
        let (id, _) = served.trigger(&body(user));
        wait_for_run(&world, &id, "completed");
        assert_eq!(user_of(&id).as_deref(), expected, "{user}");
    }
}

#[test]
fn only_the_token_opens_the_api_and_the_page() {
    let mut world = World::empty().migrated();
    world.set("WIX_SYNC_SERVE_TOKEN", TOKEN);
    let served = Served::start(&world, &["-v"]);
    // BASE64 of `anyone:s3cret-token-of-the-test`, and of the same without the last letter.
    let basic = "authorization: Basic YW55b25lOnMzY3JldC10b2tlbi1vZi10aGUtdGVzdA==";
    let wrong_basic = "authorization: Basic YW55b25lOnMzY3JldC10b2tlbi1vZi10aGUtdGVz";
    let bearer = format!("authorization: Bearer {TOKEN}");
    let user = r#"{"supabaseUserId":"11111111-1111-4111-8111-111111111111"}"#;
    for header in
        ["x-none: 1", wrong_basic, "authorization: Bearer wrong", "authorization: Bearer", "authorization: Basic %"]
    {
        for (method, path) in [
            ("POST", TRIGGER),
            ("GET", TRIGGER),
            ("GET", STATUS),
            ("GET", "/"),
            ("GET", "/metrics"),
            ("GET", "/api/status"),
        ] {
            let answer = served.call(method, path, &[header], user);
            assert_eq!(
                (answer.status, answer.json()),
                (401, json!({ "error": "Authentication required" })),
                "{header} {path}"
            );
            assert!(answer.headers.contains("www-authenticate: basic"), "{answer:?}");
        }
    }
    for header in [basic, &bearer] {
        for path in [TRIGGER, STATUS, "/", "/metrics", "/api/status"] {
            assert_eq!(served.call("GET", path, &[header], "").status, 200, "{header} {path}");
        }
    }
    assert_eq!(served.call("POST", TRIGGER, &[&bearer], "").status, 202);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
    assert_eq!(served.call("GET", &format!("{STATUS}?token={TOKEN}"), &[], "").status, 401);
    let log = served.log();
    assert!(log.contains(&format!("GET {STATUS} 401")), "{log}");
    assert!(!log.contains(TOKEN) && !log.contains("11111111"), "{log}");
}

#[test]
fn pages_of_other_sites_may_not_start_a_sync() {
    let mut world = World::empty().migrated();
    world.set("WIX_SYNC_CORS_ORIGIN", "https://app.example.com");
    let served = Served::start(&world, &[]);
    let preflight = served.call(
        "OPTIONS",
        TRIGGER,
        &[
            "origin: https://app.example.com",
            "access-control-request-method: POST",
            "access-control-request-headers: authorization",
        ],
        "",
    );
    assert_eq!((preflight.status, preflight.body.as_str()), (200, ""));
    for part in [
        "access-control-allow-origin: https://app.example.com",
        "access-control-allow-credentials: true",
        "authorization",
        "post",
    ] {
        assert!(preflight.headers.contains(part), "{part}: {preflight:?}");
    }
    let foreign = served.call("POST", TRIGGER, &["origin: https://evil.example", "sec-fetch-site: cross-site"], "");
    assert_eq!(foreign.status, 403);
    let ours = ["origin: https://app.example.com", "sec-fetch-site: cross-site"];
    assert_eq!(served.call("POST", TRIGGER, &ours, "").status, 202);
    assert_eq!(served.call("OPTIONS", STATUS, &[], "").status, 200);
    world.set("WIX_SYNC_CORS_ORIGIN", "app.example.com/path");
    world.run(&["serve", "--listen", "127.0.0.1:0"]).expect_exit(2).expect_stderr("WIX_SYNC_CORS_ORIGIN");
}

#[test]
fn other_addresses_than_loopback_need_a_token() {
    let mut world = World::empty().migrated();
    for address in ["0.0.0.0:0", "[::]:0"] {
        world.run(&["serve", "--listen", address]).expect_exit(2).expect_stderr("WIX_SYNC_SERVE_TOKEN is not set");
    }
    world.run(&["serve", "--listen", "nowhere"]).expect_exit(2).expect_stderr("--listen nowhere");
    world.run(&["serve", "--every", "0"]).expect_exit(2).expect_stderr("--every");
    world.set("WIX_SYNC_SERVE_TOKEN", TOKEN);
    let served = Served::start(&world, &["--every", "1h"]);
    assert_eq!(served.get("/api/status").status, 401);
}
