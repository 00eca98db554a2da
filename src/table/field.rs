//! A column that is filled from a record: its name, its type, and the position of its value in the record.

use chrono::{DateTime, NaiveDate, Utc};

use super::json::{Object, Reading};

/// The type of a column. It determines how its value is read from a record and written to Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Text of at most 512 bytes, because it is in an index.
    ShortText,
    /// An id, or a reference to one, of at most 512 bytes. GUIDs are converted to lower case.
    Id,
    TextList,
    Timestamp,
    Date,
    /// 32 bits.
    Integer,
    /// Exact, with any number of digits.
    Decimal,
    /// A JSON list, as in the record. Its cell is null: the SQL statement takes it from `raw`, which it parses in any
    /// case.
    List,
}

impl Kind {
    /// The type of the column, as Postgres's `format_type` writes it.
    pub const fn sql_type(self) -> &'static str {
        match self {
            Kind::Text | Kind::ShortText | Kind::Id => "text",
            Kind::TextList => "text[]",
            Kind::Timestamp => "timestamp with time zone",
            Kind::Date => "date",
            Kind::Integer => "integer",
            Kind::Decimal => "numeric",
            Kind::List => "jsonb",
        }
    }
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Wix sent no value.
    Null,
    Text(String),
    TextList(Vec<String>),
    Timestamp(DateTime<Utc>),
    Date(NaiveDate),
    Integer(i64),
    /// Decimal digits.
    Decimal(String),
}

/// The position of the value.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// At this path in the record.
    At(&'static str),
    /// A function returns it.
    From(fn(&Object<'_>) -> Reading<Cell>),
}

/// A column of a table.
#[derive(Debug)]
pub struct Field {
    /// It also identifies a field that could not be read.
    pub name: &'static str,
    pub kind: Kind,
    /// The values that Wix documents, for a status (docs/wix-api.md 7 and 8). Other values are stored too.
    pub values: &'static [&'static str],
    source: Source,
}

impl Field {
    /// A column whose value is at one path, such as `info.name.first`.
    pub const fn at(name: &'static str, kind: Kind, path: &'static str) -> Field {
        Field { name, kind, values: &[], source: Source::At(path) }
    }

    /// A column whose value is returned by a function: a cell of this kind, or null.
    pub const fn from(name: &'static str, kind: Kind, find: fn(&Object<'_>) -> Reading<Cell>) -> Field {
        Field { name, kind, values: &[], source: Source::From(find) }
    }

    /// A column with a status at one path.
    pub const fn status(name: &'static str, path: &'static str, values: &'static [&'static str]) -> Field {
        Field { name, kind: Kind::Text, values, source: Source::At(path) }
    }

    /// The path of the value, if it is at one.
    pub fn path(&self) -> Option<&'static str> {
        match self.source {
            Source::At(path) => Some(path),
            Source::From(_) => None,
        }
    }

    /// Reads the value from a record. Null if Wix did not send it.
    pub fn read(&self, record: &Object<'_>) -> Reading<Cell> {
        let cell = match self.source {
            Source::At(path) => self.read_at(path, record)?,
            Source::From(find) => find(record)?,
        };
        match cell {
            Cell::Integer(number) if i32::try_from(number).is_err() => {
                Err(record.error(self.name, "a number of 32 bits"))
            }
            cell => Ok(cell),
        }
    }

    fn read_at(&self, path: &str, record: &Object<'_>) -> Reading<Cell> {
        Ok(match self.kind {
            Kind::Text => record.text(path)?.into(),
            Kind::ShortText => record.short_text(path)?.into(),
            Kind::Id => record.id(path)?.into(),
            Kind::TextList => Cell::TextList(record.texts(path)?),
            Kind::Timestamp => record.instant(path)?.into(),
            Kind::Date => record.date(path)?.map_or(Cell::Null, Cell::Date),
            Kind::Integer => record.integer(path)?.map_or(Cell::Null, Cell::Integer),
            Kind::Decimal => record.decimal(path)?.map_or(Cell::Null, Cell::Decimal),
            Kind::List => {
                record.check_list(path)?;
                Cell::Null
            }
        })
    }
}

impl Cell {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) | Cell::Decimal(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[String]> {
        match self {
            Cell::TextList(texts) => Some(texts),
            _ => None,
        }
    }

    pub fn as_timestamp(&self) -> Option<DateTime<Utc>> {
        match self {
            Cell::Timestamp(time) => Some(*time),
            _ => None,
        }
    }

    pub fn as_date(&self) -> Option<NaiveDate> {
        match self {
            Cell::Date(date) => Some(*date),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Cell::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Cell {
        text.map_or(Cell::Null, Cell::Text)
    }
}

impl From<Option<DateTime<Utc>>> for Cell {
    fn from(time: Option<DateTime<Utc>>) -> Cell {
        time.map_or(Cell::Null, Cell::Timestamp)
    }
}
