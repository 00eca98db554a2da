//! Writes a batch of rows in one transaction: finds the rows that are new or changed, writes them and updates the
//! links.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::columns::Columns;
use super::compare::forget_content;
use super::connect::Store;
use super::erase::erase_cleared_customers;
use super::error::StoreError;
use super::held::{hold, losing};
use super::links::{Reach, emails_of, link_appointments, note_unlinked, relink_orders};
use super::notes::{forget, release, resolve_errors};
use super::row_counts::{Entry, Progress, add_customers};
use super::session::{Session, parameter, params};
use super::unreadable::note_unreadable;
use super::upsert::upsert_statement;
use crate::table::Table;
use crate::table::row::{Contact, Row, Version};
use crate::table::{CUSTOMERS, Relation};

/// Number of rows of a batch by what was done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    pub inserted: u64,
    pub updated: u64,
    /// Rows that already have this content, and were not written.
    pub unchanged: u64,
    /// Copies that would clear a field which their row has. They wait in `sync_held`.
    pub held: u64,
}

#[derive(Clone, Debug)]
pub struct BatchContext {
    pub table: &'static Table,
    /// Value for `created_at` and `updated_at`.
    pub now: DateTime<Utc>,
    /// Whether `sync_errors` holds unresolved records of this table: a written row resolves its record.
    pub has_unresolved_errors: bool,
    /// Whether `sync_held` holds copies of this table: a newer copy replaces the held one.
    pub has_held: bool,
    /// Whether `sync_unreadable` holds fields of this table, or one of these rows has an unreadable field.
    pub has_unreadable: bool,
    /// Whether copies that would clear a field of their row are held, and not written.
    pub holds_losses: bool,
    /// Wix ids of copies that were looked up by id. They are written even if they look older than their rows.
    pub looked_up: HashSet<String>,
    /// Whether a copy that was looked up by id can have other fields than the list's copy of the same version.
    pub shapes_differ: bool,
    /// Whether rows are written even if their content is unchanged, because something else changed their columns.
    pub rewrites: bool,
}

/// A row that is stored in the table.
struct Stored {
    content_hash: Option<Vec<u8>>,
    deleted: bool,
    version: Version,
}

impl Stored {
    /// Whether a copy must be written. A copy that was looked up by id is not written if the row has the same version:
    /// it can have other fields than the list's copy, and the next full sync would write the row again.
    fn needs(&self, row: &Row, is_looked_up: bool) -> bool {
        let is_known = self.content_hash.is_some() && self.version != Version::default();
        let has_version = is_looked_up && is_known && self.version == row.version();
        self.deleted || (!has_version && self.content_hash.as_deref() != Some(&row.content_hash[..]))
    }
}

