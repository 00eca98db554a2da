//! Reads the fields of a record whose content may be invalid.
//!
//! Wix may add fields and enum values at any time, omit any field, or send `null` for it (wix-api.md 2.5, 5). Unknown
//! fields are ignored, and a missing or `null` field is read as `None`. Harmless variants are accepted, such as `1.0`
//! for a whole number. Anything else is an error that names the path but not the value, which may be personal data.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::timestamp::{self, Timestamp};

/// Maximum bytes of an id, of a reference to one, and of an email: Postgres refuses a row with an indexed value of more
/// than 2,704 bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// A field of a record has the wrong type or format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is {}", .expected.map_or_else(|| "missing".to_owned(), |expected| format!("not {expected}")))]
pub struct FieldError {
    /// Such as `info.name.first`.
    path: String,
    /// Such as `text`; `None` if the field is missing.
    expected: Option<&'static str>,
}

pub type Reading<T> = Result<T, FieldError>;

/// The fields of one JSON object. Values are parsed only when they are read, and nested objects only once. Functions
/// that read a field take its name, or its path from this object, such as `info.name.first`.
#[derive(Clone, Debug, Default)]
pub struct Object<'a>(Rc<Inner<'a>>);

#[derive(Debug, Default)]
struct Inner<'a> {
    path: String,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// True if Wix sent something other than an object. Then none of its fields can be read.
    is_unreadable: bool,
    /// The nested objects that were read, by name.
    objects: RefCell<Vec<(String, Object<'a>)>>,
}

impl<'a> Object<'a> {
    /// The fields of a whole record. An error if `json` is not an object.
    pub fn parse(json: &'a str) -> Reading<Object<'a>> {
        let record = Object::at(String::new(), json);
        match record.0.is_unreadable {
            true => Err(FieldError { path: "the record".to_owned(), expected: Some("an object") }),
            false => Ok(record),
        }
    }

    fn at(path: String, json: &'a str) -> Object<'a> {
        let inner = match serde_json::from_str::<Fields<'a>>(json) {
            Ok(Fields(fields)) => Inner { path, fields, ..Inner::default() },
            Err(_) => Inner { path, is_unreadable: true, ..Inner::default() },
        };
        Object(Rc::new(inner))
    }

    /// All occurrences of a field as written, `null` included.
    pub fn every<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a RawValue> {
        self.0.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| *value)
    }

