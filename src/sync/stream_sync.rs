//! The loop: one page of records from Wix to COMMIT, again and again, until Wix says that there is no more.
//!
//! fetch a page -> map its records to rows -> gather a batch -> write it in one transaction -> tell.
//! Memory holds one batch and one page, whatever the size of the site.

use chrono::{DateTime, Utc};

use super::batch::{Batch, ensure_connected, persist};
use super::coverage::Coverage;
use super::dead_letters::{Due, retry_errors};
use super::deletions::{hold_back, settle_missing};
use super::plan::{PassPlan, plan_pass};
use super::walk::{Accepted, Walk};
use super::{Run, SyncError};
use crate::entity::{Entity, entity_of, map_record};
use crate::event::Event;
use crate::record::{MappedRecord, mark_of};
use crate::run::{PassKind, StreamSummary};
use crate::store::Store;
use crate::store::state::Progress;
use crate::wix::{RequestCounter, Selection, WixError};

/// One stream's pass. What it did is in `summary`, also where it ends with an error.
pub async fn sync_stream(run: &Run<'_>, store: &mut Store, summary: &mut StreamSummary) -> Result<(), SyncError> {
    let entity = entity_of(summary.stream);
    let begun_at = Utc::now();
    ensure_connected(store, run.stop).await?;
    let counter = RequestCounter::default();
    let result = if summary.pass == PassKind::Errors {
        retry_errors(run, store, entity, Due::All, (None, begun_at), &counter, summary).await
    } else {
        let plan = match summary.pass {
            PassKind::Range => PassPlan::range(),
            _ => plan_pass(&store.load_stream_state(summary.stream).await?, run.plan.full, begun_at),
        };
        summary.pass = plan.checkpoint.pass;
        summary.resumed = plan.is_resumed;
        walk_listing(run, store, entity, plan, &counter, summary).await
    };
    summary.requests = counter.requests();
    summary.retries = counter.retries();
    match result {
        Err(SyncError::Wix(error @ WixError::AppNotInstalled { .. })) => {
            app_not_installed(run, store, summary, &error).await
        }
        other => other,
    }
}

async fn walk_listing(
    run: &Run<'_>,
    store: &mut Store,
    entity: &dyn Entity,
    plan: PassPlan,
    counter: &RequestCounter,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let begun_at = Utc::now();
    let mut checkpoint = plan.checkpoint;
    let selection = run.plan.selection(summary.stream, &checkpoint);
    let mut walk = Walk::starting_at(checkpoint.created_from);
    let mut batch = Batch::new(entity, store).await?;
    let mut coverage = Coverage::starting_at(checkpoint.created_from);
    let is_full = checkpoint.pass == PassKind::Full;
    let mut is_first_page = !plan.is_resumed;
    if is_full && !plan.is_resumed {
        persist(store, run.stop, async |store| store.clear_missing(entity.stream()).await).await?;
    }
    loop {
        let page = match next_page(run, entity, &selection, &mut walk, counter).await {
            Ok(page) => page,
            Err(error) => {
                // What was read is kept, whatever ended the reading.
                let progress = coverage.progress(&checkpoint, false);
                batch.commit(run, store, saved(&progress), summary, walk.total()).await?;
                return Err(error);
            }
        };
        // Only of the pass's very first answer: what changed before a later one may have been passed by.
        if std::mem::take(&mut is_first_page) {
            checkpoint.watermark = page.server_time;
        }
        ensure_connected(store, run.stop).await?;
        checkpoint.created_from = walk.frontier();
        summary.repaired_characters += page.repaired_characters;
        coverage.add(&page.records);
        batch.gather(page.records);
        if batch.len() >= run.plan.batch_size || page.at_end {
            let progress = coverage.progress(&checkpoint, page.at_end);
            batch.commit(run, store, saved(&progress), summary, walk.total()).await?;
        }
        if page.at_end {
            break;
        }
    }
    if is_full && !plan.is_resumed && coverage.is_empty() && store.has_live_rows(summary.stream).await? {
        let text = format!("Wix lists no {} at all, but the table holds rows: nothing was deleted", summary.stream);
        hold_back(run, summary, text);
    }
    if summary.pass != PassKind::Range {
        let (stream, listed_id) = (entity.stream(), coverage.listed_id());
        settle_missing(run, store, entity, listed_id, counter, summary).await?;
        if is_full && !plan.is_resumed && listed_id.is_some() {
            persist(store, run.stop, async |store| store.resolve_unlisted(stream, begun_at, Utc::now()).await).await?;
        }
        retry_errors(run, store, entity, Due::Daily, (listed_id, begun_at), counter, summary).await?;
        let now = Utc::now();
        persist(store, run.stop, async |store| store.finish_pass(stream, run.run_id, &checkpoint, now).await).await?;
    }
    Ok(())
}

/// What of the progress is kept for a later run: a range of time leaves the state of the passes alone.
fn saved(progress: &Progress) -> Option<&Progress> {
    (progress.checkpoint.pass != PassKind::Range).then_some(progress)
}

/// A page whose records are mapped, without those that were settled with an earlier one.
struct MappedPage {
    records: Vec<MappedRecord>,
    at_end: bool,
    server_time: Option<DateTime<Utc>>,
    repaired_characters: u64,
}

/// The next page of the walk. Where Wix refuses its own cursor, or a page does not follow the one before,
/// the walk begins anew at the last record's date.
async fn next_page(
    run: &Run<'_>,
    entity: &dyn Entity,
    selection: &Selection,
    walk: &mut Walk,
    counter: &RequestCounter,
) -> Result<MappedPage, SyncError> {
    loop {
        run.stop.check()?;
        let page = match run.wix.fetch_page(entity.listing(), selection, walk.request(), counter).await {
            Err(WixError::CursorRefused { .. }) => {
                walk.restart()?;
                continue;
            }
            other => other?,
        };
        let records: Vec<MappedRecord> = page.records.into_iter().map(|raw| map_record(entity, raw)).collect();
        let marks: Vec<_> = records.iter().map(mark_of).collect();
        if let Some(Accepted { is_new, at_end }) = walk.accept(&marks, &page.next, page.total)? {
            let new = records.into_iter().zip(is_new).filter_map(|(record, is_new)| is_new.then_some(record));
            return Ok(MappedPage {
                records: new.collect(),
                at_end,
                server_time: page.server_time,
                repaired_characters: page.repaired_characters,
            });
        }
    }
}

/// A site without the Wix app has no such records. That is fine while the table holds none either.
async fn app_not_installed(
    run: &Run<'_>,
    store: &Store,
    summary: &mut StreamSummary,
    error: &WixError,
) -> Result<(), SyncError> {
    if store.has_live_rows(summary.stream).await? {
        hold_back(run, summary, format!("{error}; the table still holds rows from a time when it was, and they stay"));
    } else {
        let notice = error.to_string();
        run.reporter.report(Event::Notice { stream: Some(summary.stream), text: &notice });
        summary.notices.push(notice);
    }
    Ok(())
}
