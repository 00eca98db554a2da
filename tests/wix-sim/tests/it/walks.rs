//! Walks from the first page to the last.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wix_sim::{CursorStyle, Endpoint, Entity, Sim, Site, Sizes, TieOrder};

use crate::client::{BOOKINGS, CONTACTS, ORDERS, id, ids, post, site, walk_contacts, walk_orders};

const FOUR: [&str; 4] = ["APPROVED", "CANCELED", "PENDING", "REJECTED"];

fn truth(records: &[Value]) -> Vec<String> {
    records.iter().map(id).collect()
}

#[test]
fn contacts_are_listed_once_in_creation_order() {
    let sim = site(230, 0, 0);
    assert_eq!(walk_contacts(&sim, &json!({}), 50), truth(&sim.contacts()));
}

#[test]
fn orders_are_listed_once_in_every_sort() {
    let sim = site(20, 0, 150);
    for field in ["createdDate", "updatedDate", "priceSummary.total.amount", "buyerInfo.email"] {
        for order in ["ASC", "DESC"] {
            let first = json!({
                "filter": {"status": {"$in": FOUR}},
                "sort": [{"fieldName": field, "order": order}], "cursorPaging": {"limit": 7},
            });
            let seen: Vec<String> = walk_orders(&sim, first).concat();
            let unique: BTreeSet<&String> = seen.iter().collect();
            assert_eq!(unique.len(), seen.len(), "{field} {order}");
            assert_eq!(seen.len(), sim.orders().len(), "{field} {order}");
        }
    }
}

#[test]
fn keyset_cursor_skips_nothing_when_a_record_vanishes() {
    for style in [CursorStyle::Keyset, CursorStyle::Offset] {
        let sizes = Sizes { bookings: 60, ..Default::default() };
        let sim = Sim::builder().cursor_style(style).start(Site::generate(sizes));
        let sim = sim.expect("a running simulator");
        let all = truth(&sim.bookings());
        let victim = all[0].clone();
        sim.on_request(Endpoint::BookingsQuery, 2, move |sim| {
            sim.delete(Entity::Bookings, &victim);
        });
        let sort = json!([{"fieldName": "createdDate", "order": "ASC"}]);
        let first = json!({"query": {"sort": sort, "cursorPaging": {"limit": 20}}});
        let page = post(&sim, BOOKINGS, &first).json();
        let cursor = &page["pagingMetadata"]["cursors"]["next"];
        let next = json!({"query": {"cursorPaging": {"cursor": cursor}}});
        let second = ids(&post(&sim, BOOKINGS, &next).json()["extendedBookings"]);
        let skipped = usize::from(style == CursorStyle::Offset);
        assert_eq!(second, all[20 + skipped..40 + skipped]);
    }
}

#[test]
fn previous_cursor_leads_back() {
    let sim = site(0, 30, 0);
    let ask = |paging: Value| post(&sim, BOOKINGS, &json!({"query": {"cursorPaging": paging}})).json();
    let first = ask(json!({"limit": 10}));
    let second = ask(json!({"cursor": first["pagingMetadata"]["cursors"]["next"]}));
    let back = ask(json!({"cursor": second["pagingMetadata"]["cursors"]["prev"]}));
    assert_eq!(ids(&back["extendedBookings"]), ids(&first["extendedBookings"]));
    assert_eq!(back["pagingMetadata"]["cursors"].get("prev"), None);
    assert_eq!(second["pagingMetadata"].get("hasNext"), None);
}

#[test]
fn hidden_orders_come_only_if_the_filter_names_them() {
    let sim = site(5, 0, 300);
    let statuses = |filter: Value| -> BTreeSet<String> {
        let first = json!({"filter": filter, "cursorPaging": {"limit": 100}});
        let page = post(&sim, ORDERS, &json!({ "search": first })).json();
        let orders = page["orders"].as_array().expect("a list").clone();
        orders.iter().map(|order| order["status"].as_str().unwrap_or("").to_owned()).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(statuses(json!({})), set(&["APPROVED", "CANCELED"]));
    assert_eq!(statuses(json!({"status": {"$ne": "CANCELED"}})), set(&["APPROVED"]));
    assert_eq!(statuses(json!({"status": {"$in": FOUR}})), set(&FOUR));
    assert_eq!(statuses(json!({"status": "INITIALIZED"})), set(&[]));
    assert_eq!(sim.len(Entity::Orders), 300);
    assert!(sim.orders().len() < 300);
}

#[test]
fn date_filters_compare_instants_at_full_precision() {
    let sim = site(200, 0, 0);
    let contacts = sim.contacts();
    let bound = contacts[120]["updatedDate"].as_str().expect("a date").to_owned();
    let expected = contacts.iter().filter(|contact| contact["updatedDate"].as_str() >= Some(bound.as_str())).count();
    let count = |filter: Value| walk_contacts(&sim, &filter, 1000).len();
    assert_eq!(count(json!({"updatedDate": {"$gte": bound}})), expected);
    assert_eq!(count(json!({"updatedDate": {"$lt": bound}})), 200 - expected);
    let finer = bound.replace('Z', "000001Z");
    let same = contacts.iter().filter(|contact| contact["updatedDate"] == bound.as_str()).count();
    assert_eq!(count(json!({"updatedDate": {"$gte": finer}})), expected - same);
    let shifted = bound.replace('Z', "+00:00");
    assert_eq!(count(json!({"updatedDate": {"$eq": shifted}})), same);
}

#[test]
fn unstable_ties_change_from_request_to_request() {
    let sizes = Sizes { contacts: 90, tie_block: 60, ..Default::default() };
    let sim = Sim::builder().tie_order(TieOrder::Unstable).start(Site::generate(sizes));
    let sim = sim.expect("a running simulator");
    let body = json!({"query": {"paging": {"limit": 40}}});
    let page = || ids(&post(&sim, CONTACTS, &body).json()["contacts"]);
    let (one, other) = (page(), page());
    assert_ne!(one, other);
    let everything = walk_contacts(&sim, &json!({}), 1000);
    let unique: BTreeSet<&String> = everything.iter().collect();
    assert_eq!(unique.len(), 90, "one page of everything still has everything");
}

#[test]
fn query_in_place_of_search_repeats_the_first_page() {
    let sim = site(5, 0, 200);
    let ask = || post(&sim, ORDERS, &json!({"query": {"cursorPaging": {"limit": 3}}})).json();
    assert_eq!(ids(&ask()["orders"]), ids(&ask()["orders"]));
    assert_eq!(ask()["metadata"]["count"], 100);
}
