//! A list that Wix does not sort, read in windows by date: each in any order, one window after the other.

use chrono::{DateTime, SubsecRound, Utc};

use super::{Order, Start, Walk};

impl Walk {
    /// Reads the records created from this date on, up to the date of the request's filter. All records before it came
    /// with earlier windows.
    pub fn begin_date_window(&mut self, from: Option<DateTime<Utc>>) {
        let from = from.map(|date| date.trunc_subsecs(3));
        let before = if self.is_by_date {
            self.hidden = self.shortfall();
            self.tally.count()
        } else {
            let before = if from.is_some() { self.start.records_before } else { 0 };
            (self.is_by_date, self.is_unsorted, self.is_unverified) = (true, true, true);
            (self.order, self.start, self.check) = (Order::Broken, Start::default(), None);
            self.tally.forget(before);
            before
        };
        self.tally.begin_part(before);
        self.begin_window(from, before);
    }

    /// Reads the current window again, for instance as a smaller one.
    pub fn restart_date_window(&mut self) {
        let (from, before) = (self.window.from, self.window.before);
        self.tally.forget_part(before);
        self.begin_window(from, before);
    }

    /// True if the total of the whole list must be compared with the windows by date at its end: no window has the
    /// records without a date.
    pub fn has_undated_to_compare(&self) -> bool {
        self.is_by_date && self.window.total.is_some()
    }

    pub fn is_second_reading(&self) -> bool {
        self.is_second_reading
    }
}
