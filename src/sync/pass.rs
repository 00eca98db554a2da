//! The passes of one table: page after page from Wix to COMMIT, until Wix says that there is no more.
//!
//! read pages (`super::reader`) -> collect a batch -> write it and the checkpoint in one transaction -> report.
//! After the last page: rows that Wix did not list, records that wait in `sync_errors`, and the watermark.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::batch::Batch;
use super::context::{Run, SyncError};
use super::coverage::Coverage;
use super::dead_letters::{Due, retry_errors};
use super::deletions::{follow_merges, settle_missing};
use super::drift::{check_drift, note_full_sync};
use super::losses::settle_losses;
use super::placeholders::{erase_untold_customers, restore_placeholders};
use super::plan::{PassPlan, Passes, is_from_the_future, plan_incremental, plan_passes};
use super::reader::{MappedPage, PageSink, Reading};
use super::repair::repair;
use super::statuses::{self, Look};
use super::warnings::{
    FROM_THE_FUTURE, describe_empty_listing, describe_missing_app, describe_overfull, describe_shortfall, warn,
    warn_incomplete,
};
use crate::checkpoint::{Checkpoint, KnownStatuses, TableState};
use crate::event::Event;
use crate::run::{PassKind, TableSummary};
use crate::store::Store;
use crate::store::state::FinishedPass;
use crate::table::Relation;
use crate::table::Table;
use crate::wix::{RequestCounter, Selection, WixError};

/// Syncs one table. What was done is in `summary`, even if it ends with an error.
pub async fn sync_table(run: &Run<'_>, store: &mut Store, summary: &mut TableSummary) -> Result<(), SyncError> {
    let table = summary.table;
    let begun_at = store.now();
    store.ensure_connected().await?;
    let counter = RequestCounter::of(table);
    let state = store.retry(async |store| store.load_table_state(table).await).await?;
    if state.rows_differ() {
        let text = format!(
            "{table} holds {} rows, but the last run left {}: something else than wix-sync removed or added rows",
            state.holds,
            state.must_hold.unwrap_or_default()
        );
        match summary.pass {
            PassKind::Full | PassKind::Changes => {
                store.retry(async |store| store.accept_rows(table).await).await?;
                warn(run, summary, format!("{text}; everything is read again"));
            }
            _ => warn_incomplete(
                run,
                summary,
                format!("{text}; the next `wix-sync sync {table}` reads everything again"),
            ),
        }
    }
    let pass = Pass { run, table, counter: &counter, state: &state, is_beside_full_sync: false };
    let result = run_passes(pass, begun_at, store, summary).await;
    summary.requests = counter.requests();
    summary.retries = counter.retries();
    match result {
        Err(SyncError::Wix(error @ WixError::AppNotInstalled { .. })) => {
            app_not_installed(run, store, summary, &error).await
        }
        other => other,
    }
}

