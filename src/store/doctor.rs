//! What `doctor` looks at in the database. Reads only, and goes on after a look that failed.
//!
//! `connection` examines the connection and the server, `tables` the contents of the tables, `access` who else can use
//! them; this file the schema: whether it is migrated, and what this database user may do with it.

mod access;
mod connection;
mod tables;

use tokio_postgres::types::Type;

use super::connect::Store;
use super::error::StoreError;
use super::migrate::SchemaState;
use crate::finding::Finding;
use crate::holder::Holder;

/// Each table with the rights on it that commands need.
const NEEDED: [(&str, &[&str]); 12] = [
    ("customers", &["SELECT", "INSERT", "UPDATE"]),
    ("appointments", &["SELECT", "INSERT", "UPDATE"]),
    ("orders", &["SELECT", "INSERT", "UPDATE"]),
    ("sync_logs", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("sync_state", &["SELECT", "INSERT", "UPDATE"]),
    ("sync_errors", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("sync_missing", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("sync_unlinked", &["SELECT", "INSERT", "DELETE"]),
    ("sync_held", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("sync_unreadable", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("sync_locks", &["SELECT", "INSERT", "UPDATE"]),
    ("sync_migrations", &["SELECT"]),
];

/// The view, which is only read.
const VIEW: &str = "sync_health";

impl Store {
    /// Everything about the database, in the order in which one thing rests on the other. `site_id` is what the
    /// configuration names, where it names one; `observer` is this process.
    pub async fn examine(&self, site_id: Option<&str>, observer: &Holder) -> Vec<Finding> {
        let mut findings = vec![
            connection::tls(&self.target).await,
            settled("server", self.server().await),
            settled("statement time-out", self.statement_timeout().await),
            self.pooler().await,
        ];
        let is_current = match self.migrations().await {
            Ok((finding, is_current)) => {
                findings.push(finding);
                is_current
            }
            Err(error) => {
                findings.push(failed("migrations", &error));
                false
            }
        };
        findings.push(settled("rights", if is_current { self.rights().await } else { self.rights_to_migrate().await }));
        findings.push(settled("row security", self.row_security().await));
        findings.extend(match self.public_access().await {
            Ok(findings) => findings,
            Err(error) => vec![failed("public access", &error)],
        });
        findings.extend(match self.search_path().await {
            Ok(findings) => findings,
            Err(error) => vec![failed("search path", &error)],
        });
        if is_current {
            findings.extend(self.examine_tables(site_id, observer).await);
        }
        findings
    }

    /// Whether migrations are pending.
    async fn migrations(&self) -> Result<(Finding, bool), StoreError> {
        const CHECK: &str = "migrations";
        let schema = self.schema.name();
        Ok(match self.schema_state().await? {
            SchemaState::Current => (Finding::ok(CHECK, format!("schema {schema} is up to date")), true),
            SchemaState::NotMigrated => {
                (Finding::fail(CHECK, format!("schema {schema} is not migrated yet"), "run `wix-sync migrate`"), false)
            }
            SchemaState::Pending(pending) => {
                let found = format!("schema {schema} is not up to date: {pending} pending");
                (Finding::fail(CHECK, found, "run `wix-sync migrate`"), false)
            }
        })
    }

    /// Whether runs may do all that they do.
    async fn rights(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "rights";
        let (tables, rights): (Vec<&str>, Vec<&str>) =
            NEEDED.iter().flat_map(|(table, rights)| rights.iter().map(move |right| (*table, *right))).unzip();
        let rows = self
            .query_once(
                "could not read what this database user may do",
                "select needed.t || ' (' || string_agg(needed.p, ', ' order by needed.p) || ')'
                 from unnest($2::text[], $3::text[]) needed (t, p)
                 join pg_catalog.pg_namespace n on n.nspname = $1
                 join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = needed.t
                 where not has_table_privilege(c.oid, needed.p)
                 group by needed.t order by 1",
                &[(&self.schema.name(), Type::TEXT), (&tables, Type::TEXT_ARRAY), (&rights, Type::TEXT_ARRAY)],
            )
            .await?;
        if rows.is_empty() {
            return Ok(Finding::ok(CHECK, "this database user may read and write all tables"));
        }
        let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let found = format!("this database user lacks rights on {}", missing.join(", "));
        Ok(Finding::fail(CHECK, found, "connect as the owner of the tables, or grant what is missing"))
    }

    /// Whether `migrate` may do what is pending: create in the schema, and change the tables that are there.
    async fn rights_to_migrate(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "rights";
        let names: Vec<&str> = NEEDED.iter().map(|(table, _)| *table).collect();
        let rows = self
            .query_once(
                "could not read what this database user may do",
                "select
                    n.oid is not null,
                    case when n.oid is null then has_database_privilege(current_database(), 'CREATE')
                        else has_schema_privilege(n.oid, 'CREATE') end,
                    (
                        select string_agg(c.relname, ', ' order by c.relname) from pg_catalog.pg_class c
                        where c.relnamespace = n.oid and c.relname::text = any ($2)
                            and not pg_has_role(c.relowner, 'USAGE')
                    )
                 from (select 1) one left join pg_catalog.pg_namespace n on n.nspname = $1",
                &[(&self.schema.name(), Type::TEXT), (&names, Type::TEXT_ARRAY)],
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(Finding::ok(CHECK, "nothing to be known")) };
        let (exists, may_create, foreign): (bool, bool, Option<String>) = (row.get(0), row.get(1), row.get(2));
        let schema = self.schema.name();
        Ok(match (exists, may_create, foreign) {
            (true, false, _) => Finding::fail(
                CHECK,
                format!("this database user may not create tables in schema {schema}"),
                format!("grant create on schema {} to it, or give another one with --schema", self.schema),
            ),
            (false, false, _) => Finding::fail(
                CHECK,
                format!("there is no schema {schema}, and this database user may not create it"),
                format!("create schema {} with it as its owner", self.schema),
            ),
            (_, true, Some(tables)) => Finding::fail(
                CHECK,
                format!("this database user does not own {tables}, which `migrate` has to change"),
                "connect as their owner",
            ),
            (_, true, None) => Finding::ok(CHECK, format!("this database user may create tables in schema {schema}")),
        })
    }

    /// Whether row level security could hide rows from us.
    async fn row_security(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "row security";
        let names: Vec<&str> = NEEDED.iter().map(|(table, _)| *table).collect();
        let rows = self
            .query_once(
                "could not read what row level security hides",
                "select string_agg(c.relname, ', ' order by c.relname)
                 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = $1 and c.relname::text = any ($2) and row_security_active(c.oid)",
                &[(&self.schema.name(), Type::TEXT), (&names, Type::TEXT_ARRAY)],
            )
            .await?;
        let hidden: Option<String> = rows.first().and_then(|row| row.get(0));
        Ok(match hidden {
            None => Finding::ok(CHECK, "hides nothing from this database user"),
            Some(tables) => Finding::fail(
                CHECK,
                format!("may hide rows of {tables} from this database user, who is not their owner"),
                "connect as the owner of the tables, or as a role with BYPASSRLS",
            ),
        })
    }
}

/// The finding, or the error as one.
fn settled(check: &'static str, result: Result<Finding, StoreError>) -> Finding {
    result.unwrap_or_else(|error| failed(check, &error))
}

fn failed(check: &'static str, error: &StoreError) -> Finding {
    Finding::error(check, error, error.hint())
}
