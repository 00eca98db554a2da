//! Notifications about a run: a monitor's pings, and a metrics file. They never fail a run.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::config::{ConfigError, Environment};
use crate::event::{Event, Reporter};
use crate::exit::Exit;
use crate::healthcheck::{Healthcheck, Signal};
use crate::report::{MetricsFile, RunMetrics};
use crate::run::{RunSummary, TableSummary};
use crate::visible;

pub struct Notifier {
    sync_type: String,
    clock: Instant,
    healthcheck: Option<Healthcheck>,
    metrics: Option<MetricsFile>,
    heard: Mutex<Heard>,
}

/// Data collected from the events of the run.
#[derive(Default)]
struct Heard {
    schema: Option<String>,
    start: Option<JoinHandle<Result<(), String>>>,
    summary: Option<RunSummary>,
}

impl Reporter for Notifier {
    fn report(&self, event: Event<'_>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::LeaseTaken { schema } => {
                heard.schema = Some(schema.to_owned());
                // The run does not wait for the monitor.
                heard.start = self
                    .healthcheck
                    .clone()
                    .map(|healthcheck| tokio::spawn(async move { healthcheck.send(Signal::Start, "").await }));
            }
            Event::RunFinished { summary } => heard.summary = Some(summary.clone()),
            _ => {}
        }
    }
}

impl Notifier {
    /// Checks address and path before the run starts.
    pub fn prepare(
        environment: &Environment,
        metrics_file: Option<&Path>,
        sync_type: String,
        run_id: Uuid,
    ) -> Result<Notifier, ConfigError> {
        let network = environment.network()?;
        let healthcheck = environment
            .healthcheck_url()
            .map(|url| Healthcheck::new(&url, &network, run_id))
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
        Ok(Notifier { sync_type, clock: Instant::now(), healthcheck, metrics, heard: Mutex::default() })
    }

    /// Sends the notifications at the end, whatever the result. `error` is why the run failed.
    pub async fn ended(&self, exit: Exit, error: Option<String>) {
        // The run that owns the lock sends its own notifications, which must not be contradicted.
        if exit == Exit::Locked {
            return;
        }
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        let summary = heard.summary.as_ref();
        if let Some(file) = &self.metrics {
            let metrics = RunMetrics {
                sync_type: &self.sync_type,
                schema: heard.schema.as_deref(),
                ended_at: summary.map_or_else(Utc::now, ended_at),
                duration: self.clock.elapsed(),
                exit_code: exit as u8,
                summary,
            };
            if let Err(error) = file.write(&metrics) {
                tracing::warn!(error = error.to_string(), "--metrics-file could not be written: {error}");
            }
        }
        let Some(healthcheck) = &self.healthcheck else { return };
        // The start is sent first. A monitor that does not respond causes only one warning.
        let start = match heard.start {
            Some(start) => start.await.unwrap_or(Ok(())),
            None => Ok(()),
        };
        let end = healthcheck.send(signal_of(exit), &body(exit, error, summary)).await;
        if let Err(reason) = start.and(end) {
            tracing::warn!(error = reason, "the monitor in WIX_SYNC_HEALTHCHECK_URL could not be notified: {reason}");
        }
    }
}

/// The database server's clock, because monitors compare it with the current time.
fn ended_at(summary: &RunSummary) -> DateTime<Utc> {
    summary.started_at + TimeDelta::milliseconds(summary.duration_ms.try_into().unwrap_or_default())
}

/// The text of `sync_logs.error`, else what was left out, else the counts.
fn body(exit: Exit, error: Option<String>, summary: Option<&RunSummary>) -> String {
    if let Some(error) = error {
        let text = format!("exit code {}: {error}\n", exit as u8);
        return visible::lines(&text).into_owned();
    }
    summary.map_or(&[][..], |summary| &summary.tables).iter().map(line_of).collect()
}

/// One line per table, with what was left out.
fn line_of(summary: &TableSummary) -> String {
    let counts = &summary.counts;
    let mut line = format!("{}: {} synced, {} deleted", summary.table, counts.synced, counts.deleted);
    if counts.errors > 0 {
        line.push_str(&format!(", {} rejected (see `wix-sync errors`)", counts.errors));
    }
    for notice in &summary.notices {
        line.push_str(&format!("\n  {}", visible::one_line(notice)));
    }
    line.push('\n');
    line
}

/// Exit code 3 is a success for a monitor: the tables are up to date, and one rejected record must not hide an outage
/// for weeks. The body says what was left out. The time limit is neither success nor failure: the monitor only logs it,
/// and alerts by itself if no success follows in time.
fn signal_of(exit: Exit) -> Signal {
    match exit {
        Exit::Done | Exit::Incomplete => Signal::Success,
        Exit::TimeLimit => Signal::Log,
        _ => Signal::Fail,
    }
}
