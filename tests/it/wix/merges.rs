//! Merged contacts: the source is marked and names its survivor, to which all linked rows move.

use serde_json::{Value, json};
use wix_sim::{Entity, Fault};

use crate::support::harness::World;
use crate::wix::deletions::{APPOINTMENTS, CUSTOMERS, Kind, ORDERS, deleted, lookups, record};

fn value_of(kind: Kind, id: &str, created: usize) -> Value {
    serde_json::from_str(&record(kind, id, created)).expect("a record")
}

/// Contacts a, b, c and d, each with a booking `booking-x` and an order `order-x` that name it.
fn site() -> World {
    let world = World::empty().migrated();
    for (created, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        put_contact(&world, name, created);
        put_booking(&world, &format!("booking-{name}"), name);
        put_order(&world, &format!("order-{name}"), &json!({"contactId": name}));
    }
    world.sync_json(&["all"], 0);
    world.sim.clear_requests();
    world
}

fn put_contact(world: &World, id: &str, created: usize) {
    let mut contact = value_of(CUSTOMERS, id, created);
    contact["primaryInfo"] = json!({"email": format!("{id}@shop.example")});
    world.sim.put_raw(Entity::Contacts, &contact.to_string());
}

fn put_booking(world: &World, id: &str, contact: &str) {
    let mut booking = value_of(APPOINTMENTS, id, 0);
    booking["booking"]["contactDetails"] = json!({"contactId": contact});
    world.sim.put_raw(Entity::Bookings, &booking.to_string());
}

fn put_order(world: &World, id: &str, buyer: &Value) {
    let mut order = value_of(ORDERS, id, 0);
    order["buyerInfo"] = buyer.clone();
    world.sim.put_raw(Entity::Orders, &order.to_string());
}

/// Edits the old bookings and orders of these contacts, which still name them, and syncs.
fn edit_what_names(world: &World, contacts: &[&str]) {
    for name in contacts {
        let change = |item: &mut Value| item["booking"]["status"] = json!("CANCELED");
        world.sim.edit(Entity::Bookings, &format!("booking-{name}"), change);
        world.sim.edit(Entity::Orders, &format!("order-{name}"), |order| order["status"] = json!("CANCELED"));
    }
    let result = world.sync_json(&["all"], 0);
    for table in ["appointments", "orders"] {
        assert_eq!(result["results"][table]["updated"], contacts.len(), "{table}");
    }
}

/// `SOURCE>SURVIVOR` of each row that is marked as merged.
fn merges(world: &World) -> Vec<String> {
    let rows = world.query(
        "select wix_contact_id || '>' || merged_into from customers
         where merged_into is not null and deleted_at is not null order by 1",
    );
    rows.iter().map(|row| row.get(0)).collect()
}

/// The Wix id of the customer that a row is linked to.
fn customer_of(world: &World, kind: Kind, id: &str) -> Option<String> {
    let Kind { table, key, .. } = kind;
    let link = "left join customers c on c.id = t.customer_id";
    world.value(&format!("select c.wix_contact_id from {table} t {link} where t.{key} = '{id}'"))
}

/// Fails unless the booking and the order of each contact are linked to this customer.
#[track_caller]
fn assert_links(world: &World, expected: &[(&str, &str)]) {
    for (name, customer) in expected {
        let booking = customer_of(world, APPOINTMENTS, &format!("booking-{name}"));
        let order = customer_of(world, ORDERS, &format!("order-{name}"));
        assert_eq!((booking.as_deref(), order.as_deref()), (Some(*customer), Some(*customer)), "what names {name}");
    }
}

#[test]
fn links_of_the_source_move_to_the_survivor() {
    let world = site();
    world.sim.merge_contacts("a", "b");
    world.sync_json(&["all"], 0);
    assert_eq!(merges(&world), Vec::<String>::new(), "an incremental sync can't tell");
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["deleted"], 1);
    assert_eq!(lookups(&world, CUSTOMERS).len(), 2);
    assert_eq!((deleted(&world, CUSTOMERS), merges(&world)), (vec!["a".to_owned()], vec!["a>b".to_owned()]));
    assert_links(&world, &[("a", "b"), ("b", "b"), ("c", "c"), ("d", "d")]);
    edit_what_names(&world, &["a", "c"]);
    assert_links(&world, &[("a", "b"), ("b", "b"), ("c", "c"), ("d", "d")]);
    // New records that name the source are linked to the survivor too.
    put_booking(&world, "booking-new", "a");
    put_order(&world, "order-new", &json!({"contactId": "a"}));
    world.full_sync_json(&["all"], 0);
    assert_links(&world, &[("new", "b")]);
    assert_eq!(merges(&world), ["a>b"]);
}

