//! Updates links to customers, if customers were added, changed or deleted after the appointments and orders were
//! written.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::row_counts::add_customers;
use super::session::{Session, params};
use crate::table::{Relation, Table};

/// Whether a write also updates other tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Also updates rows of other tables: placeholders, links, and personal data that must be removed.
    AllTables,
    /// Only the rows, because a trigger or constraint refuses the rest. The rest is noted, or found by a later run.
    RowsOnly,
}

impl Store {
    /// Contacts in `sync_unlinked`, whose links must be made: at most `limit`, sorted, those after `after`.
    pub async fn list_unlinked(&self, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        let doing = "could not read sync_unlinked";
        let statement =
            "select wix_contact_id from {schema}.sync_unlinked where wix_contact_id > $1 order by 1 limit $2";
        self.rows(doing, statement, params![after, limit]).await?.values()
    }

    /// Links the rows that name these contacts to their customers, and removes the contacts from `sync_unlinked`.
    pub async fn link_contacts(&mut self, wix_ids: &[String], now: DateTime<Utc>) -> Result<(), StoreError> {
        let session = self.begin().await?;
        let emails = emails_around(&session, wix_ids).await?;
        link_appointments(&session, wix_ids, now).await?;
        relink_orders(&session, wix_ids, &emails, now).await?;
        delete_unlinked(&session, wix_ids).await?;
        session.commit("could not link customers").await
    }

    /// The rows of a table that name this contact.
    pub async fn list_linked(&mut self, table: &'static Table, wix_id: &str) -> Result<Vec<LinkedRow>, StoreError> {
        let doing = "could not read what names a customer";
        let wix_ids = vec![wix_id.to_owned()];
        let session = self.begin().await?;
        let emails = emails_around(&session, &wix_ids).await?;
        let parameters = params![wix_ids, emails];
        let (chosen, parameters) = match table.relation {
            Some(Relation::Order) => (include_str!("sql/orders_to_link.sql"), &parameters[..]),
            Some(Relation::Booking { .. }) => (include_str!("sql/appointments_to_link.sql"), &parameters[..1]),
            Some(Relation::Customer) | None => return Ok(Vec::new()),
        };
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select t.id, t.{id_column}::text from {{schema}}.{name} t where t.{id_column} is not null and t.id = any (array({chosen}))"
        );
        session.rows(doing, &statement, parameters).await?.map(|(id, wix_id)| LinkedRow { id, wix_id })
    }

    /// Links these rows, of those that name this contact.
    pub async fn link_rows(
        &mut self,
        table: &'static Table,
        wix_id: &str,
        rows: &[LinkedRow],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let doing = "could not link rows to their customer";
        let (wix_ids, ids): (_, Vec<Uuid>) = ([wix_id.to_owned()], rows.iter().map(|row| row.id).collect());
        let session = self.begin().await?;
        let emails = emails_around(&session, &wix_ids).await?;
        match table.relation {
            Some(Relation::Order) => relink_some_orders(&session, &wix_ids, &emails, Some(&ids), now).await?,
            Some(Relation::Booking { .. }) => link_some_appointments(&session, &wix_ids, Some(&ids), now).await?,
            Some(Relation::Customer) | None => {}
        }
        session.commit(doing).await
    }

    /// Removes a contact from `sync_unlinked`.
    pub async fn forget_unlinked(&mut self, wix_id: &str) -> Result<(), StoreError> {
        let session = self.begin().await?;
        delete_unlinked(&session, &[wix_id.to_owned()]).await?;
        session.commit("could not clear sync_unlinked").await
    }

    /// Contacts whose placeholder was deleted manually: at most `limit`, sorted, those after `after`.
    pub async fn list_lost_placeholders(&self, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        let doing = "could not read the customers that bookings refer to";
        let statement = include_str!("sql/lost_placeholders.sql");
        self.rows(doing, statement, params![limit, after]).await?.values()
    }

    /// Creates the placeholders of these contacts again, and links their appointments to them. Returns the number of
    /// placeholders.
    pub async fn restore_placeholders(&mut self, wix_ids: &[String], now: DateTime<Utc>) -> Result<u64, StoreError> {
        let doing = "could not create missing customers that bookings refer to";
        let session = self.begin().await?;
        let rows = session.rows(doing, include_str!("sql/restore_placeholders.sql"), params![wix_ids, now]).await?;
        let restored: i64 = rows.value()?;
        add_customers(&session, restored).await?;
        session.commit(doing).await?;
        Ok(restored.unsigned_abs())
    }
}

