//! One page of a list: its records and its cursors.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Ask;
use crate::clock::NO_DATE;
use crate::fault::Tweaks;
use crate::query::cursor::{Cursor, Place};
use crate::query::fields::Dialect;
use crate::query::select::{Plan, shuffled, span, unsupported_sort};
use crate::reply::{Reply, application_error, bad_cursor, cursor_with_filter, field_violation, limit_too_high};
use crate::site::Entity;
use crate::state::{CursorStyle, State, TieOrder};
use crate::store::Table;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) dialect: Dialect,
    pub(super) filter: Value,
    pub(super) sort: Value,
    pub(super) limit: usize,
    /// The limit of the page that the cursor came with.
    cursor_limit: Option<usize>,
    pub(super) place: Place,
    /// Whether the response has cursors instead of an offset.
    pub(super) by_cursor: bool,
}

/// The page that it returns.
#[derive(Debug)]
pub(super) struct Page {
    /// Positions in the table.
    pub(super) positions: Vec<usize>,
    /// Index of the first record in the selection.
    pub(super) start: usize,
    pub(super) total: usize,
    pub(super) next: Option<String>,
    pub(super) prev: Option<String>,
}

/// Maximum records of a page of the cursor endpoints.
pub(super) const MOST_BY_CURSOR: usize = 100;
/// Maximum contacts (v4) per page, and their number without a limit.
const MOST_CONTACTS: usize = 1000;
const DEFAULT_LIMIT: usize = 50;

