//! How Wix lists a kind of record.

/// How a listing is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// By offset and limit, without a cursor and without a mark of the end (contacts v4).
    Offset,
    /// By cursor (bookings, orders).
    Cursor,
}

/// How one record is looked up by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// With GET, at this path before the id and this query behind it.
    Get {
        /// Ends with a slash.
        path: &'static str,
        /// With its question mark, or empty.
        query: &'static str,
        /// The answer's field that holds the record.
        member: &'static str,
    },
    /// With the listing itself, filtered by id: there is no other way (bookings, wix-api.md 3.1).
    List,
}

/// Where Wix counts the records of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// In each answer of the list: `total`.
    Total,
    /// At this path, which takes a filter and answers `count`.
    At(&'static str),
    /// Nowhere.
    None,
}

/// One endpoint that lists records.
#[derive(Debug)]
pub struct Listing {
    /// The path below Wix's base URL.
    pub path: &'static str,
    /// The request's field that holds filter, sort and paging: `query` or `search`.
    pub envelope: &'static str,
    /// The answer's field that holds the records.
    pub items: &'static str,
    /// The answer's field that describes the page.
    pub metadata: &'static str,
    pub paging: Paging,
    /// Maximum records that Wix returns in one page.
    pub page_limit: u32,
    /// The field sets to request, if the endpoint has any.
    pub fieldsets: &'static [&'static str],
    pub lookup: Lookup,
    pub count: Count,
    /// The statuses of its records, if it does not return all of them by default.
    pub statuses: Option<Statuses>,
    /// What `doctor` calls the endpoint.
    pub api: &'static str,
    /// The permission that it needs, in the words of Wix's dashboard.
    pub permission: &'static str,
    /// The Wix app that must be on the site, as people call it.
    pub app: &'static str,
}

/// The statuses of a list that hides some of them unless a filter asks for them.
#[derive(Debug)]
pub struct Statuses {
    /// The statuses that the program knows.
    pub known: &'static [&'static str],
    /// Which of these are hidden by default.
    pub hidden: &'static [&'static str],
    /// Statuses that the list never returns.
    pub never: &'static [&'static str],
}
