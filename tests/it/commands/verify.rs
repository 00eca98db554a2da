//! `verify` and `sync --dry-run`: what they find, that they write nothing at all, and that `--repair` mends just that.

use private_postgres::{PgBouncer, PoolMode};
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::truth::Truth;

const TABLES: [&str; 3] = ["customers", "appointments", "orders"];

/// Every row of every table with who wrote it last, the lease and the log included.
fn everything(world: &World) -> Vec<Value> {
    let tables =
        ["customers", "appointments", "orders", "sync_logs", "sync_state", "sync_errors", "sync_missing", "sync_locks"];
    let selects: Vec<String> = tables
        .iter()
        .map(|table| format!("select '{table}' as t, xmin::text as x, to_jsonb(t) as j from {table} t"))
        .collect();
    world.rows_as_json(&format!("select * from ({}) q order by t, j::text", selects.join(" union all ")))
}

fn verified(world: &World, arguments: &[&str], exit: i32) -> Value {
    let arguments: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
    let finished = world.run(&arguments).expect_exit(exit);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn table<'a>(found: &'a Value, name: &str) -> &'a Value {
    let tables = found["tables"].as_array().expect("a list of tables");
    tables.iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("{name} is not in {found}"))
}

fn id_of(record: &Value) -> String {
    record["id"].as_str().or(record["booking"]["id"].as_str()).expect("an id").to_owned()
}

/// A site that was synced, and of each kind a record that came, one that was edited and one that went since.
fn moved_on() -> (World, [[String; 3]; 3]) {
    let world = World::new(60, 250, 40).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let ids = [Entity::Contacts, Entity::Bookings, Entity::Orders].map(|entity| {
        let records: Vec<Value> =
            world.sim.texts(entity).iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
        let (edited, gone) = (id_of(&records[3]), id_of(&records[5]));
        world.sim.edit(entity, &edited, |record| record["more"] = json!({"of": "a secret"}));
        world.sim.delete(entity, &gone);
        [world.sim.add(entity, 1).remove(0), edited, gone]
    });
    world.sim.clear_requests();
    (world, ids)
}

/// The booking that is gone is a difference until a second lookup has confirmed it, a day later.
fn confirm_absence(world: &World) {
    let found = verified(world, &[], 5);
    assert_eq!((&found["differences"], &table(&found, "appointments")["not_in_wix"]), (&json!(1), &json!(1)));
    world.age_absences();
    world.run(&["verify", "--repair"]).expect_exit(0);
}

#[test]
fn tables_that_are_as_wix_has_them_are_said_to_be_so() {
    let world = World::new(60, 250, 40).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    assert!(world.value::<i64>("select count(*) from customers where raw is null") > 0, "there are stubs");
    let before = everything(&world);
    let shown = world.run(&["verify"]).expect_exit(0);
    assert!(shown.stdout.contains("All tables match Wix; 5 requests to Wix."), "{shown:#?}");
    let found = verified(&world, &[], 0);
    assert_eq!((&found["version"], &found["purpose"], &found["differences"]), (&json!(1), &json!("verify"), &json!(0)));
    assert_eq!(table(&found, "customers")["up_to_date"], 60);
    assert_eq!(everything(&world), before);
}

#[test]
fn gaps_are_counted_named_and_left_alone() {
    let (world, ids) = moved_on();
    let before = everything(&world);
    let found = verified(&world, &[], 5);
    assert_eq!(found["differences"], 9);
    for (name, [added, edited, gone]) in TABLES.iter().zip(&ids) {
        let table = table(&found, name);
        assert_eq!(
            (&table["kind"], &table["missing"], &table["different"], &table["not_in_wix"]),
            (&json!("full"), &json!(1), &json!(1), &json!(1))
        );
        assert_eq!(
            (&table["missing_ids"], &table["different_ids"], &table["not_in_wix_ids"]),
            (&json!([added]), &json!([edited]), &json!([gone]))
        );
        let members = table["samples"][0]["fields"].as_array().expect("paths");
        assert!(members.contains(&json!("more")), "{members:?}");
    }
    let shown = world.run(&["verify", "orders"]).expect_exit(5);
    assert!(shown.stdout.contains("3 differences found") && shown.stdout.contains(&ids[2][0]), "{shown:#?}");
    assert!(!shown.stdout.contains("customers") && !found.to_string().contains("a secret"));
    assert_eq!(everything(&world), before);
}

