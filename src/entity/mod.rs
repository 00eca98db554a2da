//! What differs between the tables: where Wix lists the records, and how one maps to a row.
//!
//! ARCHITECTURE.md lists what a fourth table needs.

mod appointments;
mod customers;
mod orders;
#[cfg(test)]
mod samples;

use chrono::{DateTime, Utc};

use crate::content_hash::content_hash;
use crate::excerpt::{Excerpt, why_rejected};
use crate::json::{Object, Reading, normal_id};
use crate::json_damage::visible_text;
use crate::record::{Cell, Column, MAX_KEY_BYTES, MappedRecord, Rejection, Row};
use crate::stream::Stream;
use crate::timestamp::{self, Timestamp};
use crate::wix::Listing;

pub trait Entity: Sync {
    fn stream(&self) -> Stream;

    fn listing(&self) -> &'static Listing;

    /// The table's own columns, in the order of its upsert statement.
    fn columns(&self) -> &'static [Column];

    /// The object inside a listed item that holds `id`, `createdDate` and the like.
    fn body<'a>(&self, item: &Object<'a>) -> Object<'a>;

    /// The cells of [`Entity::columns`]. What Wix did not send is null.
    fn cells(&self, body: &Object<'_>) -> Vec<Reading<Cell>>;
}

pub fn entity_of(stream: Stream) -> &'static dyn Entity {
    match stream {
        Stream::Customers => &customers::Customers,
        Stream::Appointments => &appointments::Appointments,
        Stream::Orders => &orders::Orders,
    }
}

/// Maps one record, as JSON text, to its row. A field that cannot be read becomes null, and the row names it. Only a
/// record without a usable id is rejected; the rejection holds the whole record and the reason.
pub fn map_record(entity: &dyn Entity, raw: String) -> MappedRecord {
    let raw = Excerpt::if_too_large(raw);
    let fields = match (why_rejected(&raw), try_map(entity, &raw)) {
        (None, Ok(fields)) => fields,
        (Some(reason), _) => return Err(reject(entity, raw, reason)),
        (None, Err(error)) => return Err(reject(entity, raw, error.to_string())),
    };
    let Fields { wix_id, wix_created_at, wix_updated_at, wix_revision, cells, unreadable } = fields;
    let content_hash = content_hash(&raw, &unreadable);
    Ok(Row {
        wix_id,
        wix_created_at,
        wix_updated_at,
        wix_revision,
        content_hash,
        raw,
        cells,
        unreadable_fields: unreadable,
    })
}

fn reject(entity: &dyn Entity, raw: String, reason: String) -> Rejection {
    let Ok(record) = Object::parse(&raw) else { return reject_damaged(entity, raw, reason) };
    let body = entity.body(&record);
    let (wix_id, wix_created_at) = (body.id("id").ok().flatten(), body.instant("createdDate").ok().flatten());
    Rejection { wix_id, wix_created_at, reason, raw }
}

/// A record that is not an object, or not even JSON. Its id and date may still be visible in the text.
fn reject_damaged(entity: &dyn Entity, raw: String, reason: String) -> Rejection {
    let inside = (entity.stream() == Stream::Appointments).then_some("booking");
    let text = |name| visible_text(&raw, inside, name).filter(|text| !text.is_empty());
    let wix_created_at = text("createdDate").and_then(|date| match timestamp::parse(&date)? {
        Timestamp::Instant(instant) => Some(instant),
        Timestamp::Local(local) => Some(local.and_utc()),
    });
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&raw).is_ok();
    let reason = if is_json { reason } else { "the record is not valid JSON".to_owned() };
    let wix_id = text("id").map(normal_id).filter(|id| id.len() <= MAX_KEY_BYTES);
    Rejection { wix_id, wix_created_at, reason, raw }
}

struct Fields {
    wix_id: String,
    wix_created_at: Option<DateTime<Utc>>,
    wix_updated_at: Option<DateTime<Utc>>,
    wix_revision: Option<i64>,
    cells: Vec<Cell>,
    /// The names of the columns whose fields could not be read.
    unreadable: Vec<&'static str>,
}

fn try_map(entity: &dyn Entity, raw: &str) -> Reading<Fields> {
    let body = entity.body(&Object::parse(raw)?);
    let wix_id = body.id("id")?.ok_or_else(|| body.error("id", "there"))?;
    let mut unreadable = Vec::new();
    let wix_created_at = read(body.instant("createdDate"), "wix_created_at", &mut unreadable);
    let wix_updated_at = read(body.instant("updatedDate"), "wix_updated_at", &mut unreadable);
    let wix_revision = read(body.integer("revision"), "wix_revision", &mut unreadable);
    let mut cells = Vec::with_capacity(entity.columns().len());
    for (cell, column) in entity.cells(&body).into_iter().zip(entity.columns()) {
        cells.push(read(cell.map(Some), column.name, &mut unreadable).unwrap_or(Cell::Null));
    }
    Ok(Fields { wix_id, wix_created_at, wix_updated_at, wix_revision, cells, unreadable })
}

/// The value; if it could not be read, `None`, and the column's name is noted.
fn read<T>(reading: Reading<Option<T>>, column: &'static str, unreadable: &mut Vec<&'static str>) -> Option<T> {
    reading.unwrap_or_else(|_| {
        unreadable.push(column);
        None
    })
}

