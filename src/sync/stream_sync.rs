//! One stream's pass: page after page from Wix to COMMIT, until Wix says that there is no more.
//!
//! read pages (`super::reader`) -> gather a batch -> write it and the checkpoint in one transaction -> tell.
//! Behind the walk: rows that Wix did not list, records that wait in `sync_errors`, and the watermark.

use chrono::{DateTime, Utc};

use super::batch::{Batch, ensure_connected, persist};
use super::coverage::Coverage;
use super::dead_letters::{Due, retry_errors};
use super::deletions::{hold_back, settle_missing, tell};
use super::plan::{PassPlan, is_from_the_future, plan_pass};
use super::reader::{MappedPage, PageSink, Reading};
use super::repair::repair;
use super::{Run, SyncError};
use crate::checkpoint::Checkpoint;
use crate::entity::{Entity, entity_of};
use crate::event::Event;
use crate::run::{PassKind, StreamSummary};
use crate::store::Store;
use crate::stream::Stream;
use crate::wix::{RequestCounter, WixError};

/// One stream's pass. What it did is in `summary`, also where it ends with an error.
pub async fn sync_stream(run: &Run<'_>, store: &mut Store, summary: &mut StreamSummary) -> Result<(), SyncError> {
    let entity = entity_of(summary.stream);
    let begun_at = Utc::now();
    ensure_connected(store, run.stop).await?;
    let counter = RequestCounter::of(summary.stream);
    let result = match summary.pass {
        PassKind::Errors => retry_errors(run, store, entity, Due::All, (None, begun_at), &counter, summary).await,
        PassKind::Repair => match run.plan.repairs.iter().find(|gaps| gaps.table == summary.stream) {
            Some(gaps) => repair(run, store, entity, gaps, &counter, summary).await,
            None => Ok(()),
        },
        PassKind::Range => run_pass(run, store, entity, PassPlan::range(), &counter, summary).await.map(drop),
        PassKind::Full | PassKind::Changes => run_next_pass(run, store, entity, begun_at, &counter, summary).await,
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

/// What to say of a changes pass that can't know what changed.
pub(super) const FROM_THE_FUTURE: &str = "by Wix's clock, the time up to which changes were read is still to come: \
    one of its answers had a wrong date, so everything is read";

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassEnd {
    /// At Wix's own end.
    Reached,
    /// With nothing written: it asked for changes since a time that is still to come by Wix's clock.
    FromTheFuture,
}

/// The pass that is due, or the one that was begun; a full one behind it where it could not know what changed.
async fn run_next_pass(
    run: &Run<'_>,
    store: &mut Store,
    entity: &dyn Entity,
    begun_at: DateTime<Utc>,
    counter: &RequestCounter,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let stream = summary.stream;
    let state = persist(store, run.stop, async |store| store.load_stream_state(stream).await).await?;
    let mut plan = plan_pass(&state, run.plan.full, begun_at);
    loop {
        summary.pass = plan.checkpoint.pass;
        summary.resumed = plan.is_resumed;
        run.reporter.report(Event::PassPlanned { stream, pass: summary.pass });
        match run_pass(run, store, entity, plan, counter, summary).await? {
            PassEnd::Reached => return Ok(()),
            PassEnd::FromTheFuture => {
                tell(run, summary, FROM_THE_FUTURE.to_owned());
                plan = PassPlan::from_the_beginning();
            }
        }
    }
}

async fn run_pass(
    run: &Run<'_>,
    store: &mut Store,
    entity: &dyn Entity,
    plan: PassPlan,
    counter: &RequestCounter,
    summary: &mut StreamSummary,
) -> Result<PassEnd, SyncError> {
    let (stream, begun_at) = (entity.stream(), Utc::now());
    let is_full = plan.checkpoint.pass == PassKind::Full;
    let selection = run.plan.selection(stream, &plan.checkpoint);
    let created_from = plan.checkpoint.created_from;
    let mut writer = PassWriter {
        run,
        batch: Batch::new(run, entity, store).await?,
        store,
        coverage: Coverage::of(&plan.checkpoint),
        checkpoint: plan.checkpoint,
        is_first_page: !plan.is_resumed,
        is_from_the_future: false,
        forgets_missing: is_full && !plan.is_resumed,
        summary,
    };
    Reading { run, entity, selection, created_from, counter }.into_sink(&mut writer).await?;
    let PassWriter { store, checkpoint, coverage, summary, is_from_the_future, .. } = writer;
    let lacking = checkpoint.lacking;
    if is_from_the_future {
        return Ok(PassEnd::FromTheFuture);
    }
    if lacking > 0 {
        hold_back(run, summary, describe_lacking(stream, lacking));
    }
    if checkpoint.pass == PassKind::Range {
        return Ok(PassEnd::Reached);
    }

    if is_full && checkpoint.watermark.is_none() {
        let text = "Wix's answers tell no time, so a later pass can't ask for what changed since: unless an earlier one \
                    knew, it reads everything";
        tell(run, summary, text.to_owned());
    }
    let has_rows = async |store: &mut Store| store.has_live_rows(stream).await;
    let lists_nothing =
        is_full && !plan.is_resumed && coverage.is_empty() && persist(store, run.stop, has_rows).await?;
    let listed_id = coverage.listed_id();
    if lists_nothing {
        hold_back(run, summary, describe_empty_listing(stream));
    } else {
        settle_missing(run, store, entity, listed_id, counter, summary).await?;
    }
    if is_full && !plan.is_resumed && listed_id.is_some() && lacking == 0 {
        persist(store, run.stop, async |store| store.resolve_unlisted(stream, begun_at, Utc::now()).await).await?;
    }
    retry_errors(run, store, entity, Due::Daily, (listed_id, begun_at), counter, summary).await?;
    if is_full && stream == Stream::Appointments {
        match persist(store, run.stop, async |store| store.erase_untold_customers().await).await {
            // A constraint or trigger of people's own.
            Err(SyncError::Store(error)) if error.blames_a_row() => hold_back(run, summary, error.to_string()),
            other => other?,
        }
    }
    let now = Utc::now();
    // As long as that stands, no run is a full success: the next one looks again.
    let proves_all = !lists_nothing && lacking == 0;
    persist(store, run.stop, async |store| store.finish_pass(stream, run.run_id, &checkpoint, proves_all, now).await)
        .await?;
    Ok(PassEnd::Reached)
}

/// What to say where the app that has the records is gone, but the table holds some.
pub(super) fn describe_missing_app(error: &WixError) -> String {
    format!("{error}; the table still holds rows from a time when it was, and they stay")
}

/// What to say where Wix lists nothing of what the table holds.
pub(super) fn describe_empty_listing(stream: Stream) -> String {
    format!("Wix lists no {stream} at all, but the table holds rows: nothing was deleted")
}

/// What to say of pages that have fewer records than they say.
pub(super) fn describe_lacking(stream: Stream, lacking: u64) -> String {
    format!(
        "Wix counted {lacking} more {stream} on its pages than it listed there, also when asked again: some may be missing"
    )
}

/// Writes the pages of a pass: those that are there at a time as one batch, with the checkpoint to which it leads.
struct PassWriter<'a> {
    run: &'a Run<'a>,
    store: &'a mut Store,
    batch: Batch,
    checkpoint: Checkpoint,
    is_first_page: bool,
    /// True if nothing of this pass can be relied on: see [`is_from_the_future`].
    is_from_the_future: bool,
    /// True until the candidates for deletion of an earlier pass have gone, with what this one writes first.
    forgets_missing: bool,
    coverage: Coverage,
    summary: &'a mut StreamSummary,
}

impl PageSink for PassWriter<'_> {
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError> {
        ensure_connected(self.store, self.run.stop).await?;
        let (mut at_end, mut total) = (false, None);
        for page in pages {
            self.note_server_time(page.server_time);
            if self.is_from_the_future {
                return Ok(());
            }
            self.checkpoint.created_from = page.frontier;
            (at_end, total) = (page.at_end, page.total);
            self.checkpoint.lacking += page.lacking;
            self.summary.repaired_characters += page.repaired_characters;
            self.coverage.add(&page.records);
            self.batch.gather(page.records);
        }
        let mut progress = self.coverage.progress(&self.checkpoint, at_end);
        progress.forgets_missing = self.forgets_missing;
        // A range of time leaves the state of the passes alone.
        let saved = (self.checkpoint.pass != PassKind::Range).then_some(&progress);
        self.batch.commit(self.run, self.store, saved, self.summary, total).await?;
        self.forgets_missing &= self.coverage.is_empty();
        Ok(())
    }
}

