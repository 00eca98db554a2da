//! Reads the body of a response, and holds only a limited part of it in memory.

use bytes::Bytes;
use reqwest::Response;

use crate::table::excerpt::{Excerpt, MAX_RECORD_BYTES};
use crate::wix::error::Oversize;

/// Maximum size of a page that is held in memory, in bytes: several times the usual size, and more than the largest
/// record.
const MAX_PAGE_BYTES: usize = 8_000_000;

/// Maximum bytes that are read of one response. If a record's id comes later, it stays unknown.
const MAX_READ_BYTES: usize = 128_000_000;

/// Maximum bytes that are read of an error response. Wix's own have less than 1 KB.
const MAX_REFUSAL_BYTES: usize = 64_000;

/// A body after decompression.
pub(super) enum Body {
    /// The complete body. Records that are too large are replaced by excerpts.
    Whole(Bytes),
    TooLarge(Oversize),
}

/// Reads a body. Of an error response the start is enough.
pub(super) async fn read(mut response: Response) -> reqwest::Result<Body> {
    let is_success = response.status().is_success();
    let announced = response.content_length().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let (mut held, mut read) = (Vec::with_capacity(announced.min(MAX_PAGE_BYTES)), 0);
    let mut scanner: Option<Scanner> = None;
    while let Some(chunk) = response.chunk().await? {
        if !is_success {
            let room = MAX_REFUSAL_BYTES - held.len();
            held.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if held.len() == MAX_REFUSAL_BYTES {
                break;
            }
            continue;
        }
        read += chunk.len();
        held.extend_from_slice(&chunk);
        // Pages of the usual size are not scanned.
        if scanner.is_some() || held.len() > MAX_PAGE_BYTES {
            let scanner = scanner.get_or_insert_default();
            scanner.scan(&mut held);
            if held.len() > MAX_PAGE_BYTES || read > MAX_READ_BYTES {
                let excerpt = scanner.excerpt.take().map(Excerpt::finish);
                return Ok(Body::TooLarge(Oversize { read, records: scanner.records, excerpt }));
            }
        }
    }
    Ok(Body::Whole(held.into()))
}

/// Finds the records of a response: the items of a list, or an object that is a field of the response. Replaces records
/// that are too large by excerpts.
#[derive(Default)]
struct Scanner {
    /// Bytes that were scanned.
    at: usize,
    /// Number of open objects and lists.
    depth: u32,
    is_list: bool,
    in_text: bool,
    is_escaped: bool,
    /// Where the current record starts, and the depth around it.
    record: Option<(usize, u32)>,
    records: u32,
    /// Excerpt of the current record, if it is too large.
    excerpt: Option<Excerpt>,
}

impl Scanner {
    fn scan(&mut self, held: &mut Vec<u8>) {
        while let Some(byte) = held.get(self.at).copied() {
            if let Some(excerpt) = &mut self.excerpt {
                let end = excerpt.push(&held[self.at..]);
                let read = self.at..end.map_or(held.len(), |end| self.at + end);
                match self.excerpt.take_if(|_| end.is_some()) {
                    Some(excerpt) => {
                        let text = excerpt.finish();
                        self.at += text.len();
                        held.splice(read, text.into_bytes());
                        self.end_record();
                    }
                    None => drop(held.drain(read)),
                }
                continue;
            }
            self.at += 1;
            self.take(byte);
            if let Some((start, _)) = self.record
                && self.at - start > MAX_RECORD_BYTES
            {
                let mut excerpt = Excerpt::default();
                excerpt.push(&held[start..self.at]);
                held.drain(start..self.at);
                (self.at, self.excerpt) = (start, Some(excerpt));
                (self.in_text, self.is_escaped) = (false, false);
            }
        }
    }

    fn take(&mut self, byte: u8) {
        if self.in_text {
            self.in_text = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => {
                if self.depth == 1 {
                    self.is_list = byte == b'[';
                }
                let is_record = if self.is_list { self.depth == 2 } else { self.depth == 1 };
                if is_record {
                    self.record = Some((self.at - 1, self.depth));
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.record.is_some_and(|(_, depth)| depth == self.depth) {
                    self.end_record();
                }
            }
            _ => {}
        }
    }

    fn end_record(&mut self) {
        if let Some((_, depth)) = self.record.take() {
            self.depth = depth;
            self.records += u32::from(self.is_list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_RECORD_BYTES, Scanner};

    fn scan(body: &str, piece: usize) -> (Scanner, String) {
        let (mut scanner, mut held) = (Scanner::default(), Vec::new());
        for piece in body.as_bytes().chunks(piece) {
            held.extend_from_slice(piece);
            scanner.scan(&mut held);
        }
        (scanner, String::from_utf8(held).unwrap())
    }

    #[test]
    fn records_that_are_too_large_become_excerpts() {
        let large = format!("\"text\":\"{}\\\"]}}\"", "x".repeat(MAX_RECORD_BYTES));
        for (start, record, rest) in [
            ("{\"orders\":[{\"id\":\"a\"},", "{\"id\":\"b\",LARGE}", ",{\"id\":\"c\"}],\"metadata\":{\"count\":3}}"),
            ("{\"responseType\":\"REGULAR\",\"contact\":", "{\"id\":\"b\",LARGE}", "}"),
        ] {
            let record = record.replace("LARGE", &large);
            let body = format!("{start}{record}{rest}");
            let excerpt = format!("{{\"wixSyncRecordBytes\":{},\"id\":\"b\"}}", record.len());
            for piece in [8_192, 1_000_003, body.len()] {
                let (scanner, held) = scan(&body, piece);
                assert_eq!(held, format!("{start}{excerpt}{rest}"));
                assert_eq!((scanner.records, scanner.depth), (if start.contains('[') { 3 } else { 0 }, 0));
            }
        }
    }
}
