//! `sync_state`: which site the tables hold, and how far their passes have come.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use crate::stream::Stream;

impl Store {
    /// Notes the site on the first run, and refuses a run for another one: one schema is one site.
    pub async fn claim_site(&mut self, site_id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let schema = self.schema.clone();
        let doing = "could not note the site in sync_state";
        let transaction = self.begin().await?;
        let tables: Vec<&str> = Stream::ALL.iter().map(|stream| stream.table()).collect();
        transaction
            .execute_typed(
                &schema.sql(
                    "insert into {schema}.sync_state (table_name, wix_site_id, updated_at)
                     select t, $2, $3 from unnest($1::text[]) t order by t
                     on conflict (table_name) do nothing",
                ),
                &[(&tables, Type::TEXT_ARRAY), (&site_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
            )
            .await
            .map_err(StoreError::database(doing))?;
        let others = transaction
            .query_typed(
                &schema.sql("select wix_site_id from {schema}.sync_state where wix_site_id <> $1 limit 1"),
                &[(&site_id, Type::TEXT)],
            )
            .await
            .map_err(StoreError::database(doing))?;
        if let Some(other) = others.first() {
            let noted = other.get(0);
            return Err(StoreError::OtherSite { schema: schema.name().to_owned(), noted, given: site_id.to_owned() });
        }
        transaction.commit().await.map_err(StoreError::database(doing))
    }

    /// Notes that a full pass reached Wix's own end. `watermark` is Wix's clock at its first answer; the
    /// stored one never moves backward.
    pub async fn finish_full_pass(
        &mut self,
        stream: Stream,
        run_id: Uuid,
        watermark: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = self.schema.sql(
            "update {schema}.sync_state
             set watermark = greatest(watermark, $2), last_full_pass_at = $4, last_run_id = $3, updated_at = $4
             where table_name = $1",
        );
        self.client
            .execute_typed(
                &statement,
                &[
                    (&stream.table(), Type::TEXT),
                    (&watermark, Type::TIMESTAMPTZ),
                    (&run_id, Type::UUID),
                    (&now, Type::TIMESTAMPTZ),
                ],
            )
            .await
            .map_err(StoreError::database("could not note the end of the pass in sync_state"))?;
        Ok(())
    }

    /// Whether the table holds rows that Wix is supposed to have.
    pub async fn has_live_rows(&self, stream: Stream) -> Result<bool, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!(
            "select exists (select from {{schema}}.{table} where {id} is not null and deleted_at is null)"
        ));
        let rows = self
            .client
            .query_typed(&statement, &[])
            .await
            .map_err(StoreError::database("could not look whether the table has rows"))?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}
