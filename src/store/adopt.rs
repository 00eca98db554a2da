//! Adopts existing tables that AsyncSyncAgent created.
//!
//! Rows keep their ids, and user-defined columns keep their values. The wanted definition is read from the
//! migrations: they run in the session's temporary schema, and the two catalogs are compared. All checks run before the
//! first change, so a table that cannot be adopted stays as it is.

mod changes;

use std::collections::BTreeMap;

use self::changes::{ColumnDefinition, Columns, TableChanges, is_from_a_copy, plan_changes};
use super::error::StoreError;
use super::problem::{Cause, Effect, Problem, Repair};
use super::schema::{Schema, quoted};
use super::session::{Session, params};
use super::{access, catalog, schema_check};

/// AsyncSyncAgent's tables, each with the columns that identify it, in the order in which the temporary copies are
/// dropped.
const TABLES: [(&str, &[&str]); 4] = [
    ("appointments", &["id", "wix_booking_id"]),
    ("orders", &["id", "wix_order_id"]),
    ("customers", &["id", "wix_contact_id"]),
    ("sync_logs", &["id", "sync_type", "status"]),
];

/// All columns of AsyncSyncAgent's tables. Columns that are not listed here are new.
const PREDECESSORS: [(&str, &[&str]); 3] = [
    (
        "appointments",
        &[
            "id",
            "wix_booking_id",
            "customer_id",
            "service_name",
            "staff_member",
            "start_time",
            "end_time",
            "status",
            "notes",
            "created_at",
            "updated_at",
        ],
    ),
    (
        "orders",
        &[
            "id",
            "wix_order_id",
            "customer_id",
            "order_date",
            "total_amount",
            "status",
            "items",
            "created_at",
            "updated_at",
        ],
    ),
    ("customers", &["id", "wix_contact_id", "name", "email", "phone", "notes", "created_at", "updated_at"]),
];

