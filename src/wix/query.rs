//! How Wix lists a kind of record, and the JSON of such a request and its answer.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::page::{NextPage, Page, PageRequest};
use crate::{json_text, timestamp};

/// How a listing is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// By offset and limit, without a cursor and without a word on the end (contacts v4).
    Offset,
    /// By cursor (bookings, orders).
    Cursor,
}

/// How one record can be asked for by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// With GET, at this path before the id and this query behind it; the answer's member holds the record.
    Get {
        /// Ends with a slash.
        path: &'static str,
        /// With its question mark, or empty.
        query: &'static str,
        /// The answer's member that holds the record.
        member: &'static str,
    },
    /// With the listing itself, filtered by id: there is no other way (bookings, wix-api.md 3.1).
    List,
}

/// One endpoint that lists records.
#[derive(Debug)]
pub struct Listing {
    /// The path below Wix's base URL.
    pub path: &'static str,
    /// The request's member that holds filter, sort and paging: `query` or `search`.
    pub envelope: &'static str,
    /// The answer's member that holds the records.
    pub items: &'static str,
    /// The answer's member that tells about the page.
    pub metadata: &'static str,
    /// Offset or cursor.
    pub paging: Paging,
    /// The most records that Wix gives in one page.
    pub page_limit: u32,
    /// The field sets to ask for, where the endpoint knows such.
    pub fieldsets: &'static [&'static str],
    /// How one record can be asked for.
    pub lookup: Lookup,
    /// A filter that always applies: a field, and the values of it that are wanted.
    pub wanted: Option<(&'static str, &'static [&'static str])>,
    /// The permission it needs, in the words of Wix's dashboard.
    pub permission: &'static str,
    /// The Wix app that must be on the site, as people call it.
    pub app: &'static str,
}

/// Which records of a listing are wanted, beside those that always are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Members of Wix's filter object.
    pub filter: Map<String, Value>,
    /// True if Wix refuses to sort it: then it comes in an order of Wix's own.
    pub unsorted: bool,
}

impl Selection {
    /// Records whose `field` lies at or after `from` and before `until`; either side may be open.
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
            // Both bounds in one object: an older page of Wix's says that a field may appear only once (wix-api.md 3.2).
            filter.insert(field.to_owned(), Value::Object(bounds));
        }
        Selection { filter, unsorted: false }
    }
}

/// An upper bound of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The instant itself still belongs to it.
    Including(DateTime<Utc>),
    /// The instant itself does not.
    Before(DateTime<Utc>),
}

impl Listing {
    /// The body of a request: sorted by `createdDate`, which never changes, so that an edit during the
    /// walk moves nothing. A cursor travels alone: Wix refuses filter and sort beside it (wix-api.md 4.1).
    pub fn request_body(&self, selection: &Selection, request: &PageRequest) -> Value {
        let query = match request {
            PageRequest::Cursor(cursor) => json!({ "cursorPaging": { "limit": self.page_limit, "cursor": cursor } }),
            PageRequest::Window { created_from, offset } => {
                let mut filter = selection.filter.clone();
                if let Some((field, values)) = self.wanted {
                    filter.insert(field.to_owned(), json!({ "$in": values }));
                }
                if let Some(created_from) = created_from {
                    filter.insert("createdDate".to_owned(), json!({ "$gte": timestamp::render(*created_from) }));
                }
                let mut query = json!({ "filter": filter });
                if !selection.unsorted {
                    query["sort"] = json!([{ "fieldName": "createdDate", "order": "ASC" }]);
                }
                match self.paging {
                    Paging::Offset => query["paging"] = json!({ "limit": self.page_limit, "offset": offset }),
                    Paging::Cursor => query["cursorPaging"] = json!({ "limit": self.page_limit }),
                }
                if !self.fieldsets.is_empty() {
                    query["fieldsets"] = json!(self.fieldsets);
                }
                query
            }
        };
        json!({ self.envelope: query })
    }

    /// The body that asks for one record by its id, for [`Lookup::List`].
    pub fn lookup_body(&self, wix_id: &str) -> Value {
        let mut query = json!({ "filter": { "id": wix_id }, "sort": [{ "fieldName": "createdDate", "order": "ASC" }] });
        query["cursorPaging"] = json!({ "limit": 1 });
        json!({ self.envelope: query })
    }

    /// Reads the answer to a GET by id: the record, and whether Wix says that it is the one into which the
    /// record that was asked for was merged (wix-api.md 2.4).
    pub fn decode_record(&self, member: &str, body: &[u8]) -> Result<(String, bool), String> {
        let (text, _) = json_text::storable(body);
        let answer: std::collections::HashMap<&str, &RawValue> =
            serde_json::from_str(&text).map_err(|error| describe_bad_json(&text, &error))?;
        let record = answer.get(member).filter(|record| record.get().starts_with('{'));
        let record = record.ok_or_else(|| format!("it has no `{member}`"))?;
        let is_merged = answer.get("responseType").is_some_and(|kind| kind.get() == "\"MERGED\"");
        Ok((record.get().to_owned(), is_merged))
    }

