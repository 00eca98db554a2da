//! Decodes the JSON of Wix's responses: pages of a list, single records, counts.
//!
//! Records stay unparsed text. Duplicate fields lose nothing: lists are joined, and two different values are an error.

use std::borrow::Cow;
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::sanitize;
use crate::table::json::{Object, scalar};
use crate::table::json_damage::{repair_strings, split_list};
use crate::table::listing::{Listing, Paging};
use crate::wix::page::{NextPage, Page};

/// Names of the field that describes a page. Each endpoint uses one of them, and both are accepted for every list.
const METADATA: [&str; 2] = ["metadata", "pagingMetadata"];

impl Listing {
    /// Reads the response to a GET by id: the record, and whether Wix says that the requested record was merged into it
    /// (wix-api.md 2.4).
    pub fn decode_record(&self, field: &str, body: &[u8]) -> Result<(String, bool), String> {
        read(body, None, |response, _, _| {
            let record = single(response, field)?.filter(|record| record.get().starts_with('{'));
            let record = record.ok_or_else(|| format!("it has no `{field}`"))?;
            let kind = single(response, "responseType")?.and_then(scalar);
            Ok((record.get().to_owned(), kind.as_deref() == Some("MERGED")))
        })
    }

    /// Reads the response of an endpoint that counts: `{"count": 5}`.
    pub fn decode_count(&self, body: &[u8]) -> Result<u64, String> {
        read(body, None, |response, _, _| number(response, "count")?.ok_or_else(|| "it has no `count`".to_owned()))
    }

    /// Reads a page. An error says what is wrong with it, without quoting it.
    ///
    /// A response without the field that describes the page is an error: if `{}` counted as an empty last page, all
    /// later records would be lost. If only the list of records is missing, it is empty, unless the page announces
    /// records. A record that is not valid JSON is returned unchanged, so that it is rejected alone.
    pub fn decode_page(&self, body: &[u8], server_time: Option<DateTime<Utc>>) -> Result<Page, String> {
        read(body, Some(self.items), |response, damaged, repaired_characters| {
            let records = match damaged {
                Some(items) => Some(items.into_iter().map(str::to_owned).collect()),
                None => self.records(response)?,
            };
            let metadata = self.metadata(response)?;
            let next = match (self.paging, &metadata, &records) {
                (Paging::Offset, None, None) | (Paging::Cursor, None, _) => {
                    return Err(format!("it has no `{}`", self.metadata));
                }
                (Paging::Offset, ..) => NextPage::ByOffset,
                (Paging::Cursor, Some(metadata), _) => next_page(metadata)?,
            };
            let (mut total, mut count) = (None, 0);
            if let Some(metadata) = &metadata {
                if flag(metadata, "tooManyToCount")? != Some(true) {
                    total = number(metadata, "total")?;
                }
                // A page has at most the limit: a larger count does not describe the page.
                count = number(metadata, "count")?.filter(|count| *count <= u64::from(self.page_limit)).unwrap_or(0);
            }
            if records.is_none() && count > 0 {
                return Err(format!("it has no `{}`, though it counts {count} there", self.items));
            }
            let records = records.unwrap_or_default();
            let shortfall = count.saturating_sub(records.len() as u64);
            Ok(Page { records, next, total, shortfall, server_time, repaired_characters })
        })
    }

    /// The list of records; `None` if it is missing. If there are two lists, duplicates in the second one are removed,
    /// because positions are counted by the records of a page.
    fn records(&self, response: &Object<'_>) -> Result<Option<Vec<String>>, String> {
        let mut joined: Option<Vec<String>> = None;
        for list in response.every(self.items).filter(|list| list.get() != "null") {
            let items: Vec<&RawValue> =
                serde_json::from_str(list.get()).map_err(|_| format!("`{}` is not a list", self.items))?;
            let items = items.into_iter().map(RawValue::get);
            match &mut joined {
                None => joined = Some(items.map(str::to_owned).collect()),
                Some(records) => {
                    let known: HashSet<String> = records.iter().cloned().collect();
                    records.extend(items.filter(|item| !known.contains(*item)).map(str::to_owned));
                }
            }
        }
        Ok(joined)
    }

