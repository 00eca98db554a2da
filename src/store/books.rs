//! The books of a table, in its row of `sync_state`: how many live rows it must hold, and a number that grows with each
//! transaction that writes the table.
//!
//! The database is the source of truth about what was committed. A run writes only if the number is the one that it
//! wrote last. After a failover to a standby that is behind, or if an older data directory was restored, the database
//! has another number, and the run fails instead of building on rows that are not there. The number of rows shows what
//! another program truncated, restored or deleted, during a run or between two.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Json;

use super::connect::Store;
use super::error::StoreError;
use super::missing::{Span, clear_missing, insert_missing};
use super::session::{Session, params};
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

#[derive(Debug, Default)]
pub struct RunEnd {
    /// Whether `sync_unlinked` has rows.
    pub has_unlinked: bool,
    /// Whether `sync_logs` or `sync_errors` may have rows to delete.
    pub has_old_logs: bool,
    /// The first table that is not as this run left it: behind, or without as many live rows as it must hold.
    pub differing: Option<StoreError>,
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
    let doing = "could not count the customers that bookings name";
    session.write(doing, statement, params![&CUSTOMERS.name, added]).await
}

impl Store {
    pub(super) fn books(&self, table: &'static Table) -> Books {
        self.books.get(&table).copied().unwrap_or_default()
    }

    /// Sets the number of rows that the table must hold to the number that it has. Its state is no longer relied on:
    /// the next pass is a full sync, in this run or a later one.
    pub async fn accept_rows(&mut self, table: &'static Table) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state
             set live_rows = $2, last_full_pass_at = null, checkpoint = null, full_checkpoint = null
             where table_name = $1";
        let (table, counted) = (table.name, self.books(table).counted);
        self.write("could not change sync_state", statement, params![table, counted]).await
    }

    /// Whether a transaction was committed if its COMMIT got no answer. Waits while its backend is still in COMMIT:
    /// that holds the row of the books. A lock time-out means that it still does.
    pub async fn was_committed(&mut self, table: &'static Table) -> Result<bool, StoreError> {
        let doing = "could not ask what became of a transaction";
        let statement = "select write_number from {schema}.sync_state where table_name = $1 for update";
        let books = self.books(table);
        let session = self.begin().await?;
        let number = session.rows(doing, statement, params![table.name]).await?.value::<Option<i64>>()?;
        session.rollback(doing).await?;
        match number {
            Some(number) if number == books.number => Ok(false),
            Some(number) if number == books.number + 1 => {
                self.books.insert(table, Books { number, ..books });
                Ok(true)
            }
            _ => Err(StoreError::Behind { table: table.name }),
        }
    }

    /// Takes over what a connection to other tables knows of their books.
    pub fn adopt_books(&mut self, sibling: &Store) {
        self.books.extend(&sibling.books);
    }

    /// What the end of a run has to deal with, in one statement: whether these tables are as this run left them and
    /// hold as many live rows as they must, whether links are still to be made, and whether the logs have rows that
    /// ended before `logs_before`.
    pub async fn look_at_end(
        &self,
        tables: &[&'static Table],
        logs_before: Option<DateTime<Utc>>,
    ) -> Result<RunEnd, StoreError> {
        let doing = "could not look at the tables at the end of the run";
        let counts: Vec<String> = tables
            .iter()
            .map(|table| {
                let (table, live) = (table.name, live_rows(table));
                let of_table = format!("from {{schema}}.sync_state where table_name = '{table}'");
                format!("(select write_number {of_table}), (select live_rows {of_table}), ({live})")
            })
            .collect();
        let statement = format!(
            "select exists (select from {{schema}}.sync_unlinked),
                exists (select from {{schema}}.sync_logs where started_at < $1 and status <> 'running')
                    or exists (select from {{schema}}.sync_errors where resolved_at < $1),
                array[{}]::bigint[]",
            counts.join(", ")
        );
        let rows = self.rows(doing, &statement, params![logs_before]).await?;
        let Some((has_unlinked, has_old_logs, counts)) = rows.first()? else { return Ok(RunEnd::default()) };
        let counts: Vec<Option<i64>> = counts;
        let differing = tables.iter().zip(counts.chunks(3)).find_map(|(table, counts)| match counts {
            [Some(number), must_hold, Some(holds)] if *number == self.books(table).number => {
                check_count(table, *must_hold, *holds).err()
            }
            _ => Some(StoreError::Behind { table: table.name }),
        });
        Ok(RunEnd { has_unlinked, has_old_logs, differing })
    }
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

fn check_count(table: &'static Table, must_hold: Option<i64>, holds: i64) -> Result<(), StoreError> {
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
