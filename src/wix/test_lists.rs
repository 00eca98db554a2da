//! Lists for the tests of requests and responses.

use crate::table::listing::{Count, Listing, Lookup, Paging, Statuses};

/// A list with offset paging.
pub(super) const OFFSET: Listing = Listing {
    path: "/things",
    envelope: "query",
    items: "things",
    metadata: "pagingMetadata",
    paging: Paging::Offset,
    page_limit: 1000,
    fieldsets: &["FULL"],
    lookup: Lookup::List,
    count: Count::None,
    statuses: None,
    api: "things API",
    permission: "Read Things",
    app: "Wix Things",
};

/// A list with cursor paging and statuses.
pub(super) const CURSOR: Listing = Listing {
    envelope: "search",
    paging: Paging::Cursor,
    page_limit: 100,
    fieldsets: &[],
    statuses: Some(Statuses { known: &["A", "B"], hidden: &["B"], never: &["C"] }),
    ..OFFSET
};
