//! The synced tables, as data, and the mapping of a record to a row.
//!
//! ARCHITECTURE.md lists what a fourth table needs.

mod appointments;
mod customers;
mod definition;
pub mod excerpt;
pub mod field;
pub mod hash;
pub mod json;
pub mod json_damage;
pub mod listing;
pub mod map;
mod orders;
pub mod row;
pub mod timestamp;

use std::cmp::Ordering;

pub use appointments::APPOINTMENTS;
pub use customers::CUSTOMERS;
pub use definition::{Relation, Table};
pub use orders::ORDERS;

impl Table {
    /// All tables, each after those that it needs.
    pub const ALL: [&'static Table; 3] = [&CUSTOMERS, &APPOINTMENTS, &ORDERS];
}

/// In the order of [`Table::ALL`].
impl Ord for Table {
    fn cmp(&self, other: &Table) -> Ordering {
        let position = |table| Table::ALL.iter().position(|known| *known == table);
        position(self).cmp(&position(other))
    }
}

impl PartialOrd for Table {
    fn partial_cmp(&self, other: &Table) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