/// Prepares existing tables for the migrations. `definitions` are the migrations that create them. Returns the adopted
/// tables, each with its number of rows.
pub(super) async fn adopt(
    session: &Session<'_>,
    definitions: &[&str],
    keep_policies: bool,
) -> Result<Vec<(&'static str, i64)>, StoreError> {
    let (schema, relations) = (session.schema, load_relations(session).await?);
    let found: Vec<(&'static str, &'static [&'static str])> =
        TABLES.into_iter().filter(|(table, _)| relations.contains_key(*table)).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    for (table, known_by) in &found {
        if let Some(relation) = relations.get(*table) {
            check_relation(schema, table, relation)?;
        }
        let columns = load_columns(session, schema.name(), table).await?;
        check_columns(schema, table, known_by, &columns)?;
    }
    let facts = catalog::load(session).await?;
    let problems: Vec<Problem> = schema_check::compare(schema, &facts)
        .into_iter()
        .filter(|problem| problem.cause == Cause::Foreign && relations.contains_key(problem.table))
        .collect();
    refuse(schema, problems.iter())?;
    if !keep_policies {
        let names: Vec<&str> = found.iter().map(|(table, _)| *table).collect();
        let open = access::public_access(session, &names).await?;
        if !open.is_empty() {
            return Err(StoreError::OpenToAnyone(format!(
                "nothing was changed: Supabase's public roles can read or change tables that would be adopted, and would \
                 then have `raw` and every new column of them too, or can use views of these tables\n  {}\n\
                 Drop the policies and revoke the grants that are named here and run it again, or keep them as they are \
                 with --keep-policies.",
                open.iter().map(|access| access.sentence.as_str()).collect::<Vec<_>>().join("\n  ")
            )));
        }
    }
    for definition in definitions {
        // Creates them in the session's own temporary schema.
        let definition = definition.replace("{schema}", "pg_temp");
        session.run("could not determine the expected tables", &definition).await?;
    }
    let temporary = temporary_schema(session).await?;
    let (mut changes, mut own_columns) = (Vec::new(), Vec::new());
    for (table, _) in &found {
        let wanted = load_columns(session, &temporary, table).await?;
        let existing = load_columns(session, schema.name(), table).await?;
        own_columns.extend(list_own_columns(session, table, &wanted, &existing).await?);
        changes.push(plan_changes(schema, table, &wanted, &existing)?);
    }
    if !own_columns.is_empty() {
        return Err(StoreError::CannotAdopt(format!(
            "nothing was changed: columns of your own hold values and have the names of new ones, which are filled from \
             Wix\n  {}\n\
             Rename them, and run migrate again.",
            own_columns.join("\n  ")
        )));
    }
    check_dependents(session, &changes).await?;
    let mut adopted = Vec::new();
    for ((table, known_by), changes) in found.iter().zip(changes) {
        for statement in changes.statements {
            let statement = format!("alter table {schema}.{table} {statement}");
            let changed = session.transaction.batch_execute(&statement).await;
            changed.map_err(StoreError::of_change("could not change an existing table"))?;
        }
        if changes.is_from_a_copy {
            drop_later_indexes(session, table).await?;
        }
        make_unique(session, table, known_by.last().copied().filter(|column| column.starts_with("wix_"))).await?;
        adopted.push((*table, count_rows(session, table).await?));
    }
    for (table, _) in TABLES {
        let statement = format!("drop table pg_temp.{table}");
        session.run("could not drop a temporary table", &statement).await?;
    }
    adopted.reverse();
    Ok(adopted)
}

/// The reason why a table or view with this name cannot be adopted, judged by its columns.
pub(super) fn why_not_adoptable(name: &str, facts: &catalog::Facts) -> Option<String> {
    let Some((_, known_by)) = TABLES.iter().find(|(table, _)| *table == name) else {
        return Some("only wix-sync has a table of that name".to_owned());
    };
    if facts.kind != "r" {
        return None;
    }
    let missing = known_by.iter().find(|column| !facts.columns.contains_key(**column));
    let id = facts.columns.get("id").filter(|id| id.data_type != "uuid");
    missing
        .map(|column| format!("it has no column {column}"))
        .or_else(|| id.map(|id| format!("its id is {} instead of uuid", id.data_type)))
}

/// Returns an error if an adopted table would still refuse rows that wix-sync writes.
pub(super) fn refuse_problems(
    schema: &Schema,
    adopted: &[(&str, i64)],
    problems: &[Problem],
) -> Result<(), StoreError> {
    let is_adopted = |problem: &&Problem| adopted.iter().any(|(table, _)| *table == problem.table);
    refuse(schema, problems.iter().filter(is_adopted).filter(|problem| problem.effect != Effect::Other))
}

fn refuse<'a>(schema: &Schema, problems: impl Iterator<Item = &'a Problem>) -> Result<(), StoreError> {
    let lines: Vec<String> = problems
        .map(|problem| match &problem.repair {
            Repair::Sql(sql) => format!("{}: `{sql}`", problem.what),
            Repair::Step(_) | Repair::None => problem.what.clone(),
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(StoreError::CannotAdopt(format!(
        "nothing was changed: existing tables of schema {} would refuse what wix-sync writes\n  {}\n\
         Run the SQL that is named here, and run migrate again.",
        schema.name(),
        lines.join("\n  ")
    )))
}

struct Relation {
    kind: String,
    is_ours: bool,
    force_row_security: bool,
}

async fn load_relations(session: &Session<'_>) -> Result<BTreeMap<String, Relation>, StoreError> {
    let doing = "could not look for existing tables";
    let names: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    let statement = "select c.relname::text, c.relkind::text, pg_has_role(c.relowner, 'USAGE'), c.relforcerowsecurity
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname::text = any ($2)";
    let rows = session.rows(doing, statement, params![session.schema.name(), names]).await?;
    rows.map(|(name, kind, is_ours, force_row_security)| (name, Relation { kind, is_ours, force_row_security }))
}

/// Drops the indexes that a later migration creates. A copy of our own tables already has them.
async fn drop_later_indexes(session: &Session<'_>, table: &str) -> Result<(), StoreError> {
    let statement = session.schema.sql(&format!(
        "drop index if exists {{schema}}.{table}_wix_created_at_idx, {{schema}}.{table}_merged_into_idx"
    ));
    session.run("could not change an existing table", &statement).await
}

fn check_relation(schema: &Schema, table: &str, relation: &Relation) -> Result<(), StoreError> {
    let name = format!("{}.{table}", schema.name());
    let problem = if relation.kind == "p" {
        // On a partitioned table, `returning xmax` does not show which rows were inserted.
        format!("{name} already exists and is partitioned; choose another schema with --schema")
    } else if relation.kind != "r" {
        format!("{name} already exists and is not a table; choose another schema with --schema")
    } else if !relation.is_ours {
        format!(
            "{name} belongs to another database user; run migrate as its owner, or choose another schema with --schema"
        )
    } else if relation.force_row_security {
        format!(
            "{name} has FORCE ROW LEVEL SECURITY, which hides rows from its owner too; run `alter table {name} no force row level security` first"
        )
    } else {
        return Ok(());
    };
    Err(StoreError::CannotAdopt(problem))
}

fn check_columns(schema: &Schema, table: &str, known_by: &[&str], columns: &Columns) -> Result<(), StoreError> {
    let name = format!("{}.{table}", schema.name());
    for column in known_by {
        if !columns.contains_key(*column) {
            return Err(StoreError::CannotAdopt(format!(
                "{name} already exists, but wix-sync cannot adopt it: it has no column {column}; choose another schema with --schema"
            )));
        }
    }
    match columns.get("id").map(|id| id.data_type.as_str()) {
        Some("uuid") => Ok(()),
        other => Err(StoreError::CannotAdopt(format!(
            "{name} already exists, but its id is {} instead of uuid; choose another schema with --schema",
            other.unwrap_or("missing")
        ))),
    }
}

async fn load_columns(session: &Session<'_>, schema: &str, table: &str) -> Result<Columns, StoreError> {
    let doing = "could not read the columns of an existing table";
    let statement = "select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typtype::text = 'e',
            a.attnotnull, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
         from pg_catalog.pg_attribute a
         left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         join pg_catalog.pg_type t on t.oid = a.atttypid
         join pg_catalog.pg_class c on c.oid = a.attrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped";
    let columns = session.rows(doing, statement, params![schema, table]).await?;
    columns.map(|(name, data_type, is_enum, not_null, default)| {
        (name, ColumnDefinition { data_type, is_enum, not_null, default })
    })
}

/// User-defined columns that hold values and have the name of a new column. wix-sync would overwrite these values.
async fn list_own_columns(
    session: &Session<'_>,
    table: &'static str,
    wanted: &Columns,
    existing: &Columns,
) -> Result<Vec<String>, StoreError> {
    let mut own = Vec::new();
    let Some((_, known)) = PREDECESSORS.iter().find(|(name, _)| *name == table) else { return Ok(own) };
    if is_from_a_copy(existing) {
        return Ok(own);
    }
    let doing = "could not inspect the columns of an existing table";
    for column in wanted.keys().filter(|column| existing.contains_key(*column) && !known.contains(&column.as_str())) {
        let statement = format!("select exists (select from {{schema}}.{table} where {column} is not null)");
        if session.rows(doing, &statement, params![]).await?.value()? {
            own.push(format!("{}.{table}.{column}", session.schema.name()));
        }
    }
    Ok(own)
}

async fn temporary_schema(session: &Session<'_>) -> Result<String, StoreError> {
    let doing = "could not determine the expected tables";
    let statement = "select nspname::text from pg_catalog.pg_namespace where oid = pg_my_temp_schema()";
    session.rows(doing, statement, params![]).await?.value()
}

/// Returns an error that lists everything that prevents a change of a column's type: Postgres cannot change the type of
/// a column that a view, a policy or a trigger uses.
async fn check_dependents(session: &Session<'_>, changes: &[TableChanges]) -> Result<(), StoreError> {
    let doing = "could not look for what uses the columns of an existing table";
    let mut in_the_way = Vec::new();
    for change in changes.iter().filter(|change| !change.retyped.is_empty()) {
        let (statement, schema) = (include_str!("sql/column_dependents.sql"), session.schema.name());
        let rows = session.rows(doing, statement, params![schema, change.table, change.retyped]).await?;
        for (column, kind, name) in rows.all::<(String, String, String), Vec<_>>()? {
            let how = if kind == "view" {
                format!("; `select pg_get_viewdef('{name}')` gives its definition")
            } else {
                String::new()
            };
            in_the_way.push(format!("{schema}.{}.{column}: {kind} {name}{how}", change.table));
        }
    }
    if in_the_way.is_empty() {
        return Ok(());
    }
    Err(StoreError::CannotAdopt(format!(
        "nothing was changed: the type of some columns has to change, and Postgres does not allow that while a view, \
         policy or trigger uses them\n  {}\n\
         Save their definitions, drop them, run migrate, and create them again.",
        in_the_way.join("\n  ")
    )))
}

/// Adds a unique constraint on the Wix id, by which rows are matched. It must not be deferrable: `on conflict` cannot
/// use a deferrable constraint.
async fn make_unique(session: &Session<'_>, table: &str, column: Option<&str>) -> Result<(), StoreError> {
    let Some(column) = column else { return Ok(()) };
    let doing = "could not make the Wix ids of an existing table unique";
    let statement = "select i.indimmediate, k.conname::text
         from pg_catalog.pg_index i
         join pg_catalog.pg_class c on c.oid = i.indrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
         left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.contype = 'u'
         where n.nspname = $1 and c.relname = $2 and a.attname = $3
            and i.indisunique and i.indnkeyatts = 1 and i.indpred is null and i.indisvalid";
    let schema = session.schema;
    let found = session.rows(doing, statement, params![schema.name(), table, column]).await?;
    let mut statements = String::new();
    let mut is_unique = false;
    for (is_immediate, constraint) in found.all::<(bool, Option<String>), Vec<_>>()? {
        is_unique |= is_immediate;
        if let (false, Some(constraint)) = (is_immediate, constraint) {
            statements.push_str(&format!("alter table {schema}.{table} drop constraint {};\n", quoted(&constraint)));
        }
    }
    if !is_unique {
        statements.push_str(&format!("alter table {schema}.{table} add unique ({column});\n"));
    }
    session.run(doing, &statements).await
}

async fn count_rows(session: &Session<'_>, table: &str) -> Result<i64, StoreError> {
    let doing = "could not count the rows of an existing table";
    session.rows(doing, &format!("select count(*) from {{schema}}.{table}"), params![]).await?.value()
}