#[test]
fn merge_chain_over_two_syncs_leads_to_the_last_survivor() {
    let world = site();
    world.sim.merge_contacts("a", "b");
    world.full_sync_json(&["all"], 0);
    world.sim.merge_contacts("b", "c");
    world.full_sync_json(&["all"], 0);
    assert_eq!(merges(&world), ["a>c", "b>c"]);
    assert_links(&world, &[("a", "c"), ("b", "c"), ("c", "c"), ("d", "d")]);
    edit_what_names(&world, &["a", "b"]);
    assert_links(&world, &[("a", "c"), ("b", "c"), ("c", "c"), ("d", "d")]);
}

#[test]
fn merge_chain_in_one_sync_leads_to_the_last_survivor() {
    // In both orders of the ids, which is the order of the lookups.
    for [first, second, last] in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]] {
        let world = site();
        world.sim.merge_contacts(first, second);
        world.sim.merge_contacts(second, last);
        world.full_sync_json(&["all"], 0);
        let mut expected = [format!("{first}>{last}"), format!("{second}>{last}")];
        expected.sort();
        assert_eq!(merges(&world), expected);
        assert_links(&world, &[(first, last), (second, last), (last, last), ("d", "d")]);
        edit_what_names(&world, &[first, second]);
        assert_links(&world, &[(first, last), (second, last), (last, last), ("d", "d")]);
    }
}

#[test]
fn unlisted_survivor_is_written_from_the_lookup() {
    let world = site();
    world.sim.merge_contacts("a", "b");
    // The list has ended when the known record is looked up: now the survivor is merged into a new contact.
    world.sim.on_request(CUSTOMERS.lookup, 1, |sim| {
        let mut contact = value_of(CUSTOMERS, "new", 9);
        contact["info"] = json!({"name": {"first": "New"}});
        sim.put_raw(Entity::Contacts, &contact.to_string());
        sim.merge_contacts("b", "new");
    });
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["inserted"], 1);
    assert_eq!(merges(&world), ["a>new"]);
    let name: String = world.value("select name from customers where wix_contact_id = 'new' and deleted_at is null");
    assert_eq!(name, "New");
    assert_links(&world, &[("a", "new"), ("b", "b")]);
    world.full_sync_json(&["all"], 0);
    assert_eq!(merges(&world), ["a>new", "b>new"]);
    assert_links(&world, &[("a", "new"), ("b", "new"), ("c", "c")]);
}

#[test]
fn survivor_that_is_new_in_the_table_gets_everything() {
    let world = site();
    put_contact(&world, "e", 9);
    world.sim.merge_contacts("a", "e");
    world.full_sync_json(&["all"], 0);
    assert_eq!(merges(&world), ["a>e"]);
    assert_links(&world, &[("a", "e"), ("b", "b")]);
}

#[test]
fn newer_lookup_of_a_survivor_wins_over_the_page() {
    let world = site();
    world.sim.merge_contacts("a", "b");
    world.sim.on_request(CUSTOMERS.lookup, 1, |sim| {
        sim.edit(Entity::Contacts, "b", |contact| contact["info"] = json!({"company": "Merged Co."}));
    });
    world.full_sync_json(&["customers"], 0);
    let company: Option<String> = world.value("select company from customers where wix_contact_id = 'b'");
    assert_eq!(company.as_deref(), Some("Merged Co."));
}

#[test]
fn placeholder_of_a_merged_contact_leads_to_the_survivor() {
    let world = World::empty().migrated();
    put_contact(&world, "a", 0);
    put_contact(&world, "b", 1);
    world.sim.merge_contacts("a", "b");
    put_booking(&world, "booking-a", "a");
    put_order(&world, "order-a", &json!({"contactId": "a"}));
    world.sync_json(&["all"], 0);
    assert_links(&world, &[("a", "a")]);
    world.full_sync_json(&["all"], 0);
    assert_eq!(merges(&world), ["a>b"]);
    assert_links(&world, &[("a", "b")]);
}

