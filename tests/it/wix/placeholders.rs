//! Placeholder customers, created from bookings: they do not count for the deletion limit, are looked up one by one,
//! and are created again if they were deleted manually.

use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;
use crate::upgrade::adoption::TABLES;
use crate::wix::deletions::{APPOINTMENTS, CUSTOMERS, ORDERS, delete, deleted, id, ids, lookups, record};

/// A booking of a contact, with the contact's name and email.
fn put_booking(world: &World, booking: &str, contact: &str) {
    let mut value: Value = serde_json::from_str(&record(APPOINTMENTS, booking, 0)).expect("a record");
    let email = format!("{contact}@shop.example");
    value["booking"]["contactDetails"] = json!({"contactId": contact, "firstName": "Ada", "email": email});
    world.sim.put_raw(Entity::Bookings, &value.to_string());
}

fn put_contact(world: &World, index: usize) {
    world.sim.put_raw(Entity::Contacts, &record(CUSTOMERS, &id(index), index));
}

fn gone(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|index| format!("gone{index:02}")).collect()
}

/// 200 contacts, and 30 bookings of contacts that Wix no longer has, all synced once.
fn site() -> World {
    let world = World::empty().migrated();
    (0..200).for_each(|index| put_contact(&world, index));
    gone(0..30).iter().for_each(|contact| put_booking(&world, &format!("booking-{contact}"), contact));
    world.sync_json(&["all"], 0);
    assert_eq!(world.value::<i64>("select count(*) from customers where raw is null"), 30);
    world.sim.clear_requests();
    world
}

fn notices(found: &Value, table: &str) -> String {
    let tables = found["tables"].as_array().expect("a list of tables");
    tables.iter().find(|one| one["table"] == table).map_or_else(String::new, |one| one["notices"].to_string())
}

#[test]
fn thirty_placeholders_beside_200_contacts_do_not_block_deletions() {
    let world = site();
    delete(&world, CUSTOMERS, [7]);
    world.run(&["sync", "all", "--full", "--dry-run"]).expect_exit(0);
    let found = world.run(&["verify", "customers", "--json"]).expect_exit(5).stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(
        (&found["tables"][0]["not_in_wix_ids"], notices(&found, "customers").as_str()),
        (&json!(["r007"]), "[]")
    );

    let result = world.full_sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["deleted"], 31);
    assert_eq!(deleted(&world, CUSTOMERS), [gone(0..30), ids([7])].concat());
    assert_eq!(lookups(&world, CUSTOMERS).len(), 1 + 31);

    delete(&world, CUSTOMERS, [8]);
    world.sim.clear_requests();
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!((&result["results"]["customers"]["deleted"], lookups(&world, CUSTOMERS).len()), (&json!(1), 2));
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn placeholders_are_looked_up_also_where_the_limit_blocks_deletions() {
    let world = site();
    delete(&world, CUSTOMERS, 100..140);
    // Two of the placeholders are not in the list, but found by id: one as itself, one merged.
    world.sim.on_request(CUSTOMERS.lookup, 1, |sim| {
        for contact in gone(0..2) {
            sim.put_raw(Entity::Contacts, &record(CUSTOMERS, &contact, 0));
        }
        sim.merge_contacts("gone01", "r001");
    });
    let foretold = world.run(&["sync", "all", "--full", "--dry-run", "--json"]).expect_exit(3).stdout;
    let foretold: Value = serde_json::from_str(&foretold).expect("JSON");
    assert!(notices(&foretold, "customers").contains("40 of 200"), "{foretold}");

    let result = world.full_sync_json(&["all"], 3);
    let customers = &result["results"]["customers"];
    assert!(customers["notices"].to_string().contains("40 of 200"), "{customers}");
    assert_eq!(customers["deleted"], 29);
    assert_eq!(deleted(&world, CUSTOMERS), gone(1..30), "no row that was a contact");
    let merged: String = world.value("select merged_into from customers where wix_contact_id = 'gone01'");
    assert_eq!(merged, "r001");
    assert_eq!(
        world.value::<i64>("select count(*) from customers where wix_contact_id = 'gone00' and raw is not null"),
        1
    );

    // The limit still blocks the others, and there are no further lookups.
    world.sim.clear_requests();
    let result = world.sync_json(&["all"], 3);
    assert!(result["results"]["customers"]["notices"].to_string().contains("40 of 201"), "{result}");
    assert_eq!(lookups(&world, CUSTOMERS), Vec::<String>::new());
    world.sync_json(&["all", "--allow-mass-delete"], 0);
    assert_eq!(deleted(&world, CUSTOMERS).len(), 29 + 40);
    world.sync_json(&["all"], 0);
}

