//! Repairs the differences that a comparison found. Each record is looked up by its id and written as the list returns
//! it, so that the next comparison finds it up to date.

use super::by_id::Lookups;
use super::context::{Pass, SyncError};
use super::deletions::resolve_deletions;
use super::warnings::{describe_empty_listing, describe_shortfall};
use crate::diff::TableDiff;
use crate::number::grouped;

/// Fetches missing and different records, and looks up rows that Wix did not list, as a full sync does at its end.
pub(super) async fn repair(pass: &mut Pass<'_>, diff: &TableDiff) -> Result<(), SyncError> {
    let table = pass.table;
    let listed_id = diff.listed_id.as_deref();
    let to_fetch: Vec<&String> = diff.missing_ids.iter().chain(&diff.different_ids).collect();
    let mut lookups = Lookups::beside(listed_id).expecting(Some(to_fetch.len() as u64));
    for wix_id in to_fetch {
        lookups.resolve(pass, wix_id, diff.listed_hashes.get(wix_id)).await?;
        if lookups.gives_up() {
            break;
        }
    }
    if let Some(reasons) = lookups.describe() {
        pass.warn_incomplete(format!("missing or different records that could not be fixed: {reasons}"));
    }
    let not_in_wix_ids = &diff.not_in_wix_ids;
    let is_cut = (diff.missing_ids.len() + diff.different_ids.len() + not_in_wix_ids.len()) as u64
        != diff.missing + diff.different + diff.not_in_wix;
    if diff.lists_nothing() {
        pass.warn_incomplete(describe_empty_listing(table));
    } else if is_cut {
        pass.warn_incomplete(format!(
            "there are too many differences to fix one by one: run `wix-sync sync {table} --full`, then verify again"
        ));
    } else if !not_in_wix_ids.is_empty() {
        pass.store.retry(async |store| store.note_missing(table, not_in_wix_ids, store.now()).await).await?;
        resolve_deletions(pass, listed_id).await?;
    }
    if diff.shortfall > 0 {
        pass.warn_incomplete(describe_shortfall(table, diff.shortfall));
    }
    let known = diff.rejected - diff.new_rejected;
    if known > 0 {
        let text =
            format!("{} rejected records remain in sync_errors: `wix-sync errors retry` retries them", grouped(known));
        pass.warn_rejected(text);
    }
    if diff.new_rejected > 0 {
        let text = format!(
            "{} rejected records are not in sync_errors yet: `wix-sync sync {table}` stores them there",
            diff.new_rejected
        );
        pass.warn_rejected(text);
    }
    Ok(())
}
