//! Reads a listing to Wix's own end: fetch a page -> map its records -> see that it follows the one before -> hand it on.
//!
//! Pages are handed on in Wix's order. While some are written, others are read, and while one is mapped, the one behind its
//! cursor is asked for, so that waiting for Wix, work on records and waiting for Postgres do not add up. Few are ahead: what
//! is read and not yet written is read again after a crash.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{Sender, channel};

use super::prefetch::Prefetch;
use super::walk::{Accepted, Walk};
use super::{Run, SyncError};
use crate::entity::{Entity, entity_of, map_record};
use crate::off_thread::off_thread;
use crate::page::{NextPage, Page, PageRequest};
use crate::record::{MappedRecord, RecordMark, mark_of};
use crate::wix::{Paging, RequestCounter, Selection, WixError};

/// At most so many pages are read ahead of those that are being written, also where a batch takes more.
const MAX_PAGES_AHEAD: usize = 3;

/// So often in a pass a page is asked for again because its list is shorter than Wix says.
const MAX_SHORT_PAGES: u32 = 3;

/// A page whose records are mapped, without those that were settled with an earlier one.
pub(super) struct MappedPage {
    /// The records, in Wix's order.
    pub(super) records: Vec<MappedRecord>,
    /// True if Wix says that there is no more.
    pub(super) at_end: bool,
    /// Wix's clock when it answered.
    pub(super) server_time: Option<DateTime<Utc>>,
    /// All records created before this time came with this page or an earlier one.
    pub(super) frontier: Option<DateTime<Utc>>,
    /// Records in the whole listing, where Wix says so.
    pub(super) total: Option<u64>,
    /// Characters that had to be repaired.
    pub(super) repaired_characters: u64,
    /// Records that Wix counted on the page and did not list, also when asked again.
    pub(super) lacking: u64,
}

/// What becomes of the pages.
pub(super) trait PageSink {
    /// Deals with the pages that are there, one or more, before others are taken.
    async fn take(&mut self, pages: Vec<MappedPage>) -> Result<(), SyncError>;
}

/// What is read, and how.
pub(super) struct Reading<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) entity: &'a dyn Entity,
    pub(super) selection: Selection,
    /// Where a resumed pass goes on.
    pub(super) created_from: Option<DateTime<Utc>>,
    pub(super) counter: &'a RequestCounter,
}

impl<'a> Reading<'a> {
    /// Reads to the end and lets `sink` deal with the pages. Where reading fails, it still gets those read before.
    pub(super) async fn into_sink(mut self, sink: &mut impl PageSink) -> Result<(), SyncError> {
        let page_limit = self.entity.listing().page_limit as usize;
        let pages_ahead = (self.run.plan.batch_size / page_limit).clamp(1, MAX_PAGES_AHEAD);
        let (sender, mut receiver) = channel(pages_ahead);
        let deal = async {
            let mut pages = Vec::new();
            while receiver.recv_many(&mut pages, pages_ahead).await > 0 {
                sink.take(std::mem::take(&mut pages)).await?;
            }
            Ok(())
        };
        // An error of the sink ends the reading at once; one of the reading does not end the sink before its work.
        let (read, ()) = tokio::try_join!(async { Ok::<_, SyncError>(self.read_pages(sender).await) }, deal)?;
        read
    }

    async fn read_pages(&mut self, sender: Sender<MappedPage>) -> Result<(), SyncError> {
        let mut walk = Walk::starting_at(self.created_from).with_page_limit(self.entity.listing().page_limit);
        let mut short_pages = 0;
        let mut prefetch = Prefetch::none();
        // There is a place for a page before it is asked for. None is left where the sink has failed: this ends with it.
        while let Ok(place) = sender.reserve().await {
            // Only this task takes places: one that is left for the page behind stays.
            let may_prefetch = sender.capacity() > 0;
            let page = self.next_page(&mut walk, &mut prefetch, may_prefetch, &mut short_pages).await?;
            let at_end = page.at_end;
            place.send(page);
            if at_end {
                break;
            }
        }
        Ok(())
    }

    /// The next page of the walk. Where Wix refuses its own cursor, or a page does not follow the one before,
    /// the walk begins anew at the last record's date.
    async fn next_page(
        &mut self,
        walk: &mut Walk,
        prefetch: &mut Prefetch<'a>,
        may_prefetch: bool,
        short_pages: &mut u32,
    ) -> Result<MappedPage, SyncError> {
        let entity = self.entity;
        let mut refusal = None;
        loop {
            self.run.stop.check()?;
            let answer = match prefetch.answer_to(walk.request()).await {
                Some(answer) => answer,
                None => self.fetch(walk.request().clone()).await,
            };
            let page = match answer {
                Err(WixError::CursorRefused { .. }) => {
                    walk.restart()?;
                    continue;
                }
                Err(error) if error.is_bad_request() && self.may_do_unsorted() => {
                    self.selection.unsorted = true;
                    walk.begin_unsorted();
                    refusal.get_or_insert(error);
                    continue;
                }
                // Without the sort it is refused as well: then it was something else.
                Err(error) if error.is_bad_request() => return Err(refusal.unwrap_or(error).into()),
                other => other?,
            };
            if page.lacking > 0 && *short_pages < MAX_SHORT_PAGES {
                *short_pages += 1;
                continue;
            }
            if may_prefetch && let NextPage::Cursor(cursor) = &page.next {
                let next = PageRequest::Cursor(cursor.clone());
                prefetch.begin(next.clone(), self.fetch(next));
            }
            let (stream, texts) = (entity.stream(), page.records);
            let mapping = off_thread(move || {
                let entity = entity_of(stream);
                let records: Vec<MappedRecord> = texts.into_iter().map(|raw| map_record(entity, raw)).collect();
                let marks: Vec<RecordMark> = records.iter().map(mark_of).collect();
                (records, marks)
            });
            let (records, marks) = prefetch.beside(mapping).await;
            let Some(Accepted { is_new, at_end }) = walk.accept(&marks, &page.next, page.total)? else { continue };
            let new = records.into_iter().zip(is_new).filter_map(|(record, is_new)| is_new.then_some(record));
            return Ok(MappedPage {
                records: new.collect(),
                at_end,
                server_time: page.server_time,
                frontier: walk.frontier(),
                total: walk.total(),
                repaired_characters: page.repaired_characters,
                lacking: page.lacking,
            });
        }
    }

    fn fetch(&self, request: PageRequest) -> impl Future<Output = Result<Page, WixError>> + use<'a> {
        let (run, entity, selection, counter) = (self.run, self.entity, self.selection.clone(), self.counter);
        async move { run.wix.fetch_page(entity.listing(), &selection, &request, counter).await }
    }

    /// Whether a refused request may be sent again without its sort. Whether bookings can be sorted by their creation
    /// is not documented (wix-api.md 3.2). By cursor the whole listing is read in any order; only, a walk can't go on
    /// in the middle of it. Offsets need an order.
    fn may_do_unsorted(&self) -> bool {
        self.entity.listing().paging == Paging::Cursor && !self.selection.unsorted
    }
}
