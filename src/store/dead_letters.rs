//! `sync_errors`: records that could not be written, kept with their reason.

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::missing::forget;
use super::schema::Schema;
use super::state::{Progress, save_progress};
use crate::content_hash::content_hash;
use crate::record::Rejection;
use crate::stream::Stream;

impl Store {
    /// Keeps rejected records, and with them how far the pass has come, in one transaction.
    pub async fn save_rejections(
        &mut self,
        stream: Stream,
        run_id: Uuid,
        rejections: &[Rejection],
        progress: Option<&Progress>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let schema = self.schema.clone();
        let statement = self.schema.sql(include_str!("sql/upsert_error.sql"));
        let transaction = self.begin().await?;
        for rejection in rejections {
            let key = rejection.wix_id.clone().unwrap_or_else(|| key_without_id(&rejection.raw));
            transaction
                .execute_typed(
                    &statement,
                    &[
                        (&stream.table(), Type::TEXT),
                        (&key, Type::TEXT),
                        (&rejection.wix_id, Type::TEXT),
                        (&run_id, Type::UUID),
                        (&rejection.reason, Type::TEXT),
                        (&rejection.raw, Type::TEXT),
                        (&now, Type::TIMESTAMPTZ),
                    ],
                )
                .await
                .map_err(StoreError::database("could not keep a record in sync_errors"))?;
        }
        // Wix has them, although they can't be written.
        let ids: Vec<&str> = rejections.iter().filter_map(|rejection| rejection.wix_id.as_deref()).collect();
        forget(&transaction, &schema, stream, &ids).await?;
        if let Some(progress) = progress {
            save_progress(&transaction, &schema, stream, progress, now).await?;
        }
        transaction.commit().await.map_err(StoreError::database("could not keep records in sync_errors"))
    }

    /// Whether any record of this table still waits to be written.
    pub async fn has_unresolved_errors(&self, stream: Stream) -> Result<bool, StoreError> {
        let statement = self
            .schema
            .sql("select exists (select from {schema}.sync_errors where table_name = $1 and resolved_at is null)");
        let rows = self
            .client
            .query_typed(&statement, &[(&stream.table(), Type::TEXT)])
            .await
            .map_err(StoreError::database("could not read sync_errors"))?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}

/// Notes that records were written, or are gone from Wix: what was kept of them goes.
pub(super) async fn resolve_errors(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    wix_ids: &[&str],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = schema.sql(
        "update {schema}.sync_errors set resolved_at = $3, record = null
         where table_name = $1 and record_key = any ($2) and resolved_at is null",
    );
    transaction
        .execute_typed(
            &statement,
            &[(&stream.table(), Type::TEXT), (&wix_ids, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map_err(StoreError::database("could not resolve errors"))?;
    Ok(())
}

fn key_without_id(raw: &str) -> String {
    let hash = u128::from_be_bytes(content_hash(raw));
    format!("hash:{hash:032x}")
}
