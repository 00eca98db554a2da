//! Notifications about a run: a monitor's pings, and a file of metrics. Neither ever fails a run.

use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Failure;
use super::exit::Exit;
use crate::config::{ConfigError, Environment};
use crate::healthcheck::{Healthcheck, Signal};
use crate::report::{MetricsFile, RunMetrics};
use crate::run::{RunSummary, TableSummary};
use crate::visible;

pub(super) struct Signals {
    run_id: Uuid,
    sync_type: &'static str,
    clock: Instant,
    healthcheck: Option<Healthcheck>,
    start: Option<JoinHandle<Result<(), String>>>,
    metrics: Option<MetricsFile>,
    schema: Option<String>,
    summary: Option<RunSummary>,
}

/// Does the work of a run and reports its end, whatever it is.
pub(super) async fn signalled(
    environment: &Environment,
    metrics_file: Option<&Path>,
    sync_type: &'static str,
    work: impl AsyncFnOnce(&mut Signals) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let mut signals = Signals::prepare(environment, metrics_file, sync_type)?;
    let result = work(&mut signals).await;
    signals.ended(&result).await;
    result
}

impl Signals {
    pub(super) fn silent(sync_type: &'static str) -> Signals {
        Signals {
            run_id: Uuid::new_v4(),
            sync_type,
            clock: Instant::now(),
            healthcheck: None,
            start: None,
            metrics: None,
            schema: None,
            summary: None,
        }
    }

    /// Checks address and path before anything starts.
    fn prepare(
        environment: &Environment,
        metrics_file: Option<&Path>,
        sync_type: &'static str,
    ) -> Result<Signals, ConfigError> {
        let silent = Signals::silent(sync_type);
        let network = environment.network()?;
        let healthcheck = environment
            .healthcheck_url()
            .map(|url| Healthcheck::new(&url, &network, silent.run_id))
            .transpose()
            .map_err(|what| ConfigError { message: format!("WIX_SYNC_HEALTHCHECK_URL: {what}"), hint: None })?;
        let metrics = metrics_file
            .map(|path| {
                MetricsFile::new(path).map_err(|error| ConfigError {
                    message: format!("--metrics-file {}: cannot be written: {error}", path.display()),
                    hint: Some(
                        "name a regular file, or a new one, in a directory that exists and is writable for this user"
                            .to_owned(),
                    ),
                })
            })
            .transpose()?;
        Ok(Signals { healthcheck, metrics, ..silent })
    }

    pub(super) fn run_id(&self) -> Uuid {
        self.run_id
    }

    /// The run holds the lease and starts. Does not wait for the monitor.
    pub(super) fn started(&mut self, schema: &str) {
        self.schema = Some(schema.to_owned());
        if let Some(healthcheck) = self.healthcheck.clone() {
            self.start = Some(tokio::spawn(async move { healthcheck.tell(Signal::Start, "").await }));
        }
    }

    pub(super) fn finished(&mut self, summary: &RunSummary) {
        self.summary = Some(summary.clone());
    }

    async fn ended(mut self, result: &Result<Exit, Failure>) {
        let exit = match result {
            Ok(exit) => *exit,
            Err(failure) => failure.exit,
        };
        // The run that holds the lock reports for itself; this one would contradict it.
        if exit == Exit::Locked {
            return;
        }
        self.write_metrics(exit);
        let Some(healthcheck) = self.healthcheck.take() else { return };
        // In order: the start first. One warning is enough about a monitor that does not answer.
        let start = match self.start.take() {
            Some(start) => start.await.unwrap_or(Ok(())),
            None => Ok(()),
        };
        let end = healthcheck.tell(signal_of(exit), &self.body(result)).await;
        if let Err(reason) = start.and(end) {
            tracing::warn!(error = reason, "the monitor in WIX_SYNC_HEALTHCHECK_URL could not be told: {reason}");
        }
    }

    fn write_metrics(&self, exit: Exit) {
        let Some(file) = &self.metrics else { return };
        let metrics = RunMetrics {
            sync_type: self.sync_type,
            schema: self.schema.as_deref(),
            ended_at: self.ended_at(),
            duration: self.clock.elapsed(),
            exit_code: exit as u8,
            summary: self.summary.as_ref(),
        };
        if let Err(error) = file.write(&metrics) {
            tracing::warn!(error = error.to_string(), "--metrics-file could not be written: {error}");
        }
    }

    /// By the database server's clock where the run knows it: monitors compare it with now.
    fn ended_at(&self) -> DateTime<Utc> {
        let Some(summary) = &self.summary else { return Utc::now() };
        summary.started_at + TimeDelta::milliseconds(summary.duration_ms.try_into().unwrap_or_default())
    }

    /// The text of `sync_logs.error`, else what was left out, else how much was done.
    fn body(&self, result: &Result<Exit, Failure>) -> String {
        if let Err(failure) = result {
            let text = format!("exit code {}: {:#}\n", failure.exit as u8, failure.error);
            return visible::lines(&text).into_owned();
        }
        let tables = self.summary.as_ref().map_or(&[][..], |summary| &summary.tables);
        tables.iter().map(line_of).collect()
    }
}

/// One table in a line, with what was left out of it.
fn line_of(summary: &TableSummary) -> String {
    let counts = &summary.counts;
    let mut line = format!("{}: {} synced, {} deleted", summary.table, counts.synced, counts.deleted);
    if counts.errors > 0 {
        line.push_str(&format!(", {} left out (see `wix-sync errors`)", counts.errors));
    }
    for notice in &summary.notices {
        line.push_str(&format!("\n  {}", visible::one_line(notice)));
    }
    line.push('\n');
    line
}

/// Exit code 3 is a success for a monitor: the tables are fresh, and one bad record must not hide an outage for weeks;
/// the body says what was left out. The time limit is neither success nor failure: the monitor only logs it, and alerts
/// by itself if no success follows in time.
fn signal_of(exit: Exit) -> Signal {
    match exit {
        Exit::Done | Exit::Incomplete => Signal::Success,
        Exit::TimeLimit => Signal::Log,
        _ => Signal::Fail,
    }
}
