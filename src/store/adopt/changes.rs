//! The statements that turn an existing table into the one that the migrations create.

use std::collections::BTreeMap;

use crate::store::error::StoreError;
use crate::store::schema::Schema;

#[derive(Clone, Debug)]
pub(super) struct ColumnDefinition {
    pub(super) data_type: String,
    pub(super) is_enum: bool,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
}

pub(super) type Columns = BTreeMap<String, ColumnDefinition>;

pub(super) struct TableChanges {
    pub(super) table: &'static str,
    /// Actions of `alter table NAME`.
    pub(super) statements: Vec<String>,
    /// Columns whose type changes.
    pub(super) retyped: Vec<String>,
    pub(super) is_from_a_copy: bool,
}

/// Adds missing columns, changes wrong types, and drops NOT NULL from columns that may be NULL: a value that Wix did
/// not send is stored as NULL.
pub(super) fn plan_changes(
    schema: &Schema,
    table: &'static str,
    wanted: &Columns,
    existing: &Columns,
) -> Result<TableChanges, StoreError> {
    let mut changes =
        TableChanges { table, statements: Vec::new(), retyped: Vec::new(), is_from_a_copy: is_from_a_copy(existing) };
    for (column, wanted) in wanted {
        let Some(current) = existing.get(column) else {
            let default = wanted.default.as_ref().map(|default| format!(" default {default}")).unwrap_or_default();
            let not_null = if wanted.not_null { " not null" } else { "" };
            changes.statements.push(format!("add column {column} {}{default}{not_null}", wanted.data_type));
            continue;
        };
        if current.data_type != wanted.data_type {
            let expression = conversion(column, current, &wanted.data_type).ok_or_else(|| {
                StoreError::CannotAdopt(format!(
                    "{}.{table}.{column} is {}, which can't become {}; rename it, or choose another schema with --schema",
                    schema.name(),
                    current.data_type,
                    wanted.data_type
                ))
            })?;
            if let Some(expression) = expression {
                if current.is_enum {
                    changes.statements.push(format!("alter column {column} drop default"));
                }
                changes.statements.push(format!("alter column {column} type {} using {expression}", wanted.data_type));
                changes.retyped.push(column.clone());
            }
        }
        if current.not_null && !wanted.not_null {
            changes.statements.push(format!("alter column {column} drop not null"));
        }
    }
    Ok(changes)
}

/// Whether a table was created by wix-sync and later copied, without the other tables.
pub(super) fn is_from_a_copy(columns: &Columns) -> bool {
    columns.contains_key("content_hash") && columns.contains_key("raw")
}

/// The expression that converts a column to the wanted type: `Some(None)` if no conversion is needed, `None` if the
/// type cannot be converted.
fn conversion(column: &str, current: &ColumnDefinition, wanted: &str) -> Option<Option<String>> {
    // Types outside pg_catalog, such as citext, are shown with their schema.
    let base = current.data_type.split('(').next().and_then(|name| name.rsplit('.').next()).unwrap_or_default().trim();
    let is_text = current.is_enum || matches!(base, "character varying" | "character" | "text" | "citext" | "name");
    let is_whole = matches!(base, "smallint" | "integer" | "bigint");
    Some(Some(match wanted {
        "text" if is_text => format!("{column}::text"),
        "text[]"
            if base == "character varying[]" || base == "character varying" && current.data_type.ends_with("[]") =>
        {
            format!("{column}::text[]")
        }
        "numeric" if is_whole || matches!(base, "numeric" | "double precision" | "real" | "money") => {
            format!("{column}::numeric")
        }
        "jsonb" if base == "json" => format!("{column}::jsonb"),
        // AsyncSyncAgent stored times without a time zone, in UTC.
        "timestamp with time zone"
            if current.data_type.ends_with("without time zone") && base.starts_with("timestamp") =>
        {
            format!("{column} at time zone 'UTC'")
        }
        "timestamp with time zone"
            if current.data_type.ends_with("with time zone") && base.starts_with("timestamp") =>
        {
            format!("{column}::timestamptz")
        }
        "timestamp with time zone" if base == "date" => format!("{column}::timestamp at time zone 'UTC'"),
        "bigint" if is_whole => format!("{column}::bigint"),
        "integer" if base == "smallint" => format!("{column}::integer"),
        "integer" if base == "bigint" => return Some(None),
        _ => return None,
    }))
}
