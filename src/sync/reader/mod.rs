//! Reads a list to its end: request a page -> map its records -> check that it follows the page before -> pass it on.
//!
//! Pages are passed on in Wix's order. Requests, mapping and writing overlap: while pages are written, others are read,
//! and while a page is mapped, the next one is already requested. Only a few pages are read ahead, because pages that
//! are read but not written are read again after a crash.

mod bad_record;
mod date_windows;
mod filter_check;
mod mapped_page;
mod narrowing;
mod page_size;
mod prefetch;
mod source;
mod totals;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{Sender, channel};

use self::bad_record::find_bad_date;
use self::date_windows::{DateWindows, NextWindow};
use self::filter_check::describe_ignored_filter;
pub(super) use self::mapped_page::MappedPage;
use self::narrowing::{Narrowing, Skipped, oversize_record};
use self::page_size::PageSize;
use self::prefetch::Prefetch;
use self::source::{SEARCH_RETRIES, Source, at};
use super::context::{Run, SyncError};
use super::pagination::{Accepted, Pagination, Start};
use super::room::Room;
use crate::checkpoint::Checkpoint;
use crate::run::PassKind;
use crate::spawn_blocking::spawn_blocking;
use crate::stop::Stop;
use crate::table::Table;
use crate::table::listing::Paging;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, RecordMark, Rejection, mark_of};
use crate::wix::page::{NextPage, Page, PageRequest};
use crate::wix::{Oversize, RequestCounter, Selection, WixError};

/// Maximum number of pages that are read ahead of those that are being written.
const MAX_PAGES_AHEAD: usize = 3;

/// Maximum size, in bytes, of a page that is mapped while the next one is requested. It is larger than Wix's usual
/// pages. For a larger page the overlap would cost memory and save little time.
const MAX_BYTES_BESIDE_PREFETCH: usize = 2_000_000;

/// Maximum number of repeated requests per pass for pages that have fewer records than they announce.
const MAX_SHORT_PAGES: u32 = 3;

/// Where the pages go.
pub(super) trait PageSink {
    /// Takes the available pages, at least one.
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError>;
}

/// What to read.
pub(super) struct Reading<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) table: &'static Table,
    pub(super) selection: Selection,
    /// Where the pass starts or resumes.
    pub(super) start: Checkpoint,
    pub(super) counter: &'a RequestCounter,
}

impl Reading<'_> {
    /// Reads to the end of the list and passes the pages to `sink`. If reading fails, the sink still gets the pages
    /// read before.
    pub(super) async fn into_sink(self, sink: &mut impl PageSink) -> Result<(), SyncError> {
        let page_limit = self.table.listing.page_limit as usize;
        let pages_ahead = (self.run.plan.batch_size / page_limit).clamp(1, MAX_PAGES_AHEAD);
        let (sender, mut receiver) = channel(pages_ahead);
        let pass_on = async {
            let mut received = Vec::new();
            while receiver.recv_many(&mut received, pages_ahead).await > 0 {
                // The room of these pages is free once they are written.
                let (pages, _rooms): (Vec<MappedPage>, Vec<Room>) = received.drain(..).unzip();
                sink.take(pages).await?;
            }
            Ok(())
        };
        let mut reader = Reader::new(self);
        // An error of the sink stops the reading at once. After an error of the reading, the sink finishes its work.
        let (read, ()) = tokio::try_join!(async { Ok::<_, SyncError>(reader.read_pages(sender).await) }, pass_on)?;
        read
    }
}

/// A list that is being read.
struct Reader<'a> {
    stop: &'a Stop,
    source: Source<'a>,
    start: Checkpoint,
    pagination: Pagination,
    /// Wix's clock at the pass's first response.
    first_response_at: Option<DateTime<Utc>>,
    /// The shortfall that was passed on, including earlier runs of the pass.
    shortfall: u64,
    narrowing: Narrowing,
    page_size: PageSize,
    windows: DateWindows,
    prefetch: Prefetch<'a>,
    /// Number of repeated requests for pages that had fewer records than they announced.
    short_pages: u32,
    /// The error with which Wix refused the sort. The list is then read without it.
    refusal: Option<WixError>,
}

