//! The records that an event names. Nothing else of an event is used, because its sender may be anyone, and its content
//! may be older than the table.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::table::Table;
use crate::table::json::{MAX_KEY_BYTES, normal_id};

/// Records to look up again.
pub(super) type Records = BTreeSet<(&'static Table, String)>;

/// Maximum number of merged contacts per event.
const MAX_SOURCES: usize = 100;

/// The content of a signed webhook.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Event {
    /// The app's installation that the event is about.
    pub(super) instance_id: Option<String>,
    /// Empty if the event is about other records.
    pub(super) records: Records,
}

/// Reads the claim `data` of a webhook (docs/wix-api.md 7). `None` if it has another form.
pub(super) fn read_event(data: &Value) -> Option<Event> {
    let envelope = unfold(data)?;
    let instance_id = id(&envelope["instanceId"]);
    let event_type = envelope["eventType"].as_str().unwrap_or_default();
    let Some(event) = unfold(&envelope["data"]) else { return Some(Event { instance_id, ..Event::default() }) };
    let table = match event["entityFqdn"].as_str() {
        Some(fqdn) => table_of(fqdn),
        // The type of an event is the name of its entity and of the action.
        None => event_type.match_indices('_').rev().find_map(|(end, _)| table_of(&event_type[..end])),
    };
    let body = &event["actionEvent"];
    let body = unfold(&body["body"]).or_else(|| unfold(&body["bodyAsJson"]));
    let ids = id(&event["entityId"]).into_iter().chain(body.iter().flat_map(|body| merged_ids(body)));
    Some(Event { instance_id, records: table.into_iter().flat_map(|table| ids_of(table, ids.clone())).collect() })
}

/// Reads a hint: `entityFqdn` and `entityId` in the body or the query, or the fields of a Wix automation or a Velo
/// event. `None` if there is no id.
pub(super) fn read_hint(body: &Value, query: &HashMap<String, String>) -> Option<Records> {
    let places = [body, &body["data"], &body["metadata"]];
    let field = |name: &str| {
        let in_query = || query.get(name).map(|text| Value::String(text.clone()));
        places.iter().map(|place| &place[name]).find(|value| !value.is_null()).cloned().or_else(in_query)
    };
    let first = |names: &[&str]| names.iter().find_map(|name| id(&field(name)?));
    let (table, wix_id) = match field("entityFqdn") {
        Some(fqdn) => {
            let table = fqdn.as_str().and_then(table_of);
            let own = table.map(|table| table.events.automations.iter().map(|(_, id)| *id)).into_iter().flatten();
            let names: Vec<&str> = ["entityId"].into_iter().chain(own).chain(["id", "_id"]).collect();
            (table, first(&names)?)
        }
        None => Table::ALL.into_iter().find_map(|table| {
            let with_field = |(marker, id): &&(&str, &str)| field(marker).is_some() && field(id).is_some();
            let (_, id) = table.events.automations.iter().find(with_field)?;
            Some((Some(table), first(&[id])?))
        })?,
    };
    let sources = places.iter().flat_map(|place| merged_ids(place));
    Some(table.into_iter().flat_map(|table| ids_of(table, sources.clone().chain([wix_id.clone()]))).collect())
}

fn ids_of(table: &'static Table, ids: impl Iterator<Item = String>) -> impl Iterator<Item = (&'static Table, String)> {
    ids.map(move |id| (table, id))
}

fn table_of(fqdn: &str) -> Option<&'static Table> {
    Table::ALL.into_iter().find(|table| table.events.fqdns.contains(&fqdn))
}

/// The contacts that were merged into the event's contact.
fn merged_ids(body: &Value) -> impl Iterator<Item = String> + Clone {
    body["sourceContactIds"].as_array().into_iter().flatten().take(MAX_SOURCES).filter_map(id)
}

/// An object, which Wix sends as JSON or as a string that contains JSON.
fn unfold(value: &Value) -> Option<Cow<'_, Value>> {
    match value {
        Value::Object(_) => Some(Cow::Borrowed(value)),
        Value::String(text) => serde_json::from_str(text).ok().filter(Value::is_object).map(Cow::Owned),
        _ => None,
    }
}

/// An id in the form of the tables. `None` if it cannot be a record's id.
fn id(value: &Value) -> Option<String> {
    let id = normal_id(value.as_str()?.to_owned());
    (!id.is_empty() && id.len() <= MAX_KEY_BYTES && !id.contains(char::is_control)).then_some(id)
}
