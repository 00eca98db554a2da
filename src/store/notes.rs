//! What is noted about records beside their rows, and goes when they are written or gone: pending deletions, rejected
//! records, held copies and unreadable fields.

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::session::{Session, params};
use crate::table::Table;

/// Forgets pending deletions of records that were seen again, or whose deletion is decided.
pub(super) async fn forget(session: &Session<'_>, table: &'static Table, wix_ids: &[&str]) -> Result<(), StoreError> {
    let statement = "delete from {schema}.sync_missing where table_name = $1 and wix_id = any ($2)";
    session.write("could not clear sync_missing", statement, params![table.name, wix_ids]).await
}

/// Notes that records were written, or are gone from Wix: what was kept of them goes.
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

/// Forgets copies that were held: a newer one came.
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
