//! How a table differs from Wix, found by `verify` and `sync --dry-run`. Ids and paths, never a value of a
//! record.

use std::collections::HashMap;

use serde::Serialize;

use crate::run::{ErrorDetail, PassKind, UnreadableFields};
use crate::table::Table;
use crate::table::hash::ContentHash;

/// Maximum ids remembered of each kind, so that memory does not depend on how much is wrong.
pub const MAX_REMEMBERED: usize = 10_000;

/// A different row, and what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub wix_id: String,
    /// Paths of the record's fields that differ; never their values.
    pub fields: Vec<String>,
    /// Columns that do not hold what the mapping makes of the record, where the record itself is the same.
    pub columns_changed_locally: Vec<String>,
}

/// What `verify` and `sync --dry-run` found in one table.
#[derive(Clone, Debug)]
pub struct TableDiff {
    pub table: &'static Table,
    pub pass: PassKind,
    /// Records that Wix's list returned.
    pub records: u64,
    /// Records without a live row: a sync would insert or restore them.
    pub missing: u64,
    /// Records of which the table has another version: a sync would update them. For `verify` also rows with a column
    /// that was changed locally.
    pub different: u64,
    pub up_to_date: u64,
    /// Records that cannot be written. They are in `sync_errors`, or a sync would store them there.
    pub rejected: u64,
    /// Rejected records that are not in `sync_errors` yet. Only these are differences.
    pub new_rejected: u64,
    /// Columns that are null in some of the records because Wix's value could not be read. Not a difference: the table
    /// has null as well.
    pub unreadable_fields: UnreadableFields,
    /// Live rows that Wix's list did not return: pending deletions. Only known if everything was read.
    pub not_in_wix: u64,
    pub requests: u64,
    /// True if the site does not have this Wix app.
    pub not_installed: bool,
    /// At most [`MAX_REMEMBERED`], like the lists below.
    pub missing_ids: Vec<String>,
    pub different_ids: Vec<String>,
    pub not_in_wix_ids: Vec<String>,
    pub rejections: Vec<ErrorDetail>,
    /// What differs, in some of the different rows.
    pub samples: Vec<Sample>,
    /// Sentences about what a sync would not do, and about what cannot be known.
    pub notices: Vec<String>,
    /// Records that Wix announced and did not return.
    pub shortfall: u64,
    /// The id of any record that Wix's list returned.
    pub listed_id: Option<String>,
    /// Hashes of the list's copies of the remembered missing and different records: a copy by id can have other fields.
    pub listed_hashes: HashMap<String, ContentHash>,
}

impl TableDiff {
    pub fn of(table: &'static Table, pass: PassKind) -> TableDiff {
        TableDiff {
            table,
            pass,
            records: 0,
            missing: 0,
            different: 0,
            up_to_date: 0,
            rejected: 0,
            new_rejected: 0,
            unreadable_fields: UnreadableFields::default(),
            not_in_wix: 0,
            requests: 0,
            not_installed: false,
            missing_ids: Vec::new(),
            different_ids: Vec::new(),
            not_in_wix_ids: Vec::new(),
            rejections: Vec::new(),
            samples: Vec::new(),
            notices: Vec::new(),
            shortfall: 0,
            listed_id: None,
            listed_hashes: HashMap::new(),
        }
    }

    /// True if the table has rows and Wix's list is empty: that proves nothing about the rows.
    pub fn lists_nothing(&self) -> bool {
        self.records == 0 && self.not_in_wix > 0
    }

    /// Number of differences between the table and Wix.
    pub fn differences(&self) -> u64 {
        self.missing + self.different + self.new_rejected + self.not_in_wix
    }
}
