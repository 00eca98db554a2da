//! A page that the reader passes on.

use chrono::{DateTime, Utc};

use crate::table::row::MappedRecord;

/// A page of mapped records, without those that came with an earlier page.
pub(in crate::sync) struct MappedPage {
    pub(in crate::sync) records: Vec<MappedRecord>,
    /// Number of these or the following records that came before in this pass.
    pub(in crate::sync) repeated: u64,
    /// True if this is the end of the list.
    pub(in crate::sync) at_end: bool,
    /// Wix's clock at the time of the response.
    pub(in crate::sync) server_time: Option<DateTime<Utc>>,
    /// Records created before this time came with this page or an earlier one.
    pub(in crate::sync) high_water_mark: Option<DateTime<Utc>>,
    /// The number of those records.
    pub(in crate::sync) records_before: u64,
    /// Number of records in the whole list, if Wix states it.
    pub(in crate::sync) total: Option<u64>,
    /// A warning that Wix ignores a filter.
    pub(in crate::sync) notice: Option<String>,
    pub(in crate::sync) repaired_characters: u64,
    /// Number of records that Wix announced and did not return, even when they were requested again: on this page, or
    /// with the last page in the whole list.
    pub(in crate::sync) shortfall: u64,
    /// True if more records came than can be remembered, so that missing ones are not noticed: see
    /// [`Pagination::is_overfull`](crate::sync::pagination::Pagination::is_overfull).
    pub(in crate::sync) is_overfull: bool,
    /// Size of the records' JSON, in bytes.
    pub(super) bytes: usize,
}
