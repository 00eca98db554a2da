//! Placeholder customers that somebody deleted, made again from the bookings that name them.

use chrono::Utc;

use super::batch::persist;
use super::deletions::{hold_back, tell};
use super::{Run, SyncError};
use crate::run::StreamSummary;
use crate::store::Store;

/// Makes placeholders again that somebody deleted. Without this their appointments would stay without a customer until
/// the bookings change.
pub(super) async fn restore_placeholders(
    run: &Run<'_>,
    store: &mut Store,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let mut restored = 0;
    loop {
        run.stop.check()?;
        match persist(store, run.stop, async |store| store.restore_placeholders(Utc::now()).await).await {
            Ok(0) => break,
            Ok(count) => restored += count,
            // A constraint or trigger of the user's.
            Err(SyncError::Store(error)) if error.blames_a_row() => {
                hold_back(run, summary, error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if restored > 0 {
        let text =
            format!("{restored} customer(s) that bookings name were missing, and are made again from the bookings");
        tell(run, summary, text);
    }
    Ok(())
}
