//! Removes personal data: from rows whose record Wix deleted, and from placeholders that no booking describes any
//! more.

use super::connect::Store;
use super::error::StoreError;
use super::session::{Session, params};
use crate::table::{CUSTOMERS, Relation, Table};

/// SQL: sets the columns of a table that hold personal data to NULL.
fn emptied(table: &Table) -> String {
    table.personal.iter().map(|column| format!(", {column} = null")).collect()
}

/// SQL: whether no booking in Wix contains more about the customer `t` than the contact's id. Written so that the
/// planner cannot choose the index on the dates of live rows, which it would read completely.
const NO_BOOKING_TELLS: &str = "not exists (
        select from {schema}.appointments a
        where a.wix_contact_id = t.wix_contact_id and coalesce(a.deleted_at, 'infinity') = 'infinity'
            and jsonb_strip_nulls(a.raw #> '{booking,contactDetails}') ?| array['firstName', 'lastName', 'email', 'phone']
    )";

/// Removes the personal data of a row that is marked as deleted. Ids, dates, links, amounts, states and `notes` stay.
/// If the record is restored in Wix, all its data is written again. A customer that was created from a booking keeps
/// that booking's data as long as the booking exists in Wix ([`Store::list_untold_customers`]).
pub(super) async fn erase(session: &Session<'_>, table: &'static Table, wix_id: &str) -> Result<(), StoreError> {
    let is_erased = match table.relation {
        Some(Relation::Customer) => format!("(t.raw is not null or {NO_BOOKING_TELLS})"),
        Some(Relation::Booking { .. } | Relation::Order) | None => "true".to_owned(),
    };
    let Table { name, id_column, .. } = table;
    let personal = emptied(table);
    let statement = format!(
        "update {{schema}}.{name} t set raw = null, content_hash = null{personal}
         where t.{id_column} = $1 and t.deleted_at is not null and {is_erased}"
    );
    session.write("could not remove the personal data of a deleted record", &statement, params![wix_id]).await
}

impl Store {
    /// Deleted customers that still hold data of a booking which Wix no longer has, or which names another contact now.
    pub async fn list_untold_customers(&mut self) -> Result<Vec<String>, StoreError> {
        let statement = "select c.wix_contact_id::text from {schema}.customers c
             where c.deleted_at is not null and c.raw is null and c.wix_contact_id is not null
                and num_nonnulls(c.name, c.first_name, c.last_name, c.email, c.phone) > 0
                and not exists (
                    select from {schema}.appointments a
                    where a.wix_contact_id = c.wix_contact_id and a.deleted_at is null
                )";
        let doing = "could not look for deleted customers that still hold personal data";
        let session = self.begin().await?;
        session.read_whole_tables().await?;
        let rows = session.rows(doing, statement, params![]).await?;
        session.rollback(doing).await?;
        rows.values()
    }

    pub async fn erase_untold_customers(&mut self, wix_ids: &[String]) -> Result<(), StoreError> {
        let personal = emptied(&CUSTOMERS);
        let statement = format!(
            "update {{schema}}.customers set raw = null{personal}
             where wix_contact_id = any ($1) and deleted_at is not null and raw is null"
        );
        self.write("could not remove personal data", &statement, params![wix_ids]).await
    }
}

/// Removes booking data from these deleted customers, unless another booking describes the customer: Wix cleared a
/// field of the booking, the booking was deleted, or it names another contact now.
pub(super) async fn erase_cleared_customers(session: &Session<'_>, wix_ids: &[&str]) -> Result<(), StoreError> {
    let personal = emptied(&CUSTOMERS);
    let statement = format!(
        "update {{schema}}.customers t set raw = null{personal}
         where t.wix_contact_id = any ($1) and t.deleted_at is not null and t.raw is null
            and num_nonnulls(t.name, t.first_name, t.last_name, t.email, t.phone) > 0 and {NO_BOOKING_TELLS}"
    );
    session.write("could not remove the personal data of a deleted record", &statement, params![wix_ids]).await
}
