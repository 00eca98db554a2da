//! Reading a long list that Wix does not sort, in windows by date, so that a stopped run loses only one window.
//!
//! The first pages are read as they come: short lists need no more. Their dates tell where the windows start and end.

use chrono::{DateTime, TimeDelta, Utc};

use super::reader::Reader;
use crate::run::PassKind;
use crate::table::row::RecordMark;

/// Maximum number of pages of a list that is read without windows.
const MAX_PLAIN_PAGES: u32 = 4;

/// The number of pages that a window should have.
const PAGES_PER_WINDOW: u32 = 5;

/// A window with more pages than this is given up and read again as a smaller one.
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

/// How far a list without an order has been read.
#[derive(Debug, Default)]
pub(super) struct ByDate {
    mode: Mode,
    /// Pages of the list, or of the current window.
    pages: u32,
    /// The earliest and the latest creation date seen.
    dates: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Where the current window ends. The last one has no end.
    until: Option<DateTime<Utc>>,
    width: TimeDelta,
}

impl ByDate {
    pub(super) fn until(&self) -> Option<DateTime<Utc>> {
        self.until
    }

    fn note(&mut self, marks: &[RecordMark]) {
        self.pages += 1;
        for date in marks.iter().filter_map(|mark| mark.wix_created_at) {
            let (first, last) = self.dates.unwrap_or((date, date));
            self.dates = Some((first.min(date), last.max(date)));
        }
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

impl Reader<'_> {
    /// Starts to read without the sort that Wix refuses. An interrupted pass continues at its date.
    pub(super) fn begin_unsorted(&mut self) {
        self.reading.selection.unsorted = true;
        let is_full = self.reading.start.pass == PassKind::Full;
        let Some(from) = self.reading.start.created_from.filter(|_| is_full) else {
            self.walk.begin_unsorted();
            return;
        };
        // Only the width of the windows depends on it.
        let now = self.first_answer_at.unwrap_or_else(Utc::now).max(from);
        self.by_date = ByDate {
            mode: Mode::Windows,
            dates: Some((from, now)),
            width: (now - from) / FIRST_PART,
            ..ByDate::default()
        };
        self.by_date.set_window(from);
        self.walk.begin_date_window(Some(from));
    }

    /// Whether a creation date is outside of the current window by more than `tolerance`.
    pub(super) fn is_outside_window(&self, date: DateTime<Utc>, tolerance: TimeDelta) -> bool {
        let has_windows = self.by_date.mode == Mode::Windows && !self.walk.is_second_reading();
        let is_before = self.walk.frontier().is_some_and(|from| date < from - tolerance);
        has_windows && (is_before || self.by_date.until.is_some_and(|until| date > until + tolerance))
    }

    /// Returns to the list as it is, because Wix refuses windows too. False if there are no windows to give up.
    pub(super) fn give_up_windows(&mut self) -> bool {
        let has_windows = self.by_date.mode == Mode::Windows && !self.walk.is_second_reading();
        if has_windows {
            self.by_date = ByDate { mode: Mode::PlainOnly, ..ByDate::default() };
            self.walk.begin_unsorted();
        }
        has_windows
    }

    /// Takes a page of a list without an order. Returns whether it is the last one.
    pub(super) fn note_unsorted_page(&mut self, marks: &[RecordMark], at_end: bool) -> bool {
        if self.walk.is_second_reading() {
            self.by_date = ByDate { mode: Mode::PlainOnly, ..ByDate::default() };
        }
        let is_full = self.reading.start.pass == PassKind::Full;
        if !self.reading.selection.unsorted || !is_full || self.by_date.mode == Mode::PlainOnly {
            return at_end;
        }
        self.by_date.note(marks);
        match self.by_date.mode {
            // Windows would leave out records without a date.
            Mode::Plain if marks.iter().any(|mark| mark.wix_created_at.is_none()) => {
                self.by_date.mode = Mode::PlainOnly;
                at_end
            }
            Mode::Plain => at_end || self.begin_windows(),
            Mode::Windows => self.continue_windows(at_end),
            Mode::PlainOnly => at_end,
        }
    }

    /// Starts with the records before those that came: there are few or none.
    fn begin_windows(&mut self) -> bool {
        if let (MAX_PLAIN_PAGES.., Some((first, last))) = (self.by_date.pages, self.by_date.dates) {
            self.by_date.mode = Mode::Windows;
            self.by_date.width = (last - first) / FIRST_PART;
            (self.by_date.until, self.by_date.pages) = (Some(first), 0);
            self.walk.begin_date_window(None);
        }
        false
    }

    fn continue_windows(&mut self, at_end: bool) -> bool {
        let from = self.walk.frontier();
        if at_end {
            let Some(until) = self.by_date.until else { return true };
            if from.is_some() {
                self.by_date.adapt_width();
            }
            self.by_date.set_window(until);
            self.walk.begin_date_window(Some(until));
        } else if let Some(from) = from
            && self.by_date.pages >= MAX_PAGES_PER_WINDOW
            && self.by_date.width > TimeDelta::milliseconds(1)
        {
            self.by_date.width = self.by_date.width / MAX_CHANGE;
            self.by_date.set_window(from);
            self.walk.restart_date_window();
        }
        false
    }
}