    /// The description of the page; its fields depend on the endpoint (wix-api.md 2.3, 3.3, 4.2). The name that the
    /// list documents has precedence.
    fn metadata<'a>(&self, response: &Object<'a>) -> Result<Option<Object<'a>>, String> {
        for name in std::iter::once(self.metadata).chain(METADATA) {
            if single(response, name)?.is_some() {
                return response.checked_object(name).map(Some).map_err(|error| error.to_string());
            }
        }
        Ok(None)
    }
}

/// `hasNext: false` ends the list; if it is missing (bookings), the absence of a next cursor does.
fn next_page(metadata: &Object<'_>) -> Result<NextPage, String> {
    single(metadata, "cursors")?;
    let cursors = metadata.checked_object("cursors").map_err(|error| error.to_string())?;
    single(&cursors, "next")?;
    let cursor = cursors.text("next").map_err(|error| error.to_string())?.filter(|cursor| !cursor.is_empty());
    match (flag(metadata, "hasNext")?, cursor) {
        (Some(false), _) | (None, None) => Ok(NextPage::End),
        (_, Some(cursor)) => Ok(NextPage::Cursor(cursor)),
        (Some(true), None) => Err("it says that there is more, but names no next cursor".to_owned()),
    }
}

/// A field; `None` if it is missing or `null`. An error if it occurs twice with different values, because the right one
/// is unknown.
fn single<'a>(object: &Object<'a>, name: &str) -> Result<Option<&'a RawValue>, String> {
    let mut values = object.every(name);
    let first = values.next();
    match values.all(|value| Some(value.get()) == first.map(RawValue::get)) {
        true => Ok(first.filter(|value| value.get() != "null")),
        false => Err(format!("it has `{name}` twice, with different values")),
    }
}

/// A whole number, also as text or with a zero fraction, since Wix writes large numbers in this way elsewhere. `None`
/// for anything else.
fn number(object: &Object<'_>, name: &str) -> Result<Option<u64>, String> {
    let text = single(object, name)?.and_then(scalar);
    Ok(text.and_then(|text| {
        let text = text.trim();
        text.parse().ok().or_else(|| {
            let number =
                text.parse().ok().filter(|number: &f64| number.fract() == 0.0 && (0.0..1e15).contains(number))?;
            Some(number as u64)
        })
    }))
}

/// True or false, also as text. `None` for anything else.
fn flag(object: &Object<'_>, name: &str) -> Result<Option<bool>, String> {
    let text = single(object, name)?.and_then(scalar);
    Ok(text.and_then(|text| text.trim().to_ascii_lowercase().parse().ok()))
}

