//! `sync_errors`: records that could not be written, kept with their reason.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::books::{Entry, Progress};
use super::connect::{Parameter, Store, column, is_true_at};
use super::error::StoreError;
use super::held::release;
use super::missing::forget;
use super::schema::Schema;
use super::unreadable::UnreadableField;
use crate::content_hash::content_hash;
use crate::record::Rejection;
use crate::stream::Stream;

/// A try of another version of the program may end differently.
const PROGRAM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A record in `sync_errors` that is to be tried again.
#[derive(Clone, Debug)]
pub struct KeptRecord {
    /// The Wix id; for a record without one, a hash of its content.
    pub key: String,
    /// Wix's id, where the record has one.
    pub wix_id: Option<String>,
}

/// One row of `sync_errors` that is not resolved, without the record itself.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorRow {
    /// The table in which it is missing, or out of date.
    pub table: String,
    /// Wix's id, where the record has one.
    pub wix_id: Option<String>,
    /// Why it could not be written; names members, never values.
    pub reason: String,
    /// How often that was tried.
    pub tries: i32,
    /// The first time.
    pub first_failed_at: DateTime<Utc>,
    /// The last time.
    pub last_failed_at: DateTime<Utc>,
    /// The run that tried last.
    pub run_id: Option<Uuid>,
    /// The version of the program that tried last.
    pub program_version: Option<String>,
}

