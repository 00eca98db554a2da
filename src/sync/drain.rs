//! Empties the inbox between runs, for `serve`.

use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::context::{Pass, Run, SyncError};
use super::inbox::look_up_due;
use super::linking::link_contacts;
use super::run::under_lease;
use crate::lock_owner::LockOwner;
use crate::run::{PassKind, RecordCounts, TableSummary};
use crate::store::Store;
use crate::table::Table;
use crate::wix::{RequestCounter, WixError};

/// Maximum time that a drain holds the lease before it starts another round. Then a waiting run can take the lease.
const MAX_HOLD: Duration = Duration::from_secs(5);

/// Time that a drain keeps the lease while the inbox is empty. Taking the lease again costs more than a lookup.
const LINGER: Duration = Duration::from_secs(1);

/// Minimum time between two rounds. Events that arrive within it share a request.
const MIN_CYCLE: Duration = Duration::from_millis(100);

/// Time that the lease is free between two drains, so that a waiting run gets it.
const PAUSE: Duration = Duration::from_millis(300);

/// Result of a drain.
#[derive(Clone, Debug, Default)]
pub struct Drained {
    /// Entries that were looked up.
    pub entries: u64,
    pub counts: RecordCounts,
    /// Requests to Wix, including retries.
    pub requests: u64,
}

/// Looks up the entries of the inbox, under the lease, until it is empty or the time is over. `news` is notified when
/// an event is stored. A drain is not recorded in `sync_logs`, where it would hide the runs.
///
/// # Errors
///
/// If a run holds the lease, or if further lookups would fail for the same reason. The entries stay.
pub async fn drain(run: &Run<'_>, store: &mut Store, news: &Notify) -> Result<Drained, SyncError> {
    let work = async |store: &mut Store| drain_for_a_while(run, store, news).await;
    let drained = under_lease(run, store, &LockOwner::current().briefly(), work).await?;
    run.stop.sleep(PAUSE).await?;
    Ok(drained)
}

async fn drain_for_a_while(run: &Run<'_>, store: &mut Store, news: &Notify) -> Result<Drained, SyncError> {
    store.end_with(run.stop, run.reporter.clone());
    for table in Table::ALL {
        store.retry(async |store| store.load_row_counts(table).await).await?;
    }
    let (mut drained, clock) = (Drained::default(), Instant::now());
    while clock.elapsed() < MAX_HOLD {
        let (requests, cycle) = (drained.requests, Instant::now());
        if drain_once(run, store, &mut drained).await? {
            let pace = run.wix.pace(drained.requests - requests).await.max(MIN_CYCLE);
            run.stop.sleep(pace.saturating_sub(cycle.elapsed())).await?;
        } else if timeout(LINGER, news.notified()).await.is_err() {
            break;
        }
    }
    Ok(drained)
}

/// One round. True if an entry was due.
async fn drain_once(run: &Run<'_>, store: &mut Store, drained: &mut Drained) -> Result<bool, SyncError> {
    let (mut summaries, mut refused) = (Vec::new(), None);
    for table in Table::ALL {
        let counter = RequestCounter::of(table);
        let mut summary = TableSummary::new(table, PassKind::Retry);
        let mut pass = Pass { run, table, store: &mut *store, counter: &counter, summary: &mut summary };
        let entries = look_up_due(&mut pass, false).await;
        drained.requests += counter.requests();
        let RecordCounts { inserted, updated, unchanged, .. } = summary.counts;
        drained.counts.add(inserted, updated, unchanged);
        drained.counts.deleted += summary.counts.deleted;
        drained.counts.errors += summary.counts.errors;
        match entries {
            Ok(0) => {}
            Ok(entries) => {
                drained.entries += entries as u64;
                summaries.push(summary);
            }
            // Maybe only a permission for this table is missing.
            Err(error @ SyncError::Wix(WixError::Credentials { .. })) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = refused.filter(|_| summaries.is_empty()) {
        return Err(error);
    }
    if !summaries.is_empty() && store.retry(async |store| store.look_at_end(&[], None).await).await?.has_unlinked {
        link_contacts(run, store, &mut summaries).await?;
    }
    Ok(!summaries.is_empty())
}
