//! Makes JSON text fit for Postgres: `jsonb` and `text` refuse NUL and lone surrogates.
//!
//! Processes the text of a whole page before it is parsed, so values, nested values and keys are covered. A record
//! without such characters is never copied.

use std::borrow::Cow;

use memchr::memchr2;

/// Number of changes that [`sanitize`] made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// NUL characters that were removed.
    nuls: u64,
    /// Lone surrogates and invalid UTF-8 bytes that became U+FFFD.
    replaced: u64,
}

impl Repairs {
    pub fn count(self) -> u64 {
        self.nuls + self.replaced
    }
}

/// The body as JSON text that Postgres can store, and the changes.
pub fn sanitize(body: &[u8]) -> (Cow<'_, str>, Repairs) {
    let mut repairs = Repairs::default();
    // Some gateways send a byte order mark, which is not valid JSON.
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    // Validating is much faster than the lossy conversion.
    let text = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    if let Cow::Owned(lossy) = &text {
        let valid_before = body.windows(3).filter(|bytes| *bytes == "\u{FFFD}".as_bytes()).count();
        repairs.replaced += lossy.matches('\u{FFFD}').count().saturating_sub(valid_before) as u64;
    }
    if !needs_repair(text.as_bytes()) {
        return (text, repairs);
    }
    let repaired = repair(&text, &mut repairs);
    (Cow::Owned(repaired), repairs)
}

/// Fast check for a NUL byte, or an escape that may be a NUL or a surrogate.
fn needs_repair(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = memchr2(b'\\', 0, rest) {
        if rest[at] == 0 {
            return true;
        }
        match rest.get(at + 1..at + 6) {
            Some([b'u', b'0', b'0', b'0', b'0']) | Some([b'u', b'd' | b'D', ..]) => return true,
            _ => rest = rest.get(at + 2..).unwrap_or_default(),
        }
    }
    false
}

fn repair(text: &str, repairs: &mut Repairs) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\0']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match code_unit(rest) {
            _ if rest.starts_with('\0') => {
                repairs.nuls += 1;
                1
            }
            Some(0) => {
                repairs.nuls += 1;
                6
            }
            Some(0xD800..=0xDBFF) if matches!(code_unit(&rest[6..]), Some(0xDC00..=0xDFFF)) => {
                out.push_str(&rest[..12]);
                12
            }
            Some(0xD800..=0xDFFF) => {
                repairs.replaced += 1;
                out.push('\u{FFFD}');
                6
            }
            // Every other escape has at least two characters: a backslash and the character after it.
            _ => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

/// The code unit of a `\uXXXX` escape at the start of `text`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::{Repairs, sanitize};

    #[track_caller]
    fn check(body: &[u8], expected: &str, nuls: u64, replaced: u64) {
        let (text, repairs) = sanitize(body);
        assert_eq!(text, expected);
        assert_eq!(repairs, Repairs { nuls, replaced });
    }

    #[test]
    fn clean_text_is_not_copied() {
        let (text, repairs) = sanitize(br#"{"a":"\n\\ \u00e9"}"#);
        assert!(matches!(text, std::borrow::Cow::Borrowed(_)));
        assert_eq!(repairs.count(), 0);
    }

    #[test]
    fn nul_is_removed_from_values_and_keys() {
        check(br#"{"a\u0000b":"\u0000x"}"#, r#"{"ab":"x"}"#, 2, 0);
        check(b"{\"a\":\"x\0y\"}", r#"{"a":"xy"}"#, 1, 0);
    }

    #[test]
    fn escaped_backslash_before_u0000_is_text() {
        check(br#"{"a":"\\u0000 \\ud800"}"#, r#"{"a":"\\u0000 \\ud800"}"#, 0, 0);
        check(br#"{"a":"\\\u0000"}"#, r#"{"a":"\\"}"#, 1, 0);
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_stay() {
        check(
            br#"["\ud83d\ude00","\ud83d","\ude00\ud83d"]"#,
            "[\"\\ud83d\\ude00\",\"\u{FFFD}\",\"\u{FFFD}\u{FFFD}\"]",
            0,
            3,
        );
        check(br#"["\uD83Dx\uDE00"]"#, "[\"\u{FFFD}x\u{FFFD}\"]", 0, 2);
    }

    #[test]
    fn invalid_utf8_is_replaced_and_counted() {
        check(b"[\"a\xffb\"]", "[\"a\u{FFFD}b\"]", 0, 1);
        check("[\"\u{FFFD}\"]".as_bytes(), "[\"\u{FFFD}\"]", 0, 0);
    }
}
