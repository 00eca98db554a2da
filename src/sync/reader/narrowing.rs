//! A page that Wix never delivers costs only the record that causes it.
//!
//! The page is requested again in smaller and smaller parts until one record is left. That record is skipped, by its
//! offset or by its creation date, and stored as a rejected record. Then the pages grow again.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::table::Table;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, Rejection};
use crate::table::timestamp;
use crate::wix::WixError;

/// Maximum number of records per pass that are skipped.
pub(super) const MAX_SKIPPED: u32 = 10;

/// Maximum number of times per pass that a page is split. Each takes at most about 40 requests, and about 100 more if a
/// record is searched by its date.
const MAX_SEARCHES: u32 = 40;

/// Maximum factor by which a page is larger than the one before, once the record is skipped.
const GROWTH: u32 = 4;

/// State of the search for a record, and the records that were skipped.
#[derive(Debug, Default)]
pub(super) struct Narrowing {
    /// Maximum number of records of the next page. `None` if nothing is wrong.
    limit: Option<u32>,
    /// The number of records among which the bad one is. 0 once it is skipped.
    suspects: u32,
    /// Why the whole page failed.
    cause: Option<WixError>,
    searches: u32,
    skipped: u32,
    /// Records skipped since the last page.
    pending: Vec<Skipped>,
}

/// A record that was skipped.
#[derive(Debug)]
pub(super) enum Skipped {
    /// Nothing is known of it but when it was created, as far as its neighbours tell.
    Unread { from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>> },
    /// It is too large, but its id was seen.
    Named(Box<Rejection>),
}

impl Narrowing {
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    pub(super) fn is_active(&self) -> bool {
        self.limit.is_some()
    }

    /// Continues the search if one has started: why its page failed.
    pub(super) fn take_cause(&mut self) -> Option<WixError> {
        self.cause.take().filter(|_| self.suspects > 0)
    }

    /// Starts a search. False if there were too many.
    pub(super) fn start_search(&mut self) -> bool {
        self.searches += 1;
        self.searches <= MAX_SEARCHES
    }

    /// Makes the next page a part of one that failed with `limit` records, of which the first `overlap` came before.
    /// Returns the cause if the page cannot be split: then the record that is left is the bad one.
    pub(super) fn split(&mut self, limit: u32, overlap: u32, cause: WixError) -> Option<WixError> {
        self.suspects = limit - overlap.min(limit);
        if limit <= 1 {
            return Some(cause);
        }
        self.limit = Some((self.suspects.div_ceil(2) + overlap).min(limit - 1));
        self.cause = Some(cause);
        None
    }

    /// Takes a page that came: the bad record is behind it. `overlap` is the number of its records that had come before,
    /// `next_overlap` that of the next page, and `whole` the limit of usual pages.
    pub(super) fn note_page(&mut self, record_count: usize, overlap: u32, next_overlap: u32, whole: u32) {
        let Some(limit) = self.limit else { return };
        let passed = u32::try_from(record_count).unwrap_or(u32::MAX).saturating_sub(overlap);
        self.suspects = self.suspects.saturating_sub(passed);
        let next = match self.suspects {
            0 => limit.saturating_mul(GROWTH),
            suspects => suspects.div_ceil(2) + next_overlap,
        };
        self.limit = (next < whole).then_some(next);
    }

    /// Sets the size of the next page, which is known to be readable.
    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = Some(limit);
    }

    pub(super) fn may_skip(&self) -> bool {
        self.skipped < MAX_SKIPPED
    }

    pub(super) fn note_skipped(&mut self, record: Skipped) {
        self.skipped += 1;
        self.pending.push(record);
    }

    /// The bad record is no longer in the way: the search has ended.
    pub(super) fn end_search(&mut self) {
        self.suspects = 0;
    }

    /// The skipped records, once the creation date of the record behind them is known.
    pub(super) fn take_skipped(&mut self, next: Option<DateTime<Utc>>) -> Vec<MappedRecord> {
        let pending = std::mem::take(&mut self.pending).into_iter().enumerate();
        pending.map(|(number, record)| Err(record.into_rejection(number, next))).collect()
    }
}

impl Skipped {
    fn into_rejection(self, number: usize, next: Option<DateTime<Utc>>) -> Rejection {
        let (from, until) = match self {
            Skipped::Unread { from, until } => (from, until.or(next)),
            Skipped::Named(rejection) => return *rejection,
        };
        let [from_text, until_text] = [from, until].map(|at| at.map(timestamp::render));
        // This text is the key of the row in sync_errors: it is the same in each run.
        let raw = json!({"undeliverable": number, "createdFrom": from_text, "createdUntil": until_text});
        let reason = format!(
            "Wix cannot deliver this record: every page that holds it fails; created between {} and {}",
            from_text.as_deref().unwrap_or("the beginning"),
            until_text.as_deref().unwrap_or("now")
        );
        Rejection { wix_id: None, wix_created_at: from, reason, raw: raw.to_string() }
    }
}

/// The record that is too large by itself, if its id was read.
pub(super) fn oversize_record(table: &'static Table, cause: &WixError) -> Option<Rejection> {
    let WixError::TooLarge { oversize, .. } = cause else { return None };
    let rejection = map_record(table, oversize.excerpt.clone()?).err()?;
    rejection.wix_id.is_some().then_some(rejection)
}
