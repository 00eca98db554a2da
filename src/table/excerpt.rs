//! The excerpt of a record that is too large: its id, its dates and its size.
//!
//! An excerpt is JSON like the record. It is made while the record is read, so that the whole record is never in
//! memory.

use memchr::memchr2;

/// Maximum size of a synced record, in bytes of JSON. A run has several copies of a record in memory, for two tables at
/// the same time, and must stay below 128 MB.
pub const MAX_RECORD_BYTES: usize = 4_000_000;

/// The start of an excerpt. No record of Wix has this field.
const START: &str = "{\"wixSyncRecordBytes\":";

/// The names of the copied fields, with their quotes.
const KEPT: [&[u8]; 4] = [b"\"id\"", b"\"createdDate\"", b"\"updatedDate\"", b"\"revision\""];

/// The field of an extended booking that contains these fields.
const BODY: &[u8] = b"\"booking\"";

/// Maximum size of a copied name or value, in bytes.
const MAX_TOKEN: usize = 200;

/// Reads a record piece by piece.
#[derive(Debug, Default)]
pub struct Excerpt {
    bytes: usize,
    out: Vec<u8>,
    /// Number of open objects and lists.
    depth: usize,
    /// How many of these, counted from the outermost, are part of the excerpt.
    kept_depth: usize,
    name: Vec<u8>,
    /// The current string, number or word, up to one byte more than the maximum size.
    token: Vec<u8>,
    in_text: bool,
    is_escaped: bool,
}

impl Excerpt {
    /// Adds the next piece. Returns the number of bytes up to the end of the record, if it ends in this piece.
    pub fn push(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = piece.get(at).copied() {
            if self.in_text && !self.is_escaped && self.token.len() > MAX_TOKEN {
                let rest = &piece[at..];
                let skipped = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                if skipped > 0 {
                    at += skipped;
                    continue;
                }
            }
            at += 1;
            if self.take(byte) {
                self.bytes += at;
                return Some(at);
            }
        }
        self.bytes += piece.len();
        None
    }

    /// True if this is the record's last byte.
    fn take(&mut self, byte: u8) -> bool {
        if self.in_text {
            self.note(byte);
            self.in_text = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                self.note(byte);
            }
            b'{' | b'[' => {
                let is_body = self.depth == 0 || (self.depth == 1 && self.name == BODY);
                if byte == b'{' && is_body && self.kept_depth == self.depth {
                    self.begin_member();
                    self.out.push(b'{');
                    self.kept_depth += 1;
                }
                self.depth += 1;
                self.name.clear();
                self.token.clear();
            }
            b'}' | b']' => {
                self.end_member();
                if self.kept_depth == self.depth && self.kept_depth > 0 {
                    self.out.push(b'}');
                    self.kept_depth -= 1;
                }
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            b',' => self.end_member(),
            b':' => self.name = std::mem::take(&mut self.token),
            byte if byte.is_ascii_whitespace() => {}
            byte => self.note(byte),
        }
        false
    }

    fn note(&mut self, byte: u8) {
        if self.token.len() <= MAX_TOKEN {
            self.token.push(byte);
        }
    }

    fn begin_member(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{')) {
            self.out.push(b',');
        }
        if !self.name.is_empty() {
            self.out.append(&mut self.name);
            self.out.push(b':');
        }
    }

    fn end_member(&mut self) {
        let is_kept = self.kept_depth == self.depth && KEPT.contains(&self.name.as_slice());
        if is_kept && (1..=MAX_TOKEN).contains(&self.token.len()) {
            self.begin_member();
            self.out.append(&mut self.token);
        }
        self.name.clear();
        self.token.clear();
    }

    /// The excerpt of the part of the record that was read.
    pub fn finish(mut self) -> String {
        self.out.resize(self.out.len() + self.kept_depth, b'}');
        let text = String::from_utf8_lossy(&self.out);
        let members = text.strip_prefix('{').unwrap_or("}");
        let comma = if members == "}" { "" } else { "," };
        format!("{START}{}{comma}{members}", self.bytes)
    }

