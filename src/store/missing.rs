//! `sync_missing`: pending deletions, and how rows are marked as deleted.

use chrono::{DateTime, Utc};

use super::connect::Store;
use super::erase::{erase, erase_cleared_customers};
use super::error::StoreError;
use super::links::{Reach, note_unlinked, relink_orders};
use super::notes::{forget, forget_unreadable, release, resolve_errors};
use super::row_counts::Entry;
use super::session::{Session, params};
use crate::table::Relation;
use crate::table::Table;

/// Number of pending deletions and of live rows, which the deletion limit compares. Placeholders are in neither number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingCount {
    pub missing: u64,
    /// Live rows, including those pending deletion.
    pub live: u64,
}

impl MissingCount {
    /// Whether the safety limit is exceeded: then the list is more likely wrong than the rows.
    pub fn exceeds_limit(self) -> bool {
        self.missing > ALWAYS_ALLOWED && self.missing.saturating_mul(10) > self.live
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Pending deletions that the deletion limit applies to.
    pub limited: MissingCount,
    /// Placeholders: Wix does not return them, so each one is looked up by id, whatever their number.
    pub placeholders: u64,
}

/// A row that is to be marked as deleted.
pub struct Deletion<'a> {
    pub table: &'static Table,
    pub wix_id: &'a str,
    /// The record into which this one was merged.
    pub merged_into: Option<&'a str>,
    pub reach: Reach,
    pub now: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Only placeholders: the deletion limit blocks the others.
    Placeholders,
}

/// Number of pending deletions that is always allowed; above it, the limit is 10 % of the table.
const ALWAYS_ALLOWED: u64 = 20;

const COUNTING: &str = "could not count the rows pending deletion";

/// SQL: whether the entry `m` of `sync_missing` waits for its second lookup: a lookup less than 24 hours ago did not
/// find the record.
pub(super) const IS_WAITING: &str = "coalesce(m.absent_at > clock_timestamp() - interval '24 hours', false)";

/// SQL: whether the customer `t` is a placeholder: created from a booking and never returned by Wix. A placeholder is
/// created with the appointment that names it, or later. A row of an adopted table has no record either until its
/// contact is synced, but it is older than the appointments that wix-sync wrote.
const IS_PLACEHOLDER: &str = "(t.raw is null and exists (
        select from {schema}.appointments a
        where a.wix_contact_id = t.wix_contact_id and a.wix_booking_id is not null and a.created_at <= t.created_at
    ))";

