//! How a table stands to what Wix lists: what `verify` and `sync --dry-run` find. Ids and paths, no value of a record.

use std::collections::HashMap;

use serde::Serialize;

use crate::content_hash::ContentHash;
use crate::run::{PassKind, UnreadableFields};
use crate::stream::Stream;

/// So many ids of each kind are remembered, lest memory depend on how much is wrong.
pub const MAX_REMEMBERED: usize = 10_000;

/// An outdated row, and what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Wix's id.
    pub wix_id: String,
    /// The paths of the record's members that differ; never their values.
    pub members: Vec<String>,
    /// The columns that do not hold what the record makes of them, where the record itself is the same.
    pub columns: Vec<String>,
}

/// How a table stands to what Wix lists.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Which table.
    #[serde(serialize_with = "table_name")]
    pub table: Stream,
    /// How Wix was read.
    pub pass: PassKind,
    /// Records that Wix listed.
    pub listed: u64,
    /// Of these, the ones that the table lacks or has as deleted: they would be inserted or come back.
    pub missing: u64,
    /// The ones that the table has in another version: they would be updated. For `verify` also rows of which somebody
    /// else changed a column.
    pub outdated: u64,
    /// The ones that the table has as Wix has them.
    pub current: u64,
    /// The ones that could not be read as a row: they would go to `sync_errors`.
    pub unreadable: u64,
    /// Columns that are null in some of the records, because Wix sent something for them that could not be read. Not a
    /// difference: the table has null as well.
    pub unreadable_fields: UnreadableFields,
    /// For `verify`: the ones that wait in `sync_errors` already, be they unreadable or refused by Postgres. They are no
    /// difference.
    pub rejected: u64,
    /// Those of the rejected ones that are unreadable as well.
    #[serde(skip)]
    pub rejected_unreadable: u64,
    /// Live rows that Wix did not list: they would be asked for by id, and be marked as deleted if they are gone. Only
    /// where everything was read.
    pub unlisted: u64,
    /// Requests to Wix.
    pub requests: u64,
    /// True if the site has no such Wix app.
    pub not_installed: bool,
    /// Ids of missing records, the first of them.
    pub missing_ids: Vec<String>,
    /// Ids of outdated rows, the first of them.
    pub outdated_ids: Vec<String>,
    /// Ids of unlisted rows, the first of them.
    pub unlisted_ids: Vec<String>,
    /// Ids and reasons of unreadable records, the first of them.
    pub unreadable_records: Vec<(Option<String>, String)>,
    /// Ids and reasons of rejected records, the first of them.
    pub rejected_records: Vec<(Option<String>, String)>,
    /// What differs in some of the outdated rows.
    pub samples: Vec<Sample>,
    /// What a sync would hold back, or can't be known, in sentences.
    pub notices: Vec<String>,
    /// Records that Wix announced and did not return.
    #[serde(skip)]
    pub shortfall: u64,
    /// Some record that Wix listed.
    #[serde(skip)]
    pub listed_id: Option<String>,
    /// What the list's copy of each remembered missing or outdated record is: a copy by id can have other fields.
    #[serde(skip)]
    pub listed_hashes: HashMap<String, ContentHash>,
}

fn table_name<S: serde::Serializer>(stream: &Stream, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stream.table())
}

impl Comparison {
    /// Nothing read yet.
    pub fn of(table: Stream, pass: PassKind) -> Comparison {
        Comparison {
            table,
            pass,
            listed: 0,
            missing: 0,
            outdated: 0,
            current: 0,
            unreadable: 0,
            unreadable_fields: UnreadableFields::default(),
            rejected: 0,
            rejected_unreadable: 0,
            unlisted: 0,
            requests: 0,
            not_installed: false,
            missing_ids: Vec::new(),
            outdated_ids: Vec::new(),
            unlisted_ids: Vec::new(),
            unreadable_records: Vec::new(),
            rejected_records: Vec::new(),
            samples: Vec::new(),
            notices: Vec::new(),
            shortfall: 0,
            listed_id: None,
            listed_hashes: HashMap::new(),
        }
    }

    /// True if Wix listed nothing at all of what the table holds: that proves nothing about its rows.
    pub fn lists_nothing(&self) -> bool {
        self.listed == 0 && self.unlisted > 0
    }

    /// How much of the table is not as Wix has it.
    pub fn gaps(&self) -> u64 {
        self.missing + self.outdated + self.new_unreadable() + self.unlisted
    }

    /// Unreadable records that no sync has put into `sync_errors` yet.
    pub fn new_unreadable(&self) -> u64 {
        self.unreadable - self.rejected_unreadable
    }
}
