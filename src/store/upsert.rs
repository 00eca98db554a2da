//! Builds the statement that writes a batch of rows, from the table's description.

use super::columns::{Columns, value_of};
use super::links::{OWN_CUSTOMER, customer_of};
use crate::table::field::Kind;
use crate::table::{Relation, Table};

/// Writes the rows of [`Columns::source`], and returns for each written row whether it is new. Rows with the same
/// content are not written. `now` is the number of the parameter for `created_at` and `updated_at`.
///
/// Each row is linked to its customer. A link to a customer without a Wix id was made manually, and stays if Wix's data
/// names no customer.
pub(super) fn upsert_statement(table: &Table, columns: &Columns<'_>, now: usize) -> String {
    let Table { name, id_column, fields, .. } = *table;
    let mut names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    let mut values: Vec<String> = fields.iter().map(|field| value_of(field, "record.raw")).collect();
    let mut updates: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    if let Some(customer) = customer_of(table, "u") {
        names.push("customer_id");
        values.push(customer);
        updates.push(format!("customer_id = coalesce(excluded.customer_id, {OWN_CUSTOMER})"));
    }
    if let Some(Relation::Customer) = table.relation {
        updates.push("merged_into = null".to_owned());
    }
    // Parsed once for all columns that need it: `offset 0` stops the planner from repeating the cast.
    let record = match fields.iter().any(|field| field.kind == Kind::List) {
        true => "(select u.raw::jsonb as raw offset 0)",
        false => "(select u.raw::jsonb as raw)",
    };
    let (source, names, values, updates) = (columns.source(), names.join(", "), values.join(", "), updates.join(", "));
    format!(
        "insert into {{schema}}.{name} as t (
            id, {id_column}, content_hash, wix_created_at, wix_updated_at, wix_revision, raw, created_at, updated_at, {names}
        )
        select
            u.id, u.wix_id, u.content_hash, u.wix_created_at, u.wix_updated_at, u.wix_revision, record.raw, ${now}, ${now},
            {values}
        from {source}
        cross join lateral {record} record
        on conflict ({id_column}) do update set
            content_hash = excluded.content_hash,
            wix_created_at = excluded.wix_created_at,
            wix_updated_at = excluded.wix_updated_at,
            wix_revision = excluded.wix_revision,
            raw = excluded.raw,
            updated_at = excluded.updated_at,
            deleted_at = null,
            {updates}
        where t.content_hash is distinct from excluded.content_hash or t.deleted_at is not null
        returning t.xmax = 0 as inserted"
    )
}