impl Store {
    /// Writes rows and the progress of the pass in one transaction. Each id occurs once in `rows`. `outcome` is set
    /// even if the response to COMMIT is lost.
    ///
    /// If some copies differ from their rows and look older, nothing is written and their Wix ids are returned. A date
    /// alone does not prove that a copy is older, so these records must be looked up by id first.
    pub async fn write_batch(
        &mut self,
        context: &BatchContext,
        rows: &[Row],
        progress: Option<&Progress>,
        reach: Reach,
        outcome: &mut BatchOutcome,
    ) -> Result<Vec<String>, StoreError> {
        let (lease, row_counts) = (self.lease, self.row_counts(context.table));
        let session = self.begin().await?;
        let stored = load_stored(&session, context.table, rows).await?;
        let is_due = |row: &&Row| {
            let is_looked_up = context.shapes_differ && context.looked_up.contains(&row.wix_id);
            let stored = stored.get(row.wix_id.as_str());
            context.rewrites || stored.is_none_or(|stored| stored.needs(row, is_looked_up))
        };
        let mut to_write: Vec<&Row> = rows.iter().filter(is_due).collect();
        let older = older_copies(context, &to_write, &stored);
        if !older.is_empty() {
            return Ok(older);
        }
        *outcome = BatchOutcome { unchanged: (rows.len() - to_write.len()) as u64, ..BatchOutcome::default() };
        let held = hold_losing_copies(&session, context, &mut to_write, &stored).await?;
        outcome.held = held.len() as u64;
        let mut added = 0;
        if !to_write.is_empty() {
            let (mut touched, mut left) = (None, Vec::new());
            if reach == Reach::AllTables {
                match context.table.relation {
                    Some(Relation::Customer) => {
                        touched = Some(Touched::by(&session, &to_write, &stored).await?);
                    }
                    Some(Relation::Booking { .. }) => {
                        insert_placeholders(&session, &to_write, context.now).await?;
                        left = contacts_of_stored(&session, &to_write, &stored).await?;
                        left.extend(contacts_without_details(&to_write));
                    }
                    Some(Relation::Order) | None => {}
                }
            }
            if context.rewrites {
                forget_content(&session, context.table, &to_write).await?;
            }
            let written = upsert(&session, context, &to_write).await?;
            if written.len() < to_write.len() {
                check_whole(&session, context.table, &to_write).await?;
            }
            outcome.inserted = written.iter().filter(|inserted| **inserted).count() as u64;
            outcome.updated = to_write.len() as u64 - outcome.inserted;
            let revived = to_write.iter().filter(|row| stored.get(&row.wix_id).is_some_and(|stored| stored.deleted));
            added = outcome.inserted as i64 + revived.count() as i64;
            if !left.is_empty() {
                let contacts: Vec<&str> = left.iter().map(String::as_str).collect();
                erase_cleared_customers(&session, &contacts).await?;
            }
            if let Some(Touched { appeared, wix_ids, emails }) = touched {
                link_appointments(&session, &appeared, context.now).await?;
                relink_orders(&session, &wix_ids, &emails, context.now).await?;
            } else if let Some(Relation::Customer) = context.table.relation {
                let wix_ids: Vec<&str> = to_write.iter().map(|row| row.wix_id.as_str()).collect();
                note_unlinked(&session, &wix_ids).await?;
            }
        }
        let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
        let replaced: Vec<&str> = ids.iter().copied().filter(|id| !held.contains(*id)).collect();
        let entry = Entry { table: context.table, added, progress, now: context.now };
        // Pipelined in this order: one round trip. If one statement fails, all later ones fail. The row counts come
        // last, because they may need more than one statement.
        let (forgotten, resolved, released, noted, renewed, entered) = tokio::join!(
            biased;
            forget(&session, context.table, &ids),
            async {
                match context.has_unresolved_errors {
                    true => resolve_errors(&session, context.table, &replaced, context.now).await,
                    false => Ok(()),
                }
            },
            async {
                match context.has_held {
                    true => release(&session, context.table, &replaced).await,
                    false => Ok(()),
                }
            },
            async {
                let rows = rows.iter().filter(|row| !held.contains(&row.wix_id));
                match context.has_unreadable {
                    true => note_unreadable(&session, context.table, rows).await,
                    false => Ok(()),
                }
            },
            async {
                match lease {
                    Some(lease) => lease.renew_if_due(&session).await,
                    None => Ok(()),
                }
            },
            row_counts.enter(&session, entry),
        );
        forgotten.and(resolved).and(released).and(noted).and(renewed)?;
        let row_counts = entered?;
        session.commit("could not commit a batch").await?;
        self.row_counts.insert(context.table, row_counts);
        Ok(Vec::new())
    }
}

/// Wix ids of copies that differ from their rows, look older and were not looked up by id.
fn older_copies(context: &BatchContext, rows: &[&Row], stored: &HashMap<String, Stored>) -> Vec<String> {
    let looks_older = |row: &&&Row| {
        let stored = stored.get(&row.wix_id).filter(|stored| !stored.deleted);
        stored.is_some_and(|stored| stored.content_hash.is_some() && stored.version.is_newer_than(row.version()))
    };
    let rows = rows.iter().filter(|row| !context.looked_up.contains(&row.wix_id));
    rows.filter(looks_older).map(|row| row.wix_id.clone()).collect()
}

/// Removes copies that would clear a field of their row from the batch, and stores them in `sync_held`. Returns their
/// Wix ids.
async fn hold_losing_copies(
    session: &Session<'_>,
    context: &BatchContext,
    to_write: &mut Vec<&Row>,
    stored: &HashMap<String, Stored>,
) -> Result<HashSet<String>, StoreError> {
    if !context.holds_losses {
        return Ok(HashSet::new());
    }
    let is_live = |row: &&&Row| stored.get(&row.wix_id).is_some_and(|stored| !stored.deleted);
    let changed: Vec<&Row> = to_write.iter().filter(is_live).copied().collect();
    let lost = losing(session, context.table, &changed).await?;
    if !lost.is_empty() {
        hold(session, context.table, &changed, &lost, context.now).await?;
        to_write.retain(|row| !lost.contains_key(&row.wix_id));
    }
    Ok(lost.into_keys().collect())
}

async fn load_stored(
    session: &Session<'_>,
    table: &'static Table,
    rows: &[Row],
) -> Result<HashMap<String, Stored>, StoreError> {
    let Table { name, id_column, .. } = table;
    let statement = format!(
        "select {id_column}::text, content_hash, deleted_at is not null, wix_revision, wix_updated_at
         from {{schema}}.{name} where {id_column} = any ($1)"
    );
    let doing = "could not read the rows of a batch";
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let stored = session.rows(doing, &statement, params![ids]).await?;
    stored.map(|(wix_id, content_hash, deleted, revision, updated_at)| {
        (wix_id, Stored { content_hash, deleted, version: Version { revision, updated_at } })
    })
}

