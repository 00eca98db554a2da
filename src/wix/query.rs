//! How Wix lists a kind of record, and the JSON of such a request.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::page::PageRequest;
use crate::timestamp;

/// How a listing is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// By offset and limit, without a cursor and without a mark of the end (contacts v4).
    Offset,
    /// By cursor (bookings, orders).
    Cursor,
}

/// How one record is looked up by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// With GET, at this path before the id and this query behind it.
    Get {
        /// Ends with a slash.
        path: &'static str,
        /// With its question mark, or empty.
        query: &'static str,
        /// The answer's field that holds the record.
        member: &'static str,
    },
    /// With the listing itself, filtered by id: there is no other way (bookings, wix-api.md 3.1).
    List,
}

/// Where Wix counts the records of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// In each answer of the list: `total`.
    Total,
    /// At this path, which takes a filter and answers `count`.
    At(&'static str),
    /// Nowhere.
    None,
}

/// One endpoint that lists records.
#[derive(Debug)]
pub struct Listing {
    /// The path below Wix's base URL.
    pub path: &'static str,
    /// The request's field that holds filter, sort and paging: `query` or `search`.
    pub envelope: &'static str,
    /// The answer's field that holds the records.
    pub items: &'static str,
    /// The answer's field that describes the page.
    pub metadata: &'static str,
    pub paging: Paging,
    /// Maximum records that Wix returns in one page.
    pub page_limit: u32,
    /// The field sets to request, if the endpoint has any.
    pub fieldsets: &'static [&'static str],
    pub lookup: Lookup,
    pub count: Count,
    /// The statuses of its records, if it does not return all of them by default.
    pub statuses: Option<Statuses>,
    /// The permission that it needs, in the words of Wix's dashboard.
    pub permission: &'static str,
    /// The Wix app that must be on the site, as people call it.
    pub app: &'static str,
}

/// The statuses of a list that hides some of them unless a filter asks for them.
#[derive(Debug)]
pub struct Statuses {
    /// The statuses that the program knows.
    pub known: &'static [&'static str],
    /// Which of these are hidden by default.
    pub hidden: &'static [&'static str],
    /// Statuses that the list never returns.
    pub never: &'static [&'static str],
}

impl Statuses {
    /// A condition for the known statuses and these.
    pub fn named(&self, found: &[String]) -> Value {
        let found = found.iter().map(String::as_str);
        json!({ "$in": self.known.iter().copied().chain(found).collect::<Vec<_>>() })
    }

    /// A condition for all statuses except these and those that are never returned.
    pub fn excluding<'a>(&self, excluded: impl IntoIterator<Item = &'a str>) -> Value {
        json!({ "$nin": excluded.into_iter().chain(self.never.iter().copied()).collect::<Vec<_>>() })
    }
}

/// Which records of a listing are wanted, in addition to the listing's own conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Fields of Wix's filter object.
    pub filter: Map<String, Value>,
    /// A condition for the status, in place of the known statuses.
    pub status: Option<Value>,
    /// True if Wix refuses to sort it: then the order is Wix's own.
    pub unsorted: bool,
    /// Maximum records per page, if it is to be smaller than the list's own.
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
            // Both bounds are in one object: an older page of Wix's says that a field may appear only once (wix-api.md
            // 3.2).
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
    /// The instant itself is part of the range.
    Including(DateTime<Utc>),
    /// The instant itself is not part of the range.
    Before(DateTime<Utc>),
}

impl Listing {
    /// The body of a request: sorted by `createdDate`, which never changes, so that an edit during the walk moves
    /// nothing. A cursor is sent alone: Wix refuses filter and sort with it (wix-api.md 4.1).
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

    /// The body that asks the list for one record by its id, without a sort.
    pub fn lookup_body(&self, wix_id: &str) -> Value {
        let filter = Map::from_iter([("id".to_owned(), json!(wix_id))]);
        let selection = Selection { filter, unsorted: true, limit: Some(1), ..Selection::default() };
        self.request_body(&selection, &PageRequest::Window { created_from: None, offset: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Listing, Lookup, Paging, Selection, Statuses, Until};
    use crate::page::PageRequest;
    use crate::timestamp;

    const OFFSET: Listing = Listing {
        path: "/things",
        envelope: "query",
        items: "things",
        metadata: "pagingMetadata",
        paging: Paging::Offset,
        page_limit: 1000,
        fieldsets: &["FULL"],
        lookup: Lookup::List,
        count: Count::None,
        statuses: None,
        permission: "Read Things",
        app: "Wix Things",
    };
    const CURSOR: Listing = Listing {
        envelope: "search",
        paging: Paging::Cursor,
        page_limit: 100,
        fieldsets: &[],
        statuses: Some(Statuses { known: &["A", "B"], hidden: &["B"], never: &["C"] }),
        ..OFFSET
    };

    fn instant(text: &str) -> chrono::DateTime<chrono::Utc> {
        match timestamp::parse(text) {
            Some(timestamp::Timestamp::Instant(instant)) => instant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_window_carries_filter_and_sort_and_a_cursor_travels_alone() {
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
