//! A run as a few log lines: for cron, files and pipes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, error, info, trace, warn};

use super::text::{counted, duration, outcome};
use crate::event::{Event, Reporter};
use crate::run::{Status, StreamSummary};
use crate::stream::Stream;

/// Maximum rejected records that are named per table; all are in `sync_errors`.
const MAX_NAMED_RECORDS: u32 = 10;

/// Shorter waits are not logged.
const MIN_TOLD_WAIT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Lines {
    named: Mutex<HashMap<Stream, u32>>,
}

impl Reporter for Lines {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::RunStarted { run_id } => info!(%run_id, "run {run_id} started"),
            Event::StreamStarted { stream } => debug!(%stream, "{stream}: started"),
            Event::PassPlanned { stream, pass } => {
                debug!(%stream, pass = pass.as_str(), "{stream}: {} pass", pass.as_str())
            }
            Event::RequestSent { .. } => trace!("request sent to Wix"),
            Event::BatchCommitted { stream, record_count, total } => {
                debug!(%stream, record_count, total, "{stream}: batch committed")
            }
            Event::RecordsCompared { stream, record_count, total } => {
                debug!(%stream, record_count, total, "{stream}: records compared")
            }
            Event::ComparisonFinished { stream } => debug!(%stream, "{stream}: compared"),
            Event::RecordRejected { stream, wix_id, reason } => {
                let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
                let count = named.entry(stream).or_default();
                *count += 1;
                match *count {
                    1..=MAX_NAMED_RECORDS => {
                        warn!(%stream, wix_id, "{stream}: record {} left out: {reason}", wix_id.unwrap_or("without an id"))
                    }
                    n if n == MAX_NAMED_RECORDS + 1 => {
                        warn!(%stream, "{stream}: more records were left out; all are in sync_errors")
                    }
                    _ => {}
                }
            }
            Event::Notice { stream: Some(stream), text } => warn!(%stream, "{stream}: {text}"),
            Event::Notice { stream: None, text } => warn!("{text}"),
            Event::Waiting { delay, reason } if delay >= MIN_TOLD_WAIT => {
                warn!(delay_ms = as_ms(delay), "waiting {}: {reason}", duration(delay))
            }
            Event::Waiting { delay, reason } => {
                debug!(delay_ms = as_ms(delay), "waiting {}: {reason}", duration(delay))
            }
            Event::StreamFinished { summary } => {
                let (stream, counts) = (summary.stream, &summary.counts);
                match &summary.error {
                    None => info!(
                        %stream,
                        synced = counts.synced,
                        inserted = counts.inserted,
                        updated = counts.updated,
                        errors = counts.errors,
                        requests = summary.requests,
                        elapsed_ms = summary.duration_ms,
                        "{stream}: {}",
                        outcome(summary)
                    ),
                    Some(reason) => {
                        error!(%stream, error = reason, elapsed_ms = summary.duration_ms, "{stream}: failed after {}", outcome(summary))
                    }
                }
            }
            Event::RunFinished { summary } => {
                let (run_id, elapsed) = (summary.run_id, Duration::from_millis(summary.duration_ms));
                let (synced, errors) = (summary.synced_count(), summary.error_count());
                match summary.status {
                    // Also with --quiet, so that cron mails it.
                    Status::Completed if !summary.streams.iter().all(StreamSummary::is_complete) => {
                        let reasons: Vec<String> = summary.streams.iter().filter_map(left_out).collect();
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
fn left_out(summary: &StreamSummary) -> Option<String> {
    let mut reasons = Vec::new();
    if summary.counts.errors > 0 {
        reasons.push(format!("{} in sync_errors", counted(summary.counts.errors, "record")));
    }
    if summary.incomplete {
        reasons.push(summary.notices.join(", "));
    }
    (!reasons.is_empty()).then(|| format!("{}: {}", summary.stream, reasons.join("; ")))
}

fn as_ms(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}
