//! The parts of a list that a full sync completed: rows that Wix did not return in them are pending deletions.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::session::{Session, params};
use crate::table::Table;

/// A part of a full sync whose records are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Records created at this time or later. `None`: from the start.
    pub from: Option<DateTime<Utc>>,
    /// Records created before this time. `None`: to the end.
    pub until: Option<DateTime<Utc>>,
    /// Whether the part reaches the end of the list.
    pub at_end: bool,
    pub listed: Vec<ListedKey>,
}

/// A short key for a Wix id, to save memory: the first 8 bytes of its SHA-256, which Postgres can compute too. If two
/// ids had the same key, a deleted row would stay until a later full sync.
pub type ListedKey = [u8; 8];

pub fn listed_key(wix_id: &str) -> ListedKey {
    let digest = Sha256::digest(wix_id.as_bytes());
    let mut key = ListedKey::default();
    key.copy_from_slice(&digest[..8]);
    key
}

/// SQL: the [`ListedKey`] of the row `t`.
pub(super) fn listed_key_of_row(table: &'static Table) -> String {
    format!("substring(sha256(convert_to(t.{}::text, 'UTF8')) from 1 for 8)", table.id_column)
}

/// Adds the rows that Wix did not return in a span to `sync_missing`, in the transaction that writes its records.
pub(super) async fn insert_missing(
    session: &Session<'_>,
    table: &'static Table,
    span: &Span,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = include_str!("sql/insert_missing.sql")
        .replace("{table}", table.name)
        .replace("{id}", table.id_column)
        .replace("{listed_key}", &listed_key_of_row(table));
    let listed: Vec<&[u8]> = span.listed.iter().map(ListedKey::as_slice).collect();
    session
        .write(
            "could not find pending deletions",
            &statement,
            params![table.name, span.from, span.until, listed, span.at_end, now],
        )
        .await
}

/// Removes a table's pending deletions, in the transaction of a new full sync's first checkpoint. Those that wait for a
/// second lookup stay until the record is returned by the list or found by id.
pub(super) async fn clear_missing(session: &Session<'_>, table: &'static Table) -> Result<(), StoreError> {
    let statement = "delete from {schema}.sync_missing where table_name = $1 and absent_at is null";
    session.write("could not clear sync_missing", statement, params![table.name]).await
}
