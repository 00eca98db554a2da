//! The progress of a run, collected from its events. It is written with each heartbeat, and `status` shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::event::{Event, Reporter};
use crate::run::{PassKind, Status};
use crate::table::Table;

/// Progress of each table that the run has started, by the table's name.
pub type RunProgress = BTreeMap<String, TableProgress>;

/// An entry of `sync_locks.progress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProgress {
    pub status: Status,
    /// `None` until it is decided. Earlier versions wrote `pass`.
    #[serde(rename = "kind", alias = "pass")]
    pub pass: Option<PassKind>,
    /// Number of written and rejected records of this pass so far.
    pub records: u64,
    /// Number of records in the whole list, if Wix states it.
    pub total: Option<u64>,
    /// Number of requests to Wix so far, including retries.
    pub requests: u64,
}

/// Passes events on, and tracks progress from them.
pub struct Tracker {
    next: Vec<Arc<dyn Reporter>>,
    progress: Mutex<RunProgress>,
}

impl Tracker {
    /// Passes every event on to each of `next`.
    pub fn new(next: Vec<Arc<dyn Reporter>>) -> Tracker {
        Tracker { next, progress: Mutex::default() }
    }

    pub fn progress(&self) -> RunProgress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Tracker {
    fn report(&self, event: Event<'_>) {
        {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            match &event {
                Event::TableStarted { table } => {
                    entry(&mut progress, table);
                }
                Event::PassPlanned { table, pass } => entry(&mut progress, table).pass = Some(*pass),
                Event::RequestSent { request } => {
                    if let Some(table) = request.table {
                        entry(&mut progress, table).requests += 1;
                    }
                }
                Event::BatchCommitted { table, record_count, total, .. } => {
                    let table = entry(&mut progress, table);
                    table.records = *record_count;
                    table.total = total.or(table.total);
                }
                Event::TableFinished { summary } => {
                    let table = entry(&mut progress, summary.table);
                    table.status = summary.status;
                    table.pass = Some(summary.pass);
                    table.requests = summary.requests;
                }
                _ => {}
            }
        }
        self.next.iter().for_each(|next| next.report(event.clone()));
    }
}

fn entry<'a>(progress: &'a mut RunProgress, table: &Table) -> &'a mut TableProgress {
    progress.entry(table.name.to_owned()).or_insert(TableProgress {
        status: Status::Running,
        pass: None,
        records: 0,
        total: None,
        requests: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::{TableProgress, Tracker};
    use crate::event::{BatchInfo, Event, Reporter, RequestInfo};
    use crate::run::{PassKind, Status};
    use crate::table::ORDERS;

    #[test]
    fn requests_count_for_their_table_and_totals_stay() {
        let tracker = Tracker::new(Vec::new());
        let table = &ORDERS;
        let request = |table| RequestInfo { table, method: "POST", path: "/", attempt: 1 };
        let batch = BatchInfo::default();
        tracker.report(Event::RequestSent { request: &request(None) });
        tracker.report(Event::TableStarted { table });
        tracker.report(Event::PassPlanned { table, pass: PassKind::Full });
        tracker.report(Event::RequestSent { request: &request(Some(table)) });
        tracker.report(Event::BatchCommitted { table, record_count: 100, total: Some(250), batch });
        tracker.report(Event::RequestSent { request: &request(Some(table)) });
        tracker.report(Event::BatchCommitted { table, record_count: 200, total: None, batch });
        let expected = TableProgress {
            status: Status::Running,
            pass: Some(PassKind::Full),
            records: 200,
            total: Some(250),
            requests: 2,
        };
        assert_eq!(tracker.progress().into_iter().collect::<Vec<_>>(), [("orders".to_owned(), expected)]);
    }
}
