//! Reads a list to Wix's own end: fetch a page -> map its records -> check that it follows the one before -> pass it
//! on.
//!
//! Pages are passed on in Wix's order. While some are written, others are read, and while one is mapped, the one behind
//! its cursor is requested, so that waiting for Wix, work on records and waiting for Postgres do not add up. Only a few
//! are read ahead: what is read and not yet written is read again after a crash.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{Sender, channel};

use super::by_date::ByDate;
use super::context::{Run, SyncError};
use super::narrow::Narrowing;
use super::page_size::PageSize;
use super::prefetch::Prefetch;
use super::room::Room;
use super::walk::{Accepted, Start, Walk};
use crate::checkpoint::Checkpoint;
use crate::off_thread::off_thread;
use crate::run::PassKind;
use crate::table::Table;
use crate::table::listing::Paging;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, RecordMark, mark_of};
use crate::wix::page::{NextPage, Page, PageRequest};
use crate::wix::{RequestCounter, Selection, WixError};

/// Maximum number of pages that are read ahead of those that are being written, even if a batch takes more.
const MAX_PAGES_AHEAD: usize = 3;

/// Largest page, in bytes, that is mapped while the next one is requested: larger than Wix's usual ones. With a larger
/// one it would cost memory, and hardly save time.
const MAX_BYTES_BESIDE_PREFETCH: usize = 2_000_000;

/// Maximum number of repeated requests per pass for pages that have fewer records than they announce.
const MAX_SHORT_PAGES: u32 = 3;

/// A page whose records are mapped, without those that came with an earlier one.
pub(super) struct MappedPage {
    pub(super) records: Vec<MappedRecord>,
    /// How many of these, or of those that follow, came in this pass before.
    pub(super) repeated: u64,
    /// True if Wix says that there is no more.
    pub(super) at_end: bool,
    /// Wix's clock when it answered.
    pub(super) server_time: Option<DateTime<Utc>>,
    /// All records created before this time came with this page or an earlier one.
    pub(super) frontier: Option<DateTime<Utc>>,
    /// The number of those records.
    pub(super) records_before: u64,
    /// Records in the whole list, if Wix tells.
    pub(super) total: Option<u64>,
    /// A warning that Wix ignores a filter.
    pub(super) notice: Option<String>,
    pub(super) repaired_characters: u64,
    /// Records that Wix announced and did not return, even when requested again: on this page, or with the last page in
    /// the whole list.
    pub(super) shortfall: u64,
    /// Whether too many records came to know whether all did: see [`Walk::is_overfull`].
    pub(super) is_overfull: bool,
    /// The size of its records' JSON.
    bytes: usize,
}

/// What is done with the pages.
pub(super) trait PageSink {
    /// Takes the pages that are ready, one or more.
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError>;
}

/// What is read, and how.
pub(super) struct Reading<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) table: &'static Table,
    pub(super) selection: Selection,
    /// Where the pass starts or continues.
    pub(super) start: Checkpoint,
    pub(super) counter: &'a RequestCounter,
}

impl<'a> Reading<'a> {
    /// Reads to the end and passes the pages to `sink`. If reading fails, the sink still gets the pages read before.
    pub(super) async fn into_sink(self, sink: &mut impl PageSink) -> Result<(), SyncError> {
        let page_limit = self.table.listing.page_limit as usize;
        let pages_ahead = (self.run.plan.batch_size / page_limit).clamp(1, MAX_PAGES_AHEAD);
        let (sender, mut receiver) = channel(pages_ahead);
        let deal = async {
            let mut received = Vec::new();
            while receiver.recv_many(&mut received, pages_ahead).await > 0 {
                // Their room is free once they are taken care of.
                let (pages, _rooms): (Vec<MappedPage>, Vec<Room>) = received.drain(..).unzip();
                sink.take(pages).await?;
            }
            Ok(())
        };
        let mut reader = Reader::new(self);
        // An error of the sink ends the reading at once; an error of the reading lets the sink finish its work.
        let (read, ()) = tokio::try_join!(async { Ok::<_, SyncError>(reader.read_pages(sender).await) }, deal)?;
        read
    }

    pub(super) fn fetch(
        &self,
        selection: Selection,
        request: PageRequest,
    ) -> impl Future<Output = Result<Page, WixError>> + use<'a> {
        let (run, table, counter) = (self.run, self.table, self.counter);
        async move { run.wix.fetch_page(&table.listing, &selection, &request, counter).await }
    }

    /// Whether a refused request may be sent again without its sort. Whether bookings can be sorted by their creation
    /// is not documented (wix-api.md 3.2). By cursor the whole list can be read in any order; offsets need an order.
    fn may_do_unsorted(&self) -> bool {
        self.table.listing.paging == Paging::Cursor && !self.selection.unsorted
    }
}

/// A list that is being read.
pub(super) struct Reader<'a> {
    pub(super) reading: Reading<'a>,
    pub(super) walk: Walk,
    /// Wix's clock at the pass's first answer.
    pub(super) first_answer_at: Option<DateTime<Utc>>,
    /// The shortfall that was passed on, also by earlier runs of the pass.
    shortfall: u64,
    pub(super) narrowing: Narrowing,
    pub(super) page_size: PageSize,
    pub(super) by_date: ByDate,
    prefetch: Prefetch<'a>,
    short_pages: u32,
    /// The refusal after which the list is read without its sort.
    refusal: Option<WixError>,
}

