//! Brings the schema up to date.
//!
//! Everything that is missing is created in one transaction under an advisory lock, together with its record in
//! `sync_migrations`: two concurrent `migrate` commands apply it once, and a failure changes nothing. Existing tables
//! are adopted (`adopt.rs`). New tables are closed to Supabase's public roles before the transaction commits
//! (`access.rs`).

use tokio_postgres::error::SqlState;

use super::access::Relation;
use super::catalog::Checksums;
use super::connect::Store;
use super::error::{StoreError, describe};
use super::limits::{LOCK_PATIENCE, MIGRATION_PATIENCE, OTHER_MIGRATION_PATIENCE};
use super::migrations::{MIGRATIONS, Migration, SchemaState, check_applied, state_of};
use super::problem::Problem;
use super::repair::repair;
use super::schema::Schema;
use super::session::{Rows, Session, params};
use super::{access, adopt, catalog};

/// The migrations that define the tables that AsyncSyncAgent also has.
const ADOPTABLE_MIGRATIONS: std::ops::RangeInclusive<i32> = 1..=4;

const CREATE_RECORD: &str = "create table if not exists {schema}.sync_migrations (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationReport {
    pub schema: String,
    /// Names of the migrations that were applied, in order; empty if the schema was up to date.
    pub applied: Vec<&'static str>,
    /// The tables that were adopted, with the number of their rows.
    pub adopted: Vec<(&'static str, i64)>,
    pub restored: Vec<String>,
    /// Tables that the next run reads completely, to fill what was restored.
    pub to_read: Vec<&'static str>,
    /// Problems that were not fixed, each with the SQL that fixes it.
    pub remaining: Vec<(String, Option<String>)>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct MigrateOptions {
    /// Adopt tables even if `anon` or `authenticated` can read them.
    pub keep_policies: bool,
    /// Roll everything back at the end.
    pub dry_run: bool,
}

impl Store {
    /// Applies missing migrations and restores dropped objects. If a lock is not granted in time, the error names the
    /// session that holds it.
    pub async fn migrate(&mut self, options: MigrateOptions) -> Result<MigrationReport, StoreError> {
        match self.apply_pending(options).await {
            Ok(report) => Ok(report),
            Err(error) => Err(self.name_blocker(error).await),
        }
    }

    async fn apply_pending(&mut self, options: MigrateOptions) -> Result<MigrationReport, StoreError> {
        let mut report = MigrationReport { schema: self.schema.name().to_owned(), ..MigrationReport::default() };
        let session = self.begin().await?;
        let schema = session.schema;
        let doing = "could not prepare the migrations";
        // A lock of the transaction, because a session lock would stay on a pooler's server connection. The wait is as
        // long as another `migrate` may take: a role's `statement_timeout` is not intended for schema changes.
        let (most, other) = (MIGRATION_PATIENCE.as_secs(), OTHER_MIGRATION_PATIENCE.as_secs());
        let limits = format!("set local statement_timeout = '{most}s'; set local lock_timeout = '{other}s'");
        session.run(doing, &limits).await?;
        let lock = "select pg_advisory_xact_lock(hashtextextended('wix-sync migrate ' || $1, 0))";
        session.rows(doing, lock, params![schema.name()]).await?;
        let lock_timeout = format!("set local lock_timeout = '{}s'", LOCK_PATIENCE.as_secs());
        session.run(doing, &lock_timeout).await?;
        check_encoding(&session).await?;
        create_schema(&session).await?;
        let mut before = access::existing_relations(&session).await?;
        let mut applied = recover_record(&session, &mut before).await?;
        if applied.is_empty() {
            applied = load_applied(&session).await?.unwrap_or_default();
        } else {
            report.restored.push("the rows of sync_migrations".to_owned());
        }
        check_applied(schema, &applied)?;
        let pending: Vec<&Migration> =
            MIGRATIONS.iter().filter(|migration| !applied.contains_key(&migration.number)).collect();
        if pending.iter().any(|migration| ADOPTABLE_MIGRATIONS.contains(&migration.number)) {
            let definitions: Vec<&str> = MIGRATIONS
                .iter()
                .filter(|migration| ADOPTABLE_MIGRATIONS.contains(&migration.number))
                .map(|migration| migration.sql)
                .collect();
            report.adopted = adopt::adopt(&session, &definitions, options.keep_policies).await?;
        }
        if !pending.is_empty() {
            session.run(doing, &schema.sql(CREATE_RECORD)).await?;
        }
        for migration in pending {
            let applied = session.transaction.batch_execute(&schema.sql(migration.sql)).await;
            applied.map_err(|error| {
                let message = format!("{}: {}", migration.name, describe(&error));
                StoreError::of("could not apply a migration", &error, message)
            })?;
            record(&session, migration).await?;
            report.applied.push(migration.name);
        }
        let statements: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.sql).collect();
        let outcome = repair(&session, &statements).await?;
        adopt::refuse_problems(schema, &report.adopted, &outcome.remaining)?;
        let created: Vec<Relation> = access::existing_relations(&session)
            .await?
            .into_iter()
            .filter(|relation| !before.contains(relation) || outcome.created.contains(relation.name.as_str()))
            .collect();
        report.restored.extend(outcome.repaired);
        report.to_read.extend(outcome.to_read.iter().map(|table| table.name));
        report.remaining.extend(outcome.remaining.into_iter().map(Problem::into_text));
        if report.applied.is_empty() && report.restored.is_empty() {
            return Ok(report);
        }
        access::close(&session, &created).await?;
        match options.dry_run {
            true => session.rollback("could not undo the migrations").await?,
            false => session.commit("could not commit the migrations").await?,
        }
        Ok(report)
    }

    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let applied = self.load_applied().await?.unwrap_or_default();
        match applied.is_empty() {
            true => self.unrecorded_state().await,
            false => state_of(&self.schema, &applied),
        }
    }

    /// Checksums of the applied migrations by number; `None` if `sync_migrations` does not exist. One statement, unless
    /// no row is visible.
    async fn load_applied(&self) -> Result<Option<Checksums>, StoreError> {
        let rows = match self.rows(READING_MIGRATIONS, SELECT_APPLIED, params![]).await {
            Err(StoreError::Database { state: Some(SqlState::UNDEFINED_TABLE), .. }) => return Ok(None),
            rows => rows?,
        };
        if rows.is_empty() {
            let found = self.rows(READING_MIGRATIONS, ROW_SECURITY, params![self.schema.name()]).await?;
            check_not_hidden(&self.schema, &found)?;
        }
        rows.all().map(Some)
    }

    /// Returns an error unless all migrations are applied.
    pub async fn check_migrated(&self) -> Result<(), StoreError> {
        self.schema_state().await?.check(&self.schema)
    }
}

