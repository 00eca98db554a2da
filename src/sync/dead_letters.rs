//! Retries rejected records. A rejected record that changes comes with the next pass. Otherwise it is looked up by id
//! once a day, and when the program's version changes. It is not retried in every run, to save requests.

use chrono::{DateTime, TimeDelta, Utc};

use super::by_id::{Lookups, Resolved};
use super::context::{Pass, SyncError};
use crate::event::{Event, Reporter};
use crate::store::Store;
use crate::store::dead_letters::KeptRecord;
use crate::table::map::map_record;

/// Minimum time between two attempts for one record.
const RETRY_AFTER: TimeDelta = TimeDelta::days(1);

/// Maximum number of records per run and table; the next run takes the others. `errors retry` has no limit.
const MAX_A_RUN: usize = 100;

/// Number of records read from the database per query.
const CHUNK: i64 = 100;

/// Which records to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Those that have waited long enough.
    Daily,
    All,
}

/// Retries records in `sync_errors`. `listed_id` is a record that Wix listed in this pass; `begun_at` is when this run
/// started to work on the table. Records that failed since then are not retried.
pub(super) async fn retry_errors(
    pass: &mut Pass<'_>,
    due: Due,
    listed_id: Option<&str>,
    begun_at: DateTime<Utc>,
) -> Result<(), SyncError> {
    let (table, run_id) = (pass.table, pass.run.run_id);
    if !pass.store.retry(async |store| store.has_unresolved_errors(table).await).await? {
        return Ok(());
    }
    let (before, limit) = match due {
        Due::Daily => (begun_at - RETRY_AFTER, MAX_A_RUN),
        Due::All => (begun_at, usize::MAX),
    };
    // A daily retry takes only the first chunk.
    let list = async |store: &mut Store| store.list_due_errors(table, before, begun_at, CHUNK).await;
    let mut chunk = pass.store.retry(list).await?;
    let total = match due {
        Due::All if chunk.len() as i64 == CHUNK => {
            pass.store.retry(async |store| store.count_unresolved_errors(table).await).await?
        }
        _ => chunk.len() as i64,
    };
    let mut lookups = Lookups::beside(listed_id).expecting(u64::try_from(total).ok());
    let mut tried = 0;
    while tried < limit && !lookups.gives_up() && !chunk.is_empty() {
        for record in &chunk {
            pass.run.stop.check()?;
            tried += 1;
            let Some(wix_id) = id_to_ask_for(pass, record).await? else {
                note_hopeless(pass, record).await?;
                continue;
            };
            let resolved = lookups.resolve(pass, &wix_id, None).await?;
            let now = pass.store.now();
            if !matches!(resolved, Resolved::Yes) {
                let note = async |store: &mut Store| store.note_failed_try(table, &record.key, run_id, now).await;
                pass.store.retry(note).await?;
            } else if record.wix_id.is_none() {
                // An earlier version stored it without an id, and this version found one.
                pass.store.retry(async |store| store.resolve_error(table, &record.key, now).await).await?;
            }
            if lookups.gives_up() {
                break;
            }
        }
        chunk = pass.store.retry(list).await?;
    }
    if let Some(reasons) = lookups.describe() {
        pass.warn_rejected(format!("rejected records could not be retried: {reasons}"));
    } else if pass.summary.counts.errors == 0
        && pass.store.retry(async |store| store.has_unresolved_errors(table).await).await?
    {
        // A run is no full success while the table lacks a record of Wix.
        let text = "earlier rejected records are unresolved: `wix-sync errors` lists them".to_owned();
        pass.warn_rejected(text);
    }
    Ok(())
}

/// The record's id. For a record stored without one, the id that this version finds in it.
async fn id_to_ask_for(pass: &mut Pass<'_>, record: &KeptRecord) -> Result<Option<String>, SyncError> {
    if record.wix_id.is_some() {
        return Ok(record.wix_id.clone());
    }
    let (table, key) = (pass.table, record.key.as_str());
    let raw = pass.store.retry(async |store| store.load_rejected(table, key).await).await?;
    Ok(raw.and_then(|raw| map_record(table, raw).ok()).map(|row| row.wix_id))
}

/// A record without an id cannot be looked up, and still cannot be mapped.
async fn note_hopeless(pass: &mut Pass<'_>, record: &KeptRecord) -> Result<(), SyncError> {
    let (table, run_id, now) = (pass.table, pass.run.run_id, pass.store.now());
    pass.store.retry(async |store| store.note_failed_try(table, &record.key, run_id, now).await).await?;
    let reason = "it still has no id to look up".to_owned();
    pass.run.reporter.report(Event::RecordRejected { table, wix_id: None, reason: &reason, is_new: false });
    pass.summary.add_error(None, reason);
    Ok(())
}
