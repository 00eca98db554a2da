//! A client that sees the bytes: one connection per request, nothing hidden.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use wix_sim::{Sim, Site, Sizes};

pub(crate) const CONTACTS: &str = "/contacts/v4/contacts/query";
pub(crate) const BOOKINGS: &str = "/_api/bookings-reader/v2/extended-bookings/query";
pub(crate) const ORDERS: &str = "/ecom/v1/orders/search";

/// One answer, split into its parts.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

pub(crate) fn site(contacts: usize, bookings: usize, orders: usize) -> Sim {
    let sizes = Sizes { contacts, bookings, orders, ..Default::default() };
    Sim::start(Site::generate(sizes)).expect("a running simulator")
}

pub(crate) fn post(sim: &Sim, path: &str, body: &Value) -> Answer {
    send(sim, "POST", path, &with_key(sim), &body.to_string()).expect("an answer")
}

pub(crate) fn get(sim: &Sim, path: &str) -> Answer {
    send(sim, "GET", path, &with_key(sim), "").expect("an answer")
}

pub(crate) fn with_key(sim: &Sim) -> String {
    let known = sim.credentials();
    let (key, site) = (&known.api_keys[0], &known.site_id);
    format!("authorization: {key}\r\nwix-site-id: {site}\r\n")
}

/// Sends one request; an answer that ends early is an error.
pub(crate) fn send(sim: &Sim, method: &str, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
    let host = sim.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(&host)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}",
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let early = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(early)?;
    let status = head[9..12].parse().map_err(io::Error::other)?;
    let head = head.to_lowercase();
    if head.contains("transfer-encoding: chunked") && !body.ends_with("0\r\n\r\n") {
        return Err(early());
    }
    if let Some((_, rest)) = head.split_once("content-length: ") {
        let promised = rest.lines().next().unwrap_or_default();
        if promised.parse() != Ok(body.len()) {
            return Err(early());
        }
    }
    let body = body.to_owned();
    Ok(Answer { status, head, body })
}

pub(crate) fn id(record: &Value) -> String {
    let body = record.get("booking").unwrap_or(record);
    body["id"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn ids(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(id).collect()
}

/// Walks orders to the end and gives the records of every page.
pub(crate) fn walk_orders(sim: &Sim, first: Value) -> Vec<Vec<String>> {
    let mut search = first;
    let mut pages = Vec::new();
    loop {
        let answer = post(sim, ORDERS, &json!({ "search": search }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        pages.push(ids(&page["orders"]));
        let metadata = &page["metadata"];
        if metadata["hasNext"] != true {
            assert_eq!(metadata["cursors"].get("next"), None);
            return pages;
        }
        search = json!({"cursorPaging": {"limit": 7, "cursor": metadata["cursors"]["next"]}});
    }
}

/// Walks contacts by offset until nothing comes.
pub(crate) fn walk_contacts(sim: &Sim, filter: &Value, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let body = json!({"query": {
            "filter": filter, "sort": [{"fieldName": "createdDate", "order": "ASC"}],
            "paging": {"limit": limit, "offset": all.len()},
        }});
        let page = ids(&post(sim, CONTACTS, &body).json()["contacts"]);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
