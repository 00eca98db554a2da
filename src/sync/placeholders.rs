//! Customers that only bookings name: restores deleted placeholders, and removes old booking data of deleted customers.

use super::by_id::{Resolved, Unresolved};
use super::context::{Pass, SyncError};
use crate::store::narrow::narrow;
use crate::store::{Store, StoreError};

/// Maximum number of customers per transaction.
const CHUNK: i64 = 1000;

/// Creates placeholders that were deleted manually, or that could not be created before. Otherwise their appointments
/// would have no customer until the bookings change.
pub(super) async fn restore_placeholders(pass: &mut Pass<'_>) -> Result<(), SyncError> {
    let (mut restored, mut unresolved, mut after) = (0, Unresolved::default(), String::new());
    loop {
        pass.run.stop.check()?;
        let lost = pass.store.retry(async |store| store.list_lost_placeholders(&after, CHUNK).await).await?;
        let Some(last) = lost.last() else { break };
        after.clone_from(last);
        let refused = narrow(&lost, async |part| {
            let restore = async |store: &mut Store| store.restore_placeholders(part, store.now()).await;
            restored += pass.store.retry(restore).await?;
            Ok(())
        });
        note_refused(&mut unresolved, refused.await?);
    }
    if restored > 0 {
        let text = format!(
            "{restored} customer(s) that bookings refer to were missing and were created again from the bookings"
        );
        pass.warn(text);
    }
    if let Some(reasons) = unresolved.describe() {
        pass.warn_incomplete(format!("customers that bookings refer to could not be created: {reasons}"));
    }
    Ok(())
}

/// Removes data that deleted customers still have from bookings that no longer exist, or that now name another contact.
pub(super) async fn erase_untold_customers(pass: &mut Pass<'_>) -> Result<(), SyncError> {
    let untold = pass.store.retry(async |store| store.list_untold_customers().await).await?;
    if untold.is_empty() {
        return Ok(());
    }
    let mut unresolved = Unresolved::default();
    let refused =
        narrow(&untold, async |part| pass.store.retry(async |store| store.erase_untold_customers(part).await).await);
    note_refused(&mut unresolved, refused.await?);
    if let Some(reasons) = unresolved.describe() {
        pass.warn_incomplete(format!("deleted customers still hold personal data: {reasons}"));
    }
    Ok(())
}

fn note_refused(unresolved: &mut Unresolved, refused: Vec<(&String, StoreError)>) {
    for (wix_id, error) in refused {
        unresolved.note(&Resolved::Refused(format!("{wix_id}: {error}")));
    }
}
