//! Pages of a list: how they are requested, and what Wix returns.

use chrono::{DateTime, Utc};

/// Which page of a list is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageRequest {
    /// The first page of a window, or a page at an offset in it (only contacts are paged by offset).
    Window {
        /// Only records created at this time or later.
        created_from: Option<DateTime<Utc>>,
        /// Records to skip.
        offset: u64,
    },
    /// The page behind a cursor. Wix accepts neither filter nor sort with it (wix-api.md 4.1).
    Cursor(String),
}

impl PageRequest {
    /// The first page of the records created at this time or later; of all records if it is `None`.
    pub fn starting_at(created_from: Option<DateTime<Utc>>) -> PageRequest {
        PageRequest::Window { created_from, offset: 0 }
    }
}

impl Default for PageRequest {
    fn default() -> PageRequest {
        PageRequest::starting_at(None)
    }
}

#[derive(Clone, Debug)]
pub struct Page {
    /// The records as JSON text, in Wix's order.
    pub records: Vec<String>,
    pub next: NextPage,
    /// Records in the whole list, if Wix tells.
    pub total: Option<u64>,
    /// Records that Wix counted on this page but did not return: 0 unless something went wrong.
    pub shortfall: u64,
    /// Wix's clock at the time of the response: the header `Date`.
    pub server_time: Option<DateTime<Utc>>,
    /// Characters that were removed or replaced so that Postgres can store the records.
    pub repaired_characters: u64,
}

/// What Wix returned for an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Gone,
    /// As JSON text.
    Alive(String),
    /// The record into which it was merged, as JSON text.
    Merged(String),
    /// Not clear: an empty page, although Wix says that there is more or that it is not empty.
    Unclear,
}

/// How a list continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    Cursor(String),
    /// Wix named no next cursor.
    End,
    /// Wix pages this list by offset and marks no end.
    ByOffset,
}
