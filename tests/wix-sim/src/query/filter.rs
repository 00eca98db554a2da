//! Parses a filter and evaluates it on records. A filter that the endpoint does not support is refused.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fields::{Dialect, Rule, rule};
use super::value::{Field, Scalar, View, scalar};
use crate::clock::parse_instant;
use crate::reply::{Reply, application_error, field_violation};
use crate::state::StatusRule;
use crate::store::OrderStatus;

/// A filter operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    Nin,
    Exists,
    StartsWith,
    HasSome,
    HasAll,
}

impl Op {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "$eq" => Self::Eq,
            "$ne" => Self::Ne,
            "$gt" => Self::Gt,
            "$gte" => Self::Gte,
            "$lt" => Self::Lt,
            "$lte" => Self::Lte,
            "$in" => Self::In,
            "$nin" => Self::Nin,
            "$exists" => Self::Exists,
            "$startsWith" | "$begins" => Self::StartsWith,
            "$hasSome" => Self::HasSome,
            "$hasAll" => Self::HasAll,
            _ => return None,
        })
    }

    fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Nin | Self::HasSome | Self::HasAll)
    }
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Test { field: Field, op: Op, operands: Vec<Scalar> },
}

/// Reads the filter of one request; `null` and a missing filter are the empty one.
pub(crate) fn parse(dialect: Dialect, filter: &Value) -> Result<Expr, Reply> {
    let mut reader = Reader { dialect, seen: HashSet::new() };
    match filter {
        Value::Null => Ok(Expr::All(Vec::new())),
        Value::Object(members) => reader.all("", members),
        _ => Err(malformed(dialect, "the filter is not an object")),
    }
}

struct Reader {
    dialect: Dialect,
    /// Fields that occurred already; bookings ignore all but the first occurrence.
    seen: HashSet<String>,
}

impl Reader {
    fn all(&mut self, prefix: &str, members: &Map<String, Value>) -> Result<Expr, Reply> {
        let parts: Result<Vec<Expr>, Reply> =
            members.iter().map(|(name, value)| self.member(prefix, name, value)).collect();
        Ok(Expr::All(parts?))
    }

    fn member(&mut self, prefix: &str, name: &str, value: &Value) -> Result<Expr, Reply> {
        match name {
            "$and" => Ok(Expr::All(self.list(prefix, value)?)),
            "$or" => Ok(Expr::Any(self.list(prefix, value)?)),
            "$not" => {
                // Wix writes the inner filter alone or as a list of one.
                let inner = match value {
                    Value::Array(_) => Expr::All(self.list(prefix, value)?),
                    Value::Object(members) => self.all(prefix, members)?,
                    _ => return Err(malformed(self.dialect, "$not takes a filter")),
                };
                Ok(Expr::Not(Box::new(inner)))
            }
            _ if name.starts_with('$') => Err(malformed(self.dialect, &format!("unknown operator {name}"))),
            _ if prefix.is_empty() => self.field(name, value),
            _ => self.field(&format!("{prefix}.{name}"), value),
        }
    }

    fn list(&mut self, prefix: &str, value: &Value) -> Result<Vec<Expr>, Reply> {
        let Value::Array(items) = value else {
            return Err(malformed(self.dialect, "a list of filters is needed"));
        };
        items
            .iter()
            .map(|item| match item {
                Value::Object(members) => self.all(prefix, members),
                _ => Err(malformed(self.dialect, "a list of filters is needed")),
            })
            .collect()
    }

    fn field(&mut self, path: &str, value: &Value) -> Result<Expr, Reply> {
        let operators = match value {
            Value::Object(members) if members.keys().any(|key| key.starts_with('$')) => members,
            Value::Object(members) if !members.is_empty() && rule(self.dialect, path).is_none() => {
                return self.all(path, members);
            }
            bare => &Map::from_iter([("$eq".to_owned(), bare.clone())]),
        };
        let Some(rule) = rule(self.dialect, path) else {
            return Err(unknown_field(self.dialect, path));
        };
        if !self.seen.insert(path.to_owned()) && self.dialect == Dialect::Bookings {
            return Ok(Expr::All(Vec::new()));
        }
        let tests: Result<Vec<Expr>, Reply> =
            operators.iter().map(|(name, operand)| self.test(path, rule, name, operand)).collect();
        Ok(Expr::All(tests?))
    }