#[test]
fn adopted_customers_that_bookings_name_count_in_the_limit() {
    let world = World::empty();
    world.execute(TABLES);
    world.execute(
        "insert into customers (wix_contact_id, name, email, created_at)
         select 'r' || lpad(n::text, 3, '0'), 'Unknown', 'u' || n || '@old.example', now() - interval '1 year' from generate_series(0, 99) n",
    );
    (0..60).for_each(|index| put_contact(&world, index));
    ids(60..100).iter().for_each(|contact| put_booking(&world, &format!("booking-{contact}"), contact));
    world.run(&["migrate"]).expect_exit(0);
    for _ in 0..2 {
        let result = world.full_sync_json(&["all"], 3);
        assert!(result["results"]["customers"]["notices"].to_string().contains("40 of 100"), "{result}");
        assert_eq!((deleted(&world, CUSTOMERS), lookups(&world, CUSTOMERS)), (vec![], vec![]));
        let found = world.run(&["verify", "customers", "--json"]).expect_exit(5).stdout;
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found["tables"][0]["not_in_wix"], 40);
        assert!(notices(&found, "customers").contains("40 of 100"), "{found}");
    }
    world.sync_json(&["all", "--allow-mass-delete"], 0);
    assert_eq!(deleted(&world, CUSTOMERS), ids(60..100));
}

#[test]
fn site_with_only_placeholders_is_no_error() {
    let world = World::empty().migrated();
    put_booking(&world, "booking", "gone00");
    for _ in 0..2 {
        world.full_sync_json(&["all"], 0);
        world.run(&["verify"]).expect_exit(0);
    }
    assert_eq!(deleted(&world, CUSTOMERS), Vec::<String>::new(), "an empty list proves nothing");
}

/// Bookings of `gone00` and `gone01`, an order that names `gone00` and one with its email: all linked to placeholders.
fn placeholders() -> World {
    let world = World::empty().migrated();
    put_contact(&world, 0);
    for (booking, contact) in [("b1", "gone00"), ("b2", "gone00"), ("b3", "gone01"), ("b4", "r000")] {
        put_booking(&world, booking, contact);
    }
    for (order, buyer) in [("o1", json!({"contactId": "gone00"})), ("o2", json!({"email": "gone00@shop.example"}))] {
        let mut value: Value = serde_json::from_str(&record(ORDERS, order, 0)).expect("a record");
        value["buyerInfo"] = buyer;
        world.sim.put_raw(Entity::Orders, &value.to_string());
    }
    world.sync_json(&["all"], 0);
    world
}

/// The customer of each appointment and order.
fn customers_of(world: &World) -> Vec<Value> {
    world.rows_as_json(
        "select wix_booking_id as id, c.wix_contact_id, c.name, c.first_name, c.email, c.deleted_at is null as live
         from appointments a left join customers c on c.id = a.customer_id
         union all select wix_order_id, c.wix_contact_id, c.name, c.first_name, c.email, c.deleted_at is null
         from orders o left join customers c on c.id = o.customer_id order by 1",
    )
}

#[test]
fn deleted_placeholders_are_created_again() {
    let world = placeholders();
    let before = customers_of(&world);
    assert!(before.iter().all(|row| !row["wix_contact_id"].is_null()), "{before:?}");
    let arguments: [&[&str]; 4] =
        [&["appointments"], &["all"], &["appointments", "--full"], &["appointments", "--start", "2030-01-01"]];
    for arguments in arguments {
        world.execute("delete from customers where wix_contact_id like 'gone%'");
        assert_ne!(customers_of(&world), before);
        let result = world.sync_json(arguments, 0);
        assert_eq!(customers_of(&world), before, "{arguments:?}");
        let notices = result["results"]["appointments"]["notices"].to_string();
        assert!(notices.contains("2 customer(s) that bookings refer to were missing"), "{notices}");
        assert_eq!(world.value::<i64>("select count(*) from sync_unlinked"), 0);
        world.run(&["verify"]).expect_exit(0);
    }
    // If none is missing, nothing is reported and nothing is written.
    let rows = || world.rows_as_json("select wix_booking_id, xmin::text from appointments order by 1");
    let versions = rows();
    assert_eq!(world.sync_json(&["all"], 0)["results"]["appointments"]["notices"], Value::Null);
    assert_eq!(rows(), versions);
    // They are ordinary placeholders: the next full sync of customers looks them up.
    world.full_sync_json(&["customers"], 0);
    assert_eq!(deleted(&world, CUSTOMERS), gone(0..2));
}

