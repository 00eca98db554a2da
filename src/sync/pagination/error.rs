//! Why a list cannot be read to its end.

/// Wix's responses do not make a whole list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaginationError {
    /// The same page or the same cursor comes again.
    #[error(
        "Wix answered the same page twice, or named the same cursor twice, so the listing can't be read to its end"
    )]
    RepeatedPage,
    /// Page after page without anything new, always with another cursor.
    #[error(
        "Wix's list does not end: page after page has no record, or only records that came before, with new cursors"
    )]
    Endless,
    /// The order changes from request to request.
    #[error("Wix lists its records in an order that changes from page to page, so some could be missed")]
    UnstableOrder,
    /// The cursor is refused again and again at the same place.
    #[error("Wix refuses its own cursors, and beginning anew brings nothing new")]
    NoProgress,
}
