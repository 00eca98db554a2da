//! Finds order statuses that Wix added after this version was made.
//!
//! Wix's list hides some statuses unless a filter names them (wix-api.md 4.1), so requests name the known ones. A new
//! status would never arrive. Therefore the program also requests the list with a filter that excludes the known
//! statuses: at the end of each full sync, at most once per `--check-every` in incremental syncs, and in `verify` if
//! the last check is more than an hour old. Whether such a filter returns hidden statuses is not documented. Once it
//! was seen to do so, incremental syncs use it in place of the names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::context::{Run, SyncError};
use crate::checkpoint::KnownStatuses;
use crate::table::Table;
use crate::table::json::Object;
use crate::table::listing::{Listing, Statuses};
use crate::table::map::record_of;
use crate::wix::page::{NextPage, PageRequest};
use crate::wix::{RequestCounter, Selection};

/// Maximum number of requests per check. More than one is sent only if a page is full of hidden or new statuses.
const MAX_REQUESTS: usize = 5;

/// Maximum length of a status in bytes. Longer text is not a status.
const MAX_STATUS_BYTES: usize = 64;

/// Result of a check.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Statuses that the program does not know and that were not found before.
    pub(super) new: Vec<String>,
    /// See [`KnownStatuses::exclusion_shows_hidden`].
    pub(super) exclusion_shows_hidden: bool,
}

/// The filter with which the list returns everything, as far as known; `None` for a list that hides nothing.
pub(super) fn all(listing: &Listing, known: &KnownStatuses) -> Option<Value> {
    listing.statuses.as_ref().map(|statuses| statuses.named(&known.found))
}

/// Like [`all`], for a pass that does not check for new statuses: an incremental sync, or a comparison.
pub(super) fn all_at_once(listing: &Listing, known: &KnownStatuses) -> Option<Value> {
    match &listing.statuses {
        Some(statuses) if known.exclusion_shows_hidden => Some(statuses.excluding([])),
        _ => all(listing, known),
    }
}

/// Requests records with other statuses than the known ones. If Wix refuses such a filter, the result is empty.
pub(super) async fn look(
    run: &Run<'_>,
    table: &'static Table,
    known: &KnownStatuses,
    counter: &RequestCounter,
) -> Result<Look, SyncError> {
    let (listing, mut look) = (&table.listing, Look::default());
    let Some(statuses) = &listing.statuses else { return Ok(look) };
    // Statuses that are hidden by default are not excluded at first, to see whether the filter returns them.
    let shown = statuses.known.iter().filter(|status| !statuses.hidden.contains(status));
    let mut excluded: BTreeSet<String> = shown.map(|status| (*status).to_owned()).chain(known.found.clone()).collect();
    for _ in 0..MAX_REQUESTS {
        run.stop.check()?;
        let status = statuses.excluding(excluded.iter().map(String::as_str));
        let selection = Selection::default().with_status(status);
        let request = PageRequest::Window { created_from: None, offset: 0 };
        let page = match run.wix.fetch_page(listing, &selection, &request, counter, 0).await.map_err(SyncError::from) {
            Ok(page) => page,
            Err(error) if error.ends_the_run() => return Err(error),
            Err(error) => {
                tracing::debug!(error = error.to_string(), "new statuses could not be looked for");
                return Ok(look);
            }
        };
        let seen: BTreeSet<String> = page.records.iter().filter_map(|record| status_of(table, record)).collect();
        if !seen.is_disjoint(&excluded) {
            // Wix ignored the filter, so the page proves nothing.
            return Ok(Look::default());
        }
        note(&mut look, statuses, &seen);
        excluded.extend(seen.iter().cloned());
        if page.next == NextPage::End || seen.is_empty() {
            break;
        }
        excluded.extend(statuses.hidden.iter().map(|status| (*status).to_owned()));
    }
    Ok(look)
}

fn note(look: &mut Look, statuses: &Statuses, seen: &BTreeSet<String>) {
    for status in seen {
        match statuses.hidden.contains(&status.as_str()) {
            true => look.exclusion_shows_hidden = true,
            false => look.new.push(status.clone()),
        }
    }
}

fn status_of(table: &'static Table, record: &str) -> Option<String> {
    let status = record_of(table, &Object::parse(record).ok()?).text("status").ok()??;
    (!status.is_empty() && status.len() <= MAX_STATUS_BYTES).then_some(status)
}