#[test]
fn repair_fetches_just_the_gaps_and_is_a_run_with_its_record() {
    let (world, _) = moved_on();
    let rows = |world: &World| {
        world.rows_as_json("select wix_booking_id, xmin::text from appointments where deleted_at is null order by 1")
    };
    let before = rows(&world);
    let done = world.run(&["verify", "--repair"]).expect_exit(0);
    assert!(done.stdout.contains("9 differences found"), "{done:#?}");
    let by_id = world.sim.request_count(Endpoint::ContactGet);
    assert_eq!(by_id, 4, "each of the three, and a record that is known, for the one that is gone");
    let after = rows(&world);
    assert_eq!(after.iter().filter(|row| !before.contains(row)).count(), 2, "the others are untouched");
    let log = world.rows_as_json(
        "select status, results->'orders'->>'kind' as kind from sync_logs order by started_at desc limit 1",
    );
    assert_eq!(log, [json!({"status": "completed", "kind": "repair"})]);
    confirm_absence(&world);
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
    let deleted: i64 = world.value("select count(*) from orders where deleted_at is not null");
    assert_eq!(deleted, 1);
    let result = verified(&world, &["--repair"], 0);
    assert_eq!(result["differences"], 0, "where there is no gap, there is no run");
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 3);
}

#[test]
fn repair_believes_mass_deletions_no_more_than_a_full_pass_does() {
    let world = World::new(0, 0, 60).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let orders = world.sim.orders();
    for order in &orders[..30] {
        world.sim.delete(Entity::Orders, &id_of(order));
    }
    world.run(&["verify", "orders", "--repair"]).expect_exit(3).expect_stderr("--allow-mass-delete");
    assert_eq!(world.value::<i64>("select count(*) from orders where deleted_at is not null"), 0);
    world.run(&["verify", "orders", "--repair", "--allow-mass-delete"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from orders where deleted_at is not null"), 30);
    world.run(&["verify", "--allow-mass-delete"]).expect_exit(2);
}

#[test]
fn a_dry_run_tells_what_sync_would_do_and_writes_nothing() {
    let (world, ids) = moved_on();
    let before = everything(&world);
    let changes = world.sync_json(&["all", "--dry-run"], 0);
    assert_eq!(changes["purpose"], "dry-run");
    for (name, [added, ..]) in TABLES.iter().zip(&ids) {
        let table = table(&changes, name);
        assert_eq!(
            (&table["kind"], &table["inserted_ids"], &table["updated"]),
            (&json!("incremental"), &json!([added]), &json!(1))
        );
        assert_eq!((&table["pending_deletions"], &table["requests"]), (&json!(0), &json!(1)));
    }
    let full = world.run(&["sync", "all", "--full", "--dry-run"]).expect_exit(0);
    assert!(
        full.stdout.contains("Nothing was written") && full.stdout.contains("would be looked up by id"),
        "{full:#?}"
    );
    assert_eq!(everything(&world), before);
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    world.run(&["sync", "all", "--full", "--dry-run"]).expect_exit(0);
    confirm_absence(&world);
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
}

#[test]
fn a_dry_run_counts_known_rejected_records_as_rejected_and_says_how_many_are_not_named() {
    let world = World::new(30, 0, 3).migrated();
    world.execute("alter table orders add constraint refused check (status <> 'REFUSED')");
    let refused = id_of(&world.sim.orders()[0]);
    world.sim.edit(Entity::Orders, &refused, |order| order["status"] = json!("REFUSED"));
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    let dry = world.sync_json(&["all", "--full", "--dry-run"], 3);
    let orders = table(&dry, "orders");
    assert_eq!(
        (&orders["rejected"], &orders["new_rejected"], &orders["inserted"], &orders["rejections"][0]["wix_id"]),
        (&json!(1), &json!(0), &json!(0), &json!(refused))
    );
    let shown = world.run(&["sync", "all", "--full", "--dry-run"]).expect_exit(3).stdout;
    assert!(shown.contains("customers inserted:\n") && shown.contains("\n  and 20 more\n"), "{shown}");
    assert!(shown.contains(&format!("orders rejected:\n  {refused}: ")), "{shown}");
}

#[test]
fn a_first_dry_run_counts_all_and_names_what_cant_be_read() {
    let world = World::new(20, 10, 10).migrated();
    world.sim.put_raw(Entity::Orders, r#"{"status":"APPROVED"}"#);
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).app_not_installed());
    let before = everything(&world);
    let found = world.sync_json(&["all", "--dry-run"], 3);
    assert_eq!(
        (&table(&found, "customers")["inserted"], &table(&found, "orders")["new_rejected"]),
        (&json!(20), &json!(1))
    );
    assert_eq!(table(&found, "orders")["rejections"][0], json!({"wix_id": null, "reason": "`id` is missing"}));
    assert_eq!(table(&found, "appointments")["not_installed"], true);
    assert_eq!(everything(&world), before);
    let other = World::new(1, 0, 0);
    other.run(&["verify"]).expect_exit(2).expect_stderr("wix-sync migrate");
}

#[test]
fn a_listing_without_any_record_beside_rows_is_a_gap_and_no_reason_to_delete() {
    let nothing = |fault: Fault| fault.body(r#"{"orders":[],"metadata":{"count":0,"cursors":{},"hasNext":false}}"#);
    let told = ["Wix Stores is not installed", "Wix returned no orders, but the table has rows"];
    for (fault, exit_of_changes, told) in
        [(Fault::app_not_installed as fn(Fault) -> Fault, 3, told[0]), (nothing, 0, told[1])]
    {
        let world = World::new(0, 0, 15).migrated();
        world.run(&["sync", "all"]).expect_exit(0);
        let rows = world.sim.orders().len();
        world.sim.fault(fault(Fault::on(Endpoint::OrdersSearch).always()));
        let before = everything(&world);
        let found = verified(&world, &[], 5);
        assert_eq!(
            (&found["differences"], &table(&found, "orders")["not_in_wix"], &table(&found, "customers")["notices"]),
            (&json!(rows), &json!(rows), &json!([]))
        );
        let notices = table(&found, "orders")["notices"].to_string();
        assert!(notices.contains(told), "{notices}");
        for arguments in [&["verify", "orders"][..], &["sync", "orders", "--dry-run", "--full"]] {
            let shown = world.run(arguments).expect_exit(if arguments[0] == "verify" { 5 } else { 3 });
            assert!(shown.stdout.contains(&format!("orders: {told}")), "{shown:#?}");
            assert!(!shown.stdout.contains("match Wix"), "{shown:#?}");
        }
        assert_eq!(everything(&world), before);
        world.run(&["verify", "--repair"]).expect_exit(3).expect_stderr("Wix returned no orders");
        world.run(&["sync", "all"]).expect_exit(exit_of_changes);
        assert_eq!(world.value::<i64>("select count(*) from orders where deleted_at is null"), rows as i64);
        assert_eq!(world.value::<i64>("select count(*) from sync_missing"), 0);
        world.sim.clear_faults();
        assert_eq!(verified(&world, &[], 0)["differences"], 0);
    }
}

/// Each column that a record fills, with the change of it that somebody makes in the table, past wix-sync.
const CHANGES: [(&str, &[&str]); 3] = [
    (
        "customers",
        &[
            "name = 'X'",
            "first_name = null",
            "last_name = 'X'",
            "email = 'x@example.com'",
            "phone = '1'",
            "company = 'X'",
            "job_title = 'X'",
            "birthdate = '1900-01-01'",
            "locale = 'xx'",
            "labels = '{x}'",
            "wix_revision = -1",
            "wix_created_at = wix_created_at + interval '1 microsecond'",
            "wix_updated_at = null",
            "raw = '{}'",
        ],
    ),
    (
        "appointments",
        &[
            "customer_id = null",
            "wix_contact_id = 'x'",
            "service_id = 'x'",
            "service_name = 'X'",
            "staff_member = 'X'",
            "start_time = null",
            "end_time = start_time",
            "timezone = 'X'",
            "location = 'X'",
            "participants = 99",
            "status = 'X'",
            "payment_status = 'X'",
        ],
    ),
    (
        "orders",
        &[
            "customer_id = null",
            "wix_contact_id = 'x'",
            "order_number = 'x'",
            "email = 'x'",
            "order_date = null",
            "status = 'X'",
            "payment_status = 'X'",
            "fulfillment_status = 'X'",
            "currency = 'X'",
            "subtotal = 0.001",
            "shipping = 0.001",
            "tax = 0.001",
            "discount = 0.001",
            "total_amount = null",
            "items = '[]'",
        ],
    ),
];

#[test]
fn columns_that_somebody_else_changed_are_found_and_repaired() {
    let world = World::new(60, 60, 60).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
    for (name, changes) in CHANGES {
        // A column each in a row of its own, of rows that have a customer.
        let id = format!("wix_{}_id", ["contact", "booking", "order"][TABLES.iter().position(|t| *t == name).unwrap()]);
        let linked = if name == "customers" { "raw" } else { "customer_id" };
        for (index, change) in changes.iter().enumerate() {
            world.execute(&format!(
                "update {name} set {change} where {id} = (
                    select {id} from {name} where {linked} is not null and deleted_at is null order by {id} offset {index} limit 1
                 )"
            ));
        }
        let found = verified(&world, &[name], 5);
        let table = table(&found, name);
        assert_eq!(table["different"], changes.len(), "{found}");
        assert_eq!(table["different_ids"].as_array().map(Vec::len), Some(changes.len()));
        let names: Vec<&str> = changes.iter().filter_map(|change| change.split(" =").next()).collect();
        for sample in table["samples"].as_array().expect("samples") {
            let columns = sample["columns_changed_locally"].as_array().expect("columns");
            assert!(
                !columns.is_empty() && columns.iter().all(|column| names.contains(&column.as_str().unwrap())),
                "{sample}"
            );
        }
        let shown = world.run(&["verify", name]).expect_exit(5);
        assert!(shown.stdout.contains(": changed locally: "), "{shown:#?}");
        // No pass writes a record that did not change.
        let dry = world.sync_json(&[name, "--full", "--dry-run"], 0);
        assert_eq!(dry["tables"][0]["updated"], 0);
        let before = world.rows_as_json(&format!("select {id}, xmin::text from {name} order by 1"));
        world.run(&["verify", name, "--repair"]).expect_exit(0);
        let after = world.rows_as_json(&format!("select {id}, xmin::text from {name} order by 1"));
        assert_eq!(after.iter().filter(|row| !before.contains(row)).count(), changes.len(), "{name}");
        assert_eq!(verified(&world, &[], 0)["differences"], 0);
        world.assert_tables_equal_truth();
    }
}

#[test]
fn a_row_that_claims_to_be_newer_and_one_that_the_table_refuses_are_repaired_and_named() {
    let world = World::new(0, 0, 20).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute(
        "update orders set wix_updated_at = wix_updated_at + interval '3 days', total_amount = 1;
         alter table orders alter column items type json using items::json;
         create function refuse() returns trigger language plpgsql as $$ begin raise exception 'never'; end $$",
    );
    let first: String = world.value("select min(wix_order_id) from orders");
    world.execute(&format!(
        "create trigger refuse before update on orders for each row when (new.wix_order_id = '{first}') execute function refuse()"
    ));
    world.run(&["verify", "orders", "--repair"]).expect_exit(3).expect_stderr(&format!("{first}: could not"));
    let found = verified(&world, &["orders"], 5);
    assert_eq!(table(&found, "orders")["different_ids"], json!([first]));
    world.execute("drop trigger refuse on orders");
    world.run(&["verify", "orders", "--repair"]).expect_exit(0);
    assert_eq!(verified(&world, &["orders"], 0)["differences"], 0);
}

#[test]
fn links_that_people_made_where_wix_names_nobody_are_no_gap() {
    let world = World::new(0, 0, 3).migrated();
    world.sim.orders().iter().for_each(|order| {
        world.sim.edit(Entity::Orders, &id_of(order), |order| order["buyerInfo"] = json!({}));
    });
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute(
        "with own as (insert into customers (name) values ('Walk-in') returning id) update orders set customer_id = own.id from own",
    );
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
}

#[test]
fn a_dry_run_foretells_that_mass_deletions_would_be_held_back() {
    let world = World::new(0, 0, 60).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let orders = world.sim.orders();
    orders[..30].iter().for_each(|order| world.sim.delete(Entity::Orders, &id_of(order)));
    let dry = ["sync", "orders", "--full", "--dry-run"];
    let shown = world.run(&dry).expect_exit(3);
    let foretold =
        format!("orders: deletions are blocked by the safety limit: 30 of {} rows are pending deletion", orders.len());
    assert!(shown.stdout.contains(&foretold), "{shown:#?}");
    world.run(&[&dry[..], &["--allow-mass-delete"]].concat()).expect_exit(0);
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    world.run(&["sync", "orders", "--full", "--allow-mass-delete"]).expect_exit(0);
    world.run(&dry).expect_exit(0);
}

#[test]
fn verify_reads_past_a_run_at_work_and_repair_waits_for_none() {
    let world = World::new(20, 0, 0).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.execute("update sync_locks set expires_at = now() + interval '1 minute', holder = '{}'");
    world.run(&["verify"]).expect_exit(0);
    world.sim.add(Entity::Contacts, 1);
    world.run(&["verify", "--repair"]).expect_exit(4);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().permission_missing());
    world.sim.add(Entity::Orders, 1);
    world.execute("update sync_locks set expires_at = '-infinity'");
    for arguments in [&["verify"][..], &["verify", "--repair"], &["sync", "all", "--dry-run"]] {
        let shown = world.run(arguments).expect_exit(1).expect_stderr("customers: ").expect_stderr("403");
        assert!(shown.stdout.contains("orders") && !shown.stdout.contains("customers"), "{shown:#?}");
    }
    assert_eq!(world.run(&["verify", "customers"]).expect_exit(1).stdout, "");
    world.run(&["verify", "orders"]).expect_exit(0);
}

