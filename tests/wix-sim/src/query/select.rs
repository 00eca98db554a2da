//! The records that a filter selects, in the order of a sort.
//!
//! A selection is computed once for each version of the data and kept, so that a page costs the same anywhere in the
//! walk.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::cursor::Place;
use super::fields::{Dialect, Sortable, rule};
use super::filter::{self, Expr, hidden_statuses};
use super::value::{Field, Scalar, View};
use crate::reply::{Reply, application_error, field_violation};
use crate::state::StatusRule;
use crate::store::Table;

/// How many selections are kept: enough for a sync and a few tests at the same time.
const KEPT_SELECTIONS: usize = 12;
/// Maximum entries of a sort at the search endpoints.
const MOST_SORTS: usize = 4;

/// One entry of a sort.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortKey {
    field: Field,
    descending: bool,
}

/// A filter and a sort, parsed and checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    dialect: Dialect,
    filter: Expr,
    sort: Vec<SortKey>,
    name: String,
    status_rule: StatusRule,
}

impl Plan {
    /// Reads filter and sort of the request; without a sort, the endpoint's own is used.
    pub(crate) fn new(dialect: Dialect, filter: &Value, sort: &Value) -> Result<Self, Reply> {
        Ok(Self {
            dialect,
            filter: filter::parse(dialect, filter)?,
            sort: parse_sort(dialect, sort)?,
            name: format!("{dialect:?} {filter} {sort}"),
            status_rule: StatusRule::default(),
        })
    }

    /// Like this plan, with another status rule.
    pub(crate) fn with_status_rule(self, status_rule: StatusRule) -> Result<Self, Reply> {
        if status_rule == StatusRule::NoExclusion && self.name.contains("$nin") {
            return Err(field_violation("filter", "$nin is not supported for status"));
        }
        Ok(Self { status_rule, ..self })
    }

    fn by_creation(&self) -> bool {
        matches!(self.sort.as_slice(), [only] if only.field == Field::Created && !only.descending)
    }

    /// The values a record is sorted by.
    pub(crate) fn key(&self, table: &Table, position: usize) -> Vec<Scalar> {
        let view = View::new(table, position);
        self.sort.iter().map(|key| view.first(&key.field)).collect()
    }

    fn order(&self, left: (&[Scalar], u128), right: (&[Scalar], u128)) -> Ordering {
        self.order_keys(left.0, right.0).then_with(|| left.1.cmp(&right.1))
    }

    fn order_keys(&self, left: &[Scalar], right: &[Scalar]) -> Ordering {
        for ((key, left), right) in self.sort.iter().zip(left).zip(right) {
            let order = left.order(right);
            if order != Ordering::Equal {
                return if key.descending { order.reverse() } else { order };
            }
        }
        Ordering::Equal
    }

    fn select(&self, table: &Table) -> Vec<u32> {
        let hidden = match self.dialect {
            Dialect::Orders => hidden_statuses(&self.filter, self.status_rule),
            _ => Vec::new(),
        };
        let everything = self.filter.is_everything();
        let chosen = (0..table.records.len()).filter(|position| {
            !hidden.contains(&table.records[*position].status)
                && (everything || self.filter.matches(&View::new(table, *position)))
        });
        if self.by_creation() {
            return chosen.map(|position| position as u32).collect();
        }
        let mut keyed: Vec<(Vec<Scalar>, u32)> =
            chosen.map(|position| (self.key(table, position), position as u32)).collect();
        keyed.sort_unstable_by(|left, right| {
            let id = |position: u32| table.records[position as usize].id;
            self.order((&left.0, id(left.1)), (&right.0, id(right.1)))
        });
        keyed.into_iter().map(|(_, position)| position).collect()
    }
}

fn parse_sort(dialect: Dialect, sort: &Value) -> Result<Vec<SortKey>, Reply> {
    let entries = match sort {
        Value::Null => &[],
        Value::Array(entries) => entries.as_slice(),
        _ => return Err(field_violation("sort", "must be a list")),
    };
    let most = match dialect {
        Dialect::ContactsV4 | Dialect::ContactsV5 => 1,
        Dialect::Bookings | Dialect::Orders => MOST_SORTS,
    };
    if entries.len() > most {
        let what = format!("must have at most {most} items");
        return Err(field_violation("sort", &what));
    }
    if entries.is_empty() {
        let (path, descending) = match dialect {
            Dialect::ContactsV4 => ("createdDate", false),
            Dialect::Bookings => ("id", false),
            Dialect::ContactsV5 | Dialect::Orders => ("createdDate", true),
        };
        return Ok(vec![SortKey { field: Field::new(dialect, path, true), descending }]);
    }
    entries.iter().map(|entry| parse_sort_entry(dialect, entry)).collect()
}

