//! `sync_missing` and what follows from it: rows that Wix no longer lists, and their end.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::Entry;
use super::connect::{Store, column, read_whole_tables};
use super::dead_letters::resolve_errors;
use super::error::StoreError;
use super::held::release;
use super::links::relink_orders;
use super::schema::Schema;
use crate::stream::Stream;

/// A part of a full pass whose records are all known: what Wix did not list in it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Records created at this time or later; from the very beginning without one.
    pub from: Option<DateTime<Utc>>,
    /// Records created before this time; to the very end without one.
    pub until: Option<DateTime<Utc>>,
    /// True if the listing has come to its end.
    pub at_end: bool,
    /// The Wix ids that were listed in it.
    pub listed: HashSet<String>,
}

/// How many rows are missing, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingCount {
    /// Candidates for deletion.
    pub missing: u64,
    /// Live rows of the table, the missing ones included.
    pub live: u64,
}

/// Notes the rows that are missing in a span, in the transaction that writes its records.
pub(super) async fn insert_missing(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    span: &Span,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = schema.sql(
        &include_str!("sql/insert_missing.sql").replace("{table}", stream.table()).replace("{id}", stream.id_column()),
    );
    let listed: Vec<&str> = span.listed.iter().map(String::as_str).collect();
    transaction
        .execute_typed(
            &statement,
            &[
                (&stream.table(), Type::TEXT),
                (&span.from, Type::TIMESTAMPTZ),
                (&span.until, Type::TIMESTAMPTZ),
                (&listed, Type::TEXT_ARRAY),
                (&span.at_end, Type::BOOL),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await
        .map_err(StoreError::database("could not look for rows that Wix no longer lists"))?;
    Ok(())
}

/// Forgets all candidates of a table, in the transaction of a new full pass's first checkpoint.
pub(super) async fn clear_missing(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
) -> Result<(), StoreError> {
    let statement = schema.sql("delete from {schema}.sync_missing where table_name = $1");
    transaction
        .execute_typed(&statement, &[(&stream.table(), Type::TEXT)])
        .await
        .map_err(StoreError::database("could not clear sync_missing"))?;
    Ok(())
}

impl Store {
    /// Counts the candidates, after forgetting those that were seen again or are marked already. Also rows without a
    /// date whose record waits in `sync_errors`: Wix may have listed it, long before the end at which they came in.
    pub async fn count_missing(&mut self, stream: Stream) -> Result<MissingCount, StoreError> {
        let doing = "could not count the rows that Wix no longer lists";
        let (table, id) = (stream.table(), stream.id_column());
        let schema = self.schema.clone();
        let transaction = self.begin().await?;
        read_whole_tables(&transaction).await?;
        let tidy = schema.sql(&format!(
            "delete from {{schema}}.sync_missing m
             where m.table_name = $1 and not exists (
                select from {{schema}}.{table} t
                where t.{id} = m.wix_id and t.deleted_at is null
                    and (t.wix_created_at is not null or not exists (
                        select from {{schema}}.sync_errors e
                        where e.table_name = $1 and e.wix_id = m.wix_id and e.resolved_at is null
                    ))
             )"
        ));
        transaction.execute_typed(&tidy, &[(&table, Type::TEXT)]).await.map_err(StoreError::database(doing))?;
        let count = schema.sql(&format!(
            "select (select count(*) from {{schema}}.sync_missing where table_name = $1),
                (select count(*) from {{schema}}.{table} where {id} is not null and deleted_at is null)"
        ));
        let rows =
            transaction.query_typed(&count, &[(&table, Type::TEXT)]).await.map_err(StoreError::database(doing))?;
        transaction.commit().await.map_err(StoreError::database(doing))?;
        let number = |index: usize| rows.first().map_or(0, |row| row.get::<_, i64>(index).unsigned_abs());
        Ok(MissingCount { missing: number(0), live: number(1) })
    }

    /// The next candidates that were not tried since `since`; those that never gave a clear answer come last.
    pub async fn list_missing(
        &self,
        stream: Stream,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let statement = self.schema.sql(
            "select wix_id from {schema}.sync_missing
             where table_name = $1 and (tried_at is null or tried_at < $2)
             order by tried_at nulls first, wix_id limit $3",
        );
        let rows = self
            .query_once(
                "could not list the rows that Wix no longer lists",
                &statement,
                &[(&stream.table(), Type::TEXT), (&since, Type::TIMESTAMPTZ), (&limit, Type::INT8)],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Forgets a candidate that Wix still has.
    pub async fn forget_missing(&mut self, stream: Stream, wix_id: &str) -> Result<(), StoreError> {
        let doing = "could not clear sync_missing";
        let schema = self.schema.clone();
        let transaction = self.begin().await?;
        forget(&transaction, &schema, stream, &[wix_id]).await?;
        transaction.commit().await.map_err(StoreError::database(doing))
    }

    /// Notes that Wix gave no clear answer about a candidate.
    pub async fn note_tried_missing(
        &mut self,
        stream: Stream,
        wix_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not note a try in sync_missing";
        let statement =
            self.schema.sql("update {schema}.sync_missing set tried_at = $3 where table_name = $1 and wix_id = $2");
        self.write(
            doing,
            &statement,
            &[(&stream.table(), Type::TEXT), (&wix_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map(drop)
    }

    /// Marks a row as deleted; one that was merged, with the survivor's id, to which moves what hung on it.
    /// Also merges into the deleted one now lead to the survivor. Its record in `sync_errors` goes. True if
    /// there was such a live row.
    pub async fn mark_deleted(
        &mut self,
        stream: Stream,
        wix_id: &str,
        merged_into: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let doing = "could not mark a row as deleted";
        let (table, id) = (stream.table(), stream.id_column());
        let (schema, books) = (self.schema.clone(), self.books(stream));
        let transaction = self.begin().await?;
        let statement = schema.sql(&format!(
            "update {{schema}}.{table} set deleted_at = $2, updated_at = $2 where {id} = $1 and deleted_at is null"
        ));
        let marked = transaction
            .execute_typed(&statement, &[(&wix_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)])
            .await
            .map_err(StoreError::database(doing))?;
        let mut is_marked = marked == 1;
        if !is_marked {
            // Marked by this very call, whose COMMIT got no answer; or not at all, by a trigger.
            let statement = schema.sql(&format!(
                "select coalesce(deleted_at = $2, false), deleted_at is null from {{schema}}.{table} where {id} = $1"
            ));
            let rows = transaction
                .query_typed(&statement, &[(&wix_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)])
                .await
                .map_err(StoreError::database(doing))?;
            if let Some(row) = rows.first() {
                if column(row, 1, doing)? {
                    return Err(StoreError::Swallowed);
                }
                is_marked = column(row, 0, doing)?;
            }
        }
        if stream == Stream::Appointments {
            let contact =
                schema.sql("select wix_contact_id::text from {schema}.appointments where wix_booking_id = $1");
            let rows = transaction
                .query_typed(&contact, &[(&wix_id, Type::TEXT)])
                .await
                .map_err(StoreError::database(doing))?;
            if let Some(contact) = rows.first().and_then(|row| row.get::<_, Option<&str>>(0)) {
                erase_cleared_customers(&transaction, &schema, &[contact]).await?;
            }
        }
        if stream == Stream::Customers {
            end_customer(&transaction, &schema, wix_id, merged_into, now).await?;
        }
        erase(&transaction, &schema, stream, wix_id).await?;
        resolve_errors(&transaction, &schema, stream, &[wix_id], now).await?;
        forget(&transaction, &schema, stream, &[wix_id]).await?;
        release(&transaction, &schema, stream, &[wix_id]).await?;
        let entry = Entry { stream, added: -i64::from(marked == 1), progress: None, now };
        let books = books.enter(&transaction, &schema, entry).await?;
        transaction.commit().await.map_err(StoreError::database(doing))?;
        self.books.insert(stream, books);
        Ok(is_marked)
    }
}

/// A customer's columns that tell of the person.
const PERSONAL: &str = "name = null, first_name = null, last_name = null, email = null, phone = null, company = null,
    job_title = null, birthdate = null, locale = null, labels = null";

/// Of a customer `t`: that no booking which Wix has holds more of the person than the contact's id. Written so that the
/// planner can't take the index on live rows' dates for it, and read all of that.
const NO_BOOKING_TELLS: &str = "not exists (
        select from {schema}.appointments a
        where a.wix_contact_id = t.wix_contact_id and coalesce(a.deleted_at, 'infinity') = 'infinity'
            and jsonb_strip_nulls(a.raw #> '{booking,contactDetails}') ?| array['firstName', 'lastName', 'email', 'phone']
    )";

/// What Wix erased of a person is erased here too: of a row that is marked as deleted remain its ids and dates,
/// its links, amounts and states, and what people wrote in `notes`. If the record comes back, all of it does.
/// A customer that was made from a booking keeps what that booking tells, as long as Wix has it
/// ([`Store::erase_untold_customers`]).
async fn erase(transaction: &Transaction<'_>, schema: &Schema, stream: Stream, wix_id: &str) -> Result<(), StoreError> {
    let (personal, is_erased) = match stream {
        Stream::Customers => (PERSONAL, format!("(t.raw is not null or {NO_BOOKING_TELLS})")),
        Stream::Appointments => ("location = null", "true".to_owned()),
        Stream::Orders => ("email = null, items = null", "true".to_owned()),
    };
    let (table, id) = (stream.table(), stream.id_column());
    let statement = schema.sql(&format!(
        "update {{schema}}.{table} t set raw = null, content_hash = null, {personal}
         where t.{id} = $1 and t.deleted_at is not null and {is_erased}"
    ));
    transaction
        .execute_typed(&statement, &[(&wix_id, Type::TEXT)])
        .await
        .map_err(StoreError::database("could not erase what Wix no longer has"))?;
    Ok(())
}

impl Store {
    /// Erases what deleted customers still hold of a booking that Wix no longer has either, or that names another
    /// contact now.
    pub async fn erase_untold_customers(&mut self) -> Result<(), StoreError> {
        let statement = self.schema.sql(&format!(
            "update {{schema}}.customers c set {PERSONAL}
             where c.deleted_at is not null and c.raw is null and c.wix_contact_id is not null
                and num_nonnulls(c.name, c.first_name, c.last_name, c.email, c.phone) > 0
                and not exists (
                    select from {{schema}}.appointments a
                    where a.wix_contact_id = c.wix_contact_id and a.deleted_at is null
                )"
        ));
        let doing = "could not erase what Wix no longer has";
        let transaction = self.begin().await?;
        read_whole_tables(&transaction).await?;
        transaction.execute_typed(&statement, &[]).await.map_err(StoreError::database(doing))?;
        transaction.commit().await.map_err(StoreError::database(doing))
    }
}

/// Erases what these deleted customers still hold of bookings, unless another booking tells of the person: Wix has
/// cleared one of its details, it is gone, or it names another contact now.
pub(super) async fn erase_cleared_customers(
    transaction: &Transaction<'_>,
    schema: &Schema,
    wix_ids: &[&str],
) -> Result<(), StoreError> {
    let statement = schema.sql(&format!(
        "update {{schema}}.customers t set {PERSONAL}
         where t.wix_contact_id = any ($1) and t.deleted_at is not null and t.raw is null
            and num_nonnulls(t.name, t.first_name, t.last_name, t.email, t.phone) > 0 and {NO_BOOKING_TELLS}"
    ));
    transaction
        .execute_typed(&statement, &[(&wix_ids, Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database("could not erase what Wix no longer has"))?;
    Ok(())
}

/// Forgets candidates that were seen again, or are settled.
pub(super) async fn forget(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    wix_ids: &[&str],
) -> Result<(), StoreError> {
    let statement = schema.sql("delete from {schema}.sync_missing where table_name = $1 and wix_id = any ($2)");
    transaction
        .execute_typed(&statement, &[(&stream.table(), Type::TEXT), (&wix_ids, Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database("could not clear sync_missing"))?;
    Ok(())
}

/// Moves appointments and orders away from a customer that is gone: to the survivor of a merge, else orders
/// to whom their email leads. Appointments of a deleted customer stay with it.
async fn end_customer(
    transaction: &Transaction<'_>,
    schema: &Schema,
    wix_id: &str,
    merged_into: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let doing = "could not move what hung on a merged customer";
    if let Some(survivor) = merged_into {
        // A contact that never became a row is remembered as well: orders and bookings may name it.
        let statement = schema.sql(
            "insert into {schema}.customers (id, wix_contact_id, merged_into, deleted_at, created_at, updated_at)
             values (gen_random_uuid(), $1, $2, $3, $3, $3) on conflict (wix_contact_id) do nothing",
        );
        transaction
            .execute_typed(&statement, &[(&wix_id, Type::TEXT), (&survivor, Type::TEXT), (&now, Type::TIMESTAMPTZ)])
            .await
            .map_err(StoreError::database(doing))?;
        let statement = schema.sql(
            "update {schema}.customers set merged_into = $2, updated_at = $3
             where (wix_contact_id = $1 or merged_into = $1) and wix_contact_id <> $2",
        );
        transaction
            .execute_typed(&statement, &[(&wix_id, Type::TEXT), (&survivor, Type::TEXT), (&now, Type::TIMESTAMPTZ)])
            .await
            .map_err(StoreError::database(doing))?;
        let statement = schema.sql(
            "update {schema}.appointments a set customer_id = survivor.id, updated_at = $2
             from {schema}.customers gone
             join {schema}.customers survivor on survivor.wix_contact_id = gone.merged_into
             where (gone.wix_contact_id = $1 or gone.merged_into = $3) and a.customer_id = gone.id
                and a.wix_booking_id is not null",
        );
        transaction
            .execute_typed(&statement, &[(&wix_id, Type::TEXT), (&now, Type::TIMESTAMPTZ), (&survivor, Type::TEXT)])
            .await
            .map_err(StoreError::database(doing))?;
    }
    let statement = schema.sql(
        "select wix_contact_id, email::text from {schema}.customers where wix_contact_id = $1 or merged_into = $2",
    );
    let rows = transaction
        .query_typed(&statement, &[(&wix_id, Type::TEXT), (&merged_into, Type::TEXT)])
        .await
        .map_err(StoreError::database(doing))?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let emails: Vec<String> = rows.iter().filter_map(|row| row.get(1)).collect();
    relink_orders(transaction, schema, &ids, &emails, now).await
}
