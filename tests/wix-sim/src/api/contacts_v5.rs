//! Contacts v5: the same contacts in their newer, flat shape.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::Ask;
use super::page::Walk;
use crate::query::fields::Dialect;
use crate::reply::{Reply, field_violation};
use crate::state::State;

/// `GET` (the query as base64 in `.r`) and `POST /contacts/v5/contacts/query`
pub(super) fn query(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let decoded;
    let body = match ask.params(".r").first() {
        Some(packed) => {
            let bytes = URL_SAFE_NO_PAD.decode(packed.trim_end_matches('='));
            let read = bytes.ok().and_then(|json| serde_json::from_slice(&json).ok());
            decoded = read.ok_or_else(|| field_violation(".r", "is not base64 of JSON"))?;
            &decoded
        }
        None if ask.request.method == "GET" => &Value::Null,
        None => ask.body()?,
    };
    let walk = Walk::new(Dialect::ContactsV5, &body["query"], "query", state.generation)?;
    let page = walk.page(state, ask)?;
    let contacts: Vec<Value> = page.positions.iter().map(|position| flat(&state.contacts.value(*position))).collect();
    let answer = json!({
        "contacts": contacts,
        "pagingMetadata": {
            "count": contacts.len(), "cursors": page.cursors(), "hasNext": page.next.is_some(),
        },
    });
    Ok(Reply::json(answer.to_string(), contacts.len()))
}

/// Turns a v4 contact into a v5 one.
fn flat(contact: &Value) -> Value {
    let info = &contact["info"];
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        if !empty {
            out.insert(name.to_owned(), value);
        }
    };
    put("id", contact["id"].clone());
    put("revision", json!(contact["revision"].to_string()));
    put("createdDate", contact["createdDate"].clone());
    put("updatedDate", contact["updatedDate"].clone());
    put("name", info["name"].clone());
    let primary = &contact["primaryEmail"];
    if primary["email"].is_string() {
        put(
            "email",
            json!({
                "email": primary["email"],
                "subscriptionStatus": {"status": primary["subscriptionStatus"]},
                "deliverabilityStatus": primary["deliverabilityStatus"],
            }),
        );
    }
    put("additionalEmails", secondary(&info["emails"], &["email"]));
    let primary = &contact["primaryPhone"];
    if primary["phone"].is_string() {
        put(
            "phone",
            json!({
                "tag": "MOBILE", "phone": primary["phone"], "e164": primary["e164Phone"],
                "subscriptionStatus": {"status": primary["subscriptionStatus"]},
                "deliverabilityStatus": "NOT_SET",
            }),
        );
    }
    put("additionalPhones", secondary(&info["phones"], &["tag", "phone"]));
    put("addresses", info["addresses"]["items"].clone());
    if info["company"].is_string() {
        put("company", json!({"name": info["company"], "jobTitle": info["jobTitle"]}));
    }
    put("locale", info["locale"].clone());
    put("birthdate", info["birthdate"].clone());
    put("locationIds", info["locations"]["items"].clone());
    if contact["source"]["appId"].is_string() {
        put("source", json!({"appId": contact["source"]["appId"]}));
    }
    if contact["lastActivity"]["activityDate"].is_string() {
        put("lastActivity", json!({"date": contact["lastActivity"]["activityDate"]}));
    }
    Value::Object(out)
}

/// The items that are not the primary one, with these fields of each.
fn secondary(list: &Value, members: &[&str]) -> Value {
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    items
        .iter()
        .filter(|item| item["primary"] != true)
        .map(|item| {
            let kept = members.iter();
            Value::Object(kept.map(|name| ((*name).to_owned(), item[*name].clone())).collect())
        })
        .collect()
}
