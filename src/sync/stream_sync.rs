//! The loop: one page of records from Wix to COMMIT, again and again, until Wix says that there is no more.
//!
//! fetch a page -> map its records to rows -> gather a batch -> write it in one transaction -> tell.
//! Memory holds one batch and one page, whatever the size of the site.

use chrono::Utc;

use super::batch::{newest_by_id, write_isolating};
use super::walk::{Accepted, Walk};
use super::{Run, SyncError};
use crate::entity::{Entity, entity_of, map_record};
use crate::event::Event;
use crate::page::Page;
use crate::record::{MappedRecord, Rejection, Row, mark_of};
use crate::run::{PassKind, StreamSummary};
use crate::store::Store;
use crate::store::batch::BatchContext;
use crate::stream::Stream;
use crate::wix::{RequestCounter, Selection, WixError};

/// One stream's pass. What it did is in `summary`, also where it ends with an error.
pub async fn sync_stream(
    run: &Run<'_>,
    store: &mut Store,
    selection: &Selection,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let entity = entity_of(summary.stream);
    let counter = RequestCounter::default();
    let result = walk_listing(run, store, entity, selection, &counter, summary).await;
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
    selection: &Selection,
    counter: &RequestCounter,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let mut walk = Walk::default();
    let mut batch = Batch::new(entity, store).await?;
    let mut watermark = None;
    loop {
        run.stop.check()?;
        let page = match run.wix.fetch_page(entity.listing(), selection, walk.request(), counter).await {
            Err(WixError::CursorRefused { .. }) => {
                walk.restart()?;
                continue;
            }
            other => other?,
        };
        watermark = watermark.or(page.server_time);
        summary.repaired_characters += page.repaired_characters;

        let Some((records, at_end)) = map_page(entity, &mut walk, page)? else { continue };
        batch.gather(records);
        if batch.len() >= run.plan.batch_size || at_end {
            batch.commit(run, store, summary, walk.total()).await?;
        }
        if at_end {
            break;
        }
    }
    if summary.pass == PassKind::Full {
        store.finish_full_pass(summary.stream, run.run_id, watermark, Utc::now()).await?;
    }
    Ok(())
}

/// The records of a page that were not settled with an earlier one, and whether it was the last. `None` if
/// it does not follow the page before, so that the walk begins anew.
fn map_page(entity: &dyn Entity, walk: &mut Walk, page: Page) -> Result<Option<(Vec<MappedRecord>, bool)>, SyncError> {
    let records: Vec<MappedRecord> = page.records.into_iter().map(|raw| map_record(entity, raw)).collect();
    let marks: Vec<_> = records.iter().map(mark_of).collect();
    let Some(Accepted { is_new, at_end }) = walk.accept(&marks, &page.next, page.total)? else { return Ok(None) };
    let new = records.into_iter().zip(is_new).filter_map(|(record, is_new)| is_new.then_some(record));
    Ok(Some((new.collect(), at_end)))
}

/// The records that go into the next transaction.
struct Batch {
    stream: Stream,
    context: BatchContext,
    rows: Vec<Row>,
    rejections: Vec<Rejection>,
}

impl Batch {
    async fn new(entity: &dyn Entity, store: &Store) -> Result<Batch, SyncError> {
        let stream = entity.stream();
        let has_unresolved_errors = store.has_unresolved_errors(stream).await?;
        let context = BatchContext { stream, columns: entity.columns(), now: Utc::now(), has_unresolved_errors };
        Ok(Batch { stream, context, rows: Vec::new(), rejections: Vec::new() })
    }

    fn len(&self) -> usize {
        self.rows.len() + self.rejections.len()
    }

    fn gather(&mut self, records: Vec<MappedRecord>) {
        for record in records {
            match record {
                Ok(row) => self.rows.push(row),
                Err(rejection) => self.rejections.push(rejection),
            }
        }
    }

    /// Writes what was gathered, in transactions of at most the plan's batch size.
    async fn commit(
        &mut self,
        run: &Run<'_>,
        store: &mut Store,
        summary: &mut StreamSummary,
        total: Option<u64>,
    ) -> Result<(), SyncError> {
        self.context.now = Utc::now();
        let rows = newest_by_id(std::mem::take(&mut self.rows));
        let mut rejections = std::mem::take(&mut self.rejections);
        for part in rows.chunks(run.plan.batch_size) {
            let (outcome, refused) = write_isolating(store, &self.context, part).await?;
            rejections.extend(refused);
            let counts = &mut summary.counts;
            counts.inserted += outcome.inserted;
            counts.updated += outcome.updated;
            counts.unchanged += outcome.unchanged;
            counts.synced = counts.inserted + counts.updated + counts.unchanged;
            let record_count = counts.synced + counts.errors;
            run.reporter.report(Event::BatchCommitted { stream: self.stream, record_count, total });
        }
        store.save_rejections(self.stream, run.run_id, &rejections, self.context.now).await?;
        for rejection in rejections {
            run.reporter.report(Event::RecordRejected {
                stream: self.stream,
                wix_id: rejection.wix_id.as_deref(),
                reason: &rejection.reason,
            });
            summary.add_error(rejection.wix_id, rejection.reason);
        }
        Ok(())
    }
}

/// A site without the Wix app has no such records. That is fine while the table holds none either.
async fn app_not_installed(
    run: &Run<'_>,
    store: &Store,
    summary: &mut StreamSummary,
    error: &WixError,
) -> Result<(), SyncError> {
    let mut notice = error.to_string();
    if store.has_live_rows(summary.stream).await? {
        summary.incomplete = true;
        notice.push_str("; the table still holds rows from a time when it was, and they stay");
    }
    run.reporter.report(Event::Notice { stream: Some(summary.stream), text: &notice });
    summary.notices.push(notice);
    Ok(())
}
