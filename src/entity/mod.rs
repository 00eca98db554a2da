//! What differs between the streams: where Wix lists the records, and how one maps to a row.
//!
//! To add a stream: a file here beside the three, its variant in [`crate::stream::Stream`], a migration
//! for its table, and `src/store/sql/upsert_<table>.sql`. Everything else is the same for all.

mod appointments;
mod customers;
mod orders;

use crate::content_hash::content_hash;
use crate::json::{FieldError, Object};
use crate::record::{Cell, Column, Envelope, MappedRecord, Rejection, Row};
use crate::stream::Stream;
use crate::wix::Listing;

/// The code that knows one stream.
pub trait Entity: Sync {
    /// Which stream.
    fn stream(&self) -> Stream;

    /// Where Wix lists its records.
    fn listing(&self) -> &'static Listing;

    /// The stream's own columns, in the order in which its upsert statement takes them.
    fn columns(&self) -> &'static [Column];

    /// The object inside a listed item that holds `id`, `createdDate` and the like.
    fn body<'a>(&self, item: &Object<'a>) -> Result<Object<'a>, FieldError>;

    /// The cells of [`Entity::columns`]. What Wix did not send is null; nothing is invented.
    fn cells(&self, body: &Object<'_>) -> Result<Vec<Cell>, FieldError>;
}

/// The code that knows `stream`.
pub fn entity_of(stream: Stream) -> &'static dyn Entity {
    match stream {
        Stream::Customers => &customers::Customers,
        Stream::Appointments => &appointments::Appointments,
        Stream::Orders => &orders::Orders,
    }
}

/// Maps one record, as JSON text, to its row. Never panics and never loses it: what can't be mapped comes
/// back whole, with the reason.
pub fn map_record(entity: &dyn Entity, raw: String) -> MappedRecord {
    match try_map(entity, &raw) {
        Ok((envelope, cells)) => Ok(Row {
            wix_id: envelope.wix_id,
            wix_created_at: envelope.wix_created_at,
            wix_updated_at: envelope.wix_updated_at,
            wix_revision: envelope.wix_revision,
            content_hash: content_hash(&raw),
            raw,
            cells,
        }),
        Err(error) => {
            let body = Object::parse(&raw).and_then(|item| entity.body(&item)).unwrap_or_default();
            Err(Rejection {
                wix_id: body.text("id").ok().flatten().filter(|id| !id.is_empty()),
                wix_created_at: body.instant("createdDate").ok().flatten(),
                reason: error.to_string(),
                raw,
            })
        }
    }
}

fn try_map(entity: &dyn Entity, raw: &str) -> Result<(Envelope, Vec<Cell>), FieldError> {
    let body = entity.body(&Object::parse(raw)?)?;
    let wix_id = body.text("id")?.filter(|id| !id.is_empty()).ok_or_else(|| body.error("id", "there"))?;
    let envelope = Envelope {
        wix_id,
        wix_created_at: body.instant("createdDate")?,
        wix_updated_at: body.instant("updatedDate")?,
        wix_revision: body.integer("revision")?,
    };
    Ok((envelope, entity.cells(&body)?))
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
    fn records_that_cant_be_mapped_come_back_whole() {
        for (stream, raw, id, reason) in [
            (Stream::Customers, r#"{"revision":1}"#, None, "`id` is not there"),
            (Stream::Customers, r#"{"id":"a","info":"x"}"#, Some("a"), "`info` is not an object"),
            (
                Stream::Customers,
                r#"{"id":"a","info":{"birthdate":"1988-02-31"}}"#,
                Some("a"),
                "`info.birthdate` is not a date",
            ),
            (
                Stream::Appointments,
                r#"{"booking":{"id":"b","startDate":"soon"}}"#,
                Some("b"),
                "`booking.startDate` is not a date and time",
            ),
            (Stream::Appointments, r#"{"id":"b"}"#, None, "`booking.id` is not there"),
            (
                Stream::Orders,
                r#"{"id":"c","priceSummary":{"total":{"amount":"NaN"}}}"#,
                Some("c"),
                "`priceSummary.total.amount` is not a decimal number",
            ),
            (Stream::Orders, r#"[1,2]"#, None, "`the record` is not an object"),
        ] {
            let rejection = map_record(entity_of(stream), raw.to_owned()).expect_err(raw);
            assert_eq!(
                (rejection.wix_id.as_deref(), rejection.reason.as_str(), rejection.raw.as_str()),
                (id, reason, raw)
            );
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

    /// Every member that the mapping reads, so that random records are of roughly the right shape.
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
