//! Compares a table with the records that Wix returns. Reads only.

use std::collections::HashMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::columns::{Columns, value_of};
use super::connect::Store;
use super::error::StoreError;
use super::links::{OWN_CUSTOMER, customer_of};
use super::missing::{IS_WAITING, is_placeholder};
use super::row_counts::live_rows;
use super::session::{Parameter, Session, params};
use super::span::{ListedKey, Span, listed_key_of_row};
use crate::table::field::Kind;
use crate::table::row::Row;
use crate::table::{Relation, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowDiff {
    /// No row exists, or it is marked as deleted.
    Missing,
    Different,
    UpToDate,
}

/// Live rows of a span that Wix did not return in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotInWix {
    /// The first of their Wix ids.
    pub ids: Vec<String>,
    pub count: u64,
    /// How many of them the deletion limit applies to.
    pub limited: u64,
    /// How many of these a sync would look up now, without waiting.
    pub due: u64,
}

impl Store {
    /// The state of each of these records in the table, and whether its row has no creation date from Wix.
    pub async fn compare_rows(
        &mut self,
        table: &'static Table,
        rows: &[Row],
    ) -> Result<Vec<(RowDiff, bool)>, StoreError> {
        let doing = "could not read the rows to compare";
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select {id_column}::text, content_hash, wix_created_at is null from {{schema}}.{name}
             where {id_column} = any ($1) and deleted_at is null"
        );
        let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
        let session = self.begin().await?;
        let found = session.rows(doing, &statement, params![ids]).await?;
        session.rollback(doing).await?;
        let stored: HashMap<String, (Option<Vec<u8>>, bool)> =
            found.map(|(wix_id, content_hash, is_undated)| (wix_id, (content_hash, is_undated)))?;
        let diff = |row: &Row| match stored.get(&row.wix_id) {
            None => (RowDiff::Missing, false),
            Some((hash, is_undated)) if hash.as_deref() == Some(&row.content_hash[..]) => {
                (RowDiff::UpToDate, *is_undated)
            }
            Some((_, is_undated)) => (RowDiff::Different, *is_undated),
        };
        Ok(rows.iter().map(diff).collect())
    }

    /// Columns whose value differs from these records, by Wix id: another program or another version of this one wrote
    /// them. Only rows with the record's content hash are compared.
    pub async fn compare_columns(
        &mut self,
        table: &'static Table,
        rows: &[&Row],
    ) -> Result<HashMap<String, Vec<String>>, StoreError> {
        let doing = "could not compare the columns of rows";
        let columns = Columns::of(table, rows);
        let statement = comparing_statement(table, &columns);
        let session = self.begin().await?;
        let found = session.rows(doing, &statement, &columns.parameters()).await?;
        session.rollback(doing).await?;
        found.all()
    }

    /// Live rows of a span that Wix did not return in it, with at most `limit` ids. Placeholders whose booking exists
    /// in Wix are not counted, because Wix need not return those contacts.
    pub async fn list_not_in_wix(
        &self,
        table: &'static Table,
        span: &Span,
        limit: i64,
    ) -> Result<NotInWix, StoreError> {
        let Table { name, id_column, .. } = table;
        let is_placeholder = is_placeholder(table);
        let listed_key = listed_key_of_row(table);
        let statement = format!(
            "select t.{id_column}::text, count(*) over () as count,
                count(*) filter (where not {is_placeholder}) over () as limited,
                count(*) filter (where not {is_placeholder} and not exists (
                    select from {{schema}}.sync_missing m
                    where m.table_name = $6 and m.wix_id = t.{id_column} and {IS_WAITING}
                )) over () as due
             from {{schema}}.{name} t
             where t.deleted_at is null and t.{id_column} is not null and not {listed_key} = any ($3)
                and not ({is_placeholder} and exists (
                    select from {{schema}}.appointments b
                    where b.wix_contact_id = t.{id_column} and b.deleted_at is null
                ))
                and (
                    (t.wix_created_at >= coalesce($1, '-infinity') and t.wix_created_at < coalesce($2, 'infinity'))
                    or ($4 and t.wix_created_at is null)
                )
             order by 1 limit $5"
        );
        let listed: Vec<&[u8]> = span.listed.iter().map(ListedKey::as_slice).collect();
        let doing = "could not find pending deletions";
        let parameters = params![span.from, span.until, listed, span.at_end, limit, name];
        let rows = self.rows(doing, &statement, parameters).await?;
        let number = |name: &str| rows.get::<i64>(name).map(i64::unsigned_abs);
        Ok(NotInWix { ids: rows.values()?, count: number("count")?, limited: number("limited")?, due: number("due")? })
    }

    pub async fn count_live_rows(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.count(&live_rows(table), params![]).await
    }

    /// Number of live rows from which the deletion limit is calculated.
    pub async fn count_limited_rows(&self, table: &'static Table) -> Result<u64, StoreError> {
        let Table { name, id_column, .. } = table;
        let is_placeholder = is_placeholder(table);
        let statement = format!(
            "select count(*) from {{schema}}.{name} t
             where t.{id_column} is not null and t.deleted_at is null and not {is_placeholder}"
        );
        self.count(&statement, params![]).await
    }

    /// Number of pending deletions that the deletion limit applies to, and how many of them a sync would look up now.
    pub async fn count_noted_missing(&self, table: &'static Table) -> Result<(u64, u64), StoreError> {
        let Table { name, id_column, .. } = table;
        let is_placeholder = is_placeholder(table);
        let noted = format!(
            "select count(*) from {{schema}}.sync_missing m join {{schema}}.{name} t on t.{id_column} = m.wix_id
             where m.table_name = $1 and t.deleted_at is null and not {is_placeholder}"
        );
        let due = format!("{noted} and not {IS_WAITING}");
        Ok((self.count(&noted, params![name]).await?, self.count(&due, params![name]).await?))
    }

    async fn count(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError> {
        let doing = "could not count rows to compare";
        self.rows(doing, statement, parameters).await?.count()
    }

    pub async fn load_raw(&self, table: &'static Table, wix_id: &str) -> Result<Option<String>, StoreError> {
        let Table { name, id_column, .. } = table;
        let statement = format!("select raw::text from {{schema}}.{name} where {id_column} = $1");
        let doing = "could not read a row to compare";
        self.rows(doing, &statement, params![wix_id]).await?.value()
    }

    /// Adds rows to `sync_missing`.
    pub async fn note_missing(
        &mut self,
        table: &'static Table,
        wix_ids: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not store pending deletions in sync_missing";
        let statement = "insert into {schema}.sync_missing (table_name, wix_id, found_at)
             select $1, t, $3 from unnest($2::text[]) t
             on conflict (table_name, wix_id) do nothing";
        self.write(doing, statement, params![table.name, wix_ids, now]).await
    }
}

