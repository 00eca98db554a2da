//! The hash of a record's content. It decides whether a record changed.
//!
//! Two JSON texts with the same content have the same hash, regardless of the order of fields, white space, and
//! escapes. Wix does not document that fields always come in the same order; maps such as `extendedFields.items` may
//! not. If an object has the same name twice, the last one is used, as in jsonb.
//!
//! Numbers are compared as text (`1` and `1.0` differ), which is exact and rarely causes an unnecessary write.

use memchr::memchr2;
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

/// 128 bits over the content of a JSON value. It is the same in all versions of this program.
pub type ContentHash = [u8; 16];

/// Maximum depth of parsing. Deeper values are hashed as text, so that no input can exhaust the stack.
const MAX_DEPTH: usize = 128;

const OBJECT_SEED: u64 = 1;
const ARRAY_SEED: u64 = 2;
const TEXT_SEED: u64 = 3;
const MEMBER_SEED: u64 = 4;
const UNREADABLE_SEED: u64 = 5;

/// The hash of a JSON value and of its fields that could not be read. Once a version of the program can read such a
/// field, the hash differs and the row is written again. `json` must be valid JSON; other text also gets a hash,
/// without a panic.
pub fn content_hash(json: &str, unreadable_fields: &[&str]) -> ContentHash {
    let mut scanner = Scanner { bytes: json.as_bytes(), at: 0, fields: Vec::new() };
    let hash = scanner.value(0);
    let add = |hash, name: &&str| combine(UNREADABLE_SEED, hash, xxh3_128(name.as_bytes()));
    unreadable_fields.iter().fold(hash, add).to_be_bytes()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The fields of the open objects: the hash of each name, and of the name with its value.
    fields: Vec<(u128, u128)>,
}

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> u128 {
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => self.nested_as_written(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            _ => self.word(),
        }
    }

    /// The hashes of fields are added up, so their order does not matter.
    fn object(&mut self, depth: usize) -> u128 {
        self.at += 1;
        let outer = self.fields.len();
        loop {
            self.skip_separators();
            match self.bytes.get(self.at) {
                None => break,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(_) => {
                    let start = self.at;
                    let key = self.value(depth + 1);
                    self.skip_separators();
                    let value = self.value(depth + 1);
                    self.fields.push((key, combine(MEMBER_SEED, key, value)));
                    if self.at == start {
                        break; // not JSON: no progress
                    }
                }
            }
        }
        let fields = &mut self.fields[outer..];
        // The sort is stable: of equal names the last one stays last.
        fields.sort_by_key(|(key, _)| *key);
        let last_of_each = fields.chunk_by(|(left, _), (right, _)| left == right).filter_map(<[_]>::last);
        let sum = last_of_each.fold(0_u128, |sum, (_, field)| sum.wrapping_add(*field));
        self.fields.truncate(outer);
        combine(OBJECT_SEED, sum, 0)
    }

    fn array(&mut self, depth: usize) -> u128 {
        self.at += 1;
        let mut hash = 0_u128;
        loop {
            self.skip_separators();
            match self.bytes.get(self.at) {
                None => break,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(_) => {
                    let start = self.at;
                    hash = combine(ARRAY_SEED, hash, self.value(depth + 1));
                    if self.at == start {
                        break; // not JSON: no progress
                    }
                }
            }
        }
        combine(ARRAY_SEED, hash, 1)
    }

    fn string(&mut self) -> u128 {
        let start = self.at;
        let escaped = self.skip_string();
        let written = &self.bytes[start..self.at];
        if escaped && let Ok(text) = serde_json::from_slice::<String>(written) {
            return xxh3_128_with_seed(text.as_bytes(), TEXT_SEED);
        }
        let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        xxh3_128_with_seed(inner, TEXT_SEED)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> u128 {
        let start = self.at;
        while let Some(byte) = self.bytes.get(self.at) {
            if matches!(byte, b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
                break;
            }
            self.at += 1;
        }
        xxh3_128(&self.bytes[start..self.at])
    }

    fn nested_as_written(&mut self) -> u128 {
        let start = self.at;
        let mut open = 0_usize;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                break;
            }
        }
        xxh3_128(&self.bytes[start..self.at])
    }

    /// Skips a string. Returns true if it contains an escape.
    fn skip_string(&mut self) -> bool {
        let mut escaped = false;
        self.at += 1;
        while let Some(found) = memchr2(b'"', b'\\', self.bytes.get(self.at..).unwrap_or_default()) {
            self.at += found;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return escaped;
            }
            escaped = true;
            self.at += 2;
        }
        self.at = self.bytes.len();
        escaped
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn skip_separators(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')) {
            self.at += 1;
        }
    }
}

