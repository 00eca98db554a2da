//! Collects the records of pages and writes them in batches. A copy that looks older than its row is looked up by id
//! before it is written. A record that cannot be written is rejected.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use chrono::DateTime;

use super::context::{Run, SyncError};
use super::lookup::{Reply, ask};
use super::room::Room;
use crate::event::{BatchInfo, Event, Reporter};
use crate::run::TableSummary;
use crate::store::Store;
use crate::store::batch::{BatchContext, BatchOutcome};
use crate::store::dead_letters::rejection_key;
use crate::store::row_counts::Progress;
use crate::store::write::Written;
use crate::table::Table;
use crate::table::listing::Lookup;
use crate::table::row::{MappedRecord, Rejection, Row};
use crate::wix::RequestCounter;

/// Removes duplicate ids: keeps the newer of two copies, or the later one if both are equally old. The rows are in the
/// order of their creation.
pub fn newest_by_id(rows: Vec<Row>) -> Vec<Row> {
    let mut newest: HashMap<String, Row> = HashMap::with_capacity(rows.len());
    for row in rows {
        match newest.get(&row.wix_id) {
            Some(kept) if kept.version().is_newer_than(row.version()) => {}
            _ => {
                newest.insert(row.wix_id.clone(), row);
            }
        }
    }
    let mut rows: Vec<Row> = newest.into_values().collect();
    // All transactions write in this order, so that two writers cannot deadlock, and so that a placeholder is always
    // made from the oldest booking, whatever the batch size.
    rows.sort_unstable_by(|left, right| {
        (left.wix_created_at, &left.wix_id).cmp(&(right.wix_created_at, &right.wix_id))
    });
    rows
}

/// Approximate maximum size of the rows of one statement, in bytes. Above Postgres's default `work_mem` of 4 MB, a
/// statement writes its rows to disk first and takes twice as long.
const MAX_PART_BYTES: usize = 3 * 1024 * 1024;

/// Splits off the rows of the next transaction: at most `max_rows` rows and [`MAX_PART_BYTES`] bytes, and at least one
/// row.
fn next_part(rows: &[Row], max_rows: usize) -> (&[Row], &[Row]) {
    let mut bytes = 0;
    let fits = rows.iter().take(max_rows).take_while(|row| {
        bytes += row.size();
        bytes <= MAX_PART_BYTES
    });
    let count = fits.count().max(1).min(rows.len());
    rows.split_at(count)
}

/// Records that wait to be written.
pub(super) struct Batch<'a> {
    run: &'a Run<'a>,
    table: &'static Table,
    counter: &'a RequestCounter,
    context: BatchContext,
    rows: Vec<Row>,
    rejections: Vec<Rejection>,
    /// Number of records that are counted already and will come again.
    expected_again: u64,
}

