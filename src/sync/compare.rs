//! Compares the pages of a pass with the table, without writing. Used by `sync --dry-run` and `verify`.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use super::batch::newest_by_id;
use super::context::{Run, SyncError};
use super::coverage::Coverage;
use super::deletions::refuse_mass_deletion;
use super::plan::{PassPlan, Passes, is_from_the_future, plan_passes};
use super::reader::{MappedPage, PageSink, Reading};
use super::statuses;
use super::warnings::{
    FROM_THE_FUTURE, describe_empty_listing, describe_missing_app, describe_overfull, describe_shortfall,
};
use crate::checkpoint::{Checkpoint, KnownStatuses};
use crate::diff::{MAX_REMEMBERED, Sample, TableDiff};
use crate::difference::changed_fields;
use crate::event::{Event, Reporter};
use crate::run::{ErrorDetail, PassKind};
use crate::store::Store;
use crate::store::compare::RowDiff;
use crate::store::dead_letters::rejection_key;
use crate::store::missing::MissingCount;
use crate::store::span::{ListedKey, Span, listed_key};
use crate::table::Table;
use crate::table::row::{Rejection, Row};
use crate::wix::{RequestCounter, Selection, WixError};

/// Maximum number of different rows for which the differing fields are named.
const MAX_SAMPLES: usize = 5;

/// Minimum time between two checks for new statuses, unless rows are missing in Wix's list.
const LOOK_AFTER: TimeDelta = TimeDelta::hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The pass that `sync` would make now.
    NextPass,
    Everything,
}

/// Compares a table with what Wix lists. Takes no lease and writes no table.
pub async fn compare_table(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    extent: Extent,
) -> Result<TableDiff, SyncError> {
    store.end_with(run.stop, run.reporter.clone());
    let counter = RequestCounter::of(table);
    let state = store.load_table_state(table).await?;
    let mut statuses = state.statuses;
    let found = compare_listed(run, store, (table, extent), &statuses, &counter).await?;
    let is_known = statuses.exclusion_shows_hidden
        || statuses.looked_at.is_some_and(|at| at <= state.now && state.now - at < LOOK_AFTER);
    if found.pass != PassKind::Full || found.not_installed || (is_known && found.not_in_wix == 0) {
        return Ok(found);
    }
    let look = statuses::look(run, table, &statuses, &counter).await?;
    if look.new.is_empty() {
        return Ok(TableDiff { requests: counter.requests(), ..found });
    }
    // The list is read again, with the statuses that this version does not know.
    statuses.found.extend(look.new);
    compare_listed(run, store, (table, extent), &statuses, &counter).await
}

async fn compare_listed(
    run: &Run<'_>,
    store: &mut Store,
    (table, extent): (&'static Table, Extent),
    statuses: &KnownStatuses,
    counter: &RequestCounter,
) -> Result<TableDiff, SyncError> {
    let plan = match (extent, run.plan.pass_kind(table)) {
        (Extent::NextPass, PassKind::Range) => PassPlan::range(),
        (Extent::NextPass, _) => {
            let Passes { incremental, full } =
                plan_passes(&store.load_table_state(table).await?, run.plan.full_policy());
            full.or(incremental).unwrap_or_else(PassPlan::from_the_beginning)
        }
        (Extent::Everything, _) => PassPlan::from_the_beginning(),
    };
    let PassPlan { checkpoint, is_resumed } = plan;
    let start = checkpoint.clone();
    let mut comparer = Comparer {
        run,
        // A sync would not write columns that another program changed.
        compares_columns: extent == Extent::Everything,
        coverage: Coverage::of(&checkpoint),
        checkpoint,
        listed_before: HashSet::new(),
        limited: 0,
        due: 0,
        knows_rejections: store.has_unresolved_errors(table).await?,
        store,
        found: TableDiff::of(table, PassKind::Full),
    };
    comparer.found.pass = comparer.checkpoint.pass;
    let status = statuses::all_at_once(&table.listing, statuses);
    let selection = Selection { status, ..run.plan.selection(table, &comparer.checkpoint) };
    let reading = Reading { run, table, selection, start, counter };
    run.reporter.report(Event::TableStarted { table });
    let read = reading.into_sink(&mut comparer).await;
    run.reporter.report(Event::ComparisonFinished { table });
    comparer.found.requests = counter.requests();
    match read {
        Err(SyncError::Wix(error @ WixError::AppNotInstalled { .. })) => {
            run.reporter.report(Event::Notice { table: Some(table), text: &error.to_string() });
            comparer.found.not_installed = true;
            comparer.note_all_not_in_wix().await?;
            if comparer.store.count_live_rows(table).await? > 0 {
                comparer.found.notices.push(describe_missing_app(&error));
            }
            Ok(comparer.found)
        }
        Err(error) => Err(error),
        Ok(()) => comparer.finish(is_resumed).await,
    }
}

struct Comparer<'a> {
    run: &'a Run<'a>,
    store: &'a mut Store,
    /// Also compare the columns if the record is the same.
    compares_columns: bool,
    checkpoint: Checkpoint,
    coverage: Coverage,
    /// Listed records whose row has no creation date, for instance in an adopted table, and listed records that cannot
    /// be mapped. Rows without a date are checked at the end, when earlier pages are no longer in memory.
    listed_before: HashSet<ListedKey>,
    /// Rows that are not in Wix's list and to which the safety limit for deletions applies.
    limited: u64,
    /// How many of these a sync would look up now. The safety limit counts only them.
    due: u64,
    /// Whether it is checked which rejected records are already in `sync_errors`.
    knows_rejections: bool,
    found: TableDiff,
}

