//! Who may read the tables. They hold personal data, and Supabase serves whatever the roles `anon` and
//! `authenticated` can read to anyone on the internet who has the project's public key.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Transaction};

use super::error::StoreError;
use super::schema::Schema;

/// The roles that Supabase opens to the internet.
pub(super) const PUBLIC_ROLES: [&str; 2] = ["anon", "authenticated"];

/// The role of server-side code on Supabase; it may read.
const SERVICE_ROLE: &str = "service_role";

/// A table or view in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    name: String,
    is_view: bool,
}

/// The ordinary and partitioned tables in the schema, and its views.
pub(super) async fn existing_relations(
    transaction: &Transaction<'_>,
    schema: &Schema,
) -> Result<Vec<Relation>, StoreError> {
    let rows = transaction
        .query_typed(
            "select c.relname::text, c.relkind = 'v'
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1 and c.relkind in ('r', 'p', 'v')",
            &[(&schema.name(), Type::TEXT)],
        )
        .await
        .map_err(StoreError::database("could not list the tables"))?;
    Ok(rows.iter().map(|row| Relation { name: row.get(0), is_view: row.get(1) }).collect())
}

/// Closes tables and views that were just created, in the same transaction: row level security without a
/// policy (views have none of their own), nothing granted to PUBLIC, `anon` and `authenticated` (row level
/// security does not cover TRUNCATE), select for `service_role`. No role is assumed to exist.
pub(super) async fn close(
    transaction: &Transaction<'_>,
    schema: &Schema,
    relations: &[Relation],
) -> Result<(), StoreError> {
    let roles = existing_roles(transaction).await?;
    let mut statements = String::new();
    for relation in relations {
        let name = format!("{schema}.\"{}\"", relation.name);
        if !relation.is_view {
            statements.push_str(&format!("alter table {name} enable row level security;\n"));
        }
        statements.push_str(&format!("revoke all on table {name} from public;\n"));
        for role in PUBLIC_ROLES.iter().filter(|role| roles.iter().any(|existing| existing == *role)) {
            statements.push_str(&format!("revoke all on table {name} from {role};\n"));
        }
        if roles.iter().any(|role| role == SERVICE_ROLE) {
            statements.push_str(&format!(
                "revoke all on table {name} from {SERVICE_ROLE};\ngrant select on table {name} to {SERVICE_ROLE};\n"
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

/// A role that Supabase opens to the internet and that can read a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicReader {
    /// The table's name.
    pub(super) table: String,
    /// The role.
    pub(super) role: String,
    /// A sentence that says so, with the policies and grants that let it.
    pub(super) sentence: String,
}

/// Which public role can read which of `tables`, and why. None if no one can.
pub(super) async fn public_readers(
    client: &impl GenericClient,
    schema: &Schema,
    tables: &[&str],
) -> Result<Vec<PublicReader>, StoreError> {
    let rows = client
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
            let sentence = format!("{}.{table}: {role} can read it ({why}{grants})", schema.name());
            PublicReader { table, role, sentence }
        })
        .collect())
}
