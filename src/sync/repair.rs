//! Repairs the differences that a comparison found, and nothing else: each record is looked up by its id, and written as the
//! list returns it, so that the next comparison finds it unchanged.

use super::by_id::{Control, Unsettled, settle_as_listed};
use super::context::{Run, SyncError};
use super::deletions::settle_missing;
use super::warnings::{describe_empty_listing, describe_shortfall, warn_incomplete};
use crate::comparison::Comparison;
use crate::run::TableSummary;
use crate::store::Store;
use crate::table::Table;
use crate::wix::RequestCounter;

/// Fetches what is missing or outdated, and looks up the rows that Wix did not list, as carefully as a full pass.
pub(super) async fn repair(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    gaps: &Comparison,
    counter: &RequestCounter,
    summary: &mut TableSummary,
) -> Result<(), SyncError> {
    let listed_id = gaps.listed_id.as_deref();
    let to_fetch: Vec<&String> = gaps.missing_ids.iter().chain(&gaps.outdated_ids).collect();
    let (mut unsettled, mut control) = (Unsettled::default(), Control::with(listed_id));
    for wix_id in to_fetch {
        run.stop.check()?;
        let record = (wix_id.as_str(), gaps.listed_hashes.get(wix_id));
        let settled = settle_as_listed(run, store, table, record, &mut control, counter, summary).await?;
        if !unsettled.note(&settled) {
            break;
        }
    }
    if let Some(reasons) = unsettled.describe() {
        warn_incomplete(run, summary, format!("records that are missing or outdated stay so: {reasons}"));
    }
    let unlisted = &gaps.unlisted_ids;
    let is_cut = (gaps.missing_ids.len() + gaps.outdated_ids.len() + unlisted.len()) as u64
        != gaps.missing + gaps.outdated + gaps.unlisted;
    if gaps.lists_nothing() {
        warn_incomplete(run, summary, describe_empty_listing(table));
    } else if is_cut {
        warn_incomplete(
            run,
            summary,
            format!(
                "there are more gaps than are mended one by one: run `wix-sync sync {table} --full`, then verify again"
            ),
        );
    } else if !unlisted.is_empty() {
        store.retry(async |store| store.note_missing(table, unlisted, store.now()).await).await?;
        settle_missing(run, store, table, listed_id, counter, summary).await?;
    }
    if gaps.shortfall > 0 {
        warn_incomplete(run, summary, describe_shortfall(table, gaps.shortfall));
    }
    if gaps.rejected > 0 {
        let text =
            format!("{} rejected records stay in sync_errors: `wix-sync errors retry` tries them again", gaps.rejected);
        warn_incomplete(run, summary, text);
    }
    if gaps.new_unreadable() > 0 {
        let text = format!(
            "{} records of Wix can't become rows: run `wix-sync sync {table}`, which keeps them in sync_errors",
            gaps.new_unreadable()
        );
        warn_incomplete(run, summary, text);
    }
    Ok(())
}
