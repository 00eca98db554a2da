//! Times in JSON output: RFC 3339 in UTC with milliseconds, always of the same length.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

pub fn text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// For `serialize_with`.
pub fn required<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    text(*instant).serialize(serializer)
}

/// For `serialize_with`.
pub fn optional<S: Serializer>(instant: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    instant.map(text).serialize(serializer)
}
