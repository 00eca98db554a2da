//! The differences between a table and Wix, found by `verify` and `sync --dry-run`: ids and paths, no values of
//! records.

use std::collections::HashMap;

use serde::Serialize;

use crate::run::{ErrorDetail, PassKind, UnreadableFields};
use crate::table::Table;
use crate::table::hash::ContentHash;

/// Maximum number of remembered ids of each kind, so that memory does not depend on the number of differences.
pub const MAX_REMEMBERED: usize = 10_000;

/// A different row, with its differences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub wix_id: String,
    /// Paths of the differing fields, without their values.
    pub fields: Vec<String>,
    /// Columns that differ from the mapped record although the record itself is the same.
    pub columns_changed_locally: Vec<String>,
}

/// What `verify` and `sync --dry-run` found in one table.
#[derive(Clone, Debug)]
pub struct TableDiff {
    pub table: &'static Table,
    pub pass: PassKind,
    /// Number of records that Wix's list returned.
    pub records: u64,
    /// Records without a live row: a sync would insert or restore them.
    pub missing: u64,
    /// Records with another version in the table: a sync would update them. For `verify` also rows with a locally
    /// changed column.
    pub different: u64,
    pub up_to_date: u64,
    /// Records that cannot be written. They are in `sync_errors`, or a sync would store them there.
    pub rejected: u64,
    /// Rejected records that are not yet in `sync_errors`. Only these are differences.
    pub new_rejected: u64,
    /// Columns that are null in some records because Wix's value could not be read. Not a difference, because the
    /// column is null in the table too.
    pub unreadable_fields: UnreadableFields,
    /// Live rows that Wix's list did not return: pending deletions. Known only after a full read.
    pub not_in_wix: u64,
    pub requests: u64,
    /// True if the site does not have this Wix app.
    pub not_installed: bool,
    /// At most [`MAX_REMEMBERED`], like the lists below.
    pub missing_ids: Vec<String>,
    pub different_ids: Vec<String>,
    pub not_in_wix_ids: Vec<String>,
    pub rejections: Vec<ErrorDetail>,
    /// The differences of some of the different rows.
    pub samples: Vec<Sample>,
    /// Sentences about what a sync would not do, and what is not known.
    pub notices: Vec<String>,
    /// Number of records that Wix announced and did not return.
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

    /// True if the table has rows and Wix's list is empty, which proves nothing about the rows.
    pub fn lists_nothing(&self) -> bool {
        self.records == 0 && self.not_in_wix > 0
    }

    /// Number of differences between the table and Wix.
    pub fn differences(&self) -> u64 {
        self.missing + self.different + self.new_rejected + self.not_in_wix
    }
}
