//! Retrying records that could not be written. A record that changes comes with a pass; else it is looked up by id once
//! a day, and when the program's version changed. Not in every run: that would spend the rate limit on hopeless
//! records.

use chrono::{DateTime, TimeDelta, Utc};

use super::by_id::{Control, Settled, Unsettled, settle_one};
use super::context::{Run, SyncError};
use super::warnings::warn_incomplete;
use crate::event::Event;
use crate::run::TableSummary;
use crate::store::Store;
use crate::store::dead_letters::KeptRecord;
use crate::table::Table;
use crate::table::map::map_record;
use crate::wix::RequestCounter;

/// A record waits this long before it is tried again.
const RETRY_AFTER: TimeDelta = TimeDelta::days(1);

/// Maximum records per run and table; the others are left to the next run. `errors retry` has no limit.
const MAX_A_RUN: usize = 100;

/// Records that are read from the database at once.
const CHUNK: i64 = 100;

/// Which records are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Those that have waited long enough.
    Daily,
    All,
}

/// Retries records of `sync_errors`. `listed_id` is a record that Wix listed in this pass; `begun_at` is when this
/// run's work on the table started: what failed since then is not tried again.
pub(super) async fn retry_errors(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    due: Due,
    (listed_id, begun_at): (Option<&str>, DateTime<Utc>),
    counter: &RequestCounter,
    summary: &mut TableSummary,
) -> Result<(), SyncError> {
    if !store.retry(async |store| store.has_unresolved_errors(table).await).await? {
        return Ok(());
    }
    let (before, limit) = match due {
        Due::Daily => (begun_at - RETRY_AFTER, MAX_A_RUN),
        Due::All => (begun_at, usize::MAX),
    };
    let mut unsettled = Unsettled::default();
    let mut control = Control::with(listed_id);
    let mut tried = 0;
    'queue: while tried < limit {
        let list = async |store: &mut Store| store.list_due_errors(table, before, begun_at, CHUNK).await;
        let chunk = store.retry(list).await?;
        if chunk.is_empty() {
            break;
        }
        for record in &chunk {
            run.stop.check()?;
            tried += 1;
            let Some(wix_id) = id_to_ask_for(store, table, record).await? else {
                note_hopeless(run, store, record, summary).await?;
                continue;
            };
            let settled = settle_one(run, store, table, &wix_id, &mut control, counter, summary).await?;
            if !matches!(settled, Settled::Yes) {
                let now = store.now();
                store.retry(async |store| store.note_failed_try(table, &record.key, run.run_id, now).await).await?;
            } else if record.wix_id.is_none() {
                // It was stored without an id, and another version of the program found one.
                let now = store.now();
                store.retry(async |store| store.resolve_error(table, &record.key, now).await).await?;
            }
            if !unsettled.note(&settled) {
                break 'queue;
            }
        }
    }
    if let Some(reasons) = unsettled.describe() {
        warn_incomplete(run, summary, format!("records in sync_errors still wait: {reasons}"));
    } else if summary.counts.errors == 0 && store.retry(async |store| store.has_unresolved_errors(table).await).await? {
        // As long as the table lacks what Wix has, no run is a full success.
        let text = "records that could not be written before still wait: `wix-sync errors` lists them".to_owned();
        warn_incomplete(run, summary, text);
    }
    Ok(())
}

/// The record's id; for one that was stored without, the id that the program finds in it now.
async fn id_to_ask_for(
    store: &mut Store,
    table: &'static Table,
    record: &KeptRecord,
) -> Result<Option<String>, SyncError> {
    if record.wix_id.is_some() {
        return Ok(record.wix_id.clone());
    }
    let key = record.key.as_str();
    let raw = store.retry(async |store| store.load_rejected(table, key).await).await?;
    Ok(raw.and_then(|raw| map_record(table, raw).ok()).map(|row| row.wix_id))
}

/// A record without an id cannot be looked up, and still cannot be mapped.
async fn note_hopeless(
    run: &Run<'_>,
    store: &mut Store,
    record: &KeptRecord,
    summary: &mut TableSummary,
) -> Result<(), SyncError> {
    let (table, now) = (summary.table, store.now());
    store.retry(async |store| store.note_failed_try(table, &record.key, run.run_id, now).await).await?;
    let reason = "it still has no id that could be asked for".to_owned();
    run.reporter.report(Event::RecordRejected { table, wix_id: None, reason: &reason });
    summary.add_error(None, reason);
    Ok(())
}