#[test]
fn orders_of_a_deleted_customer_are_linked_by_email() {
    let world = site();
    put_order(&world, "named", &json!({"contactId": "a", "email": "C@shop.example"}));
    put_order(&world, "lost", &json!({"contactId": "a", "email": "nobody@shop.example"}));
    put_order(&world, "by-email", &json!({"email": "a@shop.example"}));
    world.full_sync_json(&["all"], 0);
    let buyers = || ["named", "lost", "by-email"].map(|order| customer_of(&world, ORDERS, order));
    assert_eq!(buyers(), [Some("a".to_owned()), Some("a".to_owned()), Some("a".to_owned())]);
    world.sim.delete(Entity::Contacts, "a");
    world.full_sync_json(&["customers"], 0);
    assert_eq!(buyers(), [Some("c".to_owned()), None, None]);
    assert_eq!(customer_of(&world, APPOINTMENTS, "booking-a").as_deref(), Some("a"), "appointments stay with theirs");
    // It is restored, and its orders are linked again.
    put_contact(&world, "a", 0);
    world.full_sync_json(&["customers"], 0);
    assert_eq!(buyers(), [Some("a".to_owned()), Some("a".to_owned()), Some("a".to_owned())]);
}

#[test]
fn email_that_becomes_unique_finds_its_orders() {
    let world = World::empty().migrated();
    for (created, id) in ["a", "b"].into_iter().enumerate() {
        let mut contact = value_of(CUSTOMERS, id, created);
        contact["primaryInfo"] = json!({"email": "same@shop.example"});
        world.sim.put_raw(Entity::Contacts, &contact.to_string());
    }
    put_order(&world, "by-email", &json!({"email": " Same@Shop.example"}));
    world.sync_json(&["all"], 0);
    assert_eq!(customer_of(&world, ORDERS, "by-email"), None, "it tells nothing while two have it");
    world.sim.merge_contacts("a", "b");
    world.full_sync_json(&["customers"], 0);
    assert_eq!(customer_of(&world, ORDERS, "by-email").as_deref(), Some("b"));
}

#[test]
fn orders_follow_a_deleted_or_restored_survivor() {
    let world = site();
    put_order(&world, "elsewhere", &json!({"contactId": "a", "email": "d@shop.example"}));
    world.sim.merge_contacts("a", "b");
    world.full_sync_json(&["all"], 0);
    assert_eq!(customer_of(&world, ORDERS, "elsewhere").as_deref(), Some("b"));
    world.sim.delete(Entity::Contacts, "b");
    world.full_sync_json(&["customers"], 0);
    assert_eq!(customer_of(&world, ORDERS, "order-b"), None);
    assert_eq!(customer_of(&world, ORDERS, "order-a"), None, "its customer is no longer live");
    assert_eq!(customer_of(&world, ORDERS, "elsewhere").as_deref(), Some("d"), "its email leads to a live one");
    put_contact(&world, "b", 1);
    world.sim.edit(Entity::Contacts, "b", |_| {});
    world.full_sync_json(&["customers"], 0);
    for order in ["order-a", "order-b", "elsewhere"] {
        assert_eq!(customer_of(&world, ORDERS, order).as_deref(), Some("b"), "{order}");
    }
}

/// Contact `a` was deleted and its row marked; then it is restored and merged into `b` before a run sees it alive.
fn restored_and_merged() -> World {
    let world = site();
    put_order(&world, "by-email", &json!({"contactId": "a", "email": "d@shop.example"}));
    world.full_sync_json(&["all"], 0);
    world.sim.delete(Entity::Contacts, "a");
    world.full_sync_json(&["all"], 0);
    assert_eq!((deleted(&world, CUSTOMERS), merges(&world)), (vec!["a".to_owned()], vec![]));
    assert_eq!(customer_of(&world, ORDERS, "by-email").as_deref(), Some("d"));
    put_contact(&world, "a", 0);
    world.sim.merge_contacts("a", "b");
    world.sim.clear_requests();
    world
}

#[test]
fn restored_and_merged_contact_leads_to_its_survivor() {
    let world = restored_and_merged();
    world.sync_json(&["all"], 0);
    assert_eq!(lookups(&world, CUSTOMERS), Vec::<String>::new(), "an incremental sync does not ask");
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(
        (&result["results"]["customers"]["deleted"], lookups(&world, CUSTOMERS)),
        (&json!(0), vec!["a".to_owned()])
    );
    assert_eq!(merges(&world), ["a>b"]);
    assert_links(&world, &[("a", "b"), ("b", "b"), ("c", "c"), ("d", "d")]);
    assert_eq!(customer_of(&world, ORDERS, "by-email").as_deref(), Some("b"));
    edit_what_names(&world, &["a"]);
    assert_links(&world, &[("a", "b")]);
    world.run(&["verify"]).expect_exit(0);
    // It is known now, and not looked up again.
    world.sim.clear_requests();
    world.full_sync_json(&["all"], 0);
    assert_eq!(lookups(&world, CUSTOMERS), Vec::<String>::new());
}