    fn test(&self, path: &str, rule: Rule, name: &str, operand: &Value) -> Result<Expr, Reply> {
        if name == "$not" {
            let Value::Object(members) = operand else {
                return Err(malformed(self.dialect, "$not takes a condition"));
            };
            let inner: Result<Vec<Expr>, Reply> =
                members.iter().map(|(name, operand)| self.test(path, rule, name, operand)).collect();
            return Ok(Expr::Not(Box::new(Expr::All(inner?))));
        }
        let op = Op::from_name(name)
            .filter(|op| rule.ops.contains(op))
            .ok_or_else(|| unsupported_operator(self.dialect, path, name))?;
        let operands = match operand {
            Value::Array(items) if op.takes_list() => {
                items.iter().map(|item| self.operand(path, rule, item)).collect::<Result<_, _>>()?
            }
            _ if op.takes_list() => {
                return Err(wrong_type(self.dialect, path, "a list is needed"));
            }
            Value::Bool(wanted) if op == Op::Exists => vec![Scalar::Bool(*wanted)],
            _ if op == Op::Exists => {
                return Err(wrong_type(self.dialect, path, "true or false is needed"));
            }
            Value::Array(_) | Value::Object(_) => {
                return Err(wrong_type(self.dialect, path, "a single value is needed"));
            }
            single => vec![self.operand(path, rule, single)?],
        };
        Ok(Expr::Test { field: Field::new(self.dialect, path, rule.is_date), op, operands })
    }

    fn operand(&self, path: &str, rule: Rule, value: &Value) -> Result<Scalar, Reply> {
        if !rule.is_date || value.is_null() {
            return Ok(scalar(value, false, path.ends_with(".amount")));
        }
        let Value::String(text) = value else {
            return Err(wrong_type(self.dialect, path, "a date as text is needed"));
        };
        // Bookings take dates in UTC only.
        let refused = self.dialect == Dialect::Bookings && !text.ends_with('Z');
        match parse_instant(text) {
            Some(at) if !refused => Ok(Scalar::Instant(at)),
            _ => Err(wrong_value(self.dialect, path, text)),
        }
    }
}

impl Expr {
    /// True if the record passes.
    pub(crate) fn matches(&self, view: &View) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(view)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(view)),
            Self::Not(inner) => !inner.matches(view),
            Self::Test { field, op, operands } => match (field, operands.as_slice()) {
                (Field::Created, [single]) => test(*op, &[Scalar::instant(view.record().created)], single),
                (Field::Updated, [single]) => test(*op, &[Scalar::instant(view.record().updated)], single),
                (Field::Status, list) if *op == Op::In => match view.record().status.name() {
                    Some(name) => list.iter().any(|one| matches!(one, Scalar::Text(text) if text == name)),
                    None => test_list(*op, &view.values(field), list),
                },
                (_, [single]) if !op.takes_list() => test(*op, &view.values(field), single),
                (_, list) => test_list(*op, &view.values(field), list),
            },
        }
    }

    /// The order statuses that the filter names, which are not hidden then.
    pub(crate) fn named_statuses(&self, named: &mut Vec<String>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.named_statuses(named));
            }
            Self::Not(_) => {}
            Self::Test { field: Field::Status, op: Op::Eq | Op::In, operands } => {
                named.extend(operands.iter().filter_map(|operand| match operand {
                    Scalar::Text(text) => Some(text.clone()),
                    _ => None,
                }))
            }
            Self::Test { .. } => {}
        }
    }

    /// Whether it has any condition for the status.
    fn has_status(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_status),
            Self::Not(part) => part.has_status(),
            Self::Test { field, .. } => *field == Field::Status,
        }
    }

    /// True if every record passes.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::All(parts) if parts.iter().all(Self::is_everything))
    }
}