/// SQL: whether the row `t` of this table is a placeholder.
pub(super) fn is_placeholder(table: &'static Table) -> &'static str {
    match table.relation {
        Some(Relation::Customer) => IS_PLACEHOLDER,
        Some(Relation::Booking { .. } | Relation::Order) | None => "false",
    }
}

impl Store {
    /// Whether the table has pending deletions. A lookup time in the future, by the server's clock, is set to now: it
    /// was recorded by a wrong clock, and the wait must end.
    pub async fn has_missing(&mut self, table: &'static Table) -> Result<bool, StoreError> {
        let doing = "could not find pending deletions";
        let name = table.name;
        let statement = "select count(*) > 0, count(*) filter (where absent_at > clock_timestamp()) > 0 as is_ahead
             from {schema}.sync_missing where table_name = $1";
        let rows = self.rows(doing, statement, params![name]).await?;
        if rows.get("is_ahead")? {
            let statement = "update {schema}.sync_missing set absent_at = clock_timestamp()
                 where table_name = $1 and absent_at > clock_timestamp()";
            self.write(doing, statement, params![name]).await?;
        }
        rows.value()
    }

    /// Number of live rows that wait for their second lookup.
    pub async fn count_waiting(&self, table: &'static Table) -> Result<u64, StoreError> {
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select count(*) from {{schema}}.sync_missing m join {{schema}}.{name} t on t.{id_column} = m.wix_id
             where m.table_name = $1 and t.deleted_at is null and {IS_WAITING}"
        );
        let doing = "could not count the rows that wait for a second lookup";
        self.rows(doing, &statement, params![name]).await?.count()
    }

    /// Notes that a lookup did not find a record. True if an earlier lookup, at least 24 hours ago, did not find it
    /// either, or if neither a live row nor a rejected record is stored that could be lost.
    pub async fn confirm_absence(&mut self, table: &'static Table, wix_id: &str) -> Result<bool, StoreError> {
        let doing = "could not record a lookup in sync_missing";
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "insert into {{schema}}.sync_missing as m (table_name, wix_id, found_at, absent_at)
             select $1, $2, clock_timestamp(), clock_timestamp()
             where exists (select from {{schema}}.{name} where {id_column} = $2 and deleted_at is null)
                or exists (
                    select from {{schema}}.sync_errors
                    where table_name = $1 and record_key = $2 and resolved_at is null
                )
             on conflict (table_name, wix_id) do update
                set absent_at = least(coalesce(m.absent_at, excluded.absent_at), excluded.absent_at), tried_at = null
             returning {IS_WAITING}"
        );
        let session = self.begin().await?;
        let is_waiting: bool = session.rows(doing, &statement, params![name, wix_id]).await?.value()?;
        session.commit(doing).await?;
        Ok(!is_waiting)
    }

    /// Counts pending deletions, after removing those of records that were seen again or are already marked as deleted,
    /// and those of rows without a date whose record is in `sync_errors`: such rows are compared at the end of the
    /// list, and Wix may have returned the record long before.
    pub async fn count_missing(&mut self, table: &'static Table) -> Result<Pending, StoreError> {
        let doing = COUNTING;
        let Table { name, id_column, .. } = table;
        let session = self.begin().await?;
        session.read_whole_tables().await?;
        let tidy = format!(
            "delete from {{schema}}.sync_missing m
             where m.table_name = $1 and not exists (
                select from {{schema}}.{name} t
                where t.{id_column} = m.wix_id and t.deleted_at is null
                    and (t.wix_created_at is not null or not exists (
                        select from {{schema}}.sync_errors e
                        where e.table_name = $1 and e.wix_id = m.wix_id and e.resolved_at is null
                    ))
             ) and (m.absent_at is null or not exists (
                select from {{schema}}.sync_errors e
                where e.table_name = $1 and e.record_key = m.wix_id and e.resolved_at is null
             ))"
        );
        session.write(doing, &tidy, params![name]).await?;
        let pending = count_pending(&session, table).await?;
        session.commit(doing).await?;
        Ok(pending)
    }

    /// Counts pending deletions without changing them.
    pub async fn read_pending(&mut self, table: &'static Table) -> Result<Pending, StoreError> {
        let session = self.begin().await?;
        session.read_whole_tables().await?;
        let pending = count_pending(&session, table).await?;
        session.rollback(COUNTING).await?;
        Ok(pending)
    }

    /// The next pending deletions that were not tried since `since` and do not wait for their second lookup. Those that
    /// never had a clear result come last. A try in the future was recorded by a wrong clock and does not count.
    pub async fn list_missing(
        &self,
        table: &'static Table,
        scope: Scope,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let Table { name, id_column, .. } = table;
        let is_wanted = match scope {
            Scope::All => "true".to_owned(),
            Scope::Placeholders => format!(
                "exists (select from {{schema}}.{name} t where t.{id_column} = m.wix_id and {})",
                is_placeholder(table)
            ),
        };
        let statement = format!(
            "select m.wix_id from {{schema}}.sync_missing m
             where m.table_name = $1 and (m.tried_at is null or m.tried_at < $2 or m.tried_at > $4) and not {IS_WAITING}
                and {is_wanted}
             order by m.tried_at nulls first, m.wix_id limit $3"
        );
        let doing = "could not list the pending deletions";
        self.rows(doing, &statement, params![name, since, limit, self.now()]).await?.values()
    }

    /// Whether the table has live rows that are not placeholders.
    pub async fn has_rows_of_wix(&self, table: &'static Table) -> Result<bool, StoreError> {
        let Table { name, id_column, .. } = table;
        let is_placeholder = is_placeholder(table);
        let statement = format!(
            "select exists (
                select from {{schema}}.{name} t
                where t.{id_column} is not null and t.deleted_at is null and not {is_placeholder}
             )"
        );
        let doing = "could not check whether the table has rows";
        self.rows(doing, &statement, params![]).await?.value()
    }

    /// Deleted customers that may have been merged since, at most `limit`; none that was marked as deleted at `before`
    /// or later.
    pub async fn list_maybe_merged(&mut self, before: DateTime<Utc>, limit: i64) -> Result<Vec<String>, StoreError> {
        let doing = "could not look for deleted customers that may have been merged since";
        let (statement, now) = (include_str!("sql/maybe_merged.sql"), self.now());
        let session = self.begin().await?;
        session.read_whole_tables().await?;
        let rows = session.rows(doing, statement, params![before, limit, now]).await?;
        session.rollback(doing).await?;
        rows.values()
    }

    /// Removes a pending deletion whose record exists in Wix.
    pub async fn forget_missing(&mut self, table: &'static Table, wix_id: &str) -> Result<(), StoreError> {
        let doing = "could not clear sync_missing";
        let session = self.begin().await?;
        forget(&session, table, &[wix_id]).await?;
        session.commit(doing).await
    }

    /// Notes that the lookup of a pending deletion had no clear result.
    pub async fn note_tried_missing(
        &mut self,
        table: &'static Table,
        wix_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not record an attempt in sync_missing";
        let statement = "update {schema}.sync_missing set tried_at = $3 where table_name = $1 and wix_id = $2";
        self.write(doing, statement, params![table.name, wix_id, now]).await
    }

    /// Marks a row as deleted. If its record was merged, stores the survivor's id, moves the linked rows to the
    /// survivor, and redirects earlier merges to it. Removes its record from `sync_errors`. True if there was such a
    /// live row.
    pub async fn mark_deleted(&mut self, deletion: &Deletion<'_>) -> Result<bool, StoreError> {
        let Deletion { table, wix_id, merged_into, reach, now } = *deletion;
        let doing = "could not mark a row as deleted";
        let Table { name, id_column, .. } = table;
        let row_counts = self.row_counts(table);
        let session = self.begin().await?;
        let statement = format!(
            "update {{schema}}.{name} set deleted_at = $2, updated_at = $2 where {id_column} = $1 and deleted_at is null"
        );
        let marked = session.write_counted(doing, &statement, params![wix_id, now]).await?;
        let mut is_marked = marked == 1;
        if !is_marked {
            // This call already marked it, and the response to its COMMIT was lost; or a trigger skipped it.
            let statement = format!(
                "select coalesce(deleted_at = $2, false), deleted_at is null from {{schema}}.{name} where {id_column} = $1"
            );
            let rows = session.rows(doing, &statement, params![wix_id, now]).await?;
            is_marked = match rows.first()? {
                Some((_, true)) => return Err(StoreError::Swallowed),
                Some((is_marked_so, false)) => is_marked_so,
                None => false,
            };
        }
        match table.relation {
            Some(Relation::Booking { .. }) if reach == Reach::AllTables => {
                let contact = "select wix_contact_id::text from {schema}.appointments where wix_booking_id = $1";
                let rows = session.rows(doing, contact, params![wix_id]).await?;
                if let Some(contact) = rows.value::<Option<String>>()? {
                    erase_cleared_customers(&session, &[&contact]).await?;
                }
            }
            Some(Relation::Customer) => end_customer(&session, (wix_id, merged_into), reach, now).await?,
            Some(Relation::Booking { .. } | Relation::Order) | None => {}
        }
        erase(&session, table, wix_id).await?;
        resolve_errors(&session, table, &[wix_id], now).await?;
        forget(&session, table, &[wix_id]).await?;
        release(&session, table, &[wix_id]).await?;
        forget_unreadable(&session, table, wix_id).await?;
        let entry = Entry { table, added: -i64::from(marked == 1), progress: None, now };
        let row_counts = row_counts.enter(&session, entry).await?;
        session.commit(doing).await?;
        self.row_counts.insert(table, row_counts);
        Ok(is_marked)
    }
}

