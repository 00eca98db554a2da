//! Opaque cursors: they contain the whole state of a pagination, so the server keeps nothing between pages.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::fields::Dialect;
use super::value::Scalar;

/// The state in a cursor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) dialect: Dialect,
    pub(crate) filter: Value,
    pub(crate) sort: Value,
    pub(crate) limit: usize,
    pub(crate) place: Place,
    /// Cursors of an older generation have expired.
    pub(crate) generation: u64,
    /// Makes two cursors to the same position differ, if requested.
    pub(crate) nonce: u64,
}

/// Where a page starts or ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// After the record with these sort values and this id.
    After(Vec<Scalar>, u128),
    /// Before it: the page ends there.
    Before(Vec<Scalar>, u128),
    /// At this many records from the first.
    Offset(usize),
}

impl Cursor {
    pub(crate) fn encode(&self) -> String {
        let (kind, key, id, offset) = match &self.place {
            Place::After(key, id) => ("a", key.as_slice(), *id, 0),
            Place::Before(key, id) => ("b", key.as_slice(), *id, 0),
            Place::Offset(offset) => ("o", [].as_slice(), 0, *offset),
        };
        let key: Vec<Value> = key.iter().map(scalar_to_json).collect();
        let text = json!({
            "d": self.dialect as u8, "f": self.filter, "s": self.sort, "l": self.limit,
            "p": kind, "k": key, "i": format!("{id:x}"), "o": offset,
            "g": self.generation, "n": self.nonce,
        })
        .to_string();
        let signed = format!("{:016x}{text}", checksum(&text));
        URL_SAFE_NO_PAD.encode(signed)
    }

    /// Reads a cursor of this endpoint and generation; `None` for anything else.
    pub(crate) fn decode(text: &str, dialect: Dialect, generation: u64) -> Option<Self> {
        let signed = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (sum, text) = signed.split_at_checked(16)?;
        if u64::from_str_radix(sum, 16).ok()? != checksum(text) {
            return None;
        }
        let value: Value = serde_json::from_str(text).ok()?;
        if value["d"].as_u64()? != dialect as u64 || value["g"].as_u64()? != generation {
            return None;
        }
        let key = || -> Option<Vec<Scalar>> {
            let list = value["k"].as_array()?;
            Some(list.iter().map(scalar_from_json).collect())
        };
        let id = u128::from_str_radix(value["i"].as_str()?, 16).ok()?;
        let place = match value["p"].as_str()? {
            "a" => Place::After(key()?, id),
            "b" => Place::Before(key()?, id),
            _ => Place::Offset(value["o"].as_u64()? as usize),
        };
        Some(Self {
            dialect,
            filter: value["f"].clone(),
            sort: value["s"].clone(),
            limit: value["l"].as_u64()? as usize,
            place,
            generation,
            nonce: value["n"].as_u64()?,
        })
    }
}

fn checksum(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    ("a cursor of the simulator", text).hash(&mut hasher);
    hasher.finish()
}

fn scalar_to_json(value: &Scalar) -> Value {
    match value {
        Scalar::Missing => Value::Null,
        Scalar::Bool(flag) => json!(flag),
        Scalar::Instant(at) => json!({ "at": at }),
        Scalar::Number(number) => json!(number),
        Scalar::Text(text) => json!(text),
    }
}

fn scalar_from_json(value: &Value) -> Scalar {
    match value {
        Value::Bool(flag) => Scalar::Bool(*flag),
        Value::Number(number) => Scalar::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) => Scalar::Text(text.clone()),
        Value::Object(_) => value["at"].as_i64().map_or(Scalar::Missing, Scalar::Instant),
        Value::Null | Value::Array(_) => Scalar::Missing,
    }
}
