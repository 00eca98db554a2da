//! Field sets of contacts (v4): the fields of a contact that a response has.

use serde_json::{Map, Value};

use crate::reply::{Reply, field_violation};

/// The fields that `fields` may name.
const FIELDS: [&str; 17] = [
    "source",
    "createdDate",
    "updatedDate",
    "lastActivity",
    "primaryInfo",
    "info.name",
    "info.emails",
    "info.phones",
    "info.addresses",
    "info.company",
    "info.jobTitle",
    "info.picture",
    "info.birthdate",
    "info.locale",
    "info.labelKeys",
    "info.locations",
    "info.extendedFields",
];
const BASIC: [&str; 2] = ["primaryInfo", "info.name"];
const COMMUNICATION: [&str; 4] = ["info.name", "info.phones", "info.emails", "info.addresses"];
const EXTENDED: [&str; 3] = ["info.name", "primaryInfo", "info.extendedFields"];

/// The fields of each contact that a response has.
#[derive(Debug, PartialEq)]
pub(super) enum Projection {
    Full,
    /// The generator's output, unchanged.
    Basic,
    /// Id, revision and these.
    Some(Vec<String>),
}

impl Projection {
    /// Reads `fields` and `fieldsets`; both together give the union, neither gives everything.
    pub(super) fn new(fields: &[&str], fieldsets: &[&str]) -> Result<Self, Reply> {
        if fields.is_empty() && fieldsets.is_empty() {
            return Ok(Self::Full);
        }
        if fields.is_empty() && fieldsets == ["BASIC"] {
            return Ok(Self::Basic);
        }
        let mut kept: Vec<String> = Vec::new();
        for field in fields {
            let known = FIELDS.contains(field) || *field == "id" || *field == "revision";
            if !known && !field.starts_with("info.extendedFields.") {
                return Err(field_violation("fields", &format!("'{field}' is unknown")));
            }
            kept.push((*field).to_owned());
        }
        for set in fieldsets {
            let members: &[&str] = match *set {
                "FULL" => return Ok(Self::Full),
                "BASIC" => &BASIC,
                "COMMUNICATION_DETAILS" => &COMMUNICATION,
                "EXTENDED" => &EXTENDED,
                _ => {
                    let what = format!("'{set}' is unknown");
                    return Err(field_violation("fieldsets", &what));
                }
            };
            kept.extend(members.iter().map(|member| (*member).to_owned()));
        }
        Ok(Self::Some(kept))
    }

    /// The contact, reduced to these fields.
    pub(super) fn apply(&self, contact: &Value) -> Value {
        let basic: Vec<String> = BASIC.map(str::to_owned).into();
        let kept = match self {
            Self::Full => return contact.clone(),
            Self::Basic => &basic,
            Self::Some(kept) => kept,
        };
        let mut out = Map::new();
        for always in ["id", "revision"] {
            if let Some(value) = contact.get(always) {
                out.insert(always.to_owned(), value.clone());
            }
        }
        for path in kept {
            let steps: Vec<&str> = match path.strip_prefix("info.extendedFields.") {
                Some(key) => vec!["info", "extendedFields", "items", key],
                None => path.split('.').collect(),
            };
            copy(contact, &mut out, &steps);
        }
        Value::Object(out)
    }
}

fn copy(from: &Value, to: &mut Map<String, Value>, steps: &[&str]) {
    let Some((step, rest)) = steps.split_first() else {
        return;
    };
    let Some(inner) = from.get(step) else { return };
    if rest.is_empty() {
        to.insert((*step).to_owned(), inner.clone());
        return;
    }
    let slot = to.entry((*step).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(slot) = slot {
        copy(inner, slot, rest);
    }
}