#[cfg(target_os = "linux")]
#[test]
fn verify_and_dry_run_fit_a_terminal_of_80_and_of_140_columns() {
    let (world, _) = moved_on();
    world.sim.put_raw(Entity::Orders, r#"{"status": "APPROVED"}"#);
    world.sim.add(Entity::Contacts, 30);
    for (arguments, exit, ends) in
        [(&["verify"][..], 5, "  and 21 more\n"), (&["sync", "--full", "--dry-run"], 3, "  and 21 more\n")]
    {
        for columns in [80, 140] {
            let mut command = world.command(arguments);
            command.env("TERM", "xterm-256color").env("NO_COLOR", "1");
            let shown =
                crate::support::terminal::run_on_terminal_of(columns, arguments, command).expect_exit(exit).stdout;
            // What remains of the progress bars is erased by the terminal.
            let start = shown.find("table  ").unwrap_or_else(|| panic!("{shown:?}"));
            let shown = shown[start..].replace("\r\n", "\n");
            assert!(shown.lines().all(|line| line.chars().count() <= columns.into()), "{columns}: {shown}");
            assert!(shown.contains(ends) && !shown.contains('\u{1b}'), "{shown:?}");
        }
    }
}

#[test]
fn verify_and_repair_work_through_a_pooler() {
    let (mut world, _) = moved_on();
    let settings = [("default_pool_size", "3"), ("server_round_robin", "1")];
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &settings).expect("the pooler starts");
    world.set("DATABASE_URL", &bouncer.url("postgres"));
    assert_eq!(verified(&world, &[], 5)["differences"], 9);
    world.run(&["sync", "all", "--dry-run"]).expect_exit(0);
    world.run(&["verify", "--repair"]).expect_exit(0);
    confirm_absence(&world);
    assert_eq!(verified(&world, &[], 0)["differences"], 0);
    let truth = Truth::of(&world.sim);
    assert_eq!(truth.orders.len() as i64, world.value::<i64>("select count(*) from orders where deleted_at is null"));
}
