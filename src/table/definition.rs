//! What a table is.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

use super::field::Field;
use super::json::Object;
use super::listing::Listing;
use super::row::{Contact, Row};

/// A table, and the kind of record in Wix that its rows are copies of. Everything that is different about a table is
/// here; the rest of the program is the same for all.
#[derive(Debug)]
pub struct Table {
    /// Also the word for it in commands, logs and `sync_logs.results`.
    pub name: &'static str,
    /// What it is a copy of, in the help.
    pub records: &'static str,
    /// The column with Wix's id: unique, and what rows are matched by.
    pub id_column: &'static str,
    /// How Wix lists the records.
    pub listing: Listing,
    /// What Wix's events about its records are called.
    pub events: Events,
    /// The field of a listed item that holds the record. `None` if the item is the record.
    pub inside: Option<&'static str>,
    /// The columns that are filled from the record, beside those that all tables have.
    pub fields: &'static [Field],
    /// The columns with personal data. They are emptied when Wix deletes the record.
    pub personal: &'static [&'static str],
    /// Whether it has a column `notes`, which only people fill in.
    pub has_notes: bool,
    /// The field by which `--start` and `--end` select records. `None` if the table is always synced as a whole.
    pub range_field: Option<&'static str>,
    /// The tables to which rows of this one are linked. They are synced before it.
    pub needs: &'static [&'static Table],
    /// How its rows belong to those of other tables. `None` if they do not.
    pub relation: Option<Relation>,
}

/// Which of Wix's events name a record of a table.
#[derive(Debug)]
pub struct Events {
    /// Their `entityFqdn`. The `entityId` of each is the id of a record of the table.
    pub fqdns: &'static [&'static str],
    /// The payload of a Wix automation says nothing about its kind: one with the first of these fields has the id of a
    /// record of the table in the second.
    pub automations: &'static [(&'static str, &'static str)],
}

/// How rows of different tables belong together. Code that is different for these tables matches on it, so that the
/// compiler finds every place.
#[derive(Clone, Copy, Debug)]
pub enum Relation {
    /// A person. Bookings and orders are linked to it, and it can be merged into another one.
    Customer,
    /// Linked to a customer by the contact that it names. If there is no such customer, one is created from what the
    /// booking says about the contact: a placeholder.
    Booking { contact: fn(&Object<'_>, &mut Vec<&'static str>) -> Contact },
    /// Linked to a customer by the contact that it names, or by its email.
    Order,
}

impl Table {
    /// The text in a column of a row of this table.
    pub fn text<'a>(&self, row: &'a Row, column: &str) -> Option<&'a str> {
        let index = self.fields.iter().position(|field| field.name == column)?;
        row.cells.get(index)?.as_text()
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        self.name == other.name
    }
}

impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
