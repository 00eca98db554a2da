//! Reading members out of a record that may hold anything.
//!
//! Wix may add members and enum values at any time, leave any member out, or send `null` for it
//! (wix-api.md 2.5, 5): unknown members are passed over, and both other cases read as `None`. A
//! member of the wrong kind is an error that names its path and never its value, which may be personal.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::timestamp::{self, Timestamp};

/// A member of a record is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not {expected}")]
pub struct FieldError {
    /// Where the member stands, such as `info.name.first`.
    pub path: String,
    /// What it should have been, such as `text`.
    pub expected: &'static str,
}

/// The members of one JSON object; their values are parsed only when asked for.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    path: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The members of a whole record. An error if `json` is not an object.
    pub fn parse(json: &'a str) -> Result<Object<'a>, FieldError> {
        Object::at("the record".to_owned(), json).map(|object| Object { path: String::new(), ..object })
    }

    fn at(path: String, json: &'a str) -> Result<Object<'a>, FieldError> {
        match serde_json::from_str::<Members<'a>>(json) {
            Ok(Members(members)) => Ok(Object { path, members }),
            Err(_) => Err(FieldError { path, expected: "an object" }),
        }
    }

    /// The member as it is written; `None` if it is absent or `null`. Of a name that comes twice, the last.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.members.iter().rev().find(|(key, _)| key == name)?;
        (value.get() != "null").then_some(*value)
    }

    /// A nested object; one without members if it is absent.
    pub fn object(&self, name: &str) -> Result<Object<'a>, FieldError> {
        let path = self.path_of(name);
        match self.raw(name) {
            Some(value) => Object::at(path, value.get()),
            None => Ok(Object { path, members: Vec::new() }),
        }
    }

    /// The items of a list; none if it is absent.
    pub fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, FieldError> {
        let Some(value) = self.raw(name) else { return Ok(Vec::new()) };
        serde_json::from_str(value.get()).map_err(|_| self.error(name, "a list"))
    }

    /// Checks that a member is a list, or absent, without reading it.
    pub fn check_list(&self, name: &str) -> Result<(), FieldError> {
        match self.raw(name) {
            Some(value) if !value.get().starts_with('[') => Err(self.error(name, "a list")),
            _ => Ok(()),
        }
    }

    /// The objects of a list; none if it is absent. Items that are `null` are left out.
    pub fn objects(&self, name: &str) -> Result<Vec<Object<'a>>, FieldError> {
        let items = self.list(name)?.into_iter().filter(|item| item.get() != "null").enumerate();
        items.map(|(index, item)| Object::at(format!("{}[{index}]", self.path_of(name)), item.get())).collect()
    }

    /// Text. Numbers and booleans are taken as they are written.
    pub fn text(&self, name: &str) -> Result<Option<String>, FieldError> {
        self.raw(name).map(|value| scalar(value).ok_or_else(|| self.error(name, "text"))).transpose()
    }

    /// The texts of a list; none if it is absent.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, FieldError> {
        let items = self.list(name)?.into_iter().filter(|item| item.get() != "null");
        items.map(|item| scalar(item).ok_or_else(|| self.error(name, "a list of text"))).collect()
    }

    /// A whole number that fits 64 bits, written as a number or as text.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, FieldError> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.error(name, "a whole number"))
    }

    /// A decimal number, written as text (Wix's amounts) or as a number; exact, hence as text.
    pub fn decimal(&self, name: &str) -> Result<Option<String>, FieldError> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        if is_decimal(&text) { Ok(Some(text)) } else { Err(self.error(name, "a decimal number")) }
    }

    /// A point in time with `Z` or an offset; without either it is taken as UTC, which Wix's dates are in.
    pub fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, FieldError> {
        Ok(self.timestamp(name)?.map(|timestamp| match timestamp {
            Timestamp::Instant(instant) => instant,
            Timestamp::Local(local) => local.and_utc(),
        }))
    }

    /// A point in time, or the reading of a clock in an unknown time zone.
    pub fn timestamp(&self, name: &str) -> Result<Option<Timestamp>, FieldError> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        timestamp::parse(&text).map(Some).ok_or_else(|| self.error(name, "a date and time"))
    }

    /// A calendar date, `YYYY-MM-DD`.
    pub fn date(&self, name: &str) -> Result<Option<NaiveDate>, FieldError> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        NaiveDate::parse_from_str(&text, "%Y-%m-%d").map(Some).map_err(|_| self.error(name, "a date"))
    }

    /// An error about the member called `name`.
    pub fn error(&self, name: &str, expected: &'static str) -> FieldError {
        FieldError { path: self.path_of(name), expected }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Text without the spaces around it; `None` if nothing is left.
    fn filled_text(&self, name: &str) -> Result<Option<String>, FieldError> {
        Ok(self.text(name)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }
}

/// Text as it is meant, a number or boolean as it is written; `None` for an object or a list.
pub fn scalar(value: &RawValue) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get()).ok(),
        b'{' | b'[' => None,
        _ => Some(value.get().to_owned()),
    }
}

/// Digits with an optional sign, point and exponent: what Postgres reads as a finite `numeric`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let some_digits = !(whole.is_empty() && fraction.is_empty());
    some_digits && digits(whole) && digits(fraction) && !exponent.is_empty() && digits(exponent)
}

/// All members of an object in the order in which they stand.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

/// A member's name, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::{Object, is_decimal};

    #[test]
    fn absent_and_null_members_read_as_none() {
        let record = Object::parse(r#"{"a":null,"b":{"c":null}}"#).unwrap();
        assert_eq!(record.text("a").unwrap(), None);
        assert_eq!(record.object("b").unwrap().text("c").unwrap(), None);
        assert_eq!(record.object("x").unwrap().object("y").unwrap().text("z").unwrap(), None);
        assert!(record.list("a").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_path_and_never_the_value() {
        let record =
            Object::parse(r#"{"info":{"name":{"first":["Nadia"]},"emails":[{"email":{}}],"n":"12x"}}"#).unwrap();
        let info = record.object("info").unwrap();
        let name = info.object("name").unwrap();
        assert_eq!(name.text("first").unwrap_err().to_string(), "`info.name.first` is not text");
        assert_eq!(info.object("n").unwrap_err().to_string(), "`info.n` is not an object");
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
    fn decimals() {
        for good in ["0", "-12.5", "65.865", ".5", "5.", "1e3", "+1E-2"] {
            assert!(is_decimal(good), "{good}");
        }
        for bad in ["", ".", "-", "NaN", "Infinity", "1,000.00", "12 EUR", "0x1", "1e", "e5"] {
            assert!(!is_decimal(bad), "{bad}");
        }
    }
}