    /// The record itself, or an excerpt if the record is too large.
    pub fn if_too_large(record: String) -> String {
        if record.len() <= MAX_RECORD_BYTES {
            return record;
        }
        let mut excerpt = Excerpt::default();
        excerpt.push(record.as_bytes());
        excerpt.finish()
    }
}

/// Why an excerpt is rejected; `None` for any other record.
pub fn why_rejected(record: &str) -> Option<String> {
    let size = record.strip_prefix(START)?;
    let end = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
    let bytes: usize = size[..end].parse().ok()?;
    Some(format!(
        "the record is too large: it has {} MB or more, and wix-sync accepts records of up to {} MB",
        bytes / 1_000_000,
        MAX_RECORD_BYTES / 1_000_000
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Excerpt, why_rejected};

    fn excerpt(pieces: &[&str]) -> (Option<usize>, String) {
        let mut excerpt = Excerpt::default();
        let end = pieces.iter().map(|piece| excerpt.push(piece.as_bytes())).last().flatten();
        (end, excerpt.finish())
    }

    #[test]
    fn ids_and_dates_are_kept_and_nothing_else() {
        let order =
            r#"{"a":[{"id":"no"}],"b":{"id":"no"}, "id" : "x\"{y","n":{"id":{}},"revision":7,"createdDate":null}"#;
        let kept = r#""id":"x\"{y","revision":7,"createdDate":null}"#;
        let expected = format!("{{\"wixSyncRecordBytes\":{},{kept}", order.len());
        assert_eq!(excerpt(&[order, ""]).1, expected);
        assert_eq!(excerpt(&[order]), (Some(order.len()), expected));

        let booking = r#"{"order":{"id":"no"},"booking":{"x":[1,2],"id":"b"},"z":1},{"id":"next"}"#;
        assert_eq!(excerpt(&[booking]), (Some(58), r#"{"wixSyncRecordBytes":58,"booking":{"id":"b"}}"#.to_owned()));
    }

    #[test]
    fn endless_or_empty_record_is_an_excerpt() {
        for (record, expected) in [
            (r#"{"id":"a","text":"bbbb"#, r#"{"wixSyncRecordBytes":22,"id":"a"}"#),
            (r#"{"booking":{"id":"a","text":"#, r#"{"wixSyncRecordBytes":28,"booking":{"id":"a"}}"#),
            ("{}", r#"{"wixSyncRecordBytes":2}"#),
            ("[1,[2]]", r#"{"wixSyncRecordBytes":7}"#),
        ] {
            assert_eq!(excerpt(&[record]).1, expected);
        }
    }

    #[test]
    fn only_an_excerpt_is_rejected_for_its_size() {
        let reason = why_rejected(r#"{"wixSyncRecordBytes":52428800,"id":"a"}"#).unwrap();
        assert!(reason.contains("52 MB or more") && reason.contains("up to 4 MB"), "{reason}");
        assert_eq!(why_rejected(r#"{"id":"a"}"#), None);
    }

    proptest! {
        #[test]
        fn size_of_chunks_makes_no_difference(text in "[{}\\[\\]:,\"\\\\ 1aid]{0,80}", cut in 0..80_usize) {
            let text = format!("{{\"id\":{text}");
            let cut = cut.min(text.len());
            let mut whole = Excerpt::default();
            let end = whole.push(text.as_bytes());
            let mut parts = Excerpt::default();
            let first = parts.push(&text.as_bytes()[..cut]);
            let in_parts = first.or_else(|| parts.push(&text.as_bytes()[cut..]).map(|end| cut + end));
            prop_assert_eq!(end, in_parts);
            prop_assert_eq!(whole.finish(), parts.finish());
        }
    }
}
