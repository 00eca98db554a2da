//! Counts the distinct records of a pass, to compare them with what Wix announced.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

/// Maximum number of ids that are remembered while the list is sorted: about 1 MB. Behind them a sorted list can repeat a
/// record only at one date, which the pagination knows.
const MAX_REMEMBERED: usize = 65_536;

/// Where a record stands in the order of the list so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Out of order: nothing but its id tells whether it came before.
    Behind,
    /// At the latest date, and it came before.
    Again,
    /// At the latest date.
    AtMark,
    /// Later than all before.
    Ahead,
}

/// The number of distinct records; a record without an id counts as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    count: u64,
    /// Hashes of ids: of the first records, and of all that came out of order.
    remembered: HashSet<u64>,
    /// Of the records counted: those at the latest date.
    at_mark: u64,
    /// Records without an id: at the latest date, and altogether.
    nameless_at_mark: u64,
    nameless: u64,
    /// Records without an id that come again because the list is read again from an earlier place.
    nameless_to_skip: u64,
}

impl Tally {
    /// Starts with this number of records, of which none comes again.
    pub(super) fn starting_with(count: u64) -> Tally {
        Tally { count, ..Tally::default() }
    }

    /// All distinct records so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Those created before the latest date.
    pub(super) fn before_mark(&self) -> u64 {
        self.count - self.at_mark
    }

    pub(super) fn note(&mut self, id: Option<&str>, place: Place) {
        if place == Place::Ahead {
            (self.at_mark, self.nameless_at_mark) = (0, 0);
        }
        let is_first = match id {
            Some(id) => self.remember(xxh3_64(id.as_bytes()), place),
            None => self.is_another_nameless(place),
        };
        if is_first {
            self.count += 1;
            self.at_mark += u64::from(place != Place::Behind);
        }
    }

    fn remember(&mut self, id: u64, place: Place) -> bool {
        let has_room = self.remembered.len() < MAX_REMEMBERED;
        if has_room || place == Place::Behind {
            return self.remembered.insert(id);
        }
        place != Place::Again && !self.remembered.contains(&id)
    }

    fn is_another_nameless(&mut self, place: Place) -> bool {
        if self.nameless_to_skip > 0 {
            self.nameless_to_skip -= 1;
            return false;
        }
        self.nameless += 1;
        self.nameless_at_mark += u64::from(place != Place::Behind);
        true
    }

    /// Counts a record that Wix cannot deliver, and that is named elsewhere.
    pub(super) fn note_skipped(&mut self) {
        self.count += 1;
    }

    /// The latest date moved without a record.
    pub(super) fn move_mark(&mut self) {
        (self.at_mark, self.nameless_at_mark, self.nameless_to_skip) = (0, 0, 0);
    }

    /// The list is read again from the latest date.
    pub(super) fn restart_at_mark(&mut self) {
        self.nameless_to_skip = self.nameless_at_mark;
    }

    /// The list goes on where it was left.
    pub(super) fn resume(&mut self) {
        self.nameless_to_skip = 0;
    }

    /// The list is read again from its beginning, where `before` records lie before it: all come again.
    pub(super) fn restart_at_beginning(&mut self, before: u64) {
        let is_exact = self.count == before + self.remembered.len() as u64 + self.nameless;
        if is_exact {
            self.nameless_to_skip = self.nameless;
        } else {
            *self = Tally::starting_with(before);
        }
    }
}
