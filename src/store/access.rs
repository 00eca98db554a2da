//! Who may read the tables. They hold personal data, and Supabase serves whatever the roles `anon` and
//! `authenticated` can read to anyone on the internet who has the project's public key.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::error::StoreError;
use super::schema::Schema;

/// The roles that Supabase opens to the internet.
pub(super) const PUBLIC_ROLES: [&str; 2] = ["anon", "authenticated"];

/// The role of server-side code on Supabase; it may read.
const SERVICE_ROLE: &str = "service_role";

/// The names of the ordinary and partitioned tables in the schema.
pub(super) async fn existing_tables(transaction: &Transaction<'_>, schema: &Schema) -> Result<Vec<String>, StoreError> {
    let rows = transaction
        .query_typed(
            "select c.relname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1 and c.relkind in ('r', 'p')",
            &[(&schema.name(), Type::TEXT)],
        )
        .await
        .map_err(StoreError::database("could not list the tables"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Closes tables that were just created, in the same transaction: row level security without a policy,
/// nothing granted to PUBLIC, `anon` and `authenticated` (row level security does not cover TRUNCATE),
/// select for `service_role`. No role is assumed to exist.
pub(super) async fn close(transaction: &Transaction<'_>, schema: &Schema, tables: &[String]) -> Result<(), StoreError> {
    let roles = existing_roles(transaction).await?;
    let mut statements = String::new();
    for table in tables {
        let table = format!("{schema}.\"{table}\"");
        statements.push_str(&format!(
            "alter table {table} enable row level security;\nrevoke all on table {table} from public;\n"
        ));
        for role in PUBLIC_ROLES.iter().filter(|role| roles.iter().any(|existing| existing == *role)) {
            statements.push_str(&format!("revoke all on table {table} from {role};\n"));
        }
        if roles.iter().any(|role| role == SERVICE_ROLE) {
            statements.push_str(&format!(
                "revoke all on table {table} from {SERVICE_ROLE};\ngrant select on table {table} to {SERVICE_ROLE};\n"
            ));
        }
    }
    transaction
        .batch_execute(&statements)
        .await
        .map_err(StoreError::database("could not close the new tables to the public roles"))
}

/// Lets `service_role` into a schema that was just created.
pub(super) async fn open_schema(transaction: &Transaction<'_>, schema: &Schema) -> Result<(), StoreError> {
    if existing_roles(transaction).await?.iter().any(|role| role == SERVICE_ROLE) {
        let statement = format!("grant usage on schema {schema} to {SERVICE_ROLE}");
        transaction
            .batch_execute(&statement)
            .await
            .map_err(StoreError::database("could not let service_role into the schema"))?;
    }
    Ok(())
}

async fn existing_roles(transaction: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let names: Vec<&str> = PUBLIC_ROLES.iter().copied().chain([SERVICE_ROLE]).collect();
    let rows = transaction
        .query_typed(
            "select rolname::text from pg_catalog.pg_roles where rolname::text = any ($1)",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(StoreError::database("could not read which roles there are"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The sentences that say which public role can read which of `tables`, and why. None if no one can.
pub(super) async fn public_readers(
    transaction: &Transaction<'_>,
    schema: &Schema,
    tables: &[&str],
) -> Result<Vec<String>, StoreError> {
    let rows = transaction
        .query_typed(
            include_str!("sql/public_readers.sql"),
            &[(&schema.name(), Type::TEXT), (&tables, Type::TEXT_ARRAY), (&PUBLIC_ROLES.as_slice(), Type::TEXT_ARRAY)],
        )
        .await
        .map_err(StoreError::database("could not read who may read the tables"))?;
    Ok(rows
        .iter()
        .map(|row| {
            let (table, role, row_security): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
            let (policies, grants): (Option<String>, Option<String>) = (row.get(3), row.get(4));
            let why = match policies {
                Some(policies) => format!("policies {policies}"),
                None if row_security => format!("{role} passes by row level security"),
                None => "row level security is off".to_owned(),
            };
            let grants = grants.map(|grants| format!("; granted: {grants}")).unwrap_or_default();
            format!("{}.{table}: {role} can read it ({why}{grants})", schema.name())
        })
        .collect())
}