/// First and last name with a space between; `None` if there is neither.
fn full_name(first: Option<&str>, last: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = [first, last].into_iter().flatten().map(str::trim).filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{entity_of, full_name, map_record};
    use crate::record::{Cell, ColumnKind};
    use crate::stream::Stream;

    #[test]
    fn a_full_name_is_made_of_what_there_is() {
        assert_eq!(full_name(Some("Nadia"), Some("Okafor")).as_deref(), Some("Nadia Okafor"));
        assert_eq!(full_name(Some(" 伟 "), None).as_deref(), Some("伟"));
        assert_eq!(full_name(Some(" "), Some("")), None);
    }

    #[test]
    fn records_without_a_usable_id_come_back_whole() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(513));
        for (stream, raw, reason) in [
            (Stream::Customers, r#"{"revision":1}"#, "`id` is not there"),
            (Stream::Customers, r#"{"id":{}}"#, "`id` is not text"),
            (Stream::Customers, &long, "`id` is not an id of at most 512 bytes"),
            (Stream::Appointments, r#"{"id":"b"}"#, "`booking.id` is not there"),
            (Stream::Appointments, r#"{"booking":7}"#, "`booking` is not an object"),
            (Stream::Orders, r#"[1,2]"#, "`the record` is not an object"),
        ] {
            let rejection = map_record(entity_of(stream), raw.to_owned()).expect_err(raw);
            assert_eq!(
                (rejection.wix_id.as_deref(), rejection.reason.as_str(), rejection.raw.as_str()),
                (None, reason, raw)
            );
        }
    }

    #[test]
    fn a_field_that_cannot_be_read_is_null_and_named() {
        const INFO: &[&str] =
            &["name", "first_name", "last_name", "company", "job_title", "birthdate", "locale", "labels"];
        let long = format!(r#"{{"id":"c","buyerInfo":{{"contactId":"{0}","email":"{0}"}}}}"#, "x".repeat(513));
        for (stream, raw, names) in [
            (Stream::Customers, r#"{"id":"a","info":{"birthdate":"1988-02-31"}}"#, &["birthdate"][..]),
            (Stream::Customers, r#"{"id":"a","info":"x","primaryInfo":{"email":"e","phone":"1"}}"#, INFO),
            (
                Stream::Customers,
                r#"{"id":"a","revision":[],"createdDate":"soon"}"#,
                &["wix_created_at", "wix_revision"],
            ),
            (Stream::Appointments, r#"{"booking":{"id":"b","startDate":"soon"}}"#, &["start_time"]),
            (Stream::Appointments, r#"{"booking":{"id":"b","totalParticipants":99999999999}}"#, &["participants"]),
            (Stream::Orders, r#"{"id":"c","priceSummary":{"total":{"amount":"NaN"}}}"#, &["total_amount"]),
            (Stream::Orders, r#"{"id":"c","lineItems":{}}"#, &["items"]),
            (Stream::Orders, &long, &["wix_contact_id", "email"]),
        ] {
            let row = map_record(entity_of(stream), raw.to_owned()).expect(raw);
            assert_eq!(row.unreadable_fields, names, "{raw}");
            let position = |name: &&str| entity_of(stream).columns().iter().position(|column| column.name == *name);
            assert!(names.iter().filter_map(position).all(|position| row.cells[position] == Cell::Null), "{raw}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
            Just("2026-09-14T16:40:07.552Z".into()),
            Just("12.50".into()),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let names = prop::sample::select(MEMBERS).prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(names, inner, 0..8)
                    .prop_map(|map| { serde_json::Value::Object(map.into_iter().collect()) })
            ]
        })
    }

    /// Every field that the mapping reads, so that random records are of roughly the right shape.
    const MEMBERS: &[&str] = &[
        "id",
        "createdDate",
        "updatedDate",
        "revision",
        "info",
        "name",
        "first",
        "last",
        "emails",
        "phones",
        "items",
        "email",
        "phone",
        "primary",
        "primaryInfo",
        "primaryEmail",
        "primaryPhone",
        "company",
        "jobTitle",
        "birthdate",
        "locale",
        "labelKeys",
        "booking",
        "bookedEntity",
        "slot",
        "schedule",
        "serviceId",
        "startDate",
        "endDate",
        "timezone",
        "location",
        "resource",
        "contactDetails",
        "contactId",
        "totalParticipants",
        "participantsChoices",
        "serviceChoices",
        "numberOfParticipants",
        "number",
        "buyerInfo",
        "purchasedDate",
        "priceSummary",
        "total",
        "amount",
        "lineItems",
        "status",
        "currency",
        "title",
    ];

    proptest! {
        #[test]
        fn any_json_becomes_a_row_of_the_right_shape_or_is_kept_with_a_reason(value in any_json(), stream in prop::sample::select(&Stream::ALL[..])) {
            let raw = value.to_string();
            let entity = entity_of(stream);
            match map_record(entity, raw.clone()) {
                Ok(row) => {
                    prop_assert!(!row.wix_id.is_empty());
                    prop_assert_eq!(row.raw, raw);
                    prop_assert_eq!(row.cells.len(), entity.columns().len());
                    for (cell, column) in row.cells.iter().zip(entity.columns()) {
                        let kind = column.kind;
                        let fits = matches!(
                            (cell, kind),
                            (Cell::Null, _) | (Cell::Text(_), ColumnKind::Text) | (Cell::TextList(_), ColumnKind::TextList)
                                | (Cell::Timestamp(_), ColumnKind::Timestamp) | (Cell::Date(_), ColumnKind::Date)
                                | (Cell::Integer(_), ColumnKind::Integer) | (Cell::Decimal(_), ColumnKind::Decimal)
                        );
                        prop_assert!(fits, "{:?} in a column of kind {:?}", cell, kind);
                    }
                }
                Err(rejection) => {
                    prop_assert_eq!(rejection.raw, raw);
                    prop_assert!(!rejection.reason.is_empty());
                }
            }
        }
    }
}
