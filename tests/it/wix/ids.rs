//! Ids with other spellings, ids too long for an index, and emails in databases with other locales.

use postgres::{Client, NoTls};
use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;
use crate::upgrade::adoption::TABLES;

const GUID: &str = "0a1b2c3d-aaaa-4aaa-8aaa-0123456789ab";
const BOOKING: &str = "1a1b2c3d-aaaa-4aaa-8aaa-0123456789ab";
const ORDER: &str = "2a1b2c3d-aaaa-4aaa-8aaa-0123456789ab";
const OTHER: &str = "3a1b2c3d-aaaa-4aaa-8aaa-0123456789ab";

fn put(world: &World, entity: Entity, record: &Value) {
    let mut record = record.clone();
    record["createdDate"] = json!("2026-01-01T00:00:00.000Z");
    record["updatedDate"] = json!("2026-01-02T00:00:00.000Z");
    record["status"] = json!("APPROVED");
    let record = if entity == Entity::Bookings { json!({"booking": record}) } else { record };
    world.sim.put_raw(entity, &record.to_string());
}

/// A contact, and a booking and an order that name it in another form.
fn put_references(world: &World, reference: &str) {
    put(world, Entity::Contacts, &json!({"id": GUID, "info": {"company": "Acme"}}));
    put(world, Entity::Bookings, &json!({"id": BOOKING, "contactDetails": {"contactId": reference}}));
    put(world, Entity::Orders, &json!({"id": ORDER, "buyerInfo": {"contactId": reference}}));
}

/// The contact of each table: as its row and as the link names it.
fn contacts(world: &World) -> Vec<Value> {
    world.rows_as_json(
        "select c.wix_contact_id, a.wix_contact_id as of_booking, o.wix_contact_id as of_order
         from customers c
         left join appointments a on a.customer_id = c.id
         left join orders o on o.customer_id = c.id
         where c.deleted_at is null
         order by c.wix_contact_id",
    )
}

fn one_customer() -> Vec<Value> {
    vec![json!({"wix_contact_id": GUID, "of_booking": GUID, "of_order": GUID})]
}

#[test]
fn contact_id_in_another_spelling_is_the_same_customer() {
    for reference in [GUID.to_uppercase(), format!(" {GUID}\n"), format!("\t{} ", GUID.to_uppercase())] {
        let world = World::empty().migrated();
        put_references(&world, &reference);
        // Only the appointments: a placeholder is created from the booking.
        world.sync_json(&["appointments"], 0);
        world.sync_json(&["all"], 0);
        assert_eq!(contacts(&world), one_customer(), "{reference:?}");
        world.sync_json(&["all", "--full"], 0);
        world.run(&["verify"]).expect_exit(0);
        assert_eq!(contacts(&world), one_customer(), "{reference:?}");
    }
}

#[test]
fn ids_that_are_no_guid_stay_as_they_are() {
    let world = World::empty().migrated();
    for id in ["abc", "ABC", " abc"] {
        put(&world, Entity::Contacts, &json!({"id": id}));
    }
    world.sync_json(&["customers"], 0);
    let ids = world.rows_as_json("select wix_contact_id as id from customers order by wix_contact_id collate \"C\"");
    assert_eq!(ids, [json!({"id": " abc"}), json!({"id": "ABC"}), json!({"id": "abc"})]);
}