    /// A field as text; `None` if it is missing or `null`. If a name comes twice, the last one is used, as in jsonb.
    pub fn raw(&self, path: &str) -> Reading<Option<&'a RawValue>> {
        if let Some((parent, name)) = path.rsplit_once('.') {
            return self.object(parent).raw(name);
        }
        if self.0.is_unreadable {
            return Err(FieldError { path: self.0.path.clone(), expected: Some("an object") });
        }
        let field = self.0.fields.iter().rev().find(|(key, _)| key == path);
        Ok(field.map(|(_, value)| *value).filter(|value| value.get() != "null"))
    }

    /// A nested object; an empty one if it is missing.
    pub fn object(&self, path: &str) -> Object<'a> {
        if let Some((name, rest)) = path.split_once('.') {
            return self.object(name).object(rest);
        }
        if let Some((_, object)) = self.0.objects.borrow().iter().find(|(name, _)| name == path) {
            return object.clone();
        }
        let object = match self.raw(path) {
            Ok(Some(value)) => Object::at(self.path_of(path), value.get()),
            Ok(None) => Object(Rc::new(Inner { path: self.path_of(path), ..Inner::default() })),
            Err(error) => Object(Rc::new(Inner { path: error.path, is_unreadable: true, ..Inner::default() })),
        };
        self.0.objects.borrow_mut().push((path.to_owned(), object.clone()));
        object
    }

    /// Like [`Object::object`], but an error if it has the wrong type.
    pub fn checked_object(&self, name: &str) -> Reading<Object<'a>> {
        let object = self.object(name);
        if object.0.is_unreadable { Err(self.error(name, "an object")) } else { Ok(object) }
    }

    /// The items of a list; empty if it is missing.
    fn list(&self, name: &str) -> Reading<Vec<&'a RawValue>> {
        let Some(value) = self.raw(name)? else { return Ok(Vec::new()) };
        serde_json::from_str(value.get()).map_err(|_| self.error(name, "a list"))
    }

    /// Checks that a field is a list, or missing, without reading it.
    pub fn check_list(&self, name: &str) -> Reading<()> {
        match self.raw(name)? {
            Some(value) if !value.get().starts_with('[') => Err(self.error(name, "a list")),
            _ => Ok(()),
        }
    }

    /// The objects of a list; empty if it is missing. Items that are `null` are ignored.
    pub fn objects(&self, name: &str) -> Reading<Vec<Object<'a>>> {
        let items = self.list(name)?.into_iter().filter(|item| item.get() != "null").enumerate();
        Ok(items.map(|(index, item)| Object::at(format!("{}[{index}]", self.path_of(name)), item.get())).collect())
    }

    /// Text. Numbers and booleans are read as text.
    pub fn text(&self, name: &str) -> Reading<Option<String>> {
        self.raw(name)?.map(|value| scalar(value).ok_or_else(|| self.error(name, "text"))).transpose()
    }

    /// Text that is short enough for an index: at most [`MAX_KEY_BYTES`].
    pub fn short_text(&self, name: &str) -> Reading<Option<String>> {
        match self.text(name)? {
            Some(text) if text.len() > MAX_KEY_BYTES => Err(self.error(name, "text of at most 512 bytes")),
            text => Ok(text),
        }
    }

    /// An id, or a reference to one; `None` if it is empty.
    pub fn id(&self, name: &str) -> Reading<Option<String>> {
        match self.text(name)?.map(normal_id).filter(|id| !id.is_empty()) {
            Some(id) if id.len() > MAX_KEY_BYTES => Err(self.error(name, "an id of at most 512 bytes")),
            id => Ok(id),
        }
    }

    /// The texts of a list; empty if it is missing.
    pub fn texts(&self, name: &str) -> Reading<Vec<String>> {
        let items = self.list(name)?.into_iter().filter(|item| item.get() != "null");
        items.map(|item| scalar(item).ok_or_else(|| self.error(name, "a list of text"))).collect()
    }

    /// A whole number that fits 64 bits, written as a number or as text.
    pub fn integer(&self, name: &str) -> Reading<Option<i64>> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        whole_number(&text).map(Some).ok_or_else(|| self.error(name, "a whole number"))
    }

    /// A decimal number, written as text (Wix's amounts) or as a number. It is returned as text, so that it stays
    /// exact.
    pub fn decimal(&self, name: &str) -> Reading<Option<String>> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        if is_decimal(&text) { Ok(Some(text)) } else { Err(self.error(name, "a decimal number")) }
    }

    /// A point in time with `Z` or an offset. Without either it is UTC, like all of Wix's dates.
    pub fn instant(&self, name: &str) -> Reading<Option<DateTime<Utc>>> {
        Ok(self.timestamp(name)?.map(|timestamp| match timestamp {
            Timestamp::Instant(instant) => instant,
            Timestamp::Local(local) => local.and_utc(),
        }))
    }

    /// A point in time, or a local time in an unknown time zone.
    pub fn timestamp(&self, name: &str) -> Reading<Option<Timestamp>> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        timestamp::parse(&text).map(Some).ok_or_else(|| self.error(name, "a date and time"))
    }

    /// A calendar date, such as `1985-06-07` or `1985-06-07T00:00:00.000Z`.
    pub fn date(&self, name: &str) -> Reading<Option<NaiveDate>> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        timestamp::parse_date(&text).map(Some).ok_or_else(|| self.error(name, "a date"))
    }

    pub fn error(&self, name: &str, expected: &'static str) -> FieldError {
        FieldError { path: self.path_of(name), expected: Some(expected) }
    }

    pub fn missing(&self, name: &str) -> FieldError {
        FieldError { path: self.path_of(name), expected: None }
    }

    fn path_of(&self, name: &str) -> String {
        if self.0.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0.path) }
    }

    /// Text without surrounding spaces; `None` if it is empty.
    fn filled_text(&self, name: &str) -> Reading<Option<String>> {
        Ok(self.text(name)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }
}

/// The value; `None` if it could not be read, and then the column's name is noted.
pub fn value_or_note<T>(
    reading: Reading<Option<T>>,
    column: &'static str,
    unreadable: &mut Vec<&'static str>,
) -> Option<T> {
    reading.unwrap_or_else(|_| {
        unreadable.push(column);
        None
    })
}

/// Wix's ids are GUIDs in lower case. A GUID in upper case, or with surrounding spaces, is the same id. Other ids are
/// not changed.
pub fn normal_id(id: String) -> String {
    let trimmed = id.trim();
    let is_guid = trimmed.len() == 36
        && trimmed.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_guid { trimmed.to_ascii_lowercase() } else { id }
}

/// The content of a string, or the text of a number or boolean; `None` for an object or a list.
pub fn scalar(value: &RawValue) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get()).ok(),
        b'{' | b'[' => None,
        _ => Some(value.get().to_owned()),
    }
}

