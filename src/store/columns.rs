//! Rows to columns: `unnest` takes one array a column, which works on direct and pooled connections alike.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::session::{Parameter, parameter};
use crate::record::{Cell, Column, ColumnKind, Row};

/// One column of a batch, as an array parameter.
enum Array<'a> {
    Uuid(Vec<Uuid>),
    /// Text, and what travels as text and is cast by the statement: jsonb, text[], numeric.
    Text(Vec<Option<&'a str>>),
    Owned(Vec<Option<String>>),
    Bytes(Vec<&'a [u8]>),
    Timestamp(Vec<Option<DateTime<Utc>>>),
    Date(Vec<Option<NaiveDate>>),
    Integer(Vec<Option<i64>>),
}

/// A batch turned into columns: those that all tables share first, then the stream's own.
pub(super) struct Columns<'a>(Vec<Array<'a>>);

impl<'a> Columns<'a> {
    /// `own` are the stream's own columns. A cell that is not of its column's kind would be a fault of
    /// the mapping, which a property test excludes; it is written as null.
    pub(super) fn of(rows: &[&'a Row], own: &[Column]) -> Columns<'a> {
        let mut arrays = vec![Array::Uuid(new_ids(rows.len()))];
        arrays.extend(shared(rows));
        arrays.extend(own.iter().enumerate().map(|(index, column)| cells(rows, index, column.kind)));
        Columns(arrays)
    }

    /// The same to compare rows with: no new ids, and of the stream's own columns those of the table.
    pub(super) fn to_compare(rows: &[&'a Row], own: &[Column]) -> Columns<'a> {
        let mut arrays = Vec::from(shared(rows));
        let stored = own.iter().enumerate().filter(|(_, column)| column.is_stored);
        arrays.extend(stored.map(|(index, column)| cells(rows, index, column.kind)));
        Columns(arrays)
    }

    pub(super) fn arrays(&self) -> Vec<Parameter<'_>> {
        self.0.iter().map(Array::parameter).collect()
    }

    /// The parameters in order, with `now` between the shared ones and the stream's own.
    pub(super) fn parameters<'b>(&'b self, now: &'b DateTime<Utc>) -> Vec<Parameter<'b>> {
        let mut parameters = self.arrays();
        parameters.insert(7, parameter(now));
        parameters
    }
}

/// Wix's id, hash of the content, dates, revision and the record itself.
fn shared<'a>(rows: &[&'a Row]) -> [Array<'a>; 6] {
    [
        Array::Text(rows.iter().map(|row| Some(row.wix_id.as_str())).collect()),
        Array::Bytes(rows.iter().map(|row| &row.content_hash[..]).collect()),
        Array::Timestamp(rows.iter().map(|row| row.wix_created_at).collect()),
        Array::Timestamp(rows.iter().map(|row| row.wix_updated_at).collect()),
        Array::Integer(rows.iter().map(|row| row.wix_revision).collect()),
        Array::Text(rows.iter().map(|row| Some(row.raw.as_str())).collect()),
    ]
}

fn cells<'a>(rows: &[&'a Row], index: usize, kind: ColumnKind) -> Array<'a> {
    Array::of(rows.iter().map(|row| row.cells.get(index).unwrap_or(&Cell::Null)), kind)
}

impl<'a> Array<'a> {
    fn of(cells: impl Iterator<Item = &'a Cell>, kind: ColumnKind) -> Array<'a> {
        match kind {
            ColumnKind::Text | ColumnKind::Decimal => Array::Text(
                cells
                    .map(|cell| match cell {
                        Cell::Text(text) | Cell::Decimal(text) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::TextList => Array::Owned(
                cells
                    .map(|cell| match cell {
                        Cell::TextList(items) => Some(array_literal(items)),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::Timestamp => Array::Timestamp(
                cells
                    .map(|cell| match cell {
                        Cell::Timestamp(instant) => Some(*instant),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::Date => Array::Date(
                cells
                    .map(|cell| match cell {
                        Cell::Date(date) => Some(*date),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::Integer => Array::Integer(
                cells
                    .map(|cell| match cell {
                        Cell::Integer(number) => Some(*number),
                        _ => None,
                    })
                    .collect(),
            ),
        }
    }

    fn parameter(&self) -> Parameter<'_> {
        match self {
            Array::Uuid(values) => parameter(values),
            Array::Text(values) => parameter(values),
            Array::Owned(values) => parameter(values),
            Array::Bytes(values) => parameter(values),
            Array::Timestamp(values) => parameter(values),
            Array::Date(values) => parameter(values),
            Array::Integer(values) => parameter(values),
        }
    }
}

/// Ids for rows that turn out to be new; those that are there keep theirs. In the order of time: each goes to the end
/// of the primary key's index, where random ones would touch all of it, which after a checkpoint is a whole page of
/// write-ahead log a row.
fn new_ids(count: usize) -> Vec<Uuid> {
    std::iter::repeat_with(Uuid::now_v7).take(count).collect()
}

/// Postgres's text form of a `text[]`: arrays of arrays would be flattened by `unnest`.
fn array_literal(items: &[String]) -> String {
    let quoted: Vec<String> =
        items.iter().map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::{array_literal, new_ids};

    #[test]
    fn ids_of_new_rows_ascend_within_a_batch_and_from_one_to_the_next() {
        let ids: Vec<_> = [1000, 1000].into_iter().flat_map(new_ids).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn array_literals_quote_every_item() {
        assert_eq!(array_literal(&[]), "{}");
        assert_eq!(
            array_literal(&["a b".to_owned(), r#"q"\{}"#.to_owned(), "NULL".to_owned()]),
            r#"{"a b","q\"\\{}","NULL"}"#
        );
    }
}