/// Clears the content hash, so that the same transaction writes live rows even if their content is unchanged. Must not
/// be committed alone: any copy of the record could then overwrite these rows.
pub(super) async fn forget_content(
    session: &Session<'_>,
    table: &'static Table,
    rows: &[&Row],
) -> Result<(), StoreError> {
    let Table { name, id_column, .. } = table;
    let doing = "could not prepare a row for its repair";
    let live = format!("select from {{schema}}.{name} where {id_column} = any ($1) and deleted_at is null for update");
    let forget =
        format!("update {{schema}}.{name} set content_hash = null where {id_column} = any ($1) and deleted_at is null");
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let live = session.rows(doing, &live, params![ids]).await?;
    let forgotten = session.write_counted(doing, &forget, params![ids]).await?;
    // A trigger may skip a row without an error.
    if forgotten < live.len() as u64 { Err(StoreError::Swallowed) } else { Ok(()) }
}

/// SQL: Wix id and names of the different columns, one row per row that differs.
fn comparing_statement(table: &Table, columns: &Columns<'_>) -> String {
    let mut differences = String::new();
    let mut compare = |name: &str, stored: &str, expected: &str| {
        let _ = write!(differences, "case when {stored} is distinct from {expected} then '{name}' end, ");
    };
    for name in ["wix_created_at", "wix_updated_at", "wix_revision"] {
        compare(name, &format!("t.{name}"), &format!("u.{name}"));
    }
    compare("raw", "t.raw", "u.raw::jsonb");
    for field in table.fields {
        // The type in which values are compared: a column may have another type that holds the same values.
        let cast = match field.kind {
            Kind::Text | Kind::ShortText | Kind::Id => "::text",
            Kind::TextList => "::text[]",
            Kind::Decimal => "::numeric",
            Kind::Integer => "::bigint",
            Kind::List => "::jsonb",
            Kind::Timestamp | Kind::Date => "",
        };
        compare(field.name, &format!("t.{}{cast}", field.name), &format!("({}){cast}", value_of(field, "t.raw")));
    }
    if let Some(customer) = customer_of(table, "u") {
        // If no customer has the booking's contact id, the placeholder is missing, and no link is correct.
        let none = match table.relation {
            Some(Relation::Booking { .. }) => {
                "case when u.wix_contact_id is not null then '00000000-0000-0000-0000-000000000000'::uuid end"
            }
            _ => "null",
        };
        compare("customer_id", "t.customer_id", &format!("coalesce({customer}, {OWN_CUSTOMER}, {none})"));
    }
    let (source, Table { name, id_column, .. }) = (columns.source(), table);
    format!(
        "select u.wix_id, differing.names
         from {source}
         join {{schema}}.{name} t on t.{id_column} = u.wix_id and t.content_hash = u.content_hash and t.deleted_at is null
         cross join lateral (select array_remove(array[{differences} null]::text[], null) as names) differing
         where differing.names <> '{{}}'"
    )
}
