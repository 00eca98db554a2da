//! Records in `sync_errors`: listed, retried when they are due and not before, resolved when they are written.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;

const WHEN: &str = r#""createdDate":"2026-01-01T00:00:00.000Z","updatedDate":"2026-01-02T00:00:00.000Z""#;

/// A number that `jsonb` cannot store.
const BAD: &str = r#""n":1e-400000"#;

fn put(world: &World, entity: Entity, id: &str, member: &str) {
    let record = format!(r#"{{"id":"{id}","status":"APPROVED",{WHEN},{member}}}"#);
    let text = if entity == Entity::Bookings { format!(r#"{{"booking":{record}}}"#) } else { record };
    world.sim.put_raw(entity, &text);
}

/// A table with one good and one bad record each, synced once.
fn with_bad_records() -> World {
    let world = World::empty().migrated();
    for entity in [Entity::Contacts, Entity::Bookings, Entity::Orders] {
        put(&world, entity, "good", r#""revision":"1""#);
        put(&world, entity, "bad", BAD);
    }
    world.run(&["sync", "all"]).expect_exit(3);
    world.sim.clear_requests();
    world
}

fn mend(world: &World) {
    for entity in [Entity::Contacts, Entity::Bookings, Entity::Orders] {
        put(world, entity, "bad", r#""revision":"2""#);
    }
}

/// Moves the last try this far into the past.
fn wait(world: &World, interval: &str) {
    world.execute(&format!("update sync_errors set last_failed_at = last_failed_at - interval '{interval}'"));
}

fn waiting(world: &World) -> Vec<Value> {
    world.rows_as_json(
        "select table_name as in_table, tries from sync_errors where resolved_at is null order by table_name",
    )
}

fn each_with_tries(tries: i64) -> Vec<Value> {
    ["appointments", "customers", "orders"].map(|table| json!({"in_table": table, "tries": tries})).into()
}

fn assert_all_landed(world: &World) {
    assert_eq!(waiting(world), Vec::<Value>::new());
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where record is not null"), 0);
    for (table, key) in
        [("customers", "wix_contact_id"), ("appointments", "wix_booking_id"), ("orders", "wix_order_id")]
    {
        assert_eq!(world.value::<i64>(&format!("select count(*) from {table} where {key} in ('good', 'bad')")), 2);
    }
}

#[test]
fn rejected_records_are_listed_without_payload() {
    let world = World::new(3, 0, 0);
    world.run(&["errors"]).expect_exit(2).expect_stderr("wix-sync migrate");
    world.run(&["migrate"]).expect_exit(0);
    let empty = world.run(&["errors"]).expect_exit(0);
    assert_eq!(empty.stdout, "Schema public: no rejected records\n");
    put(&world, Entity::Orders, "o1", r#""n":1e-400000,"lineItems":"a very personal text""#);
    world.run(&["sync", "all", "--full"]).expect_exit(3);
    let shown = world.run(&["errors", "list"]).expect_exit(0);
    let row = shown.stdout.lines().find(|line| line.starts_with("orders")).expect("a row for the record");
    assert!(row.contains("o1") && row.contains("could not write a batch"), "{row}");
    let text = world.run(&["errors", "list", "--json"]).expect_exit(0).stdout;
    assert!(!text.contains("personal") && !shown.stdout.contains("personal"), "{text}");
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&json["version"], &json["schema"], &json["total"]), (&json!(1), &json!("public"), &json!(1)));
    let error = &json["rejected_records"][0];
    assert_eq!((&error["table"], &error["wix_id"], &error["tries"]), (&json!("orders"), &json!("o1"), &json!(1)));
    assert_eq!(error["program_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(error["run_id"], world.value::<uuid::Uuid>("select id from sync_logs").to_string());
    assert_eq!(world.run(&["errors", "list", "--limit", "1"]).expect_exit(0).stdout, shown.stdout);
}

#[test]
fn rejected_record_is_retried_after_a_day() {
    let world = with_bad_records();
    for _ in 0..2 {
        world.run(&["sync", "all"]).expect_exit(3).expect_stderr("`wix-sync errors` lists them");
    }
    wait(&world, "23 hours");
    world.run(&["sync", "all"]).expect_exit(3);
    assert_eq!(world.sim.requests().len(), 9, "a page a table and run");
    assert_eq!(waiting(&world), each_with_tries(1));
    world.sim.clear_requests();
    wait(&world, "2 hours");
    let result = world.sync_json(&["all"], 3);
    assert_eq!(world.sim.requests().len(), 6, "a page, and the one that waits");
    assert_eq!(waiting(&world), each_with_tries(2));
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(result["results"][table]["error_details"][0]["wix_id"], "bad", "{table}");
    }
    world.sim.clear_requests();
    world.run(&["sync", "all"]).expect_exit(3);
    assert_eq!(world.sim.requests().len(), 3);
}

#[test]
fn record_fixed_without_a_new_date_is_written_after_a_day() {
    let world = with_bad_records();
    mend(&world);
    world.run(&["sync", "all"]).expect_exit(3);
    assert_eq!(waiting(&world), each_with_tries(1), "its date is old, so no pass asks for it");
    wait(&world, "25 hours");
    world.run(&["sync", "all"]).expect_exit(0);
    assert_all_landed(&world);
}

#[test]
fn another_version_of_the_program_retries_at_once() {
    let world = with_bad_records();
    mend(&world);
    world.execute("update sync_errors set program_version = '0.0.1'");
    world.run(&["sync", "all"]).expect_exit(0);
    assert_all_landed(&world);
}

#[test]
fn errors_retry_retries_all_and_is_recorded() {
    let world = with_bad_records();
    let listed = world.run(&["errors", "--json", "--limit", "1"]).expect_exit(0).stdout;
    assert_eq!(listed, world.run(&["errors", "list", "--json", "--limit", "1"]).expect_exit(0).stdout);
    world.run(&["errors", "retry", "orders"]).expect_exit(3);
    let tries =
        |table: &str| world.value::<i32>(&format!("select tries from sync_errors where table_name = '{table}'"));
    assert_eq!((tries("orders"), tries("customers")), (2, 1));
    assert_eq!(world.sim.requests().len(), 1, "the one that waits");
    assert_eq!(world.sim.request_count(Endpoint::OrdersSearch), 0, "nothing is listed");
    mend(&world);
    let before =
        world.rows_as_json("select watermark, checkpoint, last_full_pass_at from sync_state order by table_name");
    let shown = world.run(&["errors", "retry", "--json"]).expect_exit(0);
    let result: Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
    assert_eq!((&result["sync_type"], &result["status"]), (&json!("all"), &json!("completed")));
    assert_eq!(
        (&result["results"]["orders"]["kind"], &result["results"]["orders"]["inserted"]),
        (&json!("retry"), &json!(1))
    );
    assert_all_landed(&world);
    let after =
        world.rows_as_json("select watermark, checkpoint, last_full_pass_at from sync_state order by table_name");
    assert_eq!(after, before, "the state of the passes is left alone");
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where status <> 'running'"), 3);
    world.run(&["errors", "retry"]).expect_exit(0);
}

#[test]
fn rejected_record_deleted_in_wix_is_resolved() {
    let world = with_bad_records();
    for entity in [Entity::Contacts, Entity::Bookings, Entity::Orders] {
        world.sim.delete(entity, "bad");
    }
    // The deletion of a booking must be confirmed by a second lookup, at least a day later.
    for _ in 0..2 {
        world.run(&["errors", "retry"]).expect_exit(3);
        assert_eq!(waiting(&world).len(), 1);
    }
    world.age_absences();
    world.run(&["errors", "retry"]).expect_exit(0);
    assert_eq!(waiting(&world), Vec::<Value>::new());
    assert_eq!(world.value::<i64>("select count(*) from sync_missing"), 0);
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where record is not null"), 0);
    assert_eq!(world.value::<i64>("select count(*) from customers"), 1);
}

#[test]
fn rejected_records_of_an_empty_table_are_retried() {
    let world = World::empty().migrated();
    for entity in [Entity::Contacts, Entity::Bookings, Entity::Orders] {
        put(&world, entity, "good", r#""revision":"1""#);
    }
    world.execute("alter table orders add constraint refused check (wix_order_id <> 'good')");
    world.run(&["sync", "all"]).expect_exit(3);
    world.execute("alter table orders drop constraint refused");
    world.run(&["errors", "retry"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from orders"), 1);
    // "Not found" still counts only if another record can be read.
    world.execute("delete from orders");
    put(&world, Entity::Orders, "bad", BAD);
    world.sim.delete(Entity::Orders, "good");
    world.run(&["sync", "all", "--full"]).expect_exit(3);
    world.sim.delete(Entity::Orders, "bad");
    world.run(&["errors", "retry"]).expect_exit(3).expect_stderr("no known record to check with");
}

#[test]
fn rejected_contact_that_was_merged_moves_its_orders() {
    let world = World::empty().migrated();
    put(&world, Entity::Contacts, "good", r#""revision":"1""#);
    put(&world, Entity::Contacts, "bad", BAD);
    put(&world, Entity::Orders, "o1", r#""buyerInfo":{"contactId":"bad"}"#);
    world.run(&["sync", "all"]).expect_exit(3);
    world.sim.merge_contacts("bad", "good");
    world.run(&["errors", "retry"]).expect_exit(0);
    let buyer = "select c.wix_contact_id from orders o left join customers c on c.id = o.customer_id";
    assert_eq!(world.value::<Option<String>>(buyer).as_deref(), Some("good"));
    let merged = "select merged_into from customers where wix_contact_id = 'bad' and deleted_at is not null";
    assert_eq!(world.value::<String>(merged), "good");
    assert_eq!(waiting(&world), Vec::<Value>::new());
}

#[test]
fn records_without_an_id_stay_until_a_full_sync_omits_them() {
    let world = World::empty().migrated();
    put(&world, Entity::Contacts, "good", r#""revision":"1""#);
    world.sim.put_raw(Entity::Contacts, &format!(r#"{{{WHEN},"primaryInfo":{{"email":"a@b.example"}}}}"#));
    world.run(&["sync", "customers"]).expect_exit(3);
    world.run(&["errors", "retry"]).expect_exit(3).expect_stderr("no id");
    let record =
        world.sim.texts(Entity::Contacts).into_iter().find(|text| !text.contains("good")).expect("it is there");
    assert_eq!(world.value::<String>("select record from sync_errors"), record);
    let page = r#"{"contacts":[{"id":"good","createdDate":"2026-01-01T00:00:00.000Z"}],"pagingMetadata":{"count":1,"offset":0,"total":1}}"#;
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).body(page));
    world.run(&["sync", "customers", "--full"]).expect_exit(0);
    assert_eq!(
        world.value::<i64>("select count(*) from sync_errors where resolved_at is null or record is not null"),
        0
    );
}

#[test]
fn refused_lookup_is_reported_and_the_record_stays() {
    let world = with_bad_records();
    mend(&world);
    world.sim.fault(Fault::on(Endpoint::OrderGet).always().permission_missing());
    world.run(&["errors", "retry", "orders"]).expect_exit(3).expect_stderr("rejected records could not be retried: ");
    let kept: i64 = world.value("select count(*) from sync_errors where table_name = 'orders' and record is not null");
    assert_eq!(kept, 1);
    world.sim.clear_faults();
    world.run(&["errors", "retry"]).expect_exit(0);
    assert_all_landed(&world);
}

#[test]
fn log_keeps_ninety_days_and_the_last_success_of_each_kind() {
    let world = World::new(2, 0, 0).migrated();
    let old = |kind: &str, status: &str, days: u32| {
        world.execute(&format!(
            "insert into sync_logs (sync_type, status, started_at, completed_at)
             values ('{kind}', '{status}', now() - interval '{days} days', now() - interval '{days} days')"
        ));
    };
    for (kind, status, days) in [
        ("orders", "completed", 200),
        ("orders", "completed", 150),
        ("orders", "failed", 100),
        ("customers", "failed", 91),
        ("customers", "completed", 95),
        ("all", "completed", 89),
    ] {
        old(kind, status, days);
    }
    let kept = || -> Vec<Value> {
        world.rows_as_json(
            "select sync_type, status, extract(day from now() - started_at)::int as days from sync_logs
             where started_at < now() - interval '1 day' order by 3 desc",
        )
    };
    world.run(&["sync", "customers", "--keep-logs", "0"]).expect_exit(0);
    assert_eq!(kept().len(), 6);
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(
        kept(),
        [
            json!({"sync_type": "orders", "status": "completed", "days": 150}),
            json!({"sync_type": "all", "status": "completed", "days": 89})
        ]
    );
    world.run(&["sync", "customers", "--keep-logs", "10d"]).expect_exit(0);
    assert_eq!(kept().len(), 2, "both are the last success of their kind");
    world.run(&["sync", "customers", "--keep-logs", "-1"]).expect_exit(2);
}
