//! The inbox: records that events of Wix named are looked up by their ids, and written like all others.
//!
//! One request of the list, filtered by ids, reads up to [`MAX_IDS`] records. What it does not return is looked up one by
//! one: it was merged, it is gone, or the list does not have it yet. `serve` empties the inbox all the time
//! ([`drain`]), and every ordinary run does as well ([`empty_inbox`]).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::batch::Batch;
use super::by_id::{Lookups, Resolved, needs_confirmation};
use super::context::{Pass, Run, SyncError};
use super::deletions::{ALWAYS_ALLOWED, refuse_mass_deletion};
use super::linking::link_contacts;
use super::losses::resolve_losses;
use super::run::under_lease;
use crate::lock_owner::LockOwner;
use crate::run::{PassKind, RecordCounts, TableSummary};
use crate::store::Store;
use crate::store::inbox::InboxEntry;
use crate::table::Table;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, mark_of};
use crate::wix::query::MAX_IDS;
use crate::wix::{RequestCounter, WixError};

/// Maximum time for which [`drain`] holds the lease: a run that is due waits no longer.
const MAX_HOLD: Duration = Duration::from_secs(5);

/// How long an empty inbox is watched before the lease is given back: taking it costs more than a lookup.
const LINGER: Duration = Duration::from_secs(1);

/// Minimum time between two looks at the inbox. What arrives meanwhile shares a request.
const MIN_CYCLE: Duration = Duration::from_millis(100);

/// How long the lease is free between two drains, so that a run that waits for it gets it.
const PAUSE: Duration = Duration::from_millis(300);

/// Maximum records of one table that are looked up one by one before the inbox is looked at again: with the usual rate
/// limit that takes six seconds.
const MAX_SINGLE: usize = 20;

/// Maximum looks at the inbox in an ordinary run. More events are left to the next run.
const MAX_LOOKS: usize = 1_000;

/// What a drain did.
#[derive(Clone, Debug, Default)]
pub struct Drained {
    /// Entries that were looked up.
    pub entries: u64,
    pub counts: RecordCounts,
    /// Requests to Wix, retries included.
    pub requests: u64,
}

/// Looks up what the inbox names, under the lease, until it is empty or the time for that is over. `news` is notified
/// when an event was stored. It is not recorded in `sync_logs`, where it would hide the runs.
///
/// # Errors
///
/// If the lease is held by a run, or if further lookups would fail in the same way. The entries stay.
pub async fn drain(run: &Run<'_>, store: &mut Store, news: &Notify) -> Result<Drained, SyncError> {
    let work = async |store: &mut Store| drain_for_a_while(run, store, news).await;
    let drained = under_lease(run, store, &LockOwner::current().briefly(), work).await?;
    run.stop.sleep(PAUSE).await?;
    Ok(drained)
}

