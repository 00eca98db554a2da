//! Single values of records: reading them by path, and comparing them.

use std::cell::OnceCell;
use std::cmp::Ordering;

use serde_json::Value;

use super::fields::Dialect;
use crate::clock::{NO_DATE, parse_record_date};
use crate::site::Entity;
use crate::store::{Record, Table, id_text};

/// A field that a filter or sort names, resolved to where its value is found quickest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field {
    Created,
    Updated,
    /// Of an order.
    Status,
    /// Anything that must be read from the JSON: its place there, and whether it is a date.
    Path {
        steps: Vec<String>,
        is_date: bool,
    },
}

impl Field {
    pub(crate) fn new(dialect: Dialect, path: &str, is_date: bool) -> Self {
        match (dialect, path) {
            (_, "createdDate") => Self::Created,
            (_, "updatedDate") => Self::Updated,
            (Dialect::Orders, "status") => Self::Status,
            _ => Self::Path { steps: steps(dialect, path), is_date },
        }
    }
}

/// Extended fields have dots in their keys; everything else is split at every dot.
fn steps(dialect: Dialect, path: &str) -> Vec<String> {
    if let Some(key) = path.strip_prefix("info.extendedFields.") {
        let key = key.strip_prefix("items.").unwrap_or(key);
        return ["info", "extendedFields", "items", key].map(str::to_owned).into();
    }
    let parts = path.split('.').map(str::to_owned);
    match dialect {
        // `.item.` occurs in filter paths only.
        Dialect::Bookings => parts.filter(|part| part != "item").collect(),
        Dialect::ContactsV5 => match path {
            "email.email" => ["primaryInfo", "email"].map(str::to_owned).into(),
            "phone.phone" => ["primaryInfo", "phone"].map(str::to_owned).into(),
            _ => parts.collect(),
        },
        Dialect::ContactsV4 if path.starts_with("info.addresses.") => {
            let name = path.rsplit('.').next().unwrap_or_default();
            ["info", "addresses", "address", name].map(str::to_owned).into()
        }
        _ => parts.collect(),
    }
}

/// One value out of a record or a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Missing,
    Bool(bool),
    Instant(i64),
    Number(f64),
    Text(String),
}

impl Scalar {
    fn rank(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Bool(_) => 1,
            Self::Instant(_) => 2,
            Self::Number(_) => 3,
            Self::Text(_) => 4,
        }
    }

    /// A total order, for sorting.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// The order of two values of one kind; `None` if they cannot be compared.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        (self.rank() == other.rank() && self.rank() > 0).then(|| self.order(other))
    }

    pub(crate) fn instant(at: i64) -> Self {
        if at == NO_DATE { Self::Missing } else { Self::Instant(at) }
    }
}

/// A record whose JSON is read at most once, and only if needed.
pub(crate) struct View<'a> {
    table: &'a Table,
    position: usize,
    value: OnceCell<Value>,
}

impl<'a> View<'a> {
    pub(crate) fn new(table: &'a Table, position: usize) -> Self {
        Self { table, position, value: OnceCell::new() }
    }

    pub(crate) fn record(&self) -> &'a Record {
        &self.table.records[self.position]
    }

    /// Every value the field has: several if it runs through a list.
    pub(crate) fn values(&self, field: &Field) -> Vec<Scalar> {
        let record = self.record();
        match field {
            Field::Created => vec![Scalar::instant(record.created)],
            Field::Updated => vec![Scalar::instant(record.updated)],
            Field::Status => match record.status.name() {
                Some(name) => vec![Scalar::Text(name.to_owned())],
                None => self.read(&["status".to_owned()], false),
            },
            Field::Path { steps, .. } if steps.len() == 1 && steps[0] == "id" => {
                if record.text.is_none() {
                    vec![Scalar::Text(id_text(record.id))]
                } else {
                    self.read(steps, false)
                }
            }
            Field::Path { steps, is_date } => self.read(steps, *is_date),
        }
    }

    /// The one value to sort by.
    pub(crate) fn first(&self, field: &Field) -> Scalar {
        match field {
            Field::Created => Scalar::instant(self.record().created),
            Field::Updated => Scalar::instant(self.record().updated),
            _ => self.values(field).into_iter().next().unwrap_or(Scalar::Missing),
        }
    }

    fn read(&self, steps: &[String], is_date: bool) -> Vec<Scalar> {
        let value = self.value.get_or_init(|| self.table.value(self.position));
        let root = match self.table.entity {
            Entity::Bookings => &value["booking"],
            _ => value,
        };
        // Amounts are decimal strings that sort as numbers.
        let is_amount = steps.last().is_some_and(|step| step == "amount");
        let mut found = Vec::new();
        descend(root, steps, &mut |leaf| {
            found.push(scalar(leaf, is_date, is_amount));
        });
        found.retain(|value| *value != Scalar::Missing);
        found
    }
}

fn descend(value: &Value, steps: &[String], found: &mut dyn FnMut(&Value)) {
    if let Value::Array(items) = value {
        return items.iter().for_each(|item| descend(item, steps, found));
    }
    let Some((step, rest)) = steps.split_first() else {
        if let Some(items) = value.get("items") {
            return descend(items, steps, found);
        }
        return found(value);
    };
    match (value.get(step), value.get("items")) {
        (Some(inner), _) => descend(inner, rest, found),
        // Filter paths leave `.items` out.
        (None, Some(items)) => descend(items, steps, found),
        (None, None) => {}
    }
}

/// Turns one JSON value into what it is compared as.
pub(crate) fn scalar(value: &Value, is_date: bool, is_amount: bool) -> Scalar {
    match value {
        Value::Bool(flag) => Scalar::Bool(*flag),
        Value::Number(number) => Scalar::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) if is_date => Scalar::instant(parse_record_date(text)),
        Value::String(text) if is_amount => match text.parse() {
            Ok(number) => Scalar::Number(number),
            Err(_) => Scalar::Text(text.clone()),
        },
        Value::String(text) => Scalar::Text(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => Scalar::Missing,
    }
}
