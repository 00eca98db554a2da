//! The checks of `doctor` in the database. They only read, and continue after a check that failed.
//!
//! `connection` checks the connection and the server, `tables` the contents of the tables, `access` who else can use
//! them, this file the schema: whether it is migrated, and what this database user may do with it.

mod access;
mod connection;
mod tables;

use super::connect::Store;
use super::error::StoreError;
use super::migrations::{SchemaState, UNRECORDED};
use super::problem::Problem;
use super::schema_check;
use super::session::params;
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

const READING_RIGHTS: &str = "could not read what this database user may do";

const SCHEMA: &str = "schema";

/// The view. It is only read.
const VIEW: &str = "sync_health";

impl Store {
    /// All checks of the database, in the order in which they depend on each other. `site_id` is the configured site,
    /// `observer` this process.
    pub async fn examine(&self, site_id: Option<&str>, observer: &Holder) -> Vec<Finding> {
        let mut findings = vec![
            connection::tls(&self.target).await,
            settled("server", self.server().await),
            settled("statement time-out", self.statement_timeout().await),
            self.pooler().await,
        ];
        let mut state = self.schema_state().await;
        if let Err(error @ StoreError::Database { .. }) = state {
            state = Err(self.explain(error).await);
        }
        findings.push(match &state {
            Ok(state) => self.migrations(*state),
            Err(error) => failed("migrations", error),
        });
        let is_current = matches!(state, Ok(SchemaState::Current));
        if is_current || matches!(state, Ok(SchemaState::Unrecorded) | Err(StoreError::Damaged { .. })) {
            findings.extend(self.tables_as_needed().await.unwrap_or_else(|error| vec![failed(SCHEMA, &error)]));
        }
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

    fn migrations(&self, state: SchemaState) -> Finding {
        const CHECK: &str = "migrations";
        const MEND: &str = "run `wix-sync migrate`";
        let schema = self.schema.name();
        match state {
            SchemaState::Current => Finding::ok(CHECK, format!("schema {schema} is up to date")),
            SchemaState::NotMigrated => Finding::fail(CHECK, format!("schema {schema} is not migrated yet"), MEND),
            SchemaState::Unrecorded => Finding::fail(CHECK, format!("schema {schema}: {UNRECORDED}"), MEND),
            SchemaState::Pending(pending) => {
                Finding::fail(CHECK, format!("schema {schema} is not up to date: {pending} pending"), MEND)
            }
        }
    }

    /// Whether the tables are as wix-sync needs them: a line for each problem.
    async fn tables_as_needed(&self) -> Result<Vec<Finding>, StoreError> {
        let catalog = self.load_catalog().await?;
        let mut problems = schema_check::compare(&self.schema, &catalog);
        problems.extend(self.refusing_checks(&catalog).await?);
        if problems.is_empty() {
            return Ok(vec![Finding::ok(
                SCHEMA,
                "tables, columns, constraints and indexes are as wix-sync needs them",
            )]);
        }
        let finding = |problem: Problem| match problem.into_text() {
            (what, Some(sql)) => Finding::fail(SCHEMA, what, format!("run `{sql}`, then `wix-sync migrate`")),
            (what, None) => {
                Finding::fail(SCHEMA, what, "run `wix-sync migrate`: it restores this, or says what is in the way")
            }
        };
        Ok(problems.into_iter().map(finding).collect())
    }

    /// Whether this database user has the rights that a run needs.
    async fn rights(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "rights";
        let (tables, rights): (Vec<&str>, Vec<&str>) =
            NEEDED.iter().flat_map(|(table, rights)| rights.iter().map(move |right| (*table, *right))).unzip();
        let statement = "select needed.t || ' (' || string_agg(needed.p, ', ' order by needed.p) || ')'
             from unnest($2::text[], $3::text[]) needed (t, p)
             join pg_catalog.pg_namespace n on n.nspname = $1
             join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = needed.t
             where not has_table_privilege(c.oid, needed.p)
             group by needed.t order by 1";
        let rows = self.rows(READING_RIGHTS, statement, params![self.schema.name(), tables, rights]).await?;
        if rows.is_empty() {
            return Ok(Finding::ok(CHECK, "this database user may read and write all tables"));
        }
        let missing: Vec<String> = rows.values()?;
        let found = format!("this database user lacks rights on {}", missing.join(", "));
        Ok(Finding::fail(CHECK, found, "connect as the owner of the tables, or grant what is missing"))
    }

    /// Whether `migrate` may create in the schema and change the existing tables.
    async fn rights_to_migrate(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "rights";
        let names: Vec<&str> = NEEDED.iter().map(|(table, _)| *table).collect();
        let statement = "select
                n.oid is not null,
                case when n.oid is null then has_database_privilege(current_database(), 'CREATE')
                    else has_schema_privilege(n.oid, 'CREATE') end,
                (
                    select string_agg(c.relname, ', ' order by c.relname) from pg_catalog.pg_class c
                    where c.relnamespace = n.oid and c.relname::text = any ($2)
                        and not pg_has_role(c.relowner, 'USAGE')
                )
             from (select 1) one left join pg_catalog.pg_namespace n on n.nspname = $1";
        let rows = self.rows(READING_RIGHTS, statement, params![self.schema.name(), names]).await?;
        let Some((exists, may_create, foreign)) = rows.first::<(bool, bool, Option<String>)>()? else {
            return Ok(Finding::ok(CHECK, "nothing to be known"));
        };
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
        let doing = "could not read what row level security hides";
        let statement = "select string_agg(c.relname, ', ' order by c.relname)
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1 and c.relname::text = any ($2) and row_security_active(c.oid)";
        let rows = self.rows(doing, statement, params![self.schema.name(), names]).await?;
        let hidden: Option<String> = rows.value()?;
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

fn settled(check: &'static str, result: Result<Finding, StoreError>) -> Finding {
    result.unwrap_or_else(|error| failed(check, &error))
}

fn failed(check: &'static str, error: &StoreError) -> Finding {
    Finding::error(check, error, error.hint())
}
