//! Compares the schema with what wix-sync needs ([`super::needs`]), to find manual changes.
//!
//! One statement reads the catalog. `migrate` restores missing objects ([`super::repair`]), `doctor` lists every
//! problem, and a run starts only if no problem stops it.

use super::catalog::{Catalog, ColumnFact, Facts, holds, holds_state};
use super::connect::Store;
use super::error::StoreError;
use super::migrations::{SchemaState, state_of};
use super::needs::{Column, NeededTable, TABLES, VIEW, VIEW_COLUMNS, VIEW_TABLES};
use super::problem::{Cause, Effect, Problem, Repair, Step};
use super::schema::{Schema, quoted};
use crate::table::{CUSTOMERS, Table};

impl Store {
    /// Returns an error unless all migrations are applied and no manual change of the schema stops a run. One statement
    /// if there is no problem.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        match self.load_catalog_and_migrations().await {
            Ok((catalog, applied)) if !applied.is_empty() => {
                state_of(&self.schema, &applied)?.check(&self.schema)?;
                self.refuse(&catalog, |problem| problem.effect == Effect::StopsRuns)
            }
            // `sync_migrations` is not readable, or has no visible row.
            Ok(_) | Err(StoreError::Database { .. }) => match self.check_migrated().await {
                Err(error @ StoreError::Database { .. }) => Err(self.explain(error).await),
                other => other,
            },
            Err(error) => Err(error),
        }
    }

    /// Replaces a Postgres error by the manual change of the tables that explains it. Otherwise returns the error
    /// itself.
    pub async fn explain(&self, error: StoreError) -> StoreError {
        match self.load_catalog().await.and_then(|catalog| self.refuse(&catalog, |_| true)) {
            Err(damaged @ StoreError::Damaged { .. }) => damaged,
            _ => error,
        }
    }

    fn refuse(&self, catalog: &Catalog, stops: impl Fn(&Problem) -> bool) -> Result<(), StoreError> {
        let problems = compare(&self.schema, catalog);
        let mut stopping = problems.into_iter().filter(|problem| stops(problem));
        let Some(first) = stopping.next() else { return Ok(()) };
        let (schema, what) = (self.schema.name().to_owned(), first.what);
        Err(StoreError::Damaged { schema, what, others: stopping.count() })
    }

    /// State of a schema whose `sync_migrations` is missing or empty.
    pub(super) async fn unrecorded_state(&self) -> Result<SchemaState, StoreError> {
        let catalog = self.load_catalog().await?;
        Ok(if holds_state(&catalog) { SchemaState::Unrecorded } else { SchemaState::NotMigrated })
    }
}

/// Differences from what wix-sync needs, in the order in which they can be fixed.
pub(super) fn compare(schema: &Schema, catalog: &Catalog) -> Vec<Problem> {
    let mut problems = Vec::new();
    for table in TABLES.iter() {
        let comparison = Comparison { schema, catalog, table };
        match catalog.get(table.name) {
            None => problems.push(comparison.missing(
                format!("table {} is missing", table.name),
                Effect::StopsRuns,
                Step::Table(table),
            )),
            Some(facts) if facts.kind != "r" => problems.push(comparison.not_a_table(&facts.kind)),
            Some(facts) => comparison.table(facts, &mut problems),
        }
    }
    // Links and indexes need the tables and their keys.
    for table in TABLES.iter() {
        let comparison = Comparison { schema, catalog, table };
        if let Some(facts) = catalog.get(table.name).filter(|facts| facts.kind == "r") {
            comparison.links_and_indexes(facts, &mut problems);
        }
    }
    problems.extend(view_problem(schema, catalog));
    problems
}

struct Comparison<'a> {
    schema: &'a Schema,
    catalog: &'a Catalog,
    table: &'static NeededTable,
}

