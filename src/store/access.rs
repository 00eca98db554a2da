//! Who may read and change the tables. They hold personal data, and Supabase serves whatever the roles `anon` and
//! `authenticated` can read or write to anyone on the internet who has the project's public key.

use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::connect::{column, first_column};
use super::error::StoreError;
use super::schema::Schema;

/// The roles that Supabase opens to the internet.
pub(super) const PUBLIC_ROLES: [&str; 2] = ["anon", "authenticated"];

/// The role of server-side code on Supabase; it may read.
const SERVICE_ROLE: &str = "service_role";

/// A table or view in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: String,
    is_view: bool,
}

const LISTING: &str = "could not list the tables";

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
        .map_err(StoreError::database(LISTING))?;
    let relation = |row: &Row| Ok(Relation { name: column(row, 0, LISTING)?, is_view: column(row, 1, LISTING)? });
    rows.iter().map(relation).collect()
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
    let doing = "could not read which roles there are";
    let names: Vec<&str> = PUBLIC_ROLES.iter().copied().chain([SERVICE_ROLE]).collect();
    let rows = transaction
        .query_typed(
            "select rolname::text from pg_catalog.pg_roles where rolname::text = any ($1)",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(StoreError::database(doing))?;
    first_column(&rows, doing)
}

/// What a role that Supabase opens to the internet may do with one of our tables, or with a view over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicAccess {
    /// The table or view, quoted as SQL needs it.
    pub(super) relation: String,
    /// The role.
    pub(super) role: String,
    /// A view or materialized view over the tables, not one of wix-sync's own.
    pub(super) is_foreign_view: bool,
    /// SELECT is all that was granted.
    pub(super) is_select_only: bool,
    /// The privileges that take effect.
    privileges: Vec<String>,
    /// A sentence that names them, with the policies and grants behind them.
    pub(super) sentence: String,
}

impl PublicAccess {
    /// True if rows can be changed.
    pub(super) fn can_write(&self) -> bool {
        self.privileges.iter().any(|privilege| matches!(privilege.as_str(), "INSERT" | "UPDATE" | "DELETE"))
    }

    /// True for what row level security does not cover.
    pub(super) fn passes_policies(&self) -> bool {
        self.privileges.iter().any(|privilege| matches!(privilege.as_str(), "TRUNCATE" | "REFERENCES" | "TRIGGER"))
    }
}

/// For [`Store::query_once`](super::connect::Store::query_once) or a transaction; its rows are for [`described`].
pub(super) const PUBLIC_ACCESS: &str = include_str!("sql/public_access.sql");

/// Who else may create in the schemas $1.
pub(super) const MAY_CREATE: &str = include_str!("sql/may_create.sql");

/// What is being done, where [`PUBLIC_ACCESS`] fails.
pub(super) const ASKING: &str = "could not read who may use the tables";

/// Which public role may use which of `tables` and of the views over them, and why. Empty if none may.
pub(super) async fn public_access(
    transaction: &Transaction<'_>,
    schema: &Schema,
    tables: &[&str],
) -> Result<Vec<PublicAccess>, StoreError> {
    let rows = transaction
        .query_typed(
            PUBLIC_ACCESS,
            &[(&schema.name(), Type::TEXT), (&tables, Type::TEXT_ARRAY), (&PUBLIC_ROLES.as_slice(), Type::TEXT_ARRAY)],
        )
        .await
        .map_err(StoreError::database(ASKING))?;
    described(&rows)
}

/// The rows of [`PUBLIC_ACCESS`], in words.
pub(super) fn described(rows: &[Row]) -> Result<Vec<PublicAccess>, StoreError> {
    rows.iter().map(describe).collect::<Result<_, _>>().map_err(StoreError::database(ASKING))
}

fn describe(row: &Row) -> Result<PublicAccess, tokio_postgres::Error> {
    let (shown, kind, is_ours): (String, String, bool) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let mut access = PublicAccess {
        relation: row.try_get(0)?,
        role: row.try_get(4)?,
        is_foreign_view: !is_ours,
        is_select_only: !row.try_get::<_, bool>(7)?,
        privileges: row.try_get(5)?,
        sentence: String::new(),
    };
    let role = &access.role;
    let can_read = access.privileges.iter().any(|privilege| privilege == "SELECT");
    let others: Vec<&str> =
        access.privileges.iter().map(String::as_str).filter(|privilege| *privilege != "SELECT").collect();
    let others = others.join(", ");
    let may = match (can_read, others.is_empty()) {
        (true, true) => "can read it".to_owned(),
        (true, false) => format!("can read it and has {others}"),
        (false, _) => format!("has {others} on it"),
    };
    let (row_security, policies): (bool, Option<String>) = (row.try_get(6)?, row.try_get(8)?);
    let is_view = matches!(kind.as_str(), "v" | "m");
    let mut reasons = Vec::new();
    match policies {
        Some(policies) => reasons.push(format!("policies {policies}")),
        None if is_view => reasons.push("a view shows what its owner may read".to_owned()),
        None if !row_security => reasons.push("row level security is off".to_owned()),
        None if can_read || access.can_write() => reasons.push(format!("{role} passes by row level security")),
        None => {}
    }
    if row_security && access.passes_policies() {
        reasons.push("row level security does not cover TRUNCATE, REFERENCES and TRIGGER".to_owned());
    }
    if let Some(grants) = row.try_get::<_, Option<String>>(9)? {
        reasons.push(format!("granted: {grants}"));
    }
    let what = match (access.is_foreign_view, kind.as_str()) {
        (false, _) => "",
        (true, "m") => ", a materialized view of the tables",
        (true, _) => ", a view of the tables",
    };
    access.sentence = format!("{shown}{what}: {role} {may} ({})", reasons.join("; "));
    Ok(access)
}
