//! Reads a list that Wix does not sort: from its beginning in any order, or in consecutive windows by date.

use chrono::{DateTime, SubsecRound, Utc};

use super::order::Order;
use super::{Pagination, Start};

impl Pagination {
    /// Starts at the beginning, without an order.
    pub fn begin_unsorted(&mut self) {
        *self = Pagination {
            is_unsorted: true,
            order: Order::broken(),
            page_limit: self.page_limit,
            windows: self.windows,
            tally: self.forget_all(),
            ..Pagination::default()
        };
        self.begin_at_start();
    }

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
            (self.start, self.check) = (Start::default(), None);
            self.order.give_up();
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
}
