//! The books of a table, in its row of `sync_state`: how many live rows it must hold, and a number that grows with each
//! transaction that writes the table.
//!
//! The database is the source of truth about what was committed. A run writes only if the number is the one that it
//! wrote last. After a failover to a standby that is behind, or if an older data directory was restored, the database
//! has another number, and the run fails instead of building on rows that are not there. The number of rows shows what
//! another program truncated, restored or deleted, during a run or between two.

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
pub(super) struct Books {
    /// The `write_number` of the last transaction.
    pub(super) number: i64,
    /// Live rows when the pass began.
    pub(super) counted: i64,
}

/// How far a pass has come with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where a later run can go on.
    pub checkpoint: Checkpoint,
    /// Of a full sync, what the batch completes: rows that Wix did not return in it are pending deletions.
    pub span: Option<Span>,
    /// Whether it is the first of a new full sync, which forgets the pending deletions of an earlier one.
    pub opens_full_sync: bool,
}

pub(super) struct Entry<'a> {
    pub(super) table: &'static Table,
    /// Live rows that the transaction adds; fewer than 0 where it marks rows as deleted.
    pub(super) added: i64,
    /// How far the pass has come with it, where that is to be kept.
    pub(super) progress: Option<&'a Progress>,
    pub(super) now: DateTime<Utc>,
}

impl Books {
    /// Enters a transaction in the books, and saves its progress. Returns the books as they are after the commit.
    ///
    /// The next number is accepted too: it was written by the same work, whose COMMIT got no answer.
    pub(super) async fn enter(self, session: &Session<'_>, entry: Entry<'_>) -> Result<Books, StoreError> {
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
            Some((number,)) => Ok(Books { number, ..self }),
            None => Err(StoreError::Behind { table }),
        }
    }
}

/// Notes in the books of customers that a transaction of another table made some.
pub(super) async fn add_customers(session: &Session<'_>, added: i64) -> Result<(), StoreError> {
    if added == 0 {
        return Ok(());
    }
    let statement = "update {schema}.sync_state set live_rows = live_rows + $2 where table_name = $1";
    let doing = "could not count the customers that bookings refer to";
    session.write(doing, statement, params![&CUSTOMERS.name, added]).await
}

/// Whether a table holds as many live rows as its books say, in a transaction that ends a full sync.
pub(super) async fn check_own_books(session: &Session<'_>, table: &'static Table) -> Result<(), StoreError> {
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

/// A query: how many live rows a table holds.
pub(super) fn live_rows(table: &'static Table) -> String {
    let Table { name, id_column, .. } = table;
    format!("select count(*) from {{schema}}.{name} where {id_column} is not null and deleted_at is null")
}

/// A query: how many live rows hold a record of Wix. Customers that only bookings name hold none.
pub(super) fn live_records(table: &'static Table) -> String {
    format!("{} and raw is not null", live_rows(table))
}