impl PassWriter<'_> {
    /// The watermark is the date of the pass's very first answer: what changed before a later one may have been passed
    /// by. A later answer can't be the earlier one, unless the first had a wrong date.
    fn note_server_time(&mut self, server_time: Option<DateTime<Utc>>) {
        let Some(server_time) = server_time else {
            self.is_first_page = false;
            return;
        };
        if std::mem::take(&mut self.is_first_page) {
            self.checkpoint.watermark = Some(server_time);
            self.is_from_the_future = is_from_the_future(&self.checkpoint, server_time);
        }
        self.checkpoint.watermark = self.checkpoint.watermark.map(|watermark| watermark.min(server_time));
    }
}

/// A site without the Wix app has no such records. That is fine while the table holds none either.
async fn app_not_installed(
    run: &Run<'_>,
    store: &mut Store,
    summary: &mut StreamSummary,
    error: &WixError,
) -> Result<(), SyncError> {
    let stream = summary.stream;
    if persist(store, run.stop, async |store| store.has_live_rows(stream).await).await? {
        hold_back(run, summary, describe_missing_app(error));
    } else {
        tell(run, summary, error.to_string());
        // It was looked at, and there is nothing: the table is as Wix has it. What a later pass begins with stays.
        let now = Utc::now();
        persist(store, run.stop, async |store| store.note_success(stream, run.run_id, now).await).await?;
    }
    Ok(())
}