impl<'a> Batch<'a> {
    /// An empty batch. It holds back copies that lose a part of the record, and treats each copy of a page as possibly
    /// older than its row.
    pub(super) fn new(run: &'a Run<'a>, table: &'static Table, counter: &'a RequestCounter) -> Batch<'a> {
        let context = BatchContext {
            table,
            // Set with each commit.
            now: DateTime::UNIX_EPOCH,
            has_unresolved_errors: true,
            has_held: true,
            has_unreadable: true,
            holds_losses: true,
            looked_up: HashSet::new(),
            shapes_differ: table.listing.lookup != Lookup::List,
            rewrites: false,
        };
        Batch { run, table, counter, context, rows: Vec::new(), rejections: Vec::new(), expected_again: 0 }
    }

    /// Saves statements for a table that is known to have no unresolved errors, no held copies, or no unreadable
    /// fields.
    pub(super) fn knowing(mut self, has_unresolved_errors: bool, has_held: bool, has_unreadable: bool) -> Batch<'a> {
        (self.context.has_unresolved_errors, self.context.has_held) = (has_unresolved_errors, has_held);
        self.context.has_unreadable = has_unreadable;
        self
    }

    /// Also writes copies that lose a part of the record.
    pub(super) fn accepting_losses(mut self) -> Batch<'a> {
        self.context.holds_losses = false;
        self
    }

    /// Whether `sync_errors` holds unresolved records of the table, as far as this batch knows.
    pub(super) fn has_unresolved_errors(&self) -> bool {
        self.context.has_unresolved_errors
    }

    /// Whether `sync_held` holds copies of records of the table, as far as this batch knows.
    pub(super) fn has_held(&self) -> bool {
        self.context.has_held
    }

    /// Announces that this many records, which are counted already, come again in this batch or later ones. They are
    /// not counted twice.
    pub(super) fn expect_again(&mut self, records: u64) {
        self.expected_again += records;
    }

    /// How many of these records are not counted yet.
    fn not_counted(&mut self, records: u64) -> u64 {
        let again = records.min(self.expected_again);
        self.expected_again -= again;
        records - again
    }

    /// Adds mapped and rejected records.
    pub(super) fn gather(&mut self, records: Vec<MappedRecord>) {
        for record in records {
            match record {
                Ok(row) => {
                    // This is a newer copy of a record that was rejected.
                    self.rejections.retain(|rejection| rejection.wix_id.as_ref() != Some(&row.wix_id));
                    self.rows.push(row);
                }
                Err(rejection) => self.rejections.push(rejection),
            }
        }
    }

    /// Records by id have the same fields as records from the list.
    pub(super) fn having_listed_fields(mut self) -> Batch<'a> {
        self.context.shapes_differ = false;
        self
    }

    /// Adds a record that was looked up by id: it is written whatever its date.
    pub(super) fn gather_looked_up(&mut self, record: MappedRecord) {
        self.context.looked_up.extend(record.as_ref().ok().map(|row| row.wix_id.clone()));
        self.gather(vec![record]);
    }

    /// Writes a record that was looked up by id even if the row has the same content, because another program changed
    /// the row's columns. If Postgres refuses it, the row stays unchanged and the reason is returned. The record is not
    /// stored in `sync_errors`: the row has its content already.
    pub(super) async fn rewrite(
        mut self,
        store: &mut Store,
        row: Row,
        summary: &mut TableSummary,
    ) -> Result<Option<String>, SyncError> {
        (self.context.rewrites, self.context.now) = (true, store.now());
        self.context.looked_up.insert(row.wix_id.clone());
        let written = self.write(store, &[row], None).await?;
        summary.counts.add(written.outcome.inserted, written.outcome.updated, written.outcome.unchanged);
        Ok(written.rejections.into_iter().next().map(|rejection| rejection.reason))
    }

    /// Writes the added records in transactions of at most the plan's batch size. The last transaction also stores the
    /// pass's progress, if it is given.
    pub(super) async fn commit(
        &mut self,
        store: &mut Store,
        progress: Option<&Progress>,
        summary: &mut TableSummary,
        total: Option<u64>,
    ) -> Result<(), SyncError> {
        // A page without new records can still complete a span, whose pending deletions must be stored.
        let span = progress.and_then(|progress| progress.span.as_ref());
        let completes_span = span.is_some_and(|span| span.at_end || span.from != span.until);
        if self.rows.is_empty() && self.rejections.is_empty() && !completes_span {
            return Ok(());
        }
        self.context.now = store.now();
        let rows = std::mem::take(&mut self.rows);
        let gathered = rows.len();
        let rows = newest_by_id(rows);
        self.not_counted((gathered - rows.len()) as u64);
        let mut rejections = std::mem::take(&mut self.rejections);
        let mut has_progress = progress.is_none();
        let (mut part, mut rest) = next_part(&rows, self.run.plan.batch_size);
        let mut reported_rejections = 0;
        while !part.is_empty() {
            // Rejected records must be stored before the checkpoint moves past them.
            let may_save = |rejections: &[Rejection]| rest.is_empty() && rejections.is_empty();
            let clock = Instant::now();
            let mut written = self.write(store, part, progress.filter(|_| may_save(&rejections))).await?;
            let looked_up;
            if !written.older.is_empty() {
                looked_up = self.look_up(part, &written.older, &mut rejections).await?;
                part = &looked_up;
                written = self.write(store, part, progress.filter(|_| may_save(&rejections))).await?;
            }
            let is_written = |row: &&Row| !written.rejections.iter().any(|it| it.wix_id.as_ref() == Some(&row.wix_id));
            summary.unreadable_fields.add(part.iter().filter(is_written));
            has_progress |= written.has_progress;
            self.context.has_held |= written.outcome.held > 0;
            rejections.extend(written.rejections);
            let BatchOutcome { inserted, updated, unchanged, .. } = written.outcome;
            let (unchanged, updated) = (self.not_counted(unchanged), self.not_counted(updated));
            summary.counts.add(inserted, updated, unchanged);
            let record_count = summary.counts.synced + summary.counts.errors;
            let rejected = (rejections.len() - reported_rejections) as u64;
            reported_rejections = rejections.len();
            let batch = BatchInfo { inserted, updated, unchanged, rejected, duration: clock.elapsed() };
            let table = self.context.table;
            self.run.reporter.report(Event::BatchCommitted { table, record_count, total, batch });
            (part, rest) = next_part(rest, self.run.plan.batch_size);
        }
        let known = self.known_rejections(store, &rejections).await?;
        if !rejections.is_empty() || !has_progress {
            self.save_rejections(store, &rejections, progress).await?;
        }
        for rejection in rejections {
            let is_new = !known.contains_key(&rejection_key(&rejection));
            summary.has_news |= is_new;
            self.run.reporter.report(Event::RecordRejected {
                table: self.context.table,
                wix_id: rejection.wix_id.as_deref(),
                reason: &rejection.reason,
                is_new,
            });
            self.not_counted(1);
            summary.add_error(rejection.wix_id, rejection.reason);
        }
        Ok(())
    }

    async fn write(
        &mut self,
        store: &mut Store,
        rows: &[Row],
        progress: Option<&Progress>,
    ) -> Result<Written, SyncError> {
        self.context.has_unreadable |= rows.iter().any(|row| !row.unreadable_fields.is_empty());
        let is_large = rows.iter().map(Row::size).sum::<usize>() > MAX_PART_BYTES;
        let _room = if is_large { Some(Room::take_for_large_write().await) } else { None };
        Ok(store.write_rows(&self.context, rows, progress).await?)
    }

    /// Replaces rows that look older than those in the table by the copies that Wix returns by id. An older date proves
    /// nothing, since the clocks of two servers differ and a list may lag behind. A record that cannot be looked up is
    /// rejected.
    async fn look_up(
        &mut self,
        rows: &[Row],
        older: &[String],
        rejections: &mut Vec<Rejection>,
    ) -> Result<Vec<Row>, SyncError> {
        let total = Some(older.len() as u64);
        let older: HashSet<&String> = older.iter().collect();
        let mut number = 0;
        let mut part = Vec::with_capacity(rows.len());
        for row in rows {
            if !older.contains(&row.wix_id) {
                part.push(row.clone());
                continue;
            }
            self.run.stop.check()?;
            number += 1;
            self.run.reporter.report(Event::LookingUp { table: self.table, number, total });
            let why = match ask(self.run, self.table, &row.wix_id, self.counter).await? {
                Reply::Alive(Ok(found)) => {
                    self.context.looked_up.insert(found.wix_id.clone());
                    // If both have the same version, the list's copy is used: the other one may have other fields.
                    part.push(if found.is_same_version(row) { row.clone() } else { found });
                    continue;
                }
                Reply::Alive(Err(rejection)) => rejection.reason,
                Reply::Merged { .. } | Reply::Gone => "Wix did not return it".to_owned(),
                Reply::Unclear(why) => why,
            };
            rejections.push(Rejection {
                wix_id: Some(row.wix_id.clone()),
                wix_created_at: row.wix_created_at,
                reason: format!(
                    "the copy in Wix's list looks older than the row, and could not be looked up by id: {why}"
                ),
                raw: row.raw.clone(),
            });
        }
        Ok(part)
    }

    /// The given records that are already in `sync_errors`.
    async fn known_rejections(
        &self,
        store: &mut Store,
        rejections: &[Rejection],
    ) -> Result<HashMap<String, String>, SyncError> {
        let (table, keys): (_, Vec<String>) = (self.table, rejections.iter().map(rejection_key).collect());
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(store.retry(async |store| store.known_rejections(table, &keys).await).await?)
    }

    /// Stores rejected records. If the response to COMMIT was lost, the second attempt adds one to the attempts of a
    /// record.
    async fn save_rejections(
        &mut self,
        store: &mut Store,
        rejections: &[Rejection],
        progress: Option<&Progress>,
    ) -> Result<(), SyncError> {
        let (table, now, run_id) = (self.context.table, self.context.now, self.run.run_id);
        // A later page may bring another version of one of them.
        self.context.has_unresolved_errors |= !rejections.is_empty();
        let save = async |store: &mut Store| store.save_rejections(table, run_id, rejections, progress, now).await;
        Ok(store.retry(save).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::newest_by_id;
    use crate::table::row::Row;
    use crate::table::timestamp::{Timestamp, parse};

    fn row(id: &str, updated: Option<&str>, raw: &str) -> Row {
        let wix_updated_at = updated.and_then(parse).map(|timestamp| match timestamp {
            Timestamp::Instant(instant) => instant,
            Timestamp::Local(local) => local.and_utc(),
        });
        Row { wix_id: id.to_owned(), wix_updated_at, raw: raw.to_owned(), ..Row::default() }
    }

    #[test]
    fn newer_copy_wins_and_of_equal_ones_the_later() {
        let rows = vec![
            row("b", Some("2026-01-02T00:00:00Z"), "newer"),
            row("a", None, "first"),
            row("b", Some("2026-01-01T00:00:00Z"), "older"),
            row("a", None, "second"),
        ];
        let raws: Vec<String> = newest_by_id(rows).into_iter().map(|row| row.raw).collect();
        assert_eq!(raws, ["second", "newer"]);
    }
}
