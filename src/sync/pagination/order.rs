//! The order of a list, as observed from its creation dates.

use std::cmp::Ordering;

use chrono::{DateTime, SubsecRound, Utc};

use crate::table::row::RecordMark;

/// The creation date in milliseconds, the precision of filters.
pub(super) fn created(mark: &RecordMark) -> Option<DateTime<Utc>> {
    mark.wix_created_at.map(|date| date.trunc_subsecs(3))
}

/// The position of a record relative to the records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Out of order: older than the latest date, or without a date.
    Behind,
    /// At the latest date.
    AtLatest,
    /// Later than all others.
    Ahead,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Proof {
    /// Only one date came so far.
    #[default]
    Unproven,
    /// Two different dates came in ascending order, and none came out of order.
    Ascending,
    /// A record came that is older than one before it, or the list is not sorted.
    Broken,
}

/// The order of the list as observed so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    proof: Proof,
    /// True once a record without a date came after one with a date: a window by date would leave such records out.
    has_late_undated: bool,
    latest: Option<DateTime<Utc>>,
    /// False if no record with the latest date has come in this run.
    is_latest_seen: bool,
}

impl Order {
    /// For a list that resumes at a date.
    pub(super) fn starting_at(latest: Option<DateTime<Utc>>) -> Order {
        Order { latest, ..Order::default() }
    }

    /// For a list that has no order.
    pub(super) fn broken() -> Order {
        Order { proof: Proof::Broken, ..Order::default() }
    }

    /// From now on the list has no order.
    pub(super) fn give_up(&mut self) {
        self.proof = Proof::Broken;
    }

    /// Adds the next record.
    pub(super) fn note(&mut self, created: Option<DateTime<Utc>>) -> Place {
        let place = match created.cmp(&self.latest) {
            Ordering::Less => Place::Behind,
            Ordering::Equal => Place::AtLatest,
            Ordering::Greater => Place::Ahead,
        };
        match place {
            Place::Behind if created.is_some() => self.proof = Proof::Broken,
            Place::Behind => self.has_late_undated = true,
            Place::Ahead => {
                if self.is_latest_seen && self.latest.is_some() && self.proof == Proof::Unproven {
                    self.proof = Proof::Ascending;
                }
                self.latest = created;
            }
            Place::AtLatest => {}
        }
        self.is_latest_seen |= place != Place::Behind;
        place
    }

    /// Advances the latest date without a record.
    pub(super) fn skip_to(&mut self, latest: DateTime<Utc>) {
        (self.latest, self.is_latest_seen) = (Some(latest), false);
    }

    /// The latest creation date that came, or at which the list resumes.
    pub(super) fn latest(&self) -> Option<DateTime<Utc>> {
        self.latest
    }

    pub(super) fn is_latest_seen(&self) -> bool {
        self.is_latest_seen
    }

    /// True if a window by date can start at the latest date, because it has all remaining records.
    pub(super) fn is_proven(&self) -> bool {
        self.proof == Proof::Ascending && !self.has_late_undated
    }

    pub(super) fn is_unproven(&self) -> bool {
        self.proof == Proof::Unproven
    }

    pub(super) fn is_broken(&self) -> bool {
        self.proof == Proof::Broken
    }

    pub(super) fn has_late_undated(&self) -> bool {
        self.has_late_undated
    }
}
