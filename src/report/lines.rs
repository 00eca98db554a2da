//! A run as a few log lines: for cron, files and pipes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, error, info, trace, warn};

use super::text::{counted, duration, outcome};
use crate::event::{Event, Reporter};
use crate::run::{Status, TableSummary};
use crate::table::Table;

/// Maximum rejected records that are named per table; all are in `sync_errors`.
const MAX_NAMED_RECORDS: u32 = 10;

/// Shorter waits are not logged.
const MIN_TOLD_WAIT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Lines {
    named: Mutex<HashMap<&'static Table, u32>>,
}

impl Reporter for Lines {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::LeaseTaken { .. } => {}
            Event::RunStarted { run_id } => info!(%run_id, "run {run_id} started"),
            Event::TableStarted { table } => debug!(stream = %table, "{table}: started"),
            Event::PassPlanned { table, pass } => {
                debug!(stream = %table, pass = pass.as_str(), "{table}: {} pass", pass.as_str())
            }
            Event::RequestSent { .. } => trace!("request sent to Wix"),
            Event::BatchCommitted { table, record_count, total } => {
                debug!(stream = %table, record_count, total, "{table}: batch committed")
            }
            Event::RecordsCompared { table, record_count, total } => {
                debug!(stream = %table, record_count, total, "{table}: records compared")
            }
            Event::ComparisonFinished { table } => debug!(stream = %table, "{table}: compared"),
            Event::RecordRejected { table, wix_id, reason } => {
                let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
                let count = named.entry(table).or_default();
                *count += 1;
                match *count {
                    1..=MAX_NAMED_RECORDS => {
                        warn!(stream = %table, wix_id, "{table}: record {} left out: {reason}", wix_id.unwrap_or("without an id"))
                    }
                    n if n == MAX_NAMED_RECORDS + 1 => {
                        warn!(stream = %table, "{table}: more records were left out; all are in sync_errors")
                    }
                    _ => {}
                }
            }
            Event::Notice { table: Some(table), text } => warn!(stream = %table, "{table}: {text}"),
            Event::Notice { table: None, text } => warn!("{text}"),
            Event::Waiting { delay, reason } if delay >= MIN_TOLD_WAIT => {
                warn!(delay_ms = as_ms(delay), "waiting {}: {reason}", duration(delay))
            }
            Event::Waiting { delay, reason } => {
                debug!(delay_ms = as_ms(delay), "waiting {}: {reason}", duration(delay))
            }
            Event::TableFinished { summary } => {
                let (table, counts) = (summary.table, &summary.counts);
                match &summary.error {
                    None => info!(
                        stream = %table,
                        synced = counts.synced,
                        inserted = counts.inserted,
                        updated = counts.updated,
                        errors = counts.errors,
                        requests = summary.requests,
                        elapsed_ms = summary.duration_ms,
                        "{table}: {}",
                        outcome(summary)
                    ),
                    Some(reason) => {
                        error!(stream = %table, error = reason, elapsed_ms = summary.duration_ms, "{table}: failed after {}", outcome(summary))
                    }
                }
            }
            Event::RunFinished { summary } => {
                let (run_id, elapsed) = (summary.run_id, Duration::from_millis(summary.duration_ms));
                let (synced, errors) = (summary.synced_count(), summary.error_count());
                match summary.status {
                    // Also with --quiet, so that cron mails it.
                    Status::Completed if !summary.tables.iter().all(TableSummary::is_complete) => {
                        let reasons: Vec<String> = summary.tables.iter().filter_map(left_out).collect();
                        error!(%run_id, synced, errors, elapsed_ms = summary.duration_ms, "run {run_id} completed in {}, but left something out: {}", duration(elapsed), reasons.join("; "))
                    }
                    Status::Completed => {
                        info!(%run_id, synced, errors, elapsed_ms = summary.duration_ms, "run {run_id} completed in {}", duration(elapsed))
                    }
                    _ => {
                        error!(%run_id, synced, errors, elapsed_ms = summary.duration_ms, "run {run_id} failed after {}", duration(elapsed))
                    }
                }
            }
        }
    }
}

/// What was left out of a table, if anything.
fn left_out(summary: &TableSummary) -> Option<String> {
    let mut reasons = Vec::new();
    if summary.counts.errors > 0 {
        reasons.push(format!("{} in sync_errors", counted(summary.counts.errors, "record")));
    }
    if summary.incomplete {
        reasons.push(summary.notices.join(", "));
    }
    (!reasons.is_empty()).then(|| format!("{}: {}", summary.table, reasons.join("; ")))
}

fn as_ms(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}
