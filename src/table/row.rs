//! A record mapped to its row, or the reason why it is rejected.

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use super::field::Cell;
use super::hash::ContentHash;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// It identifies a row.
    pub wix_id: String,
    /// When the record was created in Wix. A pass reads records in this order.
    pub wix_created_at: Option<DateTime<Utc>>,
    pub wix_updated_at: Option<DateTime<Utc>>,
    /// Orders have none.
    pub wix_revision: Option<i64>,
    /// Hash of `raw` and `unreadable_fields`. A row is written only if it differs.
    pub content_hash: ContentHash,
    /// The record as Wix sent it.
    pub raw: String,
    /// One value per field of the table, in the same order.
    pub cells: Vec<Cell>,
    /// The contact that a booking names.
    pub contact: Option<Box<Contact>>,
    /// Columns that are null because Wix's value could not be read.
    pub unreadable_fields: Vec<&'static str>,
}

/// The contact that a booking names, with the contact details in the booking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contact {
    pub wix_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

impl Contact {
    /// Whether the booking has only the contact's id.
    pub fn has_no_details(&self) -> bool {
        let Contact { wix_id: _, first_name, last_name, email, phone } = self;
        [first_name, last_name, email, phone].into_iter().all(Option::is_none)
    }
}

/// The version of a record, to find the newer of two copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Orders have none.
    pub revision: Option<i64>,
    pub updated_at: Option<DateTime<Utc>>,
}

impl Version {
    /// The revision decides if both copies have one and they differ, because the clocks of two servers may differ.
    pub fn is_newer_than(self, other: Version) -> bool {
        match (self.revision, other.revision) {
            (Some(ours), Some(theirs)) if ours != theirs => ours > theirs,
            _ => matches!((self.updated_at, other.updated_at), (Some(ours), Some(theirs)) if ours > theirs),
        }
    }
}

impl Row {
    /// Approximate size of the row in a statement, in bytes.
    pub fn size(&self) -> usize {
        let of_cell = |cell: &Cell| match cell {
            Cell::Text(text) | Cell::Decimal(text) => text.len(),
            Cell::TextList(texts) => texts.iter().map(String::len).sum(),
            Cell::Null | Cell::Timestamp(_) | Cell::Date(_) | Cell::Integer(_) => 0,
        };
        let contact = self.contact.iter().flat_map(|contact| {
            let Contact { wix_id, first_name, last_name, email, phone } = &**contact;
            [wix_id, first_name, last_name, email, phone].into_iter().flatten()
        });
        let of_contact: usize = contact.map(String::len).sum();
        self.raw.len() + self.cells.iter().map(of_cell).sum::<usize>() + of_contact
    }

    pub fn version(&self) -> Version {
        Version { revision: self.wix_revision, updated_at: self.wix_updated_at }
    }

    /// Whether both are known to be the same version of a record.
    pub fn is_same_version(&self, other: &Row) -> bool {
        self.version() == other.version() && self.version() != Version::default()
    }
}

/// A record without a usable id, or one that Postgres refuses. It is stored in `sync_errors`, and the other records are
/// still written.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    pub wix_id: Option<String>,
    pub wix_created_at: Option<DateTime<Utc>>,
    /// It names fields but no values, so it can be shown and logged.
    pub reason: String,
    /// The record as Wix sent it.
    pub raw: String,
}

pub type MappedRecord = Result<Row, Rejection>;

/// Facts about a record that the pagination needs, also of a rejected record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMark {
    pub wix_id: Option<String>,
    pub wix_created_at: Option<DateTime<Utc>>,
    /// Known only if the record was mapped.
    pub version: Version,
    /// A hash of its text if it has no id, else 0.
    pub content: u64,
}

pub fn mark_of(record: &MappedRecord) -> RecordMark {
    match record {
        Ok(row) => {
            let (wix_id, wix_created_at) = (Some(row.wix_id.clone()), row.wix_created_at);
            RecordMark { wix_id, wix_created_at, version: row.version(), content: 0 }
        }
        Err(rejection) => RecordMark {
            wix_id: rejection.wix_id.clone(),
            wix_created_at: rejection.wix_created_at,
            version: Version::default(),
            content: if rejection.wix_id.is_none() { xxh3_64(rejection.raw.as_bytes()) } else { 0 },
        },
    }
}
