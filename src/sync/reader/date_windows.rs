//! Reads a long list that Wix does not sort in windows by date, so that a stopped run loses only one window.
//!
//! The first pages are read without windows, which is enough for a short list. Their dates determine the windows.

use chrono::{DateTime, TimeDelta, Utc};

use super::filter_check::ROUNDING;
use crate::table::row::RecordMark;

/// Maximum number of pages of a list that is read without windows.
const MAX_PLAIN_PAGES: u32 = 4;

/// Target number of pages per window.
const PAGES_PER_WINDOW: u32 = 5;

/// Maximum number of pages of a window. A longer window is read again as a smaller one.
const MAX_PAGES_PER_WINDOW: u32 = 4 * PAGES_PER_WINDOW;

/// The first window is the time between the first and the last record, divided by this.
const FIRST_PART: i32 = 64;

/// Maximum ratio of the widths of consecutive windows.
const MAX_CHANGE: i32 = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// By its own pages, until it is known to be long.
    #[default]
    Plain,
    /// By its own pages, to its end.
    PlainOnly,
    Windows,
}

/// The next window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextWindow {
    /// The one from this date on, or the one before all known dates.
    From(Option<DateTime<Utc>>),
    /// The current window again, but smaller.
    Again,
}

/// The progress in a list without an order.
#[derive(Debug, Default)]
pub(super) struct DateWindows {
    mode: Mode,
    /// Number of pages of the list, or of the current window.
    pages: u32,
    /// The earliest and the latest creation date seen.
    dates: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Where the current window ends. The last one has no end.
    until: Option<DateTime<Utc>>,
    width: TimeDelta,
}

impl DateWindows {
    /// Resumes at a date. Only the width of the windows depends on `now`.
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

    /// Adds a page of the list, or of the window that starts at `from`. Returns the window with which the list
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

    /// Starts with the time before the known records if the list is long. That window has few records or none.
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
