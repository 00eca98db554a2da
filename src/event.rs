//! What a run tells while it is at work. The run prints nothing; reporters do.

use std::time::Duration;

use uuid::Uuid;

use crate::run::{PassKind, RunSummary, StreamSummary};
use crate::stream::Stream;

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The run is recorded in `sync_logs` and begins.
    RunStarted {
        /// Its id in `sync_logs`.
        run_id: Uuid,
    },
    /// A stream's pass begins.
    StreamStarted {
        /// Which.
        stream: Stream,
    },
    /// It was decided how the stream's pass reads.
    PassPlanned {
        /// Which stream.
        stream: Stream,
        /// Full, changes or range.
        pass: PassKind,
    },
    /// A request is sent to Wix.
    RequestSent {
        /// For which stream; none where a command only looks.
        stream: Option<Stream>,
    },
    /// A batch of records was committed.
    BatchCommitted {
        /// Which stream.
        stream: Stream,
        /// Records read and settled in this pass so far.
        record_count: u64,
        /// Records in the whole listing, where Wix says so.
        total: Option<u64>,
    },
    /// Records were compared with the table, and nothing was written.
    RecordsCompared {
        /// Which stream.
        stream: Stream,
        /// Records compared so far.
        record_count: u64,
        /// Records in the whole listing, where Wix says so.
        total: Option<u64>,
    },
    /// A stream's comparison ended, well or not.
    ComparisonFinished {
        /// Which stream.
        stream: Stream,
    },
    /// A record was left out and kept in `sync_errors`.
    RecordRejected {
        /// Which stream.
        stream: Stream,
        /// Wix's id, where it has one.
        wix_id: Option<&'a str>,
        /// Why; holds no values.
        reason: &'a str,
    },
    /// Something that the operator should know and that is no failure.
    Notice {
        /// Which stream, if it is about one.
        stream: Option<Stream>,
        /// A sentence.
        text: &'a str,
    },
    /// The run waits before it asks Wix again.
    Waiting {
        /// For how long.
        delay: Duration,
        /// Why, such as `Wix answered 429`.
        reason: &'a str,
    },
    /// A stream's pass ended, well or not.
    StreamFinished {
        /// What it did.
        summary: &'a StreamSummary,
    },
    /// The run ended and its end is recorded.
    RunFinished {
        /// What it did.
        summary: &'a RunSummary,
    },
}

/// Takes the events of a run and shows them in its own way.
pub trait Reporter: Send + Sync {
    /// Called for each event, in order.
    fn report(&self, event: Event<'_>);
}
