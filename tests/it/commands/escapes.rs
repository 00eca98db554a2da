//! Texts of others on the screen: what Wix, Postgres and the tables hold never controls a terminal, and never looks like
//! a line of this program.

use private_postgres::Server;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault, Sim, Site};

use crate::support::harness::World;
use crate::support::monitor::Monitor;
use crate::support::terminal::run_on_terminal;

/// Clears the screen, goes back to the start of the line, begins a line of its own, turns the direction of writing.
const HOSTILE: &str = "x\u{1b}[2J\r\nERROR forged\u{85}\u{9b}31m\u{202e}\u{2028}\u{7}\u{7f}\u{2066}y";

fn id(prefix: &str) -> String {
    format!("{prefix}{HOSTILE}")
}

/// A record with a field that cannot be read, one that Postgres refuses, and one that is a row.
fn world() -> World {
    let sim = Sim::start(Site::empty()).expect("the simulator starts");
    let world = World::with_server(sim, Server::builder()).migrated();
    world
        .sim
        .put_raw(Entity::Orders, &json!({"id": id("unreadable"), "status": "APPROVED", "lineItems": 7}).to_string());
    world.sim.put_raw(Entity::Orders, &order("row", "APPROVED"));
    world.sim.put_raw(Entity::Orders, &order("refused", "CANCELED"));
    let constraint = format!("\"no {HOSTILE}\"");
    world.execute(&format!("alter table orders add constraint {constraint} check (status <> 'CANCELED')"));
    world
}

fn order(prefix: &str, status: &str) -> String {
    let date = "2024-01-01T00:00:00.000Z";
    json!({"id": id(prefix), "createdDate": date, "updatedDate": date, "status": status}).to_string()
}

/// Fails if a text holds anything that a terminal would act upon, or a line that this program did not write.
#[track_caller]
fn assert_harmless(text: &str) {
    let is_harmful =
        |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.chars().any(|c| is_harmful(&c)), "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("ERROR forged")), "{text}");
}

#[test]
fn text_output_escapes_what_controls_a_terminal() {
    let mut world = world();
    let monitor = Monitor::start();
    world.set("WIX_SYNC_HEALTHCHECK_URL", &monitor.url());
    let mut outputs = vec![world.run(&["sync", "all", "--full", "-vv"]).expect_exit(3)];
    assert!(outputs[0].stderr.contains("record refusedx\\u{1b}[2J"), "{}", outputs[0].stderr);
    world.execute(&format!(
        "insert into sync_logs (id, sync_type, status, started_at, completed_at, error)
         values (gen_random_uuid(), 'orders', 'failed', now(), now(), E'{}')",
        HOSTILE.replace('\n', "\\n").replace('\r', "\\r"),
    ));
    for row in world.query("select id::text from sync_logs") {
        outputs.push(world.run(&["status", row.get(0)]).expect_exit(0));
    }
    outputs.push(world.run(&["status"]).expect_exit(0));
    outputs.push(world.run(&["errors"]).expect_exit(0));
    outputs.push(world.run(&["errors", "retry"]).expect_exit(3));
    outputs.push(world.run(&["doctor"]));
    // In the table and no longer at Wix; at Wix and not in the table.
    world.sim.delete(Entity::Orders, &id("row"));
    world.sim.put_raw(Entity::Orders, &order("missing", "APPROVED"));
    outputs.push(world.run(&["verify"]).expect_exit(5));
    outputs.push(world.run(&["sync", "all", "--dry-run", "--full"]));
    outputs.push(world.run(&["verify", "--repair"]));
    world
        .sim
        .fault(Fault::on(Endpoint::OrdersSearch).always().status(400).body(json!({"message": HOSTILE}).to_string()));
    outputs.push(world.run(&["sync", "orders", "--full"]).expect_exit(1));
    for output in &outputs {
        assert_harmless(&output.stdout);
        assert_harmless(&output.stderr);
    }
    let pings = monitor.take();
    assert!(pings.len() > 3, "{pings:#?}");
    pings.iter().for_each(|ping| assert_harmless(&ping.body));
}

#[test]
fn a_terminal_is_not_controlled_by_what_wix_sends() {
    let world = world();
    for arguments in [&["sync", "all", "--full"][..], &["errors"], &["verify"], &["status"], &["doctor"]] {
        let shown = run_on_terminal(arguments, world.command(arguments)).stdout;
        for harmful in ["\u{1b}[2J", "\nERROR forged", "\u{9b}", "\u{202e}", "\u{2066}", "\u{7}"] {
            assert!(!shown.contains(harmful), "{arguments:?}: {harmful:?} in {shown:?}");
        }
    }
}

#[test]
fn json_output_keeps_the_text_and_escapes_it_as_json() {
    let world = world();
    let synced = world.run(&["sync", "all", "--full", "--json", "--log-format", "json"]).expect_exit(3);
    assert_harmless(&synced.stderr);
    let is_named = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["wix_id"] == id("refused")
    };
    assert!(synced.stderr.lines().any(is_named), "{}", synced.stderr);
    let listed = world.run(&["errors", "--json"]).expect_exit(0);
    let verified = world.run(&["verify", "--json"]);
    for output in [&synced, &listed, &verified] {
        assert_harmless(&output.stdout);
        assert_eq!(output.stdout.lines().count(), 1);
    }
    let listed: Value = serde_json::from_str(&listed.stdout).expect("it is JSON");
    let ids: Vec<&Value> =
        listed["rejected_records"].as_array().expect("a list").iter().map(|error| &error["wix_id"]).collect();
    assert_eq!(ids, [&json!(id("refused"))]);
    assert_eq!(listed["unreadable_fields"][0]["wix_ids"], json!([id("unreadable")]));
}
