//! Customers: Wix contacts, read through Contacts v4 (wix-api.md 2).

use super::definition::{Events, Relation, Table};
use super::field::Kind::{Date, ShortText, Text, TextList};
use super::field::{Cell, Field};
use super::json::{Object, Reading};
use super::listing::{Count, Listing, Lookup, Paging};

pub static CUSTOMERS: Table = Table {
    name: "customers",
    records: "Wix contacts",
    id_column: "wix_contact_id",
    listing: Listing {
        path: "/contacts/v4/contacts/query",
        envelope: "query",
        items: "contacts",
        metadata: "pagingMetadata",
        paging: Paging::Offset,
        page_limit: 1000,
        // FULL is Wix's default; it is named to be explicit.
        fieldsets: &["FULL"],
        lookup: Lookup::Get { path: "/contacts/v4/contacts/", query: "?fieldsets=FULL", member: "contact" },
        count: Count::Total,
        statuses: None,
        api: "contacts API",
        permission: "Read Contacts",
        app: "Wix Contacts",
    },
    events: Events { fqdns: &["wix.contacts.v4.contact"], automations: &[] },
    inside: None,
    fields: &[
        Field::from("name", Text, full_name),
        Field::at("first_name", Text, "info.name.first"),
        Field::at("last_name", Text, "info.name.last"),
        Field::from("email", ShortText, email),
        Field::from("phone", Text, phone),
        Field::at("company", Text, "info.company"),
        Field::at("job_title", Text, "info.jobTitle"),
        Field::at("birthdate", Date, "info.birthdate"),
        Field::at("locale", Text, "info.locale"),
        Field::from("labels", TextList, labels),
    ],
    has_notes: true,
    range_field: None,
    needs: &[],
    relation: Some(Relation::Customer),
    personal: &[
        "name",
        "first_name",
        "last_name",
        "email",
        "phone",
        "company",
        "job_title",
        "birthdate",
        "locale",
        "labels",
    ],
};

/// First and last name, separated by a space.
fn full_name(contact: &Object<'_>) -> Reading<Cell> {
    let names = [contact.text("info.name.first")?, contact.text("info.name.last")?];
    let names: Vec<&str> = names.iter().flatten().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    Ok(if names.is_empty() { Cell::Null } else { Cell::Text(names.join(" ")) })
}

/// Null if the contact has no list of labels, which is different from an empty list.
fn labels(contact: &Object<'_>) -> Reading<Cell> {
    match contact.raw("info.labelKeys")? {
        Some(_) => contact.texts("info.labelKeys.items").map(Cell::TextList),
        None => Ok(Cell::Null),
    }
}

/// The contact's main email address: `primaryInfo`, else `primaryEmail`, else the list's primary item, else its first
/// item.
fn email(contact: &Object<'_>) -> Reading<Cell> {
    reachable_at(contact, ["primaryEmail", "info.emails.items"], |place| place.short_text("email"))
}

fn phone(contact: &Object<'_>) -> Reading<Cell> {
    reachable_at(contact, ["primaryPhone", "info.phones.items"], |place| place.text("phone"))
}

fn reachable_at(
    contact: &Object<'_>,
    [detail, list]: [&str; 2],
    read: impl Fn(&Object<'_>) -> Reading<Option<String>>,
) -> Reading<Cell> {
    let filled = |place: &Object<'_>| Ok(read(place)?.filter(|text| !text.trim().is_empty()));
    for place in ["primaryInfo", detail] {
        if let Some(value) = filled(&contact.object(place))? {
            return Ok(Cell::Text(value));
        }
    }
    let items = contact.objects(list)?;
    let is_primary = |item: &&Object<'_>| matches!(item.raw("primary"), Ok(Some(value)) if value.get() == "true");
    items.iter().find(is_primary).or(items.first()).map_or(Ok(None), filled).map(Cell::from)
}

#[cfg(test)]
mod tests {
    use super::full_name;
    use crate::table::field::Cell;
    use crate::table::json::Object;

    #[test]
    fn full_name_uses_the_parts_that_exist() {
        let name = |names: &str| full_name(&Object::parse(&format!(r#"{{"info":{{"name":{names}}}}}"#)).unwrap());
        assert_eq!(name(r#"{"first":"Nadia","last":"Okafor"}"#), Ok(Cell::Text("Nadia Okafor".to_owned())));
        assert_eq!(name(r#"{"first":" 伟 "}"#), Ok(Cell::Text("伟".to_owned())));
        assert_eq!(name(r#"{"first":" ","last":""}"#), Ok(Cell::Null));
    }
}