/// What `wix-sync errors` lists.
#[derive(Clone, Debug)]
pub struct ErrorList {
    /// The records that could not be written, those that failed last first.
    pub records: Vec<ErrorRow>,
    /// How many there are in all.
    pub total: i64,
    /// The fields that could not be read in records that were written.
    pub unreadable_fields: Vec<UnreadableField>,
}

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
        let (schema, books) = (self.schema.clone(), self.books(stream));
        let statement = self.schema.sql(include_str!("sql/upsert_error.sql"));
        let transaction = self.begin().await?;
        for rejection in rejections {
            let key = rejection_key(rejection);
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
                        (&PROGRAM_VERSION, Type::TEXT),
                    ],
                )
                .await
                .map_err(StoreError::database("could not keep a record in sync_errors"))?;
        }
        // Wix has them, although they can't be written.
        let ids: Vec<&str> = rejections.iter().filter_map(|rejection| rejection.wix_id.as_deref()).collect();
        forget(&transaction, &schema, stream, &ids).await?;
        release(&transaction, &schema, stream, &ids).await?;
        let books = books.enter(&transaction, &schema, Entry { stream, added: 0, progress, now }).await?;
        transaction.commit().await.map_err(StoreError::database("could not keep records in sync_errors"))?;
        self.books.insert(stream, books);
        Ok(())
    }

    /// The next records to try again, those that wait longest first: not tried since `before`, or by another version of the
    /// program; and none that was tried since `since`, which ends the queue. Also those tried at a time that is still to
    /// come, by a wrong clock.
    pub async fn list_due_errors(
        &self,
        stream: Stream,
        before: DateTime<Utc>,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<KeptRecord>, StoreError> {
        let statement = self.schema.sql(
            "select record_key, wix_id from {schema}.sync_errors
             where table_name = $1 and resolved_at is null and (last_failed_at > $6 or (last_failed_at < $3
                and (last_failed_at < $2 or program_version is distinct from $4)))
             order by last_failed_at, record_key limit $5",
        );
        let doing = "could not read sync_errors";
        let rows = self
            .query_once(
                doing,
                &statement,
                &[
                    (&stream.table(), Type::TEXT),
                    (&before, Type::TIMESTAMPTZ),
                    (&since, Type::TIMESTAMPTZ),
                    (&PROGRAM_VERSION, Type::TEXT),
                    (&limit, Type::INT8),
                    (&self.now(), Type::TIMESTAMPTZ),
                ],
            )
            .await?;
        rows.iter().map(|row| Ok(KeptRecord { key: column(row, 0, doing)?, wix_id: column(row, 1, doing)? })).collect()
    }

    /// A record as Wix sent it.
    pub async fn load_rejected(&self, stream: Stream, key: &str) -> Result<Option<String>, StoreError> {
        let doing = "could not read a record in sync_errors";
        let statement =
            self.schema.sql("select record from {schema}.sync_errors where table_name = $1 and record_key = $2");
        let rows = self.query_once(doing, &statement, &[(&stream.table(), Type::TEXT), (&key, Type::TEXT)]).await?;
        rows.first().map_or(Ok(None), |row| column(row, 0, doing))
    }

    /// Notes that a record was tried again, and failed as before.
    pub async fn note_failed_try(
        &mut self,
        stream: Stream,
        key: &str,
        run_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not note a try in sync_errors";
        let statement = self.schema.sql(
            "update {schema}.sync_errors
             set tries = tries + 1, last_failed_at = $3, run_id = $4, program_version = $5
             where table_name = $1 and record_key = $2 and resolved_at is null",
        );
        self.write(
            doing,
            &statement,
            &[
                (&stream.table(), Type::TEXT),
                (&key, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&run_id, Type::UUID),
                (&PROGRAM_VERSION, Type::TEXT),
            ],
        )
        .await
        .map(drop)
    }

    /// Resolves one error, of a record that was written under an id which was not known when it was kept.
    pub async fn resolve_error(&mut self, stream: Stream, key: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let schema = self.schema.clone();
        let transaction = self.begin().await?;
        resolve_errors(&transaction, &schema, stream, &[key], now).await?;
        transaction.commit().await.map_err(StoreError::database("could not resolve errors"))
    }

    /// Resolves the errors of records without an id that a whole full pass, begun at `begun_at`, did not bring
    /// again: Wix has them no longer, or has mended them.
    pub async fn resolve_unlisted(
        &mut self,
        stream: Stream,
        begun_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not resolve errors";
        let statement = self.schema.sql(
            "update {schema}.sync_errors set resolved_at = $3, record = null
             where table_name = $1 and wix_id is null and resolved_at is null and (last_failed_at < $2 or last_failed_at > $3)",
        );
        self.write(
            doing,
            &statement,
            &[(&stream.table(), Type::TEXT), (&begun_at, Type::TIMESTAMPTZ), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map(drop)
    }

    /// The records that could not be written, and the fields that could not be read; `limit` of the first, and as many ids
    /// of each of the second.
    pub async fn list_errors(&self, limit: i64) -> Result<ErrorList, StoreError> {
        let doing = "could not read sync_errors";
        let statement = self.schema.sql(
            "select table_name, wix_id, reason, tries, first_failed_at, last_failed_at, run_id, program_version,
                count(*) over ()
             from {schema}.sync_errors where resolved_at is null
             order by last_failed_at desc, table_name, record_key limit $1",
        );
        let rows = self.query_once(doing, &statement, &[(&limit, Type::INT8)]).await?;
        let total = rows.first().map_or(Ok(0), |row| column(row, 8, doing))?;
        let errors = rows.iter().map(|row| {
            Ok(ErrorRow {
                table: column(row, 0, doing)?,
                wix_id: column(row, 1, doing)?,
                reason: column(row, 2, doing)?,
                tries: column(row, 3, doing)?,
                first_failed_at: column(row, 4, doing)?,
                last_failed_at: column(row, 5, doing)?,
                run_id: column(row, 6, doing)?,
                program_version: column(row, 7, doing)?,
            })
        });
        let records = errors.collect::<Result<_, StoreError>>()?;
        Ok(ErrorList { records, total, unreadable_fields: self.list_unreadable_fields(limit).await? })
    }

    /// Those of these records that wait in `sync_errors`, with the reasons.
    pub async fn known_rejections(
        &self,
        stream: Stream,
        keys: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let doing = "could not read sync_errors";
        let statement = self.schema.sql(
            "select record_key, reason from {schema}.sync_errors
             where table_name = $1 and record_key = any ($2) and resolved_at is null",
        );
        let parameters: [Parameter<'_>; 2] = [(&stream.table(), Type::TEXT), (&keys, Type::TEXT_ARRAY)];
        let rows = self.query_once(doing, &statement, &parameters).await?;
        rows.iter().map(|row| Ok((column(row, 0, doing)?, column(row, 1, doing)?))).collect()
    }

    /// Whether any record of this table still waits to be written.
    pub async fn has_unresolved_errors(&self, stream: Stream) -> Result<bool, StoreError> {
        let statement = self
            .schema
            .sql("select exists (select from {schema}.sync_errors where table_name = $1 and resolved_at is null)");
        let doing = "could not read sync_errors";
        let rows = self.query_once(doing, &statement, &[(&stream.table(), Type::TEXT)]).await?;
        is_true_at(&rows, 0, doing)
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

/// What a record is kept under: its Wix id, or a hash of its content if it has none.
pub fn rejection_key(rejection: &Rejection) -> String {
    rejection.wix_id.clone().unwrap_or_else(|| key_without_id(&rejection.raw))
}

fn key_without_id(raw: &str) -> String {
    let hash = u128::from_be_bytes(content_hash(raw, &[]));
    format!("hash:{hash:032x}")
}