impl Comparison<'_> {
    fn missing(&self, what: String, effect: Effect, step: Step) -> Problem {
        Problem { table: self.table.name, what, cause: Cause::Missing, effect, repair: Repair::Step(step) }
    }

    fn changed(&self, what: String, effect: Effect, sql: String) -> Problem {
        Problem { table: self.table.name, what, cause: Cause::Changed, effect, repair: Repair::Sql(sql) }
    }

    fn foreign(&self, what: String, effect: Effect, sql: String) -> Problem {
        Problem { table: self.table.name, what, cause: Cause::Foreign, effect, repair: Repair::Sql(sql) }
    }

    /// The effect on runs if rows of this table are refused.
    fn refusal(&self) -> Effect {
        if self.table.is_of_wix() { Effect::RefusesRows } else { Effect::StopsRuns }
    }

    /// The table as `"schema".table`, for SQL.
    fn name(&self) -> String {
        format!("{}.{}", self.schema, self.table.name)
    }

    fn not_a_table(&self, kind: &str) -> Problem {
        let kind = match kind {
            "v" => "a view",
            "m" => "a materialized view",
            "p" => "a partitioned table",
            "f" => "a foreign table",
            _ => "another kind of object",
        };
        let name = self.table.name;
        self.foreign(
            format!("{name} is {kind} instead of a table"),
            Effect::StopsRuns,
            format!("alter table {} rename to {name}_old;", self.name()),
        )
    }

    fn table(&self, facts: &Facts, problems: &mut Vec<Problem>) {
        let table = self.table;
        for column in table.columns {
            match facts.columns.get(column.name) {
                None => problems.push(self.missing(
                    format!("column {}.{} is missing", table.name, column.name),
                    Effect::StopsRuns,
                    Step::Column(table, column),
                )),
                Some(fact) => problems.extend(self.column(column, fact)),
            }
        }
        for (name, fact) in &facts.columns {
            let is_own = table.columns.iter().any(|column| column.name == name);
            let is_filled = fact.has('d') || fact.has('g') || fact.has('v');
            if !is_own && fact.has('n') && !is_filled {
                problems.push(self.foreign(
                    format!("column {}.{name} is NOT NULL, has no default, and wix-sync does not fill it", table.name),
                    self.refusal(),
                    format!("alter table {} alter column {} drop not null;", self.name(), quoted(name)),
                ));
            }
        }
        for rule in &facts.rules {
            problems.push(self.foreign(
                format!("rule {rule} on {} changes what is written", table.name),
                Effect::StopsRuns,
                format!("drop rule {} on {};", quoted(rule), self.name()),
            ));
        }
        for index in std::iter::once(None).chain((0..table.unique.len()).map(Some)) {
            let columns = index.and_then(|index| table.unique.get(index)).map_or(table.key, |(_, columns)| *columns);
            if !facts.unique.iter().any(|unique| unique.is_immediate && unique.covers(columns)) {
                problems.push(self.missing(
                    format!("{} has no unique constraint on {}", table.name, columns.join(", ")),
                    Effect::StopsRuns,
                    Step::Unique(table, index),
                ));
            }
        }
    }

    fn column(&self, column: &'static Column, fact: &ColumnFact) -> Option<Problem> {
        let (table, name) = (self.table, column.name);
        let shown = format!("column {}.{name}", table.name);
        let is_written = name != "notes" && (table.name, name) != ("sync_logs", "user_id");
        if is_written && (fact.has('g') || fact.has('v') || fact.has('i')) {
            let alter = format!("alter table {}", self.name());
            let sql = match fact.has('g') {
                true => self.and_read_again(column, format!("{alter} alter column {name} drop expression;")),
                false => format!("{alter} drop column {name};"),
            };
            return Some(self.foreign(
                format!("{shown} is generated: nothing can be written to it"),
                Effect::StopsRuns,
                sql,
            ));
        }
        if !holds(column.data_type, &fact.data_type) {
            // Runs only write the line items; verify casts them.
            let is_json_items = (table.name, name, fact.data_type.as_str()) == ("orders", "items", "json");
            let is_usable = is_json_items || works(table, column.data_type, &fact.data_type);
            let effect = if is_usable { Effect::Other } else { Effect::StopsRuns };
            let what = format!("{shown} has the type {} instead of {}", fact.data_type, column.data_type);
            return Some(self.changed(what, effect, self.retyping(column, fact)));
        }
        let has_default = fact.has('d');
        if fact.has('n') && (table.may_write_null(column) || !is_written && !has_default) {
            let what = format!("{shown} is NOT NULL, and wix-sync does not always have a value for it");
            let sql = format!("alter table {} alter column {name} drop not null;", self.name());
            return Some(self.changed(what, self.refusal(), sql));
        }
        let needs_default = column.default.is_some() && !table.is_of_wix() && table.name != "sync_logs";
        if needs_default && fact.has('n') && !has_default {
            let step = Step::Default(table, column);
            return Some(self.missing(format!("{shown} has no default"), Effect::StopsRuns, step));
        }
        None
    }

    /// SQL that restores a column's type.
    fn retyping(&self, column: &Column, fact: &ColumnFact) -> String {
        let (table, name) = (self.name(), column.name);
        let mut sql = String::new();
        if fact.has('h') {
            sql.push_str(&format!("drop view if exists {}.{VIEW}; ", self.schema));
        }
        for referencing in TABLES.iter().filter(|table| table.has_customer) {
            let is_concerned = name == "customer_id" && referencing.name == self.table.name
                || self.table.name == CUSTOMERS.name && name == "id";
            let keys = self.catalog.get(referencing.name).map(|facts| &facts.foreign_keys[..]).unwrap_or_default();
            for (key, _, _) in keys.iter().filter(|(_, columns, _)| is_concerned && columns == "customer_id") {
                let statement = format!(
                    "alter table {}.{} drop constraint if exists {}; ",
                    self.schema,
                    referencing.name,
                    quoted(key)
                );
                sql.push_str(&statement);
            }
        }
        if fact.has('d') {
            sql.push_str(&format!("alter table {table} alter column {name} drop default; "));
        }
        let value = match (column.data_type, fact.data_type.as_str()) {
            ("timestamp with time zone", current) if current.ends_with("without time zone") => {
                format!("{name} at time zone 'UTC'")
            }
            ("timestamp with time zone", "date") => format!("{name}::timestamp at time zone 'UTC'"),
            _ => format!("{name}::text::{}", column.data_type),
        };
        let wanted = column.data_type;
        sql.push_str(&format!("alter table {table} alter column {name} type {wanted} using {value};"));
        if let Some(default) = column.default {
            sql.push_str(&format!(" alter table {table} alter column {name} set default {default};"));
        }
        self.and_read_again(column, sql)
    }

    /// SQL that restores the type and makes the next run write the rows again: the values may have been rounded or
    /// shifted.
    fn and_read_again(&self, column: &Column, sql: String) -> String {
        let table = self.table;
        if !table.is_of_wix() || !is_from_wix(column.name) || column.name == "content_hash" {
            return sql;
        }
        format!(
            "{sql} update {} set content_hash = null; update {}.sync_state set last_full_pass_at = null, \
             full_checkpoint = null where table_name = '{}';",
            self.name(),
            self.schema,
            table.name
        )
    }

    fn links_and_indexes(&self, facts: &Facts, problems: &mut Vec<Problem>) {
        let table = self.table;
        let is_link = |(_, columns, referenced): &(String, String, String)| {
            columns == "customer_id" && referenced == CUSTOMERS.name
        };
        if table.has_customer && !facts.foreign_keys.iter().any(is_link) {
            problems.push(self.missing(
                format!("{}.customer_id does not reference customers", table.name),
                Effect::Other,
                Step::Customer(table),
            ));
        }
        for index in table.indexes {
            let (keys, condition) = (plain(index.keys), plain(index.condition));
            let serves = |found: &String| {
                plain(found).strip_prefix(&keys).is_some_and(|rest| rest.is_empty() || rest == condition)
            };
            if !facts.indexes.iter().any(serves) {
                problems.push(self.missing(
                    format!("index {} on {} is missing", index.name, table.name),
                    Effect::Other,
                    Step::Index(table, index),
                ));
            }
        }
    }
}

