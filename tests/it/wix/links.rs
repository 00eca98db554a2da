//! Links between the tables: placeholders that bookings create, orders linked by contact or by email, user-defined
//! rows.

use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity};

use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

fn contact(id: &str, email: &str) -> String {
    json!({
        "id": id, "revision": 1, "createdDate": "2026-01-01T00:00:00.000Z", "updatedDate": "2026-01-02T00:00:00.000Z",
        "primaryInfo": {"email": email}, "info": {"name": {"first": id}},
    })
    .to_string()
}

fn booking(id: &str, details: &Value) -> String {
    json!({"booking": {
        "id": id, "revision": "1", "createdDate": "2026-02-01T00:00:00.000Z", "updatedDate": "2026-02-02T00:00:00.000Z",
        "status": "CONFIRMED", "contactDetails": details,
    }})
    .to_string()
}

fn order(id: &str, buyer: &Value) -> String {
    json!({
        "id": id, "number": "1", "createdDate": "2026-03-01T00:00:00.000Z", "updatedDate": "2026-03-02T00:00:00.000Z",
        "status": "APPROVED", "buyerInfo": buyer, "lineItems": [],
    })
    .to_string()
}

/// The customer to whom the order is linked: the Wix id, or `own NAME`.
fn buyer_of(world: &World, order: &str) -> Option<String> {
    world.value(&format!(
        "select coalesce(c.wix_contact_id, 'own ' || c.name)
         from orders o left join customers c on c.id = o.customer_id where o.wix_order_id = '{order}'"
    ))
}

#[track_caller]
fn assert_buyer(world: &World, order: &str, expected: Option<&str>) {
    assert_eq!(buyer_of(world, order).as_deref(), expected, "the customer of {order}");
}

/// The customer of an appointment, by Wix's id.
fn customer_of(world: &World, booking: &str) -> Option<String> {
    world.value(&format!(
        "select c.wix_contact_id from appointments a left join customers c on c.id = a.customer_id
         where a.wix_booking_id = '{booking}'"
    ))
}

#[test]
fn appointments_are_linked_again_to_a_restored_customer() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Contacts, &contact("c1", "a@b.example"));
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"contactId": "c1"})));
    world.sim.put_raw(Entity::Orders, &order("o1", &json!({"contactId": "c1"})));
    world.full_sync_json(&["all"], 0);
    world.execute("insert into appointments (wix_contact_id, status) values ('c1', 'by hand'); delete from customers");
    assert_eq!(customer_of(&world, "b1"), None);
    world.full_sync_json(&["customers"], 0);
    assert_eq!(customer_of(&world, "b1").as_deref(), Some("c1"));
    assert_buyer(&world, "o1", Some("c1"));
    assert_eq!(
        world.value::<Option<uuid::Uuid>>("select customer_id from appointments where wix_booking_id is null"),
        None
    );
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn appointments_move_once_the_survivor_is_written() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Contacts, &contact("a", "a@b.example"));
    world.sim.put_raw(Entity::Contacts, &contact("x", "x@b.example"));
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"contactId": "a"})));
    world.full_sync_json(&["all"], 0);
    world.sim.put_raw(Entity::Contacts, &contact("s", "s@b.example"));
    world.execute("alter table customers add constraint refused check (wix_contact_id <> 's')");
    world.sim.merge_contacts("a", "s");
    world.full_sync_json(&["all"], 3);
    assert_eq!(customer_of(&world, "b1").as_deref(), Some("a"), "as long as there is nobody else");
    world.execute("alter table customers drop constraint refused");
    world.sim.edit(Entity::Contacts, "s", |_| {});
    world.sync_json(&["all"], 0);
    assert_eq!(customer_of(&world, "b1").as_deref(), Some("s"));
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn restored_merged_contact_gets_its_appointments_back() {
    let world = World::empty().migrated();
    for id in ["a", "s"] {
        world.sim.put_raw(Entity::Contacts, &contact(id, &format!("{id}@b.example")));
    }
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"contactId": "a"})));
    world.full_sync_json(&["all"], 0);
    world.sim.merge_contacts("a", "s");
    world.full_sync_json(&["all"], 0);
    assert_eq!(customer_of(&world, "b1").as_deref(), Some("s"));
    world.sim.put_raw(Entity::Contacts, &contact("a", "a@b.example"));
    world.full_sync_json(&["all"], 0);
    assert_eq!(customer_of(&world, "b1").as_deref(), Some("a"));
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn details_cleared_in_a_booking_leave_its_deleted_customer() {
    let world = World::empty().migrated();
    let details = json!({"contactId": "gone", "firstName": "Ada", "email": "a@b.example"});
    world.sim.put_raw(Entity::Contacts, &contact("other", "o@b.example"));
    world.sim.put_raw(Entity::Bookings, &booking("b1", &details));
    world.full_sync_json(&["all"], 0);
    world.full_sync_json(&["all"], 0);
    let stub = "select deleted_at is not null as deleted, email from customers where wix_contact_id = 'gone'";
    assert_eq!(
        world.rows_as_json(stub),
        [json!({"deleted": true, "email": "a@b.example"})],
        "as long as the booking tells"
    );
    world.sim.edit(Entity::Bookings, "b1", |item| {
        item["booking"]["contactDetails"] = json!({"contactId": "gone", "email": null});
    });
    world.sync_json(&["all"], 0);
    assert_eq!(world.rows_as_json(stub), [json!({"deleted": true, "email": null})]);
    // One write is enough.
    let version = || world.value::<String>("select xmin::text from customers where wix_contact_id = 'gone'");
    let before = version();
    world.sim.edit(Entity::Bookings, "b1", |item| item["booking"]["status"] = json!("CANCELED"));
    world.sync_json(&["all"], 0);
    assert_eq!(version(), before);
}

