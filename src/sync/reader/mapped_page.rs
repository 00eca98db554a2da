//! A page on its way from the reader to what is done with it.

use chrono::{DateTime, Utc};

use crate::table::row::MappedRecord;

/// A page whose records are mapped, without those that came with an earlier one.
pub(in crate::sync) struct MappedPage {
    pub(in crate::sync) records: Vec<MappedRecord>,
    /// How many of these, or of those that follow, came in this pass before.
    pub(in crate::sync) repeated: u64,
    /// True if Wix says that there is no more.
    pub(in crate::sync) at_end: bool,
    /// Wix's clock at the time of the response.
    pub(in crate::sync) server_time: Option<DateTime<Utc>>,
    /// All records created before this time came with this page or an earlier one.
    pub(in crate::sync) high_water_mark: Option<DateTime<Utc>>,
    /// The number of those records.
    pub(in crate::sync) records_before: u64,
    /// Records in the whole list, if Wix tells.
    pub(in crate::sync) total: Option<u64>,
    /// A warning that Wix ignores a filter.
    pub(in crate::sync) notice: Option<String>,
    pub(in crate::sync) repaired_characters: u64,
    /// Records that Wix announced and did not return, even when requested again: on this page, or with the last page in
    /// the whole list.
    pub(in crate::sync) shortfall: u64,
    /// True if so many records came that it is not known whether some are missing: see
    /// [`Pagination::is_overfull`](crate::sync::pagination::Pagination::is_overfull).
    pub(in crate::sync) is_overfull: bool,
    /// The size of its records' JSON.
    pub(super) bytes: usize,
}