/// The statuses that search leaves out with this filter.
pub(crate) fn hidden_statuses(filter: &Expr, rule: StatusRule) -> Vec<OrderStatus> {
    if rule == StatusRule::AnyCondition && filter.has_status() {
        return vec![OrderStatus::Initialized];
    }
    let mut named = Vec::new();
    filter.named_statuses(&mut named);
    [OrderStatus::Pending, OrderStatus::Rejected]
        .into_iter()
        .filter(|status| !named.iter().any(|name| status.name() == Some(name)))
        .chain([OrderStatus::Initialized])
        .collect()
}

fn test(op: Op, values: &[Scalar], operand: &Scalar) -> bool {
    let any = |wanted: fn(Ordering) -> bool| values.iter().any(|value| value.compare(operand).is_some_and(wanted));
    let equal = || match operand {
        Scalar::Missing => values.iter().all(|value| *value == Scalar::Missing),
        _ => any(Ordering::is_eq),
    };
    match op {
        Op::Eq => equal(),
        Op::Ne => !equal(),
        Op::Gt => any(Ordering::is_gt),
        Op::Gte => any(Ordering::is_ge),
        Op::Lt => any(Ordering::is_lt),
        Op::Lte => any(Ordering::is_le),
        Op::Exists => {
            let exists = values.iter().any(|value| *value != Scalar::Missing);
            *operand == Scalar::Bool(exists)
        }
        Op::StartsWith => values.iter().any(|value| match (value, operand) {
            (Scalar::Text(text), Scalar::Text(start)) => text.starts_with(start),
            _ => false,
        }),
        Op::In | Op::Nin | Op::HasSome | Op::HasAll => test_list(op, values, std::slice::from_ref(operand)),
    }
}

fn test_list(op: Op, values: &[Scalar], operands: &[Scalar]) -> bool {
    let has = |operand: &Scalar| test(Op::Eq, values, operand);
    match op {
        Op::Nin => !operands.iter().any(has),
        Op::HasAll => operands.iter().all(has),
        _ => operands.iter().any(has),
    }
}

fn malformed(dialect: Dialect, what: &str) -> Reply {
    match dialect {
        Dialect::ContactsV4 => application_error(400, "MALFORMED_FILTER", what),
        _ => field_violation("filter", what),
    }
}

fn unknown_field(dialect: Dialect, path: &str) -> Reply {
    match dialect {
        Dialect::ContactsV4 => application_error(400, "UNSUPPORTED_FILTER_FIELD_UNKNOWN", path),
        _ => field_violation("value", &format!("Field '{path}' is not declared as filterable")),
    }
}

fn unsupported_operator(dialect: Dialect, path: &str, name: &str) -> Reply {
    let what = format!("{path}: {name}");
    match dialect {
        Dialect::ContactsV4 => application_error(400, "UNSUPPORTED_FILTER_OPERATOR", &what),
        _ => field_violation("value", &format!("Operator {name} is not supported on field '{path}'")),
    }
}

fn wrong_type(dialect: Dialect, path: &str, what: &str) -> Reply {
    let what = format!("{path}: {what}");
    match dialect {
        Dialect::ContactsV4 => application_error(400, "UNSUPPORTED_FILTER_VALUE_TYPE", &what),
        _ => field_violation("value", &what),
    }
}

fn wrong_value(dialect: Dialect, path: &str, text: &str) -> Reply {
    let what = format!("{path}: '{text}' is not a date in UTC");
    match dialect {
        Dialect::ContactsV4 => application_error(400, "UNSUPPORTED_FILTER_VALUE", &what),
        _ => field_violation("value", &what),
    }
}
