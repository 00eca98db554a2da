//! Faults and hooks.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;
use wix_sim::{Endpoint, Entity, Fault};

use crate::client::{BOOKINGS, CONTACTS, ORDERS, get, id, ids, post, send, site, with_key};

#[test]
fn faults_affect_the_nth_request_in_order() {
    let sim = site(5, 0, 0);
    sim.fault(Fault::on(Endpoint::ContactsQuery).nth(2).times(2).throttled().retry_after("120"));
    sim.fault(Fault::on(Endpoint::OrdersSearch).always().app_not_installed());
    sim.fault(Fault::on(Endpoint::Any).nth(5).gateway_html().without_header("date"));
    let status = || post(&sim, CONTACTS, &json!({})).status;
    let seen: Vec<u16> = (0..6).map(|_| status()).collect();
    assert_eq!(seen, [200, 429, 429, 200, 503, 200]);
    assert_eq!(post(&sim, ORDERS, &json!({})).status, 428);
    sim.clear_faults();
    assert_eq!(post(&sim, ORDERS, &json!({})).status, 200);
    let logged: Vec<Option<u16>> = sim.requests().iter().map(|one| one.status).collect();
    assert_eq!(logged[..3], [Some(200), Some(429), Some(429)]);
    assert_eq!(sim.request_count(Endpoint::ContactsQuery), 6);
}

#[test]
fn headers_can_be_set_changed_and_omitted() {
    let sim = site(5, 0, 0);
    sim.fault(Fault::on(Endpoint::Any).throttled().header("date", "Thu, 01 Jan 1970 00:00:00 GMT"));
    sim.fault(Fault::on(Endpoint::Any).without_header("date"));
    let answer = get(&sim, "/contacts/v4/contacts");
    assert!(answer.head.contains("date: thu, 01 jan 1970"), "{}", answer.head);
    let answer = get(&sim, "/contacts/v4/contacts");
    assert!(!answer.head.contains("date:"), "{}", answer.head);
    assert_eq!(answer.status, 200);
    let answer = get(&sim, "/contacts/v4/contacts");
    assert!(answer.head.contains("date:") && answer.head.contains("x-wix-request-id:"));
}

#[test]
fn connections_can_be_closed_cut_and_left_hanging() {
    let sim = site(50, 0, 0);
    let on = || Fault::on(Endpoint::ContactsList);
    for fault in [on().close(), on().cut_body(), on().cut_chunked_body()] {
        sim.fault(fault);
        let answer = send(&sim, "GET", "/contacts/v4/contacts", &with_key(&sim), "");
        assert!(answer.is_err());
    }
    sim.fault(on().hang());
    let before = Instant::now();
    let answer = send(&sim, "GET", "/contacts/v4/contacts", &with_key(&sim), "");
    let kind = answer.err().map(|error| error.kind());
    assert!(matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)));
    assert!(before.elapsed() >= Duration::from_secs(4));
    assert_eq!(sim.requests()[3].status, None);
    assert_eq!(get(&sim, "/contacts/v4/contacts").status, 200);
}

#[test]
fn delayed_responses_are_complete() {
    let sim = site(5, 0, 0);
    sim.fault(Fault::on(Endpoint::ContactsList).delay(Duration::from_millis(200)));
    let before = Instant::now();
    assert_eq!(get(&sim, "/contacts/v4/contacts").json()["pagingMetadata"]["total"], 5);
    assert!(before.elapsed() >= Duration::from_millis(200));
}

