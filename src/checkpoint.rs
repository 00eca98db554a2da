//! How far an unfinished pass has come, and how far a table's passes have come altogether.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::run::PassKind;

/// What a later run needs to resume a pass. Written in the transaction of each batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub pass: PassKind,
    /// An incremental sync asks for what was updated at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Wix's clock at the pass's first answer: the watermark that its end will store.
    pub watermark: Option<DateTime<Utc>>,
    /// All records created before this time are written or in `sync_errors`; those created at it are read again.
    pub created_from: Option<DateTime<Utc>>,
    /// Distinct records created before `created_from` that came in this pass; compared with the number that Wix
    /// announces.
    #[serde(default)]
    pub records_before: u64,
    /// Records that Wix announced in this pass and did not return.
    #[serde(default)]
    pub shortfall: u64,
}

impl Checkpoint {
    /// At the very beginning of a pass.
    pub fn at_the_beginning(pass: PassKind, since: Option<DateTime<Utc>>) -> Checkpoint {
        Checkpoint { pass, since, watermark: None, created_from: None, records_before: 0, shortfall: 0 }
    }
}

/// What the store remembers of a table's passes, and what the table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    /// Wix's clock at the first answer of the last complete pass.
    pub watermark: Option<DateTime<Utc>>,
    /// When the last full sync reached its end.
    pub last_full_pass_at: Option<DateTime<Utc>>,
    /// The unfinished incremental sync, if there is one.
    pub checkpoint: Option<Checkpoint>,
    pub full_checkpoint: Option<Checkpoint>,
    /// Live rows that the table must hold; `None` while that is not known.
    pub must_hold: Option<i64>,
    /// Live rows that it holds.
    pub holds: i64,
    /// Records that Wix announced and did not return in the last full sync.
    pub shortfall: u64,
    pub drift: Option<Drift>,
    pub statuses: KnownStatuses,
    pub has_unresolved_errors: bool,
    /// Whether rows of the table are pending deletions.
    pub has_missing: bool,
    /// Whether copies are held that lose a part of the record.
    pub has_held: bool,
    pub has_unreadable: bool,
    /// Whether the inbox names records of the table.
    pub has_inbox: bool,
    /// The database server's clock.
    pub now: DateTime<Utc>,
}

impl TableState {
    /// Whether something other than wix-sync removed or added rows since the last run.
    pub fn rows_differ(&self) -> bool {
        self.must_hold.is_some_and(|must_hold| must_hold != self.holds)
    }
}

/// State of the drift check, which compares Wix's own count of a list with the rows in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// By the database server's clock. The end of a full sync counts as a check.
    pub checked_at: DateTime<Utc>,
    /// Wix's count minus the rows in the table.
    pub difference: i64,
    /// The difference at the end of the last full sync: it is normal for this site.
    pub baseline: i64,
    /// When a difference last started a full sync.
    #[serde(default)]
    pub full_at: Option<DateTime<Utc>>,
}

/// Statuses of orders that Wix has beside those that the program knows ([`crate::table::listing::Statuses`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownStatuses {
    /// Statuses that were found in Wix: later requests name them.
    pub found: Vec<String>,
    /// Whether a filter that excludes statuses also returned some that are hidden by default. If so, such a filter
    /// returns everything, and records with a new status arrive at once.
    pub exclusion_shows_hidden: bool,
    /// When new statuses were last looked for, by the database server's clock.
    pub looked_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;
    use crate::run::PassKind;

    #[test]
    fn checkpoints_of_earlier_versions_are_read() {
        for (word, kind) in
            [("changes", PassKind::Incremental), ("incremental", PassKind::Incremental), ("full", PassKind::Full)]
        {
            let stored = format!(r#"{{"pass": "{word}", "since": null, "watermark": null, "created_from": null}}"#);
            assert_eq!(serde_json::from_str::<Checkpoint>(&stored).expect(word).pass, kind);
        }
    }
}
