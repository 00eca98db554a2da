//! Restores missing objects of the schema, in the transaction of `migrate`.
//!
//! A restored table or column is filled by the next run, which reads all records and writes the rows again.

mod refill;

use std::collections::BTreeSet;

use tokio_postgres::error::SqlState;

use super::catalog::{self, Catalog, UniqueFact};
use super::checks::refusing_checks;
use super::error::StoreError;
use super::needs::{Column, NeededTable, VIEW};
use super::problem::{Cause, Effect, Problem, Repair, Step};
use super::schema::quoted;
use super::schema_check::{compare, is_from_wix};
use super::session::{Session, params};
use crate::table::Relation;
use crate::table::Table;

/// Maximum rounds. Each round enables the next: tables, then keys, then links and indexes.
const MAX_ROUNDS: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) repaired: Vec<String>,
    /// Problems that the operator must fix.
    pub(super) remaining: Vec<Problem>,
    /// Tables that the next run reads completely.
    pub(super) to_read: BTreeSet<&'static Table>,
    pub(super) created: BTreeSet<&'static str>,
}

struct Refused {
    /// The same text as in [`Problem`].
    what: String,
    why: String,
    sql: Option<String>,
}

/// A note on what a step did; or the reason why it is not possible, and the SQL that makes it possible.
type Taken = Result<Option<String>, (String, Option<String>)>;

struct Work<'a> {
    session: &'a Session<'a>,
    /// Statements of the migrations that also apply to a restored table.
    finishing: &'a [&'a str],
    repaired: Vec<String>,
    created: BTreeSet<&'static str>,
    refused: Vec<Refused>,
    /// Tables with the same columns but another name, next to restored ones.
    lookalikes: Vec<Problem>,
    to_read: BTreeSet<&'static Table>,
    to_rewrite: BTreeSet<&'static Table>,
}

/// Restores missing objects. `migrations` are the applied ones.
pub(super) async fn repair(session: &Session<'_>, migrations: &[&str]) -> Result<Outcome, StoreError> {
    let mut work = Work {
        session,
        finishing: migrations,
        repaired: Vec::new(),
        created: BTreeSet::new(),
        refused: Vec::new(),
        lookalikes: Vec::new(),
        to_read: BTreeSet::new(),
        to_rewrite: BTreeSet::new(),
    };
    let mut facts = catalog::load(session).await?;
    let mut problems = compare(session.schema, &facts);
    if !problems.is_empty() {
        session.read_whole_tables().await?;
    }
    for _ in 0..MAX_ROUNDS {
        if !work.round(&facts, &problems).await? {
            break;
        }
        facts = catalog::load(session).await?;
        problems = compare(session.schema, &facts);
    }
    work.finish_tables().await?;
    work.have_read_again().await?;
    problems.extend(refusing_checks(session, &facts).await?);
    let Work { repaired, refused, lookalikes, to_read, created, .. } = work;
    for problem in &mut problems {
        if let Some(refused) = refused.iter().find(|refused| refused.what == problem.what) {
            problem.what = format!("{}: {}", problem.what, refused.why);
            problem.repair = refused.sql.clone().map_or(Repair::None, Repair::Sql);
        }
    }
    problems.extend(lookalikes);
    Ok(Outcome { repaired, remaining: problems, to_read, created })
}

