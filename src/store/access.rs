//! Who can read and change the tables. They hold personal data, and on Supabase everyone who has the project's public
//! key can read and write whatever the roles `anon` and `authenticated` can.

use super::catalog;
use super::connect::Store;
use super::error::StoreError;
use super::session::{Rows, Session, params};

/// The roles that Supabase opens to the internet.
const PUBLIC_ROLES: &[&str] = &["anon", "authenticated"];

/// The role of server-side code on Supabase. It gets SELECT.
const SERVICE_ROLE: &str = "service_role";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: String,
    is_view: bool,
}

/// The ordinary and partitioned tables in the schema, and its views.
pub(super) async fn existing_relations(session: &Session<'_>) -> Result<Vec<Relation>, StoreError> {
    let statement = "select c.relname::text, c.relkind = 'v'
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relkind in ('r', 'p', 'v')";
    let rows = session.rows("could not list the tables", statement, params![session.schema.name()]).await?;
    rows.map(|(name, is_view)| Relation { name, is_view })
}

/// Closes new tables and views to the public, in the transaction that created them: enables row level security on
/// tables, without a policy; revokes all grants of PUBLIC, `anon` and `authenticated`, because row level security does
/// not cover TRUNCATE; grants SELECT to `service_role`. Roles that do not exist are skipped.
pub(super) async fn close(session: &Session<'_>, relations: &[Relation]) -> Result<(), StoreError> {
    let roles = existing_roles(session).await?;
    let mut statements = String::new();
    for relation in relations {
        let name = format!("{}.\"{}\"", session.schema, relation.name);
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
    session.run("could not revoke the public roles' rights on the new tables", &statements).await
}

/// Lets `service_role` into a schema that was just created.
pub(super) async fn open_schema(session: &Session<'_>) -> Result<(), StoreError> {
    if existing_roles(session).await?.iter().any(|role| role == SERVICE_ROLE) {
        let statement = format!("grant usage on schema {} to {SERVICE_ROLE}", session.schema);
        session.run("could not grant service_role usage of the schema", &statement).await?;
    }
    Ok(())
}

async fn existing_roles(session: &Session<'_>) -> Result<Vec<String>, StoreError> {
    let doing = "could not read which roles there are";
    let names: Vec<&str> = PUBLIC_ROLES.iter().copied().chain([SERVICE_ROLE]).collect();
    let statement = "select rolname::text from pg_catalog.pg_roles where rolname::text = any ($1)";
    session.rows(doing, statement, params![names]).await?.values()
}

/// Access of a role that Supabase opens to the internet to one of our tables, or to a view that reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAccess {
    /// The table or view, quoted as SQL needs it.
    pub relation: String,
    pub role: String,
    /// Whether it is a view or materialized view that wix-sync did not create.
    pub is_foreign_view: bool,
    /// Whether only SELECT was granted.
    pub is_select_only: bool,
    /// Privileges that take effect.
    privileges: Vec<String>,
    /// Sentence that lists these privileges and the policies and grants behind them.
    pub sentence: String,
}

impl PublicAccess {
    pub fn can_write(&self) -> bool {
        self.privileges.iter().any(|privilege| matches!(privilege.as_str(), "INSERT" | "UPDATE" | "DELETE"))
    }

    /// Whether it includes a privilege that row level security does not cover.
    pub fn passes_policies(&self) -> bool {
        self.privileges.iter().any(|privilege| matches!(privilege.as_str(), "TRUNCATE" | "REFERENCES" | "TRIGGER"))
    }
}

/// Query whose rows are passed to [`described`].
const PUBLIC_ACCESS: &str = include_str!("sql/public_access.sql");

/// The context of an error of [`PUBLIC_ACCESS`].
const ASKING: &str = "could not read who may use the tables";

/// Query: which other roles can create objects in the schemas $1.
const MAY_CREATE: &str = include_str!("sql/may_create.sql");

/// Access of public roles to `tables` and to the views that read them. Empty if there is none.
pub(super) async fn public_access(session: &Session<'_>, tables: &[&str]) -> Result<Vec<PublicAccess>, StoreError> {
    let schema = session.schema.name();
    described(&session.rows(ASKING, PUBLIC_ACCESS, params![schema, tables, PUBLIC_ROLES]).await?)
}

impl Store {
    /// Access of public roles to all tables and to wix-sync's own view, outside of a transaction.
    pub async fn public_access(&self) -> Result<Vec<PublicAccess>, StoreError> {
        let (schema, names) = (self.schema.name(), catalog::names());
        described(&self.rows(ASKING, PUBLIC_ACCESS, params![schema, names, PUBLIC_ROLES]).await?)
    }

    /// Schemas of the search path in which other roles can create objects. Each is quoted for SQL and comes with the
    /// list of these roles.
    pub async fn schemas_open_to_others(&self) -> Result<Vec<(String, String)>, StoreError> {
        let searched = self.searched_schemas().await?;
        let doing = "could not read who may create in the schemas of the search path";
        self.rows(doing, MAY_CREATE, params![searched]).await?.all()
    }
}

fn described(rows: &Rows) -> Result<Vec<PublicAccess>, StoreError> {
    rows.map(describe)
}

/// A row of sql/public_access.sql: relation, name to show, kind, whether it is ours, role, privileges, whether row
/// level security is enabled, whether more than SELECT was granted, policies, grants.
type Access = (String, String, String, bool, String, Vec<String>, bool, bool, Option<String>, Option<String>);

fn describe(access: Access) -> PublicAccess {
    let (relation, shown, kind, is_ours, role, privileges, row_security, has_more, policies, grants) = access;
    let mut access = PublicAccess {
        relation,
        role,
        is_foreign_view: !is_ours,
        is_select_only: !has_more,
        privileges,
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
    if let Some(grants) = grants {
        reasons.push(format!("granted: {grants}"));
    }
    let what = match (access.is_foreign_view, kind.as_str()) {
        (false, _) => "",
        (true, "m") => ", a materialized view of the tables",
        (true, _) => ", a view of the tables",
    };
    access.sentence = format!("{shown}{what}: {role} {may} ({})", reasons.join("; "));
    access
}
