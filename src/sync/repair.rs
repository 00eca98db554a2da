//! Repairs the differences that a comparison found, and nothing else: each record is looked up by its id, and written as the
//! list returns it, so that the next comparison finds it unchanged.

use super::by_id::Lookups;
use super::context::{Pass, SyncError};
use super::deletions::resolve_deletions;
use super::warnings::{describe_empty_listing, describe_shortfall};
use crate::comparison::Comparison;

/// Fetches what is missing or outdated, and looks up the rows that Wix did not list, as carefully as a full pass.
pub(super) async fn repair(pass: &mut Pass<'_>, gaps: &Comparison) -> Result<(), SyncError> {
    let table = pass.table;
    let listed_id = gaps.listed_id.as_deref();
    let to_fetch: Vec<&String> = gaps.missing_ids.iter().chain(&gaps.outdated_ids).collect();
    let mut lookups = Lookups::beside(listed_id).expecting(Some(to_fetch.len() as u64));
    for wix_id in to_fetch {
        lookups.resolve(pass, wix_id, gaps.listed_hashes.get(wix_id)).await?;
        if lookups.gives_up() {
            break;
        }
    }
    if let Some(reasons) = lookups.describe() {
        pass.warn_incomplete(format!("records that are missing or outdated stay so: {reasons}"));
    }
    let unlisted = &gaps.unlisted_ids;
    let is_cut = (gaps.missing_ids.len() + gaps.outdated_ids.len() + unlisted.len()) as u64
        != gaps.missing + gaps.outdated + gaps.unlisted;
    if gaps.lists_nothing() {
        pass.warn_incomplete(describe_empty_listing(table));
    } else if is_cut {
        pass.warn_incomplete(format!(
            "there are more gaps than are mended one by one: run `wix-sync sync {table} --full`, then verify again"
        ));
    } else if !unlisted.is_empty() {
        pass.store.retry(async |store| store.note_missing(table, unlisted, store.now()).await).await?;
        resolve_deletions(pass, listed_id).await?;
    }
    if gaps.shortfall > 0 {
        pass.warn_incomplete(describe_shortfall(table, gaps.shortfall));
    }
    if gaps.rejected > 0 {
        let text =
            format!("{} rejected records stay in sync_errors: `wix-sync errors retry` tries them again", gaps.rejected);
        pass.warn_rejected(text);
    }
    if gaps.new_unreadable() > 0 {
        let text = format!(
            "{} records of Wix can't become rows: run `wix-sync sync {table}`, which keeps them in sync_errors",
            gaps.new_unreadable()
        );
        pass.warn_rejected(text);
    }
    Ok(())
}
