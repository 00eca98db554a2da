//! Why a list cannot be read to its end.

/// Wix's responses do not form a complete list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaginationError {
    /// The same page or the same cursor came again.
    #[error("Wix returned the same page or the same cursor twice, so its list cannot be read to the end")]
    RepeatedPage,
    /// Many pages in a row had nothing new, each with another cursor.
    #[error(
        "Wix's list does not end: page after page has no record, or only records that came before, with new cursors"
    )]
    Endless,
    /// The order changed from request to request.
    #[error("the order of Wix's list changes from page to page, so records could be missed")]
    UnstableOrder,
    /// Wix refused the cursor several times at the same position.
    #[error("Wix refuses its own cursors, and a restart returns no new records")]
    NoProgress,
}
