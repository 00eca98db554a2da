//! The facts about a contact that its bookings and orders repeat.

use super::Shape;
use super::places::{CULTURES, Culture};
use super::text::{Dice, push, push_number};

/// How complete a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    Full,
    PhoneOnly,
    NameOnly,
    EmailOnly,
}

/// The facts about contact `index` that other records repeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) index: u32,
    pub(super) seed: u64,
    pub(super) culture: &'static Culture,
    pub(super) first: (&'static str, &'static str),
    pub(super) last: (&'static str, &'static str),
    pub(super) completeness: Completeness,
    number: u32,
}

/// One of this many contacts repeats the email address of the one before it.
const SHARED_EMAIL_PERIOD: u32 = 211;

impl Person {
    pub(super) fn of(shape: &Shape, index: u32) -> Self {
        let mut dice = Dice::new(shape.seed, 1, u64::from(index));
        let culture = &CULTURES[dice.below(CULTURES.len())];
        Self {
            index,
            seed: shape.seed,
            culture,
            first: dice.pick(&culture.firsts),
            last: dice.pick(&culture.lasts),
            completeness: match dice.below(100) {
                0..=4 => Completeness::PhoneOnly,
                5..=7 => Completeness::NameOnly,
                8..=10 => Completeness::EmailOnly,
                _ => Completeness::Full,
            },
            number: 1_000_000 + dice.below(8_999_999) as u32,
        }
    }

    pub(super) fn has_email(&self) -> bool {
        matches!(self.completeness, Completeness::Full | Completeness::EmailOnly)
    }

    /// Appends the email address; a few people share one.
    pub(super) fn push_email(&self, out: &mut String) {
        if self.index % SHARED_EMAIL_PERIOD == 5 {
            let shape = Shape { seed: self.seed, sizes: crate::site::Sizes::default() };
            return Person::of(&shape, self.index - 1).push_own_email(out);
        }
        self.push_own_email(out);
    }

    fn push_own_email(&self, out: &mut String) {
        push(out, &[self.first.1, ".", self.last.1]);
        push_number(out, i64::from(self.index));
        out.push_str(match self.index % 3 {
            0 => "@example.com",
            1 => "@example.org",
            _ => "@mail.example.net",
        });
    }

    /// Appends the phone number in the international form without spaces.
    pub(super) fn push_e164(&self, out: &mut String) {
        push(out, &["+", self.culture.dial]);
        push_number(out, i64::from(self.number));
    }

    /// Appends the phone number as people of the country write it.
    pub(super) fn push_local_phone(&self, out: &mut String) {
        push_number(out, i64::from(self.number / 10_000));
        out.push(' ');
        crate::clock::push_digits(out, i64::from(self.number % 10_000), 4);
    }

    /// Appends the phone number in the international form with spaces.
    pub(super) fn push_spaced_phone(&self, out: &mut String) {
        push(out, &["+", self.culture.dial, " "]);
        self.push_local_phone(out);
    }
}
