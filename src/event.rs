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
        request: &'a RequestInfo<'a>,
    },
    /// A request got its response, or none.
    ResponseReceived {
        request: &'a RequestInfo<'a>,
        /// Else why there is none.
        response: Result<ResponseInfo<'a>, &'a str>,
        duration: Duration,
    },
    BatchCommitted {
        table: &'static Table,
        /// Records of this pass so far, written or rejected.
        record_count: u64,
        /// Records in the whole listing, if Wix tells.
        total: Option<u64>,
        batch: BatchInfo,
    },
    /// A record is looked up by its id.
    LookingUp {
        table: &'static Table,
        /// 1 is the first.
        number: u64,
        /// How many are to be looked up, if that is known.
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
        /// False if `sync_errors` held it before.
        is_new: bool,
    },
    /// Something that the operator should know and that is not a failure.
    Notice {
        table: Option<&'static Table>,
        /// A sentence.
        text: &'a str,
    },
    /// A wait starts. One for Wix ends with the table's next request, one for the database with [`Event::WaitEnded`].
    Waiting {
        /// `None` if it is no single table that waits.
        table: Option<&'static Table>,
        /// `None` if nobody knows how long.
        delay: Option<Duration>,
        wait: &'a Wait,
    },
    /// The database has answered.
    WaitEnded,
    /// A table's pass ended, successfully or not.
    TableFinished {
        summary: &'a TableSummary,
    },
    /// The run ended and its end is recorded.
    RunFinished {
        summary: &'a RunSummary,
    },
}

/// A request to Wix, for logs: no secrets, and no values of records.
#[derive(Clone, Debug)]
pub struct RequestInfo<'a> {
    /// `None` if it is for no single table.
    pub table: Option<&'static Table>,
    pub method: &'static str,
    /// Without a query.
    pub path: &'a str,
    /// 1 is the first.
    pub attempt: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseInfo<'a> {
    pub status: u16,
    /// Wix's own id of the request, which its support asks for.
    pub request_id: Option<&'a str>,
}

/// What one transaction wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchInfo {
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Records that were rejected since the last transaction.
    pub rejected: u64,
    pub duration: Duration,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The requests of this minute are used up.
    RateLimit,
    /// A request failed and is sent again. Until then no other request is sent either.
    Retry {
        /// The table of the request that failed.
        table: Option<&'static Table>,
        /// 1 is the first.
        number: u32,
        /// The last one; `None` if only the time is limited.
        max: Option<u32>,
        /// Such as `Wix answered 503`.
        cause: String,
    },
    /// The database does not answer, or is gone.
    Database { cause: String },
}

/// Takes the events of a run and shows them in its own way.
pub trait Reporter: Send + Sync {
    /// Called for each event, in order.
    fn report(&self, event: Event<'_>);
}