impl<'a> Reader<'a> {
    fn new(reading: Reading<'a>) -> Reader<'a> {
        let Checkpoint { created_from, records_before, watermark, shortfall, .. } = reading.start;
        let walk = Walk::starting_at(Start { created_from, records_before });
        Reader {
            walk: walk.with_page_limit(reading.table.listing.page_limit),
            reading,
            first_answer_at: watermark,
            shortfall,
            narrowing: Narrowing::default(),
            page_size: PageSize::default(),
            by_date: ByDate::default(),
            prefetch: Prefetch::none(),
            short_pages: 0,
            refusal: None,
        }
    }

    fn selection(&self) -> Selection {
        let selection = self.reading.selection.clone();
        match self.by_date.until() {
            Some(until) => selection.with_bound("createdDate", "$lt", until),
            None => selection,
        }
    }

    /// The current selection, in pages of the size that is due.
    pub(super) fn sized_selection(&self) -> Selection {
        let (limit, whole) = (self.page_limit(), self.reading.table.listing.page_limit);
        if limit < whole { self.selection().with_limit(limit) } else { self.selection() }
    }

    async fn read_pages(&mut self, sender: Sender<(MappedPage, Room)>) -> Result<(), SyncError> {
        // There is a place for a page before it is requested. None is left if the sink has failed: this ends with it.
        while let Ok(place) = sender.reserve().await {
            // Only this task takes places: one that is left for the next page stays.
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

    /// The next page. If Wix refuses its own cursor, or a page does not follow the one before, the list is read again
    /// from the latest date.
    async fn next_page(&mut self, may_prefetch: bool) -> Result<MappedPage, SyncError> {
        loop {
            self.reading.run.stop.check()?;
            let Some(page) = self.request_page().await? else { continue };
            if page.lacking > 0 && self.short_pages < MAX_SHORT_PAGES {
                self.short_pages += 1;
                continue;
            }
            let bytes: usize = page.records.iter().map(String::len).sum();
            if may_prefetch
                && bytes <= MAX_BYTES_BESIDE_PREFETCH
                && !self.narrowing.is_active()
                && let NextPage::Cursor(cursor) = &page.next
            {
                let next = PageRequest::Cursor(cursor.clone());
                self.prefetch.begin(next.clone(), self.reading.fetch(self.sized_selection(), next));
            }
            if let Some(page) = self.take_page(page, bytes).await? {
                return Ok(page);
            }
        }
    }

    /// The answer to the next request. `None` if another request is next, because Wix refused this one.
    async fn request_page(&mut self) -> Result<Option<Page>, SyncError> {
        let request = self.walk.request().clone();
        let answer = match self.prefetch.answer_to(&request).await {
            Some(answer) => answer,
            None => self.fetch_next().await,
        };
        match answer {
            Ok(page) => Ok(Some(page)),
            Err(WixError::CursorRefused { .. }) => {
                self.walk.restart()?;
                Ok(None)
            }
            Err(WixError::TooLarge { path, oversize }) => {
                self.shrink(path, oversize).await?;
                Ok(None)
            }
            // Large offsets are refused, or always fail.
            Err(error) if (error.is_bad_request() || self.may_narrow(&error)) && self.walk.avoid_offset() => Ok(None),
            Err(error) if self.may_narrow(&error) => {
                self.narrow(error).await?;
                Ok(None)
            }
            Err(error) if error.is_bad_request() && self.give_up_windows() => Ok(None),
            Err(error) if error.is_bad_request() && self.reading.may_do_unsorted() => {
                self.begin_unsorted();
                self.refusal.get_or_insert(error);
                Ok(None)
            }
            // It is refused without the sort too: then the sort was not the reason.
            Err(error) if error.is_bad_request() => Err(self.refusal.take().unwrap_or(error).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Maps a page, and checks that it follows the one before. `None` if it is dropped.
    async fn take_page(&mut self, page: Page, bytes: usize) -> Result<Option<MappedPage>, SyncError> {
        let Page { records: texts, next, total, lacking, server_time, repaired_characters } = page;
        self.first_answer_at = self.first_answer_at.or(server_time);
        let (table, whole) = (self.reading.table, self.reading.table.listing.page_limit);
        self.page_size.note(texts.len(), bytes, whole);
        let mapping = off_thread(move || {
            let records: Vec<MappedRecord> = texts.into_iter().map(|raw| map_record(table, raw)).collect();
            let marks: Vec<RecordMark> = records.iter().map(mark_of).collect();
            (records, marks)
        });
        let (records, marks) = self.prefetch.beside(mapping).await;
        let notice = self.ignored_filter(&marks);
        if self.leaves_window(&marks) {
            return Ok(None);
        }
        let overlap = self.walk.overlap();
        let Some(accepted) = self.walk.accept(&marks, &next, total)? else { return Ok(None) };
        let Accepted { is_new, repeated, mut at_end } = accepted;
        let (frontier, records_before) = (self.walk.frontier(), self.walk.records_before());
        at_end = self.note_unsorted_page(&marks, at_end);
        let is_full = self.reading.start.pass == PassKind::Full;
        if !at_end
            && is_full
            && self.reading.table.listing.paging == Paging::Cursor
            && self.walk.is_overfull_without_order()
        {
            self.begin_unsorted();
        }
        let mut shortfall = lacking;
        self.shortfall += lacking;
        if at_end {
            match self.conclude().await? {
                Some(whole) => {
                    shortfall += whole.saturating_sub(self.shortfall);
                    self.shortfall = self.shortfall.max(whole);
                }
                None => at_end = false,
            }
        }
        self.note_part(marks.len(), overlap);
        let mut new = self.rejected_unread(marks.iter().find_map(|mark| mark.wix_created_at));
        new.extend(records.into_iter().zip(is_new).filter_map(|(record, is_new)| is_new.then_some(record)));
        Ok(Some(MappedPage {
            records: new,
            repeated,
            at_end,
            server_time,
            frontier,
            records_before,
            total: self.walk.total(),
            notice,
            repaired_characters,
            shortfall,
            is_overfull: self.walk.is_overfull(),
            bytes,
        }))
    }
}
