//! One page of a listing, as Wix answered it.

use chrono::{DateTime, Utc};

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageRequest {
    /// The first page of a window, or a page at an offset in it (only contacts are paged by offset).
    Window {
        /// Only records created at this time or later.
        created_from: Option<DateTime<Utc>>,
        /// Records to pass over.
        offset: u64,
    },
    /// The page behind a cursor. Wix wants neither filter nor sort beside it (wix-api.md 4.1).
    Cursor(String),
}

/// One answer of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records as JSON text, in Wix's order.
    pub records: Vec<String>,
    /// Wix's word on what follows.
    pub next: NextPage,
    /// How many records the whole listing has, where Wix says so.
    pub total: Option<u64>,
    /// How many records are not in the list, though Wix counted them on this page: 0, unless something went wrong.
    pub lacking: u64,
    /// Wix's clock when it answered: the `Date` header.
    pub server_time: Option<DateTime<Utc>>,
    /// Characters that had to be removed or replaced to make the records storable.
    pub repaired_characters: u64,
}

/// What Wix has under an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Gone,
    /// This record, as JSON text.
    Alive(String),
    /// The record into which it was merged, as JSON text.
    Merged(String),
    /// Not clear: an empty page that is said not to be all, or not to be empty.
    Unclear,
}

/// How a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    /// At this cursor.
    Cursor(String),
    /// Not at all: Wix named no next cursor.
    End,
    /// Wix pages this listing by offset and names no end.
    ByOffset,
}
