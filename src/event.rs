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
    /// A request ended, with or without a response.
    ResponseReceived {
        request: &'a RequestInfo<'a>,
        /// Why there is no response.
        response: Result<ResponseInfo<'a>, &'a str>,
        duration: Duration,
    },
    BatchCommitted {
        table: &'static Table,
        /// Number of written and rejected records of this pass so far.
        record_count: u64,
        /// Number of records in the whole list, if Wix states it.
        total: Option<u64>,
        batch: BatchInfo,
    },
    /// A record is looked up by its id.
    LookingUp {
        table: &'static Table,
        /// The first record has number 1.
        number: u64,
        /// Number of records to look up, if it is known.
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
        /// It contains no values of the record.
        reason: &'a str,
        /// False if it was already in `sync_errors`.
        is_new: bool,
    },
    /// A message for the operator that is not an error.
    Notice {
        table: Option<&'static Table>,
        /// One sentence.
        text: &'a str,
    },
    /// A wait starts. One for Wix ends with the table's next request, one for the database with [`Event::WaitEnded`].
    Waiting {
        /// `None` if the wait is not for a single table.
        table: Option<&'static Table>,
        /// `None` if the duration is not known.
        delay: Option<Duration>,
        wait: &'a Wait,
    },
    /// The database has responded.
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

/// A request to Wix, for logs, without secrets and values of records.
#[derive(Clone, Debug)]
pub struct RequestInfo<'a> {
    /// `None` if it is not for a single table.
    pub table: Option<&'static Table>,
    pub method: &'static str,
    /// Without a query.
    pub path: &'a str,
    /// The first attempt is 1.
    pub attempt: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseInfo<'a> {
    pub status: u16,
    /// Wix's id of the request, for Wix's support.
    pub request_id: Option<&'a str>,
}

/// The result of one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchInfo {
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Number of records rejected since the last transaction.
    pub rejected: u64,
    pub duration: Duration,
}

/// The reason for a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The requests of this minute are used up.
    RateLimit,
    /// A failed request is retried. Until then no other request is sent.
    Retry {
        /// The table of the request that failed.
        table: Option<&'static Table>,
        /// The first retry is 1.
        number: u32,
        /// The maximum number of retries; `None` if only the time is limited.
        max: Option<u32>,
        /// For example `Wix answered 503`.
        cause: String,
    },
    /// The database does not respond, or the connection is lost.
    Database { cause: String },
}

/// Receives the events of a run and shows them.
pub trait Reporter: Send + Sync {
    /// Called for each event, in order.
    fn report(&self, event: Event<'_>);
}