fn parse_sort_entry(dialect: Dialect, entry: &Value) -> Result<SortKey, Reply> {
    let Some(path) = entry["fieldName"].as_str() else {
        return Err(field_violation("sort.fieldName", "must not be empty"));
    };
    let descending = match &entry["order"] {
        Value::Null => false,
        Value::String(order) if order == "ASC" => false,
        Value::String(order) if order == "DESC" => true,
        _ => return Err(field_violation("sort.order", "must be ASC or DESC")),
    };
    let allowed = rule(dialect, path).filter(|rule| match rule.sort {
        Sortable::No => false,
        Sortable::Ascending => !descending,
        Sortable::Both => true,
    });
    match allowed {
        Some(rule) => Ok(SortKey { field: Field::new(dialect, path, rule.is_date), descending }),
        None => Err(unsupported_sort(dialect, path)),
    }
}

/// The refusal of a sort.
pub(crate) fn unsupported_sort(dialect: Dialect, path: &str) -> Reply {
    match dialect {
        Dialect::ContactsV4 => application_error(400, "UNSUPPORTED_SORT_FIELD", path),
        _ => field_violation("sort.fieldName", &format!("Field '{path}' is not declared as sortable")),
    }
}

/// The selections computed last.
#[derive(Debug, Default)]
pub(crate) struct Selections {
    kept: VecDeque<(String, u64, Arc<Vec<u32>>)>,
}

impl Selections {
    /// The positions the plan selects, in its order.
    pub(crate) fn select(&mut self, table: &Table, plan: &Plan) -> Arc<Vec<u32>> {
        let found = self.kept.iter().find(|(name, version, _)| *version == table.version && *name == plan.name);
        if let Some((_, _, order)) = found {
            return Arc::clone(order);
        }
        let order = Arc::new(plan.select(table));
        self.kept.retain(|(name, _, _)| *name != plan.name);
        self.kept.truncate(KEPT_SELECTIONS - 1);
        let entry = (plan.name.clone(), table.version, Arc::clone(&order));
        self.kept.push_front(entry);
        order
    }
}

/// The first and one past the last index of the page at `place`.
pub(crate) fn span(table: &Table, plan: &Plan, order: &[u32], place: &Place, limit: usize) -> (usize, usize) {
    let compare = |position: &u32, key: &[Scalar], id: u128| {
        let own = plan.key(table, *position as usize);
        plan.order((&own, table.records[*position as usize].id), (key, id))
    };
    match place {
        Place::Offset(offset) => {
            let start = (*offset).min(order.len());
            (start, start.saturating_add(limit).min(order.len()))
        }
        Place::After(key, id) => {
            let start = order.partition_point(|at| compare(at, key, *id) != Ordering::Greater);
            (start, (start + limit).min(order.len()))
        }
        Place::Before(key, id) => {
            let end = order.partition_point(|at| compare(at, key, *id) == Ordering::Less);
            (end.saturating_sub(limit), end)
        }
    }
}

/// The index whose record is at `index` in this request, if ties come in another order each time: within a group of
/// equal sort values the indexes are rotated and stepped through.
pub(crate) fn shuffled(table: &Table, plan: &Plan, order: &[u32], index: usize, serial: u64) -> usize {
    let key = plan.key(table, order[index] as usize);
    let against = |at: &u32| plan.order_keys(&plan.key(table, *at as usize), &key);
    let next_ties = order.get(index + 1).is_some_and(|at| against(at).is_eq());
    let last_ties = index > 0 && against(&order[index - 1]).is_eq();
    if !next_ties && !last_ties {
        return index;
    }
    let first = order.partition_point(|at| against(at).is_lt());
    let size = order.partition_point(|at| against(at).is_le()) - first;
    let mixed = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let mut step = (mixed as usize % size.max(1)) | 1;
    while gcd(step, size) != 1 {
        step += 2;
    }
    let turn = (mixed >> 7) as usize % size;
    first + ((index - first) * step + turn) % size
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
