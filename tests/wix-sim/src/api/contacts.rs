//! Contacts v4: list, query and get.

use serde_json::{Value, json};

use super::Ask;
use super::page::{Page, Walk};
use super::projection::Projection;
use crate::query::fields::Dialect;
use crate::reply::{Reply, contact_not_found, field_violation};
use crate::state::State;
use crate::store::Table;

/// Maximum steps from one merged contact to the next that are followed.
const MOST_MERGES: usize = 100;
/// Bytes reserved for one contact of a page.
const ROOM_PER_CONTACT: usize = 2048;

/// `GET /contacts/v4/contacts`
pub(super) fn list(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let number = |name: &str| match ask.params(name).first() {
        None => Ok(Value::Null),
        Some(text) => match text.parse::<i64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => Err(field_violation(name, "must be a whole number")),
        },
    };
    let text = |name: &str| ask.params(name).first().map_or(Value::Null, |text| json!(text));
    let mut query = json!({
        "paging": {"limit": number("paging.limit")?, "offset": number("paging.offset")?},
    });
    if !text("sort.fieldName").is_null() {
        query["sort"] = json!([
            {"fieldName": text("sort.fieldName"), "order": text("sort.order")},
        ]);
    }
    let projection = Projection::new(&ask.params("fields"), &ask.params("fieldsets"))?;
    page(state, ask, &query, &projection)
}

/// `POST /contacts/v4/contacts/query`
pub(super) fn query(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let query = &ask.body()?["query"];
    let fields = texts(&query["fields"], "query.fields")?;
    let fieldsets = texts(&query["fieldsets"], "query.fieldsets")?;
    let projection = Projection::new(&fields, &fieldsets)?;
    page(state, ask, query, &projection)
}

/// `GET /contacts/v4/contacts/{id}`: a merged id returns the contact into which it was merged.
pub(super) fn get(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let projection = Projection::new(&ask.params("fields"), &ask.params("fieldsets"))?;
    let asked = ask.id.unwrap_or_default();
    let mut id = asked;
    for _ in 0..MOST_MERGES {
        if let Some(position) = state.contacts.find(id) {
            let kind = if id == asked { "REGULAR" } else { "MERGED" };
            let mut body = String::with_capacity(ROOM_PER_CONTACT + 64);
            body.push_str("{\"contact\":");
            write(&state.contacts, position, &projection, &mut body);
            body.push_str(",\"responseType\":\"");
            body.push_str(kind);
            body.push_str("\"}");
            return Ok(Reply::json(body, 1));
        }
        let Some(target) = state.merged.get(id) else {
            break;
        };
        id = target;
    }
    Err(contact_not_found())
}

fn page(state: &mut State, ask: &Ask, query: &Value, projection: &Projection) -> Result<Reply, Reply> {
    let walk = Walk::new(Dialect::ContactsV4, query, "query", state.generation)?;
    let page: Page = walk.page(state, ask)?;
    let mut body = String::with_capacity(page.positions.len() * ROOM_PER_CONTACT + 128);
    body.push_str("{\"contacts\":[");
    for (number, position) in page.positions.iter().enumerate() {
        if number > 0 {
            body.push(',');
        }
        write(&state.contacts, *position, projection, &mut body);
    }
    body.push_str("],\"pagingMetadata\":");
    let metadata = page.offset_metadata(&walk, ask.tweaks.without_total);
    body.push_str(&metadata.to_string());
    body.push('}');
    Ok(Reply::json(body, page.positions.len()))
}

fn write(table: &Table, position: usize, projection: &Projection, out: &mut String) {
    let unchanged = table.records[position].text.is_none();
    match projection {
        Projection::Full => table.write(position, false, out),
        Projection::Basic if unchanged => table.write(position, true, out),
        _ => match table.value(position) {
            // Text that is not valid JSON cannot be reduced.
            Value::String(text) => out.push_str(&text),
            value => out.push_str(&projection.apply(&value).to_string()),
        },
    }
}

fn texts<'a>(list: &'a Value, name: &str) -> Result<Vec<&'a str>, Reply> {
    let wrong = || field_violation(name, "must be a list of texts");
    match list {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}
