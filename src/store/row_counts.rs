//! Checks of each table's content, stored in its row of `sync_state`: the expected number of live rows, and a write
//! number that increases with every transaction that writes the table.
//!
//! The database decides what was committed. A run writes only if the stored write number is the one that it wrote
//! last. After a failover to a standby that is behind, or after a restore, the number is different, and the run fails
//! before it relies on rows that are missing. The number of rows shows what another program truncated, restored or
//! deleted, during a run or between runs.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Json;

use super::error::StoreError;
use super::session::{Session, params};
use super::span::{Span, clear_missing, insert_missing};
use crate::checkpoint::Checkpoint;
use crate::run::PassKind;
use crate::table::CUSTOMERS;
use crate::table::Table;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowCounts {
    /// The `write_number` of the last transaction.
    pub(super) number: i64,
    /// Live rows at the start of the pass.
    pub(super) counted: i64,
}

/// Progress of a pass after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where a later run can resume.
    pub checkpoint: Checkpoint,
    /// Full sync only: the part that this batch completes. Rows that Wix did not return in it are pending deletions.
    pub span: Option<Span>,
    /// Whether this is the first batch of a new full sync, which clears the pending deletions of an earlier one.
    pub opens_full_sync: bool,
}

pub(super) struct Entry<'a> {
    pub(super) table: &'static Table,
    /// Live rows that the transaction adds; negative if it marks rows as deleted.
    pub(super) added: i64,
    /// Progress to store with the transaction, if any.
    pub(super) progress: Option<&'a Progress>,
    pub(super) now: DateTime<Utc>,
}

impl RowCounts {
    /// Updates the write number and the expected rows for a transaction, and stores its progress. Returns the values
    /// after the commit.
    ///
    /// The next write number is accepted too: an attempt of the same work wrote it if the response to its COMMIT was
    /// lost.
    pub(super) async fn enter(self, session: &Session<'_>, entry: Entry<'_>) -> Result<RowCounts, StoreError> {
        let Entry { table, added, progress, now } = entry;
        if let Some(progress) = progress {
            if progress.opens_full_sync {
                clear_missing(session, table).await?;
            }
            if let Some(span) = &progress.span {
                insert_missing(session, table, span, now).await?;
            }
        }
        let saved = match progress.map(|progress| progress.checkpoint.pass) {
            None => "",
            Some(PassKind::Full) => ", updated_at = $5, full_checkpoint = $6",
            Some(_) => ", updated_at = $5, checkpoint = $6",
        };
        let statement = format!(
            "update {{schema}}.sync_state
             set write_number = write_number + 1, live_rows = coalesce(live_rows, $4) + $3{saved}
             where table_name = $1 and write_number between $2 and $2 + 1
             returning write_number"
        );
        let (doing, table) = ("could not save the checkpoint", table.name);
        let checkpoint = progress.map(|progress| Json(&progress.checkpoint));
        let parameters = params![table, self.number, added, self.counted, now, checkpoint];
        let parameters = if checkpoint.is_some() { &parameters[..] } else { &parameters[..4] };
        match session.rows(doing, &statement, parameters).await?.first()? {
            Some((number,)) => Ok(RowCounts { number, ..self }),
            None => Err(StoreError::Behind { table }),
        }
    }
}

/// Adds to the expected rows of `customers`, for placeholders that a transaction of another table created.
pub(super) async fn add_customers(session: &Session<'_>, added: i64) -> Result<(), StoreError> {
    if added == 0 {
        return Ok(());
    }
    let statement = "update {schema}.sync_state set live_rows = live_rows + $2 where table_name = $1";
    let doing = "could not count the customers that bookings refer to";
    session.write(doing, statement, params![&CUSTOMERS.name, added]).await
}

/// Checks that a table has the expected number of live rows, in the transaction that ends a full sync.
pub(super) async fn check_row_count(session: &Session<'_>, table: &'static Table) -> Result<(), StoreError> {
    let doing = "could not count the rows of the table";
    session.read_whole_tables().await?;
    let statement =
        format!("select live_rows, ({}) from {{schema}}.sync_state where table_name = $1", live_rows(table));
    match session.rows(doing, &statement, params![table.name]).await?.first()? {
        Some((must_hold, holds)) => check_count(table, must_hold, holds),
        None => Err(StoreError::Behind { table: table.name }),
    }
}

pub(super) fn check_count(table: &'static Table, must_hold: Option<i64>, holds: i64) -> Result<(), StoreError> {
    match must_hold {
        Some(must_hold) if must_hold != holds => Err(StoreError::RowsDiffer { table: table.name, must_hold, holds }),
        _ => Ok(()),
    }
}

/// SQL: counts the live rows of a table.
pub(super) fn live_rows(table: &'static Table) -> String {
    let Table { name, id_column, .. } = table;
    format!("select count(*) from {{schema}}.{name} where {id_column} is not null and deleted_at is null")
}

/// SQL: counts the live rows that hold a Wix record. Placeholders hold none.
pub(super) fn live_records(table: &'static Table) -> String {
    format!("{} and raw is not null", live_rows(table))
}
