//! `migrate` and a first sync with AsyncSyncAgent's tables: ids and manual changes stay, invented values are replaced.
//! Tables that cannot be adopted: adoption_refused.rs.

use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;

const NAMELESS: &str = "11111111-aaaa-4aaa-8aaa-000000000001";
const BARE: &str = "22222222-aaaa-4aaa-8aaa-000000000001";

/// The tables as AsyncSyncAgent created them.
pub(crate) const TABLES: &str = include_str!("predecessor/tables.sql");
/// The tables with stricter, user-defined constraints.
pub(crate) const STRICTER_TABLES: &str = include_str!("predecessor/stricter_tables.sql");

/// A site that has some of the rows, and a database with AsyncSyncAgent's tables and rows.
pub(crate) fn inherited(tables: &str) -> World {
    let world = World::new(30, 20, 20);
    let dates = r#""createdDate": "2024-01-01T00:00:00.000Z", "updatedDate": "2024-01-01T00:00:00.000Z""#;
    world.sim.put_raw(Entity::Contacts, &format!(r#"{{"id": "{NAMELESS}", "revision": 1, {dates}, "info": {{}}}}"#));
    world.sim.put_raw(Entity::Orders, &format!(r#"{{"id": "{BARE}", "number": "1", {dates}, "status": "PENDING"}}"#));
    let rows = include_str!("predecessor/rows.sql")
        .replace("{contact}", text(&named_contact(&world)["id"]))
        .replace("{nameless}", NAMELESS)
        .replace("{booking}", text(&booking(&world)["id"]))
        .replace("{order}", text(&order(&world)["id"]))
        .replace("{bare}", BARE);
    world.execute(tables);
    world.execute(&rows);
    world
}

fn text(value: &Value) -> &str {
    value.as_str().expect("it is text")
}

fn named_contact(world: &World) -> Value {
    let mut contacts = world.sim.contacts().into_iter();
    contacts.find(|contact| contact["info"]["name"]["last"].is_string()).expect("someone has a name")
}

fn booking(world: &World) -> Value {
    let mut bookings = world.sim.bookings().into_iter().map(|booking| booking["booking"].clone());
    bookings.find(|booking| booking["contactDetails"]["contactId"].is_string()).expect("someone booked")
}

fn order(world: &World) -> Value {
    let mut orders = world.sim.orders().into_iter();
    orders
        .find(|order| order["priceSummary"]["total"]["amount"].is_string() && order["id"] != BARE)
        .expect("someone paid")
}

/// Rows that Wix does not have, without the new columns.
fn hand_made(world: &World) -> Vec<Vec<Value>> {
    [
        "select id, name, email, phone, notes, extract(epoch from created_at), extract(epoch from updated_at)
         from customers where wix_contact_id is null",
        "select id, customer_id, service_name, staff_member, extract(epoch from start_time), extract(epoch from end_time),
            status, notes from appointments where wix_booking_id is null",
        "select id, customer_id, extract(epoch from order_date), total_amount, status::text, items::text from orders
         where wix_order_id is null",
    ]
    .map(|sql| world.rows_as_json(sql))
    .into()
}

fn adopts(tables: &str) {
    let world = inherited(tables);
    let by_hand = hand_made(&world);
    let done = world.run(&["migrate"]).expect_exit(0);
    for part in ["public.customers with its 3 rows", "orders.status held the fulfillment status", "REJECTED", "PENDING"]
    {
        assert!(done.stdout.contains(part), "`{part}` is not in {done:#?}");
    }
    assert_eq!(hand_made(&world), by_hand);
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    assert_eq!(hand_made(&world), by_hand, "what people made is theirs");
    replaced_customers(&world);
    replaced_appointments(&world);
    replaced_orders(&world);
    let live = world.value::<i64>("select count(*) from customers where raw is not null");
    assert_eq!(usize::try_from(live), Ok(world.sim.contacts().len()));
    let again = world.full_sync_json(&["all"], 0);
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(again["results"][table]["inserted"], 0, "{table}");
        assert_eq!(again["results"][table]["updated"], 0, "{table}");
    }
}

fn replaced_customers(world: &World) {
    let contact = named_contact(world);
    let rows = world.rows_as_json(
        "select id, wix_contact_id, name, last_name, notes, phone, email from customers
         where id in ('c0000000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000002') order by id",
    );
    assert_eq!(rows[0]["wix_contact_id"], contact["id"]);
    assert_eq!(rows[0]["last_name"], contact["info"]["name"]["last"]);
    assert!(text(&rows[0]["name"]).ends_with(text(&contact["info"]["name"]["last"])));
    assert_eq!(rows[0]["notes"], "calls on Mondays");
    assert_ne!(rows[0]["email"], "old@example.com");
    assert_eq!((&rows[1]["wix_contact_id"], &rows[1]["name"]), (&json!(NAMELESS), &Value::Null));
    assert_eq!((&rows[1]["email"], &rows[1]["phone"]), (&Value::Null, &Value::Null));
    assert_eq!(world.value::<i64>("select count(*) from customers where name = 'Unknown'"), 0);
}

fn replaced_appointments(world: &World) {
    let booking = booking(world);
    let rows = world.rows_as_json(
        "select a.wix_booking_id, a.service_name, a.staff_member, a.status, a.notes, c.wix_contact_id,
            to_char(a.start_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI') as start
         from appointments a left join customers c on c.id = a.customer_id
         where a.id = 'a0000000-0000-4000-8000-000000000001'",
    );
    assert_eq!(rows[0]["wix_booking_id"], booking["id"]);
    assert_eq!(rows[0]["notes"], "window seat");
    assert_eq!(rows[0]["service_name"], booking["bookedEntity"]["title"]);
    assert_eq!(rows[0]["status"], booking["status"]);
    assert_eq!(rows[0]["wix_contact_id"], booking["contactDetails"]["contactId"], "it is linked");
    assert_ne!(rows[0]["staff_member"], "Unknown");
    assert_ne!(rows[0]["start"], "2024-01-02T03:04");
}

fn replaced_orders(world: &World) {
    let order = order(world);
    let rows = world.rows_as_json(
        "select wix_order_id, total_amount::text, status, items, order_date from orders
         where id in ('d0000000-0000-4000-8000-000000000001', 'd0000000-0000-4000-8000-000000000002') order by id",
    );
    assert_eq!(rows[0]["wix_order_id"], order["id"]);
    assert_eq!(rows[0]["total_amount"], order["priceSummary"]["total"]["amount"], "to the last digit");
    assert_eq!((&rows[0]["status"], &rows[0]["items"]), (&order["status"], &order["lineItems"]));
    // Wix returns neither total nor items for this order.
    assert_eq!((&rows[1]["wix_order_id"], &rows[1]["total_amount"]), (&json!(BARE), &Value::Null));
    assert_eq!((&rows[1]["status"], &rows[1]["items"]), (&json!("PENDING"), &Value::Null));
    let linked = "select count(*) from orders o join customers c on c.id = o.customer_id where o.raw is not null";
    assert!(world.value::<i64>(linked) > 0);
}

#[test]
fn adopted_rows_are_updated_from_wix() {
    adopts(TABLES);
}

#[test]
fn stricter_tables_of_the_same_names_are_adopted() {
    adopts(STRICTER_TABLES);
}

#[test]
fn amounts_that_did_not_fit_are_exact_after_adoption() {
    let world = inherited(TABLES);
    let amount = "98765432109876.54321";
    let id = text(&order(&world)["id"]).to_owned();
    world.sim.edit(Entity::Orders, &id, |order| order["priceSummary"]["total"]["amount"] = json!(amount));
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "orders", "--full"]).expect_exit(0);
    let sql = "select total_amount::text from orders where id = 'd0000000-0000-4000-8000-000000000001'";
    assert_eq!(world.value::<String>(sql), amount);
}

#[test]
fn adopted_table_looks_like_a_new_one() {
    const COLUMNS: &str = "select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
         from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
         order by 1";
    let columns = |world: &World| -> Vec<String> { world.query(COLUMNS).iter().map(|row| row.get(0)).collect() };
    let fresh = columns(&World::empty().migrated());
    for tables in [TABLES, STRICTER_TABLES] {
        let world = inherited(tables).migrated();
        assert_eq!(columns(&world), fresh);
        // A value that Wix did not send is NULL: no constraint may refuse it.
        let in_the_way = world.value::<Option<String>>(
            "select string_agg(attrelid::regclass || '.' || attname, ', ') from pg_attribute
             where attrelid in ('customers'::regclass, 'appointments'::regclass, 'orders'::regclass)
                and attnum > 0 and attnotnull and attname not in ('id', 'created_at', 'updated_at')",
        );
        assert_eq!(in_the_way, None);
    }
}

#[test]
fn times_without_a_zone_are_utc() {
    let world = inherited(STRICTER_TABLES);
    world.execute("alter database postgres set timezone = 'Asia/Tokyo'");
    world.run(&["migrate"]).expect_exit(0);
    let started = world.value::<chrono::DateTime<chrono::Utc>>("select min(started_at) from sync_logs");
    assert_eq!(started.to_rfc3339(), "2024-05-01T10:00:00+00:00");
    let by_hand = "select start_time from appointments where wix_booking_id is null";
    assert_eq!(world.value::<chrono::DateTime<chrono::Utc>>(by_hand).to_rfc3339(), "2024-02-02T03:04:05+00:00");
}

#[test]
fn runs_of_the_adopted_log_are_kept_and_shown() {
    for tables in [TABLES, STRICTER_TABLES] {
        let world = inherited(tables).migrated();
        let status = world.run(&["status"]).expect_exit(0);
        let runs: Vec<&str> = status.stdout.lines().filter(|line| line.starts_with("5000000")).collect();
        let said = runs.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        assert_eq!(
            said,
            [
                "50000000 all failed 2024-05-03 10:00 1 min 0 3",
                "50000000 orders running 2024-05-02 10:00 0 0",
                "50000000 customers completed (3) 2024-05-01 10:00 9.0 s 42 1",
            ]
        );
        assert!(status.stdout.contains("\n  reason: it broke\n"), "{}", status.stdout);
        let run = "50000000-0000-4000-8000-000000000003";
        let detail = world.run(&["status", run]).expect_exit(0);
        assert!(detail.stdout.contains("it broke"), "{detail:#?}");
        world.run(&["sync", "all", "--full", "--keep-logs", "0"]).expect_exit(0);
        assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 4);
        world.run(&["sync", "all", "--full"]).expect_exit(0);
        let old =
            world.rows_as_json("select status, sync_type from sync_logs where started_at < '2025-01-01' order by 1");
        let kept = [
            json!({"status": "completed", "sync_type": "customers"}),
            json!({"status": "failed", "sync_type": "orders"}),
        ];
        assert_eq!(old, kept, "the last success, and the one whose end was recorded just now");
    }
}

#[test]
fn owner_without_superuser_adopts_in_another_schema() {
    let mut world = World::new(5, 5, 5);
    world.execute("create role plain login; create schema shop authorization plain");
    world.execute(&format!("set role plain; set search_path = shop; {TABLES}"));
    world.execute("insert into shop.customers (name, notes) values ('By hand', 'mine')");
    let url = world.postgres.url_as("plain", "postgres");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
    world.run(&["sync", "all", "--schema", "shop"]).expect_exit(0);
    assert_eq!(world.value::<String>("select notes from shop.customers where wix_contact_id is null"), "mine");
    assert_eq!(world.value::<i64>("select count(*) from shop.customers where raw is not null"), 5);
}

#[test]
fn existing_tables_are_adopted_and_the_others_created() {
    let world = World::new(10, 10, 10);
    world.execute("create table customers (id uuid primary key, wix_contact_id text unique, name text not null)");
    let first = text(&world.sim.contacts()[0]["id"]).to_owned();
    let id = "c0000000-0000-4000-8000-000000000009";
    world.execute(&format!("insert into customers values ('{id}', '{first}', 'Unknown')"));
    let done = world.run(&["migrate"]).expect_exit(0);
    assert!(done.stdout.contains("public.customers with its 1 row") && !done.stdout.contains("orders."), "{done:#?}");
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    assert_eq!(world.value::<String>(&format!("select wix_contact_id from customers where id = '{id}'")), first);
    assert_eq!(world.value::<i64>("select count(*) from appointments where raw is not null"), 10);
    // The id has no default here: whoever inserts sets it.
    assert_eq!(world.value::<i64>("select count(*) from customers where raw is not null"), 10);
}

#[test]
fn partly_unique_wix_ids_are_made_unique() {
    for index in [
        "create unique index on customers (wix_contact_id) where wix_contact_id is not null",
        "create index on customers (wix_contact_id)",
        "create unique index on customers (wix_contact_id, name)",
    ] {
        let world = inherited(TABLES);
        world.execute("alter table customers drop constraint customers_wix_contact_id_key");
        world.execute(index);
        world.run(&["migrate"]).expect_exit(0);
        let finished = world.run(&["sync", "customers", "--full"]);
        assert_eq!(finished.code, Some(0), "{index}: {finished:#?}");
    }
}

#[test]
fn deferred_unique_wix_ids_are_made_immediately_unique() {
    let world = inherited(TABLES);
    world.execute("alter table customers drop constraint customers_wix_contact_id_key");
    world.execute("alter table customers add unique (wix_contact_id) deferrable initially deferred");
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "customers", "--full"]).expect_exit(0);
}