impl Walk {
    /// Reads the query object of a request; `name` is its name in error messages.
    pub(super) fn new(dialect: Dialect, query: &Value, name: &str, generation: u64) -> Result<Self, Reply> {
        match query {
            Value::Null | Value::Object(_) => {}
            _ => return Err(field_violation(name, "must be an object")),
        }
        let usual = match dialect {
            Dialect::Orders => MOST_BY_CURSOR,
            _ => DEFAULT_LIMIT,
        };
        let walk = |limit, place, by_cursor| Self {
            dialect,
            filter: query["filter"].clone(),
            sort: query["sort"].clone(),
            limit,
            cursor_limit: None,
            place,
            by_cursor,
        };
        let paging = &query["paging"];
        let by_offset = match dialect {
            Dialect::ContactsV4 => true,
            Dialect::Bookings => paging.is_object() && query["cursorPaging"].is_null(),
            Dialect::ContactsV5 | Dialect::Orders => false,
        };
        if by_offset {
            let most = match dialect {
                Dialect::ContactsV4 => MOST_CONTACTS,
                _ => MOST_BY_CURSOR,
            };
            let field = format!("{name}.paging");
            let limit = limit(dialect, &paging["limit"], usual, most, &field)?;
            let offset = whole(&paging["offset"], &format!("{field}.offset"))?.unwrap_or(0);
            return Ok(walk(limit, Place::Offset(offset), false));
        }
        let paging = &query["cursorPaging"];
        let field = format!("{name}.cursorPaging");
        let cursor = match &paging["cursor"] {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text),
            _ => return Err(bad_cursor()),
        };
        let Some(cursor) = cursor else {
            let limit = limit(dialect, &paging["limit"], usual, MOST_BY_CURSOR, &field)?;
            return Ok(walk(limit, Place::Offset(0), true));
        };
        if !query["filter"].is_null() || !query["sort"].is_null() {
            return Err(cursor_with_filter());
        }
        let cursor = Cursor::decode(cursor, dialect, generation).ok_or_else(bad_cursor)?;
        Ok(Self {
            dialect,
            limit: limit(dialect, &paging["limit"], cursor.limit, MOST_BY_CURSOR, &field)?,
            cursor_limit: Some(cursor.limit),
            filter: cursor.filter,
            sort: cursor.sort,
            place: cursor.place,
            by_cursor: true,
        })
    }

    fn entity(&self) -> Entity {
        match self.dialect {
            Dialect::ContactsV4 | Dialect::ContactsV5 => Entity::Contacts,
            Dialect::Bookings => Entity::Bookings,
            Dialect::Orders => Entity::Orders,
        }
    }

    /// Number of records that match the filter.
    pub(super) fn count(&self, state: &mut State) -> Result<usize, Reply> {
        let plan = Plan::new(self.dialect, &self.filter, &self.sort)?;
        let (table, selections) = match self.entity() {
            Entity::Contacts => (&state.contacts, &mut state.selections),
            Entity::Bookings => (&state.bookings, &mut state.selections),
            Entity::Orders => (&state.orders, &mut state.selections),
        };
        Ok(selections.select(table, &plan).len())
    }

    fn sort_of(&self, tweaks: &Tweaks) -> Value {
        match tweaks.newest_first && !self.sort.is_null() {
            true => json!([{"fieldName": "createdDate", "order": "DESC"}]),
            false => self.sort.clone(),
        }
    }

    /// The page at this position, changed by the tweaks.
    pub(super) fn page(&self, state: &mut State, ask: &Ask) -> Result<Page, Reply> {
        let tweaks = &ask.tweaks;
        if tweaks.refuse_sort && !self.sort.is_null() {
            let field = self.sort[0]["fieldName"].as_str().unwrap_or("sort");
            return Err(unsupported_sort(self.dialect, field));
        }
        if tweaks.expire_cursor && ask.request.cursor().is_some() {
            return Err(bad_cursor());
        }
        if let (Some(most), Place::Offset(offset)) = (tweaks.most_offset, &self.place)
            && *offset > most
        {
            return Err(field_violation("paging.offset", &format!("must be at most {most}")));
        }
        let mut filter = self.filter.clone();
        if let (Some(field), Some(conditions)) = (tweaks.ignored_filter, filter.as_object_mut()) {
            conditions.remove(field);
        }
        let plan =
            Plan::new(self.dialect, &filter, &self.sort_of(tweaks))?.with_status_rule(ask.options.status_rule)?;
        let generation = state.generation;
        let (table, selections) = match self.entity() {
            Entity::Contacts => (&state.contacts, &mut state.selections),
            Entity::Bookings => (&state.bookings, &mut state.selections),
            Entity::Orders => (&state.orders, &mut state.selections),
        };
        let order = selections.select(table, &plan);
        let total = order.len().saturating_add_signed(tweaks.total_off_by as isize);
        let order = bent(table, &order, tweaks);
        let is_other = self.cursor_limit.is_some_and(|limit| limit != self.limit);
        if tweaks.refuse_other_limit && is_other {
            return Err(bad_cursor());
        }
        let limit = self.cursor_limit.filter(|_| tweaks.keep_cursor_limit).unwrap_or(self.limit);
        let most = tweaks.short.unwrap_or(usize::MAX).min(limit);
        let (mut start, mut end) = span(table, &plan, &order, &self.place, most);
        if tweaks.repeat {
            end = start;
            start = start.saturating_sub(limit);
            if start == end {
                // There is no page before the first: the first one is returned again.
                end = start.saturating_add(most).min(order.len());
            }
        }
        if tweaks.empty {
            end = start;
        }
        let unstable = ask.options.tie_order == TieOrder::Unstable
            && (!self.by_cursor || ask.options.cursor_style == CursorStyle::Offset);
        let positions = (start..end)
            .map(|index| {
                let index = if unstable { shuffled(table, &plan, &order, index, ask.serial) } else { index };
                order[index] as usize
            })
            .collect::<Vec<usize>>();
        if positions.iter().any(|position| state.poisoned.contains(&table.records[*position].id)) {
            return Err(Reply::empty(500));
        }
        let cursor = |place: Place, nonce: u64| {
            Cursor {
                dialect: self.dialect,
                filter: self.filter.clone(),
                sort: self.sort.clone(),
                limit,
                place,
                generation,
                nonce,
            }
            .encode()
        };
        let key = |index: usize| {
            let position = order[index] as usize;
            (plan.key(table, position), table.records[position].id)
        };
        let keyset = ask.options.cursor_style == CursorStyle::Keyset;
        let mut page = Page { positions, start, total, next: None, prev: None };
        if !self.by_cursor {
            return Ok(page);
        }
        if tweaks.empty {
            // The same position again, in a cursor that looks new.
            page.next = Some(cursor(self.place.clone(), ask.serial));
        } else if end < order.len() && end > start {
            let place = if keyset {
                let (key, id) = key(end - 1);
                Place::After(key, id)
            } else {
                Place::Offset(end)
            };
            page.next = Some(cursor(place, if tweaks.endless { ask.serial } else { 0 }));
        } else if tweaks.endless {
            page.next = Some(cursor(Place::Offset(0), ask.serial));
        }
        if start > 0 && end > start {
            let place = if keyset {
                let (key, id) = key(start);
                Place::Before(key, id)
            } else {
                Place::Offset(start.saturating_sub(limit))
            };
            page.prev = Some(cursor(place, 0));
        }
        Ok(page)
    }
}