/// Reads a body as a JSON object that Postgres can store. Returns how many characters were removed or replaced for
/// this. If only items of the list `damageable` are invalid JSON, reads the object without that list, and returns the
/// list's items unchanged.
fn read<T>(
    body: &[u8],
    damageable: Option<&str>,
    read: impl Fn(&Object<'_>, Option<Vec<&str>>, u64) -> Result<T, String>,
) -> Result<T, String> {
    let (mut text, repairs) = sanitize::sanitize(body);
    let mut repaired = repairs.count();
    if let Ok(response) = Object::parse(&text) {
        return read(&response, None, repaired);
    }
    if let Some((repaired_text, count)) = repair_strings(&text) {
        (text, repaired) = (Cow::Owned(repaired_text), repaired + count);
        if let Ok(response) = Object::parse(&text) {
            return read(&response, None, repaired);
        }
    }
    let split = damageable.and_then(|list| split_list(&text, list));
    let (rest, items) = split.ok_or_else(|| describe_bad_json(&text))?;
    let response = Object::parse(&rest).map_err(|_| describe_bad_json(&text))?;
    read(&response, Some(items), repaired)
}

fn describe_bad_json(text: &str) -> String {
    let Err(error) = serde_json::from_str::<&RawValue>(text) else {
        return "its body is not a JSON object".to_owned();
    };
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
    use crate::wix::page::NextPage;
    use crate::wix::test_lists::{CURSOR, OFFSET};

    #[track_caller]
    fn next(body: &str) -> Result<NextPage, String> {
        CURSOR.decode_page(body.as_bytes(), None).map(|page| page.next)
    }

    #[test]
    fn cursor_list_ends_where_wix_says_so() {
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
    fn body_that_is_not_a_page_is_an_error() {
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
    fn list_shorter_than_its_count_is_noticed() {
        let shortfall = |count: &str| {
            let body = format!(r#"{{"things":[{{}},{{}}],"pagingMetadata":{{"count":{count}}}}}"#);
            CURSOR.decode_page(body.as_bytes(), None).unwrap().shortfall
        };
        for (count, expected) in [("2", 0), ("1", 0), ("3", 1), ("100", 98), ("101", 0), ("null", 0), ("\"3\"", 1)] {
            assert_eq!(shortfall(count), expected, "{count}");
        }
    }

    #[test]
    fn duplicate_field_loses_nothing() {
        let records = |body: &str| CURSOR.decode_page(body.as_bytes(), None).map(|page| page.records.join(" "));
        let page = r#""pagingMetadata":{"cursors":{}}"#;
        assert_eq!(records(&format!(r#"{{"things":[1,2],"th\u0069ngs":[2,3],{page}}}"#)).unwrap(), "1 2 3");
        assert_eq!(records(&format!(r#"{{"things":null,"things":[2],{page},{page}}}"#)).unwrap(), "2");
        let other = r#""pagingMetadata":{"cursors":{"next":"c"}}"#;
        let error = "it has `pagingMetadata` twice, with different values";
        assert_eq!(records(&format!(r#"{{"things":[1],{page},{other}}}"#)).unwrap_err(), error);
        let body = r#"{"things":[1],"pagingMetadata":{"hasNext":true,"hasNext":false,"cursors":{"next":"c"}}}"#;
        assert_eq!(records(body).unwrap_err(), "it has `hasNext` twice, with different values");
        let record = |body: &str| CURSOR.decode_record("thing", body.as_bytes());
        assert_eq!(record(r#"{"th\u0069ng":{"id":"a"}}"#), Ok((r#"{"id":"a"}"#.to_owned(), false)));
        assert!(record(r#"{"thing":{"id":"a"},"thing":{"id":"b"}}"#).is_err());
    }

    #[test]
    fn flags_and_numbers_may_be_text() {
        let page = |metadata: &str| {
            let body = format!(r#"{{"things":[{{}}],"pagingMetadata":{metadata}}}"#);
            CURSOR.decode_page(body.as_bytes(), None)
        };
        assert_eq!(page(r#"{"hasNext":"false","cursors":{"next":"c"}}"#).unwrap().next, NextPage::End);
        assert_eq!(page(r#"{"cursors":{"next":17}}"#).unwrap().next, NextPage::Cursor("17".to_owned()));
        assert_eq!(page(r#"{"total":"5","tooManyToCount":"True"}"#).unwrap().total, None);
        assert_eq!(page(r#"{"total":"5","tooManyToCount":"no"}"#).unwrap().total, Some(5));
        assert_eq!(page(r#"{"total":1e999}"#).unwrap().total, None);
        assert!(page(r#"{"cursors":[]}"#).is_err());
        assert!(page(r#"{"cursors":{"next":{}}}"#).is_err());
    }

    #[test]
    fn record_that_is_not_json_leaves_the_others() {
        let page = |records: &str| {
            let body = format!(r#"{{"things":[{records}],"pagingMetadata":{{"count":2,"cursors":{{}}}}}}"#);
            CURSOR.decode_page(body.as_bytes(), None)
        };
        let found = page(r#"{"id":"a","n":NaN},{"id":"b"}"#).unwrap();
        assert_eq!(found.records, [r#"{"id":"a","n":NaN}"#, r#"{"id":"b"}"#]);
        let found = page("{\"id\":\"a\tb\"},{\"id\":\"b\"}").unwrap();
        assert_eq!((found.records[0].as_str(), found.repaired_characters), (r#"{"id":"a\u0009b"}"#, 1));
        assert!(page(r#"{"id":"a},{"id":"b"}"#).is_err(), "it cannot be told where a record ends");
        let deep = format!(r#"{{"n":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert_eq!(page(&format!("{deep},{{}}")).unwrap().records[0], deep);
    }

    #[test]
    fn lists_by_offset_have_a_total_unless_it_is_too_large_to_count() {
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
