//! `sync_inbox`: ids of records that a webhook event named, until they are looked up.
//!
//! An event only causes a lookup, so a repeated event does no harm, and event ids are not stored.

use std::collections::BTreeSet;

use super::connect::Store;
use super::error::StoreError;
use super::session::{from_row, params};
use crate::table::Table;

/// Maximum rows of the inbox. If it is full, events are refused, and Wix repeats them for two days.
pub const MAX_ENTRIES: i64 = 100_000;

/// Maximum lookups of one entry. With the waits below that is about two days; a full sync reads every record anyway.
const MAX_TRIES: i32 = 50;

/// A record to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    pub wix_id: String,
    /// Number of events that named it, at the time of reading.
    pub events: i64,
    /// Lookups without a clear result since the last event.
    pub tries: i32,
}

from_row!(InboxEntry { wix_id, events, tries });

/// Number and age of the entries in the inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InboxDepth {
    pub entries: i64,
    /// Seconds since the first event of the oldest entry.
    pub oldest_age_seconds: Option<f64>,
}

from_row!(InboxDepth { entries, oldest_age_seconds });

/// SQL: whether an entry may be looked up now. The longest wait is one hour, so a due time more than two hours ahead
/// comes from a wrong clock.
const IS_DUE: &str = "(due_at <= clock_timestamp() or due_at > clock_timestamp() + interval '2 hours')";

impl Store {
    /// Stores that these records must be looked up, in one transaction. Returns false and stores nothing if the inbox
    /// is full. An entry that waits after an unclear lookup becomes due.
    pub async fn note_events(&mut self, records: &BTreeSet<(&'static Table, String)>) -> Result<bool, StoreError> {
        let doing = "could not store events in sync_inbox";
        let tables: Vec<&str> = records.iter().map(|(table, _)| table.name).collect();
        let wix_ids: Vec<&str> = records.iter().map(|(_, wix_id)| wix_id.as_str()).collect();
        let statement =
            "with room as (select count(*) + cardinality($1::text[]) <= $3 as is_left from {schema}.sync_inbox),
             noted as (
                insert into {schema}.sync_inbox as i (table_name, wix_id, received_at, due_at)
                select table_name, wix_id, clock_timestamp(), clock_timestamp()
                from unnest($1::text[], $2::text[]) as u (table_name, wix_id), room where is_left
                on conflict (table_name, wix_id) do update
                    set events = i.events + 1, tries = 0, due_at = excluded.due_at
             )
             select is_left from room";
        let session = self.begin().await?;
        let has_room = session.rows(doing, statement, params![tables, wix_ids, MAX_ENTRIES]).await?.value()?;
        session.commit(doing).await?;
        Ok(has_room)
    }

    /// Number and age of all entries, due or not.
    pub async fn inbox_depth(&self) -> Result<InboxDepth, StoreError> {
        let statement = "select count(*) as entries,
                greatest(extract(epoch from clock_timestamp() - min(received_at)), 0)::float8 as oldest_age_seconds
             from {schema}.sync_inbox";
        Ok(self.rows("could not read sync_inbox", statement, params![]).await?.first()?.unwrap_or_default())
    }

    /// Whether an entry is due.
    pub async fn has_due_entries(&self) -> Result<bool, StoreError> {
        let statement = format!("select exists (select from {{schema}}.sync_inbox where {IS_DUE})");
        self.rows("could not read sync_inbox", &statement, params![]).await?.value()
    }

    /// The next due entries of a table, oldest first.
    pub async fn list_due_entries(&self, table: &'static Table, limit: i64) -> Result<Vec<InboxEntry>, StoreError> {
        let statement = format!(
            "select wix_id, events, tries from {{schema}}.sync_inbox where table_name = $1 and {IS_DUE}
             order by due_at, wix_id limit $2"
        );
        self.rows("could not read sync_inbox", &statement, params![table.name, limit]).await?.all()
    }

    /// Removes entries, unless another event arrived since they were read.
    pub async fn remove_entries(&mut self, table: &'static Table, entries: &[InboxEntry]) -> Result<(), StoreError> {
        let statement = "delete from {schema}.sync_inbox i
             using unnest($2::text[], $3::bigint[]) as u (wix_id, events)
             where i.table_name = $1 and i.wix_id = u.wix_id and i.events = u.events";
        let (wix_ids, events) = columns(entries);
        self.write("could not clear sync_inbox", statement, params![table.name, wix_ids, events]).await
    }

    /// Postpones entries after a lookup without a clear result: 5 s, 10 s, 20 s and so on, at most one hour. Removes
    /// entries after the last lookup, and returns how many were removed.
    pub async fn postpone_entries(&mut self, table: &'static Table, entries: &[InboxEntry]) -> Result<u64, StoreError> {
        let doing = "could not change sync_inbox";
        let (wix_ids, events) = columns(entries);
        let (postpone, give_up) = (
            "update {schema}.sync_inbox i
             set tries = tries + 1,
                due_at = clock_timestamp() + least(interval '5 seconds' * 2 ^ least(tries, 10), interval '1 hour')
             from unnest($2::text[], $3::bigint[]) as u (wix_id, events)
             where i.table_name = $1 and i.wix_id = u.wix_id and i.events = u.events",
            "delete from {schema}.sync_inbox
             where table_name = $1 and wix_id = any ($2) and tries >= $3",
        );
        let session = self.begin().await?;
        session.write(doing, postpone, params![table.name, wix_ids, events]).await?;
        let given_up = session.write_counted(doing, give_up, params![table.name, wix_ids, MAX_TRIES]).await?;
        session.commit(doing).await?;
        Ok(given_up)
    }

    /// Which of these records the table has, as a live row or a rejected record.
    pub async fn known_ids(&self, table: &'static Table, wix_ids: &[&str]) -> Result<Vec<String>, StoreError> {
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select t.{id_column}::text from {{schema}}.{name} t
             where t.{id_column} = any ($2) and t.deleted_at is null
             union
             select record_key from {{schema}}.sync_errors
             where table_name = $1 and record_key = any ($2) and resolved_at is null"
        );
        self.rows("could not look for rows by id", &statement, params![name, wix_ids]).await?.values()
    }
}

fn columns(entries: &[InboxEntry]) -> (Vec<&str>, Vec<i64>) {
    entries.iter().map(|entry| (entry.wix_id.as_str(), entry.events)).unzip()
}