/// The selected records as a faulty server returns them.
fn bent(table: &Table, order: &Arc<Vec<u32>>, tweaks: &Tweaks) -> Arc<Vec<u32>> {
    if tweaks.most_records.is_none() && !tweaks.undated_last {
        return Arc::clone(order);
    }
    let most = tweaks.most_records.unwrap_or(usize::MAX);
    let mut bent: Vec<u32> = order.iter().copied().filter(|position| (*position as usize) < most).collect();
    if tweaks.undated_last {
        let undated = bent.iter().take_while(|position| table.records[**position as usize].created == NO_DATE).count();
        bent.rotate_left(undated);
    }
    Arc::new(bent)
}

impl Page {
    /// Adds the total to the metadata of a cursor list, if the fault requires it.
    pub(super) fn add_total(&self, metadata: &mut Value, tweaks: &Tweaks) {
        if tweaks.states_total {
            metadata["total"] = json!(self.total);
        }
    }

    /// `"cursors":{…}` of the metadata.
    pub(super) fn cursors(&self) -> Value {
        let mut cursors = json!({});
        if let Some(next) = &self.next {
            cursors["next"] = json!(next);
        }
        if let Some(prev) = &self.prev {
            cursors["prev"] = json!(prev);
        }
        cursors
    }

    /// `{count, offset, total, tooManyToCount}`.
    pub(super) fn offset_metadata(&self, walk: &Walk, without_total: bool) -> Value {
        let offset = match walk.place {
            Place::Offset(offset) => offset,
            Place::After(..) | Place::Before(..) => self.start,
        };
        let mut metadata = json!({
            "count": self.positions.len(), "offset": offset, "tooManyToCount": without_total,
        });
        if !without_total {
            metadata["total"] = json!(self.total);
        }
        metadata
    }
}

/// A whole number that is not negative; `None` if it is absent.
fn whole(value: &Value, field: &str) -> Result<Option<usize>, Reply> {
    match value {
        Value::Null => Ok(None),
        _ => match value.as_u64() {
            Some(number) => Ok(Some(usize::try_from(number).unwrap_or(usize::MAX))),
            None => Err(field_violation(field, "must be a whole number of 0 or more")),
        },
    }
}

fn limit(dialect: Dialect, value: &Value, usual: usize, most: usize, field: &str) -> Result<usize, Reply> {
    let field = format!("{field}.limit");
    match whole(value, &field)? {
        None => Ok(usual),
        // With cursors, an empty page would never end: 0 counts as not set.
        Some(0) if dialect != Dialect::ContactsV4 => Ok(usual),
        Some(limit) if limit <= most => Ok(limit),
        Some(_) if dialect == Dialect::ContactsV4 => {
            let what = format!("limit must be at most {most}");
            Err(application_error(400, "ILLEGAL_LIMIT", &what))
        }
        Some(_) => Err(limit_too_high(&field, most)),
    }
}
