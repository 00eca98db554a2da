//! The end of a full sync: looks up rows that Wix did not list, and marks those that are gone as deleted.
//!
//! A list alone deletes nothing. First the pending deletions are counted. If there are too many, the list is probably
//! wrong, and an operator has to allow them. Then each is looked up ([`super::by_id`]). Where the lookup reads the same
//! index as the list (bookings), a second lookup a day later has to confirm "not found".

use chrono::{DateTime, Utc};

use super::by_id::{Lookups, Resolved, needs_confirmation};
use super::context::{Pass, Run, SyncError};
use crate::number::grouped;
use crate::store::Store;
use crate::store::missing::{MissingCount, Scope};
use crate::table::Table;

/// Number of pending deletions read from the database per query.
const CHUNK: i64 = 500;

/// Maximum number of deleted customers that a full sync looks up again.
const MAX_FOLLOWED: i64 = 100;

/// Why the deletions are blocked; `None` if there are not too many, or if an operator allows them.
pub(super) fn refuse_mass_deletion(run: &Run<'_>, table: &'static Table, count: MissingCount) -> Option<String> {
    let how_often = if needs_confirmation(table) { "now, and again a day later," } else { "once" };
    (count.exceeds_limit() && !run.plan.allow_mass_delete).then(|| {
        format!(
            "deletions are blocked by the safety limit: {} of {} rows are pending deletion, which is more than 10 %; \
             if the deletions are real, run {how_often} with --allow-mass-delete",
            grouped(count.missing),
            grouped(count.live)
        )
    })
}

/// Looks up each pending deletion by its id, unless the safety limit blocks that, and reports how many wait for their
/// second lookup. `listed_id` is a record that Wix listed in this pass.
pub(super) async fn resolve_deletions(pass: &mut Pass<'_>, listed_id: Option<&str>) -> Result<(), SyncError> {
    let table = pass.table;
    if !pass.store.retry(async |store| store.has_missing(table).await).await? {
        return Ok(());
    }
    resolve_due(pass, listed_id).await?;
    if needs_confirmation(table) {
        let waiting = pass.store.retry(async |store| store.count_waiting(table).await).await?;
        if waiting > 0 {
            pass.warn(describe_waiting(table, waiting));
        }
    }
    Ok(())
}

fn describe_waiting(table: &'static Table, count: u64) -> String {
    let (are, they_are) = if count == 1 { ("is", "it is") } else { ("are", "they are") };
    let noun = if count == 1 { table.name.trim_end_matches('s') } else { table.name };
    format!(
        "{} {noun} {are} no longer returned by Wix; {they_are} marked as deleted if that is still so in a day \
         (Wix's lookup by id reads the same index as its list, which may have a hole)",
        grouped(count)
    )
}

async fn resolve_due(pass: &mut Pass<'_>, listed_id: Option<&str>) -> Result<(), SyncError> {
    let (table, begun_at) = (pass.table, pass.store.now());
    let list = async |store: &mut Store, scope, limit| store.list_missing(table, scope, begun_at, limit).await;
    if pass.store.retry(async |store| list(store, Scope::All, 1).await).await?.is_empty() {
        return Ok(());
    }
    let pending = pass.store.retry(async |store| store.count_missing(table).await).await?;
    let mut scope = Scope::All;
    if let Some(text) = refuse_mass_deletion(pass.run, table, pending.limited) {
        pass.warn_incomplete(text);
        scope = Scope::Placeholders;
    }
    let count = match scope {
        Scope::All => pending.limited.missing + pending.placeholders,
        Scope::Placeholders => pending.placeholders,
    };
    if count == 0 {
        return Ok(());
    }
    let mut lookups = Lookups::beside(listed_id).expecting(Some(count));
    if let Some(why) = lookups.why_unreadable(pass).await? {
        pass.warn_incomplete(format!(
            "{} rows are pending deletion, but a record that Wix has cannot be looked up by id either: \
             nothing was deleted ({why})",
            grouped(count)
        ));
        return Ok(());
    }
    while !lookups.gives_up() {
        let candidates = pass.store.retry(async |store| list(store, scope, CHUNK).await).await?;
        if candidates.is_empty() {
            break;
        }
        for wix_id in &candidates {
            let resolved = lookups.resolve(pass, wix_id, None).await?;
            if !matches!(resolved, Resolved::Yes | Resolved::Waiting) {
                let now = pass.store.now();
                pass.store.retry(async |store| store.note_tried_missing(table, wix_id, now).await).await?;
            }
            if lookups.gives_up() {
                break;
            }
        }
    }
    if let Some(reasons) = lookups.describe() {
        pass.warn_incomplete(format!("pending deletions could not be resolved: {reasons}"));
    }
    Ok(())
}

/// Looks up deleted customers again that appointments or orders still link to. A contact may have been restored and
/// then merged between two runs; Wix then returns the contact into which it was merged. `begun_at` is when this pass
/// started. A failed lookup is only reported, and the next full sync tries again.
pub(super) async fn follow_merges(pass: &mut Pass<'_>, begun_at: DateTime<Utc>) -> Result<(), SyncError> {
    let list = async |store: &mut Store| store.list_maybe_merged(begun_at, MAX_FOLLOWED).await;
    let candidates = pass.store.retry(list).await?;
    let mut lookups = Lookups::default().expecting(Some(candidates.len() as u64));
    for wix_id in candidates {
        lookups.follow(pass, &wix_id).await?;
        if lookups.gives_up() {
            break;
        }
    }
    if let Some(reasons) = lookups.describe() {
        pass.warn(format!("could not check whether deleted customers were merged: {reasons}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::describe_waiting;
    use crate::table::APPOINTMENTS;

    #[test]
    fn blocked_deletions_have_singular_and_plural() {
        let text = |count| describe_waiting(&APPOINTMENTS, count);
        assert!(text(1).starts_with("1 appointment is no longer returned by Wix; it is marked"), "{}", text(1));
        assert!(text(2).starts_with("2 appointments are no longer returned by Wix; they are marked"), "{}", text(2));
    }
}