fn combine(seed: u64, left: u128, right: u128) -> u128 {
    let mut bytes = [0_u8; 32];
    bytes[..16].copy_from_slice(&left.to_be_bytes());
    bytes[16..].copy_from_slice(&right.to_be_bytes());
    xxh3_128_with_seed(&bytes, seed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ContentHash;

    fn content_hash(json: &str) -> ContentHash {
        super::content_hash(json, &[])
    }

    #[test]
    fn order_of_fields_spaces_and_escapes_do_not_matter() {
        let plain = content_hash(r#"{"a":1,"b":{"c":"é","d":[1,2]}}"#);
        assert_eq!(plain, content_hash("{ \"b\" : {\"d\":[1, 2],\n\"c\":\"\\u00e9\"}, \"a\": 1 }"));
    }

    #[test]
    fn content_and_order_of_lists_matter() {
        let texts = [
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":[[1],2]}"#,
            r#"{"a":[[1,2]]}"#,
            r#"{"a":{}}"#,
            r#"{"a":[]}"#,
            r#"{"a":null}"#,
            r#"{"a":""}"#,
            r#"{}"#,
            r#"[]"#,
            r#"{"a":{"b":1},"c":2}"#,
            r#"{"a":{"c":2},"b":1}"#,
            r#"{"a":{"b":1,"c":2}}"#,
        ];
        for (index, left) in texts.iter().enumerate() {
            for right in &texts[index + 1..] {
                assert_ne!(content_hash(left), content_hash(right), "{left} and {right}");
            }
        }
    }

    #[test]
    fn last_of_duplicate_names_counts() {
        let first = content_hash(r#"{"a":1,"a":2}"#);
        assert_ne!(first, content_hash(r#"{"a":2,"a":1}"#));
        assert_eq!(first, content_hash(r#"{"a":2}"#));
        assert_eq!(content_hash(r#"{"x":{"a":1,"\u0061":2},"b":0}"#), content_hash(r#"{"b":0,"x":{"a":2}}"#));
    }

    #[test]
    fn fields_that_could_not_be_read_matter() {
        let plain = super::content_hash("{}", &[]);
        let one = super::content_hash("{}", &["email"]);
        assert!(plain != one && one != super::content_hash("{}", &["phone"]));
    }

    #[test]
    fn hash_is_the_same_in_every_version() {
        let hash = u128::from_be_bytes(content_hash(r#"{"id":"a","n":[1.50,true,null,"x"]}"#));
        assert_eq!(format!("{hash:032x}"), "23d95bc95fdbc99503e72a4d79be1a25");
    }

    #[test]
    fn very_deep_value_is_hashed_without_exhausting_the_stack() {
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_ne!(content_hash(&deep("1")), content_hash(&deep("2")));
    }

    proptest! {
        #[test]
        fn any_text_gets_a_hash(text in ".{0,200}") {
            content_hash(&text);
        }

        #[test]
        fn text_of_brackets_and_quotes_gets_a_hash(text in "[\\[\\]{}:,\"\\\\ 1a]{0,60}") {
            content_hash(&text);
        }
    }
}
