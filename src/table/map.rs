//! Maps a Wix record to a row.

use serde_json::value::RawValue;

use super::definition::{Relation, Table};
use super::excerpt::{Excerpt, why_rejected};
use super::field::{Cell, Field};
use super::hash::content_hash;
use super::json::{MAX_KEY_BYTES, Object, Reading, normal_id, value_or_note};
use super::json_damage::visible_text;
use super::row::{MappedRecord, Rejection, Row};
use super::timestamp::{self, Timestamp};

/// Maps one record, as JSON text, to its row. A field that cannot be read becomes null, and the row names it. Only a
/// record without a usable id is rejected. The rejection has the whole record and the reason.
pub fn map_record(table: &Table, raw: String) -> MappedRecord {
    let raw = Excerpt::if_too_large(raw);
    let mapped = match why_rejected(&raw) {
        Some(reason) => Err(reason),
        None => read_row(table, &raw).map_err(|error| error.to_string()),
    };
    match mapped {
        Ok(row) => Ok(Row { content_hash: content_hash(&raw, &row.unreadable_fields), raw, ..row }),
        Err(reason) => Err(reject(table, raw, reason)),
    }
}

/// The row without `raw` and its hash.
fn read_row(table: &Table, raw: &str) -> Reading<Row> {
    let record = record_of(table, &Object::parse(raw)?);
    let wix_id = record.id("id")?.ok_or_else(|| record.missing("id"))?;
    let mut unreadable = Vec::new();
    let mut row = Row {
        wix_id,
        wix_created_at: value_or_note(record.instant("createdDate"), "wix_created_at", &mut unreadable),
        wix_updated_at: value_or_note(record.instant("updatedDate"), "wix_updated_at", &mut unreadable),
        wix_revision: value_or_note(record.integer("revision"), "wix_revision", &mut unreadable),
        ..Row::default()
    };
    let cell_of = |field: &Field| value_or_note(field.read(&record).map(Some), field.name, &mut unreadable);
    row.cells = table.fields.iter().map(cell_of).map(|cell| cell.unwrap_or(Cell::Null)).collect();
    if let Some(Relation::Booking { contact }) = table.relation {
        row.contact = Some(Box::new(contact(&record, &mut unreadable)));
    }
    row.unreadable_fields = unreadable;
    Ok(row)
}

/// The object that contains `id`, `createdDate` and similar fields.
pub fn record_of<'a>(table: &Table, item: &Object<'a>) -> Object<'a> {
    table.inside.map_or_else(|| item.clone(), |name| item.object(name))
}

fn reject(table: &Table, raw: String, reason: String) -> Rejection {
    let Ok(record) = Object::parse(&raw) else { return reject_damaged(table, raw, reason) };
    let body = record_of(table, &record);
    let (wix_id, wix_created_at) = (body.id("id").ok().flatten(), body.instant("createdDate").ok().flatten());
    Rejection { wix_id, wix_created_at, reason, raw }
}

/// A record that is not an object or not valid JSON. Its id and date may still be readable in the text.
fn reject_damaged(table: &Table, raw: String, reason: String) -> Rejection {
    let text = |name| visible_text(&raw, table.inside, name).filter(|text| !text.is_empty());
    let wix_created_at = text("createdDate").and_then(|date| match timestamp::parse(&date)? {
        Timestamp::Instant(instant) => Some(instant),
        Timestamp::Local(local) => Some(local.and_utc()),
    });
    let is_json = serde_json::from_str::<&RawValue>(&raw).is_ok();
    let reason = if is_json { reason } else { "the record is not valid JSON".to_owned() };
    let wix_id = text("id").map(normal_id).filter(|id| id.len() <= MAX_KEY_BYTES);
    Rejection { wix_id, wix_created_at, reason, raw }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::map_record;
    use crate::table::field::{Cell, Kind};
    use crate::table::{APPOINTMENTS, CUSTOMERS, ORDERS, Table};

    #[test]
    fn records_without_a_usable_id_come_back_whole() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(513));
        for (table, raw, reason) in [
            (&CUSTOMERS, r#"{"revision":1}"#, "`id` is missing"),
            (&CUSTOMERS, r#"{"id":{}}"#, "`id` is not text"),
            (&CUSTOMERS, &long, "`id` is not an id of at most 512 bytes"),
            (&APPOINTMENTS, r#"{"id":"b"}"#, "`booking.id` is missing"),
            (&APPOINTMENTS, r#"{"booking":7}"#, "`booking` is not an object"),
            (&ORDERS, r#"[1,2]"#, "`the record` is not an object"),
        ] {
            let rejection = map_record(table, raw.to_owned()).expect_err(raw);
            assert_eq!(
                (rejection.wix_id.as_deref(), rejection.reason.as_str(), rejection.raw.as_str()),
                (None, reason, raw)
            );
        }
    }

    #[test]
    fn field_that_cannot_be_read_is_null_and_named() {
        const INFO: &[&str] =
            &["name", "first_name", "last_name", "company", "job_title", "birthdate", "locale", "labels"];
        let long = format!(r#"{{"id":"c","buyerInfo":{{"contactId":"{0}","email":"{0}"}}}}"#, "x".repeat(513));
        for (table, raw, names) in [
            (&CUSTOMERS, r#"{"id":"a","info":{"birthdate":"1988-02-31"}}"#, &["birthdate"][..]),
            (&CUSTOMERS, r#"{"id":"a","info":"x","primaryInfo":{"email":"e","phone":"1"}}"#, INFO),
            (&CUSTOMERS, r#"{"id":"a","revision":[],"createdDate":"soon"}"#, &["wix_created_at", "wix_revision"]),
            (&APPOINTMENTS, r#"{"booking":{"id":"b","startDate":"soon"}}"#, &["start_time"]),
            (&APPOINTMENTS, r#"{"booking":{"id":"b","totalParticipants":99999999999}}"#, &["participants"]),
            (&ORDERS, r#"{"id":"c","priceSummary":{"total":{"amount":"NaN"}}}"#, &["total_amount"]),
            (&ORDERS, r#"{"id":"c","lineItems":{}}"#, &["items"]),
            (&ORDERS, &long, &["wix_contact_id", "email"]),
        ] {
            let row = map_record(table, raw.to_owned()).expect(raw);
            assert_eq!(row.unreadable_fields, names, "{raw}");
            let position = |name: &&str| table.fields.iter().position(|field| field.name == *name);
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

    /// All fields that the mapping reads, so that random records resemble real ones.
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
        fn any_json_becomes_a_row_or_is_rejected(value in any_json(), table in prop::sample::select(&Table::ALL[..])) {
            let raw = value.to_string();
            match map_record(table, raw.clone()) {
                Ok(row) => {
                    prop_assert!(!row.wix_id.is_empty());
                    prop_assert_eq!(row.raw, raw);
                    prop_assert_eq!(row.cells.len(), table.fields.len());
                    for (cell, field) in row.cells.iter().zip(table.fields) {
                        let kind = field.kind;
                        let fits = matches!(
                            (cell, kind),
                            (Cell::Null, _) | (Cell::Text(_), Kind::Text | Kind::ShortText | Kind::Id)
                                | (Cell::TextList(_), Kind::TextList) | (Cell::Timestamp(_), Kind::Timestamp)
                                | (Cell::Date(_), Kind::Date) | (Cell::Integer(_), Kind::Integer)
                                | (Cell::Decimal(_), Kind::Decimal)
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
