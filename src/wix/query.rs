//! Builds the JSON of requests.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::page::PageRequest;
use crate::table::listing::{Listing, Paging, Statuses};
use crate::table::timestamp;

impl Statuses {
    /// Condition that matches the known statuses and these.
    pub fn named(&self, found: &[String]) -> Value {
        let found = found.iter().map(String::as_str);
        json!({ "$in": self.known.iter().copied().chain(found).collect::<Vec<_>>() })
    }

    /// Condition that matches all statuses except these and those that are never returned.
    pub fn excluding<'a>(&self, excluded: impl IntoIterator<Item = &'a str>) -> Value {
        json!({ "$nin": excluded.into_iter().chain(self.never.iter().copied()).collect::<Vec<_>>() })
    }
}

/// Maximum ids per request: the page limit of the Wix list with the smallest pages.
pub const MAX_IDS: usize = 100;

/// Conditions for records of a list, in addition to the list's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Fields of Wix's filter object.
    pub filter: Map<String, Value>,
    /// Condition for the status, which replaces the known statuses.
    pub status: Option<Value>,
    /// True if Wix refuses to sort the list: then the order is Wix's default.
    pub unsorted: bool,
    /// Maximum records per page, if smaller than the list's own limit.
    pub limit: Option<u32>,
}

impl Selection {
    /// Records whose `field` is at or after `from` and before `until`; either side may be open.
    pub fn between(field: &str, from: Option<DateTime<Utc>>, until: Option<Until>) -> Selection {
        let mut bounds = Map::new();
        if let Some(from) = from {
            bounds.insert("$gte".to_owned(), json!(timestamp::render(from)));
        }
        match until {
            Some(Until::Including(end)) => bounds.insert("$lte".to_owned(), json!(timestamp::render(end))),
            Some(Until::Before(end)) => bounds.insert("$lt".to_owned(), json!(timestamp::render(end))),
            None => None,
        };
        let mut filter = Map::new();
        if !bounds.is_empty() {
            // Both bounds are in one object: according to an older documentation page of Wix, a field may appear only
            // once (wix-api.md 3.2).
            filter.insert(field.to_owned(), Value::Object(bounds));
        }
        Selection { filter, ..Selection::default() }
    }

    /// Adds a condition for `field`.
    pub fn with_bound(mut self, field: &str, operator: &str, at: DateTime<Utc>) -> Selection {
        let bounds = self.filter.entry(field).or_insert_with(|| json!({}));
        bounds[operator] = json!(timestamp::render(at));
        self
    }

    /// Adds a condition for the status.
    pub fn with_status(self, status: Value) -> Selection {
        Selection { status: Some(status), ..self }
    }

    /// Limits pages to this many records.
    pub fn with_limit(self, limit: u32) -> Selection {
        Selection { limit: Some(limit), ..self }
    }
}

/// An upper bound of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The range includes this instant.
    Including(DateTime<Utc>),
    /// The range ends before this instant.
    Before(DateTime<Utc>),
}

impl Listing {
    /// The body of a request. Sorted by `createdDate`, which never changes, so an edit during pagination does not move
    /// records. A cursor is sent alone: Wix refuses filter and sort with it (wix-api.md 4.1).
    pub fn request_body(&self, selection: &Selection, request: &PageRequest) -> Value {
        let limit = selection.limit.unwrap_or(self.page_limit);
        let query = match request {
            PageRequest::Cursor(cursor) => json!({ "cursorPaging": { "limit": limit, "cursor": cursor } }),
            PageRequest::Window { created_from, offset } => {
                let selection = match created_from {
                    Some(from) => &selection.clone().with_bound("createdDate", "$gte", *from),
                    None => selection,
                };
                let mut filter = selection.filter.clone();
                if let Some(statuses) = &self.statuses {
                    let status = selection.status.clone().unwrap_or_else(|| statuses.named(&[]));
                    filter.insert("status".to_owned(), status);
                }
                let mut query = json!({ "filter": filter });
                if !selection.unsorted {
                    query["sort"] = json!([{ "fieldName": "createdDate", "order": "ASC" }]);
                }
                match self.paging {
                    Paging::Offset => query["paging"] = json!({ "limit": limit, "offset": offset }),
                    Paging::Cursor => query["cursorPaging"] = json!({ "limit": limit }),
                }
                if !self.fieldsets.is_empty() {
                    query["fieldsets"] = json!(self.fieldsets);
                }
                query
            }
        };
        json!({ self.envelope: query })
    }

    /// The body of a list request for one record by id, without a sort.
    pub fn lookup_body(&self, wix_id: &str) -> Value {
        self.id_body(json!(wix_id), 1)
    }

    /// The body of a list request for records by id, at most [`MAX_IDS`].
    pub fn lookup_all_body(&self, wix_ids: &[&str]) -> Value {
        self.id_body(json!({ "$in": wix_ids }), u32::try_from(wix_ids.len()).unwrap_or(MAX_IDS as u32))
    }

    fn id_body(&self, condition: Value, limit: u32) -> Value {
        let filter = Map::from_iter([("id".to_owned(), condition)]);
        let selection = Selection { filter, unsorted: true, limit: Some(limit), ..Selection::default() };
        self.request_body(&selection, &PageRequest::default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Selection, Until};
    use crate::table::timestamp;
    use crate::wix::page::PageRequest;
    use crate::wix::test_lists::{CURSOR, OFFSET};

    fn instant(text: &str) -> chrono::DateTime<chrono::Utc> {
        match timestamp::parse(text) {
            Some(timestamp::Timestamp::Instant(instant)) => instant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn window_has_filter_and_sort_and_cursor_is_sent_alone() {
        let window = PageRequest::Window { created_from: Some(instant("2026-01-02T03:04:05.678Z")), offset: 999 };
        assert_eq!(
            OFFSET.request_body(&Selection::default(), &window).to_string(),
            r#"{"query":{"fieldsets":["FULL"],"filter":{"createdDate":{"$gte":"2026-01-02T03:04:05.678Z"}},"paging":{"limit":1000,"offset":999},"sort":[{"fieldName":"createdDate","order":"ASC"}]}}"#
        );
        let selection = Selection::between(
            "startDate",
            Some(instant("2026-01-01T00:00:00Z")),
            Some(Until::Before(instant("2026-02-01T00:00:00Z"))),
        );
        assert_eq!(
            CURSOR.request_body(&selection, &PageRequest::Window { created_from: None, offset: 0 }).to_string(),
            r#"{"search":{"cursorPaging":{"limit":100},"filter":{"startDate":{"$gte":"2026-01-01T00:00:00.000Z","$lt":"2026-02-01T00:00:00.000Z"},"status":{"$in":["A","B"]}},"sort":[{"fieldName":"createdDate","order":"ASC"}]}}"#
        );
        assert_eq!(
            CURSOR.request_body(&selection, &PageRequest::Cursor("abc".to_owned())).to_string(),
            r#"{"search":{"cursorPaging":{"cursor":"abc","limit":100}}}"#
        );
        let statuses = CURSOR.statuses.as_ref().unwrap();
        assert_eq!(statuses.named(&["D".to_owned()]).to_string(), r#"{"$in":["A","B","D"]}"#);
        assert_eq!(statuses.excluding(["A"]).to_string(), r#"{"$nin":["A","C"]}"#);
    }
}
