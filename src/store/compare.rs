//! How a table stands to what Wix lists. Reads only.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use super::connect::{Parameter, Store};
use super::error::StoreError;
use super::missing::Span;
use crate::record::Row;
use crate::stream::Stream;

/// How the table has a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not, or as deleted.
    Missing,
    /// In another version.
    Outdated,
    /// As Wix has it, or newer.
    Current,
}

/// A row as the table has it.
struct Stored {
    content_hash: Option<Vec<u8>>,
    wix_updated_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// The same guard as where rows are written: an older copy would change nothing.
    fn is_current(&self, row: &Row) -> bool {
        let is_newer =
            matches!((self.wix_updated_at, row.wix_updated_at), (Some(stored), Some(listed)) if stored > listed);
        is_newer || self.content_hash.as_deref() == Some(&row.content_hash[..])
    }
}

impl Store {
    /// How the table has each of these records.
    pub async fn compare_rows(&self, stream: Stream, rows: &[Row]) -> Result<Vec<Standing>, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!(
            "select {id}::text, content_hash, wix_updated_at from {{schema}}.{table}
             where {id} = any ($1) and deleted_at is null"
        ));
        let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
        let found = self
            .client
            .query_typed(&statement, &[(&ids, Type::TEXT_ARRAY)])
            .await
            .map_err(StoreError::database("could not read the rows to compare"))?;
        let stored: HashMap<String, Stored> = found
            .iter()
            .map(|row| (row.get(0), Stored { content_hash: row.get(1), wix_updated_at: row.get(2) }))
            .collect();
        let standing = |row: &Row| match stored.get(&row.wix_id) {
            None => Standing::Missing,
            Some(stored) if stored.is_current(row) => Standing::Current,
            Some(_) => Standing::Outdated,
        };
        Ok(rows.iter().map(standing).collect())
    }

    /// The live rows of a span that Wix did not list there, `limit` of them, and how many there are. Customers that
    /// were made from bookings are not among them: Wix need not have them.
    pub async fn list_unlisted(
        &self,
        stream: Stream,
        span: &Span,
        limit: i64,
    ) -> Result<(Vec<String>, u64), StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!(
            "select t.{id}::text, count(*) over () from {{schema}}.{table} t
             where t.deleted_at is null and t.{id} is not null and t.raw is not null and not t.{id} = any ($3)
                and (
                    (t.wix_created_at >= coalesce($1, '-infinity') and t.wix_created_at < coalesce($2, 'infinity'))
                    or ($4 and t.wix_created_at is null)
                )
             order by 1 limit $5"
        ));
        let listed: Vec<&str> = span.listed.iter().map(String::as_str).collect();
        let rows = self
            .client
            .query_typed(
                &statement,
                &[
                    (&span.from, Type::TIMESTAMPTZ),
                    (&span.until, Type::TIMESTAMPTZ),
                    (&listed, Type::TEXT_ARRAY),
                    (&span.at_end, Type::BOOL),
                    (&limit, Type::INT8),
                ],
            )
            .await
            .map_err(StoreError::database("could not look for rows that Wix does not list"))?;
        let count = rows.first().map_or(0, |row| row.get::<_, i64>(1).unsigned_abs());
        Ok((rows.iter().map(|row| row.get(0)).collect(), count))
    }

    /// How many rows the table holds that Wix is supposed to have.
    pub async fn count_live_rows(&self, stream: Stream) -> Result<u64, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement =
            format!("select count(*) from {{schema}}.{table} where {id} is not null and deleted_at is null");
        self.count(&statement, &[]).await
    }

    /// How many rows an unfinished full pass has noted as not listed.
    pub async fn count_noted_missing(&self, stream: Stream) -> Result<u64, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = format!(
            "select count(*) from {{schema}}.sync_missing m join {{schema}}.{table} t on t.{id} = m.wix_id
             where m.table_name = $1 and t.deleted_at is null"
        );
        self.count(&statement, &[(&table, Type::TEXT)]).await
    }

    async fn count(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError> {
        let rows = self
            .client
            .query_typed(&self.schema.sql(statement), parameters)
            .await
            .map_err(StoreError::database("could not count rows to compare"))?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    /// The record of a row as Wix sent it.
    pub async fn load_raw(&self, stream: Stream, wix_id: &str) -> Result<Option<String>, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!("select raw::text from {{schema}}.{table} where {id} = $1"));
        let rows = self
            .client
            .query_typed(&statement, &[(&wix_id, Type::TEXT)])
            .await
            .map_err(StoreError::database("could not read a row to compare"))?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    /// Refuses a site other than the one whose records the tables hold; notes nothing.
    pub async fn check_site(&self, site_id: &str) -> Result<(), StoreError> {
        let rows = self
            .client
            .query_typed(
                &self.schema.sql("select wix_site_id from {schema}.sync_state where wix_site_id <> $1 limit 1"),
                &[(&site_id, Type::TEXT)],
            )
            .await
            .map_err(StoreError::database("could not read the site in sync_state"))?;
        match rows.first() {
            None => Ok(()),
            Some(row) => Err(StoreError::OtherSite {
                schema: self.schema.name().to_owned(),
                noted: row.get(0),
                given: site_id.to_owned(),
            }),
        }
    }

    /// Notes rows as candidates for deletion.
    pub async fn note_missing(
        &mut self,
        stream: Stream,
        wix_ids: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not note the rows that Wix does not list in sync_missing";
        let statement = self.schema.sql(
            "insert into {schema}.sync_missing (table_name, wix_id, found_at) select $1, t, $3 from unnest($2::text[]) t
             on conflict (table_name, wix_id) do nothing",
        );
        self.write(
            doing,
            &statement,
            &[(&stream.table(), Type::TEXT), (&wix_ids, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map(drop)
    }
}
