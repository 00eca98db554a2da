//! The schema of the tables, and statements that name it.

use std::fmt;

use super::error::StoreError;

/// A valid schema name, which is safe in any statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    name: String,
}

impl Schema {
    /// Accepts letters, digits, `_` and `-`, at most 63 bytes (Postgres's limit). Anything else is an error, and so are
    /// Postgres's own schemas.
    pub fn new(name: &str) -> Result<Schema, StoreError> {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let is_postgres_own = name.starts_with("pg_") || name == "information_schema";
        if name.is_empty() || name.len() > 63 || is_postgres_own || !name.chars().all(allowed) {
            return Err(StoreError::BadSchemaName { name: name.to_owned() });
        }
        Ok(Schema { name: name.to_owned() })
    }

    /// The name without quotes, as stored in the catalog.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The statement with `{schema}` replaced by the quoted name.
    pub fn sql(&self, statement: &str) -> String {
        statement.replace("{schema}", &self.to_string())
    }
}

/// Writes the quoted name.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.name)
    }
}

/// The name as a quoted identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::Schema;

    #[test]
    fn names_that_could_break_a_statement_are_refused() {
        assert_eq!(Schema::new("Kunden_1").unwrap().sql("select {schema}.t"), "select \"Kunden_1\".t");
        for bad in
            ["", "a\"b", "a'b", "a b", "a;b", "{schema}", "a$$b", "pg_catalog", "information_schema", &"x".repeat(64)]
        {
            assert!(Schema::new(bad).is_err(), "{bad}");
        }
    }
}
