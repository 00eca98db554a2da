//! The description of a table.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

use super::field::Field;
use super::json::Object;
use super::listing::Listing;
use super::row::{Contact, Row};

/// A table, and the kind of Wix record that its rows are copies of. Everything that differs between tables is here.
#[derive(Debug)]
pub struct Table {
    /// Also its name in commands, logs and `sync_logs.results`.
    pub name: &'static str,
    /// The records in Wix, for the help.
    pub records: &'static str,
    /// The unique column with Wix's id. It identifies a row.
    pub id_column: &'static str,
    /// The list endpoint.
    pub listing: Listing,
    /// Wix's events about these records.
    pub events: Events,
    /// The field of a listed item that holds the record. `None` if the item is the record.
    pub inside: Option<&'static str>,
    /// The columns that are filled from the record, in addition to those that all tables have.
    pub fields: &'static [Field],
    /// The columns with personal data. They are set to NULL when Wix deletes the record.
    pub personal: &'static [&'static str],
    /// Whether it has a column `notes`, which wix-sync never writes.
    pub has_notes: bool,
    /// The field by which `--start` and `--end` select records. `None` if the table is always synced as a whole.
    pub range_field: Option<&'static str>,
    /// The tables that rows of this one link to. They are synced first.
    pub needs: &'static [&'static Table],
    /// The relation of its rows to those of other tables; `None` if there is none.
    pub relation: Option<Relation>,
}

/// Wix's events that name a record of a table.
#[derive(Debug)]
pub struct Events {
    /// The `entityFqdn` of these events. Their `entityId` is the id of a record of the table.
    pub fqdns: &'static [&'static str],
    /// The payload of a Wix automation does not name its kind. If it has the first of these fields, the second has the
    /// id of a record of the table.
    pub automations: &'static [(&'static str, &'static str)],
}

/// The relation between rows of different tables. Code that differs for these tables matches on it, so that the
/// compiler finds each place.
#[derive(Clone, Copy, Debug)]
pub enum Relation {
    /// A person. Bookings and orders are linked to it, and it can be merged into another one.
    Customer,
    /// Linked to a customer by the contact that the booking names. If there is no such customer, a placeholder is
    /// created from the contact details in the booking.
    Booking { contact: fn(&Object<'_>, &mut Vec<&'static str>) -> Contact },
    /// Linked to a customer by the contact that the order names, or by its email address.
    Order,
}

impl Table {
    /// The text of a column in a row of this table.
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
