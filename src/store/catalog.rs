//! What the Postgres catalog contains about the tables, the view and their constraints, indexes and triggers.

use std::collections::{BTreeMap, HashMap};

use super::connect::Store;
use super::error::StoreError;
use super::needs::{TABLES, VIEW};
use super::session::{Rows, Session, params};

/// Query for everything that can be read while another session has locked the tables.
const FACTS: &str = include_str!("sql/catalog.sql");

const DEFINITIONS: &str = include_str!("sql/catalog_definitions.sql");

const READING: &str = "could not read the catalog";

#[derive(Debug)]
pub(super) struct ColumnFact {
    pub(super) data_type: String,
    /// Letters: see sql/catalog.sql.
    marks: String,
}

/// A unique index that covers all rows.
#[derive(Debug)]
pub(super) struct UniqueFact {
    pub(super) name: String,
    columns: String,
    pub(super) is_immediate: bool,
    is_primary: bool,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    /// As `pg_class.relkind`.
    pub(super) kind: String,
    pub(super) columns: BTreeMap<String, ColumnFact>,
    pub(super) unique: Vec<UniqueFact>,
    /// Definitions: the text after USING.
    pub(super) indexes: Vec<String>,
    /// Name, columns and referenced table, which is empty if the table is in another schema.
    pub(super) foreign_keys: Vec<(String, String, String)>,
    /// Name and expression.
    pub(super) checks: Vec<(String, String)>,
    pub(super) rules: Vec<String>,
}

/// Facts by table or view name.
pub(super) type Catalog = HashMap<String, Facts>;

impl ColumnFact {
    pub(super) fn has(&self, mark: char) -> bool {
        self.marks.contains(mark)
    }
}

impl UniqueFact {
    /// Whether it covers exactly these columns, in any order.
    pub(super) fn covers(&self, columns: &[&str]) -> bool {
        let mut wanted = columns.to_vec();
        wanted.sort_unstable();
        self.columns == wanted.join(",")
    }
}

impl Facts {
    pub(super) fn has_primary_key(&self) -> bool {
        self.unique.iter().any(|unique| unique.is_primary)
    }
}

/// A row of sql/catalog.sql: kind, relation, name, definition, marks.
type Fact = (String, String, String, String, String);

/// Names of the tables and the view.
pub(super) fn names() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).chain([VIEW]).collect()
}

fn catalog(rows: &Rows) -> Result<Catalog, StoreError> {
    let mut catalog = Catalog::new();
    for (fact, relation, name, definition, marks) in rows.all::<Fact, Vec<_>>()? {
        let facts = catalog.entry(relation).or_default();
        match fact.as_str() {
            "relation" => facts.kind = definition,
            "column" => {
                // With the setting `quote_all_identifiers`, Postgres quotes type names.
                let data_type = definition.replace('"', "");
                facts.columns.insert(name, ColumnFact { data_type, marks });
            }
            "unique" => facts.unique.push(UniqueFact {
                name,
                columns: definition,
                is_immediate: marks.contains('i'),
                is_primary: marks.contains('p'),
            }),
            "index" => facts.indexes.push(definition),
            "foreign key" => facts.foreign_keys.push((name, definition, marks)),
            "check" => facts.checks.push((name, definition)),
            "rule" => facts.rules.push(name),
            _ => {}
        }
    }
    Ok(catalog)
}

/// Loads the catalog within a transaction.
pub(super) async fn load(session: &Session<'_>) -> Result<Catalog, StoreError> {
    catalog(&session.rows(READING, &whole(), params![session.schema.name(), names()]).await?)
}

/// Whether a table has these columns with the types that wix-sync needs.
pub(super) fn has_columns(catalog: &Catalog, name: &str, columns: &[&str]) -> bool {
    let (Some(facts), Some(table)) = (catalog.get(name), TABLES.iter().find(|table| table.name == name)) else {
        return false;
    };
    let mut wanted = table.columns.iter().filter(|column| columns.contains(&column.name));
    facts.kind == "r"
        && wanted
            .all(|column| facts.columns.get(column.name).is_some_and(|fact| holds(column.data_type, &fact.data_type)))
}

/// Whether the table that stores the state of runs exists. If so, wix-sync created these tables, whatever
/// `sync_migrations` contains.
pub(super) fn holds_state(catalog: &Catalog) -> bool {
    [("sync_state", "wix_site_id"), ("sync_locks", "token"), ("sync_errors", "record_key")].iter().any(
        |(table, column)| {
            catalog.get(*table).is_some_and(|facts| facts.kind == "r" && facts.columns.contains_key(*column))
        },
    )
}

/// Checksums of the applied migrations, by number.
pub(super) type Checksums = HashMap<i32, String>;

fn whole() -> String {
    format!("{FACTS} union all\n{DEFINITIONS}")
}

/// Whether a column of the type `current` can store every value of the type `wanted` unchanged.
pub(super) fn holds(wanted: &str, current: &str) -> bool {
    current == wanted || matches!((wanted, current), ("text", "character varying") | ("integer", "bigint"))
}

impl Store {
    /// Loads the catalog outside of a transaction.
    pub(super) async fn load_catalog(&self) -> Result<Catalog, StoreError> {
        catalog(&self.rows(READING, &whole(), params![self.schema.name(), names()]).await?)
    }

    /// Loads the catalog without definitions of indexes and CHECK constraints, and the checksums of the applied
    /// migrations. Returns an error if `sync_migrations` is missing.
    pub(super) async fn load_catalog_and_migrations(&self) -> Result<(Catalog, Checksums), StoreError> {
        let statement = format!(
            "{FACTS} union all
             select 'migration', 'sync_migrations', number::text, checksum, '' from {{schema}}.sync_migrations"
        );
        let rows = self.rows(READING, &statement, params![self.schema.name(), names()]).await?;
        let is_migration = |fact: &Fact| fact.0 == "migration";
        let migrations = rows.all::<Fact, Vec<_>>()?.into_iter().filter(is_migration);
        let applied =
            migrations.map(|(_, _, number, checksum, _)| (number.parse().unwrap_or_default(), checksum)).collect();
        Ok((catalog(&rows)?, applied))
    }
}
