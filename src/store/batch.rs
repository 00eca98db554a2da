//! Writes a batch of rows in one transaction: ask which are new or changed, write those, mend the links.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::columns::Columns;
use super::connect::Store;
use super::dead_letters::resolve_errors;
use super::error::StoreError;
use super::links::{emails_of, link_appointments, relink_orders, with_customer_of};
use super::missing::{erase_cleared_customers, forget};
use super::schema::Schema;
use super::state::{Progress, save_progress};
use crate::record::{Cell, Column, Row};
use crate::stream::Stream;

/// What became of the rows of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// New rows.
    pub inserted: u64,
    /// Rows whose content changed.
    pub updated: u64,
    /// Rows that are as Wix has them already, or newer; not written.
    pub unchanged: u64,
    /// The transaction's id, once all is sent but COMMIT: what tells whether that was done, should its answer get lost.
    pub transaction_id: Option<i64>,
}

/// What a batch is written with.
#[derive(Clone, Copy, Debug)]
pub struct BatchContext {
    /// Which table.
    pub stream: Stream,
    /// The stream's own columns.
    pub columns: &'static [Column],
    /// Goes into `created_at` and `updated_at`.
    pub now: DateTime<Utc>,
    /// Whether `sync_errors` holds unresolved records of this table, which a written row resolves.
    pub has_unresolved_errors: bool,
}

/// A row as the table has it.
struct Stored {
    content_hash: Option<Vec<u8>>,
    deleted: bool,
}

impl Store {
    /// Writes rows that have each id once, and with them how far the pass has come. All
    /// of it, or nothing and an error. `outcome` tells what became of them also where only the answer to
    /// COMMIT was lost.
    pub async fn write_batch(
        &mut self,
        context: &BatchContext,
        rows: &[Row],
        progress: Option<&Progress>,
        outcome: &mut BatchOutcome,
    ) -> Result<(), StoreError> {
        let (schema, lease) = (self.schema.clone(), self.lease);
        let transaction = self.begin().await?;
        let stored = load_stored(&transaction, &schema, context.stream, rows).await?;
        let to_write: Vec<&Row> =
            rows.iter().filter(|row| needs_writing(row, stored.get(row.wix_id.as_str()))).collect();
        *outcome = BatchOutcome { unchanged: rows.len() as u64, ..BatchOutcome::default() };
        if !to_write.is_empty() {
            let touched = match context.stream {
                Stream::Customers => Some(Touched::by(&transaction, &schema, &to_write, &stored).await?),
                Stream::Appointments => {
                    insert_stubs(&transaction, &schema, &to_write, context.now).await?;
                    None
                }
                Stream::Orders => None,
            };
            let mut left = contacts_of_stored(&transaction, &schema, context.stream, &to_write, &stored).await?;
            let written = upsert(&transaction, &schema, context, &to_write).await?;
            if written.len() < to_write.len() {
                check_whole(&transaction, &schema, context.stream, &to_write).await?;
            }
            for inserted in written {
                outcome.unchanged -= 1;
                if inserted { outcome.inserted += 1 } else { outcome.updated += 1 }
            }
            left.extend(contacts_without_details(context.stream, &to_write));
            if !left.is_empty() {
                let contacts: Vec<&str> = left.iter().map(String::as_str).collect();
                erase_cleared_customers(&transaction, &schema, &contacts).await?;
            }
            if let Some(Touched { appeared, wix_ids, emails }) = touched {
                link_appointments(&transaction, &schema, &appeared, context.now).await?;
                relink_orders(&transaction, &schema, &wix_ids, &emails, context.now).await?;
            }
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
        // Sent together, in this order: over a long line every answer that is waited for counts. Behind the first that
        // fails, all fail; the progress, which may take more than one statement, comes last.
        let (transaction_id, forgotten, resolved, renewed, saved) = tokio::join!(
            biased;
            current_transaction(&transaction),
            forget(&transaction, &schema, context.stream, &ids),
            async {
                match context.has_unresolved_errors {
                    true => resolve_errors(&transaction, &schema, context.stream, &ids, context.now).await,
                    false => Ok(()),
                }
            },
            async {
                match lease {
                    Some(lease) => lease.renew_if_due(&transaction, &schema).await,
                    None => Ok(()),
                }
            },
            async {
                match progress {
                    Some(progress) => save_progress(&transaction, &schema, context.stream, progress, context.now).await,
                    None => Ok(()),
                }
            },
        );
        let transaction_id = transaction_id?;
        forgotten.and(resolved).and(renewed).and(saved)?;
        outcome.transaction_id = Some(transaction_id);
        transaction.commit().await.map_err(StoreError::database("could not commit a batch"))
    }
}

async fn current_transaction(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let rows = transaction
        .query_typed("select pg_current_xact_id()::text::bigint", &[])
        .await
        .map_err(StoreError::database("could not read the transaction's id"))?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was committed.
    Committed,
    /// It was not, and will not be.
    Aborted,
    /// Its backend is still at it, maybe within COMMIT.
    InProgress,
}

impl Store {
    /// What became of a transaction whose COMMIT got no answer. Asked on another connection than its own.
    pub async fn fate_of(&self, transaction_id: i64) -> Result<Fate, StoreError> {
        let rows = self
            .query_once(
                "could not ask what became of a transaction",
                "select pg_xact_status($1::text::xid8)",
                &[(&transaction_id.to_string(), Type::TEXT)],
            )
            .await;
        let rows = match rows {
            // An id that the server does not know yet: it crashed before it had written down that it gave it out.
            Err(StoreError::Database { state: Some(SqlState::INVALID_PARAMETER_VALUE), .. }) => {
                return Ok(Fate::Aborted);
            }
            rows => rows?,
        };
        let status: Option<String> = rows.first().and_then(|row| row.get(0));
        Ok(match status.as_deref() {
            Some("committed") => Fate::Committed,
            Some("in progress") => Fate::InProgress,
            // Null: so old that the server has forgotten it, which none of ours is.
            _ => Fate::Aborted,
        })
    }

