//! A record mapped to its row, or the reason why it is rejected.

use chrono::{DateTime, NaiveDate, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::content_hash::ContentHash;

/// What a column holds; decides how cells travel to Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// `text`.
    Text,
    /// `text[]`.
    TextList,
    /// `timestamptz`.
    Timestamp,
    /// `date`.
    Date,
    /// `bigint`.
    Integer,
    /// `numeric`.
    Decimal,
}

/// Maximum bytes of an id, of a reference to one, and of an email: Postgres cannot index values of more than 2,704 bytes,
/// and a row that it cannot index it refuses.
pub const MAX_KEY_BYTES: usize = 512;

/// One of a stream's own columns: where a cell goes, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is called, also where a field could not be read.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// False if the statement that writes the row puts the cell elsewhere than into a column of this table.
    pub is_stored: bool,
}

impl Column {
    /// A column of the table.
    pub const fn named(name: &'static str, kind: ColumnKind) -> Column {
        Column { name, kind, is_stored: true }
    }

    /// A cell that is not a column of the table.
    pub const fn elsewhere(name: &'static str, kind: ColumnKind) -> Column {
        Column { name, kind, is_stored: false }
    }
}

/// One value of a row. A variant other than `Null` stands only in a column of its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// What Wix did not send.
    Null,
    /// For [`ColumnKind::Text`].
    Text(String),
    /// For [`ColumnKind::TextList`].
    TextList(Vec<String>),
    /// For [`ColumnKind::Timestamp`].
    Timestamp(DateTime<Utc>),
    /// For [`ColumnKind::Date`].
    Date(NaiveDate),
    /// For [`ColumnKind::Integer`].
    Integer(i64),
    /// For [`ColumnKind::Decimal`]: decimal digits, exact.
    Decimal(String),
}

impl Cell {
    /// Text, or null.
    pub fn text(value: Option<String>) -> Cell {
        value.map_or(Cell::Null, Cell::Text)
    }

    /// A point in time, or null.
    pub fn timestamp(value: Option<DateTime<Utc>>) -> Cell {
        value.map_or(Cell::Null, Cell::Timestamp)
    }

    /// A decimal number, or null.
    pub fn decimal(value: Option<String>) -> Cell {
        value.map_or(Cell::Null, Cell::Decimal)
    }
}

/// One record as it goes into its table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Wix's id: what the row is matched by.
    pub wix_id: String,
    /// When the record was created at Wix; what passes are sorted by.
    pub wix_created_at: Option<DateTime<Utc>>,
    /// When Wix last changed the record.
    pub wix_updated_at: Option<DateTime<Utc>>,
    /// Wix's revision number; orders have none.
    pub wix_revision: Option<i64>,
    /// Hash of `raw` and `unreadable_fields`: what decides whether the row is written.
    pub content_hash: ContentHash,
    /// The record as Wix sent it.
    pub raw: String,
    /// The stream's own columns, in the order of its column list.
    pub cells: Vec<Cell>,
    /// The columns that are null because Wix sent something for them that could not be read.
    pub unreadable_fields: Vec<&'static str>,
}

/// What tells which of two copies of a record is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Wix's revision number; orders have none.
    pub revision: Option<i64>,
    /// When Wix last changed the record.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Version {
    /// The revision decides where both copies have one and they differ: dates of two servers may differ by their clocks.
    pub fn is_newer_than(self, other: Version) -> bool {
        match (self.revision, other.revision) {
            (Some(ours), Some(theirs)) if ours != theirs => ours > theirs,
            _ => matches!((self.updated_at, other.updated_at), (Some(ours), Some(theirs)) if ours > theirs),
        }
    }
}

impl Row {
    /// About how many bytes a statement carries for it.
    pub fn size(&self) -> usize {
        let of_cell = |cell: &Cell| match cell {
            Cell::Text(text) | Cell::Decimal(text) => text.len(),
            Cell::TextList(texts) => texts.iter().map(String::len).sum(),
            Cell::Null | Cell::Timestamp(_) | Cell::Date(_) | Cell::Integer(_) => 0,
        };
        self.raw.len() + self.cells.iter().map(of_cell).sum::<usize>()
    }

    /// Its version.
    pub fn version(&self) -> Version {
        Version { revision: self.wix_revision, updated_at: self.wix_updated_at }
    }

    /// Whether it is known that both are the same version of a record.
    pub fn is_same_version(&self, other: &Row) -> bool {
        self.version() == other.version() && self.version() != Version::default()
    }
}

/// A record without a usable id, or one that Postgres refuses. It goes to `sync_errors`; the others go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Wix's id, where the record has one.
    pub wix_id: Option<String>,
    /// When it was created at Wix, where that could be read.
    pub wix_created_at: Option<DateTime<Utc>>,
    /// Why: names members, never values, so it may be shown and logged.
    pub reason: String,
    /// The record as Wix sent it.
    pub raw: String,
}

/// What became of one record of a page.
pub type MappedRecord = Result<Row, Rejection>;

/// Facts about a record that the walk needs, whether or not it could be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMark {
    /// Wix's id.
    pub wix_id: Option<String>,
    /// When the record was created at Wix.
    pub wix_created_at: Option<DateTime<Utc>>,
    /// Its version, where the record could be mapped.
    pub version: Version,
    /// A hash of its text, if it has no id.
    pub content: u64,
}

/// The mark of a mapped or rejected record.
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