#[test]
fn pages_can_be_short_empty_and_repeated() {
    let sim = site(0, 30, 0);
    let all: Vec<String> = {
        let sort = json!([{"fieldName": "id", "order": "ASC"}]);
        ids(&post(&sim, BOOKINGS, &json!({"query": {"sort": sort}})).json()["extendedBookings"])
    };
    let ask = |paging: serde_json::Value| {
        let page = post(&sim, BOOKINGS, &json!({"query": {"cursorPaging": paging}})).json();
        let next = page["pagingMetadata"]["cursors"]["next"].clone();
        (ids(&page["extendedBookings"]), next, page)
    };
    sim.fault(Fault::on(Endpoint::BookingsQuery).short_page(3));
    let (first, next, page) = ask(json!({"limit": 10}));
    assert_eq!((first.as_slice(), &page["pagingMetadata"]["count"]), (&all[..3], &json!(3)));

    sim.fault(Fault::on(Endpoint::BookingsQuery).empty_page());
    let (nothing, after_empty, _) = ask(json!({"limit": 10, "cursor": next}));
    assert!(nothing.is_empty());
    assert_ne!(after_empty, next);
    let (second, after_second, _) = ask(json!({"limit": 10, "cursor": after_empty}));
    assert_eq!(second, all[3..13]);

    sim.fault(Fault::on(Endpoint::BookingsQuery).repeat_page().has_next_on_bookings());
    let (again, same, page) = ask(json!({"limit": 10, "cursor": after_second}));
    assert_eq!((again, same), (second, after_second.clone()));
    assert_eq!(page["pagingMetadata"]["hasNext"], true);

    sim.fault(Fault::on(Endpoint::BookingsQuery).nth(2).expire_cursors());
    assert_eq!(ask(json!({"limit": 10, "cursor": after_second})).0, all[13..23]);
    let refused = json!({"query": {"cursorPaging": {"cursor": after_second}}});
    assert_eq!(post(&sim, BOOKINGS, &refused).status, 400);
}

#[test]
fn totals_can_be_missing_and_sorts_refused() {
    let sim = site(5, 5, 0);
    sim.fault(Fault::on(Endpoint::ContactsQuery).without_total());
    let metadata = post(&sim, CONTACTS, &json!({})).json()["pagingMetadata"].clone();
    assert_eq!(metadata, json!({"count": 5, "offset": 0, "tooManyToCount": true}));
    sim.fault(Fault::on(Endpoint::BookingsQuery).refuse_sort());
    let sorted = json!({"query": {"sort": [{"fieldName": "updatedDate"}]}});
    assert_eq!(post(&sim, BOOKINGS, &sorted).status, 400);
    assert_eq!(post(&sim, BOOKINGS, &sorted).status, 200);
}

#[test]
fn hooks_run_before_and_after_the_response() {
    let sim = site(10, 0, 0);
    let victims: Vec<String> = sim.contacts().iter().map(id).collect();
    let (one, two) = (victims[0].clone(), victims[1].clone());
    sim.on_request(Endpoint::ContactsQuery, 2, move |sim| sim.delete(Entity::Contacts, &one));
    sim.after_request(Endpoint::ContactsQuery, 2, move |sim| sim.delete(Entity::Contacts, &two));
    let total = || post(&sim, CONTACTS, &json!({})).json()["pagingMetadata"]["total"].clone();
    assert_eq!([total(), total(), total()], [json!(10), json!(9), json!(8)]);
}

#[test]
fn condition_chooses_the_request() {
    let sim = site(0, 0, 50);
    sim.fault(Fault::on(Endpoint::OrdersSearch).when(|one| one.cursor().is_some()).system_error());
    let first = post(&sim, ORDERS, &json!({"search": {"cursorPaging": {"limit": 5}}})).json();
    let cursor = &first["metadata"]["cursors"]["next"];
    let next = post(&sim, ORDERS, &json!({"search": {"cursorPaging": {"cursor": cursor}}}));
    assert_eq!((next.status, next.body.as_str()), (500, ""));
}

#[test]
fn stale_response_shows_a_remembered_state() {
    let sim = site(10, 0, 0);
    sim.fault(Fault::on(Endpoint::ContactsQuery).stale());
    let total = || post(&sim, CONTACTS, &json!({})).json()["pagingMetadata"]["total"].clone();
    assert_eq!(total(), 10, "nothing was remembered");
    sim.remember();
    sim.add(Entity::Contacts, 3);
    sim.fault(Fault::on(Endpoint::ContactsQuery).nth(2).stale());
    assert_eq!([total(), total(), total()], [json!(13), json!(10), json!(13)]);
}