#[test]
fn deleted_customer_keeps_only_details_of_bookings() {
    let details = |email: &str| json!({"contactId": "gone", "firstName": "Ada", "email": email});
    let email = "select email from customers where wix_contact_id = 'gone' and deleted_at is not null";
    let clear = |world: &World, id: &str| {
        world.sim.edit(Entity::Bookings, id, |item| item["booking"]["contactDetails"] = json!({"contactId": "gone"}));
    };
    // Cleared before it is known that the contact was deleted.
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Contacts, &contact("other", "o@b.example"));
    world.sim.put_raw(Entity::Bookings, &booking("b1", &details("a@b.example")));
    world.full_sync_json(&["all"], 0);
    clear(&world, "b1");
    world.sync_json(&["all"], 0);
    world.full_sync_json(&["all"], 0);
    assert_eq!(world.value::<Option<String>>(email), None);

    // Two bookings describe the customer; one is cleared, the other is deleted or names another contact.
    for ends in [true, false] {
        let world = World::empty().migrated();
        world.sim.put_raw(Entity::Contacts, &contact("other", "o@b.example"));
        for id in ["b1", "b2", "b3"] {
            let details = if id == "b3" { json!({"contactId": "other"}) } else { details("a@b.example") };
            world.sim.put_raw(Entity::Bookings, &booking(id, &details));
        }
        world.full_sync_json(&["all"], 0);
        world.full_sync_json(&["all"], 0);
        clear(&world, "b1");
        world.sync_json(&["all"], 0);
        assert_eq!(world.value::<Option<String>>(email).as_deref(), Some("a@b.example"));
        match ends {
            true => world.sim.delete(Entity::Bookings, "b2"),
            false => world.sim.edit(Entity::Bookings, "b2", |item| {
                item["booking"]["contactDetails"]["contactId"] = json!("other");
            }),
        }
        world.full_sync_json(&["all"], 0);
        if ends {
            world.age_absences();
            world.sync_json(&["all"], 0);
        }
        assert_eq!(world.value::<Option<String>>(email), None, "ends: {ends}");
    }
}