#[test]
fn booking_or_order_is_enough_for_another_lookup() {
    for gone in ["booking-a", "order-a"] {
        let world = restored_and_merged();
        world.sim.delete(Entity::Orders, "by-email");
        world.sim.delete(if gone == "order-a" { Entity::Orders } else { Entity::Bookings }, gone);
        world.full_sync_json(&["appointments"], 0);
        world.age_absences();
        world.full_sync_json(&["appointments"], 0);
        world.full_sync_json(&["orders"], 0);
        world.full_sync_json(&["customers"], 0);
        assert_eq!(merges(&world), ["a>b"], "{gone} is gone");
        let kept = if gone == "order-a" { (APPOINTMENTS, "booking-a") } else { (ORDERS, "order-a") };
        assert_eq!(customer_of(&world, kept.0, kept.1).as_deref(), Some("b"));
    }
}

#[test]
fn deleted_customer_that_is_still_gone_is_unchanged() {
    let world = restored_and_merged();
    // The merge changed the survivor.
    world.sync_json(&["customers"], 0);
    let rows = |table: &str| world.rows_as_json(&format!("select id, xmin::text from {table} order by 1"));
    let all = || ["customers", "appointments", "orders"].map(rows);
    let before = all();
    // Not found, an unusable response, and another record: none of them proves a merge.
    let other = json!({"contact": value_of(CUSTOMERS, "c", 2), "responseType": "REGULAR"}).to_string();
    let faults: [fn(Fault, String) -> Fault; 3] =
        [|fault, _| fault.status(404), |fault, _| fault.status(403), |fault, other| fault.body(other)];
    for (fault, is_told) in faults.into_iter().zip([false, true, true]) {
        world.sim.fault(fault(Fault::on(CUSTOMERS.lookup), other.clone()));
        world.sim.clear_requests();
        let result = world.full_sync_json(&["customers"], 0);
        assert_eq!(lookups(&world, CUSTOMERS), ["a"]);
        let notices = result["results"]["customers"]["notices"].to_string();
        assert_eq!(notices.contains("could not check whether deleted customers were merged: a"), is_told, "{notices}");
        assert_eq!(all(), before);
    }
    world.full_sync_json(&["customers"], 0);
    assert_eq!(merges(&world), ["a>b"]);
}

#[test]
fn deleted_customer_found_by_a_lookup_is_live_again() {
    let world = site();
    world.sim.delete(Entity::Contacts, "a");
    world.full_sync_json(&["all"], 0);
    // The list has ended when it is looked up.
    world.sim.on_request(CUSTOMERS.lookup, 1, |sim| sim.put_raw(Entity::Contacts, &record(CUSTOMERS, "a", 0)));
    world.full_sync_json(&["customers"], 0);
    assert_eq!(deleted(&world, CUSTOMERS), Vec::<String>::new());
    assert_links(&world, &[("a", "a"), ("b", "b")]);
}

#[test]
fn at_most_a_hundred_needed_contacts_are_looked_up() {
    let world = World::empty().migrated();
    let name = |index: usize| format!("n{index:03}");
    (0..120).for_each(|index| put_contact(&world, &name(index), index));
    put_contact(&world, "kept", 200);
    (0..110).for_each(|index| put_booking(&world, &format!("booking-{index}"), &name(index)));
    // Placeholders of contacts that Wix never listed.
    (0..9).for_each(|index| put_booking(&world, &format!("lost-{index}"), &format!("lost{index}")));
    world.full_sync_json(&["all"], 0);
    (0..120).for_each(|index| world.sim.delete(Entity::Contacts, &name(index)));
    world.full_sync_json(&["all", "--allow-mass-delete"], 0);
    assert_eq!(deleted(&world, CUSTOMERS).len(), 129);
    // The first ones were deleted last, and five of them too long ago.
    world.execute(
        "update customers set deleted_at = now() - interval '1 minute' * right(wix_contact_id, 3)::integer
            where wix_contact_id like 'n%';
         update customers set deleted_at = now() - interval '91 days' where wix_contact_id < 'n005' and wix_contact_id like 'n%'",
    );
    world.sim.clear_requests();
    world.full_sync_json(&["all"], 0);
    assert_eq!(lookups(&world, CUSTOMERS), (5..105).map(name).collect::<Vec<_>>());
}