    /// Reads an answer. The error says what is wrong with it, without quoting it.
    ///
    /// An answer without the member that tells about the page is none: taking `{}` for an empty last page
    /// would lose all that follows. An absent list of records beside it is an empty one.
    pub fn decode_page(&self, body: &[u8], server_time: Option<DateTime<Utc>>) -> Result<Page, String> {
        let (text, repairs) = json_text::storable(body);
        let answer: std::collections::HashMap<&str, &RawValue> =
            serde_json::from_str(&text).map_err(|error| describe_bad_json(&text, &error))?;
        let records: Option<Vec<&RawValue>> = match answer.get(self.items) {
            Some(items) => serde_json::from_str(items.get()).map_err(|_| format!("`{}` is not a list", self.items))?,
            None => None,
        };
        let metadata: Option<Metadata> = match answer.get(self.metadata) {
            Some(metadata) => {
                serde_json::from_str(metadata.get()).map_err(|error| format!("`{}`: {error}", self.metadata))?
            }
            None => None,
        };
        let next = match (self.paging, &metadata, &records) {
            (Paging::Offset, None, None) | (Paging::Cursor, None, _) => {
                return Err(format!("it has no `{}`", self.metadata));
            }
            (Paging::Offset, ..) => NextPage::ByOffset,
            (Paging::Cursor, Some(metadata), _) => metadata.next_page()?,
        };
        let total = metadata
            .as_ref()
            .filter(|metadata| metadata.too_many_to_count != Some(true))
            .and_then(|metadata| metadata.total);
        Ok(Page {
            records: records.unwrap_or_default().into_iter().map(|record| record.get().to_owned()).collect(),
            next,
            total,
            server_time,
            repaired_characters: repairs.count(),
        })
    }
}

/// What Wix tells about a page; which members come depends on the endpoint (wix-api.md 2.3, 3.3, 4.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    total: Option<u64>,
    too_many_to_count: Option<bool>,
    cursors: Option<Cursors>,
    has_next: Option<bool>,
}

#[derive(Deserialize)]
struct Cursors {
    next: Option<String>,
}

impl Metadata {
    /// `hasNext: false` ends the walk; where it is missing (bookings), the absence of a next cursor does.
    fn next_page(&self) -> Result<NextPage, String> {
        let cursor =
            self.cursors.as_ref().and_then(|cursors| cursors.next.as_deref()).filter(|cursor| !cursor.is_empty());
        match (self.has_next, cursor) {
            (Some(false), _) | (None, None) => Ok(NextPage::End),
            (_, Some(cursor)) => Ok(NextPage::Cursor(cursor.to_owned())),
            (Some(true), None) => Err("it says that there is more, but names no next cursor".to_owned()),
        }
    }
}

fn describe_bad_json(text: &str, error: &serde_json::Error) -> String {
    let start = text.trim_start();
    if start.is_empty() {
        "its body is empty".to_owned()
    } else if start.starts_with('<') {
        "its body is an HTML page".to_owned()
    } else if error.is_eof() {
        "its body is cut off".to_owned()
    } else {
        format!("its body is not the expected JSON (line {}, column {})", error.line(), error.column())
    }
}

#[cfg(test)]
mod tests {
    use super::{Listing, Lookup, Paging, Selection, Until};
    use crate::page::{NextPage, PageRequest};
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
        wanted: None,
        permission: "Read Things",
        app: "Wix Things",
    };
    const CURSOR: Listing = Listing {
        envelope: "search",
        paging: Paging::Cursor,
        page_limit: 100,
        fieldsets: &[],
        wanted: Some(("status", &["A", "B"])),
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
    }

    #[track_caller]
    fn next(body: &str) -> Result<NextPage, String> {
        CURSOR.decode_page(body.as_bytes(), None).map(|page| page.next)
    }

    #[test]
    fn the_end_of_a_cursor_walk_is_wixs_word_for_it() {
        let cursor = Ok(NextPage::Cursor("c".to_owned()));
        assert_eq!(next(r#"{"things":[{}],"pagingMetadata":{"cursors":{"next":"c"}}}"#), cursor);
        assert_eq!(next(r#"{"things":[],"pagingMetadata":{"cursors":{"next":"c"},"hasNext":true}}"#), cursor);
        assert_eq!(next(r#"{"things":[{}],"pagingMetadata":{"count":1,"cursors":{}}}"#), Ok(NextPage::End));
        assert_eq!(next(r#"{"things":[{}],"pagingMetadata":{"cursors":{"next":""}}}"#), Ok(NextPage::End));
        assert_eq!(
            next(r#"{"things":[{}],"pagingMetadata":{"cursors":{"next":null},"hasNext":false}}"#),
            Ok(NextPage::End)
        );
        assert_eq!(next(r#"{"pagingMetadata":{"count":0}}"#), Ok(NextPage::End));
        assert!(next(r#"{"things":[{}],"pagingMetadata":{"hasNext":true}}"#).is_err());
    }

    #[test]
    fn what_is_no_answer_is_never_taken_for_an_empty_one() {
        for body in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"things":[]}"#,
            "<html></html>",
            r#"{"things":[{"id":"#,
            r#"{"things":{},"pagingMetadata":{}}"#,
        ] {
            assert!(next(body).is_err(), "{body}");
        }
        assert!(OFFSET.decode_page(b"{}", None).is_err());
    }

    #[test]
    fn offset_listings_tell_their_total_unless_it_is_too_large_to_count() {
        let page = |body: &str| OFFSET.decode_page(body.as_bytes(), None).unwrap();
        assert_eq!(
            page(r#"{"things":[{"id":1}],"pagingMetadata":{"count":1,"offset":0,"total":4,"tooManyToCount":false}}"#)
                .total,
            Some(4)
        );
        assert_eq!(
            page(r#"{"things":[{"id":1}],"pagingMetadata":{"count":1,"offset":0,"tooManyToCount":true}}"#).total,
            None
        );
        assert_eq!(page(r#"{"things":[{"id":1}]}"#).next, NextPage::ByOffset);
    }
}
