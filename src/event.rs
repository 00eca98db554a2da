//! Events of a run. The run prints nothing; reporters do.

use std::time::Duration;

use uuid::Uuid;

use crate::run::{PassKind, RunSummary, TableSummary};
use crate::table::Table;

#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The run holds the lease.
    LeaseTaken {
        schema: &'a str,
    },
    /// The run is recorded in `sync_logs` and starts.
    RunStarted {
        run_id: Uuid,
    },
    TableStarted {
        table: &'static Table,
    },
    PassPlanned {
        table: &'static Table,
        pass: PassKind,
    },
    RequestSent {
        /// `None` for a command that only checks something.
        table: Option<&'static Table>,
    },
    BatchCommitted {
        table: &'static Table,
        /// Records of this pass so far, written or rejected.
        record_count: u64,
        /// Records in the whole listing, if Wix tells.
        total: Option<u64>,
    },
    /// Records were compared with the table; nothing was written.
    RecordsCompared {
        table: &'static Table,
        record_count: u64,
        total: Option<u64>,
    },
    /// A table's comparison ended, successfully or not.
    ComparisonFinished {
        table: &'static Table,
    },
    /// A record was rejected and stored in `sync_errors`.
    RecordRejected {
        table: &'static Table,
        wix_id: Option<&'a str>,
        /// Holds no value of the record.
        reason: &'a str,
    },
    /// Something that the operator should know and that is not a failure.
    Notice {
        table: Option<&'static Table>,
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
    TableFinished {
        summary: &'a TableSummary,
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
