//! Counts the distinct records of a list, to compare the count with the number that Wix announced. It remembers 16
//! bytes per record to recognize records that come again.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::order::Place;
use crate::table::row::{RecordMark, Version};

/// Maximum number of remembered records before the latest date while the list is sorted: about 1 MB. A sorted list can
/// repeat only records with the latest date, for which [`MAX_RECORDS`] is the limit.
const MAX_REMEMBERED: usize = 65_536;

/// Maximum number of remembered records with the latest date, and of all others: 9 MB each.
pub(super) const MAX_RECORDS: usize = 450_000;

/// Maximum capacity, in records, of a map that is cleared and reused. Clearing a larger map takes longer than creating
/// a new one.
const LARGE: usize = 4_096;

/// Whether a record came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// False if it came before, in this pass.
    pub(super) is_first: bool,
    /// False if it came before in the same version.
    pub(super) is_news: bool,
    /// False if it came before in this window.
    pub(super) is_first_in_window: bool,
}

/// The last copy of a record.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// A hash of its version.
    version: u32,
    /// The window in which it came.
    window: u32,
}

/// The number of distinct records; a record without an id counts as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    count: u64,
    /// Records with the latest date, by the hash of their id. They come again when the pagination restarts there.
    at_latest: HashMap<u64, Seen>,
    /// The first of the other records, and all that came out of order, by the hash of their id.
    others: HashMap<u64, Seen>,
    /// Number of counted records at the latest date.
    count_at_latest: u64,
    /// Number of records without an id at the latest date.
    nameless_at_latest: u64,
    /// Number of all records without an id.
    nameless: u64,
    /// Number of records without an id that come again because the list is read again from an earlier position.
    nameless_to_skip: u64,
    /// Hashes of records without an id that came in this window.
    nameless_in_window: HashSet<u64>,
    /// Number of records with an id that came in this run and would come again if the list were read again.
    delivered: u64,
    /// Number of records that came in this run and were forgotten, although they come again.
    forgotten: u64,
    /// True once a record was not remembered. If it comes again, it is counted twice.
    is_overfull: bool,
}

fn key(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

fn hash_of(version: Version) -> u32 {
    let updated_at = version.updated_at.map(|at| (at.timestamp(), at.timestamp_subsec_nanos()));
    let (seconds, nanos) = updated_at.unwrap_or((i64::MIN, 0));
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&version.revision.unwrap_or(i64::MIN).to_le_bytes());
    bytes[8..16].copy_from_slice(&seconds.to_le_bytes());
    bytes[16..].copy_from_slice(&nanos.to_le_bytes());
    // Half of the hash is enough to distinguish two versions of one record.
    xxh3_64(&bytes) as u32
}

