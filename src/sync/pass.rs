//! Runs the passes of one table: writes page after page from Wix, until the end of the list.
//!
//! read pages (`super::reader`) -> collect a batch -> write it and the checkpoint in one transaction -> report. After
//! the last page: resolve pending deletions, retry rejected records, store the watermark.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::batch::Batch;
use super::context::{Pass, Run, SyncError};
use super::coverage::Coverage;
use super::dead_letters::{Due, retry_errors};
use super::deletions::{follow_merges, resolve_deletions};
use super::drift::{check_drift, note_full_sync};
use super::inbox::empty_inbox;
use super::losses::resolve_losses;
use super::placeholders::{erase_untold_customers, restore_placeholders};
use super::plan::{PassPlan, Passes, is_from_the_future, plan_incremental, plan_passes};
use super::reader::{MappedPage, PageSink, Reading};
use super::repair::repair;
use super::statuses::{self, Look};
use super::warnings::{
    FROM_THE_FUTURE, describe_empty_listing, describe_missing_app, describe_overfull, describe_shortfall,
};
use crate::checkpoint::{Checkpoint, KnownStatuses, TableState};
use crate::event::{Event, Reporter};
use crate::number::grouped;
use crate::run::{PassKind, TableSummary};
use crate::store::Store;
use crate::store::state::FinishedPass;
use crate::table::Relation;
use crate::wix::{RequestCounter, Selection, WixError};

/// Syncs one table. `summary` has what was done, even if this returns an error.
pub async fn sync_table(run: &Run<'_>, store: &mut Store, summary: &mut TableSummary) -> Result<(), SyncError> {
    let (table, begun_at) = (summary.table, store.now());
    let counter = RequestCounter::of(table);
    let mut pass = Pass { run, table, store, counter: &counter, summary };
    let result = match do_what_is_due(&mut pass, begun_at).await {
        Err(SyncError::Wix(error @ WixError::AppNotInstalled { .. })) => app_not_installed(&mut pass, &error).await,
        other => other,
    };
    (summary.requests, summary.retries) = (counter.requests(), counter.retries());
    result
}

/// Does the work of the run: the passes that are due, a time range, or lookups of records by id.
async fn do_what_is_due(pass: &mut Pass<'_>, begun_at: DateTime<Utc>) -> Result<(), SyncError> {
    let table = pass.table;
    pass.store.ensure_connected().await?;
    let state = pass.store.retry(async |store| store.load_table_state(table).await).await?;
    if state.rows_differ() {
        warn_of_other_rows(pass, &state).await?;
    }
    match pass.summary.pass {
        PassKind::Full | PassKind::Incremental => {
            run_due_passes(pass, &state).await?;
            return if state.has_inbox { empty_inbox(pass).await } else { Ok(()) };
        }
        PassKind::Range => return run_pass(pass, &state, PassPlan::range(), false).await.map(drop),
        PassKind::Retry => retry_errors(pass, Due::All, None, begun_at).await?,
        PassKind::Repair => {
            let Some(differences) = pass.run.plan.differences(table) else { return Ok(()) };
            repair(pass, differences).await?;
        }
    }
    // Records that were looked up by id may also lose a part.
    resolve_losses(pass).await
}

/// Another program removed or added rows: a full sync reads everything again, in this run or the next one.
async fn warn_of_other_rows(pass: &mut Pass<'_>, state: &TableState) -> Result<(), SyncError> {
    let table = pass.table;
    let text = format!(
        "{table} holds {} rows, but the last run left {}: something other than wix-sync removed or added rows",
        grouped(state.holds),
        grouped(state.must_hold.unwrap_or_default())
    );
    if matches!(pass.summary.pass, PassKind::Full | PassKind::Incremental) {
        pass.store.retry(async |store| store.accept_rows(table).await).await?;
        pass.warn(format!("{text}; a full sync follows"));
    } else {
        pass.warn_incomplete(format!("{text}; the next `wix-sync sync {table}` is a full sync"));
    }
    Ok(())
}