/// An appointment or order that names a contact.
#[derive(Clone, Debug)]
pub struct LinkedRow {
    id: Uuid,
    pub wix_id: String,
}

/// Notes contacts whose links are made at the end of this run or by the next one.
pub(super) async fn note_unlinked(session: &Session<'_>, wix_ids: &[&str]) -> Result<(), StoreError> {
    let statement = "insert into {schema}.sync_unlinked (wix_contact_id) select unnest($1::text[])
         on conflict (wix_contact_id) do nothing";
    session.write("could not write sync_unlinked", statement, params![wix_ids]).await
}

async fn delete_unlinked(session: &Session<'_>, wix_ids: &[String]) -> Result<(), StoreError> {
    let statement = "delete from {schema}.sync_unlinked where wix_contact_id = any ($1)";
    session.write("could not clear sync_unlinked", statement, params![wix_ids]).await
}

/// Emails by which orders may be linked to these contacts, now or before the customers changed or were deleted.
async fn emails_around(session: &Session<'_>, wix_ids: &[String]) -> Result<Vec<String>, StoreError> {
    let doing = "could not read the emails of orders";
    let mut emails = emails_of(session, wix_ids).await?;
    let statement = "select distinct o.email::text from {schema}.orders o
         where o.email is not null and o.customer_id = any (array(
            select c.id from {schema}.customers c where c.wix_contact_id = any ($1)
         ))";
    let rows = session.rows(doing, statement, params![wix_ids]).await?;
    emails.extend(rows.values::<String>()?);
    Ok(emails)
}

pub(super) async fn emails_of(session: &Session<'_>, wix_ids: &[String]) -> Result<Vec<String>, StoreError> {
    let statement = "select email::text from {schema}.customers where wix_contact_id = any ($1) and email is not null";
    let doing = "could not read the emails of customers";
    session.rows(doing, statement, params![wix_ids]).await?.values()
}

/// Links appointments to customers that the table did not have before, or had as deleted: the row was deleted manually,
/// a contact was merged into one that could not be written then, or a merged contact was restored.
pub(super) async fn link_appointments(
    session: &Session<'_>,
    wix_ids: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    link_some_appointments(session, wix_ids, None, now).await
}

/// Limited to these rows, if any are given.
async fn link_some_appointments(
    session: &Session<'_>,
    wix_ids: &[String],
    rows: Option<&[Uuid]>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if wix_ids.is_empty() {
        return Ok(());
    }
    let statement = include_str!("sql/link_appointments.sql");
    session.write("could not link appointments to customers", statement, params![wix_ids, now, rows]).await
}

/// SQL: the id of the customer to whom Wix's data links the row `row`. `None` if rows of the table are not linked to
/// customers.
pub(super) fn customer_of(table: &Table, row: &str) -> Option<String> {
    match table.relation {
        Some(Relation::Booking { .. }) => Some(include_str!("sql/customer_of_booking.sql").replace("{booking}", row)),
        Some(Relation::Order) => Some(include_str!("sql/customer_of_order.sql").replace("{order}", row)),
        Some(Relation::Customer) | None => None,
    }
}

/// SQL: the customer to whom the row `t` is linked now, if that customer has no Wix id: the link was made manually.
pub(super) const OWN_CUSTOMER: &str =
    "(select own.id from {schema}.customers own where own.id = t.customer_id and own.wix_contact_id is null)";

/// Creates and corrects the links of orders that may belong to customers with these Wix ids or emails.
pub(super) async fn relink_orders(
    session: &Session<'_>,
    wix_ids: &[String],
    emails: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    relink_some_orders(session, wix_ids, emails, None, now).await
}

/// Limited to these rows, if any are given.
async fn relink_some_orders(
    session: &Session<'_>,
    wix_ids: &[String],
    emails: &[String],
    rows: Option<&[Uuid]>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if wix_ids.is_empty() {
        return Ok(());
    }
    let statement =
        include_str!("sql/relink_orders.sql").replace("{orders_to_link}", include_str!("sql/orders_to_link.sql"));
    let customer = include_str!("sql/customer_of_order.sql").replace("{order}", "a");
    let statement = statement.replace("{customer_of_order}", &customer);
    session.write("could not link orders to customers", &statement, params![wix_ids, emails, now, rows]).await
}
