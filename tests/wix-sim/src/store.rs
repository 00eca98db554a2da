//! One table of records, ordered by creation date and id, each a few dozen bytes.
//!
//! A record that nobody changed is only an index into the generator; a changed one carries its JSON text, which is kept
//! and sent byte for byte.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use serde_json::Value;

use crate::clock::{NO_DATE, parse_record_date};
use crate::data::Shape;
use crate::site::Entity;

/// The status of an order, as far as the default filter needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderStatus {
    Approved,
    Canceled,
    Pending,
    Rejected,
    Initialized,
    /// Not an order, or a status the simulator does not know: read it from the text.
    Other,
}

impl OrderStatus {
    pub(crate) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Approved => "APPROVED",
            Self::Canceled => "CANCELED",
            Self::Pending => "PENDING",
            Self::Rejected => "REJECTED",
            Self::Initialized => "INITIALIZED",
            Self::Other => return None,
        })
    }

    fn from_name(name: &str) -> Self {
        match name {
            "APPROVED" => Self::Approved,
            "CANCELED" => Self::Canceled,
            "PENDING" => Self::Pending,
            "REJECTED" => Self::Rejected,
            "INITIALIZED" => Self::Initialized,
            _ => Self::Other,
        }
    }
}

/// One record: its position, and its text if it is not the generator's.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: u128,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) index: u32,
    pub(crate) status: OrderStatus,
    pub(crate) text: Option<Box<str>>,
}

impl Record {
    fn place(&self) -> (i64, u128) {
        (self.created, self.id)
    }
}

/// The records of one entity in (createdDate, id) order.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) entity: Entity,
    pub(crate) records: Vec<Record>,
    /// Grows with every change; what was computed for an older version is stale.
    pub(crate) version: u64,
    shape: Shape,
    /// Positions of the records whose creation date is not the generator's.
    moved: HashMap<u128, i64>,
    next_index: u32,
}

impl Table {
    pub(crate) fn generate(entity: Entity, shape: Shape) -> Self {
        let count = u32::try_from(shape.sizes.of(entity)).unwrap_or(u32::MAX - 1);
        let mut records: Vec<Record> = (0..count)
            .map(|index| {
                let created = shape.created(entity, index);
                Record {
                    id: shape.id(entity, index),
                    created,
                    updated: shape.updated(entity, index, created),
                    index,
                    status: match entity {
                        Entity::Orders => shape.order_status(index),
                        _ => OrderStatus::Other,
                    },
                    text: None,
                }
            })
            .collect();
        records.sort_unstable_by_key(Record::place);
        Self { entity, records, version: 0, shape, moved: HashMap::new(), next_index: count }
    }

    /// The position of the record with this id.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.position(id_key(id))
    }

    fn position(&self, id: u128) -> Option<usize> {
        let created = match self.moved.get(&id) {
            Some(created) => *created,
            None => {
                let index = self.shape.index_of(self.entity, id)?;
                self.shape.created(self.entity, index)
            }
        };
        self.records.binary_search_by(|record| record.place().cmp(&(created, id))).ok()
    }

    /// Appends the record as JSON text.
    pub(crate) fn write(&self, position: usize, basic: bool, out: &mut String) {
        let record = &self.records[position];
        match &record.text {
            Some(text) => out.push_str(text),
            None => self.shape.write(self.entity, record, basic, out),
        }
    }

    /// The record as JSON text.
    pub(crate) fn text(&self, position: usize) -> String {
        let mut out = String::with_capacity(4096);
        self.write(position, false, &mut out);
        out
    }

    /// The record as a value; a text that serde_json cannot read (lone surrogates) is returned as a string.
    pub(crate) fn value(&self, position: usize) -> Value {
        let text = self.text(position);
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// Stores a text as it is, in place of a record with the same id.
    pub(crate) fn put_text(&mut self, text: &str) {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|_| lenient(text));
        let body = match self.entity {
            Entity::Bookings => &value["booking"],
            _ => &value,
        };
        let id = match body["id"].as_str() {
            Some(id) => id_key(id),
            // Two records without id stay two records.
            None => hash(&(text, self.version, "no id")),
        };
        if let Some(old) = self.position(id) {
            self.records.remove(old);
        }
        let date = |name: &str| body[name].as_str().map_or(NO_DATE, parse_record_date);
        self.insert(Record {
            id,
            created: date("createdDate"),
            updated: date("updatedDate"),
            index: u32::MAX,
            status: match self.entity {
                Entity::Orders => OrderStatus::from_name(body["status"].as_str().unwrap_or_default()),
                _ => OrderStatus::Other,
            },
            text: Some(text.into()),
        });
    }

    /// Makes a fresh record of the generator, created at this moment, and returns its id.
    pub(crate) fn add(&mut self, now: i64) -> String {
        let index = self.next_index;
        self.next_index += 1;
        let id = self.shape.id(self.entity, index);
        self.insert(Record {
            id,
            created: now,
            updated: now,
            index,
            status: match self.entity {
                Entity::Orders => OrderStatus::Approved,
                _ => OrderStatus::Other,
            },
            text: None,
        });
        id_text(id)
    }

    fn insert(&mut self, record: Record) {
        let at = self.records.partition_point(|other| other.place().cmp(&record.place()) == Ordering::Less);
        self.moved.insert(record.id, record.created);
        self.records.insert(at, record);
        self.version += 1;
    }

    pub(crate) fn remove(&mut self, position: usize) {
        let record = self.records.remove(position);
        self.moved.remove(&record.id);
        self.version += 1;
    }
}

/// The key of an id: the number of a UUID in its usual form, a hash of anything else.
pub(crate) fn id_key(id: &str) -> u128 {
    let usual = id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    if usual && let Ok(number) = u128::from_str_radix(&id.replace('-', ""), 16) {
        return number;
    }
    hash(&id)
}

/// A UUID in its usual form.
pub(crate) fn id_text(id: u128) -> String {
    let hex = format!("{id:032x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn hash(of: &impl std::hash::Hash) -> u128 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let high = hasher.finish();
    1u8.hash(&mut hasher);
    (u128::from(high) << 64) | u128::from(hasher.finish())
}

/// Reads a text with escapes that serde_json refuses, each of them replaced, so that id and dates are known.
fn lenient(text: &str) -> Value {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest[at..].chars().nth(1).unwrap_or(' ');
        let width = if escape == 'u' { 6 } else { 1 + escape.len_utf8() };
        let end = (at + width).min(rest.len());
        let whole = rest.get(at..end).unwrap_or("?");
        out.push_str(if escape == 'u' { "?" } else { whole });
        rest = rest.get(end..).unwrap_or("");
    }
    out.push_str(rest);
    serde_json::from_str(&out).unwrap_or(Value::Null)
}