async fn count_pending(session: &Session<'_>, table: &'static Table) -> Result<Pending, StoreError> {
    let Table { name, id_column, .. } = table;
    let is_placeholder = is_placeholder(table);
    let statement = format!(
        "select count(*) filter (where not {is_placeholder}), count(*) filter (where {is_placeholder}),
            (select count(*) from {{schema}}.{name} t
             where t.{id_column} is not null and t.deleted_at is null and not {is_placeholder})
         from {{schema}}.sync_missing m join {{schema}}.{name} t on t.{id_column} = m.wix_id
         where m.table_name = $1 and t.deleted_at is null"
    );
    let counts = session.rows(COUNTING, &statement, params![name]).await?.first::<(i64, i64, i64)>()?;
    let (missing, placeholders, live) = counts.unwrap_or_default();
    let limited = MissingCount { missing: missing.unsigned_abs(), live: live.unsigned_abs() };
    Ok(Pending { limited, placeholders: placeholders.unsigned_abs() })
}

/// Moves appointments and orders away from a deleted customer: to the survivor of a merge, or orders to the customer
/// with their email. Appointments of a customer that was not merged stay. With [`Reach::RowsOnly`] this is done at the
/// end of the run.
async fn end_customer(
    session: &Session<'_>,
    (wix_id, merged_into): (&str, Option<&str>),
    reach: Reach,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let doing = "could not move the links of a merged customer";
    if let Some(survivor) = merged_into {
        // Also noted for a contact that never had a row: orders and bookings may name it.
        let statement =
            "insert into {schema}.customers (id, wix_contact_id, merged_into, deleted_at, created_at, updated_at)
             values (gen_random_uuid(), $1, $2, $3, $3, $3) on conflict (wix_contact_id) do nothing";
        session.write(doing, statement, params![wix_id, survivor, now]).await?;
        let statement = "update {schema}.customers set merged_into = $2, updated_at = $3
             where (wix_contact_id = $1 or merged_into = $1) and wix_contact_id <> $2";
        session.write(doing, statement, params![wix_id, survivor, now]).await?;
    }
    if reach == Reach::RowsOnly {
        return note_unlinked(session, &[wix_id]).await;
    }
    if let Some(survivor) = merged_into {
        let statement = "update {schema}.appointments a set customer_id = survivor.id, updated_at = $2
             from {schema}.customers gone
             join {schema}.customers survivor on survivor.wix_contact_id = gone.merged_into
             where (gone.wix_contact_id = $1 or gone.merged_into = $3) and a.customer_id = gone.id
                and a.wix_booking_id is not null";
        session.write(doing, statement, params![wix_id, now, survivor]).await?;
    }
    let statement =
        "select wix_contact_id, email::text from {schema}.customers where wix_contact_id = $1 or merged_into = $2";
    let rows = session.rows(doing, statement, params![wix_id, merged_into]).await?;
    let (ids, emails): (Vec<String>, Vec<Option<String>>) = rows.all::<_, Vec<_>>()?.into_iter().unzip();
    let emails: Vec<String> = emails.into_iter().flatten().collect();
    relink_orders(session, &ids, &emails, now).await
}

#[cfg(test)]
mod tests {
    use super::MissingCount;

    #[test]
    fn limit_is_a_tenth_and_twenty_rows() {
        for (missing, live, expected) in
            [(20, 20, false), (21, 21, true), (21, 210, false), (22, 210, true), (100, 1000, false), (101, 1000, true)]
        {
            assert_eq!(MissingCount { missing, live }.exceeds_limit(), expected, "{missing} of {live}");
        }
    }
}
