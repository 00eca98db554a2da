//! The JSON of Wix's answers: pages of a listing, and single records.
//!
//! A page is read in one go; its records stay the text that came, without a tree of values in between.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::{RawValue, Value};

use super::query::{Listing, Paging};
use crate::json_text;
use crate::page::{NextPage, Page};

/// The members under which Wix's endpoints tell about a page. Each has one of them, and both are read
/// for every listing.
const METADATA: [&str; 2] = ["metadata", "pagingMetadata"];

impl Listing {
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

    /// Reads the answer of an endpoint that counts: `{"count": 5}`.
    pub fn decode_count(&self, body: &[u8]) -> Result<u64, String> {
        let (text, _) = json_text::storable(body);
        let answer: Value = serde_json::from_str(&text).map_err(|error| describe_bad_json(&text, &error))?;
        number(&answer.get("count").cloned()).ok_or_else(|| "it has no `count`".to_owned())
    }

    /// Reads an answer. The error says what is wrong with it, without quoting it.
    ///
    /// An answer without the member that tells about the page is none: taking `{}` for an empty last page
    /// would lose all that follows. An absent list of records beside it is an empty one, unless the page is said to have
    /// some.
    pub fn decode_page(&self, body: &[u8], server_time: Option<DateTime<Utc>>) -> Result<Page, String> {
        let (text, repairs) = json_text::storable(body);
        let in_items = Cell::new(false);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let parts = PartsSeed { listing: self, in_items: &in_items }
            .deserialize(&mut deserializer)
            .and_then(|parts| deserializer.end().map(|()| parts))
            .map_err(|error| match in_items.get() && error.is_data() {
                true => format!("`{}` is not a list", self.items),
                false => describe_bad_json(&text, &error),
            })?;
        let metadata: Option<Metadata> = match parts.metadata {
            Some((name, metadata)) => {
                serde_json::from_str(metadata.get()).map_err(|error| format!("`{name}`: {error}"))?
            }
            None => None,
        };
        let next = match (self.paging, &metadata, &parts.records) {
            (Paging::Offset, None, None) | (Paging::Cursor, None, _) => {
                return Err(format!("it has no `{}`", self.metadata));
            }
            (Paging::Offset, ..) => NextPage::ByOffset,
            (Paging::Cursor, Some(metadata), _) => metadata.next_page()?,
        };
        let total = metadata
            .as_ref()
            .filter(|metadata| metadata.too_many_to_count != Some(true))
            .and_then(|metadata| number(&metadata.total));
        // No page has more than the limit: a larger count is not of the page.
        let count = metadata.as_ref().and_then(|metadata| number(&metadata.count)).unwrap_or(0);
        let count = if count <= u64::from(self.page_limit) { count } else { 0 };
        if parts.records.is_none() && count > 0 {
            return Err(format!("it has no `{}`, though it counts {count} there", self.items));
        }
        let listed = parts.records.as_ref().map_or(0, Vec::len) as u64;
        Ok(Page {
            lacking: count.saturating_sub(listed),
            records: parts.records.unwrap_or_default().into_iter().map(|record| record.get().to_owned()).collect(),
            next,
            total,
            server_time,
            repaired_characters: repairs.count(),
        })
    }
}

/// What a page's answer is made of; other members are passed over.
#[derive(Default)]
struct Parts<'de> {
    records: Option<Vec<&'de RawValue>>,
    /// With the name of the member; the listing's own name wins.
    metadata: Option<(&'static str, &'de RawValue)>,
}

#[derive(Clone, Copy)]
struct PartsSeed<'a> {
    listing: &'a Listing,
    /// True while the list of records is read: whom an error is about.
    in_items: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for PartsSeed<'_> {
    type Value = Parts<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parts<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PartsSeed<'_> {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            if name == self.listing.items {
                self.in_items.set(true);
                parts.records = map.next_value::<Items<'de>>()?.0;
                self.in_items.set(false);
            } else if let Some(known) = METADATA.into_iter().find(|known| name == *known) {
                let value = map.next_value()?;
                if known == self.listing.metadata || parts.metadata.is_none() {
                    parts.metadata = Some((known, value));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(parts)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The list of records; `None` for `null`.
struct Items<'de>(Option<Vec<&'de RawValue>>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Items<'de>, D::Error> {
        struct ItemsVisitor;

        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
                let mut records = Vec::with_capacity(128);
                while let Some(record) = list.next_element()? {
                    records.push(record);
                }
                Ok(Items(Some(records)))
            }

            fn visit_unit<E: Error>(self) -> Result<Items<'de>, E> {
                Ok(Items(None))
            }
        }

        deserializer.deserialize_any(ItemsVisitor)
    }
}

/// What Wix tells about a page; which members come depends on the endpoint (wix-api.md 2.3, 3.3, 4.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    /// Items on this page. What is no number is as good as none.
    count: Option<Value>,
    /// Items in the whole listing, likewise.
    total: Option<Value>,
    too_many_to_count: Option<bool>,
    cursors: Option<Cursors>,
    has_next: Option<bool>,
}

/// A whole number, also one that comes as text or with a fraction of zero, as large numbers do elsewhere at Wix.
fn number(value: &Option<Value>) -> Option<u64> {
    match value.as_ref()? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number))?;
            Some(number as u64)
        }),
        _ => None,
    }
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
    use super::super::query::{Count, Listing, Lookup, Paging};
    use crate::page::NextPage;

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
        assert_eq!(next(r#"{"pagingMetadata":{"count":250}}"#), Ok(NextPage::End), "not of this page");
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
            r#"{"pagingMetadata":{"count":1}}"#,
            r#"{"things":null,"pagingMetadata":{"count":100,"cursors":{"next":"c"}}}"#,
        ] {
            assert!(next(body).is_err(), "{body}");
        }
        assert!(OFFSET.decode_page(b"{}", None).is_err());
    }

    #[test]
    fn a_list_shorter_than_its_count_is_noticed() {
        let lacking = |count: &str| {
            let body = format!(r#"{{"things":[{{}},{{}}],"pagingMetadata":{{"count":{count}}}}}"#);
            CURSOR.decode_page(body.as_bytes(), None).unwrap().lacking
        };
        for (count, expected) in [("2", 0), ("1", 0), ("3", 1), ("100", 98), ("101", 0), ("null", 0), ("\"3\"", 1)] {
            assert_eq!(lacking(count), expected, "{count}");
        }
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
        for (total, expected) in
            [("\"4\"", Some(4)), ("4.0", Some(4)), ("4.5", None), ("-1", None), ("[4]", None), ("null", None)]
        {
            let body = format!(r#"{{"things":[{{"id":1}}],"pagingMetadata":{{"count":1,"total":{total}}}}}"#);
            assert_eq!(page(&body).total, expected, "{total}");
        }
        assert_eq!(page("\u{FEFF}{\"things\":[],\"pagingMetadata\":{}}").records, Vec::<String>::new());
    }
}
