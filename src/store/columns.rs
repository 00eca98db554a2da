//! Converts a batch into columns: `unnest` takes one array per column. This works on direct and pooled connections.

use std::fmt::Write;

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::session::{Parameter, Typed};
use crate::table::Table;
use crate::table::field::{Cell, Field, Kind};
use crate::table::row::Row;

/// One column of a batch.
struct Column<'a> {
    name: &'static str,
    values: Box<dyn ToSql + Sync + Send + 'a>,
    /// The array type.
    kind: Type,
}

pub(super) struct Columns<'a>(Vec<Column<'a>>);

impl<'a> Columns<'a> {
    /// Columns that all tables have, followed by the table's fields. A cell of the wrong kind would be a bug in the
    /// mapping, which a property test excludes; it is written as NULL.
    pub(super) fn of(table: &Table, rows: &[&'a Row]) -> Columns<'a> {
        let mut columns = vec![
            column("wix_id", rows.iter().map(|row| Some(row.wix_id.as_str()))),
            column("content_hash", rows.iter().map(|row| Some(&row.content_hash[..]))),
            column("wix_created_at", rows.iter().map(|row| row.wix_created_at)),
            column("wix_updated_at", rows.iter().map(|row| row.wix_updated_at)),
            column("wix_revision", rows.iter().map(|row| row.wix_revision)),
            column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
        ];
        let fields = table.fields.iter().enumerate().filter(|(_, field)| field.kind != Kind::List);
        columns.extend(fields.map(|(index, field)| cells(field, rows, index)));
        Columns(columns)
    }

    /// Adds ids for new rows. Existing rows keep theirs.
    ///
    /// The ids are ordered by time, so new entries go to the end of the primary key's index. Random ids would touch
    /// every page of it, and after a checkpoint each touched page is written to the write-ahead log in full.
    pub(super) fn with_new_ids(mut self, count: usize) -> Columns<'a> {
        self.0.push(column("id", new_ids(count).map(Some)));
        self
    }

    /// SQL: the arrays as rows `u`, for a FROM clause.
    pub(super) fn source(&self) -> String {
        let (mut arrays, mut names) = (String::new(), String::new());
        for (index, Column { name, kind, .. }) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            // The name of an array type starts with an underscore.
            let _ = write!(arrays, "{comma}${}::{}[]", index + 1, kind.name().trim_start_matches('_'));
            let _ = write!(names, "{comma}{name}");
        }
        format!("unnest({arrays}) as u ({names})")
    }

    /// The parameters of [`Columns::source`], starting at `$1`.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        self.0.iter().map(|column| -> Parameter<'_> { (&*column.values, column.kind.clone()) }).collect()
    }
}

fn column<'a, T: Typed + ToSql + Sync + Send + 'a>(
    name: &'static str,
    values: impl Iterator<Item = Option<T>>,
) -> Column<'a> {
    Column { name, values: Box::new(values.collect::<Vec<_>>()), kind: T::ARRAY }
}

/// Text lists and decimals are sent as text and cast by the statement.
fn cells<'a>(field: &Field, rows: &[&'a Row], index: usize) -> Column<'a> {
    let cells = rows.iter().map(|row| row.cells.get(index).unwrap_or(&Cell::Null));
    match field.kind {
        Kind::Text | Kind::ShortText | Kind::Id | Kind::Decimal | Kind::List => {
            column(field.name, cells.map(Cell::as_text))
        }
        Kind::TextList => column(field.name, cells.map(|cell| cell.as_list().map(array_literal))),
        Kind::Timestamp => column(field.name, cells.map(Cell::as_timestamp)),
        Kind::Date => column(field.name, cells.map(Cell::as_date)),
        Kind::Integer => column(field.name, cells.map(Cell::as_integer)),
    }
}

/// SQL: the value of a field in the row `u` of [`Columns::source`], or of its record `raw`, in the type of its column.
pub(super) fn value_of(field: &Field, raw: &str) -> String {
    let name = field.name;
    match (field.kind, field.path()) {
        (Kind::TextList, _) => format!("u.{name}::text[]"),
        (Kind::Decimal, _) => format!("u.{name}::numeric"),
        (Kind::List, Some(path)) => {
            let list = format!("{raw} #> '{{{}}}'", path.replace('.', ","));
            format!("case jsonb_typeof({list}) when 'array' then {list} end")
        }
        _ => format!("u.{name}"),
    }
}

fn new_ids(count: usize) -> impl Iterator<Item = Uuid> {
    std::iter::repeat_with(Uuid::now_v7).take(count)
}

/// A `text[]` in Postgres's text form, because `unnest` would flatten arrays of arrays.
fn array_literal(items: &[String]) -> String {
    let quoted: Vec<String> =
        items.iter().map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::{array_literal, new_ids};

    #[test]
    fn ids_of_new_rows_ascend() {
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