/// Does what the run is for: the passes that are due, a range of time, or lookups of records by id.
async fn run_passes(
    pass: Pass<'_>,
    begun_at: DateTime<Utc>,
    store: &mut Store,
    summary: &mut TableSummary,
) -> Result<(), SyncError> {
    let Pass { run, table, counter, .. } = pass;
    match summary.pass {
        PassKind::Full | PassKind::Changes => return run_due_passes(pass, store, summary).await,
        PassKind::Range => return pass.run(store, PassPlan::range(), summary).await.map(drop),
        PassKind::Errors => retry_errors(run, store, table, Due::All, (None, begun_at), counter, summary).await?,
        PassKind::Repair => {
            let Some(gaps) = run.plan.differences(table) else { return Ok(()) };
            repair(run, store, table, gaps, counter, summary).await?;
        }
    }
    // Records that were looked up by id may lose a part as well.
    settle_losses(run, store, table, counter, summary).await
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassEnd {
    /// At Wix's own end.
    Reached,
    /// Nothing was written: it asked for changes since a time that is in the future by Wix's clock.
    FromTheFuture,
}

/// The passes that are due. A full sync follows an incremental one that could not know what changed, or if the drift
/// check says so. If a full sync fails for some pages of Wix's list, the changes are still read: the table must not
/// stand still for as long as a full sync cannot end.
async fn run_due_passes(pass: Pass<'_>, store: &mut Store, summary: &mut TableSummary) -> Result<(), SyncError> {
    let Passes { incremental, mut full } = plan_passes(pass.state, pass.run.plan.full_policy());
    let beside = Pass { is_beside_full_sync: true, ..pass };
    let (mut first_error, mut drift) = (None, pass.state.drift.clone());
    let has_incremental = incremental.is_some();
    if let Some(plan) = incremental {
        let pass = if full.is_some() { beside } else { pass };
        match pass.run(store, plan, summary).await {
            Ok(PassEnd::Reached) if full.is_none() => {
                pass.check_statuses(store, summary).await?;
                let known = (&mut drift, pass.state.now);
                if let Some(text) = check_drift(pass.run, store, pass.table, known, pass.counter).await? {
                    warn(pass.run, summary, text);
                    full = Some(PassPlan::from_the_beginning());
                }
            }
            Ok(PassEnd::Reached) => {}
            Ok(PassEnd::FromTheFuture) => {
                warn(pass.run, summary, FROM_THE_FUTURE.to_owned());
                full.get_or_insert_with(PassPlan::from_the_beginning);
            }
            Err(error) if full.is_none() || error.ends_the_run() => return Err(error),
            Err(error) => first_error = Some(error),
        }
    }
    if let Some(plan) = full {
        match pass.run(store, plan, summary).await {
            Ok(_) => {
                let known = (drift.as_ref(), pass.state.now);
                note_full_sync(pass.run, store, pass.table, known, pass.counter).await?;
            }
            Err(error) if has_incremental || !error.is_about_some_pages() => return Err(first_error.unwrap_or(error)),
            Err(error) => {
                beside.read_changes(store, summary).await?;
                return Err(error);
            }
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// What the passes of one table work with.
#[derive(Clone, Copy)]
struct Pass<'a> {
    run: &'a Run<'a>,
    table: &'static Table,
    counter: &'a RequestCounter,
    /// What was known when the work on the table started.
    state: &'a TableState,
    /// Whether a full sync of the table is unfinished. Then its pending deletions are not resolved yet, and the table is
    /// not up to date at the end of this pass.
    is_beside_full_sync: bool,
}

impl<'a> Pass<'a> {
    /// Reads what changed after a full sync failed, if it is known since when. The full sync's error is the one that
    /// counts.
    async fn read_changes(self, store: &mut Store, summary: &mut TableSummary) -> Result<(), SyncError> {
        let (run, table, failed_pass) = (self.run, summary.table, summary.pass);
        let state = store.retry(async |store| store.load_table_state(table).await).await?;
        if let Some(plan) = plan_incremental(&state)
            && let Err(error) = (Pass { state: &state, ..self }).run(store, plan, summary).await
        {
            if error.ends_the_run() {
                return Err(error);
            }
            warn(run, summary, format!("what changed could not be read either: {error}"));
        }
        summary.pass = failed_pass;
        Ok(())
    }

    /// Looks for statuses that the program does not know, and reads the records that have one.
    async fn read_new_statuses(self, store: &mut Store, summary: &mut TableSummary) -> Result<(), SyncError> {
        let Pass { run, table, counter, state, .. } = self;
        let (table, listing) = (table, &table.listing);
        if listing.statuses.is_none() {
            return Ok(());
        }
        let Look { new, exclusion_shows_hidden } = statuses::look(run, table, &state.statuses, counter).await?;
        let mut known = KnownStatuses { exclusion_shows_hidden, looked_at: Some(state.now), ..state.statuses.clone() };
        if !new.is_empty() {
            let text = format!("Wix has {table} with a status that this version does not know: {}", new.join(", "));
            warn(run, summary, format!("{text}; they are read like the others"));
            // Like a range: it does not change the state of the passes.
            let start = Checkpoint::at_the_beginning(PassKind::Range, None);
            let selection = Selection::default().with_status(json!({ "$in": new }));
            let mut writer = PassWriter {
                run,
                batch: Batch::new(run, table, counter),
                store: &mut *store,
                coverage: Coverage::of(&start),
                checkpoint: start.clone(),
                is_first_page: true,
                is_from_the_future: false,
                opens_full_sync: false,
                summary,
            };
            Reading { run, table, selection, start, counter }.into_sink(&mut writer).await?;
            known.found.extend(new);
        }
        Ok(store.retry(async |store| store.save_statuses(table, &known).await).await?)
    }

    /// Like [`Pass::read_new_statuses`], after an incremental sync, if it is due.
    async fn check_statuses(self, store: &mut Store, summary: &mut TableSummary) -> Result<(), SyncError> {
        let known = &self.state.statuses;
        let Some(every) = self.run.plan.full_policy().check_every.filter(|_| !known.exclusion_shows_hidden) else {
            return Ok(());
        };
        let now = self.state.now;
        // A time in the future comes from a wrong clock.
        if known.looked_at.is_some_and(|at| at <= now && now - at < every) {
            return Ok(());
        }
        self.read_new_statuses(store, summary).await
    }

    async fn run(self, store: &mut Store, plan: PassPlan, summary: &mut TableSummary) -> Result<PassEnd, SyncError> {
        let Pass { run, table, counter, state, .. } = self;
        let is_full = plan.checkpoint.pass == PassKind::Full;
        if plan.checkpoint.pass != PassKind::Range {
            (summary.pass, summary.resumed) = (plan.checkpoint.pass, plan.is_resumed);
            run.reporter.report(Event::PassPlanned { table, pass: summary.pass });
        }
        let begun_at = store.now();
        // An earlier pass of this run may have left some.
        let has_unresolved_errors = state.has_unresolved_errors || summary.counts.errors > 0;
        let has_held = state.has_held || summary.incomplete;
        let has_unreadable = state.has_unreadable || !summary.unreadable_fields.is_empty();
        let status = match is_full {
            true => statuses::all(&table.listing, &state.statuses),
            false => statuses::all_at_once(&table.listing, &state.statuses),
        };
        let selection = Selection { status, ..run.plan.selection(table, &plan.checkpoint) };
        let start = plan.checkpoint.clone();
        let mut writer = PassWriter {
            run,
            batch: Batch::new(run, table, counter).knowing(has_unresolved_errors, has_held, has_unreadable),
            store,
            coverage: Coverage::of(&plan.checkpoint),
            checkpoint: plan.checkpoint,
            is_first_page: !plan.is_resumed,
            is_from_the_future: false,
            opens_full_sync: is_full && !plan.is_resumed,
            summary,
        };
        Reading { run, table, selection, start, counter }.into_sink(&mut writer).await?;
        let PassWriter { store, checkpoint, coverage, summary, is_from_the_future, batch, .. } = writer;
        if is_from_the_future {
            return Ok(PassEnd::FromTheFuture);
        }
        if is_full {
            self.read_new_statuses(store, summary).await?;
        }
        let shortfall = checkpoint.shortfall;
        if shortfall > 0 {
            warn_incomplete(run, summary, describe_shortfall(table, shortfall));
        }
        if coverage.is_overfull() {
            warn_incomplete(run, summary, describe_overfull(table));
        }
        let (is_booking, is_customer) = (
            matches!(table.relation, Some(Relation::Booking { .. })),
            matches!(table.relation, Some(Relation::Customer)),
        );
        if is_booking {
            restore_placeholders(run, store, summary).await?;
        }
        // Records that are looked up by id may lose a part as well.
        let looks_up = is_full || state.has_missing || batch.has_unresolved_errors();
        if checkpoint.pass == PassKind::Range {
            if batch.has_held() {
                settle_losses(run, store, table, counter, summary).await?;
            }
            return Ok(PassEnd::Reached);
        }
        if is_full && checkpoint.watermark.is_none() {
            let text = "Wix's answers tell no time, so a later pass can't ask for what changed since: unless an earlier one \
                        knew, it reads everything";
            warn(run, summary, text.to_owned());
        }
        let is_empty = is_full && !plan.is_resumed && coverage.is_empty();
        let has_rows = async |store: &mut Store| store.has_rows_of_wix(table).await;
        let lists_nothing = is_empty && store.retry(has_rows).await?;
        let listed_id = coverage.listed_id();
        if lists_nothing {
            warn_incomplete(run, summary, describe_empty_listing(table));
        } else if is_full || (state.has_missing && !self.is_beside_full_sync) {
            settle_missing(run, store, table, listed_id, counter, summary).await?;
        }
        if is_full && is_customer {
            follow_merges(run, store, table, begun_at, counter, summary).await?;
        }
        if is_full && !plan.is_resumed && listed_id.is_some() && shortfall == 0 {
            store.retry(async |store| store.resolve_unlisted(table, begun_at, store.now()).await).await?;
        }
        if is_full || batch.has_unresolved_errors() {
            retry_errors(run, store, table, Due::Daily, (listed_id, begun_at), counter, summary).await?;
        }
        if looks_up || batch.has_held() {
            settle_losses(run, store, table, counter, summary).await?;
        }
        if is_full && is_booking {
            erase_untold_customers(run, store, summary).await?;
        }
        if !is_full && state.shortfall > 0 {
            let text = format!(
                "the last full sync of {table} returned {} fewer records than Wix announced; everything is read again \
                 a day after it",
                state.shortfall
            );
            warn_incomplete(run, summary, text);
        }
        let end = FinishedPass {
            checkpoint: &checkpoint,
            // A shortfall that stays the same is checked once a day; any other in the next run.
            proves_all: !lists_nothing && (shortfall == 0 || shortfall == state.shortfall),
            is_success: !self.is_beside_full_sync,
            shortfall,
            now: store.now(),
        };
        store.retry(async |store| store.finish_pass(table, run.run_id, &end).await).await?;
        Ok(PassEnd::Reached)
    }
}

/// Writes the pages of a pass: those that are there at a time as one batch, with the checkpoint to which it leads.
struct PassWriter<'a> {
    run: &'a Run<'a>,
    store: &'a mut Store,
    batch: Batch<'a>,
    checkpoint: Checkpoint,
    is_first_page: bool,
    /// True if nothing of this pass can be relied on: see [`is_from_the_future`].
    is_from_the_future: bool,
    /// True until the first batch of a new full sync.
    opens_full_sync: bool,
    coverage: Coverage,
    summary: &'a mut TableSummary,
}

impl PageSink for PassWriter<'_> {
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError> {
        self.store.ensure_connected().await?;
        let (mut at_end, mut total) = (false, None);
        for page in pages {
            self.note_server_time(page.server_time);
            if self.is_from_the_future {
                return Ok(());
            }
            self.checkpoint.created_from = page.frontier;
            (at_end, total) = (page.at_end, page.total);
            self.checkpoint.records_before = page.records_before;
            self.checkpoint.shortfall += page.shortfall;
            self.summary.repaired_characters += page.repaired_characters;
            self.coverage.add(&page.records, page.is_overfull);
            if let Some(notice) = page.notice.filter(|notice| !self.summary.notices.contains(notice)) {
                warn(self.run, self.summary, notice);
            }
            self.batch.expect_again(page.repeated);
            self.batch.gather(page.records);
        }
        let mut progress = self.coverage.progress(&self.checkpoint, at_end);
        progress.opens_full_sync = self.opens_full_sync;
        // A range of time leaves the state of the passes alone.
        let saved = (self.checkpoint.pass != PassKind::Range).then_some(&progress);
        self.batch.commit(self.store, saved, self.summary, total).await?;
        self.opens_full_sync &= self.coverage.is_empty();
        Ok(())
    }
}

impl PassWriter<'_> {
    /// The watermark is the date of the pass's very first answer: what changed before a later one may have been missed.
    /// A later answer cannot be the earlier one, unless the first had a wrong date.
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

/// A site without the Wix app has no such records. That is fine if the table holds none either.
async fn app_not_installed(
    run: &Run<'_>,
    store: &mut Store,
    summary: &mut TableSummary,
    error: &WixError,
) -> Result<(), SyncError> {
    let table = summary.table;
    if store.retry(async |store| store.has_live_rows(table).await).await? {
        warn_incomplete(run, summary, describe_missing_app(error));
    } else {
        warn(run, summary, error.to_string());
        // It was checked, and there is nothing: the table matches Wix. What a later pass starts with stays.
        let now = store.now();
        store.retry(async |store| store.note_success(table, run.run_id, now).await).await?;
    }
    Ok(())
}
