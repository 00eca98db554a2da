//! Why a list cannot be read to its end.

/// Wix's responses do not make a whole list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaginationError {
    /// The same page or the same cursor comes again.
    #[error("Wix returned the same page or the same cursor twice, so its list cannot be read to the end")]
    RepeatedPage,
    /// Page after page without anything new, always with another cursor.
    #[error(
        "Wix's list does not end: page after page has no record, or only records that came before, with new cursors"
    )]
    Endless,
    /// The order changes from request to request.
    #[error("the order of Wix's list changes from page to page, so records could be missed")]
    UnstableOrder,
    /// The cursor is refused again and again at the same place.
    #[error("Wix refuses its own cursors, and a restart returns no new records")]
    NoProgress,
}
