//! `wix-sync sync`: one run.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use super::args::{GlobalArgs, SyncArgs};
use super::exit::Exit;
use super::logging::Console;
use super::signals::{Signals, signalled};
use super::site::claim_site;
use super::verify::dry_run;
use super::{Failure, connect};
use crate::config::{ConfigError, Environment, SyncConfig, SyncFlags};
use crate::event::{Event, Reporter};
use crate::holder::Holder;
use crate::progress::Tracker;
use crate::report;
use crate::stop::{Stop, StopReason, Stopper, stop_pair};
use crate::store::lease::Heartbeat;
use crate::store::retry::LAST_PATIENCE;
use crate::sync::plan::FullPolicy;
use crate::sync::{Plan, Range, Run, RunOutcome, SyncError};
use crate::table::timestamp::{self, Timestamp};
use crate::wix::query::Until;
use crate::wix::{WixClient, WixError};

/// Maximum time of the database's work before a run. It is longer than any wait for a lock: beyond it, the database
/// does not answer.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);

/// Maximum time of the database's work at the end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// A run that was asked to stop finishes its batch and records its end. If that takes longer than this, it waits for
/// something that will not come.
const GRACE: Duration = Duration::from_secs(15);

pub(super) async fn run(
    global: &GlobalArgs,
    args: &SyncArgs,
    environment: &Environment,
    console: &Console,
) -> Result<Exit, Failure> {
    if args.dry_run {
        // Not a run, so no monitor is told.
        let mut signals = Signals::silent(args.target.sync_type());
        return begin(global, args, environment, console, &mut signals).await;
    }
    let work = async |signals: &mut Signals| begin(global, args, environment, console, signals).await;
    signalled(environment, args.metrics_file.as_deref(), args.target.sync_type(), work).await
}

async fn begin(
    global: &GlobalArgs,
    args: &SyncArgs,
    environment: &Environment,
    console: &Console,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let range = range(args)?;
    let flags = SyncFlags {
        batch_size: args.batch_size,
        max_retries: args.max_retries,
        retry_delay_ms: args.retry_delay,
        rate_limit: args.rate_limit,
    };
    let config = SyncConfig::resolve(environment, flags)?;
    let plan = Plan {
        sync_type: args.target.sync_type(),
        tables: args.target.tables(),
        batch_size: config.batch_size,
        range,
        allow_mass_delete: args.allow_mass_delete,
        allow_mass_changes: args.allow_mass_changes,
        full: FullPolicy { now: args.full, every: positive(args.full_every), check_every: positive(args.check_every) },
        only_errors: false,
        repairs: Vec::new(),
        uncompared: Vec::new(),
        keep_logs: positive(args.keep_logs),
    };
    if args.dry_run {
        return dry_run(global, environment, console, config, &plan, args.time_limit, args.json).await;
    }
    execute(global, environment, console, config, plan, args.time_limit, args.json, signals).await
}

/// `None` for 0, which means never.
fn positive(duration: Duration) -> Option<TimeDelta> {
    TimeDelta::from_std(duration).ok().filter(|duration| *duration > TimeDelta::zero())
}

/// One run, under the lease and recorded in `sync_logs`.
#[expect(clippy::too_many_arguments, reason = "the wiring of a run: each is used once, in one place")]
pub(super) async fn execute(
    global: &GlobalArgs,
    environment: &Environment,
    console: &Console,
    config: SyncConfig,
    plan: Plan,
    time_limit: Option<Duration>,
    as_json: bool,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let tracker = Arc::new(Tracker::new(report::choose(&console.bars, console.draws_bars)));
    let reporter: Arc<dyn Reporter> = tracker.clone();
    for notice in &config.notices {
        reporter.report(Event::Notice { table: None, text: notice });
    }
    let (stopper, stop) = stop_pair();
    listen_for_signals(stopper.clone())?;
    stop_after(time_limit, &stopper);

    let wix = WixClient::new(config.wix, stop.clone(), reporter.clone()).map_err(|error| failure(error.into()))?;
    let run = Run { plan: &plan, wix: &wix, stop: &stop, reporter: &reporter, run_id: signals.run_id() };
    let take_lease = async {
        let mut store = connect(global, environment).await?;
        let prepare = async {
            store.check_ready().await?;
            store.acquire_lease(run.run_id, &Holder::current()).await
        };
        match timeout(BEGIN_PATIENCE, prepare).await {
            Ok(prepared) => prepared?,
            Err(_) => {
                let error = anyhow::anyhow!("the database gave no answer within {} s", BEGIN_PATIENCE.as_secs());
                return Err(Failure { exit: Exit::Failed, error, hint: None });
            }
        }
        Ok(store)
    };
    let mut store = unless_overdue(&stop, LAST_PATIENCE, take_lease).await?;
    signals.started(store.schema().name());
    let heartbeat = Heartbeat::start(&store, stopper, tracker);
    let work = async {
        unless_overdue(&stop, LAST_PATIENCE, claim_site(&mut store, &wix, &*reporter)).await?;
        run.execute(&mut store).await.map_err(failure)
    };
    let outcome = unless_overdue(&stop, GRACE, work).await;
    drop(heartbeat);
    store.hurry();
    // If this fails, the lease expires by itself.
    match timeout(RELEASE_PATIENCE, store.release_lease()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = error.to_string(), "the lease could not be given back"),
        Err(_) => tracing::debug!("the lease could not be given back: no answer"),
    }
    let RunOutcome { summary, error } = outcome?;
    signals.finished(&summary);

    let exit = Exit::of_run(&summary, error.as_ref().and_then(SyncError::stop_reason));
    if as_json {
        report::print_run_json(&summary, exit as u8)?;
    }
    if let Some(error) = error {
        let hint = error.hint();
        let error = anyhow::anyhow!(summary.error.unwrap_or_else(|| error.to_string()));
        return Err(Failure { exit, error, hint });
    }
    Ok(exit)
}

