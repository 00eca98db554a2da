//! Decodes complete sample responses.

use serde_json::Value;

use crate::table::Table;
use crate::table::{APPOINTMENTS, CUSTOMERS, ORDERS};
use crate::wix::page::{NextPage, Page};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("a sample is JSON")
}

fn decode(table: &'static Table, response: &str) -> Page {
    table.listing.decode_page(response.as_bytes(), None).expect("a page")
}

#[test]
fn sample_responses_decode_to_their_records_end_and_total() {
    let cursor = |text: &str| NextPage::Cursor(text.to_owned());
    let (customers, appointments, orders) = (&CUSTOMERS, &APPOINTMENTS, &ORDERS);
    for (table, response, count, next, total) in [
        (customers, include_str!("../../tests/it/wix/payloads/contacts-v4-list.json"), 4, NextPage::ByOffset, Some(4)),
        (
            customers,
            include_str!("../../tests/it/wix/payloads/contacts-v4-query-page2.json"),
            2,
            NextPage::ByOffset,
            Some(4),
        ),
        (
            customers,
            include_str!("../../tests/it/wix/payloads/contacts-v4-query-past-end.json"),
            0,
            NextPage::ByOffset,
            Some(4),
        ),
        (
            customers,
            include_str!("../../tests/it/wix/payloads/contacts-v4-query-too-many.json"),
            1,
            NextPage::ByOffset,
            None,
        ),
        (
            appointments,
            include_str!("../../tests/it/wix/payloads/bookings-query-page1.json"),
            2,
            cursor("eyJvcGFxdWUiOiJib29raW5ncy1wYWdlLTIifQ"),
            None,
        ),
        (appointments, include_str!("../../tests/it/wix/payloads/bookings-query-last.json"), 2, NextPage::End, None),
        (appointments, include_str!("../../tests/it/wix/payloads/bookings-query-empty.json"), 0, NextPage::End, None),
        (
            appointments,
            include_str!("../../tests/it/wix/payloads/bookings-query-offset-paging.json"),
            1,
            NextPage::End,
            Some(4),
        ),
        (
            orders,
            include_str!("../../tests/it/wix/payloads/orders-search-page1.json"),
            2,
            cursor("eyJvcGFxdWUiOiJvcmRlcnMtcGFnZS0yIn0"),
            None,
        ),
        (orders, include_str!("../../tests/it/wix/payloads/orders-search-last.json"), 2, NextPage::End, None),
        (orders, include_str!("../../tests/it/wix/payloads/orders-search-empty.json"), 0, NextPage::End, None),
    ] {
        let page = decode(table, response);
        assert_eq!((page.records.len(), &page.next, page.total), (count, &next, total), "{response:.80}");
        let listed = json_of(response);
        let listed = listed[table.listing.items].as_array().expect("a list").clone();
        let decoded: Vec<Value> = page.records.iter().map(|record| json_of(record)).collect();
        assert_eq!(decoded, listed);
    }
}
