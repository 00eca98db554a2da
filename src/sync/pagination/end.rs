//! The end of a list: checks whether as many records came as Wix announced.

use chrono::{DateTime, Utc};

use super::order::Order;
use super::window::{Window, WindowUse};
use super::{Conclusion, Pagination};

impl Pagination {
    /// The date at which a resumed pass started, while its totals still have to be compared with those of the whole
    /// list.
    pub fn unconfirmed_start(&self) -> Option<DateTime<Utc>> {
        let check = self.check.as_ref().filter(|check| check.is_of_start()).or(self.start_check.as_ref())?;
        Some(check.from)
    }

    /// Compares the total of the whole list with the total of the window at which a resumed pass started, if the whole
    /// list has more records than came. If the window left records out, reads the list from its beginning and returns
    /// false. A total is `None` if Wix did not state it.
    pub fn confirm_start(&mut self, whole: Option<u64>, window: Option<u64>) -> bool {
        let Some(check) = self.check.take_if(|check| check.is_of_start()).or(self.start_check.take()) else {
            return true;
        };
        let is_complete = match (whole, window) {
            (Some(whole), _) if whole <= self.tally.count() => true,
            (Some(whole), Some(window)) => whole <= self.start.records_before + window,
            _ => {
                self.is_unverified = true;
                check.is_from_seen
            }
        };
        if !is_complete {
            self.begin_second_reading();
        }
        is_complete
    }

    /// The number of distinct records of this pass, including earlier runs.
    pub fn record_count(&self) -> u64 {
        self.tally.count()
    }

    /// How many records Wix announced and did not return, if this is the end of the list.
    pub fn shortfall(&self) -> u64 {
        let came = self.tally.count().saturating_sub(self.window.before);
        self.window.total.map_or(0, |total| total.saturating_sub(came)) + self.hidden
    }

    /// True if the total of the whole list must be compared with the windows by date at the end: records without a date
    /// are in no window.
    pub fn has_undated_to_compare(&self) -> bool {
        self.is_by_date && self.window.total.is_some()
    }

    /// From now on, a shortfall is a reason to read the list again, once.
    pub fn allow_second_reading(&mut self) {
        self.is_unverified = true;
    }

    /// Decides what to do at the end of the list. `whole` is the current total of the whole list, which may have
    /// changed.
    pub fn conclude(&mut self, whole: Option<u64>) -> Conclusion {
        let missing = whole.map_or(u64::MAX, |whole| whole.saturating_sub(self.tally.count()));
        let undated = if self.is_by_date { whole.map_or(0, |_| missing) } else { 0 };
        let shortfall = self.shortfall().min(missing).max(undated);
        if shortfall > 0 && self.is_unverified && !self.is_second_reading {
            self.begin_second_reading();
            return Conclusion::ReadAgain;
        }
        Conclusion::Shortfall(shortfall)
    }

    pub fn is_second_reading(&self) -> bool {
        self.is_second_reading
    }

    /// Reads the list again from its beginning, without windows by date.
    pub(super) fn begin_second_reading(&mut self) {
        let windows = self.windows + 1;
        *self = Pagination {
            is_second_reading: true,
            window_use: WindowUse::Avoided,
            windows,
            window: Window { number: windows, ..Window::default() },
            is_unsorted: self.is_unsorted,
            order: if self.is_unsorted { Order::broken() } else { Order::default() },
            tally: self.forget_all(),
            total: self.total,
            page_limit: self.page_limit,
            ..Pagination::default()
        };
    }
}
