//! Problems of the schema, and how they are fixed.

use std::fmt;

use super::needs::{Column, Index, NeededTable, VIEW};

#[derive(Debug)]
pub(super) struct Problem {
    /// The name of the table or view.
    pub(super) table: &'static str,
    pub(super) what: String,
    pub(super) cause: Cause,
    pub(super) effect: Effect,
    pub(super) repair: Repair,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An object was dropped.
    Missing,
    /// A column was changed; adoption changes it back.
    Changed,
    /// An object was added that refuses or changes rows of wix-sync.
    Foreign,
}

impl Problem {
    pub(super) fn into_text(self) -> (String, Option<String>) {
        let sql = match self.repair {
            Repair::Sql(sql) => Some(sql),
            Repair::Step(_) | Repair::None => None,
        };
        (self.what, sql)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The run fails, or would write wrong values.
    StopsRuns,
    /// Postgres refuses some rows. Each becomes a rejected record.
    RefusesRows,
    /// Runs work, but may be slow.
    Other,
}

#[derive(Debug)]
pub(super) enum Repair {
    /// `migrate` fixes it.
    Step(Step),
    /// The operator must run this SQL.
    Sql(String),
    /// Another problem must be fixed first.
    None,
}

/// Object that `migrate` restores.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Table(&'static NeededTable),
    Column(&'static NeededTable, &'static Column),
    Default(&'static NeededTable, &'static Column),
    /// A primary key (`None`) or a unique constraint, by its index in [`NeededTable::unique`].
    Unique(&'static NeededTable, Option<usize>),
    /// The foreign key `customer_id`.
    Customer(&'static NeededTable),
    Index(&'static NeededTable, &'static Index),
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
