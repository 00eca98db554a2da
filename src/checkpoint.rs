//! How far an unfinished pass has come, and how far a stream's passes have come altogether.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::run::PassKind;

/// What a later run needs to go on with a pass. Written in the transaction of each batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Full or changes.
    pub pass: PassKind,
    /// A changes pass asks for what was updated at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Wix's clock at the pass's first answer: the watermark that its end will store.
    pub watermark: Option<DateTime<Utc>>,
    /// All records created before this time are settled; those created at it are read again.
    pub created_from: Option<DateTime<Utc>>,
    /// Records that Wix counted on the pass's pages and did not list there.
    #[serde(default)]
    pub lacking: u64,
}

impl Checkpoint {
    /// At the very beginning of a pass.
    pub fn at_the_beginning(pass: PassKind, since: Option<DateTime<Utc>>) -> Checkpoint {
        Checkpoint { pass, since, watermark: None, created_from: None, lacking: 0 }
    }
}

/// What the store remembers of a stream's passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Wix's clock at the first answer of the last complete pass.
    pub watermark: Option<DateTime<Utc>>,
    /// When the last full pass reached its end.
    pub last_full_pass_at: Option<DateTime<Utc>>,
    /// The unfinished pass, if there is one.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the table holds any record that Wix has.
    pub has_rows: bool,
}