impl Work<'_> {
    /// Takes all possible steps. False if there was none.
    async fn round(&mut self, facts: &Catalog, problems: &[Problem]) -> Result<bool, StoreError> {
        let mut is_changed = false;
        for problem in problems {
            let Repair::Step(step) = problem.repair else { continue };
            if self.refused.iter().any(|refused| refused.what == problem.what) {
                continue;
            }
            self.run("savepoint step").await?;
            let taken = match self.take(step, facts).await {
                Err(StoreError::Database { message, state: Some(state), .. }) if is_about_the_schema(&state) => {
                    Err((message, None))
                }
                other => other?,
            };
            match taken {
                Ok(notes) => {
                    is_changed = true;
                    let is_part = self.created.contains(problem.table);
                    if !is_part || matches!(step, Step::Table(_) | Step::View) {
                        let notes = notes.map(|notes| format!(" ({notes})")).unwrap_or_default();
                        self.repaired.push(format!("{step}{notes}"));
                    }
                    if matches!(step, Step::Table(_) | Step::View) {
                        self.created.insert(problem.table);
                    }
                }
                Err((why, sql)) => {
                    self.run("rollback to savepoint step").await?;
                    self.refused.push(Refused { what: problem.what.clone(), why, sql });
                }
            }
        }
        Ok(is_changed)
    }

    async fn take(&mut self, step: Step, facts: &Catalog) -> Result<Taken, StoreError> {
        Ok(match step {
            Step::Table(table) => Ok(self.create_table(table).await?),
            Step::Column(table, column) => Ok(self.add_column(table, column, facts).await?),
            Step::Default(table, column) => {
                let default = column.default.unwrap_or("null");
                self.run(&format!(
                    "alter table {} alter column {} set default {default}",
                    self.name(table),
                    column.name
                ))
                .await?;
                Ok(None)
            }
            Step::Unique(table, index) => self.add_unique(table, index, facts).await?,
            Step::Customer(table) => Ok(self.link_to_customers(table, facts).await?),
            Step::Index(table, index) => {
                let name = self.free_name(index.name).await?.unwrap_or_default();
                let (keys, condition) = (index.keys, index.condition);
                self.run(&format!("create index {name} on {} using {keys} {condition}", self.name(table))).await?;
                Ok(None)
            }
            Step::View => {
                let statements = format!("drop view if exists {{schema}}.{VIEW}; {}", view_statements());
                self.run(&self.session.schema.sql(&statements)).await?;
                Ok(None)
            }
        })
    }

    fn name(&self, table: &NeededTable) -> String {
        format!("{}.{}", self.session.schema, table.name)
    }

    async fn run(&self, statements: &str) -> Result<(), StoreError> {
        self.session.run("could not restore what is missing in the schema", statements).await
    }

    async fn execute(&self, statement: &str) -> Result<u64, StoreError> {
        self.session.write_counted("could not fill what was restored", statement, params![]).await
    }

    async fn count(&self, statement: &str) -> Result<u64, StoreError> {
        let doing = "could not count rows of a table";
        self.session.rows(doing, statement, params![]).await?.count()
    }

    /// The name, unless another object of the schema has it.
    async fn free_name(&self, name: &'static str) -> Result<Option<&'static str>, StoreError> {
        let doing = "could not look for a free name";
        let statement = "select exists (
                select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2
             )";
        let rows = self.session.rows(doing, statement, params![self.session.schema.name(), name]).await?;
        let is_taken: bool = rows.value()?;
        Ok((!is_taken).then_some(name))
    }

    async fn create_table(&mut self, table: &'static NeededTable) -> Result<Option<String>, StoreError> {
        let mut parts: Vec<String> = table.columns.iter().map(Column::definition).collect();
        parts.push(format!("primary key ({})", table.key.join(", ")));
        for (name, columns) in table.unique {
            let name = self.free_name(name).await?.map(|name| format!("constraint {name} ")).unwrap_or_default();
            parts.push(format!("{name}unique ({})", columns.join(", ")));
        }
        parts.extend(table.checks.iter().map(|(name, check)| format!("constraint {name} check ({check})")));
        let statement = format!("create table {} ({})", self.name(table), parts.join(", "));
        self.run(&statement).await?;
        if table.is_of_wix() {
            self.compress(table).await?;
        }
        self.needs_reading(table);
        if let Some(other) = self.lookalike(table).await? {
            let (schema, name) = (self.session.schema, table.name);
            self.lookalikes.push(Problem {
                table: name,
                what: format!(
                    "{name} was missing and is empty now, and {other} has its columns: if that is the table under another \
                     name, put it back and run migrate again"
                ),
                cause: Cause::Missing,
                effect: Effect::Other,
                repair: Repair::Sql(format!(
                    "drop table {schema}.{name} cascade; alter table {schema}.{} rename to {name};",
                    quoted(&other)
                )),
            });
        }
        Ok(None)
    }

    /// Sets lz4 compression for JSON columns if the server supports it: it takes a third of the time of Postgres's own
    /// method.
    async fn compress(&self, table: &NeededTable) -> Result<(), StoreError> {
        let columns = table.columns.iter().filter(|column| column.data_type == "jsonb");
        let settings: Vec<String> =
            columns.map(|column| format!("alter column {} set compression lz4", column.name)).collect();
        self.run(&format!(
            "do $$ begin
                if exists (
                    select from pg_catalog.pg_settings
                    where name = 'default_toast_compression' and 'lz4' = any (enumvals)
                ) then
                    alter table {} {};
                end if;
            end $$",
            self.name(table),
            settings.join(", ")
        ))
        .await
    }

    /// Another table of the schema that has all columns of this one, if this one holds Wix records.
    async fn lookalike(&self, table: &NeededTable) -> Result<Option<String>, StoreError> {
        if !table.is_of_wix() {
            return Ok(None);
        }
        let doing = "could not look for a table under another name";
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let statement = "select c.relname::text
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1 and c.relkind = 'r' and c.relname <> $2 and $3::text[] <@ array(
                select a.attname::text from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             )
             order by 1 limit 1";
        let schema = self.session.schema.name();
        self.session.rows(doing, statement, params![schema, table.name, columns]).await?.value()
    }

    async fn add_column(
        &mut self,
        table: &'static NeededTable,
        column: &'static Column,
        facts: &Catalog,
    ) -> Result<Option<String>, StoreError> {
        let (name, mut notes) = (self.name(table), None);
        match column.refill {
            Some(value) => {
                self.run(&format!("alter table {name} add column {} {}", column.name, column.data_type)).await?;
                self.execute(&format!("update {name} set {} = {value}", column.name)).await?;
                self.run(&format!("alter table {name} alter column {} set not null", column.name)).await?;
                // Constraints that were dropped together with the column.
                let has = |check: &str| {
                    facts.get(table.name).is_some_and(|facts| facts.checks.iter().any(|it| it.0 == check))
                };
                for (check, condition) in
                    table.checks.iter().filter(|(check, condition)| condition.contains(column.name) && !has(check))
                {
                    self.run(&format!("alter table {name} add constraint {check} check ({condition})")).await?;
                }
            }
            None => {
                if column.not_null && column.default.is_none() {
                    let deleted = self.execute(&format!("delete from {name}")).await?;
                    notes = Some(format!("{deleted} rows of {} are useless without it and were deleted", table.name));
                }
                self.run(&format!("alter table {name} add column {}", column.definition())).await?;
                if table.is_of_wix() && column.data_type == "jsonb" {
                    self.compress(table).await?;
                }
            }
        }
        if column.name == "id" && table.is_of_wix() {
            notes = Some("every row has a new id".to_owned());
        }
        if let Some(table) = synced_table(table).filter(|table| table.id_column == column.name) {
            notes = self.restore_wix_ids(table).await?;
        }
        match synced_table(table) {
            Some(table) if is_from_wix(column.name) => {
                self.to_read.insert(table);
                self.to_rewrite.insert(table);
            }
            Some(_) => {}
            None => self.needs_reading(table),
        }
        Ok(notes)
    }

    /// Notes the tables that the next run must read completely, because this table lost data.
    fn needs_reading(&mut self, table: &NeededTable) {
        match synced_table(table) {
            Some(table) => {
                self.to_read.insert(table);
            }
            // The lost rejected records, pending deletions and links are found again by reading everything.
            None if !matches!(table.name, "sync_logs" | "sync_locks" | "sync_migrations" | "sync_queue") => {
                self.to_read.extend(Table::ALL);
            }
            None => {}
        }
        if table.name == "sync_unlinked" {
            let orders = Table::ALL.into_iter().filter(|table| matches!(table.relation, Some(Relation::Order)));
            self.to_rewrite.extend(orders);
        }
    }

    async fn add_unique(
        &mut self,
        table: &'static NeededTable,
        index: Option<usize>,
        facts: &Catalog,
    ) -> Result<Taken, StoreError> {
        let name = self.name(table);
        let named = index.and_then(|index| table.unique.get(index));
        let columns = named.map_or(table.key, |(_, columns)| *columns);
        let list = columns.join(", ");
        let facts = facts.get(table.name);
        let is_primary = index.is_none() && !facts.is_some_and(catalog::Facts::has_primary_key);
        let any_null: Vec<String> = columns.iter().map(|column| format!("{column} is null")).collect();
        let any_null = any_null.join(" or ");
        if is_primary {
            let nulls = self.count(&format!("select count(*) from {name} where {any_null}")).await?;
            if nulls > 0 {
                let why = format!("{nulls} rows have NULL there");
                return Ok(Err((why, Some(format!("delete from {name} where {any_null};")))));
            }
        }
        let duplicates = self
            .count(&format!(
                "select count(*) from (select from {name} where not ({any_null}) group by {list} having count(*) > 1) d"
            ))
            .await?;
        if duplicates > 0 {
            let same: Vec<String> = columns.iter().map(|column| format!("a.{column} = b.{column}")).collect();
            let why = format!("{duplicates} values occur in more than one row; the SQL keeps one row of each");
            let sql = format!("delete from {name} a using {name} b where {} and a.ctid > b.ctid;", same.join(" and "));
            return Ok(Err((why, Some(sql))));
        }
        let deferrable = |unique: &&UniqueFact| !unique.is_immediate && unique.covers(columns);
        for unique in facts.iter().flat_map(|facts| &facts.unique).filter(deferrable) {
            self.run(&format!("alter table {name} drop constraint {} cascade", quoted(&unique.name))).await?;
        }
        let constraint = match named {
            Some((constraint, _)) => self.free_name(constraint).await?.map(|free| format!("constraint {free} ")),
            None => None,
        };
        let kind = if is_primary { "primary key" } else { "unique" };
        self.run(&format!("alter table {name} add {}{kind} ({list})", constraint.unwrap_or_default())).await?;
        Ok(Ok(None))
    }
}

