//! What the catalog of Postgres says of the tables, the view and everything on them.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::connect::{Parameter, Store, column};
use super::error::StoreError;
use super::needs::{TABLES, VIEW};
use super::schema::Schema;

/// What can be read while somebody has locked the tables.
const FACTS: &str = include_str!("sql/catalog.sql");

const DEFINITIONS: &str = include_str!("sql/catalog_definitions.sql");

const READING: &str = "could not read the catalog";

/// A column as the catalog has it.
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

/// What the catalog says of one table or view.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// As `pg_class.relkind`.
    pub(super) kind: String,
    pub(super) columns: BTreeMap<String, ColumnFact>,
    pub(super) unique: Vec<UniqueFact>,
    /// The definitions, from behind USING.
    pub(super) indexes: Vec<String>,
    /// Name, columns and referenced table; empty if that is another one.
    pub(super) foreign_keys: Vec<(String, String, String)>,
    /// Name and expression.
    pub(super) checks: Vec<(String, String)>,
    pub(super) rules: Vec<String>,
}

/// What the catalog says of everything that wix-sync needs.
pub(super) type Catalog = HashMap<String, Facts>;

impl ColumnFact {
    /// Whether it has this mark.
    pub(super) fn has(&self, mark: char) -> bool {
        self.marks.contains(mark)
    }
}

impl UniqueFact {
    /// Whether it covers just these columns, in any order.
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

fn names() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).chain([VIEW]).collect()
}

fn catalog(rows: &[Row]) -> Result<Catalog, StoreError> {
    let mut catalog = Catalog::new();
    for row in rows {
        let text = |index: usize| column::<String>(row, index, READING);
        let (fact, relation, name, definition, marks) = (text(0)?, text(1)?, text(2)?, text(3)?, text(4)?);
        let facts = catalog.entry(relation).or_default();
        match fact.as_str() {
            "relation" => facts.kind = definition,
            "column" => {
                // A role may have all names quoted.
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

/// The catalog, as a transaction sees it.
pub(super) async fn load(transaction: &Transaction<'_>, schema: &Schema) -> Result<Catalog, StoreError> {
    let rows = transaction
        .query_typed(&whole(), &[(&schema.name(), Type::TEXT), (&names(), Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database(READING))?;
    catalog(&rows)
}

/// Whether a table has these columns, of the types that wix-sync needs.
pub(super) fn has_columns(catalog: &Catalog, name: &str, columns: &[&str]) -> bool {
    let (Some(facts), Some(table)) = (catalog.get(name), TABLES.iter().find(|table| table.name == name)) else {
        return false;
    };
    let mut wanted = table.columns.iter().filter(|column| columns.contains(&column.name));
    facts.kind == "r"
        && wanted
            .all(|column| facts.columns.get(column.name).is_some_and(|fact| holds(column.data_type, &fact.data_type)))
}

/// Whether the state of runs is there: then these are wix-sync's own tables, whatever `sync_migrations` says.
pub(super) fn holds_state(catalog: &Catalog) -> bool {
    [("sync_state", "wix_site_id"), ("sync_locks", "token"), ("sync_errors", "record_key")].iter().any(
        |(table, column)| {
            catalog.get(*table).is_some_and(|facts| facts.kind == "r" && facts.columns.contains_key(*column))
        },
    )
}

/// The checksums of the applied migrations by number.
pub(super) type Checksums = HashMap<i32, String>;

/// The statement that reads everything.
fn whole() -> String {
    format!("{FACTS} union all\n{DEFINITIONS}")
}

/// Whether a type holds every value of the wanted one as it is.
pub(super) fn holds(wanted: &str, current: &str) -> bool {
    current == wanted || matches!((wanted, current), ("text", "character varying") | ("integer", "bigint"))
}

impl Store {
    /// The same outside of a transaction.
    pub(super) async fn load_catalog(&self) -> Result<Catalog, StoreError> {
        let rows = self
            .query_once(READING, &whole(), &[(&self.schema.name(), Type::TEXT), (&names(), Type::TEXT_ARRAY)])
            .await?;
        catalog(&rows)
    }

    /// The same without definitions of indexes and CHECK constraints, but with the checksums of the applied migrations by number.
    /// An error if `sync_migrations` is not there.
    pub(super) async fn load_catalog_and_migrations(&self) -> Result<(Catalog, Checksums), StoreError> {
        let statement = self.schema.sql(&format!(
            "{FACTS} union all
             select 'migration', 'sync_migrations', number::text, checksum, '' from {{schema}}.sync_migrations"
        ));
        let parameters: [Parameter<'_>; 2] = [(&self.schema.name(), Type::TEXT), (&names(), Type::TEXT_ARRAY)];
        let rows = self.query_once(READING, &statement, &parameters).await?;
        let mut applied = Checksums::new();
        for row in &rows {
            if column::<&str>(row, 0, READING)? == "migration" {
                let number = column::<&str>(row, 2, READING)?.parse().unwrap_or_default();
                applied.insert(number, column(row, 3, READING)?);
            }
        }
        Ok((catalog(&rows)?, applied))
    }
}
