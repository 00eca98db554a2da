//! The site itself: its records, and changes to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wix_sim::{Entity, Sim, Site, Sizes};

use crate::client::{CONTACTS, ORDERS, get, id, post, site, walk_contacts};

#[test]
fn same_seed_same_records_other_seed_other_records() {
    let sizes = Sizes { contacts: 120, bookings: 120, orders: 120, tie_block: 0 };
    let start = |seed| Sim::builder().seed(seed).start(Site::generate(sizes));
    let texts = |seed| {
        let sim = start(seed).expect("a running simulator");
        [Entity::Contacts, Entity::Bookings, Entity::Orders].map(|entity| sim.texts(entity))
    };
    assert_eq!(texts(7), texts(7));
    assert_ne!(texts(7), texts(8));
}

#[test]
fn generated_records_are_json_in_creation_order_with_distinct_ids() {
    let sim = site(3000, 1500, 1500);
    for records in [sim.contacts(), sim.bookings(), sim.orders()] {
        let ids: BTreeSet<String> = records.iter().map(id).collect();
        assert_eq!(ids.len(), records.len());
        let date = |record: &Value| {
            let body = record.get("booking").unwrap_or(record).clone();
            assert!(body["createdDate"].as_str() <= body["updatedDate"].as_str());
            body["createdDate"].as_str().unwrap_or_default().to_owned()
        };
        let dates: Vec<String> = records.iter().map(date).collect();
        assert!(dates.is_sorted());
        let distinct: BTreeSet<&String> = dates.iter().collect();
        assert!(distinct.len() < dates.len() && distinct.len() > dates.len() * 9 / 10);
        assert!(records.iter().all(Value::is_object));
    }
}

#[test]
fn raw_record_goes_over_the_wire_byte_for_byte() {
    let sim = site(3, 0, 0);
    let raws = [
        r#"{"id":"odd-1","createdDate":"2018-01-01T00:00:00Z","info":{"name":{"first":"a\u0000b","last":"\ud800"}} , "revision":"x"}"#,
        r#"{ "createdDate": 17, "note": "no id" }"#,
        r#"{"createdDate": null, "note": "no id either"}"#,
    ];
    for raw in raws {
        sim.put_raw(Entity::Contacts, raw);
    }
    let body = post(&sim, CONTACTS, &json!({})).body;
    for raw in raws {
        assert!(body.contains(raw), "{raw}");
    }
    assert_eq!(sim.len(Entity::Contacts), 6);
    sim.put_raw(Entity::Contacts, r#"{"id":"odd-1","createdDate":"2030-01-01T00:00:00Z"}"#);
    assert_eq!(sim.contacts()[5]["id"], "odd-1");
    assert_eq!(sim.len(Entity::Contacts), 6);
    let one = get(&sim, "/contacts/v4/contacts/odd-1?id=odd-1").json();
    assert_eq!(one["contact"]["createdDate"], "2030-01-01T00:00:00Z");
}

#[test]
fn edit_moves_the_update_date_and_the_revision() {
    let sim = site(5, 5, 5);
    let contact = sim.contacts()[2].clone();
    let since = sim.now().to_rfc3339();
    sim.edit(Entity::Contacts, &id(&contact), |record| record["info"]["company"] = json!("New"));
    let edited = sim.contacts()[2].clone();
    assert_eq!(edited["info"]["company"], "New");
    let revision = contact["revision"].as_u64().expect("a number") + 1;
    assert_eq!(edited["revision"], revision);
    let changed = walk_contacts(&sim, &json!({"updatedDate": {"$gte": since}}), 10);
    assert_eq!(changed, [id(&contact)]);

    let booking = sim.bookings()[0].clone();
    sim.edit(Entity::Bookings, &id(&booking), |record| record["booking"]["status"] = json!("CANCELED"));
    let edited = &sim.bookings()[0]["booking"];
    assert_ne!(edited["revision"], booking["booking"]["revision"]);
    assert!(edited["revision"].is_string());

    let order = sim.add(Entity::Orders, 2);
    assert_eq!(sim.orders().iter().rev().take(2).filter(|one| order.contains(&id(one))).count(), 2);
    sim.edit(Entity::Orders, &order[0], |record| record["status"] = json!("INITIALIZED"));
    let text = sim.record(Entity::Orders, &order[0]).expect("the order");
    assert_eq!(text.get("revision"), None, "orders have none");
    let found = post(&sim, ORDERS, &json!({"search": {"filter": {"id": order[0]}}})).json();
    assert_eq!(found["metadata"]["count"], 0);
    assert_eq!(get(&sim, &format!("/ecom/v1/orders/{}", order[0])).json()["order"]["id"], order[0]);
}

#[test]
fn merged_contact_answers_its_target_and_a_deleted_one_404() {
    let sim = site(6, 0, 0);
    let ids: Vec<String> = sim.contacts().iter().map(id).collect();
    sim.merge_contacts(&ids[0], &ids[1]);
    sim.merge_contacts(&ids[1], &ids[2]);
    sim.delete(Entity::Contacts, &ids[3]);
    let fetch = |id: &str| get(&sim, &format!("/contacts/v4/contacts/{id}?id={id}&fieldsets=FULL"));
    let merged = fetch(&ids[0]).json();
    assert_eq!((&merged["responseType"], &merged["contact"]["id"]), (&json!("MERGED"), &json!(ids[2])));
    assert_eq!(fetch(&ids[4]).json()["responseType"], "REGULAR");
    assert_eq!(fetch(&ids[3]).status, 404);
    assert_eq!(sim.contacts().len(), 3);
}

#[test]
fn basic_fieldset_has_no_dates() {
    let sim = site(50, 0, 0);
    let edited = id(&sim.contacts()[0]);
    sim.edit(Entity::Contacts, &edited, |_| {});
    let full = sim.contacts();
    let page = post(&sim, CONTACTS, &json!({"query": {"fieldsets": ["BASIC"]}})).json();
    for (basic, full) in page["contacts"].as_array().expect("a list").iter().zip(&full) {
        assert_eq!(basic["id"], full["id"]);
        assert_eq!(basic["revision"], full["revision"]);
        assert_eq!(basic.get("primaryInfo"), full.get("primaryInfo"));
        assert_eq!(basic["info"]["name"], full["info"]["name"]);
        assert_eq!(basic.get("createdDate"), None);
    }
}
