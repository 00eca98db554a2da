//! Writes JSON text quickly: random numbers, ids, money and strings.

use std::fmt::Write as _;

/// A small deterministic random source (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The same three numbers give the same sequence.
    pub(super) fn new(seed: u64, salt: u64, index: u64) -> Self {
        let mut dice = Self(
            seed.wrapping_mul(0xA076_1D64_78BD_642F)
                ^ salt.wrapping_mul(0xE703_7ED1_A0B4_28DB)
                ^ index.wrapping_mul(0x8EBC_6AF0_9C88_C6E3),
        );
        dice.next();
        dice
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound - 1`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound.max(1) as u128) >> 64) as usize
    }

    /// True with a probability of `percent`.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of a non-empty list.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A fresh random UUID.
    pub(super) fn uuid(&mut self) -> u128 {
        super::uuid_v4((u128::from(self.next()) << 64) | u128::from(self.next()))
    }
}

/// Appends a UUID in its usual form, without quotes.
pub(super) fn push_uuid(out: &mut String, id: u128) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (position, byte) in id.to_be_bytes().into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(HEX[usize::from(byte >> 4)] as char);
        out.push(HEX[usize::from(byte & 15)] as char);
    }
}

pub(super) fn push(out: &mut String, pieces: &[&str]) {
    for piece in pieces {
        out.push_str(piece);
    }
}

/// Appends `"name":"uuid"`.
pub(super) fn push_id(out: &mut String, before: &str, id: u128) {
    out.push_str(before);
    out.push('"');
    push_uuid(out, id);
    out.push('"');
}

pub(super) fn push_number(out: &mut String, number: i64) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends thousandths as the shortest decimal: 21955 is `21.955`, 45000 is `45`.
pub(super) fn push_decimal(out: &mut String, thousandths: i64) {
    if thousandths < 0 {
        out.push('-');
    }
    let whole = thousandths.unsigned_abs();
    push_number(out, (whole / 1000) as i64);
    let mut rest = whole % 1000;
    if rest > 0 {
        out.push('.');
        let mut unit = 100;
        while rest > 0 {
            out.push((b'0' + (rest / unit) as u8) as char);
            rest %= unit;
            unit /= 10;
        }
    }
}

/// Appends `{"amount":"…","formattedAmount":"…"}`.
pub(super) fn push_money(out: &mut String, before: &str, thousandths: i64, sign: &str) {
    push(out, &[before, "{\"amount\":\""]);
    push_decimal(out, thousandths);
    push(out, &["\",\"formattedAmount\":\"", sign]);
    let cents = thousandths.unsigned_abs() / 10;
    if thousandths < 0 {
        out.push('-');
    }
    push_number(out, (cents / 100) as i64);
    out.push('.');
    out.push((b'0' + (cents % 100 / 10) as u8) as char);
    out.push((b'0' + (cents % 10) as u8) as char);
    out.push_str("\"}");
}