#[test]
fn adopted_rows_with_ids_in_another_case_are_kept() {
    let world = World::empty();
    put_references(&world, GUID);
    world.execute(TABLES);
    world.execute(&format!(
        "insert into customers (wix_contact_id, name, notes) values (' {}', 'x', 'a note');
         insert into appointments (wix_booking_id) values ('{}');
         insert into orders (wix_order_id) values ('{}')",
        GUID.to_uppercase(),
        BOOKING.to_uppercase(),
        ORDER.to_uppercase(),
    ));
    world.run(&["migrate"]).expect_exit(0);
    world.sync_json(&["all"], 0);
    assert_eq!(contacts(&world), one_customer());
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(world.value::<i64>(&format!("select count(*) from {table}")), 1, "{table}");
    }
    assert_eq!(world.value::<String>("select notes from customers"), "a note");
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn adopted_row_with_the_same_id_in_another_case_is_resolved() {
    let world = World::empty();
    put_references(&world, GUID);
    put(&world, Entity::Contacts, &json!({"id": OTHER}));
    world.execute(TABLES);
    world.execute(&format!(
        "insert into customers (wix_contact_id, name) values ('{GUID}', 'kept'), ('{}', 'second'), ('{}', 'third'), ('{}', 'fourth');
         insert into appointments (wix_booking_id, customer_id)
         select '{BOOKING}', id from customers where name = 'second'",
        GUID.to_uppercase(),
        OTHER.to_uppercase(),
        OTHER.replace('a', "A"),
    ));
    world.run(&["migrate"]).expect_exit(0);
    world.full_sync_json(&["all"], 0);
    let live = contacts(&world);
    assert_eq!(live.len(), 2, "{live:?}");
    assert_eq!(live[0], one_customer()[0]);
    assert_eq!(live[1]["wix_contact_id"], OTHER);
    assert_eq!(world.value::<i64>("select count(*) from customers"), 4, "no row is lost");
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn id_that_no_index_holds_costs_its_record_only() {
    let world = World::new(30, 20, 20).migrated();
    // Random, so that compression does not shrink it.
    let long: String = (0..1_000_000_u64).map(|n| char::from(b'a' + (n * n * 7919 / 13 % 26) as u8)).collect();
    put(&world, Entity::Contacts, &json!({"id": long}));
    put(&world, Entity::Bookings, &json!({"id": format!("b{long}")}));
    put(&world, Entity::Orders, &json!({"id": format!("o{long}")}));
    put(&world, Entity::Bookings, &json!({"id": "b1", "contactDetails": {"contactId": long, "email": long}}));
    put(&world, Entity::Orders, &json!({"id": "o1", "buyerInfo": {"contactId": long, "email": long}}));
    put(&world, Entity::Contacts, &json!({"id": "c1", "primaryInfo": {"email": long}}));
    for _ in 0..2 {
        let result = world.full_sync_json(&["all"], 3);
        assert_eq!((&result["status"], &result["error_count"]), (&json!("completed"), &json!(3)));
        assert_eq!(result["results"]["customers"]["unreadable_fields"], json!({"email": 1}));
        assert_eq!(
            result["results"]["appointments"]["unreadable_fields"],
            json!({"contact_email": 1, "wix_contact_id": 1})
        );
        assert_eq!(result["results"]["orders"]["unreadable_fields"], json!({"email": 1, "wix_contact_id": 1}));
        assert_eq!(world.value::<i64>("select count(*) from sync_errors where resolved_at is null"), 3);
    }
    assert!(world.run(&["errors"]).expect_exit(0).stdout.len() < 10_000);
    world.sim.delete(Entity::Contacts, &long);
    world.sim.delete(Entity::Bookings, &format!("b{long}"));
    world.sim.delete(Entity::Orders, &format!("o{long}"));
    world.full_sync_json(&["all"], 0);
}

#[test]
fn emails_are_compared_alike_in_every_locale() {
    let mut world = World::empty();
    for (contact, email) in [("c1", "INFO@SHOP.EXAMPLE "), ("c2", "it@i.example"), ("c3", "\u{c4}b@x.example")] {
        put(&world, Entity::Contacts, &json!({"id": contact, "primaryInfo": {"email": email}}));
    }
    for (order, email) in [("o1", " info@shop.example"), ("o2", "IT@I.example"), ("o3", "\u{e4}b@x.example")] {
        put(&world, Entity::Orders, &json!({"id": order, "buyerInfo": {"email": email}}));
    }
    world.execute("create database c template template0 lc_collate 'C' lc_ctype 'C'");
    world.execute(
        "create database tr template template0 locale_provider icu icu_locale 'tr' lc_collate 'C' lc_ctype 'C'",
    );
    for database in ["postgres", "c", "tr"] {
        let url = world.postgres.url(database);
        world.set("DATABASE_URL", &url);
        world.run(&["migrate"]).expect_exit(0);
        let mut client = Client::connect(&url, NoTls).expect("the database can be reached");
        // First the orders find their customers, then the customers find their orders.
        for tables in [["customers", "orders"], ["orders", "customers"]] {
            client.batch_execute("truncate customers, appointments, orders, sync_state").expect("they are emptied");
            for table in tables {
                world.run(&["sync", table]).expect_exit(0);
            }
            let links = client
                .query(
                    "select o.wix_order_id || coalesce('-' || c.wix_contact_id, '') from orders o
                     left join customers c on c.id = o.customer_id order by 1",
                    &[],
                )
                .expect("they are linked");
            let links: Vec<String> = links.iter().map(|row| row.get(0)).collect();
            assert_eq!(links, ["o1-c1", "o2-c2", "o3"], "{database}, {tables:?}");
        }
        world.run(&["verify"]).expect_exit(0);
    }
}

#[test]
fn migrate_replaces_only_its_own_email_indexes() {
    let world = World::empty();
    world.execute(TABLES);
    world.execute("create index of_mine on customers (lower(btrim(email)))");
    world.run(&["migrate"]).expect_exit(0);
    let indexes: Vec<Value> =
        world.rows_as_json("select indexname as name from pg_indexes where indexdef like '%lower%email%' order by 1");
    let names: Vec<&Value> = indexes.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["customers_email_folded_idx", "of_mine", "orders_email_folded_idx"]);
}
