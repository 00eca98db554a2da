//! Customers: Wix contacts, read through Contacts v4 (wix-api.md 2).

use super::{Entity, full_name};
use crate::json::{FieldError, Object};
use crate::record::{Cell, Column, ColumnKind};
use crate::stream::Stream;
use crate::wix::{Count, Listing, Lookup, Paging};

pub(super) struct Customers;

/// A query that names no field set gives FULL as well; naming it costs nothing and leaves no doubt.
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
    wanted: None,
    permission: "Read Contacts",
    app: "Wix Contacts",
};

/// In the order in which `sql/upsert_customers.sql` takes them.
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

    fn body<'a>(&self, item: &Object<'a>) -> Result<Object<'a>, FieldError> {
        Ok(item.clone())
    }

    fn cells(&self, contact: &Object<'_>) -> Result<Vec<Cell>, FieldError> {
        let info = contact.object("info")?;
        let name = info.object("name")?;
        let (first, last) = (name.text("first")?, name.text("last")?);
        let email = reachable_at(contact, &info, "email", "primaryEmail", "emails")?;
        let phone = reachable_at(contact, &info, "phone", "primaryPhone", "phones")?;
        let labels = match info.raw("labelKeys") {
            Some(_) => Cell::TextList(info.object("labelKeys")?.texts("items")?),
            None => Cell::Null,
        };
        Ok(vec![
            Cell::text(full_name(first.as_deref(), last.as_deref())),
            Cell::text(first),
            Cell::text(last),
            Cell::text(email),
            Cell::text(phone),
            Cell::text(info.text("company")?),
            Cell::text(info.text("jobTitle")?),
            info.date("birthdate")?.map_or(Cell::Null, Cell::Date),
            Cell::text(info.text("locale")?),
            labels,
        ])
    }
}

/// The contact's main email or phone: Wix names it in `primaryInfo` and again in `primaryEmail` or
/// `primaryPhone`; else it is the list's primary item, else its first.
fn reachable_at(
    contact: &Object<'_>,
    info: &Object<'_>,
    kind: &str,
    detail: &str,
    list: &str,
) -> Result<Option<String>, FieldError> {
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    if let Some(value) = filled(contact.object("primaryInfo")?.text(kind)?) {
        return Ok(Some(value));
    }
    if let Some(value) = filled(contact.object(detail)?.text(kind)?) {
        return Ok(Some(value));
    }
    let items = info.object(list)?.objects("items")?;
    let primary = items.iter().find(|item| item.raw("primary").is_some_and(|value| value.get() == "true"));
    Ok(filled(primary.or(items.first()).map(|item| item.text(kind)).transpose()?.flatten()))
}
