//! Shows a run as a few log lines, for cron, files and pipes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{debug, error, info, trace, warn};

use super::text::{duration, outcome};
use super::wait::describe_wait;
use super::{describe_left_out, name_rejected};
use crate::event::{BatchInfo, Event, Reporter, RequestInfo, ResponseInfo, Wait};
use crate::run::{RunSummary, Status, TableSummary};
use crate::table::Table;

/// The target of warnings that are logged even with `--quiet`: what was left out for the first time.
pub const NEWS: &str = "wix_sync::news";

/// Maximum number of rejected records that are named per table; all are in `sync_errors`.
const MAX_NAMED_RECORDS: u32 = 10;

/// Shorter waits are logged only with `-v`.
const MIN_LOGGED_WAIT: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Lines {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of named rejected records, by table and whether they are new.
    named: HashMap<(&'static Table, bool), u32>,
    has_logged_rate_limit: bool,
}

impl Lines {
    fn log_rejected(&self, table: &'static Table, wix_id: Option<&str>, reason: &str, is_new: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = state.named.entry((table, is_new)).or_default();
        *count += 1;
        let text = match *count {
            1..=MAX_NAMED_RECORDS => name_rejected(table, wix_id, reason),
            n if n == MAX_NAMED_RECORDS + 1 => {
                format!("{table}: more records were rejected: `wix-sync errors` lists them")
            }
            _ => return,
        };
        match is_new {
            true => warn!(target: NEWS, table = table.name, wix_id, "{text}"),
            false => warn!(table = table.name, wix_id, "{text}"),
        }
    }

    fn log_wait(&self, table: Option<&'static Table>, delay: Option<Duration>, wait: &Wait) {
        let name = table.map(|table| table.name);
        let delay_ms = delay.map(as_ms);
        let prefix = table.map(|table| format!("{table}: ")).unwrap_or_default();
        let text = format!("{prefix}{}", describe_wait(wait, table, delay.map(duration).as_deref()));
        let is_long = delay.is_some_and(|delay| delay >= MIN_LOGGED_WAIT);
        match wait {
            Wait::RateLimit if is_long => {
                // A long run has one per minute.
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                match std::mem::replace(&mut state.has_logged_rate_limit, true) {
                    false => info!(table = name, delay_ms, "{text} (more of these waits are logged only with -v)"),
                    true => debug!(table = name, delay_ms, "{text}"),
                }
            }
            _ if is_long => warn!(table = name, delay_ms, "{text}"),
            _ => debug!(table = name, delay_ms, "{text}"),
        }
    }
}

impl Reporter for Lines {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::LeaseTaken { .. } => debug!("lock taken"),
            Event::RunStarted { run_id } => info!("run {run_id} started"),
            Event::TableStarted { table } => debug!(table = table.name, "{table}: started"),
            Event::PassPlanned { table, pass } => {
                debug!(table = table.name, kind = pass.as_str(), "{table}: {} sync", pass.as_str())
            }
            Event::RequestSent { request } => {
                let RequestInfo { table, method, path, attempt } = request;
                trace!(table = table.map(|table| table.name), method, path, attempt, "{method} {path}: sent")
            }
            Event::ResponseReceived { request, response, duration } => log_response(request, response, duration),
            Event::BatchCommitted { table, record_count, total, batch } => {
                let BatchInfo { inserted, updated, unchanged, rejected, duration } = batch;
                let (name, elapsed_ms) = (table.name, as_ms(duration));
                debug!(
                    table = name,
                    record_count,
                    total,
                    inserted,
                    updated,
                    unchanged,
                    rejected,
                    elapsed_ms,
                    "{table}: batch committed in {elapsed_ms} ms: {inserted} inserted, {updated} updated, {unchanged} \
                     unchanged, {rejected} rejected; {record_count} records so far"
                )
            }
            Event::LookingUp { table, number: 1, total } => {
                let of = total.map(|total| format!("1 of {total} ")).unwrap_or_default();
                debug!(table = table.name, total, "{table}: looking up records by id: {of}first")
            }
            Event::LookingUp { table, number, total } => {
                trace!(table = table.name, number, total, "{table}: looking up record {number} by id")
            }
            Event::RecordsCompared { table, record_count, total } => {
                debug!(table = table.name, record_count, total, "{table}: {record_count} records compared")
            }
            Event::ComparisonFinished { table } => debug!(table = table.name, "{table}: compared"),
            Event::RecordRejected { table, wix_id, reason, is_new } => self.log_rejected(table, wix_id, reason, is_new),
            Event::Notice { table: Some(table), text } => warn!(table = table.name, "{table}: {text}"),
            Event::Notice { table: None, text } => warn!("{text}"),
            Event::Waiting { table, delay, wait } => self.log_wait(table, delay, wait),
            Event::WaitEnded => debug!("the database answers again"),
            Event::TableFinished { summary } => log_table(summary),
            Event::RunFinished { summary } => log_end(summary),
        }
    }
}

fn log_response(request: &RequestInfo<'_>, response: Result<ResponseInfo<'_>, &str>, duration: Duration) {
    let RequestInfo { table, method, path, attempt } = request;
    let (name, elapsed_ms) = (table.map(|table| table.name), as_ms(duration));
    let prefix = name.map(|name| format!("{name}: ")).unwrap_or_default();
    let request = format!("{prefix}{method} {path}, attempt {attempt}");
    match response {
        Ok(ResponseInfo { status, request_id }) => {
            let id = request_id.map(|id| format!(", request id {id}")).unwrap_or_default();
            debug!(
                table = name,
                method, path, attempt, status, request_id, elapsed_ms, "{request}: {status} in {elapsed_ms} ms{id}"
            )
        }
        Err(reason) => debug!(
            table = name,
            method, path, attempt, elapsed_ms, "{request}: no response after {elapsed_ms} ms: {reason}"
        ),
    }
}

fn log_table(summary: &TableSummary) {
    let (table, counts) = (summary.table, &summary.counts);
    match &summary.error {
        None => info!(
            table = table.name,
            synced = counts.synced,
            inserted = counts.inserted,
            updated = counts.updated,
            unchanged = counts.unchanged,
            deleted = counts.deleted,
            rejected = counts.errors,
            requests = summary.requests,
            elapsed_ms = summary.duration_ms,
            "{table}: {}",
            outcome(summary)
        ),
        Some(reason) => {
            error!(
                table = table.name,
                error = reason,
                elapsed_ms = summary.duration_ms,
                "{table}: failed after {}",
                outcome(summary)
            )
        }
    }
}

fn log_end(summary: &RunSummary) {
    let (run_id, elapsed_ms) = (summary.run_id, summary.duration_ms);
    let elapsed = duration(Duration::from_millis(elapsed_ms));
    let (synced, rejected) = (summary.synced_count(), summary.error_count());
    match (summary.status, describe_left_out(summary)) {
        (Status::Completed, None) => {
            info!(synced, rejected, elapsed_ms, exit_code = 0, "run {run_id} completed in {elapsed}")
        }
        (Status::Completed, Some(what)) if summary.tables.iter().any(|table| table.has_news) => {
            warn!(target: NEWS, synced, rejected, elapsed_ms, exit_code = 3, "run {run_id} completed in {elapsed}, {what}")
        }
        (Status::Completed, Some(what)) => {
            warn!(synced, rejected, elapsed_ms, exit_code = 3, "run {run_id} completed in {elapsed}, {what}")
        }
        _ => error!(synced, rejected, elapsed_ms, "run {run_id} failed after {elapsed}"),
    }
}

fn as_ms(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}