/// An integer, which may be written with a fraction of zeros or an exponent.
fn whole_number(text: &str) -> Option<i64> {
    /// Larger numbers are not exact as floating point numbers.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok().filter(|_| is_decimal(text))?;
    (number.fract() == 0.0 && number.abs() <= MAX_EXACT).then_some(number as i64)
}

/// Digits with an optional sign, point and exponent, within the limits of Postgres's `numeric`.
fn is_decimal(text: &str) -> bool {
    /// Maximum number of digits. `numeric` allows 131,072 digits before the point and 16,383 after it; no amount has
    /// more than this.
    const MAX_DIGITS: usize = 1000;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let some_digits = !(whole.is_empty() && fraction.is_empty());
    let is_small = text.len() <= MAX_DIGITS && exponent.parse::<usize>().is_ok_and(|exponent| exponent <= MAX_DIGITS);
    some_digits && is_small && digits(whole) && digits(fraction) && digits(exponent)
}

/// All fields of an object in the order in which they are written.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    fields.push((key, value));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

/// A field's name, borrowed if it has no escape.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::{Object, is_decimal, normal_id, whole_number};

    #[test]
    fn absent_and_null_fields_read_as_none() {
        let record = Object::parse(r#"{"a":null,"b":{"c":null}}"#).unwrap();
        assert_eq!(record.text("a").unwrap(), None);
        assert_eq!(record.object("b").text("c").unwrap(), None);
        assert_eq!(record.object("x").object("y").text("z").unwrap(), None);
        assert!(record.list("a").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_path_and_never_the_value() {
        let record =
            Object::parse(r#"{"info":{"name":{"first":["Nadia"]},"emails":[{"email":{}}],"n":"12x"}}"#).unwrap();
        let info = record.object("info");
        let name = info.object("name");
        assert_eq!(name.text("first").unwrap_err().to_string(), "`info.name.first` is not text");
        assert_eq!(info.object("n").text("x").unwrap_err().to_string(), "`info.n` is not an object");
        assert_eq!(info.object("n").object("x").text("y").unwrap_err().to_string(), "`info.n` is not an object");
        assert_eq!(info.integer("n").unwrap_err().to_string(), "`info.n` is not a whole number");
        assert_eq!(
            info.objects("emails").unwrap()[0].text("email").unwrap_err().to_string(),
            "`info.emails[0].email` is not text"
        );
        assert_eq!(Object::parse("[1]").unwrap_err().to_string(), "`the record` is not an object");
    }

    #[test]
    fn scalars_are_taken_as_they_are_written() {
        let record = Object::parse(r#"{"a":12.50,"b":"7","c":true,"d":" 65.865 ","e":1e2,"k\u0041":"x"}"#).unwrap();
        assert_eq!(record.text("a").unwrap().as_deref(), Some("12.50"));
        assert_eq!(record.integer("b").unwrap(), Some(7));
        assert_eq!(record.text("c").unwrap().as_deref(), Some("true"));
        assert_eq!(record.decimal("d").unwrap().as_deref(), Some("65.865"));
        assert_eq!(record.decimal("e").unwrap().as_deref(), Some("1e2"));
        assert_eq!(record.text("kA").unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn whole_numbers() {
        for (text, number) in
            [("3", 3), ("-3", -3), ("1.0", 1), ("1.", 1), ("1e2", 100), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(whole_number(text), Some(number), "{text}");
        }
        for text in ["", "1.5", "many", "inf", "NaN", "99999999999999999999", "1e400", "1,0"] {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }

    #[test]
    fn only_guids_are_normalized() {
        let guid = "0a1b2c3d-0000-4000-8000-0123456789ab";
        for text in [guid.to_owned(), guid.to_uppercase(), format!(" {guid}\n")] {
            assert_eq!(normal_id(text), guid);
        }
        for text in ["", "ABC", " x ", "0A1B2C3D00004000800000123456789AB", "{0A1B2C3D-0000-4000-8000-0123456789AB}"] {
            assert_eq!(normal_id(text.to_owned()), text);
        }
    }

    #[test]
    fn decimals() {
        for good in ["0", "-12.5", "65.865", ".5", "5.", "1e3", "+1E-2"] {
            assert!(is_decimal(good), "{good}");
        }
        let long = "9".repeat(1001);
        for bad in
            ["", ".", "-", "NaN", "Infinity", "1,000.00", "12 EUR", "0x1", "1e", "e5", "1e1001", "1e-1001", &long]
        {
            assert!(!is_decimal(bad), "{bad}");
        }
    }
}
