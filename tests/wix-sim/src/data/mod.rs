//! The generated site: every record is a pure function of the seed and its index.
//!
//! No record is kept in memory. A record is written to JSON text when a page needs it, so a site of a million contacts
//! takes a few dozen bytes each.

mod booking;
mod contact;
mod order;
mod people;
mod places;
mod text;

use crate::clock::NANOS_PER_MS;
use crate::site::{Entity, Sizes};
use crate::store::{OrderStatus, Record};
use text::Dice;

/// First moment at which a generated record may have been created: 2019-03-01T00:00:00Z.
const FIRST_CREATED_MS: i64 = 1_551_398_400_000;
/// Generated records are all created before this moment: 2026-06-30T00:00:00Z.
const LAST_CREATED_MS: i64 = 1_782_777_600_000;
/// Generated records are all last updated before this moment: 2026-09-30T00:00:00Z.
const LAST_UPDATED_MS: i64 = 1_790_726_400_000;

/// In every block of this many records one small group shares a timestamp.
const TIE_PERIOD: u64 = 97;
/// Where in the block the small group starts, and how many records follow its first one.
const TIE_START: u64 = 50;
const TIE_FOLLOWERS: u64 = 3;

/// Multiplier that spreads indexes over the low half of an id, and its inverse modulo 2^32.
const SPREAD: u32 = 0x9E37_79B1;
const UNSPREAD: u32 = inverse(SPREAD);

const fn inverse(odd: u32) -> u32 {
    let mut guess = odd;
    let mut round = 0;
    while round < 5 {
        guess = guess.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(guess)));
        round += 1;
    }
    guess
}

/// The parameters of the generator.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) sizes: Sizes,
}

impl Shape {
    /// The id of record `index`; its last four bytes can be turned back into the index.
    pub(crate) fn id(&self, entity: Entity, index: u32) -> u128 {
        let mut dice = Dice::new(self.seed, entity as u64 + 100, u64::from(index));
        let high = dice.next();
        let middle = dice.next();
        let low = index.wrapping_mul(SPREAD) ^ (self.seed as u32);
        let raw = (u128::from(high) << 64) | u128::from((middle << 32) | u64::from(low));
        uuid_v4(raw)
    }

    /// The index of the generated record with this id, if there is one.
    pub(crate) fn index_of(&self, entity: Entity, id: u128) -> Option<u32> {
        let index = ((id as u32) ^ (self.seed as u32)).wrapping_mul(UNSPREAD);
        (self.id(entity, index) == id).then_some(index)
    }

    /// When record `index` was created, in nanoseconds; never decreases as the index grows.
    pub(crate) fn created(&self, entity: Entity, index: u32) -> i64 {
        let count = self.sizes.of(entity).max(1) as i64;
        let mut slot = u64::from(index);
        let in_period = slot % TIE_PERIOD;
        if (TIE_START..=TIE_START + TIE_FOLLOWERS).contains(&in_period) {
            slot -= in_period - TIE_START;
        }
        if entity == Entity::Contacts && self.sizes.tie_block > 1 {
            let first = (count / 4) as u64;
            if (first..first + self.sizes.tie_block as u64).contains(&u64::from(index)) {
                slot = first;
            } else if (first..first + self.sizes.tie_block as u64).contains(&slot) {
                // A small group must not start inside the block and continue after it.
                slot = u64::from(index);
            }
        }
        let span = (LAST_CREATED_MS - FIRST_CREATED_MS) / count;
        let jitter = Dice::new(self.seed, entity as u64 + 200, slot).below(span.max(1) as usize);
        (FIRST_CREATED_MS + span * slot as i64 + jitter as i64) * NANOS_PER_MS
    }

    /// When record `index` was last changed, in nanoseconds.
    pub(crate) fn updated(&self, entity: Entity, index: u32, created: i64) -> i64 {
        let mut dice = Dice::new(self.seed, entity as u64 + 300, u64::from(index));
        let created_ms = created / NANOS_PER_MS;
        let later = match dice.below(10) {
            0 => 0,
            1..=4 => dice.below(30_000) as i64,
            _ => dice.below((LAST_UPDATED_MS - created_ms).max(1) as usize) as i64,
        };
        (created_ms + later) * NANOS_PER_MS
    }

    /// The status of order `index`.
    pub(crate) fn order_status(&self, index: u32) -> OrderStatus {
        match Dice::new(self.seed, 400, u64::from(index)).below(100) {
            0..=77 => OrderStatus::Approved,
            78..=87 => OrderStatus::Canceled,
            88..=91 => OrderStatus::Pending,
            92..=94 => OrderStatus::Rejected,
            _ => OrderStatus::Initialized,
        }
    }

    /// Writes an unmodified record as JSON text; `basic` leaves a contact with its basic fields only.
    pub(crate) fn write(&self, entity: Entity, record: &Record, basic: bool, out: &mut String) {
        match entity {
            Entity::Contacts => contact::write(self, record, basic, out),
            Entity::Bookings => booking::write(self, record, out),
            Entity::Orders => order::write(self, record, out),
        }
    }
}

/// Sets the version and variant bits of a random UUID.
fn uuid_v4(raw: u128) -> u128 {
    (raw & !(0xF << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62)
}