#[test]
fn user_defined_rows_are_not_changed_by_links_and_merges() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Contacts, &contact("a", "a@b.example"));
    world.full_sync_json(&["all"], 0);
    world.execute(
        "insert into orders (email, wix_contact_id, items) values ('a@b.example', 'a', '[]'), ('n@b.example', 'n', '[]');
         insert into appointments (customer_id, status) select id, 'by hand' from customers",
    );
    let own = "select to_jsonb(o) from orders o union all select to_jsonb(a) from appointments a order by 1";
    let before = world.rows_as_json(own);
    world.sim.put_raw(Entity::Contacts, &contact("n", "n@b.example"));
    world.sim.edit(Entity::Contacts, "a", |contact| contact["info"]["company"] = json!("X"));
    world.sim.merge_contacts("a", "n");
    world.full_sync_json(&["all"], 0);
    assert_eq!(world.value::<String>("select merged_into from customers where wix_contact_id = 'a'"), "n");
    assert_eq!(world.rows_as_json(own), before);
}

#[test]
fn unknown_contact_of_a_booking_becomes_a_placeholder() {
    let world = World::empty().migrated();
    let details =
        json!({"contactId": "c1", "firstName": " Ada ", "lastName": "L.", "email": "a@b.example", "phone": "1"});
    world.sim.put_raw(Entity::Bookings, &booking("b1", &details));
    world.full_sync_json(&["all"], 0);
    let stub = "select id, wix_contact_id, name, email, phone, raw, wix_updated_at, notes from customers";
    let before = world.rows_as_json(stub);
    assert_eq!(before.len(), 1);
    let expected = json!({"id": before[0]["id"], "wix_contact_id": "c1", "name": "Ada L.", "email": "a@b.example",
        "phone": "1", "raw": null, "wix_updated_at": null, "notes": null});
    assert_eq!(before[0], expected);
    let linked = "select count(*) from appointments a join customers c on c.id = a.customer_id";
    assert_eq!(world.value::<i64>(linked), 1);

    world.execute("update customers set notes = 'likes tea'");
    world.sim.put_raw(Entity::Contacts, &contact("c1", "new@b.example"));
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(
        (&result["results"]["customers"]["updated"], &result["results"]["customers"]["inserted"]),
        (&json!(1), &json!(0))
    );
    let filled = world.rows_as_json(stub);
    assert_eq!(filled[0]["id"], before[0]["id"], "the row stays, and with it the link");
    assert_eq!((&filled[0]["name"], &filled[0]["email"]), (&json!("c1"), &json!("new@b.example")));
    assert_eq!((&filled[0]["phone"], &filled[0]["notes"]), (&Value::Null, &json!("likes tea")));
    assert!(filled[0]["raw"].is_object());
    assert_eq!(world.value::<i64>(linked), 1);
}

#[test]
fn placeholder_never_overwrites_a_contact() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Contacts, &contact("c1", "true@b.example"));
    world.sim.put_raw(
        Entity::Bookings,
        &booking("b1", &json!({"contactId": "c1", "firstName": "Other", "email": "x@y.example"})),
    );
    world.full_sync_json(&["all"], 0);
    let found = world.rows_as_json("select wix_contact_id, name, email from customers");
    assert_eq!(found, [json!({"wix_contact_id": "c1", "name": "c1", "email": "true@b.example"})]);
}

#[test]
fn booking_without_a_contact_id_makes_no_customer() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"firstName": "Ada", "email": "a@b.example"})));
    world.sim.put_raw(Entity::Bookings, &booking("b2", &json!({"contactId": "", "firstName": "Ada"})));
    world.sim.put_raw(Entity::Bookings, &booking("b3", &json!(null)));
    world.full_sync_json(&["all"], 0);
    assert_eq!(world.value::<i64>("select count(*) from customers"), 0);
    assert_eq!(world.value::<i64>("select count(*) from appointments where customer_id is null"), 3);
}