fn view_problem(schema: &Schema, catalog: &Catalog) -> Option<Problem> {
    let problem = |what: String, cause: Cause, repair: Repair| {
        Some(Problem { table: VIEW, what, cause, effect: Effect::Other, repair })
    };
    let Some(facts) = catalog.get(VIEW) else {
        return problem(format!("view {VIEW} is missing"), Cause::Missing, Repair::Step(Step::View));
    };
    if facts.kind != "v" {
        let sql = format!("alter table {schema}.{VIEW} rename to {VIEW}_old;");
        return problem(format!("{VIEW} is not a view"), Cause::Foreign, Repair::Sql(sql));
    }
    let has = |(name, data_type): &(&str, &str)| {
        facts.columns.get(*name).is_some_and(|fact| holds(data_type, &fact.data_type))
    };
    if !VIEW_COLUMNS.iter().all(has) {
        let sql = format!("drop view {schema}.{VIEW};");
        return problem(format!("view {VIEW} has other columns"), Cause::Changed, Repair::Sql(sql));
    }
    // The view still reads a table that was renamed.
    let is_read = |table: &&str| {
        catalog.get(*table).is_none_or(|facts| facts.kind != "r" || facts.columns.values().any(|fact| fact.has('h')))
    };
    let unread = Table::ALL.iter().map(|table| table.name).chain(VIEW_TABLES).find(|table| !is_read(table))?;
    problem(format!("view {VIEW} does not read {unread}"), Cause::Missing, Repair::Step(Step::View))
}

/// An index's definition without spaces, brackets, quotes, and the casts that Postgres adds for varchar columns.
fn plain(definition: &str) -> String {
    definition.replace("::text", "").replace([' ', '(', ')', '"'], "")
}

/// Whether a column holds data from Wix, not data of wix-sync or of users.
pub(super) fn is_from_wix(column: &str) -> bool {
    !matches!(column, "id" | "notes" | "created_at" | "updated_at")
}

/// Whether runs work with a type that may round or refuse some values.
fn works(table: &NeededTable, wanted: &str, current: &str) -> bool {
    let base = match wanted {
        "text" => "character varying(",
        "numeric" => "numeric(",
        "timestamp with time zone" => {
            return current.starts_with("timestamp(") && current.ends_with("with time zone");
        }
        _ => return false,
    };
    table.is_of_wix() && current.starts_with(base)
}

#[cfg(test)]
mod tests {
    use super::works;
    use crate::store::catalog::holds;
    use crate::store::needs::TABLES;

    #[test]
    fn types_that_round_are_accepted() {
        let customers = TABLES.iter().find(|table| table.name == "customers").unwrap();
        let time = "timestamp with time zone";
        for (wanted, current, expected) in [
            (time, "timestamp(3) with time zone", true),
            (time, "timestamp(3) without time zone", false),
            (time, "timestamp without time zone", false),
            ("numeric", "numeric(10,2)", true),
            ("numeric", "double precision", false),
            ("text", "character varying(255)", true),
            ("text", "character(36)", false),
            ("text", "jsonb", false),
            ("uuid", "text", false),
        ] {
            assert!(!holds(wanted, current), "{current}");
            assert_eq!(works(customers, wanted, current), expected, "{current}");
        }
        assert!(holds("text", "character varying") && holds("integer", "bigint") && holds(time, time));
    }
}
