//! `sync_unreadable`: unreadable fields of records that were written without them.

use serde::Serialize;

use super::connect::Store;
use super::error::StoreError;
use super::session::{Session, params};
use crate::table::Table;
use crate::table::row::Row;

/// A column that is NULL in some live rows because the value from Wix is not readable.
#[derive(Clone, Debug, Serialize)]
pub struct UnreadableField {
    pub table: String,
    pub column: String,
    pub records: i64,
    /// The first of their Wix ids.
    pub wix_ids: Vec<String>,
}

impl Store {
    /// Unreadable fields, with at most `limit` ids each.
    pub(super) async fn list_unreadable_fields(&self, limit: i64) -> Result<Vec<UnreadableField>, StoreError> {
        let doing = "could not read sync_unreadable";
        // Rows that were deleted manually are not counted: there is nothing to fix.
        let of = |table: &'static Table| {
            let Table { name, id_column, .. } = table;
            format!(
                "select u.table_name, field, count(*), (array_agg(u.wix_id order by u.wix_id))[1:$1::bigint]
                 from {{schema}}.sync_unreadable u cross join lateral unnest(u.fields) field
                 where u.table_name = '{name}'
                    and exists (select from {{schema}}.{name} t where t.{id_column} = u.wix_id and t.deleted_at is null)
                 group by u.table_name, field"
            )
        };
        let statement = format!("{} order by 1, 2", Table::ALL.map(of).join(" union all "));
        let rows = self.rows(doing, &statement, params![limit]).await?;
        rows.map(|(table, column, records, wix_ids)| UnreadableField { table, column, records, wix_ids })
    }
}

/// Stores which fields of rows are unreadable, for rows that a batch writes or finds unchanged.
pub(super) async fn note_unreadable<'a>(
    session: &Session<'_>,
    table: &'static Table,
    rows: impl Iterator<Item = &'a Row>,
) -> Result<(), StoreError> {
    let (unreadable, readable): (Vec<&Row>, Vec<&Row>) = rows.partition(|row| !row.unreadable_fields.is_empty());
    let ids = |rows: &[&'a Row]| -> Vec<&'a str> { rows.iter().map(|row| row.wix_id.as_str()).collect() };
    let fields: Vec<String> = unreadable.iter().map(|row| format!("{{{}}}", row.unreadable_fields.join(","))).collect();
    session
        .write(
            "could not record fields in sync_unreadable",
            include_str!("sql/note_unreadable.sql"),
            params![table.name, ids(&readable), ids(&unreadable), fields],
        )
        .await
}
