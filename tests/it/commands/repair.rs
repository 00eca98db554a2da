//! `verify` where records are rejected, and `--repair` that is killed, refused, or could not compare everything: no row is
//! worse off, and exit code, JSON and `sync_logs` agree.

use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::running::Gate;

fn verified(world: &World, arguments: &[&str], exit: i32) -> Value {
    let arguments: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
    let finished = world.run(&arguments).expect_exit(exit);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn orders(found: &Value) -> &Value {
    let tables = found["tables"].as_array().expect("a list of tables");
    tables.iter().find(|table| table["table"] == "orders").expect("orders were compared")
}

/// A record without an id.
fn put_unreadable(world: &World, number: &str) {
    let record = json!({"status": "APPROVED", "number": number});
    world.sim.put_raw(Entity::Orders, &record.to_string());
}

/// An order that `verify` finds different: its column was changed in the table.
fn changed_locally() -> (World, String) {
    let world = World::new(0, 0, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let id: String = world.value("select min(wix_order_id) from orders");
    world.execute(&format!("update orders set total_amount = 1 where wix_order_id = '{id}'"));
    (world, id)
}

fn rows(world: &World) -> Vec<Value> {
    world.rows_as_json("select t.*, xmin::text as version from orders t order by wix_order_id")
}

#[test]
fn rejected_records_that_are_known_are_no_difference() {
    let world = World::new(2, 2, 6).migrated();
    let id = |record: &Value| record["id"].as_str().expect("an id").to_owned();
    let records = world.sim.orders();
    let (refused, outdated) = (id(&records[0]), id(&records[1]));
    put_unreadable(&world, "1");
    world.sim.put_raw(Entity::Orders, r#"{"status": "APPROVED", "lineItems": 7}"#);
    world.execute(&format!("alter table orders add constraint refused check (wix_order_id <> '{refused}')"));
    world.run(&["sync", "all"]).expect_exit(3);
    world.execute("alter table orders add constraint never check (total_amount <> 4711)");
    world.sim.edit(Entity::Orders, &outdated, |order| order["priceSummary"]["total"]["amount"] = json!("4711"));
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where resolved_at is null"), 4);

    let found = verified(&world, &[], 3);
    let table = orders(&found);
    assert_eq!((&found["differences"], &table["rejected"]), (&json!(0), &json!(4)), "{found}");
    for (kind, count) in [("missing", 0), ("different", 0), ("new_rejected", 0), ("not_in_wix", 0)] {
        assert_eq!(table[kind], count, "{kind}: {found}");
    }
    let named = table["rejections"].to_string();
    assert!([&refused, &outdated].iter().all(|id| named.contains(*id)), "{named}");
    let shown = world.run(&["verify"]).expect_exit(3);
    assert!(shown.stdout.contains("4 rejected records") && shown.stdout.contains("wix-sync errors"), "{shown:#?}");
    assert!(!shown.stdout.contains("match Wix"), "{shown:#?}");
    // There is nothing to repair, so there is no run.
    let runs = world.value::<i64>("select count(*) from sync_logs");
    world.run(&["verify", "--repair"]).expect_exit(3);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), runs);

    // One that no run has seen yet is a difference.
    put_unreadable(&world, "2");
    let found = verified(&world, &[], 5);
    assert_eq!(
        (&found["differences"], &orders(&found)["new_rejected"], &orders(&found)["rejected"]),
        (&json!(1), &json!(1), &json!(5))
    );
    // So is a row that is missing, beside them; its repair leaves them out.
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    let deleted = format!("select max(wix_order_id) from orders where wix_order_id <> '{outdated}'");
    world.execute(&format!("delete from orders where wix_order_id = ({deleted})"));
    assert_eq!(verified(&world, &[], 5)["differences"], 1);
    world.run(&["verify", "--repair"]).expect_exit(3).expect_stderr("rejected records");
    assert_eq!(verified(&world, &[], 3)["differences"], 0);
}

#[test]
fn a_repair_that_wix_refuses_leaves_the_row_as_it_was() {
    let (world, id) = changed_locally();
    let before = rows(&world);
    for fault in [Fault::permission_missing, Fault::system_error] {
        world.sim.fault(fault(Fault::on(Endpoint::OrderGet).always()));
        world.run(&["verify", "--repair"]).expect_exit(3).expect_stderr("could not be fixed");
        world.sim.clear_faults();
        assert_eq!(rows(&world), before);
    }
    assert_eq!(orders(&verified(&world, &[], 5))["different_ids"], json!([id]));
    world.run(&["verify", "--repair"]).expect_exit(0);
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
}

#[test]
fn a_repair_that_is_killed_leaves_the_row_as_it_was() {
    let (world, _) = changed_locally();
    let before = rows(&world);
    let gate = Gate::before(&world.sim, Endpoint::OrderGet, 1);
    let running = world.start(&["verify", "--repair"]);
    gate.wait();
    assert_eq!(rows(&world), before, "nothing is written before Wix has answered");
    running.signal(Signal::KILL);
    running.wait();
    gate.open();
    assert_eq!(rows(&world), before);
    world.execute("update sync_locks set expires_at = '-infinity'");
    world.run(&["verify", "--repair"]).expect_exit(0);
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
}

#[test]
fn a_repair_that_could_not_compare_a_table_has_failed_everywhere() {
    let (world, _) = changed_locally();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().permission_missing());
    let finished = world.run(&["verify", "--repair", "--json"]).expect_exit(1);
    let result: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert_eq!((&result["exit_code"], &result["status"]), (&json!(1), &json!("failed")), "{result}");
    let customers = &result["results"]["customers"];
    assert_eq!(customers["status"], "failed", "{result}");
    assert!(customers["error"].as_str().is_some_and(|error| error.contains("403")), "{result}");
    assert_eq!(result["results"]["orders"]["status"], "completed", "{result}");
    finished.expect_stderr("error: customers: ").expect_stderr("hint: ");
    let log = &world.rows_as_json("select status, error, results from sync_logs order by started_at desc limit 1")[0];
    assert_eq!((&log["status"], &log["error"]), (&result["status"], &result["error"]));
    assert_eq!(log["results"], result["results"]);
    // What could be compared is repaired.
    world.sim.clear_faults();
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
}
