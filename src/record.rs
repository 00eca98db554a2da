//! A record mapped to its row, or the reason why it is rejected.

use chrono::{DateTime, NaiveDate, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::content_hash::ContentHash;

/// The type of a column; decides how cells are sent to Postgres.
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

/// Maximum bytes of an id, of a reference to one, and of an email: Postgres refuses a row with an indexed value of more
/// than 2,704 bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// One of a table's own columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Also names a field that could not be read.
    pub name: &'static str,
    pub kind: ColumnKind,
    /// False if the upsert statement writes the cell elsewhere than into a column of this table.
    pub is_stored: bool,
}

impl Column {
    pub const fn named(name: &'static str, kind: ColumnKind) -> Column {
        Column { name, kind, is_stored: true }
    }

    /// A cell that is not a column of the table.
    pub const fn elsewhere(name: &'static str, kind: ColumnKind) -> Column {
        Column { name, kind, is_stored: false }
    }
}

/// One value of a row. A variant other than `Null` is used only in a column of its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// What Wix did not send.
    Null,
    Text(String),
    TextList(Vec<String>),
    Timestamp(DateTime<Utc>),
    Date(NaiveDate),
    Integer(i64),
    /// Decimal digits, exact.
    Decimal(String),
}

impl Cell {
    pub fn text(value: Option<String>) -> Cell {
        value.map_or(Cell::Null, Cell::Text)
    }

    pub fn timestamp(value: Option<DateTime<Utc>>) -> Cell {
        value.map_or(Cell::Null, Cell::Timestamp)
    }

    pub fn decimal(value: Option<String>) -> Cell {
        value.map_or(Cell::Null, Cell::Decimal)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Rows are matched by it.
    pub wix_id: String,
    /// When the record was created at Wix: the order of a pass.
    pub wix_created_at: Option<DateTime<Utc>>,
    pub wix_updated_at: Option<DateTime<Utc>>,
    /// Orders have none.
    pub wix_revision: Option<i64>,
    /// Hash of `raw` and `unreadable_fields`; decides whether the row is written.
    pub content_hash: ContentHash,
    /// The record as Wix sent it.
    pub raw: String,
    /// The table's own columns, in the order of its column list.
    pub cells: Vec<Cell>,
    /// Columns that are null because Wix's value could not be read.
    pub unreadable_fields: Vec<&'static str>,
}

/// Tells which of two copies of a record is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Orders have none.
    pub revision: Option<i64>,
    pub updated_at: Option<DateTime<Utc>>,
}

impl Version {
    /// The revision decides if both copies have one and they differ: the dates of two servers may differ by their
    /// clocks.
    pub fn is_newer_than(self, other: Version) -> bool {
        match (self.revision, other.revision) {
            (Some(ours), Some(theirs)) if ours != theirs => ours > theirs,
            _ => matches!((self.updated_at, other.updated_at), (Some(ours), Some(theirs)) if ours > theirs),
        }
    }
}

impl Row {
    /// Approximate bytes of the row in a statement.
    pub fn size(&self) -> usize {
        let of_cell = |cell: &Cell| match cell {
            Cell::Text(text) | Cell::Decimal(text) => text.len(),
            Cell::TextList(texts) => texts.iter().map(String::len).sum(),
            Cell::Null | Cell::Timestamp(_) | Cell::Date(_) | Cell::Integer(_) => 0,
        };
        self.raw.len() + self.cells.iter().map(of_cell).sum::<usize>()
    }

    pub fn version(&self) -> Version {
        Version { revision: self.wix_revision, updated_at: self.wix_updated_at }
    }

    /// Whether both are known to be the same version of a record.
    pub fn is_same_version(&self, other: &Row) -> bool {
        self.version() == other.version() && self.version() != Version::default()
    }
}

/// A record without a usable id, or one that Postgres refuses. It is stored in `sync_errors` and does not stop the
/// others.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    pub wix_id: Option<String>,
    pub wix_created_at: Option<DateTime<Utc>>,
    /// Names fields, never values, so it may be shown and logged.
    pub reason: String,
    /// The record as Wix sent it.
    pub raw: String,
}

pub type MappedRecord = Result<Row, Rejection>;

/// Facts about a record that the walk needs, whether or not it could be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMark {
    pub wix_id: Option<String>,
    pub wix_created_at: Option<DateTime<Utc>>,
    /// Known only if the record could be mapped.
    pub version: Version,
    /// A hash of its text, if it has no id.
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