#[test]
fn verify_repairs_a_deleted_placeholder() {
    let world = placeholders();
    let before = customers_of(&world);
    world.execute("delete from customers where wix_contact_id = 'gone01'");
    let found = world.run(&["verify", "--json"]).expect_exit(5).stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["differences"], 1, "{found}");
    assert_eq!(
        found["tables"][1]["samples"][0],
        json!({"wix_id": "b3", "fields": [], "columns_changed_locally": ["customer_id"]})
    );
    world.run(&["verify", "--repair"]).expect_exit(0);
    assert_eq!(customers_of(&world), before);
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn missing_placeholders_are_created_and_manual_links_stay() {
    let world = placeholders();
    world.full_sync_json(&["all"], 0);
    assert_eq!(deleted(&world, CUSTOMERS), gone(0..2));
    world.execute(
        "with own as (insert into customers (name) values ('Walk-in') returning id)
            update appointments set customer_id = own.id from own where wix_booking_id = 'b3';
         delete from customers where wix_contact_id = 'gone01';
         update appointments set customer_id = null where wix_booking_id = 'b1';
         insert into appointments (wix_contact_id, status) values ('nobody', 'by hand')",
    );
    let before = customers_of(&world);
    let rows = world.value::<i64>("select count(*) from customers");
    world.sync_json(&["all"], 0);
    assert_eq!(customers_of(&world), before, "b1's customer is there, though deleted; b3 has one of a person's own");
    assert_eq!(world.value::<i64>("select count(*) from customers"), rows);
    // A contact id that was written manually names no contact of Wix.
    world.execute("update appointments set customer_id = null, wix_contact_id = 'x' where wix_booking_id = 'b4'");
    world.sync_json(&["all"], 0);
    assert_eq!(world.value::<i64>("select count(*) from customers"), rows);
    // Wix names a contact whose placeholder is gone: the manually linked row is no difference.
    world.execute("update appointments set customer_id = null, wix_contact_id = 'r000' where wix_booking_id = 'b4'");
    let found = world.run(&["verify", "appointments", "--json"]).expect_exit(5).stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let mut outdated: Vec<&str> =
        found["tables"][0]["different_ids"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    outdated.sort_unstable();
    assert_eq!(outdated, ["b1", "b4"]);
}

#[test]
fn refused_placeholder_stops_nothing_else() {
    let world = placeholders();
    world.execute(
        "delete from customers where wix_contact_id like 'gone%';
         create function refuse() returns trigger language plpgsql as $$ begin raise exception 'never'; end $$;
         create trigger refuse before insert on customers for each row execute function refuse()",
    );
    let result = world.sync_json(&["appointments"], 3);
    assert_eq!(result["results"]["appointments"]["status"], "completed");
    world.execute("drop trigger refuse on customers");
    world.sync_json(&["appointments"], 0);
    assert_eq!(world.value::<i64>("select count(*) from appointments where customer_id is null"), 0);
}

#[test]
fn search_for_lost_placeholders_reads_no_appointment() {
    let world = placeholders();
    for table in ["customers", "appointments"] {
        world.execute(&format!("alter table {table} set (autovacuum_enabled = off)"));
    }
    world.execute(
        "insert into appointments (wix_booking_id, wix_contact_id, customer_id, wix_created_at, raw)
         select 'x' || n, c.wix_contact_id, c.id, now() - n * interval '1 second', '{}'
         from generate_series(1, 10000) n, customers c where c.wix_contact_id = 'gone00';
         update sync_state set live_rows = live_rows + 10000 where table_name = 'appointments'",
    );
    let rows: i64 = world.value("select count(*) from appointments");
    let read = "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
            + (select sum(idx_tup_read)::bigint from pg_stat_user_indexes i where i.relname = 'appointments')
        from pg_stat_user_tables where relname = 'appointments'";
    // Rows are counted at the start and at the end of a run: without statistics by an index scan, whose entries count
    // too.
    for (statistics, counted) in [("", 4 * rows), ("analyze appointments; analyze customers", 2 * rows)] {
        world.execute(statistics);
        let before: i64 = world.value(read);
        world.sync_json(&["appointments"], 0);
        let count = world.value::<i64>(read) - before;
        assert!(count < counted + 100, "{count} rows and entries were read ({statistics})");
    }
    world.execute("delete from customers where wix_contact_id = 'gone01'");
    world.sync_json(&["appointments"], 0);
    assert_eq!(world.value::<i64>("select count(*) from appointments where customer_id is null"), 0);
}
