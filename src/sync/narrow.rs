//! A page that Wix never delivers costs only the record that causes it.
//!
//! The page is requested again in smaller and smaller parts until one record is left. That record is skipped, by its
//! offset or by its creation date, and stored as a rejected record. Then the pages grow again.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::context::SyncError;
use super::reader::Reader;
use crate::table::listing::Paging;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, Rejection};
use crate::table::timestamp;
use crate::wix::page::{NextPage, Page, PageRequest};
use crate::wix::{Selection, WixError};

/// Maximum number of records per pass that are skipped.
const MAX_SKIPPED: u32 = 10;

/// Maximum number of times per pass that a page is split. Each takes at most about 40 requests, and about 100 more if a
/// record is searched by its date.
const MAX_SEARCHES: u32 = 40;

/// Maximum number of retries of a request while a record is searched.
const RETRIES: u32 = 1;

/// How much larger each page is than the one before, once the record is skipped.
const GROWTH: u32 = 4;

/// First step of the search by date, in milliseconds. It doubles.
const FIRST_STEP_MS: i64 = 1_000;

/// No record is created at this time or later (2100-01-01): a list that starts here is empty, and shows whether Wix
/// answers.
const FAR_MS: i64 = 4_102_444_800_000;

/// State of the search for a record.
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
    passed_over: Vec<PassedOver>,
}

/// When an unreadable record was created, as far as its neighbours tell.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

/// A record that was skipped.
#[derive(Debug)]
enum PassedOver {
    Unread(Bounds),
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
}

fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Reader<'_> {
    /// The next page, in the size that is due.
    pub(super) async fn fetch_next(&mut self) -> Result<Page, WixError> {
        let selection = self.sized_selection();
        let request = self.walk.request().clone();
        self.walk.set_page_limit(self.page_limit());
        match self.narrowing.limit {
            Some(_) => self.fetch_part(selection, request, RETRIES).await,
            None => self.reading.fetch(selection, request).await,
        }
    }

    async fn fetch_part(&self, selection: Selection, request: PageRequest, retries: u32) -> Result<Page, WixError> {
        let (run, counter) = (self.reading.run, self.reading.counter);
        run.wix.try_page(&self.reading.table.listing, &selection, &request, counter, retries).await
    }

    /// Whether a page that failed may be requested in smaller parts. Not if failed requests must not be repeated at
    /// all, nor without a sort: then nothing tells which record is next.
    pub(super) fn may_narrow(&self, error: &WixError) -> bool {
        let is_page = matches!(error, WixError::Unavailable { path, .. } if *path == self.reading.table.listing.path);
        is_page && self.reading.run.wix.max_retries() > 0 && !self.reading.selection.unsorted
    }

    /// Makes the next request smaller, or skips the record that is left.
    pub(super) async fn narrow(&mut self, error: WixError) -> Result<(), SyncError> {
        let limit = self.page_limit();
        let cause = match self.narrowing.cause.take().filter(|_| self.narrowing.suspects > 0) {
            Some(cause) => cause,
            None => {
                self.narrowing.searches += 1;
                // One request, without a retry: most often Wix is down altogether.
                if self.narrowing.searches > MAX_SEARCHES || !self.answers_at_all().await? {
                    return Err(error.into());
                }
                error
            }
        };
        let overlap = self.walk.overlap();
        self.narrowing.suspects = limit - overlap.min(limit);
        if limit > 1 {
            self.narrowing.limit = Some((self.narrowing.suspects.div_ceil(2) + overlap).min(limit - 1));
            self.narrowing.cause = Some(cause);
            return Ok(());
        }
        let named = self.named_in(&cause);
        if self.narrowing.skipped == MAX_SKIPPED || !self.answers_at_all().await? || !self.pass_over(named).await? {
            return Err(cause.into());
        }
        self.narrowing.suspects = 0;
        Ok(())
    }

    /// Notes a page that came: the bad record is behind it.
    pub(super) fn note_part(&mut self, record_count: usize, overlap: u32) {
        let Some(limit) = self.narrowing.limit else { return };
        let whole = self.reading.table.listing.page_limit;
        let passed = u32::try_from(record_count).unwrap_or(u32::MAX).saturating_sub(overlap);
        self.narrowing.suspects = self.narrowing.suspects.saturating_sub(passed);
        let next = match self.narrowing.suspects {
            0 => limit.saturating_mul(GROWTH),
            suspects => suspects.div_ceil(2) + self.walk.overlap(),
        };
        self.narrowing.limit = (next < whole).then_some(next);
    }

    /// The skipped records, once the record behind them is known.
    pub(super) fn rejected_unread(&mut self, next: Option<DateTime<Utc>>) -> Vec<MappedRecord> {
        let passed_over = std::mem::take(&mut self.narrowing.passed_over);
        let rejected = passed_over.into_iter().enumerate().map(|(number, record)| {
            let Bounds { from, until } = match record {
                PassedOver::Unread(bounds) => bounds,
                PassedOver::Named(rejection) => return Err(*rejection),
            };
            let text = |at: Option<DateTime<Utc>>| at.map(timestamp::render);
            let (from_text, until_text) = (text(from), text(until.or(next)));
            // This text is the key of the row in sync_errors: it is the same in each run.
            let raw = json!({"undeliverable": number, "createdFrom": from_text, "createdUntil": until_text});
            let (since, until) = (from_text.as_deref(), until_text.as_deref());
            let reason = format!(
                "Wix cannot deliver this record: every page that holds it fails; created between {} and {}",
                since.unwrap_or("the beginning"),
                until.unwrap_or("now")
            );
            Err(Rejection { wix_id: None, wix_created_at: from, reason, raw: raw.to_string() })
        });
        rejected.collect()
    }

    /// The record that is too large by itself, as far as it was read.
    fn named_in(&self, cause: &WixError) -> Option<Rejection> {
        let WixError::TooLarge { oversize, .. } = cause else { return None };
        let rejection = map_record(self.reading.table, oversize.excerpt.clone()?).err()?;
        rejection.wix_id.is_some().then_some(rejection)
    }

    /// Skips the next record. False if there is no way to do that.
    async fn pass_over(&mut self, named: Option<Rejection>) -> Result<bool, SyncError> {
        let after = self.walk.mark();
        if self.reading.table.listing.paging == Paging::Offset {
            let is_record = self.walk.overlap() == 0;
            self.walk.skip_offset();
            if is_record {
                self.note_passed_over(named, Bounds { from: after, until: None });
            }
            return Ok(true);
        }
        if self.walk.is_out_of_order() {
            return Ok(false);
        }
        if self.is_cursor_to_blame().await? {
            self.walk.restart()?;
            return Ok(true);
        }
        let date = named.as_ref().and_then(|record| record.wix_created_at);
        let found = match date.map(|date| date.timestamp_millis()) {
            Some(bad) => Some((at(bad), at(bad + 1))),
            None => self.find_bad_date().await?,
        };
        let Some((bad, good)) = found else { return Ok(false) };
        self.note_passed_over(named, Bounds { from: Some(bad), until: Some(good) });
        self.walk.skip_to(good);
        Ok(true)
    }

    fn note_passed_over(&mut self, named: Option<Rejection>, bounds: Bounds) {
        self.narrowing.skipped += 1;
        let record = named.map_or(PassedOver::Unread(bounds), |rejection| PassedOver::Named(Box::new(rejection)));
        self.narrowing.passed_over.push(record);
    }

    /// Whether the record behind the latest date can be read without the cursor.
    async fn is_cursor_to_blame(&mut self) -> Result<bool, SyncError> {
        let limit = u32::try_from(self.walk.count_at_mark() + 1).unwrap_or(u32::MAX);
        let is_possible = matches!(self.walk.request(), PageRequest::Cursor(_)) && self.walk.is_in_order();
        if !is_possible || limit > self.reading.table.listing.page_limit {
            return Ok(false);
        }
        let selection = self.reading.selection.clone().with_limit(limit);
        let request = PageRequest::Window { created_from: self.walk.mark(), offset: 0 };
        let is_readable = readable(self.fetch_part(selection, request, RETRIES).await)?.is_some();
        if is_readable {
            self.narrowing.limit = Some(limit);
        }
        Ok(is_readable)
    }

    async fn answers_at_all(&self) -> Result<bool, SyncError> {
        self.is_readable(FAR_MS, None).await
    }

    /// Whether the first record created at `from` or later and before `until` can be read. Without a retry: a temporary
    /// failure is found when the result of the search is checked.
    async fn is_readable(&self, from: i64, until: Option<i64>) -> Result<bool, SyncError> {
        Ok(self.look(Some(from), until, 0).await?.is_some())
    }

    /// Whether nothing was created at `from` or later and before `until`.
    async fn is_empty(&self, from: Option<i64>, until: Option<i64>) -> Result<bool, SyncError> {
        Ok(self.look(from, until, RETRIES).await? == Some(false))
    }

    /// Whether there is a record in this time; `None` if the first one cannot be read.
    async fn look(&self, from: Option<i64>, until: Option<i64>, retries: u32) -> Result<Option<bool>, SyncError> {
        self.reading.run.stop.check()?;
        let mut selection = self.reading.selection.clone().with_limit(1);
        if let Some(until) = until {
            selection = selection.with_bound("createdDate", "$lt", at(until));
        }
        let request = PageRequest::Window { created_from: from.map(at), offset: 0 };
        let page = readable(self.fetch_part(selection, request, retries).await)?;
        Ok(page.map(|page| !page.records.is_empty() || matches!(page.next, NextPage::Cursor(_))))
    }

    /// The creation date of the next record, which cannot be read, and the millisecond after it. Nothing but what came
    /// lies before it: a request checks that, since several bad records, or a lost answer, mislead the search.
    async fn find_bad_date(&self) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>, SyncError> {
        let mark = self.walk.mark().map(|mark| mark.timestamp_millis());
        if self.walk.is_mark_seen() && !self.walk.is_in_order() {
            // Only one date came. It is the first of the list if nothing lies before it.
            let from = self.walk.start().map(|start| start.timestamp_millis());
            if from != mark && !self.is_empty(from, mark).await? {
                return Ok(None);
            }
        }
        let first = mark.map(|mark| mark + i64::from(self.walk.is_mark_seen()));
        let start = first.unwrap_or(0);
        if self.is_readable(start, None).await? {
            // It shares the latest date.
            return Ok(Some((at(start - 1), at(start))));
        }
        let mut until = None;
        for _ in 0..=MAX_SKIPPED {
            let bad = self.search(start, until).await?;
            if bad == start || self.is_empty(first, Some(bad)).await? {
                return Ok(Some((at(bad), at(bad + 1))));
            }
            until = Some(bad);
        }
        Ok(None)
    }

    /// The last millisecond from which on the first record cannot be read, found by steps that grow and then halve.
    async fn search(&self, start: i64, until: Option<i64>) -> Result<i64, SyncError> {
        let (mut bad, mut step) = (start, FIRST_STEP_MS);
        let end = until.unwrap_or(FAR_MS);
        let mut good = loop {
            let next = bad.saturating_add(step).min(end);
            if next == end || self.is_readable(next, until).await? {
                break next;
            }
            (bad, step) = (next, step.saturating_mul(2));
        };
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            match self.is_readable(middle, until).await? {
                true => good = middle,
                false => bad = middle,
            }
        }
        Ok(bad)
    }
}

/// A page, or `None` if Wix has no usable answer.
fn readable(page: Result<Page, WixError>) -> Result<Option<Page>, SyncError> {
    match page {
        Ok(page) => Ok(Some(page)),
        Err(WixError::Unavailable { .. } | WixError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