/// Gives up work that a stop does not end, because the database does not answer. Nothing is lost: a transaction is all
/// or nothing, and the next run resumes.
pub(super) async fn unless_overdue<T>(
    stop: &Stop,
    grace: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        result = work => result,
        reason = stop.overdue(grace) => Err(Failure {
            exit: Exit::of_stop(reason),
            error: match reason {
                StopReason::DatabaseSilent => anyhow::anyhow!("{reason}"),
                _ => anyhow::anyhow!("{reason} while it waited for the database"),
            },
            hint: Some("`wix-sync doctor` tells whether the database answers, and who holds a lock".to_owned()),
        }),
    }
}

pub(super) fn failure(error: SyncError) -> Failure {
    let exit = match (&error, error.stop_reason()) {
        (_, Some(reason)) => Exit::of_stop(reason),
        (SyncError::Wix(WixError::Setup(_)), None) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure { exit, hint: error.hint(), error: error.into() }
}

pub(super) fn stop_after(time_limit: Option<Duration>, stopper: &Stopper) {
    let Some(limit) = time_limit else { return };
    let stopper = stopper.clone();
    tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        stopper.stop(StopReason::TimeLimit);
    });
}

/// SIGINT, SIGTERM and SIGHUP ask for a stop: the batch in hand is finished first.
pub(super) fn listen_for_signals(stopper: Stopper) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Under nohup SIGHUP is ignored, and must stay ignored.
    let mut hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
    tokio::spawn(async move {
        loop {
            let reason = tokio::select! {
                _ = interrupt.recv() => StopReason::Interrupt,
                _ = terminate.recv() => StopReason::Terminate,
                () = received(&mut hang_up) => StopReason::HangUp,
            };
            stopper.stop(reason);
        }
    });
    Ok(())
}

/// Waits for the signal; forever if it is not listened for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP was ignored when the process started. False where the system does not tell (outside Linux).
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit per signal; SIGHUP is number 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

fn range(args: &SyncArgs) -> Result<Option<Range>, ConfigError> {
    let error = |message: String| ConfigError {
        message,
        hint: Some(
            "a time is a date such as 2025-01-31 (UTC), or RFC 3339 such as 2025-01-31T09:30:00+01:00".to_owned(),
        ),
    };
    let from = args
        .start
        .as_deref()
        .map(|text| bound(text).ok_or_else(|| error(format!("--start: `{text}` is no time"))))
        .transpose()?;
    let until = args
        .end
        .as_deref()
        .map(|text| bound(text).ok_or_else(|| error(format!("--end: `{text}` is no time"))))
        .transpose()?;
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    if args.target.tables().iter().all(|table| table.range_field.is_none()) {
        let message = format!("--start and --end are for appointments, not for {}", args.target.sync_type());
        return Err(ConfigError { message, hint: None });
    }
    let from = from.map(Bound::begin);
    let until = until.map(Bound::end);
    let empty = match (from, until) {
        (Some(from), Some(Until::Including(until))) => until < from,
        (Some(from), Some(Until::Before(until))) => until <= from,
        _ => false,
    };
    if empty {
        return Err(ConfigError { message: "--end lies before --start".to_owned(), hint: None });
    }
    Ok(Some(Range { from, until }))
}

#[derive(Clone, Copy)]
enum Bound {
    Day(NaiveDate),
    Instant(DateTime<Utc>),
}

/// The last year that RFC 3339 can write.
const MAX_YEAR: i32 = 9999;

fn bound(text: &str) -> Option<Bound> {
    if let Ok(day) = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
        return (0..=MAX_YEAR).contains(&day.year()).then_some(Bound::Day(day));
    }
    match timestamp::parse(text)? {
        Timestamp::Instant(instant) => Some(Bound::Instant(instant)),
        Timestamp::Local(_) => None,
    }
}

impl Bound {
    fn begin(self) -> DateTime<Utc> {
        match self {
            Bound::Day(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
            Bound::Instant(instant) => instant,
        }
    }

    /// As the end of a range, a day is included as a whole.
    fn end(self) -> Until {
        match self {
            // RFC 3339 has no later year.
            Bound::Day(day) if day.year() == MAX_YEAR => {
                Until::Including(self.begin() + TimeDelta::days(1) - TimeDelta::milliseconds(1))
            }
            Bound::Day(_) => Until::Before(self.begin() + TimeDelta::days(1)),
            Bound::Instant(instant) => Until::Including(instant),
        }
    }
}
