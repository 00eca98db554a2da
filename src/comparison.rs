//! How a table differs from what Wix lists, found by `verify` and `sync --dry-run`. Ids and paths, never a value of a
//! record.

use std::collections::HashMap;

use serde::Serialize;

use crate::run::{PassKind, UnreadableFields};
use crate::table::Table;
use crate::table::hash::ContentHash;

/// Maximum ids remembered of each kind, so that memory does not depend on how much is wrong.
pub const MAX_REMEMBERED: usize = 10_000;

/// An outdated row, and what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub wix_id: String,
    /// Paths of the record's fields that differ; never their values.
    pub members: Vec<String>,
    /// Columns that do not hold what the mapping makes of the record, where the record itself is the same.
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub table: &'static Table,
    pub pass: PassKind,
    pub listed: u64,
    /// Listed records that the table does not have, or has as deleted: a sync would insert or restore them.
    pub missing: u64,
    /// Listed records of which the table has another version: a sync would update them. For `verify` also rows with a
    /// column that something else changed.
    pub outdated: u64,
    /// Listed records that the table has unchanged.
    pub current: u64,
    /// Listed records that could not be mapped: a sync would store them in `sync_errors`.
    pub unreadable: u64,
    /// Columns that are null in some of the records because Wix's value could not be read. Not a difference: the table
    /// has null as well.
    pub unreadable_fields: UnreadableFields,
    /// For `verify`: listed records that are in `sync_errors` already, unreadable or refused by Postgres. Not a
    /// difference.
    pub rejected: u64,
    /// The rejected records that are unreadable as well.
    #[serde(skip)]
    pub rejected_unreadable: u64,
    /// Live rows that Wix did not list: a sync would look them up by id, and mark them as deleted if they are gone.
    /// Only known if everything was read.
    pub unlisted: u64,
    pub requests: u64,
    /// True if the site does not have this Wix app.
    pub not_installed: bool,
    /// At most [`MAX_REMEMBERED`], like the lists below.
    pub missing_ids: Vec<String>,
    pub outdated_ids: Vec<String>,
    pub unlisted_ids: Vec<String>,
    /// Ids and reasons.
    pub unreadable_records: Vec<(Option<String>, String)>,
    pub rejected_records: Vec<(Option<String>, String)>,
    /// What differs, in some of the outdated rows.
    pub samples: Vec<Sample>,
    /// Sentences about what a sync would hold back, and about what cannot be known.
    pub notices: Vec<String>,
    /// Records that Wix announced and did not return.
    #[serde(skip)]
    pub shortfall: u64,
    /// The id of any record that Wix listed.
    #[serde(skip)]
    pub listed_id: Option<String>,
    /// Hashes of the list's copies of the remembered missing and outdated records: a copy by id can have other fields.
    #[serde(skip)]
    pub listed_hashes: HashMap<String, ContentHash>,
}

impl Comparison {
    pub fn of(table: &'static Table, pass: PassKind) -> Comparison {
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

    /// True if the table has rows and Wix listed none: that proves nothing about the rows.
    pub fn lists_nothing(&self) -> bool {
        self.listed == 0 && self.unlisted > 0
    }

    /// Number of differences between the table and Wix.
    pub fn gaps(&self) -> u64 {
        self.missing + self.outdated + self.new_unreadable() + self.unlisted
    }

    /// Unreadable records that no sync has stored in `sync_errors` yet.
    pub fn new_unreadable(&self) -> u64 {
        self.unreadable - self.rejected_unreadable
    }
}
