//! Reads damaged JSON text: repairs strings, and splits a list into items of which only some are valid JSON.
//!
//! Used only for text that strict parsing refused. It relies only on quotes and brackets. If these do not match, as in
//! a response that was cut off, nothing is read.

use std::fmt::Write;
use std::ops::Range;

use memchr::memchr2;
use serde_json::value::RawValue;

use crate::table::json::scalar;

/// Returns the text with repaired strings, and the number of repaired characters. A control character becomes its
/// escape, and a backslash that starts no escape is doubled. `None` if there was nothing to repair.
pub fn repair_strings(text: &str) -> Option<(String, u64)> {
    let mut out = String::with_capacity(text.len() + 64);
    let (mut repaired, mut in_string) = (0, false);
    let mut rest = text;
    while let Some(at) = rest.find(|character: char| character < ' ' || matches!(character, '"' | '\\')) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let character = found.chars().next()?;
        let mut taken = 1;
        match character {
            '"' => {
                in_string = !in_string;
                out.push('"');
            }
            '\\' if in_string => {
                taken = escape_length(found);
                if taken == 0 {
                    repaired += 1;
                    out.push_str("\\\\");
                    taken = 1;
                } else {
                    out.push_str(&found[..taken]);
                }
            }
            '\\' => out.push('\\'),
            control if in_string => {
                repaired += 1;
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            space => out.push(space),
        }
        rest = &found[taken..];
    }
    out.push_str(rest);
    (repaired > 0).then_some((out, repaired))
}

/// The length of the escape at the start of `text`; 0 if there is none.
fn escape_length(text: &str) -> usize {
    match text.as_bytes() {
        [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
        [_, b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => 6,
        _ => 0,
    }
}

/// Returns the items of the list in the field with this name, and the text of the object without them. `None` if quotes
/// or brackets do not match, if the field is not a list, or if it comes more than once.
pub fn split_list<'a>(text: &'a str, name: &str) -> Option<(String, Vec<&'a str>)> {
    let members = members(text)?;
    let mut lists = members.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let (Some(list), None) = (lists.next(), lists.next()) else { return None };
    let items = parts(text, list.clone(), b'[')?;
    let rest = format!("{}[]{}", &text[..list.start], &text[list.end..]);
    Some((rest, items.into_iter().map(|item| &text[item]).collect()))
}

/// A text field that can be read in a damaged record, or in its object `inside`.
pub fn visible_text(record: &str, inside: Option<&str>, name: &str) -> Option<String> {
    let find = |text, name: &str| {
        let mut members = members(text)?.into_iter().rev();
        members.find(|(key, _)| key == name).map(|(_, value)| &text[value])
    };
    let object = match inside {
        Some(inside) => find(record, inside)?,
        None => record,
    };
    let value: &RawValue = serde_json::from_str(find(object, name)?).ok()?;
    scalar(value)
}

/// The names of an object's fields, and the ranges of their values.
fn members(text: &str) -> Option<Vec<(String, Range<usize>)>> {
    let mut members = Vec::new();
    for part in parts(text, 0..text.len(), b'{')? {
        let member = &text[part.clone()];
        let name_end = string_end(member.as_bytes(), 0);
        let value = member.get(name_end..).map(str::trim_start).and_then(|behind| behind.strip_prefix(':'));
        if let (Ok(name), Some(value)) = (serde_json::from_str(&member[..name_end]), value) {
            members.push((name, part.end - value.trim_start().len()..part.end));
        }
    }
    Some(members)
}

/// The parts between the commas of a list or object in this range of the text, without empty parts.
fn parts(text: &str, within: Range<usize>, open: u8) -> Option<Vec<Range<usize>>> {
    let bytes = text.as_bytes();
    let offset = within.len() - text[within.clone()].trim_start().len();
    let (mut at, mut start) = (within.start + offset, 0);
    if bytes.get(at) != Some(&open) {
        return None;
    }
    let (mut parts, mut expected) = (Vec::new(), Vec::new());
    let mut add = |part: Range<usize>| {
        let trimmed = text[part.clone()].trim();
        let start = part.start + (text[part.clone()].len() - text[part].trim_start().len());
        parts.extend((!trimmed.is_empty()).then_some(start..start + trimmed.len()));
    };
    while at < within.end {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            bracket @ (b'{' | b'[') => {
                expected.push(if bracket == b'{' { b'}' } else { b']' });
                if expected.len() == 1 {
                    start = at + 1;
                }
            }
            bracket @ (b'}' | b']') => {
                if expected.pop() != Some(bracket) {
                    return None;
                }
                if expected.is_empty() {
                    add(start..at);
                    return text[at + 1..within.end].trim().is_empty().then_some(parts);
                }
            }
            b',' if expected.len() == 1 => {
                add(start..at);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The end of the string that starts at this position.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::{repair_strings, split_list, visible_text};

    #[track_caller]
    fn check(text: &str, expected: &str, repaired: u64) {
        assert_eq!(repair_strings(text), Some((expected.to_owned(), repaired)));
        assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok(), "{expected}");
    }

    #[test]
    fn control_characters_and_backslashes_become_escapes() {
        check("{\"a\":\n\"x\ny\u{1}\"}", "{\"a\":\n\"x\\u000ay\\u0001\"}", 2);
        check(r#"["C:\dir","\u12","\\","\u00e9\n"]"#, r#"["C:\\dir","\\u12","\\","\u00e9\n"]"#, 2);
        assert_eq!(repair_strings("{\n\t\"a\":\"b\"}"), None, "space between tokens is no damage");
    }

    #[test]
    fn list_with_damaged_items_is_cut_at_its_commas() {
        let text = r#" {"x":{"things":[0]}, "things" : [{"id":"a","n":NaN}, {"id":"b,]"} ,{"id":"c",}], "y":1} "#;
        let (rest, items) = split_list(text, "things").unwrap();
        assert_eq!(items, [r#"{"id":"a","n":NaN}"#, r#"{"id":"b,]"}"#, r#"{"id":"c",}"#]);
        assert_eq!(rest, r#" {"x":{"things":[0]}, "things" : [], "y":1} "#);
        for text in [
            "",
            "[",
            r#"{"things":[{"id":"a"}"#,
            r#"{"things":[{"id":"a"]}"#,
            r#"{"things":[{"id":"a}]}"#,
            r#"{"things":[1]}}"#,
            r#"{"things":[1],"things":[2]}"#,
            r#"{"things":{}}"#,
            r#"{"thing":[1]}"#,
        ] {
            assert_eq!(split_list(text, "things"), None, "{text}");
        }
    }

    #[test]
    fn id_of_a_damaged_record_is_read() {
        assert_eq!(visible_text(r#"{"n":NaN,"id":"a\u0062"}"#, None, "id").as_deref(), Some("ab"));
        let booking = r#"{"booking":{"id":"b","n":+1},"id":"c"}"#;
        assert_eq!(visible_text(booking, Some("booking"), "id").as_deref(), Some("b"));
        assert_eq!(visible_text(r#"{"id":NaN}"#, None, "id"), None);
        assert_eq!(visible_text(r#"{"id""#, None, "id"), None);
        assert_eq!(visible_text("x", Some("booking"), "id"), None);
    }
}
