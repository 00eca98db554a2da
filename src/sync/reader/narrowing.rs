//! Isolates the record that makes a page fail, so that only this record is lost.
//!
//! The page is requested again in smaller and smaller parts until one record is left. That record is skipped by its
//! offset or by its creation date, and stored as a rejected record. Then the pages grow again.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::table::Table;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, Rejection};
use crate::table::timestamp;
use crate::wix::WixError;

/// Maximum number of skipped records per pass.
pub(super) const MAX_SKIPPED: u32 = 10;

/// Maximum number of searches per pass. Each takes at most about 40 requests, and about 100 more if the record is
/// searched by its date.
const MAX_SEARCHES: u32 = 40;

/// Maximum factor by which pages grow after the record is skipped.
const GROWTH: u32 = 4;

/// State of the search for a record, and the skipped records.
#[derive(Debug, Default)]
pub(super) struct Narrowing {
    /// Maximum number of records of the next page; `None` means no limit.
    limit: Option<u32>,
    /// Number of records that may be the bad one; 0 once it is skipped.
    suspects: u32,
    /// The error of the whole page.
    cause: Option<WixError>,
    searches: u32,
    skipped: u32,
    /// Records skipped since the last page.
    pending: Vec<Skipped>,
}

/// A skipped record.
#[derive(Debug)]
pub(super) enum Skipped {
    /// Only an estimate of its creation date is known, from the records around it.
    Unread { from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>> },
    /// It is too large, but its id was read.
    Named(Box<Rejection>),
}

impl Narrowing {
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    pub(super) fn is_active(&self) -> bool {
        self.limit.is_some()
    }

    /// Continues a search that has started. Returns the error of its page.
    pub(super) fn take_cause(&mut self) -> Option<WixError> {
        self.cause.take().filter(|_| self.suspects > 0)
    }

    /// Starts a search. Returns false if the maximum is reached.
    pub(super) fn start_search(&mut self) -> bool {
        self.searches += 1;
        self.searches <= MAX_SEARCHES
    }

    /// Makes the next page a part of one that failed with `limit` records, of which the first `overlap` came before.
    /// Returns the error if only one record is left: then that is the bad one.
    pub(super) fn split(&mut self, limit: u32, overlap: u32, cause: WixError) -> Option<WixError> {
        self.suspects = limit - overlap.min(limit);
        if limit <= 1 {
            return Some(cause);
        }
        self.limit = Some((self.suspects.div_ceil(2) + overlap).min(limit - 1));
        self.cause = Some(cause);
        None
    }

    /// Continues after a page that could be read: the bad record comes later. `overlap` is the number of its records
    /// that came before, `next_overlap` that of the next page, and `whole` the usual page size.
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

    /// Ends the search: the bad record is skipped.
    pub(super) fn end_search(&mut self) {
        self.suspects = 0;
    }

    /// Returns the skipped records once the creation date of the record after them is known.
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
        // This text is the key of the row in sync_errors, so it must be the same in each run.
        let raw = json!({"undeliverable": number, "createdFrom": from_text, "createdUntil": until_text});
        let reason = format!(
            "Wix cannot deliver this record: every page that holds it fails; created between {} and {}",
            from_text.as_deref().unwrap_or("the beginning"),
            until_text.as_deref().unwrap_or("now")
        );
        Rejection { wix_id: None, wix_created_at: from, reason, raw: raw.to_string() }
    }
}

/// The rejection of a record that is too large by itself, if its id was read.
pub(super) fn oversize_record(table: &'static Table, cause: &WixError) -> Option<Rejection> {
    let WixError::TooLarge { oversize, .. } = cause else { return None };
    let rejection = map_record(table, oversize.excerpt.clone()?).err()?;
    rejection.wix_id.is_some().then_some(rejection)
}
