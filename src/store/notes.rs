//! Notes on records beside their rows, removed when the records are written or deleted: pending deletions, rejected
//! records, held copies and unreadable fields.

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::session::{Session, params};
use crate::table::Table;

/// Removes pending deletions of records that were seen again, or whose deletion is decided.
pub(super) async fn forget(session: &Session<'_>, table: &'static Table, wix_ids: &[&str]) -> Result<(), StoreError> {
    let statement = "delete from {schema}.sync_missing where table_name = $1 and wix_id = any ($2)";
    session.write("could not clear sync_missing", statement, params![table.name, wix_ids]).await
}

/// Resolves rejected records that were written, or that no longer exist in Wix.
pub(super) async fn resolve_errors(
    session: &Session<'_>,
    table: &'static Table,
    wix_ids: &[&str],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = "update {schema}.sync_errors set resolved_at = $3, record = null
         where table_name = $1 and record_key = any ($2) and resolved_at is null";
    session.write("could not resolve rejected records", statement, params![table.name, wix_ids, now]).await
}

/// Removes held copies: newer copies replace them.
pub(super) async fn release(session: &Session<'_>, table: &'static Table, wix_ids: &[&str]) -> Result<(), StoreError> {
    let statement = "delete from {schema}.sync_held where table_name = $1 and wix_id = any ($2)";
    session.write("could not clear sync_held", statement, params![table.name, wix_ids]).await
}

pub(super) async fn forget_unreadable(
    session: &Session<'_>,
    table: &'static Table,
    wix_id: &str,
) -> Result<(), StoreError> {
    let statement = "delete from {schema}.sync_unreadable where table_name = $1 and wix_id = $2";
    session.write("could not clear sync_unreadable", statement, params![table.name, wix_id]).await
}
