//! `sync_errors`: rejected records, stored with the reason.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::notes::{forget, release, resolve_errors};
use super::row_counts::{Entry, Progress};
use super::session::{from_row, params};
use super::unreadable::UnreadableField;
use crate::json_time;
use crate::table::Table;
use crate::table::hash::content_hash;
use crate::table::row::Rejection;

/// A record that this version rejects may be accepted by another version.
const PROGRAM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A record in `sync_errors` that is retried.
#[derive(Clone, Debug)]
pub struct KeptRecord {
    /// The Wix id, or a hash of the content if the record has no id.
    pub key: String,
    pub wix_id: Option<String>,
}

/// An unresolved row of `sync_errors`, without the record itself.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorRow {
    pub table: String,
    pub wix_id: Option<String>,
    /// Names fields, never values.
    pub reason: String,
    pub tries: i32,
    #[serde(serialize_with = "json_time::required")]
    pub first_failed_at: DateTime<Utc>,
    #[serde(serialize_with = "json_time::required")]
    pub last_failed_at: DateTime<Utc>,
    /// The run that tried last, and the program's version.
    pub run_id: Option<Uuid>,
    pub program_version: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ErrorList {
    /// Limited in number; the latest failures come first.
    pub records: Vec<ErrorRow>,
    pub total: i64,
    pub unreadable_fields: Vec<UnreadableField>,
}

impl Store {
    /// Stores rejected records and the progress of the pass in one transaction.
    pub async fn save_rejections(
        &mut self,
        table: &'static Table,
        run_id: Uuid,
        rejections: &[Rejection],
        progress: Option<&Progress>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let row_counts = self.row_counts(table);
        let session = self.begin().await?;
        for rejection in rejections {
            let (key, Rejection { wix_id, reason, raw, .. }) = (rejection_key(rejection), rejection);
            session
                .write(
                    "could not store a rejected record in sync_errors",
                    include_str!("sql/upsert_error.sql"),
                    params![table.name, key, wix_id, run_id, reason, raw, now, PROGRAM_VERSION],
                )
                .await?;
        }
        // Wix has these records, so they are not pending deletions.
        let ids: Vec<&str> = rejections.iter().filter_map(|rejection| rejection.wix_id.as_deref()).collect();
        forget(&session, table, &ids).await?;
        release(&session, table, &ids).await?;
        let row_counts = row_counts.enter(&session, Entry { table, added: 0, progress, now }).await?;
        session.commit("could not store rejected records in sync_errors").await?;
        self.row_counts.insert(table, row_counts);
        Ok(())
    }

    /// The next records to retry, those that wait longest first: last tried before `before`, or by another version of
    /// the program. Records that were tried since `since` are left out, so the queue ends. A last try in the future was
    /// recorded by a wrong clock, and the record is included.
    pub async fn list_due_errors(
        &self,
        table: &'static Table,
        before: DateTime<Utc>,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<KeptRecord>, StoreError> {
        let statement = "select record_key, wix_id from {schema}.sync_errors
             where table_name = $1 and resolved_at is null and (last_failed_at > $6 or (last_failed_at < $3
                and (last_failed_at < $2 or program_version is distinct from $4)))
             order by last_failed_at, record_key limit $5";
        let (table, now) = (table.name, self.now());
        let parameters = params![table, before, since, PROGRAM_VERSION, limit, now];
        let rows = self.rows("could not read sync_errors", statement, parameters).await?;
        rows.map(|(key, wix_id)| KeptRecord { key, wix_id })
    }

    /// The content of a rejected record, unchanged from Wix.
    pub async fn load_rejected(&self, table: &'static Table, key: &str) -> Result<Option<String>, StoreError> {
        let doing = "could not read a record in sync_errors";
        let statement = "select record from {schema}.sync_errors where table_name = $1 and record_key = $2";
        self.rows(doing, statement, params![table.name, key]).await?.value()
    }

    /// Records that a retry failed for the same reason.
    pub async fn note_failed_try(
        &mut self,
        table: &'static Table,
        key: &str,
        run_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_errors
             set tries = tries + 1, last_failed_at = $3, run_id = $4, program_version = $5
             where table_name = $1 and record_key = $2 and resolved_at is null";
        let name = table.name;
        let parameters = params![name, key, now, run_id, PROGRAM_VERSION];
        self.write("could not record an attempt in sync_errors", statement, parameters).await
    }

    /// Resolves the error of a record that was rejected without a known id and is now written.
    pub async fn resolve_error(
        &mut self,
        table: &'static Table,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let session = self.begin().await?;
        resolve_errors(&session, table, &[key], now).await?;
        session.commit("could not resolve rejected records").await
    }

    /// Resolves errors of records without an id that a complete full sync, started at `begun_at`, did not reject again:
    /// they were deleted or corrected in Wix.
    pub async fn resolve_not_in_wix(
        &mut self,
        table: &'static Table,
        begun_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_errors set resolved_at = $3, record = null
             where table_name = $1 and wix_id is null and resolved_at is null and (last_failed_at < $2 or last_failed_at > $3)";
        self.write("could not resolve rejected records", statement, params![table.name, begun_at, now]).await
    }

    /// The rejected records, at most `limit`, and the unreadable fields, each with at most `limit` ids.
    pub async fn list_errors(&self, limit: i64) -> Result<ErrorList, StoreError> {
        let statement = "select count(*) over (), table_name as table, wix_id, reason, tries, first_failed_at, last_failed_at, run_id,
                program_version
             from {schema}.sync_errors where resolved_at is null
             order by last_failed_at desc, table_name, record_key limit $1";
        let rows = self.rows("could not read sync_errors", statement, params![limit]).await?;
        let (records, total) = (rows.all()?, rows.value()?);
        Ok(ErrorList { records, total, unreadable_fields: self.list_unreadable_fields(limit).await? })
    }

    /// The stored reasons of those of these records that are in `sync_errors`, by key.
    pub async fn known_rejections(
        &self,
        table: &'static Table,
        keys: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let statement = "select record_key, reason from {schema}.sync_errors
             where table_name = $1 and record_key = any ($2) and resolved_at is null";
        self.rows("could not read sync_errors", statement, params![table.name, keys]).await?.all()
    }

    pub async fn count_unresolved_errors(&self, table: &'static Table) -> Result<i64, StoreError> {
        let statement = "select count(*) from {schema}.sync_errors where table_name = $1 and resolved_at is null";
        self.rows("could not read sync_errors", statement, params![table.name]).await?.value()
    }

    pub async fn has_unresolved_errors(&self, table: &'static Table) -> Result<bool, StoreError> {
        let statement =
            "select exists (select from {schema}.sync_errors where table_name = $1 and resolved_at is null)";
        self.rows("could not read sync_errors", statement, params![table.name]).await?.value()
    }
}

from_row!(ErrorRow { table, wix_id, reason, tries, first_failed_at, last_failed_at, run_id, program_version });

/// The key in `sync_errors`: the Wix id, or a hash of the content if there is none.
pub fn rejection_key(rejection: &Rejection) -> String {
    rejection.wix_id.clone().unwrap_or_else(|| key_without_id(&rejection.raw))
}

fn key_without_id(raw: &str) -> String {
    let hash = u128::from_be_bytes(content_hash(raw, &[]));
    format!("hash:{hash:032x}")
}