impl Tally {
    /// Starts with this number of records, none of which comes again.
    pub(super) fn starting_with(count: u64) -> Tally {
        Tally { count, ..Tally::default() }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The number of records created before the latest date.
    pub(super) fn before_latest(&self) -> u64 {
        self.count - self.count_at_latest
    }

    /// The number of records with an id at the latest date.
    pub(super) fn len_at_latest(&self) -> usize {
        self.at_latest.len()
    }

    /// Hashes of the ids at the latest date.
    pub(super) fn keys_at_latest(&self) -> HashSet<u64> {
        self.at_latest.keys().copied().collect()
    }

    pub(super) fn key_of(mark: &RecordMark) -> Option<u64> {
        mark.wix_id.as_deref().map(key)
    }

    /// Whether a record is one of those at the latest date that came in this window.
    pub(super) fn came_at_latest(&self, mark: &RecordMark, window: u32) -> bool {
        let seen = Tally::key_of(mark).and_then(|key| self.at_latest.get(&key));
        seen.is_some_and(|seen| seen.window == window)
    }

    /// Adds a record. A record without an id that ended the page before (`is_last_one`) is not counted again.
    pub(super) fn note(&mut self, mark: &RecordMark, place: Place, window: u32, is_last_one: bool) -> Sighting {
        if place == Place::Ahead {
            self.move_latest();
        }
        let Some(key) = Tally::key_of(mark) else {
            let has_room = self.nameless_in_window.len() < MAX_REMEMBERED;
            let is_first_in_window = !has_room || self.nameless_in_window.insert(mark.content);
            let is_first = !is_last_one && self.is_another_nameless(place);
            return Sighting { is_first, is_news: is_first_in_window, is_first_in_window };
        };
        let seen = Seen { version: hash_of(mark.version), window };
        let earlier = match self.at_latest.get_mut(&key) {
            Some(earlier) => Some(earlier),
            None => self.others.get_mut(&key),
        };
        if let Some(earlier) = earlier {
            let is_news = earlier.version != seen.version;
            let is_first_in_window = earlier.window != window;
            *earlier = seen;
            return Sighting { is_first: false, is_news, is_first_in_window };
        }
        let is_behind = place == Place::Behind;
        let remembered = if is_behind { &mut self.others } else { &mut self.at_latest };
        if remembered.len() < MAX_RECORDS {
            remembered.insert(key, seen);
        } else {
            self.is_overfull = true;
        }
        self.count += 1;
        self.delivered += 1;
        self.count_at_latest += u64::from(!is_behind);
        Sighting { is_first: true, is_news: true, is_first_in_window: true }
    }

    fn is_another_nameless(&mut self, place: Place) -> bool {
        if self.nameless_to_skip > 0 {
            self.nameless_to_skip -= 1;
            return false;
        }
        self.nameless += 1;
        self.nameless_at_latest += u64::from(place != Place::Behind);
        self.count += 1;
        self.count_at_latest += u64::from(place != Place::Behind);
        true
    }

    /// Whether more records came than can be remembered, so that [`Tally::count`] may be too high.
    pub(super) fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    /// Counts a record that Wix cannot deliver. It is rejected elsewhere.
    pub(super) fn note_skipped(&mut self) {
        self.count += 1;
    }

    fn move_latest(&mut self) {
        (self.count_at_latest, self.nameless_at_latest) = (0, 0);
        let room = MAX_REMEMBERED.saturating_sub(self.others.len());
        self.others.extend(self.at_latest.drain().take(room));
        if self.at_latest.capacity() > LARGE {
            self.at_latest = HashMap::new();
        }
    }

    /// The latest date advanced without a record.
    pub(super) fn skip_latest(&mut self) {
        self.move_latest();
        self.nameless_to_skip = 0;
    }

    /// Another window starts: records without an id may come again.
    pub(super) fn begin_window(&mut self) {
        self.nameless_in_window.clear();
    }

    /// The list is read again from the latest date.
    pub(super) fn restart_at_latest(&mut self) {
        self.nameless_to_skip = self.nameless_at_latest;
    }

    /// The list continues at the position where it was left.
    pub(super) fn resume(&mut self) {
        self.nameless_to_skip = 0;
    }

    /// The list is read again from its beginning, so all its records come again. `before` is the number of records
    /// before that position.
    pub(super) fn restart_at_beginning(&mut self, before: u64) {
        let remembered = (self.at_latest.len() + self.others.len()) as u64;
        if self.count == before + remembered + self.nameless {
            self.nameless_to_skip = self.nameless;
        } else {
            self.forget(before);
        }
    }

    /// The list is read again from a position with `before` records before it. Nothing is remembered.
    pub(super) fn forget(&mut self, before: u64) {
        let forgotten = self.forgotten + self.delivered;
        *self = Tally { forgotten, ..Tally::starting_with(before) };
    }

    /// The part of the list that started after `before` records is read again.
    pub(super) fn forget_part(&mut self, before: u64) {
        let again = self.count.saturating_sub(before).min(self.delivered);
        (self.forgotten, self.delivered) = (self.forgotten + again, self.delivered - again);
        self.begin_part(before);
    }

    /// Another part of the list starts. None of the `before` earlier records comes again in it.
    pub(super) fn begin_part(&mut self, before: u64) {
        let Tally { forgotten, delivered, is_overfull, .. } = *self;
        *self = Tally { forgotten, delivered, is_overfull, ..Tally::starting_with(before) };
    }

    /// The number of records that were forgotten since the last call.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// The number of records that came in this run and are not forgotten.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Resets what was counted since [`Tally::delivered`] had this value.
    pub(super) fn take_back(&mut self, delivered: u64) {
        self.delivered = delivered;
    }
}
