//! A long list that Wix does not sort is read in windows by date, so that a stopped run loses only one window.
//!
//! The first pages are read as they come: short lists need no more. Their dates tell where the windows start and end.

use chrono::{DateTime, TimeDelta, Utc};

use super::filter_check::ROUNDING;
use crate::table::row::RecordMark;

/// Maximum number of pages of a list that is read without windows.
const MAX_PLAIN_PAGES: u32 = 4;

/// The number of pages that a window should have.
const PAGES_PER_WINDOW: u32 = 5;

/// Maximum number of pages of a window. A longer one is given up and read again as a smaller one.
const MAX_PAGES_PER_WINDOW: u32 = 4 * PAGES_PER_WINDOW;

/// The first window is this part of the time between the first and the last record.
const FIRST_PART: i32 = 64;

/// Maximum factor by which a window is wider or narrower than the one before.
const MAX_CHANGE: i32 = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// By its own pages. It may turn out to be long.
    #[default]
    Plain,
    /// By its own pages, to its end.
    PlainOnly,
    Windows,
}

/// The window that is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextWindow {
    /// The one from this date on, or the one before all dates that came.
    From(Option<DateTime<Utc>>),
    /// The current one again, as a smaller one.
    Again,
}

/// How far a list without an order has been read.
#[derive(Debug, Default)]
pub(super) struct DateWindows {
    mode: Mode,
    /// Pages of the list, or of the current window.
    pages: u32,
    /// The earliest and the latest creation date seen.
    dates: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Where the current window ends. The last one has no end.
    until: Option<DateTime<Utc>>,
    width: TimeDelta,
}

impl DateWindows {
    /// Continues at a date. Only the width of the windows depends on `now`.
    pub(super) fn starting_at(from: DateTime<Utc>, now: DateTime<Utc>) -> DateWindows {
        let (dates, width) = (Some((from, now)), (now - from) / FIRST_PART);
        let mut windows = DateWindows { mode: Mode::Windows, dates, width, ..DateWindows::default() };
        windows.set_window(from);
        windows
    }

    /// For a list that is read by its own pages, however many it has.
    pub(super) fn none() -> DateWindows {
        DateWindows { mode: Mode::PlainOnly, ..DateWindows::default() }
    }

    /// Where the current window ends.
    pub(super) fn until(&self) -> Option<DateTime<Utc>> {
        self.until
    }

    pub(super) fn is_active(&self) -> bool {
        self.mode == Mode::Windows
    }

    /// Whether records came that are not in the current window, which starts at `from`.
    pub(super) fn exclude_any(&self, marks: &[RecordMark], from: Option<DateTime<Utc>>) -> bool {
        marks.iter().filter_map(|mark| mark.wix_created_at).any(|date| {
            from.is_some_and(|from| date < from - ROUNDING) || self.until.is_some_and(|until| date > until + ROUNDING)
        })
    }

    /// Takes a page of the list, or of the window that starts at `from`. Returns the window with which the list
    /// continues; `None` if it continues with its next page, or ends.
    pub(super) fn note_page(
        &mut self,
        marks: &[RecordMark],
        at_end: bool,
        from: Option<DateTime<Utc>>,
    ) -> Option<NextWindow> {
        if self.mode == Mode::PlainOnly {
            return None;
        }
        self.pages += 1;
        for date in marks.iter().filter_map(|mark| mark.wix_created_at) {
            let (first, last) = self.dates.unwrap_or((date, date));
            self.dates = Some((first.min(date), last.max(date)));
        }
        match self.mode {
            Mode::Windows => self.after_page_of_window(at_end, from),
            // Windows would leave out records without a date.
            _ if marks.iter().any(|mark| mark.wix_created_at.is_none()) => {
                self.mode = Mode::PlainOnly;
                None
            }
            _ if at_end => None,
            _ => self.begin(),
        }
    }

    /// Starts with the records before those that came, if the list is long: there are few or none.
    fn begin(&mut self) -> Option<NextWindow> {
        let (first, last) = self.dates.filter(|_| self.pages >= MAX_PLAIN_PAGES)?;
        self.mode = Mode::Windows;
        self.width = (last - first) / FIRST_PART;
        (self.until, self.pages) = (Some(first), 0);
        Some(NextWindow::From(None))
    }

    fn after_page_of_window(&mut self, at_end: bool, from: Option<DateTime<Utc>>) -> Option<NextWindow> {
        if at_end {
            let until = self.until?;
            if from.is_some() {
                self.adapt_width();
            }
            self.set_window(until);
            return Some(NextWindow::From(Some(until)));
        }
        let is_too_long = self.pages >= MAX_PAGES_PER_WINDOW && self.width > TimeDelta::milliseconds(1);
        let from = from.filter(|_| is_too_long)?;
        self.width = self.width / MAX_CHANGE;
        self.set_window(from);
        Some(NextWindow::Again)
    }

    /// Starts the next window. It has no end if no later record is known.
    fn set_window(&mut self, from: DateTime<Utc>) {
        let until = from.checked_add_signed(self.width.max(TimeDelta::milliseconds(1)));
        self.until = until.filter(|until| self.dates.is_some_and(|(_, last)| *until <= last));
        self.pages = 0;
    }

    fn adapt_width(&mut self) {
        self.width = match self.pages {
            0 | 1 => self.width * MAX_CHANGE,
            pages if pages > 2 * PAGES_PER_WINDOW => self.width / MAX_CHANGE,
            pages if pages > PAGES_PER_WINDOW => self.width / 2,
            pages if pages < PAGES_PER_WINDOW => self.width * 2,
            _ => self.width,
        };
    }
}