#[test]
fn required_user_column_is_named_and_loses_no_record() {
    let world = inherited(TABLES).migrated();
    world.execute("alter table customers add column branch text not null default 'main'");
    world.execute("alter table customers alter column branch drop default");
    let result = world.full_sync_json(&["customers"], 3);
    let records = i64::try_from(world.sim.contacts().len()).expect("it is a small number");
    // Postgres checks NOT NULL before it detects the conflict: existing rows fail as well.
    assert_eq!(result["results"]["customers"]["errors"], records);
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where reason like '%branch%'"), records);
    world.execute("alter table customers alter column branch set default 'main'");
    world.run(&["sync", "customers", "--full"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from customers where raw is not null"), records);
}

/// Adopted orders `r000` to `r099`. Wix has these, each with this field.
fn adopted_orders(there: std::ops::Range<usize>, member: &str) -> World {
    let world = World::empty();
    world.execute(TABLES);
    world
        .execute("insert into orders (wix_order_id) select 'r' || lpad(n::text, 3, '0') from generate_series(0, 99) n");
    for index in there {
        let dates = r#""createdDate": "2024-01-01T00:00:00.000Z", "updatedDate": "2024-01-01T00:00:00.000Z""#;
        let order = format!(r#"{{"id": "r{index:03}", "status": "APPROVED", {dates}, {member}}}"#);
        world.sim.put_raw(Entity::Orders, &order);
    }
    world.run(&["migrate"]).expect_exit(0);
    world
}

#[test]
fn adopted_rows_without_a_record_are_reported() {
    let world = adopted_orders(0..60, r#""number": "1""#);
    let held_back = "40 of 100 rows are pending deletion";
    for (arguments, exit) in [(&["sync", "orders", "--dry-run"][..], 3), (&["verify", "orders"], 5)] {
        let shown = world.run(arguments).expect_exit(exit);
        assert!(shown.stdout.contains(held_back), "{shown:#?}");
    }
    world.run(&["sync", "orders"]).expect_exit(3).expect_stderr(held_back);
    let shown = world.run(&["verify", "orders"]).expect_exit(5);
    assert!(shown.stdout.contains("40 differences found") && shown.stdout.contains(held_back), "{shown:#?}");
    world.run(&["verify", "orders", "--repair", "--allow-mass-delete"]).expect_exit(0);
    world.run(&["verify", "orders"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from orders where deleted_at is null"), 60);
}

#[test]
fn adopted_rows_of_a_large_site_are_in_wix_for_verify() {
    let world = World::empty();
    world.execute(TABLES);
    world.execute(
        "insert into orders (wix_order_id) select 'r' || lpad(n::text, 3, '0') from generate_series(0, 349) n",
    );
    for index in 0..350 {
        let (minute, second) = (index / 60, index % 60);
        let dates = format!(
            r#""createdDate": "2024-01-01T00:{minute:02}:{second:02}.000Z", "updatedDate": "2024-02-01T00:00:00.000Z""#
        );
        // Some are not completely readable.
        let member = if index % 10 == 0 { r#""lineItems": 7"# } else { r#""number": "1""# };
        let order = format!(r#"{{"id": "r{index:03}", "status": "APPROVED", {dates}, {member}}}"#);
        world.sim.put_raw(Entity::Orders, &order);
    }
    world.run(&["migrate"]).expect_exit(0);
    for exit in [5, 0] {
        let found = world.run(&["verify", "orders", "--json"]).expect_exit(exit).stdout;
        let found: Value = serde_json::from_str(&found).expect("it is JSON");
        let orders = &found["tables"][0];
        assert_eq!(
            (&orders["not_in_wix"], &orders["unreadable_fields"], &orders["notices"]),
            (&json!(0), &json!({"items": 35}), &json!([]))
        );
        world.full_sync_json(&["orders"], 0);
    }
}

#[test]
fn adopted_rows_with_rejected_records_are_in_wix() {
    let world = adopted_orders(0..100, r#""n": 1e-400000"#);
    world.execute("update orders set wix_order_id = 'gone' where wix_order_id = 'r000'");
    // Several batches: at the end the first one is no longer in memory.
    world.sim.put_raw(
        Entity::Orders,
        r#"{"id": "good", "status": "APPROVED", "createdDate": "2025-01-01T00:00:00.000Z", "updatedDate": "2025-01-01T00:00:00.000Z"}"#,
    );
    let result = world.full_sync_json(&["orders", "--batch-size", "10"], 3);
    assert_eq!(
        (&result["results"]["orders"]["errors"], &result["results"]["orders"]["deleted"]),
        (&json!(100), &json!(1))
    );
    assert_eq!(world.value::<i64>("select count(*) from orders where deleted_at is not null"), 1);
    assert_eq!(world.value::<i64>("select count(*) from sync_missing"), 0);
}