/// Runs the passes that are due. A full sync follows an incremental one that could not know what changed, or if the
/// drift check requires it. If a full sync fails because Wix cannot deliver some pages, changes are still read, so that
/// the table stays up to date meanwhile.
async fn run_due_passes(pass: &mut Pass<'_>, state: &TableState) -> Result<(), SyncError> {
    let Passes { incremental, mut full } = plan_passes(state, pass.run.plan.full_policy());
    let (mut first_error, mut drift) = (None, state.drift.clone());
    let has_incremental = incremental.is_some();
    if let Some(plan) = incremental {
        match run_pass(pass, state, plan, full.is_some()).await {
            Ok(PassEnd::Reached) if full.is_none() => {
                check_statuses(pass, state).await?;
                if let Some(text) = check_drift(pass, &mut drift, state.now).await? {
                    pass.warn(text);
                    full = Some(PassPlan::from_the_beginning());
                }
            }
            Ok(PassEnd::Reached) => {}
            Ok(PassEnd::FromTheFuture) => {
                pass.warn(FROM_THE_FUTURE.to_owned());
                full.get_or_insert_with(PassPlan::from_the_beginning);
            }
            Err(error) if full.is_none() || error.ends_the_run() => return Err(error),
            Err(error) => first_error = Some(error),
        }
    }
    if let Some(plan) = full {
        match run_pass(pass, state, plan, false).await {
            Ok(_) => note_full_sync(pass, drift.as_ref(), state.now).await?,
            Err(error) if has_incremental || !error.is_about_some_pages() => return Err(first_error.unwrap_or(error)),
            Err(error) => {
                read_changes(pass).await?;
                return Err(error);
            }
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// Reads changes after a full sync failed, if a start time is known. The full sync's error is returned.
async fn read_changes(pass: &mut Pass<'_>) -> Result<(), SyncError> {
    let (table, failed_pass) = (pass.table, pass.summary.pass);
    let state = pass.store.retry(async |store| store.load_table_state(table).await).await?;
    if let Some(plan) = plan_incremental(&state)
        && let Err(error) = run_pass(pass, &state, plan, true).await
    {
        if error.ends_the_run() {
            return Err(error);
        }
        pass.warn(format!("the incremental sync failed too: {error}"));
    }
    pass.summary.pass = failed_pass;
    Ok(())
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassEnd {
    /// It reached the end of the list.
    Reached,
    /// Nothing was written: the pass requested changes since a time that is in the future by Wix's clock.
    FromTheFuture,
}

/// Runs one pass: reads and writes all pages, then does what requires a complete list. `is_beside_full_sync`: a full
/// sync of the table is unfinished, so its pending deletions are not resolved yet, and the table is not up to date
/// after this pass.
async fn run_pass(
    pass: &mut Pass<'_>,
    state: &TableState,
    plan: PassPlan,
    is_beside_full_sync: bool,
) -> Result<PassEnd, SyncError> {
    let begun_at = pass.store.now();
    let is_full = plan.checkpoint.pass == PassKind::Full;
    if plan.checkpoint.pass != PassKind::Range {
        (pass.summary.pass, pass.summary.resumed) = (plan.checkpoint.pass, plan.is_resumed);
        pass.run.reporter.report(Event::PassPlanned { table: pass.table, pass: pass.summary.pass });
    }
    let statuses = match is_full {
        true => statuses::all(&pass.table.listing, &state.statuses),
        false => statuses::all_at_once(&pass.table.listing, &state.statuses),
    };
    let selection = Selection { status: statuses, ..pass.run.plan.selection(pass.table, &plan.checkpoint) };
    // An earlier pass of this run may have left rejected or held records, or unreadable fields.
    let batch = Batch::new(pass.run, pass.table, pass.counter).knowing(
        state.has_unresolved_errors || pass.summary.counts.errors > 0,
        state.has_held || pass.summary.incomplete,
        state.has_unreadable || !pass.summary.unreadable_fields.is_empty(),
    );
    let is_resumed = plan.is_resumed;
    let Written { checkpoint, coverage, batch, is_from_the_future } =
        read_and_write(pass, selection, plan, batch).await?;
    if is_from_the_future {
        return Ok(PassEnd::FromTheFuture);
    }
    if is_full {
        read_new_statuses(pass, state).await?;
    }
    let shortfall = checkpoint.shortfall;
    if shortfall > 0 {
        pass.warn_incomplete(describe_shortfall(pass.table, shortfall));
    }
    if coverage.is_overfull() {
        pass.warn_incomplete(describe_overfull(pass.table));
    }
    let is_booking = matches!(pass.table.relation, Some(Relation::Booking { .. }));
    if is_booking {
        restore_placeholders(pass).await?;
    }
    if checkpoint.pass == PassKind::Range {
        if batch.has_held() {
            resolve_losses(pass).await?;
        }
        return Ok(PassEnd::Reached);
    }
    if is_full && checkpoint.watermark.is_none() {
        let text = "Wix's responses have no Date header, so the next sync is a full sync unless an earlier one stored a watermark";
        pass.warn(text.to_owned());
    }
    let (table, listed_id) = (pass.table, coverage.listed_id());
    let is_empty = is_full && !is_resumed && coverage.is_empty();
    let lists_nothing = is_empty && pass.store.retry(async |store| store.has_rows_of_wix(table).await).await?;
    if lists_nothing {
        pass.warn_incomplete(describe_empty_listing(table));
    } else if is_full || (state.has_missing && !is_beside_full_sync) {
        resolve_deletions(pass, listed_id).await?;
    }
    if is_full && matches!(table.relation, Some(Relation::Customer)) {
        follow_merges(pass, begun_at).await?;
    }
    if is_full && !is_resumed && listed_id.is_some() && shortfall == 0 {
        pass.store.retry(async |store| store.resolve_not_in_wix(table, begun_at, store.now()).await).await?;
    }
    let has_unresolved_errors = batch.has_unresolved_errors();
    if is_full || has_unresolved_errors {
        retry_errors(pass, Due::Daily, listed_id, begun_at).await?;
    }
    // Records that were looked up by id may also lose a part.
    if is_full || state.has_missing || has_unresolved_errors || batch.has_held() {
        resolve_losses(pass).await?;
    }
    if is_full && is_booking {
        erase_untold_customers(pass).await?;
    }
    if !is_full && state.shortfall > 0 {
        pass.warn_incomplete(format!(
            "the last full sync of {table} returned {} fewer records than Wix announced; a full sync follows a day later",
            state.shortfall
        ));
    }
    let end = FinishedPass {
        checkpoint: &checkpoint,
        // After a shortfall that stays the same, the next full sync is due in a day; after any other, in the next run.
        proves_all: !lists_nothing && (shortfall == 0 || shortfall == state.shortfall),
        is_success: !is_beside_full_sync,
        shortfall,
        now: pass.store.now(),
    };
    let run_id = pass.run.run_id;
    pass.store.retry(async |store| store.finish_pass(table, run_id, &end).await).await?;
    Ok(PassEnd::Reached)
}

/// Checks for statuses that the program does not know, and reads the records that have one.
async fn read_new_statuses(pass: &mut Pass<'_>, state: &TableState) -> Result<(), SyncError> {
    let table = pass.table;
    if table.listing.statuses.is_none() {
        return Ok(());
    }
    let Look { new, exclusion_shows_hidden } = statuses::look(pass.run, table, &state.statuses, pass.counter).await?;
    let mut known = KnownStatuses { exclusion_shows_hidden, looked_at: Some(state.now), ..state.statuses.clone() };
    if !new.is_empty() {
        let text = format!("Wix has {table} with a status that this version does not know: {}", new.join(", "));
        pass.warn(format!("{text}; their records are read too"));
        let selection = Selection::default().with_status(json!({ "$in": new }));
        let batch = Batch::new(pass.run, table, pass.counter);
        // Like a time range, this does not change the state of the passes.
        read_and_write(pass, selection, PassPlan::range(), batch).await?;
        known.found.extend(new);
    }
    Ok(pass.store.retry(async |store| store.save_statuses(table, &known).await).await?)
}

/// Like [`read_new_statuses`], after an incremental sync, if the check is due.
async fn check_statuses(pass: &mut Pass<'_>, state: &TableState) -> Result<(), SyncError> {
    let (known, now) = (&state.statuses, state.now);
    let Some(every) = pass.run.plan.full_policy().check_every.filter(|_| !known.exclusion_shows_hidden) else {
        return Ok(());
    };
    // A time in the future comes from a wrong clock.
    if known.looked_at.is_some_and(|at| at <= now && now - at < every) {
        return Ok(());
    }
    read_new_statuses(pass, state).await
}

/// The result at the end of the list.
struct Written<'a> {
    checkpoint: Checkpoint,
    coverage: Coverage,
    batch: Batch<'a>,
    /// True if nothing of this pass is reliable: see [`is_from_the_future`].
    is_from_the_future: bool,
}

/// Reads a list to its end, and writes its pages at the same time.
async fn read_and_write<'a>(
    pass: &mut Pass<'a>,
    selection: Selection,
    plan: PassPlan,
    batch: Batch<'a>,
) -> Result<Written<'a>, SyncError> {
    let PassPlan { checkpoint: start, is_resumed } = plan;
    let (run, table, counter) = (pass.run, pass.table, pass.counter);
    let mut writer = PassWriter {
        written: Written {
            coverage: Coverage::of(&start),
            checkpoint: start.clone(),
            batch,
            is_from_the_future: false,
        },
        is_first_page: !is_resumed,
        opens_full_sync: start.pass == PassKind::Full && !is_resumed,
        pass,
    };
    Reading { run, table, selection, start, counter }.into_sink(&mut writer).await?;
    Ok(writer.written)
}

/// Writes the pages of a pass: the available pages as one batch, together with its checkpoint.
struct PassWriter<'p, 'a> {
    pass: &'p mut Pass<'a>,
    written: Written<'a>,
    is_first_page: bool,
    /// True until the first batch of a new full sync.
    opens_full_sync: bool,
}

impl PageSink for PassWriter<'_, '_> {
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError> {
        self.pass.store.ensure_connected().await?;
        let (mut at_end, mut total) = (false, None);
        for page in pages {
            self.note_server_time(page.server_time);
            let Written { checkpoint, coverage, batch, is_from_the_future } = &mut self.written;
            if *is_from_the_future {
                return Ok(());
            }
            checkpoint.created_from = page.high_water_mark;
            (at_end, total) = (page.at_end, page.total);
            checkpoint.records_before = page.records_before;
            checkpoint.shortfall += page.shortfall;
            self.pass.summary.repaired_characters += page.repaired_characters;
            coverage.add(&page.records, page.is_overfull);
            if let Some(notice) = page.notice.filter(|notice| !self.pass.summary.notices.contains(notice)) {
                self.pass.warn(notice);
            }
            batch.expect_again(page.repeated);
            batch.gather(page.records);
        }
        let Written { checkpoint, coverage, batch, .. } = &mut self.written;
        let mut progress = coverage.progress(checkpoint, at_end);
        progress.opens_full_sync = self.opens_full_sync;
        // A time range does not change the state of the passes.
        let saved = (checkpoint.pass != PassKind::Range).then_some(&progress);
        batch.commit(self.pass.store, saved, self.pass.summary, total).await?;
        self.opens_full_sync &= coverage.is_empty();
        Ok(())
    }
}

impl PassWriter<'_, '_> {
    /// The watermark is the date of the pass's first response: changes before a later response may have been missed. A
    /// later response can have an earlier date only if the first one had a wrong date.
    fn note_server_time(&mut self, server_time: Option<DateTime<Utc>>) {
        let Some(server_time) = server_time else {
            self.is_first_page = false;
            return;
        };
        let Written { checkpoint, is_from_the_future: from_the_future, .. } = &mut self.written;
        if std::mem::take(&mut self.is_first_page) {
            checkpoint.watermark = Some(server_time);
            *from_the_future = is_from_the_future(checkpoint, server_time);
        }
        checkpoint.watermark = checkpoint.watermark.map(|watermark| watermark.min(server_time));
    }
}

/// A site without the Wix app has no such records. That is correct if the table is empty too.
async fn app_not_installed(pass: &mut Pass<'_>, error: &WixError) -> Result<(), SyncError> {
    let (table, run_id) = (pass.table, pass.run.run_id);
    if pass.store.retry(async |store| store.has_live_rows(table).await).await? {
        pass.warn_incomplete(describe_missing_app(error));
    } else {
        pass.warn(error.to_string());
        // Wix and the table are both empty, so the table matches Wix. The start of later passes does not change.
        pass.store.retry(async |store| store.note_success(table, run_id, store.now()).await).await?;
    }
    Ok(())
}
