//! The progress of an unfinished pass, and the state of a table's passes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::run::PassKind;

/// The data to resume a pass. It is written in the transaction of each batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub pass: PassKind,
    /// An incremental sync requests records that were updated at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Wix's clock at the pass's first response. It becomes the watermark at the end of the pass.
    pub watermark: Option<DateTime<Utc>>,
    /// All records created before this time are written or in `sync_errors`. Those created at exactly this time are
    /// read again.
    pub created_from: Option<DateTime<Utc>>,
    /// Number of distinct records of this pass that were created before `created_from`. It is compared with the number
    /// that Wix announces.
    #[serde(default)]
    pub records_before: u64,
    /// Number of records that Wix announced in this pass and did not return.
    #[serde(default)]
    pub shortfall: u64,
}

impl Checkpoint {
    /// The checkpoint at the start of a pass.
    pub fn at_the_beginning(pass: PassKind, since: Option<DateTime<Utc>>) -> Checkpoint {
        Checkpoint { pass, since, watermark: None, created_from: None, records_before: 0, shortfall: 0 }
    }
}

/// The stored state of a table's passes, and the table's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    /// Wix's clock at the first response of the last complete pass.
    pub watermark: Option<DateTime<Utc>>,
    /// When the last full sync reached its end.
    pub last_full_pass_at: Option<DateTime<Utc>>,
    /// The unfinished incremental sync, if there is one.
    pub checkpoint: Option<Checkpoint>,
    pub full_checkpoint: Option<Checkpoint>,
    /// Expected number of live rows; `None` if it is not known.
    pub must_hold: Option<i64>,
    /// Actual number of live rows.
    pub holds: i64,
    /// Number of records that Wix announced and did not return in the last full sync.
    pub shortfall: u64,
    pub drift: Option<Drift>,
    pub statuses: KnownStatuses,
    pub has_unresolved_errors: bool,
    /// Whether the table has pending deletions.
    pub has_missing: bool,
    /// Whether copies that lose a part of the record are blocked.
    pub has_held: bool,
    pub has_unreadable: bool,
    /// Whether the inbox names records of the table.
    pub has_inbox: bool,
    /// The database server's clock.
    pub now: DateTime<Utc>,
}

impl TableState {
    /// Whether another program removed or added rows since the last run.
    pub fn rows_differ(&self) -> bool {
        self.must_hold.is_some_and(|must_hold| must_hold != self.holds)
    }
}

/// The state of the drift check, which compares Wix's own count of a list with the number of rows in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The time of the last check, by the database server's clock. The end of a full sync counts as a check.
    pub checked_at: DateTime<Utc>,
    /// Wix's count minus the rows in the table.
    pub difference: i64,
    /// The difference at the end of the last full sync: it is normal for this site.
    pub baseline: i64,
    /// When a difference last started a full sync.
    #[serde(default)]
    pub full_at: Option<DateTime<Utc>>,
}

/// Order statuses in Wix that the program does not know ([`crate::table::listing::Statuses`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownStatuses {
    /// Statuses that were found in Wix. Later requests name them.
    pub found: Vec<String>,
    /// Whether a filter that excludes statuses also returned some that are hidden by default. If so, such a filter
    /// returns everything, and records with a new status arrive at once.
    pub exclusion_shows_hidden: bool,
    /// When new statuses were last searched, by the database server's clock.
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