/// Handles tables without a record: if the tables exist but `sync_migrations` is missing or empty, all migrations count
/// as applied, and the later comparison finds what is missing. Returns those migrations, or none if the record exists.
async fn recover_record(session: &Session<'_>, existing: &mut Vec<Relation>) -> Result<Checksums, StoreError> {
    let facts = catalog::load(session).await?;
    if !catalog::holds_state(&facts) {
        return Ok(Checksums::new());
    }
    let is_usable = catalog::has_columns(&facts, "sync_migrations", &["number", "name", "checksum"]);
    if is_usable && !load_applied(session).await?.unwrap_or_default().is_empty() {
        return Ok(Checksums::new());
    }
    let doing = "could not restore sync_migrations";
    if !is_usable {
        session.run(doing, &session.schema.sql("drop table if exists {schema}.sync_migrations")).await?;
        existing.retain(|relation| relation.name != "sync_migrations");
    }
    session.run(doing, &session.schema.sql(CREATE_RECORD)).await?;
    for migration in MIGRATIONS {
        record(session, migration).await?;
    }
    Ok(MIGRATIONS.iter().map(|migration| (migration.number, migration.checksum())).collect())
}

async fn record(session: &Session<'_>, migration: &Migration) -> Result<(), StoreError> {
    let statement = "insert into {schema}.sync_migrations (number, name, checksum) values ($1, $2, $3)";
    let checksum = migration.checksum();
    session.write("could not record a migration", statement, params![migration.number, migration.name, checksum]).await
}

async fn check_encoding(session: &Session<'_>) -> Result<(), StoreError> {
    let doing = "could not read the database's encoding";
    let rows = session.rows(doing, "select current_setting('server_encoding')", params![]).await?;
    match rows.values::<String>()?.pop() {
        Some(encoding) if encoding != "UTF8" => Err(StoreError::Encoding { encoding }),
        _ => Ok(()),
    }
}

/// Checks the catalog first: `create schema if not exists` needs the right to create even if the schema exists.
async fn create_schema(session: &Session<'_>) -> Result<(), StoreError> {
    let doing = "could not create the schema";
    let schema = session.schema;
    let statement = "select 1 from pg_catalog.pg_namespace where nspname = $1";
    if session.rows(doing, statement, params![schema.name()]).await?.is_empty() {
        session.run(doing, &format!("create schema {schema}")).await?;
        access::open_schema(session).await?;
    }
    Ok(())
}

const READING_MIGRATIONS: &str = "could not read which migrations are applied";

const SELECT_APPLIED: &str = "select number, checksum from {schema}.sync_migrations";

/// Returns one row if `sync_migrations` exists: whether row level security applies to this database user.
const ROW_SECURITY: &str = "select row_security_active(c.oid)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = 'sync_migrations'";

/// Loads the record within a transaction. Checks the catalog first, because a missing table would abort the
/// transaction.
async fn load_applied(session: &Session<'_>) -> Result<Option<Checksums>, StoreError> {
    let found = session.rows(READING_MIGRATIONS, ROW_SECURITY, params![session.schema.name()]).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let rows = session.rows(READING_MIGRATIONS, SELECT_APPLIED, params![]).await?;
    if rows.is_empty() {
        check_not_hidden(session.schema, &found)?;
    }
    rows.all().map(Some)
}

/// Returns an error if row level security may hide the rows.
fn check_not_hidden(schema: &Schema, row_security: &Rows) -> Result<(), StoreError> {
    match row_security.value()? {
        true => Err(StoreError::Hidden { schema: schema.name().to_owned() }),
        false => Ok(()),
    }
}