async fn drain_for_a_while(run: &Run<'_>, store: &mut Store, news: &Notify) -> Result<Drained, SyncError> {
    store.end_with(run.stop);
    for table in Table::ALL {
        store.retry(async |store| store.open_books(table).await).await?;
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

/// One look at the inbox. True if something was due.
async fn drain_once(run: &Run<'_>, store: &mut Store, drained: &mut Drained) -> Result<bool, SyncError> {
    let mut summaries = Vec::new();
    for table in Table::ALL {
        let counter = RequestCounter::of(table);
        let mut summary = TableSummary::new(table, PassKind::Errors);
        let mut pass = Pass { run, table, store: &mut *store, counter: &counter, summary: &mut summary };
        let entries = look_up_due(&mut pass, false).await;
        drained.requests += counter.requests();
        let RecordCounts { inserted, updated, unchanged, .. } = summary.counts;
        drained.counts.add(inserted, updated, unchanged);
        drained.counts.deleted += summary.counts.deleted;
        drained.counts.errors += summary.counts.errors;
        match entries? {
            0 => {}
            entries => {
                drained.entries += entries as u64;
                summaries.push(summary);
            }
        }
    }
    if !summaries.is_empty() && store.retry(async |store| store.look_at_end(&[], None).await).await?.has_unlinked {
        link_contacts(run, store, &mut summaries).await?;
    }
    Ok(!summaries.is_empty())
}

/// Looks up what the inbox names of one table, at the end of its part of an ordinary run.
pub(super) async fn empty_inbox(pass: &mut Pass<'_>) -> Result<(), SyncError> {
    for _ in 0..MAX_LOOKS {
        if look_up_due(pass, true).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Looks up the next entries of one table that are due, and removes those that are resolved. Returns how many were due.
async fn look_up_due(pass: &mut Pass<'_>, is_listed: bool) -> Result<usize, SyncError> {
    let table = pass.table;
    let list = async |store: &mut Store| store.list_due_entries(table, MAX_IDS as i64).await;
    let entries = pass.store.retry(list).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    pass.run.stop.check()?;
    let due = entries.len();
    let mut left_for_later = HashSet::new();
    let (unclear, mut resolved) = match resolve_entries(pass, &entries, is_listed).await {
        Ok(Staying { unclear, later }) => {
            left_for_later = later;
            entries.into_iter().partition(|entry| unclear.contains(&entry.wix_id))
        }
        Err(error @ SyncError::Wix(_)) if !error.ends_the_run() => {
            pass.warn(format!("{due} {table} that events name could not be looked up and are tried again: {error}"));
            (entries, Vec::new())
        }
        Err(error) => return Err(error),
    };
    resolved.retain(|entry| !left_for_later.contains(&entry.wix_id));
    if !resolved.is_empty() {
        pass.store.retry(async |store| store.remove_entries(table, &resolved).await).await?;
    }
    if !unclear.is_empty() {
        let given_up = pass.store.retry(async |store| store.postpone_entries(table, &unclear).await).await?;
        if given_up > 0 {
            pass.warn(format!("{given_up} {table} that events name are given up until the next full sync"));
        }
    }
    Ok(due)
}

/// The ids of entries that stay in the inbox.
#[derive(Default)]
struct Staying {
    /// Nothing was learned about them.
    unclear: HashSet<String>,
    /// They were not looked up.
    later: HashSet<String>,
}

/// Looks up the records of entries. `is_listed`: the table's list was read in this run, so a record that only Wix's
/// index does not have yet was looked for already.
async fn resolve_entries(
    pass: &mut Pass<'_>,
    entries: &[InboxEntry],
    is_listed: bool,
) -> Result<Staying, SyncError> {
    let table = pass.table;
    let ids: Vec<&str> = entries.iter().map(|entry| entry.wix_id.as_str()).collect();
    let Listed { found, mut left } = write_listed(pass, &ids).await?;
    let Staying { mut unclear, mut later } = Staying::default();
    if !is_listed && left.len() > MAX_SINGLE {
        later.extend(left.drain(MAX_SINGLE..).map(str::to_owned));
    }
    if !left.is_empty() {
        let known = pass.store.retry(async |store| store.known_ids(table, &left).await).await?;
        let mut lookups = Lookups::beside(found.as_deref());
        resolve_known(pass, &mut lookups, &known, &mut unclear).await?;
        for wix_id in left.into_iter().filter(|wix_id| !known.iter().any(|known| known == wix_id)) {
            // Where records are looked up through the list, its index may not have a new one yet: once more later.
            let is_first = entries.iter().any(|entry| entry.wix_id == wix_id && entry.tries == 0);
            let may_be_late = needs_confirmation(table) && is_first && !is_listed;
            if may_be_late || lookups.gives_up() || is_unclear(&lookups.follow(pass, wix_id).await?) {
                unclear.insert(wix_id.to_owned());
            }
        }
        if let Some(reasons) = lookups.describe() {
            pass.warn(format!("{table} that events name could not be looked up: {reasons}"));
        }
    }
    resolve_losses(pass).await?;
    Ok(Staying { unclear, later })
}

fn is_unclear(resolved: &Resolved) -> bool {
    matches!(resolved, Resolved::Unclear(_))
}

/// Looks up records that the table has and the list did not return, as carefully as at the end of a full sync. Those
/// that are not resolved stay pending deletions, for the next run.
async fn resolve_known(
    pass: &mut Pass<'_>,
    lookups: &mut Lookups<'_>,
    known: &[String],
    unclear: &mut HashSet<String>,
) -> Result<(), SyncError> {
    if known.is_empty() {
        return Ok(());
    }
    let table = pass.table;
    pass.store.retry(async |store| store.note_missing(table, known, store.now()).await).await?;
    let has_many = async |store: &mut Store| store.has_more_missing_than(table, ALWAYS_ALLOWED).await;
    if pass.store.retry(has_many).await? {
        let pending = pass.store.retry(async |store| store.count_missing(table).await).await?;
        if let Some(text) = refuse_mass_deletion(pass.run, table, pending.limited) {
            pass.warn_incomplete(text);
            return Ok(());
        }
    }
    for wix_id in known {
        if lookups.gives_up() || is_unclear(&lookups.resolve(pass, wix_id, None).await?) {
            unclear.insert(wix_id.clone());
        }
    }
    Ok(())
}

struct Listed<'a> {
    /// A record that the list returned.
    found: Option<String>,
    /// The ids that it did not return.
    left: Vec<&'a str>,
}

/// Reads records from the list by their ids, and writes those that it returns.
async fn write_listed<'i>(pass: &mut Pass<'_>, ids: &[&'i str]) -> Result<Listed<'i>, SyncError> {
    let (run, table) = (pass.run, pass.table);
    let (mut found, mut left, mut open) = (None, Vec::new(), vec![ids]);
    let mut batch = Batch::new(run, table, pass.counter);
    while let Some(ids) = open.pop() {
        let page = match run.wix.fetch_listed_all(&table.listing, ids, pass.counter).await {
            Err(WixError::TooLarge { .. }) if ids.len() > 1 => {
                let (first, second) = ids.split_at(ids.len() / 2);
                open.extend([second, first]);
                continue;
            }
            // Maybe only one of them cannot be read.
            Err(error) if error.is_about_one_record() => {
                tracing::debug!(%table, error = error.to_string(), "records could not be read together by their ids");
                left.extend(ids);
                continue;
            }
            page => page?,
        };
        let records: Vec<MappedRecord> = page.records.into_iter().map(|raw| map_record(table, raw)).collect();
        let returned: HashSet<String> = records.iter().filter_map(|record| mark_of(record).wix_id).collect();
        if returned.len() < records.len() || returned.iter().any(|wix_id| !ids.contains(&wix_id.as_str())) {
            pass.warn(format!("Wix's list of {table} ignores the filter by id: records are looked up one by one"));
            left.extend(ids);
            continue;
        }
        left.extend(ids.iter().filter(|wix_id| !returned.contains(**wix_id)));
        found = returned.into_iter().next().or(found);
        pass.summary.repaired_characters += page.repaired_characters;
        batch.gather(records);
        batch.commit(pass.store, None, pass.summary, None).await?;
    }
    Ok(Listed { found, left })
}
