//! Requests for pages of a list, and the pages that Wix returns.

use chrono::{DateTime, Utc};

/// The page of a list to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageRequest {
    /// The first page of a window, or a page at an offset in it (only contacts are paged by offset).
    Window {
        /// Only records created at this time or later.
        created_from: Option<DateTime<Utc>>,
        /// Records to skip.
        offset: u64,
    },
    /// The page behind a cursor. Wix accepts neither filter nor sort together with it (wix-api.md 4.1).
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
    /// Number of records in the whole list, if Wix reports it.
    pub total: Option<u64>,
    /// Number of records that Wix counted on this page but did not return: normally 0.
    pub shortfall: u64,
    /// Wix's clock at the time of the response: the header `Date`.
    pub server_time: Option<DateTime<Utc>>,
    /// Characters that were removed or replaced so that Postgres can store the records.
    pub repaired_characters: u64,
}

/// Result of a lookup by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Gone,
    /// As JSON text.
    Alive(String),
    /// Merged into this record, as JSON text.
    Merged(String),
    /// Unclear: an empty page, although Wix says that it has records or that more pages follow.
    Unclear,
}

/// How a list continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    Cursor(String),
    /// Wix named no next cursor.
    End,
    /// The list has offset paging, and Wix does not mark its end.
    ByOffset,
}
