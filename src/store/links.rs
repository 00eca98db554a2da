//! Links to customers, where customers came, changed or went after the appointments and orders were written.

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::add_customers;
use super::connect::{Store, column, first_column};
use super::error::StoreError;
use super::schema::Schema;

/// So many customers a transaction.
const CHUNK: i64 = 1000;

impl Store {
    /// Links orders to some of the customers that were made from bookings, as noted in `sync_unlinked`. False once
    /// none is left.
    pub async fn link_to_new_customers(&mut self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let doing = "could not link orders to the customers that bookings name";
        let schema = self.schema.clone();
        let listed = self
            .query_once(
                doing,
                &schema.sql("select wix_contact_id from {schema}.sync_unlinked order by 1 limit $1"),
                &[(&CHUNK, Type::INT8)],
            )
            .await?;
        let wix_ids: Vec<String> = first_column(&listed, doing)?;
        if wix_ids.is_empty() {
            return Ok(false);
        }
        let transaction = self.begin().await?;
        let emails = emails_of(&transaction, &schema, &wix_ids).await?;
        relink_orders(&transaction, &schema, &wix_ids, &emails, now).await?;
        transaction
            .execute_typed(
                &schema.sql("delete from {schema}.sync_unlinked where wix_contact_id = any ($1)"),
                &[(&wix_ids, Type::TEXT_ARRAY)],
            )
            .await
            .map_err(StoreError::database(doing))?;
        transaction.commit().await.map_err(StoreError::database(doing))?;
        Ok(true)
    }
}

impl Store {
    /// Makes some of the placeholders again that somebody deleted, and links their appointments to them. How many; 0 once
    /// none is left.
    pub async fn restore_placeholders(&mut self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let doing = "could not make the customers again that bookings name";
        let schema = self.schema.clone();
        let lost = self
            .query_once(doing, &schema.sql(include_str!("sql/lost_placeholders.sql")), &[(&CHUNK, Type::INT8)])
            .await?;
        let wix_ids: Vec<String> = first_column(&lost, doing)?;
        if wix_ids.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin().await?;
        let restored = transaction
            .query_typed(
                &schema.sql(include_str!("sql/restore_placeholders.sql")),
                &[(&wix_ids, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
            )
            .await
            .map_err(StoreError::database(doing))?;
        let restored: i64 = restored.first().map_or(Ok(0), |row| column(row, 0, doing))?;
        add_customers(&transaction, &schema, restored).await?;
        transaction.commit().await.map_err(StoreError::database(doing))?;
        Ok(restored.unsigned_abs())
    }
}

/// The emails that the table has for these contacts.
pub(super) async fn emails_of(
    transaction: &Transaction<'_>,
    schema: &Schema,
    wix_ids: &[String],
) -> Result<Vec<String>, StoreError> {
    let statement =
        schema.sql("select email::text from {schema}.customers where wix_contact_id = any ($1) and email is not null");
    let doing = "could not read the emails of customers";
    let rows = transaction
        .query_typed(&statement, &[(&wix_ids, Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database(doing))?;
    first_column(&rows, doing)
}

/// Links appointments to customers that the table did not have until now, or had as deleted: somebody may have deleted
/// the row, a contact was merged into one that could not be written then, or one that was merged is back.
pub(super) async fn link_appointments(
    transaction: &Transaction<'_>,
    schema: &Schema,
    wix_ids: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if wix_ids.is_empty() {
        return Ok(());
    }
    transaction
        .execute_typed(
            &schema.sql(include_str!("sql/link_appointments.sql")),
            &[(&wix_ids, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map_err(StoreError::database("could not link appointments to customers"))?;
    Ok(())
}

/// A statement in which `{customer_of_order}` becomes the id of the customer whose the order in row `order` is: one
/// rule for orders that are written and for those whose link is mended.
pub(super) fn with_customer_of(order: &str, statement: &str) -> String {
    statement.replace("{customer_of_order}", &include_str!("sql/customer_of_order.sql").replace("{order}", order))
}

/// Makes and mends the links of orders that customers with these ids or emails may concern.
pub(super) async fn relink_orders(
    transaction: &Transaction<'_>,
    schema: &Schema,
    wix_ids: &[String],
    emails: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if wix_ids.is_empty() {
        return Ok(());
    }
    transaction
        .execute_typed(
            &schema.sql(&with_customer_of("a", include_str!("sql/relink_orders.sql"))),
            &[(&wix_ids, Type::TEXT_ARRAY), (&emails, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map_err(StoreError::database("could not link orders to customers"))?;
    Ok(())
}
