//! Lists that are not what they should be: order, totals, dates, and records that break a page.

use serde_json::{Value, json};
use wix_sim::{CursorStyle, Endpoint, Entity, Fault, Sim, Site, Sizes};

use crate::client::{BOOKINGS, CONTACTS, ORDERS, ids, post, site};

fn by_creation(paging: Value) -> Value {
    json!({"query": {"sort": [{"fieldName": "createdDate", "order": "ASC"}], "paging": paging}})
}

fn undated(sim: &Sim, id: &str) {
    sim.put_raw(Entity::Contacts, &json!({ "id": id }).to_string());
}

#[test]
fn order_can_be_changed() {
    let sim = site(30, 0, 0);
    let ask = || ids(&post(&sim, CONTACTS, &by_creation(json!({"limit": 50}))).json()["contacts"]);
    let mut expected = ask();
    expected.reverse();
    sim.fault(Fault::on(Endpoint::ContactsQuery).newest_first());
    assert_eq!(ask(), expected);
    undated(&sim, "undated");
    assert_eq!(ask()[0], "undated");
    sim.fault(Fault::on(Endpoint::ContactsQuery).undated_last());
    assert_eq!(ask()[30], "undated");
}

#[test]
fn list_can_end_before_its_total_and_the_total_can_be_wrong() {
    let sizes = Sizes { contacts: 30, bookings: 30, ..Sizes::default() };
    let sim = Sim::builder().cursor_style(CursorStyle::Offset).start(Site::generate(sizes)).expect("it starts");
    sim.fault(Fault::on(Endpoint::Any).times(2).ends_after(12).states_total().total_off_by(1));
    let contacts = post(&sim, CONTACTS, &by_creation(json!({"limit": 10, "offset": 10}))).json();
    assert_eq!(ids(&contacts["contacts"]).len(), 2);
    assert_eq!(contacts["pagingMetadata"]["total"], 31);
    let query = json!({"query": {"sort": [{"fieldName": "createdDate"}], "cursorPaging": {"limit": 50}}});
    let bookings = post(&sim, BOOKINGS, &query).json();
    assert_eq!(bookings["pagingMetadata"], json!({"count": 12, "cursors": {}, "total": 31}));
    assert_eq!(post(&sim, BOOKINGS, &query).json()["pagingMetadata"].get("total"), None);
}

#[test]
fn dates_can_be_rounded_and_offsets_refused() {
    let sim = site(30, 0, 0);
    sim.fault(Fault::on(Endpoint::ContactsQuery).rounded_dates());
    let rounded = post(&sim, CONTACTS, &by_creation(json!({"limit": 50}))).json();
    let exact = sim.contacts();
    for (shown, exact) in rounded["contacts"].as_array().expect("a list").iter().zip(&exact) {
        let (shown, exact) = (shown["createdDate"].as_str().unwrap(), exact["createdDate"].as_str().unwrap());
        assert!(shown.ends_with(".000Z") && shown >= exact, "{shown} for {exact}");
    }
    sim.fault(Fault::on(Endpoint::ContactsQuery).times(2).refuse_offsets_beyond(20));
    assert_eq!(post(&sim, CONTACTS, &by_creation(json!({"limit": 50, "offset": 20}))).status, 200);
    assert_eq!(post(&sim, CONTACTS, &by_creation(json!({"limit": 50, "offset": 21}))).status, 400);
}

#[test]
fn poisoned_record_breaks_each_page_that_holds_it() {
    let sim = site(0, 0, 60);
    let poisoned = sim.orders()[7]["id"].as_str().expect("an id").to_owned();
    sim.poison(&poisoned);
    let ask = |limit: usize| {
        let sort = json!([{"fieldName": "createdDate", "order": "ASC"}]);
        let status = json!({"$in": ["APPROVED", "CANCELED", "PENDING", "REJECTED"]});
        let search = json!({"filter": {"status": status}, "sort": sort, "cursorPaging": {"limit": limit}});
        post(&sim, ORDERS, &json!({ "search": search })).status
    };
    assert_eq!((ask(7), ask(8), ask(100)), (200, 500, 500));
    sim.cure();
    assert_eq!(ask(100), 200);
}