impl PageSink for Comparer<'_> {
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError> {
        self.store.ensure_connected().await?;
        let (mut at_end, mut total) = (false, None);
        for page in pages {
            let is_known = self.found.notices.iter().any(|notice| notice == FROM_THE_FUTURE);
            if !is_known && page.server_time.is_some_and(|time| is_from_the_future(&self.checkpoint, time)) {
                self.found.notices.push(FROM_THE_FUTURE.to_owned());
            }
            self.checkpoint.created_from = page.high_water_mark;
            (at_end, total) = (page.at_end, page.total);
            self.found.shortfall += page.shortfall;
            self.coverage.add(&page.records, page.is_overfull);
            let (mut rows, mut rejections) = (Vec::with_capacity(page.records.len()), Vec::new());
            for record in page.records {
                self.found.records += 1;
                match record {
                    Ok(row) => rows.push(row),
                    Err(rejection) => rejections.push(rejection),
                }
            }
            self.count_rejections(rejections).await?;
            self.compare(newest_by_id(rows)).await?;
        }
        let (table, record_count) = (self.found.table, self.found.records);
        self.run.reporter.report(Event::RecordsCompared { table, record_count, total });
        self.found.listed_id = self.coverage.listed_id().map(str::to_owned);
        match self.coverage.progress(&self.checkpoint, at_end).span {
            Some(mut span) => {
                if span.at_end {
                    span.listed.extend(self.listed_before.drain());
                }
                self.note_not_in_wix(&span).await
            }
            None => Ok(()),
        }
    }
}