#[test]
fn orders_are_linked_by_contact_id_then_by_unique_email() {
    let world = World::empty().migrated();
    for (id, email) in [
        ("c1", "One@Shop.example"),
        ("c2", " two@shop.example "),
        ("c3", "same@shop.example"),
        ("c4", "SAME@shop.example"),
    ] {
        world.sim.put_raw(Entity::Contacts, &contact(id, email));
    }
    let orders = [
        ("by-contact", json!({"contactId": "c2", "email": "one@shop.example"}), Some("c2")),
        ("by-email", json!({"email": "  oNE@shop.EXAMPLE "}), Some("c1")),
        ("by-email-with-spaces-at-the-contact", json!({"email": "TWO@shop.example"}), Some("c2")),
        ("contact-unknown", json!({"contactId": "nobody", "email": "one@shop.example"}), Some("c1")),
        ("contact-empty", json!({"contactId": "", "email": "one@shop.example"}), Some("c1")),
        ("ambiguous", json!({"email": "same@shop.example"}), None),
        ("ambiguous-but-named", json!({"contactId": "c4", "email": "same@shop.example"}), Some("c4")),
        ("unknown", json!({"email": "else@shop.example"}), None),
        ("empty", json!({"email": " "}), None),
        ("nothing", json!({}), None),
    ];
    for (id, buyer, _) in &orders {
        world.sim.put_raw(Entity::Orders, &order(id, buyer));
    }
    world.full_sync_json(&["all"], 0);
    for (id, _, expected) in &orders {
        assert_buyer(&world, id, *expected);
    }
    assert_eq!(world.value::<i64>("select count(*) from customers"), 4, "an order makes no customer");
}

#[test]
fn link_is_set_and_corrected_when_customers_change() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Orders, &order("named", &json!({"contactId": "c1"})));
    world.sim.put_raw(Entity::Orders, &order("by-email", &json!({"email": "Ada@Shop.example"})));
    world.full_sync_json(&["orders"], 0);
    assert_buyer(&world, "named", None);
    assert_buyer(&world, "by-email", None);

    world.sim.put_raw(Entity::Contacts, &contact("c1", "ada@shop.example"));
    world.full_sync_json(&["customers"], 0);
    assert_buyer(&world, "named", Some("c1"));
    assert_buyer(&world, "by-email", Some("c1"));

    // Now two customers have the email, so it is ambiguous.
    world.sim.put_raw(Entity::Contacts, &contact("c2", "ADA@shop.example"));
    world.full_sync_json(&["customers"], 0);
    assert_buyer(&world, "named", Some("c1"));
    assert_buyer(&world, "by-email", None);

    // The first one changes its email: the order belongs to the second.
    world.sim.edit(Entity::Contacts, "c1", |contact| contact["primaryInfo"]["email"] = json!("else@shop.example"));
    world.full_sync_json(&["customers"], 0);
    assert_buyer(&world, "by-email", Some("c2"));

    // A placeholder counts as a customer, so the email is ambiguous again.
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"contactId": "c9", "email": "ada@shop.example"})));
    world.full_sync_json(&["appointments"], 0);
    assert_buyer(&world, "by-email", None);
    assert_buyer(&world, "named", Some("c1"));

    // The order itself changes its customer.
    world.sim.edit(Entity::Orders, "named", |order| order["buyerInfo"]["contactId"] = json!("c2"));
    world.full_sync_json(&["orders"], 0);
    assert_buyer(&world, "named", Some("c2"));
}

#[test]
fn user_defined_customers_are_linked_but_never_changed() {
    let world = World::empty().migrated();
    world.execute(
        "insert into customers (name, email, phone, notes, created_at, updated_at)
         values ('Walk-in', 'Own@Shop.example', '7', 'by hand', '2020-01-01', '2020-01-01')",
    );
    let own = "select *, xmin::text from customers where wix_contact_id is null";
    let before = world.rows_as_json(own);
    world.sim.put_raw(Entity::Contacts, &contact("c1", "c1@shop.example"));
    world.sim.put_raw(Entity::Orders, &order("theirs", &json!({"email": "own@shop.example "})));
    world.sim.put_raw(Entity::Orders, &order("other", &json!({"contactId": "c1"})));
    world.full_sync_json(&["all"], 0);
    assert_buyer(&world, "theirs", Some("own Walk-in"));
    assert_buyer(&world, "other", Some("c1"));
    world.sim.edit(Entity::Orders, "theirs", |order| order["status"] = json!("CANCELED"));
    world.full_sync_json(&["all"], 0);
    assert_buyer(&world, "theirs", Some("own Walk-in"));
    assert_eq!(world.rows_as_json(own), before);
}

