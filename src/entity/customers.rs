//! Customers: Wix contacts, read through Contacts v4 (wix-api.md 2).

use super::{Entity, full_name};
use crate::json::{Object, Reading};
use crate::record::{Cell, Column, ColumnKind};
use crate::stream::Stream;
use crate::wix::{Count, Listing, Lookup, Paging};

pub(super) struct Customers;

/// A query without a field set returns FULL as well; it is named to leave no doubt.
static LISTING: Listing = Listing {
    path: "/contacts/v4/contacts/query",
    envelope: "query",
    items: "contacts",
    metadata: "pagingMetadata",
    paging: Paging::Offset,
    page_limit: 1000,
    fieldsets: &["FULL"],
    lookup: Lookup::Get { path: "/contacts/v4/contacts/", query: "?fieldsets=FULL", member: "contact" },
    count: Count::Total,
    statuses: None,
    permission: "Read Contacts",
    app: "Wix Contacts",
};

/// In the order of `sql/upsert_customers.sql`.
const COLUMNS: &[Column] = {
    use ColumnKind::{Date, Text, TextList};
    &[
        Column::named("name", Text),
        Column::named("first_name", Text),
        Column::named("last_name", Text),
        Column::named("email", Text),
        Column::named("phone", Text),
        Column::named("company", Text),
        Column::named("job_title", Text),
        Column::named("birthdate", Date),
        Column::named("locale", Text),
        Column::named("labels", TextList),
    ]
};

impl Entity for Customers {
    fn stream(&self) -> Stream {
        Stream::Customers
    }

    fn listing(&self) -> &'static Listing {
        &LISTING
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn body<'a>(&self, item: &Object<'a>) -> Object<'a> {
        item.clone()
    }

    fn cells(&self, contact: &Object<'_>) -> Vec<Reading<Cell>> {
        let info = contact.object("info");
        let name = info.object("name");
        let (first, last) = (name.text("first"), name.text("last"));
        let full = match (&first, &last) {
            (Ok(first), Ok(last)) => Ok(full_name(first.as_deref(), last.as_deref())),
            (Err(error), _) | (_, Err(error)) => Err(error.clone()),
        };
        vec![
            full.map(Cell::text),
            first.map(Cell::text),
            last.map(Cell::text),
            email(contact, &info).map(Cell::text),
            phone(contact, &info).map(Cell::text),
            info.text("company").map(Cell::text),
            info.text("jobTitle").map(Cell::text),
            info.date("birthdate").map(|date| date.map_or(Cell::Null, Cell::Date)),
            info.text("locale").map(Cell::text),
            labels(&info),
        ]
    }
}

fn labels(info: &Object<'_>) -> Reading<Cell> {
    match info.raw("labelKeys")? {
        Some(_) => info.object("labelKeys").texts("items").map(Cell::TextList),
        None => Ok(Cell::Null),
    }
}

/// The contact's main email: Wix names it in `primaryInfo` and again in `primaryEmail`; else it is the list's primary
/// item, else its first.
fn email(contact: &Object<'_>, info: &Object<'_>) -> Reading<Option<String>> {
    reachable_at(contact, info, ["primaryEmail", "emails"], |place| place.short_text("email"))
}

/// The contact's main phone, found in the same way as the email.
fn phone(contact: &Object<'_>, info: &Object<'_>) -> Reading<Option<String>> {
    reachable_at(contact, info, ["primaryPhone", "phones"], |place| place.text("phone"))
}

fn reachable_at(
    contact: &Object<'_>,
    info: &Object<'_>,
    [detail, list]: [&str; 2],
    read: impl Fn(&Object<'_>) -> Reading<Option<String>>,
) -> Reading<Option<String>> {
    let filled = |place: &Object<'_>| Ok(read(place)?.filter(|text| !text.trim().is_empty()));
    if let Some(value) = filled(&contact.object("primaryInfo"))? {
        return Ok(Some(value));
    }
    if let Some(value) = filled(&contact.object(detail))? {
        return Ok(Some(value));
    }
    let items = info.object(list).objects("items")?;
    let is_primary = |item: &&Object<'_>| matches!(item.raw("primary"), Ok(Some(value)) if value.get() == "true");
    items.iter().find(is_primary).or(items.first()).map_or(Ok(None), filled)
}
