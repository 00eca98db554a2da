//! What a full sync has listed so far, for the search for deletions. It keeps the ids between two checkpoints, not all
//! ids.
//!
//! Records come in the order of their creation. The span up to the high-water mark, which is the latest creation date
//! seen, is complete once its batch is written. More records created at exactly the mark may follow.

use chrono::{DateTime, Utc};

use crate::checkpoint::Checkpoint;
use crate::run::PassKind;
use crate::store::row_counts::Progress;
use crate::store::span::{ListedKey, Span, listed_key};
use crate::table::row::MappedRecord;

/// Maximum number of records remembered between two checkpoints: 8 MB.
const MAX_LISTED: usize = 500_000;

/// A listed record: 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Creation time in microseconds, the precision of Postgres; the maximum value if there is no date.
    created: i64,
    key: ListedKey,
}

/// Collects the records listed since the last checkpoint.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    is_full: bool,
    from: Option<DateTime<Utc>>,
    listed: Vec<Listed>,
    /// True once more records came than can be remembered. From then on deletions are not searched.
    is_overfull: bool,
    /// Any record that Wix listed in this pass.
    listed_id: Option<String>,
    has_seen_any: bool,
}

impl Coverage {
    /// Starts at the position where a pass starts or resumes.
    pub(super) fn of(checkpoint: &Checkpoint) -> Coverage {
        let (is_full, from) = (checkpoint.pass == PassKind::Full, checkpoint.created_from);
        Coverage { is_full, from, has_seen_any: from.is_some(), ..Coverage::default() }
    }

    /// Adds the records of a page. `is_overfull` as in [`MappedPage`](super::reader::MappedPage).
    pub(super) fn add(&mut self, records: &[MappedRecord], is_overfull: bool) {
        self.has_seen_any |= !records.is_empty();
        // Other passes search no deletions, and would collect all records.
        self.is_overfull |= is_overfull || self.listed.len() + records.len() > MAX_LISTED;
        if self.is_overfull {
            self.listed = Vec::new();
        } else if self.is_full {
            self.listed.extend(records.iter().filter_map(listed));
        }
        let ids = records.iter().rev().filter_map(|record| record.as_ref().ok());
        if let Some(row) = { ids }.next() {
            self.listed_id = Some(row.wix_id.clone());
        }
    }

    /// Whether deletions were not searched because more records came than can be remembered.
    pub(super) fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    /// Any record that Wix listed in this pass, for the canary check.
    pub(super) fn listed_id(&self) -> Option<&str> {
        self.listed_id.as_deref()
    }

    /// True while Wix has listed nothing.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_seen_any
    }

    /// The progress of the pass with the batch that is about to be written. For a full sync it includes the span that
    /// the batch completes. The next span starts at the records that may be incomplete.
    pub(super) fn progress(&mut self, checkpoint: &Checkpoint, at_end: bool) -> Progress {
        let is_resumable = checkpoint.created_from.is_some() || at_end;
        // An empty list proves nothing about the rows in the table.
        let is_telling = self.is_full && is_resumable && self.has_seen_any && !self.is_overfull;
        let span = is_telling.then(|| {
            let until = if at_end { None } else { checkpoint.created_from };
            let mut keys: Vec<ListedKey> = self.listed.iter().map(|listed| listed.key).collect();
            keys.sort_unstable();
            keys.dedup();
            let span = Span { from: self.from, until, at_end, listed: keys };
            let until_micros = until.map_or(i64::MIN, |until| until.timestamp_micros());
            self.listed.retain(|listed| listed.created >= until_micros);
            if self.listed.is_empty() {
                self.listed = Vec::new();
            }
            self.from = until;
            span
        });
        Progress { checkpoint: checkpoint.clone(), span, opens_full_sync: false }
    }
}

fn listed(record: &MappedRecord) -> Option<Listed> {
    let (wix_id, created) = match record {
        Ok(row) => (&row.wix_id, row.wix_created_at),
        Err(rejection) => (rejection.wix_id.as_ref()?, rejection.wix_created_at),
    };
    let created = created.map_or(i64::MAX, |created| created.timestamp_micros());
    Some(Listed { created, key: listed_key(wix_id) })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::Coverage;
    use crate::checkpoint::Checkpoint;
    use crate::run::PassKind;
    use crate::table::row::{MappedRecord, Rejection};

    fn at(seconds: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(seconds, 0)
    }

    fn record(id: &str, created: i64) -> MappedRecord {
        Err(Rejection {
            wix_id: Some(id.to_owned()),
            wix_created_at: at(created),
            reason: String::new(),
            raw: String::new(),
        })
    }

    fn beginning(pass: PassKind) -> Coverage {
        Coverage::of(&Checkpoint::at_the_beginning(pass, None))
    }

    fn checkpoint(pass: PassKind, created_from: i64) -> Checkpoint {
        Checkpoint { created_from: at(created_from), ..Checkpoint::at_the_beginning(pass, None) }
    }

    fn ids(span: &super::Span) -> Vec<&'static str> {
        let ids = ["a", "b", "c", "d", "e"].into_iter();
        ids.filter(|id| span.listed.contains(&super::listed_key(id))).collect()
    }

    #[test]
    fn spans_meet_at_the_high_water_mark() {
        let mut coverage = beginning(PassKind::Full);
        coverage.add(&[record("a", 1), record("b", 5), record("c", 5)], false);
        let span = coverage.progress(&checkpoint(PassKind::Full, 5), false).span.unwrap();
        assert_eq!((span.from, span.until, ids(&span)), (None, at(5), vec!["a", "b", "c"]));
        coverage.add(&[record("d", 5), record("e", 9)], false);
        let span = coverage.progress(&checkpoint(PassKind::Full, 9), false).span.unwrap();
        assert_eq!((span.from, span.until, ids(&span)), (at(5), at(9), vec!["b", "c", "d", "e"]));
        let span = coverage.progress(&checkpoint(PassKind::Full, 9), true).span.unwrap();
        assert_eq!((span.from, span.until, span.at_end, ids(&span)), (at(9), None, true, vec!["e"]));
    }

    #[test]
    fn empty_list_and_incremental_sync_cover_nothing() {
        assert_eq!(beginning(PassKind::Full).progress(&checkpoint(PassKind::Full, 0), true).span, None);
        let mut coverage = beginning(PassKind::Incremental);
        coverage.add(&[record("a", 1)], false);
        assert_eq!(coverage.progress(&checkpoint(PassKind::Incremental, 1), true).span, None);
    }

    #[test]
    fn records_that_were_not_remembered_limit_the_coverage() {
        let mut coverage = beginning(PassKind::Full);
        coverage.add(&[record("a", 1), record("b", 5)], false);
        assert!(coverage.progress(&checkpoint(PassKind::Full, 5), false).span.is_some());
        let page: Vec<MappedRecord> = (0..1_000).map(|id| record(&id.to_string(), 5)).collect();
        for _ in 0..super::MAX_LISTED / page.len() {
            coverage.add(&page, false);
        }
        assert!(coverage.is_overfull() && coverage.listed.is_empty());
        coverage.add(&[record("c", 9)], false);
        assert_eq!(coverage.progress(&checkpoint(PassKind::Full, 9), true).span, None);
    }
}
