//! Rows to columns: `unnest` takes one array a column, which works on direct and pooled connections alike.

use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::connect::Parameter;
use crate::record::{Cell, ColumnKind, Row};

/// One column of a batch, as an array parameter.
enum Column<'a> {
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
pub(super) struct Columns<'a>(Vec<Column<'a>>);

impl<'a> Columns<'a> {
    /// `kinds` are the stream's own columns. A cell that is not of its column's kind would be a fault of
    /// the mapping, which a property test excludes; it is written as null.
    pub(super) fn of(rows: &[&'a Row], kinds: &[ColumnKind]) -> Columns<'a> {
        let mut columns = vec![
            Column::Uuid(new_ids(rows.len())),
            Column::Text(rows.iter().map(|row| Some(row.wix_id.as_str())).collect()),
            Column::Bytes(rows.iter().map(|row| &row.content_hash[..]).collect()),
            Column::Timestamp(rows.iter().map(|row| row.wix_created_at).collect()),
            Column::Timestamp(rows.iter().map(|row| row.wix_updated_at).collect()),
            Column::Integer(rows.iter().map(|row| row.wix_revision).collect()),
            Column::Text(rows.iter().map(|row| Some(row.raw.as_str())).collect()),
        ];
        for (index, kind) in kinds.iter().enumerate() {
            let cells = rows.iter().map(|row| row.cells.get(index).unwrap_or(&Cell::Null));
            columns.push(Column::own(cells, *kind));
        }
        Columns(columns)
    }

    /// The parameters in order, with `now` between the shared ones and the stream's own.
    pub(super) fn parameters<'b>(&'b self, now: &'b DateTime<Utc>) -> Vec<Parameter<'b>> {
        let mut parameters: Vec<Parameter<'b>> = self.0.iter().map(Column::parameter).collect();
        parameters.insert(7, (now, Type::TIMESTAMPTZ));
        parameters
    }
}

impl<'a> Column<'a> {
    fn own(cells: impl Iterator<Item = &'a Cell>, kind: ColumnKind) -> Column<'a> {
        match kind {
            ColumnKind::Text | ColumnKind::Decimal => Column::Text(
                cells
                    .map(|cell| match cell {
                        Cell::Text(text) | Cell::Decimal(text) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::TextList => Column::Owned(
                cells
                    .map(|cell| match cell {
                        Cell::TextList(items) => Some(array_literal(items)),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::Timestamp => Column::Timestamp(
                cells
                    .map(|cell| match cell {
                        Cell::Timestamp(instant) => Some(*instant),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::Date => Column::Date(
                cells
                    .map(|cell| match cell {
                        Cell::Date(date) => Some(*date),
                        _ => None,
                    })
                    .collect(),
            ),
            ColumnKind::Integer => Column::Integer(
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
        let (value, kind): (&(dyn ToSql + Sync), Type) = match self {
            Column::Uuid(values) => (values, Type::UUID_ARRAY),
            Column::Text(values) => (values, Type::TEXT_ARRAY),
            Column::Owned(values) => (values, Type::TEXT_ARRAY),
            Column::Bytes(values) => (values, Type::BYTEA_ARRAY),
            Column::Timestamp(values) => (values, Type::TIMESTAMPTZ_ARRAY),
            Column::Date(values) => (values, Type::DATE_ARRAY),
            Column::Integer(values) => (values, Type::INT8_ARRAY),
        };
        (value, kind)
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
