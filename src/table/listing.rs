//! The endpoints with which Wix lists, looks up and counts records.

/// The kind of paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// By offset and limit, without a cursor and without an end marker (contacts v4).
    Offset,
    /// By cursor (bookings, orders).
    Cursor,
}

/// How to look up one record by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// With GET. The URL is this path, the id, and this query.
    Get {
        /// Ends with a slash.
        path: &'static str,
        /// With its question mark, or empty.
        query: &'static str,
        /// The response's field that contains the record.
        member: &'static str,
    },
    /// With the list endpoint and a filter by id, because there is no other endpoint (bookings, wix-api.md 3.1).
    List,
}

/// Where Wix states the number of records of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// In each response of the list: `total`.
    Total,
    /// At this path, which takes a filter and returns `count`.
    At(&'static str),
    /// Nowhere.
    None,
}

/// One endpoint that lists records.
#[derive(Debug)]
pub struct Listing {
    /// The path below Wix's base URL.
    pub path: &'static str,
    /// The request's field that contains filter, sort and paging: `query` or `search`.
    pub envelope: &'static str,
    /// The response's field that contains the records.
    pub items: &'static str,
    /// The response's field that describes the page.
    pub metadata: &'static str,
    pub paging: Paging,
    /// Maximum number of records that Wix returns per page.
    pub page_limit: u32,
    /// The field sets to request, if the endpoint has any.
    pub fieldsets: &'static [&'static str],
    pub lookup: Lookup,
    pub count: Count,
    /// The statuses of its records, if it does not return all of them by default.
    pub statuses: Option<Statuses>,
    /// The endpoint's name in `doctor`.
    pub api: &'static str,
    /// The required permission, as named in Wix's dashboard.
    pub permission: &'static str,
    /// The Wix app that must be installed on the site, as named in the App Market.
    pub app: &'static str,
}

/// The statuses of a list that hides some of them unless a filter names them.
#[derive(Debug)]
pub struct Statuses {
    /// The statuses that the program knows.
    pub known: &'static [&'static str],
    /// Those of them that are hidden by default.
    pub hidden: &'static [&'static str],
    /// Statuses that the list never returns.
    pub never: &'static [&'static str],
}
