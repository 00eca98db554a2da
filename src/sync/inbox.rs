//! The inbox: looks up the records that Wix's events named, and writes them like all others.
//!
//! One request of the list, filtered by ids, reads up to [`MAX_IDS`] records. Records that it does not return are
//! looked up one by one: they were merged or deleted, or the list does not have them yet. `serve` empties the inbox
//! continuously ([`super::drain()`]), and every normal run empties it too ([`empty_inbox`]).

use std::collections::HashSet;

use super::batch::Batch;
use super::by_id::{Lookups, Resolved, needs_confirmation};
use super::context::{Pass, SyncError};
use super::losses::resolve_losses;
use crate::store::Store;
use crate::store::inbox::InboxEntry;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, mark_of};
use crate::wix::WixError;
use crate::wix::query::MAX_IDS;

/// Maximum number of records of one table that are looked up one by one per round: six seconds at the default rate
/// limit.
const MAX_SINGLE: usize = 20;

/// Maximum requests per table and run: the rest of the inbox is left to `serve` and the next run. An id that Wix does
/// not know costs a request, and anyone who has the token for hints can send many.
const MAX_REQUESTS: u64 = 200;

/// Looks up a table's entries in the inbox, at the end of the table's part of a normal run.
pub(super) async fn empty_inbox(pass: &mut Pass<'_>) -> Result<(), SyncError> {
    let before = pass.counter.requests();
    while pass.counter.requests() - before < MAX_REQUESTS && look_up_due(pass, true).await? > 0 {}
    Ok(())
}

/// Looks up the next due entries of one table, and removes the resolved ones. Returns how many were due. Refused
/// credentials are an error if no list was read in this run, because other lookups may be refused as well.
pub(super) async fn look_up_due(pass: &mut Pass<'_>, is_listed: bool) -> Result<usize, SyncError> {
    let table = pass.table;
    let list = async |store: &mut Store| store.list_due_entries(table, MAX_IDS as i64).await;
    let entries = pass.store.retry(list).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    pass.run.stop.check()?;
    let due = entries.len();
    let (mut left_for_later, mut refused) = (HashSet::new(), None);
    let (unclear, mut resolved) = match resolve_entries(pass, &entries, is_listed).await {
        Ok(Staying { unclear, later }) => {
            left_for_later = later;
            entries.into_iter().partition(|entry| unclear.contains(&entry.wix_id))
        }
        Err(error @ SyncError::Wix(_)) if !error.ends_the_run() => {
            pass.warn(format!("{due} {table} that events name could not be looked up and are tried again: {error}"));
            refused = (!is_listed && matches!(error, SyncError::Wix(WixError::Credentials { .. }))).then_some(error);
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
    refused.map_or(Ok(due), Err)
}

/// The ids of entries that stay in the inbox.
#[derive(Default)]
struct Staying {
    /// The lookup failed.
    unclear: HashSet<String>,
    /// They were not looked up yet.
    later: HashSet<String>,
}

/// Looks up the records of entries. `is_listed`: this run also read the list of the table, so a record that it did not
/// return is not looked up a second time.
async fn resolve_entries(pass: &mut Pass<'_>, entries: &[InboxEntry], is_listed: bool) -> Result<Staying, SyncError> {
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
            // The list's index may not have a new record yet: it is looked up once more later.
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

/// Looks up records that are in the table and that the list did not return, as a full sync does at its end. Those that
/// are not resolved stay pending deletions for the next run. The safety limit for deletions does not apply: it protects
/// against a wrong list, and here an event named each record.
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
    /// The ids that the list did not return.
    left: Vec<&'a str>,
}

/// Reads records from the list by their ids and writes them.
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
            // Possibly only one of the records cannot be read.
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
