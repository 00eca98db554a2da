//! The end of a list: checks whether as many records came as Wix announced.
//!
//! It sends another request only if the numbers differ, or if an earlier run read a part of the list.

use chrono::{DateTime, Utc};

use super::source::Source;
use crate::sync::pagination::{Conclusion, Pagination};
use crate::wix::WixError;

/// How many records Wix announced and did not return. `None` if the list is to be read again.
///
/// `changed_before` is the time of the first response if the list holds only what changed. A record that changed since
/// then may have entered the list behind the position that was read, so it is not counted.
pub(super) async fn conclude(
    pagination: &mut Pagination,
    source: &Source<'_>,
    is_full: bool,
    changed_before: Option<DateTime<Utc>>,
) -> Result<Option<u64>, WixError> {
    if let Some(from) = pagination.unconfirmed_start() {
        let whole = source.total(None, changed_before).await?;
        let window = match whole {
            Some(whole) if whole > pagination.record_count() => source.total(Some(from), changed_before).await?,
            _ => None,
        };
        if !pagination.confirm_start(whole, window) {
            return Ok(None);
        }
    }
    if pagination.shortfall() == 0 && !pagination.has_undated_to_compare() {
        return Ok(Some(0));
    }
    // Records may have been deleted while the list was read. A record counts as missing only if Wix still announces it.
    let whole = source.total(None, changed_before).await?;
    if !is_full {
        // A record that changed within the second of the first response may be missing. It comes when the list is read
        // again.
        pagination.allow_second_reading();
    }
    Ok(match pagination.conclude(whole) {
        Conclusion::Shortfall(count) => Some(count),
        Conclusion::ReadAgain => None,
    })
}