#[test]
fn manual_links_stay_where_wix_names_nobody() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"firstName": "Ada"})));
    world.sim.put_raw(Entity::Orders, &order("o1", &json!({})));
    world.full_sync_json(&["all"], 0);
    world.execute(
        "with own as (insert into customers (name) values ('Walk-in') returning id),
              one as (update appointments set customer_id = own.id from own)
         update orders set customer_id = own.id from own",
    );
    world.sim.edit(Entity::Bookings, "b1", |item| item["booking"]["status"] = json!("CANCELED"));
    world.sim.edit(Entity::Orders, "o1", |order| order["status"] = json!("CANCELED"));
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!(
        (&result["results"]["appointments"]["updated"], &result["results"]["orders"]["updated"]),
        (&json!(1), &json!(1))
    );
    assert_buyer(&world, "o1", Some("own Walk-in"));
    let name: String = world.value("select c.name from appointments a join customers c on c.id = a.customer_id");
    assert_eq!(name, "Walk-in");
}

#[test]
fn notes_are_never_written() {
    let world = World::new(30, 30, 0).migrated();
    world.full_sync_json(&["all"], 0);
    let count = |table: &str| -> i64 { world.value(&format!("select count(*) from {table} where notes is not null")) };
    assert_eq!((count("customers"), count("appointments")), (0, 0), "Wix's own notes are in raw");
    world.execute(
        "update customers set notes = 'n ' || wix_contact_id; update appointments set notes = 'n ' || wix_booking_id",
    );
    for record in world.sim.contacts() {
        let id = record["id"].as_str().expect("an id");
        world.sim.edit(Entity::Contacts, id, |contact| contact["info"]["company"] = json!("New Co."));
    }
    for record in world.sim.bookings() {
        let id = record["booking"]["id"].as_str().expect("an id");
        world.sim.edit(Entity::Bookings, id, |item| item["booking"]["status"] = json!("CANCELED"));
    }
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["updated"], 30);
    assert_eq!(
        world.value::<i64>("select count(*) from customers where notes is distinct from 'n ' || wix_contact_id"),
        0
    );
    assert_eq!(
        world.value::<i64>("select count(*) from appointments where notes is distinct from 'n ' || wix_booking_id"),
        0
    );
}

#[test]
fn order_written_beside_its_placeholder_is_linked() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Bookings, &booking("b1", &json!({"contactId": "c9", "email": "c9@b.example"})));
    world.sim.put_raw(Entity::Orders, &order("o1", &json!({"contactId": "c9"})));
    world.sim.put_raw(Entity::Orders, &order("o2", &json!({"email": "C9@b.example"})));
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 1);
    let running = world.start(&["sync", "all"]);
    gate.wait();
    wait_until("the orders are written", || world.value::<i64>("select count(*) from orders") == 2);
    // Writers of orders must wait now: the program cannot link them.
    let mut client = world.client();
    let mut block = client.transaction().expect("a transaction");
    block.batch_execute("select from orders for update").expect("the locks");
    gate.open();
    wait_until("the customer is made", || world.value::<i64>("select count(*) from sync_unlinked") == 1);
    running.signal(Signal::KILL);
    running.wait();
    block.rollback().expect("the locks are given back");
    assert_buyer(&world, "o1", None);
    world.run(&["sync", "appointments"]).expect_exit(0);
    assert_buyer(&world, "o1", Some("c9"));
    assert_buyer(&world, "o2", Some("c9"));
    assert_eq!(world.value::<i64>("select count(*) from sync_unlinked"), 0);
}
