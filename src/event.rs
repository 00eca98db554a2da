//! Events of a run. The run prints nothing; reporters do.

use std::time::Duration;

use uuid::Uuid;

use crate::run::{PassKind, RunSummary, StreamSummary};
use crate::stream::Stream;

#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The run is recorded in `sync_logs` and starts.
    RunStarted {
        run_id: Uuid,
    },
    StreamStarted {
        stream: Stream,
    },
    PassPlanned {
        stream: Stream,
        pass: PassKind,
    },
    RequestSent {
        /// `None` for a command that only checks something.
        stream: Option<Stream>,
    },
    BatchCommitted {
        stream: Stream,
        /// Records of this pass so far, written or rejected.
        record_count: u64,
        /// Records in the whole listing, if Wix tells.
        total: Option<u64>,
    },
    /// Records were compared with the table; nothing was written.
    RecordsCompared {
        stream: Stream,
        record_count: u64,
        total: Option<u64>,
    },
    /// A table's comparison ended, successfully or not.
    ComparisonFinished {
        stream: Stream,
    },
    /// A record was rejected and stored in `sync_errors`.
    RecordRejected {
        stream: Stream,
        wix_id: Option<&'a str>,
        /// Holds no value of the record.
        reason: &'a str,
    },
    /// Something that the operator should know and that is not a failure.
    Notice {
        stream: Option<Stream>,
        /// A sentence.
        text: &'a str,
    },
    /// The run waits before its next request to Wix.
    Waiting {
        delay: Duration,
        /// Such as `Wix answered 429`.
        reason: &'a str,
    },
    /// A table's pass ended, successfully or not.
    StreamFinished {
        summary: &'a StreamSummary,
    },
    /// The run ended and its end is recorded.
    RunFinished {
        summary: &'a RunSummary,
    },
}

/// Takes the events of a run and shows them in its own way.
pub trait Reporter: Send + Sync {
    /// Called for each event, in order.
    fn report(&self, event: Event<'_>);
}