impl<'a> Reader<'a> {
    fn new(reading: Reading<'a>) -> Reader<'a> {
        let Reading { run, table, selection, start, counter } = reading;
        let Checkpoint { created_from, records_before, watermark, shortfall, .. } = start;
        Reader {
            stop: run.stop,
            source: Source { wix: run.wix, table, selection, counter },
            start,
            pagination: Pagination::starting_at(Start { created_from, records_before }),
            first_response_at: watermark,
            shortfall,
            narrowing: Narrowing::default(),
            page_size: PageSize::default(),
            windows: DateWindows::default(),
            prefetch: Prefetch::none(),
            short_pages: 0,
            refusal: None,
        }
    }

    async fn read_pages(&mut self, sender: Sender<(MappedPage, Room)>) -> Result<(), SyncError> {
        // A page needs a place in the queue before it is requested. If the sink has failed, there is none, and this
        // task ends.
        while let Ok(place) = sender.reserve().await {
            // Only this task takes places, so a free place stays free for the next page.
            let may_prefetch = sender.capacity() > 0;
            let page = self.next_page(may_prefetch).await?;
            let at_end = page.at_end;
            let room = Room::take(page.bytes).await;
            place.send((page, room));
            if at_end {
                break;
            }
        }
        Ok(())
    }

    /// Returns the next page that follows the one before. If a page cannot be read, or does not follow, other requests
    /// are tried.
    async fn next_page(&mut self, may_prefetch: bool) -> Result<MappedPage, SyncError> {
        loop {
            self.stop.check()?;
            let mut page = match self.fetch().await {
                Ok(page) => page,
                Err(error) => {
                    self.recover(error).await?;
                    continue;
                }
            };
            if page.shortfall > 0 && self.short_pages < MAX_SHORT_PAGES {
                self.short_pages += 1;
                continue;
            }
            let bytes = page.records.iter().map(String::len).sum();
            if may_prefetch && bytes <= MAX_BYTES_BESIDE_PREFETCH {
                self.prefetch_after(&page);
            }
            self.page_size.note(page.records.len(), bytes, self.whole_page());
            let mapped = self.map(std::mem::take(&mut page.records)).await;
            if let Some(page) = self.accept(page, bytes, mapped).await? {
                return Ok(page);
            }
        }
    }

    async fn fetch(&mut self) -> Result<Page, WixError> {
        let request = self.pagination.request().clone();
        if let Some(page) = self.prefetch.response_to(&request).await {
            return page;
        }
        let limit = self.page_limit();
        self.pagination.set_page_limit(limit);
        let max_retries = if self.narrowing.is_active() { SEARCH_RETRIES } else { self.source.wix.max_retries() };
        self.source.fetch(self.selection(), request, max_retries).await
    }

    /// Requests the page after this one in advance, if its cursor is known.
    fn prefetch_after(&mut self, page: &Page) {
        if let NextPage::Cursor(cursor) = &page.next
            && !self.narrowing.is_active()
        {
            let request = PageRequest::Cursor(cursor.clone());
            let response = self.source.fetch(self.selection(), request.clone(), self.source.wix.max_retries());
            self.prefetch.begin(request, response);
        }
    }

    async fn map(&mut self, records: Vec<String>) -> (Vec<MappedRecord>, Vec<RecordMark>) {
        let table = self.source.table;
        let mapping = spawn_blocking(move || {
            let records: Vec<MappedRecord> = records.into_iter().map(|raw| map_record(table, raw)).collect();
            let marks: Vec<RecordMark> = records.iter().map(mark_of).collect();
            (records, marks)
        });
        self.prefetch.beside(mapping).await
    }

    /// Checks that a page follows the one before. `None` if it is dropped.
    async fn accept(
        &mut self,
        page: Page,
        bytes: usize,
        (records, marks): (Vec<MappedRecord>, Vec<RecordMark>),
    ) -> Result<Option<MappedPage>, SyncError> {
        self.first_response_at = self.first_response_at.or(page.server_time);
        let since = self.start.since;
        let notice = since.and_then(|since| describe_ignored_filter(self.source.table, since, &marks));
        // Each window would return the whole list.
        if self.windows.exclude_any(&marks, self.pagination.high_water_mark()) && self.give_up_windows() {
            return Ok(None);
        }
        let overlap = self.pagination.overlap();
        let accepted = self.pagination.accept(&marks, &page.next, page.total)?;
        let Some(Accepted { is_new, repeated, mut at_end }) = accepted else { return Ok(None) };
        let (high_water_mark, records_before) = (self.pagination.high_water_mark(), self.pagination.records_before());
        at_end &= !self.begin_next_window(&marks, at_end);
        if !at_end && self.is_full() && self.is_by_cursor() && self.pagination.is_overfull_without_order() {
            self.begin_unsorted();
        }
        let mut shortfall = page.shortfall;
        self.shortfall += page.shortfall;
        if at_end {
            match self.conclude().await? {
                Some(whole) => {
                    shortfall += whole.saturating_sub(self.shortfall);
                    self.shortfall = self.shortfall.max(whole);
                }
                None => at_end = false,
            }
        }
        self.narrowing.note_page(marks.len(), overlap, self.pagination.overlap(), self.whole_page());
        let mut new = self.narrowing.take_skipped(marks.iter().find_map(|mark| mark.wix_created_at));
        new.extend(records.into_iter().zip(is_new).filter_map(|(record, is_new)| is_new.then_some(record)));
        Ok(Some(MappedPage {
            records: new,
            repeated,
            at_end,
            server_time: page.server_time,
            high_water_mark,
            records_before,
            total: self.pagination.total(),
            notice,
            repaired_characters: page.repaired_characters,
            shortfall,
            is_overfull: self.pagination.is_overfull(),
            bytes,
        }))
    }

    /// Chooses the next request after one that returned no page. Returns the error if no other request would help.
    async fn recover(&mut self, error: WixError) -> Result<(), SyncError> {
        let (is_refused, may_narrow) = (error.is_bad_request(), self.may_narrow(&error));
        match error {
            WixError::CursorRefused { .. } => self.pagination.restart()?,
            WixError::TooLarge { path, oversize } => self.shrink(path, oversize).await?,
            // Large offsets are refused or always fail.
            _ if (is_refused || may_narrow) && self.pagination.avoid_offset() => {}
            error if may_narrow => self.narrow(error).await?,
            _ if is_refused && self.give_up_windows() => {}
            // Whether bookings can be sorted by their creation date is not documented (wix-api.md 3.2). By cursor, the
            // whole list can be read in any order; offsets need an order.
            error if is_refused && self.is_by_cursor() && !self.source.selection.unsorted => {
                self.begin_unsorted();
                self.refusal.get_or_insert(error);
            }
            // Wix also refuses the request without the sort, so the sort was not the reason.
            error if is_refused => return Err(self.refusal.take().unwrap_or(error).into()),
            error => return Err(error.into()),
        }
        Ok(())
    }

    /// Makes the next page smaller, because this one was too large. A record that is too large by itself is skipped.
    async fn shrink(&mut self, path: &'static str, oversize: Oversize) -> Result<(), SyncError> {
        let limit = self.page_limit();
        if limit > 1 {
            self.page_size.shrink(limit, &oversize);
        }
        if oversize.records > limit && matches!(self.pagination.request(), PageRequest::Cursor(_)) {
            // Pages by this cursor keep the size of the first one, so the list continues from the latest date.
            self.pagination.restart()?;
        } else if limit == 1 && self.page_size.is_one_too_large_again() {
            self.narrow(WixError::TooLarge { path, oversize }).await?;
        }
        Ok(())
    }

    /// Whether a page that failed may be requested in smaller parts. Not if failed requests must not be retried, and
    /// not without a sort, because then it is not known which record is next.
    fn may_narrow(&self, error: &WixError) -> bool {
        let is_page = matches!(error, WixError::Unavailable { path, .. } if *path == self.source.table.listing.path);
        is_page && self.source.wix.max_retries() > 0 && !self.source.selection.unsorted
    }

    /// Makes the next request smaller, or skips the record if only one is left. Before that, one request checks whether
    /// Wix responds at all, since an outage is the most frequent reason.
    async fn narrow(&mut self, error: WixError) -> Result<(), SyncError> {
        let cause = match self.narrowing.take_cause() {
            Some(cause) => cause,
            None if self.narrowing.start_search() && self.source.is_up().await? => error,
            None => return Err(error.into()),
        };
        let limit = self.page_limit();
        let Some(cause) = self.narrowing.split(limit, self.pagination.overlap(), cause) else { return Ok(()) };
        let named = oversize_record(self.source.table, &cause);
        if !self.narrowing.may_skip() || !self.source.is_up().await? || !self.skip(named).await? {
            return Err(cause.into());
        }
        self.narrowing.end_search();
        Ok(())
    }

    /// Skips the next record, which is `named` if its id was read. Returns false if that is not possible.
    async fn skip(&mut self, named: Option<Rejection>) -> Result<bool, SyncError> {
        let date = named.as_ref().and_then(|record| record.wix_created_at);
        let skipped =
            |from, until| named.map_or(Skipped::Unread { from, until }, |named| Skipped::Named(Box::new(named)));
        if !self.is_by_cursor() {
            if self.pagination.overlap() == 0 {
                self.narrowing.note_skipped(skipped(self.pagination.latest(), None));
            }
            self.pagination.skip_offset();
            return Ok(true);
        }
        if self.pagination.is_out_of_order() {
            return Ok(false);
        }
        if self.is_cursor_to_blame().await? {
            self.pagination.restart()?;
            return Ok(true);
        }
        let found = match date.map(|date| date.timestamp_millis()) {
            Some(bad) => Some((at(bad), at(bad + 1))),
            None => find_bad_date(&self.source, &self.pagination).await?,
        };
        let Some((bad, good)) = found else { return Ok(false) };
        self.narrowing.note_skipped(skipped(Some(bad), Some(good)));
        self.pagination.skip_to(good);
        Ok(true)
    }

    /// Whether the record after the latest date can be read without the cursor.
    async fn is_cursor_to_blame(&mut self) -> Result<bool, SyncError> {
        let limit = u32::try_from(self.pagination.count_at_latest() + 1).unwrap_or(u32::MAX);
        let has_cursor = matches!(self.pagination.request(), PageRequest::Cursor(_)) && self.pagination.is_in_order();
        if !has_cursor
            || limit > self.whole_page()
            || !self.source.are_readable(self.pagination.latest(), limit).await?
        {
            return Ok(false);
        }
        self.narrowing.set_limit(limit);
        Ok(true)
    }

    /// How many records Wix announced and did not return. `None` if the list is to be read again.
    async fn conclude(&mut self) -> Result<Option<u64>, WixError> {
        let is_full = self.is_full();
        let changed_before = self.first_response_at.filter(|_| !is_full);
        totals::conclude(&mut self.pagination, &self.source, is_full, changed_before).await
    }

    /// Continues without the sort that Wix refuses. A resumed pass continues at its date.
    fn begin_unsorted(&mut self) {
        self.source.selection.unsorted = true;
        match self.start.created_from.filter(|_| self.is_full()) {
            Some(from) => {
                let now = self.first_response_at.unwrap_or_else(Utc::now).max(from);
                self.windows = DateWindows::starting_at(from, now);
                self.pagination.begin_date_window(Some(from));
            }
            None => self.pagination.begin_unsorted(),
        }
    }

    /// Starts the next window by date, if it is time for one.
    fn begin_next_window(&mut self, marks: &[RecordMark], at_end: bool) -> bool {
        if self.pagination.is_second_reading() {
            self.windows = DateWindows::none();
        }
        if !self.source.selection.unsorted || !self.is_full() {
            return false;
        }
        match self.windows.note_page(marks, at_end, self.pagination.high_water_mark()) {
            Some(NextWindow::From(from)) => self.pagination.begin_date_window(from),
            Some(NextWindow::Again) => self.pagination.restart_date_window(),
            None => return false,
        }
        true
    }

    /// Continues without windows by date, because Wix refuses or ignores them. False if there are none.
    fn give_up_windows(&mut self) -> bool {
        let has_windows = self.windows.is_active() && !self.pagination.is_second_reading();
        if has_windows {
            self.windows = DateWindows::none();
            self.pagination.begin_unsorted();
        }
        has_windows
    }

    fn is_full(&self) -> bool {
        self.start.pass == PassKind::Full
    }

    fn is_by_cursor(&self) -> bool {
        self.source.table.listing.paging == Paging::Cursor
    }

    /// The usual maximum number of records per page of this list.
    fn whole_page(&self) -> u32 {
        self.source.table.listing.page_limit
    }

    /// The maximum number of records of the next page.
    fn page_limit(&self) -> u32 {
        let limits = [self.narrowing.limit(), self.page_size.limit()];
        limits.into_iter().flatten().fold(self.whole_page(), u32::min)
    }

    /// The next request: the current window and page size.
    fn selection(&self) -> Selection {
        let mut selection = self.source.selection.clone();
        if let Some(until) = self.windows.until() {
            selection = selection.with_bound("createdDate", "$lt", until);
        }
        let limit = self.page_limit();
        if limit < self.whole_page() { selection.with_limit(limit) } else { selection }
    }
}