/// Returns one item per written row: true if the row is new.
async fn upsert(session: &Session<'_>, context: &BatchContext, rows: &[&Row]) -> Result<Vec<bool>, StoreError> {
    let columns = Columns::of(context.table, rows).with_new_ids(rows.len());
    let mut parameters = columns.parameters();
    parameters.push(parameter(&context.now));
    let statement = upsert_statement(context.table, &columns, parameters.len());
    session.rows("could not write a batch", &statement, &parameters).await?.values()
}

/// Returns an error if a trigger skipped rows. Rows that already have the content do not count.
async fn check_whole(session: &Session<'_>, table: &'static Table, rows: &[&Row]) -> Result<(), StoreError> {
    let Table { name, id_column, .. } = table;
    let statement = format!(
        "select from unnest($1::text[], $2::bytea[]) as u (wix_id, content_hash)
         where not exists (
            select from {{schema}}.{name} t
            where t.{id_column} = u.wix_id and t.deleted_at is null and t.content_hash = u.content_hash
         ) limit 1"
    );
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let hashes: Vec<&[u8]> = rows.iter().map(|row| &row.content_hash[..]).collect();
    let left_out = session.rows("could not read a batch back", &statement, params![ids, hashes]).await?;
    if left_out.is_empty() { Ok(()) } else { Err(StoreError::Swallowed) }
}

/// The contacts of bookings that contain only the contact's id.
fn contacts_without_details(rows: &[&Row]) -> Vec<String> {
    let contacts = rows.iter().filter_map(|row| row.contact.as_deref());
    contacts.filter(|contact| contact.has_no_details()).filter_map(|contact| contact.wix_id.clone()).collect()
}

/// The deleted customers that these bookings name in their stored rows. After the write they may name others.
async fn contacts_of_stored(
    session: &Session<'_>,
    rows: &[&Row],
    stored: &HashMap<String, Stored>,
) -> Result<Vec<String>, StoreError> {
    let known: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).filter(|id| stored.contains_key(*id)).collect();
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let statement = "select distinct c.wix_contact_id::text from {schema}.appointments a
         join {schema}.customers c on c.wix_contact_id = a.wix_contact_id
         where a.wix_booking_id = any ($1) and c.deleted_at is not null and c.raw is null";
    let doing = "could not read which customers bookings refer to";
    session.rows(doing, statement, params![known]).await?.values()
}

/// Creates placeholders for the customers that bookings name and the table does not have, and notes that orders may
/// have to be linked to them.
async fn insert_placeholders(session: &Session<'_>, rows: &[&Row], now: DateTime<Utc>) -> Result<(), StoreError> {
    let contacts = rows.iter().filter_map(|row| row.contact.as_deref()).filter(|contact| contact.wix_id.is_some());
    let contacts: Vec<&Contact> = contacts.collect();
    if contacts.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&Contact) -> &Option<String>| -> Vec<Option<&str>> {
        contacts.iter().map(|contact| of(contact).as_deref()).collect()
    };
    let doing = "could not create the customers that bookings refer to";
    let wix_ids = texts(|contact| &contact.wix_id);
    let (first_names, last_names) = (texts(|contact| &contact.first_name), texts(|contact| &contact.last_name));
    let (emails, phones) = (texts(|contact| &contact.email), texts(|contact| &contact.phone));
    let parameters = params![wix_ids, first_names, last_names, emails, phones, now];
    let created = session.rows(doing, include_str!("sql/insert_placeholders.sql"), parameters).await?.value()?;
    add_customers(session, created).await
}

/// Customers that a batch adds or changes: orders may have to be linked to them, or to others.
struct Touched {
    /// Those that the table did not have, or had as deleted.
    appeared: Vec<String>,
    wix_ids: Vec<String>,
    emails: Vec<String>,
}

impl Touched {
    /// The contacts that this batch writes, with their emails before and after.
    async fn by(session: &Session<'_>, rows: &[&Row], stored: &HashMap<String, Stored>) -> Result<Touched, StoreError> {
        let wix_ids: Vec<String> = rows.iter().map(|row| row.wix_id.clone()).collect();
        let mut emails: Vec<String> =
            rows.iter().filter_map(|row| CUSTOMERS.text(row, "email")).map(str::to_owned).collect();
        if wix_ids.iter().any(|id| stored.contains_key(id)) {
            emails.extend(emails_of(session, &wix_ids).await?);
        }
        let has_appeared = |id: &&String| stored.get(*id).is_none_or(|stored| stored.deleted);
        let appeared = wix_ids.iter().filter(has_appeared).cloned().collect();
        Ok(Touched { appeared, wix_ids, emails })
    }
}
