//! What can be wrong with the schema, and how it is repaired.

use std::fmt;

use super::needs::{Column, Index, Table, VIEW};

/// One thing that is not as wix-sync needs it.
#[derive(Debug)]
pub(super) struct Problem {
    /// The table or view.
    pub(super) table: &'static str,
    /// What is wrong with what.
    pub(super) what: String,
    pub(super) cause: Cause,
    pub(super) effect: Effect,
    pub(super) repair: Repair,
}

/// What was done to the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something was dropped.
    Missing,
    /// A column was changed; adoption changes it back.
    Changed,
    /// Something was added that refuses or changes what is written.
    Foreign,
}

impl Problem {
    /// What is wrong, and the SQL that repairs it.
    pub(super) fn into_text(self) -> (String, Option<String>) {
        let sql = match self.repair {
            Repair::Sql(sql) => Some(sql),
            Repair::Step(_) | Repair::None => None,
        };
        (self.what, sql)
    }
}

/// What a problem does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It fails, or would write wrong values.
    StopsRuns,
    /// Postgres refuses rows; each of them becomes a rejected record.
    RefusesRows,
    /// It works, but slowly, or something else does not.
    Other,
}

/// How a problem is repaired.
#[derive(Debug)]
pub(super) enum Repair {
    /// `migrate` does it.
    Step(Step),
    /// SQL that a person has to run.
    Sql(String),
    /// What the problem says has to be dealt with first.
    None,
}

/// What `migrate` restores.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A table.
    Table(&'static Table),
    /// A column.
    Column(&'static Table, &'static Column),
    /// The default of a column.
    Default(&'static Table, &'static Column),
    /// A primary key or unique constraint, by its index in [`Table::unique`]; `None` is the primary key.
    Unique(&'static Table, Option<usize>),
    /// The foreign key `customer_id`.
    Customer(&'static Table),
    /// An index.
    Index(&'static Table, &'static Index),
    /// The view.
    View,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Table(table) => write!(f, "table {}", table.name),
            Step::Column(table, column) => write!(f, "column {}.{}", table.name, column.name),
            Step::Default(table, column) => write!(f, "the default of {}.{}", table.name, column.name),
            Step::Unique(table, index) => {
                let columns = index.and_then(|index| table.unique.get(index)).map_or(table.key, |unique| unique.1);
                write!(f, "the unique constraint of {} on {}", table.name, columns.join(", "))
            }
            Step::Customer(table) => write!(f, "the foreign key of {}.customer_id", table.name),
            Step::Index(table, index) => write!(f, "index {} of {}", index.name, table.name),
            Step::View => write!(f, "view {VIEW}"),
        }
    }
}