impl Comparer<'_> {
    /// What is known only at the end: all rows if the list is empty, and what `sync` would not do.
    async fn finish(mut self, is_resumed: bool) -> Result<TableDiff, SyncError> {
        let (run, table, is_full) = (self.run, self.found.table, self.found.pass == PassKind::Full);
        if self.found.shortfall > 0 {
            self.found.notices.push(describe_shortfall(table, self.found.shortfall));
        }
        if self.coverage.is_overfull() {
            self.found.notices.push(describe_overfull(table));
        }
        // A resumed pass starts at a record that was listed.
        if is_full && self.coverage.is_empty() {
            self.note_all_not_in_wix().await?;
            self.found.notices.extend(self.found.lists_nothing().then(|| describe_empty_listing(table)));
            return Ok(self.found);
        }
        // A new full sync finds its pending deletions again; any other pass uses the stored ones.
        let (noted, noted_due) =
            if is_full && !is_resumed { (0, 0) } else { self.store.count_noted_missing(table).await? };
        let missing = self.limited + noted;
        if self.due + noted_due > 0 {
            let count = MissingCount { missing, live: self.store.count_limited_rows(table).await? };
            self.found.notices.extend(refuse_mass_deletion(run, table, count));
        }
        Ok(self.found)
    }

    /// The list is empty, so no row of the table is in it.
    async fn note_all_not_in_wix(&mut self) -> Result<(), SyncError> {
        if self.found.pass != PassKind::Full {
            return Ok(());
        }
        self.note_not_in_wix(&Span { from: None, until: None, at_end: true, listed: Vec::new() }).await
    }

    async fn note_not_in_wix(&mut self, span: &Span) -> Result<(), SyncError> {
        let not_in_wix = self.store.list_not_in_wix(self.found.table, span, MAX_REMEMBERED as i64).await?;
        self.found.not_in_wix += not_in_wix.count;
        self.limited += not_in_wix.limited;
        self.due += not_in_wix.due;
        for id in not_in_wix.ids {
            remember(&mut self.found.not_in_wix_ids, id);
        }
        Ok(())
    }

    async fn count_rejections(&mut self, rejections: Vec<Rejection>) -> Result<(), SyncError> {
        let known = self.known_rejections(rejections.iter().map(rejection_key).collect()).await?;
        for rejection in rejections {
            self.listed_before.extend(rejection.wix_id.as_deref().map(listed_key));
            self.found.new_rejected += u64::from(!known.contains_key(&rejection_key(&rejection)));
            self.reject(rejection.wix_id, rejection.reason);
        }
        Ok(())
    }

    fn reject(&mut self, wix_id: Option<String>, reason: String) {
        self.found.rejected += 1;
        remember(&mut self.found.rejections, ErrorDetail { wix_id, reason });
    }

    /// The reasons for those of these records that a sync has rejected.
    async fn known_rejections(&self, keys: Vec<String>) -> Result<HashMap<String, String>, SyncError> {
        match self.knows_rejections && !keys.is_empty() {
            true => Ok(self.store.known_rejections(self.found.table, &keys).await?),
            false => Ok(HashMap::new()),
        }
    }

    async fn compare(&mut self, rows: Vec<Row>) -> Result<(), SyncError> {
        let table = self.found.table;
        self.found.unreadable_fields.add(&rows);
        for chunk in rows.chunks(self.run.plan.batch_size) {
            let diffs = self.store.compare_rows(table, chunk).await?;
            let differing = chunk.iter().zip(&diffs).filter(|(_, (diff, _))| *diff != RowDiff::UpToDate);
            let mut known = self.known_rejections(differing.map(|(row, _)| row.wix_id.clone()).collect()).await?;
            let mut current = Vec::new();
            for (row, (diff, is_undated)) in chunk.iter().zip(diffs) {
                if is_undated {
                    self.listed_before.insert(listed_key(&row.wix_id));
                }
                if let Some(reason) = known.remove(&row.wix_id) {
                    self.reject(Some(row.wix_id.clone()), reason);
                    continue;
                }
                match diff {
                    RowDiff::UpToDate => current.push(row),
                    RowDiff::Missing => {
                        self.found.missing += 1;
                        remember(&mut self.found.missing_ids, row.wix_id.clone());
                        self.remember_hash(row);
                    }
                    RowDiff::Different => {
                        self.found.different += 1;
                        remember(&mut self.found.different_ids, row.wix_id.clone());
                        self.remember_hash(row);
                        self.sample(row).await?;
                    }
                }
            }
            self.compare_columns(&current).await?;
        }
        Ok(())
    }

    /// Checks whether the columns of rows with the current record match it.
    async fn compare_columns(&mut self, rows: &[&Row]) -> Result<(), SyncError> {
        let differing = match self.compares_columns && !rows.is_empty() {
            true => self.store.compare_columns(self.found.table, rows).await?,
            false => HashMap::new(),
        };
        rows.iter().filter(|row| differing.contains_key(&row.wix_id)).for_each(|row| self.remember_hash(row));
        self.found.up_to_date += (rows.len() - differing.len()) as u64;
        self.found.different += differing.len() as u64;
        for (wix_id, columns) in differing {
            if self.found.samples.len() < MAX_SAMPLES {
                self.found.samples.push(Sample {
                    wix_id: wix_id.clone(),
                    fields: Vec::new(),
                    columns_changed_locally: columns,
                });
            }
            remember(&mut self.found.different_ids, wix_id);
        }
        Ok(())
    }

    fn remember_hash(&mut self, row: &Row) {
        if self.found.listed_hashes.len() < 2 * MAX_REMEMBERED {
            self.found.listed_hashes.insert(row.wix_id.clone(), row.content_hash);
        }
    }

    async fn sample(&mut self, row: &Row) -> Result<(), SyncError> {
        if self.found.samples.len() < MAX_SAMPLES {
            let stored = self.store.load_raw(self.found.table, &row.wix_id).await?;
            let fields = stored.map_or_else(Vec::new, |stored| changed_fields(&stored, &row.raw));
            self.found.samples.push(Sample { wix_id: row.wix_id.clone(), fields, columns_changed_locally: Vec::new() });
        }
        Ok(())
    }
}

fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_REMEMBERED {
        list.push(item);
    }
}