/// Whether the schema's content is the reason why a statement fails, and not the server, a lock or missing rights.
fn is_about_the_schema(state: &SqlState) -> bool {
    *state != SqlState::INSUFFICIENT_PRIVILEGE && matches!(&state.code()[..2], "42" | "23" | "22" | "21" | "0A" | "2B")
}

fn synced_table(needed: &NeededTable) -> Option<&'static Table> {
    Table::ALL.into_iter().find(|table| table.name == needed.name)
}

/// The statements that create the view over all synced tables.
fn view_statements() -> String {
    // Only the first part names the columns: Postgres stores the view of the migrations in this form.
    let count = |(index, table): (usize, &&Table)| {
        let (place, Table { name, id_column, .. }) = (index + 1, table);
        let named = |column: &'static str| if index == 0 { column } else { "" };
        let (place_name, table_name) = (named(" as place"), named(" as table_name"));
        let (rows, deleted_rows) = (named(" as rows"), named(" as deleted_rows"));
        format!(
            "select {place}{place_name}, '{name}'{table_name}, count(*) filter (where deleted_at is null){rows},
                count(*) filter (where deleted_at is not null){deleted_rows}
             from {{schema}}.{name} where {id_column} is not null"
        )
    };
    let counts: Vec<String> = Table::ALL.iter().enumerate().map(count).collect();
    let synced = Table::ALL.map(|table| format!("'{{schema}}.{table}'::regclass"));
    include_str!("sql/sync_health.sql")
        .replace("{counts}", &counts.join("\n    union all\n    "))
        .replace("{synced}", &synced.join(", "))
}