    /// Whether all rows stand in the table in this version or a newer one. What [`Store::fate_of`] says may be about a later
    /// transaction: a server that crashed gives the ids out again that it had not written down.
    pub async fn holds(&mut self, stream: Stream, rows: &[Row]) -> Result<bool, StoreError> {
        let schema = self.schema.clone();
        let transaction = self.begin().await?;
        let rows: Vec<&Row> = rows.iter().collect();
        match check_whole(&transaction, &schema, stream, &rows).await {
            Ok(()) => Ok(true),
            Err(StoreError::Swallowed) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn needs_writing(row: &Row, stored: Option<&Stored>) -> bool {
    stored.is_none_or(|stored| stored.deleted || stored.content_hash.as_deref() != Some(&row.content_hash[..]))
}

async fn load_stored(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    rows: &[Row],
) -> Result<HashMap<String, Stored>, StoreError> {
    let (table, id) = (stream.table(), stream.id_column());
    let statement = schema.sql(&format!(
        "select {id}::text, content_hash, deleted_at is not null from {{schema}}.{table} where {id} = any ($1)"
    ));
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let found = transaction
        .query_typed(&statement, &[(&ids, Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database("could not read the rows of a batch"))?;
    Ok(found.iter().map(|row| (row.get(0), Stored { content_hash: row.get(1), deleted: row.get(2) })).collect())
}

/// One item per row that was written: true if it is new.
async fn upsert(
    transaction: &Transaction<'_>,
    schema: &Schema,
    context: &BatchContext,
    rows: &[&Row],
) -> Result<Vec<bool>, StoreError> {
    let statement = match context.stream {
        Stream::Customers => schema.sql(include_str!("sql/upsert_customers.sql")),
        Stream::Appointments => schema.sql(include_str!("sql/upsert_appointments.sql")),
        Stream::Orders => schema.sql(&with_customer_of("u", include_str!("sql/upsert_orders.sql"))),
    };
    let columns = Columns::of(rows, context.columns);
    let written = transaction
        .query_typed(&statement, &columns.parameters(&context.now))
        .await
        .map_err(StoreError::database("could not write a batch"))?;
    Ok(written.iter().map(|row| row.get(0)).collect())
}

/// Fewer rows were written than should be. That is right for an older copy of a record; else it was a trigger.
async fn check_whole(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    rows: &[&Row],
) -> Result<(), StoreError> {
    let (table, id) = (stream.table(), stream.id_column());
    let statement = schema.sql(&format!(
        "select from unnest($1::text[], $2::bytea[], $3::timestamptz[]) as u (wix_id, content_hash, wix_updated_at)
         where not exists (
            select from {{schema}}.{table} t
            where t.{id} = u.wix_id and t.deleted_at is null
                and (t.content_hash = u.content_hash or t.wix_updated_at > u.wix_updated_at)
         ) limit 1"
    ));
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let hashes: Vec<&[u8]> = rows.iter().map(|row| &row.content_hash[..]).collect();
    let dates: Vec<Option<DateTime<Utc>>> = rows.iter().map(|row| row.wix_updated_at).collect();
    let left_out = transaction
        .query_typed(
            &statement,
            &[(&ids, Type::TEXT_ARRAY), (&hashes, Type::BYTEA_ARRAY), (&dates, Type::TIMESTAMPTZ_ARRAY)],
        )
        .await
        .map_err(StoreError::database("could not read a batch back"))?;
    if left_out.is_empty() { Ok(()) } else { Err(StoreError::Swallowed) }
}

/// The contacts of bookings that say nothing else of them.
fn contacts_without_details(stream: Stream, rows: &[&Row]) -> Vec<String> {
    if stream != Stream::Appointments {
        return Vec::new();
    }
    // The first five columns of `entity/appointments.rs`, as in `insert_stubs`.
    let contact = |row: &&Row| match row.cells.get(..5) {
        Some([Cell::Text(id), Cell::Null, Cell::Null, Cell::Null, Cell::Null]) => Some(id.clone()),
        _ => None,
    };
    rows.iter().filter_map(contact).collect()
}

/// The deleted customers that bookings name until now which are about to be written: they may name another one then.
async fn contacts_of_stored(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    rows: &[&Row],
    stored: &HashMap<String, Stored>,
) -> Result<Vec<String>, StoreError> {
    let known: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).filter(|id| stored.contains_key(*id)).collect();
    if stream != Stream::Appointments || known.is_empty() {
        return Ok(Vec::new());
    }
    let statement = schema.sql(
        "select distinct c.wix_contact_id::text from {schema}.appointments a
         join {schema}.customers c on c.wix_contact_id = a.wix_contact_id
         where a.wix_booking_id = any ($1) and c.deleted_at is not null and c.raw is null",
    );
    let found = transaction
        .query_typed(&statement, &[(&known, Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database("could not read whom bookings name"))?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}

/// Creates the customers that bookings name and the table does not have, and notes that orders may have to be linked
/// to them.
async fn insert_stubs(
    transaction: &Transaction<'_>,
    schema: &Schema,
    rows: &[&Row],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // The first five columns of `entity/appointments.rs`: contact id, first name, last name, email, phone.
    let column = |index: usize| -> Vec<Option<&str>> {
        rows.iter()
            .map(|row| match row.cells.get(index) {
                Some(Cell::Text(text)) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    };
    let contact_ids = column(0);
    if contact_ids.iter().all(Option::is_none) {
        return Ok(());
    }
    transaction
        .execute_typed(
            &schema.sql(include_str!("sql/insert_stubs.sql")),
            &[
                (&contact_ids, Type::TEXT_ARRAY),
                (&column(1), Type::TEXT_ARRAY),
                (&column(2), Type::TEXT_ARRAY),
                (&column(3), Type::TEXT_ARRAY),
                (&column(4), Type::TEXT_ARRAY),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await
        .map_err(StoreError::database("could not create the customers that bookings name"))?;
    Ok(())
}

/// Customers that came or changed in a batch: orders may have to be linked to them, or to others now.
struct Touched {
    /// Those that the table did not have, or only as deleted.
    appeared: Vec<String>,
    wix_ids: Vec<String>,
    emails: Vec<String>,
}

impl Touched {
    /// The contacts that are about to be written, with the emails they had before and will have.
    async fn by(
        transaction: &Transaction<'_>,
        schema: &Schema,
        rows: &[&Row],
        stored: &HashMap<String, Stored>,
    ) -> Result<Touched, StoreError> {
        /// Where the email stands among the columns of `entity/customers.rs`.
        const EMAIL: usize = 3;
        let wix_ids: Vec<String> = rows.iter().map(|row| row.wix_id.clone()).collect();
        let coming = rows.iter().filter_map(|row| match row.cells.get(EMAIL) {
            Some(Cell::Text(email)) => Some(email.clone()),
            _ => None,
        });
        let mut emails: Vec<String> = coming.collect();
        if wix_ids.iter().any(|id| stored.contains_key(id)) {
            emails.extend(emails_of(transaction, schema, &wix_ids).await?);
        }
        let has_appeared = |id: &&String| stored.get(*id).is_none_or(|stored| stored.deleted);
        let appeared = wix_ids.iter().filter(has_appeared).cloned().collect();
        Ok(Touched { appeared, wix_ids, emails })
    }
}
