//! The task that runs syncs, one at a time, for the schedule and for the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::app::App;
use super::systemd::Systemd;
use super::trigger::Scope;
use crate::config::Environment;
use crate::event::Reporter;
use crate::exit::Exit;
use crate::lock_owner::LockOwner;
use crate::notify::Notifier;
use crate::progress::Tracker;
use crate::report;
use crate::run::RecordCounts;
use crate::stop::{Stop, stop_pair};
use crate::store::retry::LAST_PATIENCE;
use crate::store::{Store, StoreError};
use crate::sync::plan::FullPolicy;
use crate::sync::{self, Drained, Plan, Run, RunOutcome, SyncError, Work, drain, unless_overdue};
use crate::table::Table;
use crate::wix::WixClient;

/// First and maximum delay after a run that could not start. The delay doubles.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Maximum delay while another process holds the lock. Checking it costs no request to Wix.
const MAX_LOCKED_DELAY: Duration = Duration::from_secs(10);

/// Interval at which the queue is checked without a notification, because another server may have died.
const IDLE: Duration = Duration::from_secs(60);

/// Interval at which the inbox is checked while its entries wait for a retry.
const RETRY: Duration = Duration::from_secs(2);

const HEARTBEAT: Duration = Duration::from_secs(20);

/// How runs are started, and when.
pub struct Jobs {
    /// The interval of scheduled runs.
    pub every: Option<Duration>,
    /// Shared by all runs of this process, with its rate limit and access token.
    pub wix: WixClient,
    pub environment: Environment,
    pub full: FullPolicy,
    pub batch_size: usize,
    pub keep_logs: Option<TimeDelta>,
}

pub(super) struct Worker {
    app: Arc<App>,
    jobs: Jobs,
    schedule: Option<Schedule>,
}

/// Why a run has to be retried later.
enum Later {
    Locked(String),
    Unreachable(String),
}

enum Step {
    Worked,
    /// Nothing can be done now, but soon.
    Waiting,
    Idle,
}

impl From<StoreError> for Later {
    fn from(error: StoreError) -> Later {
        Later::Unreachable(error.to_string())
    }
}

impl From<SyncError> for Later {
    fn from(error: SyncError) -> Later {
        match error {
            SyncError::Store(error @ StoreError::Locked { .. }) => Later::Locked(error.to_string()),
            error => Later::Unreachable(error.to_string()),
        }
    }
}

impl Worker {
    pub(super) fn new(app: Arc<App>, jobs: Jobs) -> Worker {
        let schedule = jobs.every.map(|every| Schedule { every, base: Instant::now(), due: Instant::now() });
        Worker { app, jobs, schedule }
    }

    /// Works until the stop.
    pub(super) async fn work(mut self, stop: &Stop) {
        let mut delay = None;
        while stop.requested().is_none() {
            let wait = match self.step(stop).await {
                Ok(Step::Worked) => {
                    delay = None;
                    continue;
                }
                // The delay stays: what was refused waits here, and may be refused again.
                Ok(Step::Waiting) => self.schedule.as_ref().map_or(RETRY, |schedule| schedule.wait().min(RETRY)),
                Ok(Step::Idle) => {
                    delay = None;
                    self.schedule.as_ref().map_or(IDLE, |schedule| schedule.wait().min(IDLE))
                }
                Err(later) => {
                    let longest = if matches!(later, Later::Locked(_)) { MAX_LOCKED_DELAY } else { MAX_DELAY };
                    let next = delay.map_or(FIRST_DELAY, |delay: Duration| delay * 2).min(longest);
                    let is_first = delay.replace(next).is_none();
                    // A run that could be started is not held up by a drain that failed.
                    let scheduled = self.schedule.as_ref().map(Schedule::wait).filter(|wait| !wait.is_zero());
                    match later {
                        Later::Locked(reason) if !is_first => tracing::debug!("a sync still waits: {reason}"),
                        Later::Locked(reason) => tracing::info!("a sync waits: {reason}"),
                        Later::Unreachable(reason) => tracing::warn!("a sync waits: {reason}"),
                    }
                    let next = next.mul_f64(fastrand::f64() / 2.0 + 0.75);
                    scheduled.map_or(next, |wait| wait.min(next))
                }
            };
            tokio::select! {
                _ = stop.wait() => {}
                () = self.app.wake.notified() => {}
                // Where nothing can be done, each event would try it again.
                () = self.app.news.notified(), if delay.is_none() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// The schedule has priority, so that triggers cannot delay it; then comes the oldest trigger.
    async fn step(&mut self, stop: &Stop) -> Result<Step, Later> {
        let oldest = unless_overdue(stop, LAST_PATIENCE, async {
            let store = self.app.pool.get().await?;
            let oldest = store.queue().await?.into_iter().next();
            self.app.pool.put(store);
            Ok::<_, Later>(oldest)
        });
        let queued =
            oldest.await?.map(|trigger| (trigger.id, Scope::of_queued(&trigger.sync_type, trigger.date_range)));
        let is_due = self.schedule.as_ref().is_some_and(|schedule| schedule.wait().is_zero());
        let (id, scope, is_queued) = match queued {
            Some((id, Ok(scope))) if !is_due || scope.is_all() => (id, scope, true),
            Some((id, Err(reason))) => {
                self.fail_queued(id, &reason).await?;
                return Ok(Step::Worked);
            }
            _ if is_due => (Uuid::new_v4(), Scope::all(), false),
            _ => return self.drain(stop).await,
        };
        let is_all = scope.is_all();
        match self.run(id, scope, stop).await {
            Err(error @ SyncError::Store(StoreError::Locked { .. })) => return Err(error.into()),
            // A trigger stays in the queue. A scheduled run is not retried before its next time, as with cron.
            Err(SyncError::Store(error)) if is_queued && error.is_connection_lost() => return Err(error.into()),
            // Another process took the lease and closed this run. If its trigger is still in the queue, it runs again.
            Err(SyncError::Store(StoreError::RunEnded { .. })) => {}
            // After a stop, it stays in the queue for the next process.
            Err(error) if is_queued && error.stop_reason().is_none() => {
                self.fail_queued(id, &error.to_string()).await?;
            }
            Ok(()) | Err(_) => {}
        }
        if let Some(schedule) = self.schedule.as_mut().filter(|_| is_all) {
            schedule.advance();
        }
        Ok(Step::Worked)
    }

    /// Looks up the records in the inbox. Entries that wait for a retry are checked again soon.
    async fn drain(&self, server_stop: &Stop) -> Result<Step, Later> {
        let look = unless_overdue(server_stop, LAST_PATIENCE, async {
            let store = self.app.pool.get().await?;
            let look = (store.inbox_depth().await?, store.has_due_entries().await?);
            self.app.pool.put(store);
            Ok::<_, Later>(look)
        });
        let (depth, is_due) = look.await?;
        if !is_due {
            return Ok(if depth.entries > 0 { Step::Waiting } else { Step::Idle });
        }
        let reporter = Arc::new(Tracker::new(vec![report::lines(), self.app.clone()]));
        let plan = Plan::new("all".to_owned(), Table::ALL.to_vec(), Work::Errors, self.jobs.batch_size);
        let work = async |run: &Run<'_>, store: &mut Store| drain(run, store, &self.app.news).await;
        let result = self.with_run(Uuid::new_v4(), &plan, &reporter, server_stop, work).await;
        match result {
            Ok(Drained { entries, counts, requests }) => {
                self.app.looked_up.fetch_add(entries, Ordering::Relaxed);
                let RecordCounts { inserted, updated, unchanged, deleted, .. } = counts;
                tracing::debug!(
                    entries,
                    inserted,
                    updated,
                    unchanged,
                    deleted,
                    requests,
                    "events: {entries} records looked up, {inserted} inserted, {updated} updated, {deleted} deleted"
                );
                Ok(Step::Worked)
            }
            Err(error) if error.stop_reason().is_some() => Ok(Step::Worked),
            Err(error) => Err(error.into()),
        }
    }

    async fn fail_queued(&self, id: Uuid, reason: &str) -> Result<(), StoreError> {
        let mut store = self.app.pool.get().await?;
        store.fail_queued(id, reason).await?;
        self.app.pool.put(store);
        Ok(())
    }

    /// Works on a connection of its own, until the server's stop. The run has its own stop, because losing the lease ends
    /// only the run.
    async fn with_run<T>(
        &self,
        run_id: Uuid,
        plan: &Plan,
        reporter: &Arc<Tracker>,
        server_stop: &Stop,
        work: impl AsyncFnOnce(&Run<'_>, &mut Store) -> Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        let (stopper, stop) = stop_pair();
        let wix = self.jobs.wix.for_run(stop.clone(), reporter.clone());
        let run = Run { run_id, plan, wix: &wix, stop: &stop, stopper: &stopper, reporter };
        // Boxed, since the compiler limits how deep futures may nest.
        let work = Box::pin(async {
            let connect = async { Ok::<_, SyncError>(self.app.pool.connect().await?) };
            let mut store = unless_overdue(&stop, LAST_PATIENCE, connect).await?;
            work(&run, &mut store).await
        });
        let pass_on_stop = async {
            stopper.stop(server_stop.wait().await);
            std::future::pending().await
        };
        tokio::select! {
            biased;
            result = work => result,
            result = pass_on_stop => result,
        }
    }

    /// One run, as `wix-sync sync` does it.
    ///
    /// # Errors
    ///
    /// If the run could not start, or its end could not be recorded. A failed run is not an error here.
    async fn run(&self, run_id: Uuid, scope: Scope, server_stop: &Stop) -> Result<(), SyncError> {
        // It was checked at the start. A run continues even if its monitor cannot be notified.
        let notifier = Notifier::prepare(&self.jobs.environment, None, scope.sync_type.to_owned(), run_id)
            .inspect_err(|error| tracing::warn!("{error}"))
            .ok()
            .map(Arc::new);
        let mut reporters: Vec<Arc<dyn Reporter>> = vec![report::lines(), self.app.clone()];
        reporters.extend(notifier.clone().map(|notifier| notifier as Arc<dyn Reporter>));
        let reporter = Arc::new(Tracker::new(reporters));
        let work = Work::Sync { full: self.jobs.full, range: scope.range };
        let plan = Plan {
            keep_logs: self.jobs.keep_logs,
            ..Plan::new(scope.sync_type.to_owned(), scope.tables, work, self.jobs.batch_size)
        };
        self.app.set_current(Some((run_id, reporter.clone())));
        let sync = async |run: &Run<'_>, store: &mut Store| sync::run(run, store).await;
        let result = self.with_run(run_id, &plan, &reporter, server_stop, sync).await;
        self.app.set_current(None);
        let (exit, error) = match &result {
            Ok(RunOutcome { summary, error }) => {
                let exit = Exit::of_run(summary, error.as_ref().and_then(SyncError::stop_reason));
                (exit, error.as_ref().map(|error| summary.error.clone().unwrap_or_else(|| error.to_string())))
            }
            Err(SyncError::Store(StoreError::Locked { .. })) => (Exit::Locked, None),
            Err(error) => (error.stop_reason().map_or(Exit::Failed, Exit::of_stop), Some(error.to_string())),
        };
        if let Some(error) = &error {
            tracing::error!(%run_id, error, exit_code = exit as u8, "run {run_id} failed: {error}");
        }
        if let Some(notifier) = notifier {
            notifier.ended(exit, error).await;
        }
        result.map(drop)
    }
}

/// The times of scheduled runs. They are counted from the start, so that they do not drift. Each gets a random delay,
/// so that many servers do not send requests to Wix in the same second.
struct Schedule {
    every: Duration,
    base: Instant,
    due: Instant,
}

/// Maximum random delay, as a fraction of the interval.
const JITTER: f64 = 0.1;

impl Schedule {
    fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Sets the next time in the future. Times that passed during a run are skipped.
    fn advance(&mut self) {
        let now = Instant::now();
        while self.base <= now {
            self.base += self.every;
        }
        self.due = self.base + self.every.mul_f64(JITTER * fastrand::f64());
    }
}

/// Writes heartbeats to the database and notifies systemd's watchdog, until the stop.
pub(super) async fn beat(app: Arc<App>, systemd: Systemd, stop: Stop) {
    let (server_id, process) = (Uuid::new_v4(), LockOwner::current());
    let interval = systemd.interval().map_or(HEARTBEAT, |interval| interval.min(HEARTBEAT));
    loop {
        let beat = async {
            let mut store = app.pool.get().await?;
            store.beat_serve(server_id, &process).await?;
            app.pool.put(store);
            Ok::<_, StoreError>(())
        };
        // An unreachable database is no reason to restart this process, nor to stop late.
        tokio::select! {
            written = timeout(interval, beat) => match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(error = error.to_string(), "the server's heartbeat could not be written: {error}");
                }
                Err(_) => tracing::debug!("the server's heartbeat could not be written: no answer"),
            },
            _ = stop.wait() => {}
        }
        systemd.notify("WATCHDOG=1");
        if stop.sleep(interval).await.is_err() {
            break;
        }
    }
    systemd.notify("STOPPING=1");
    let end = async {
        let mut store = app.pool.get().await?;
        store.end_serve(server_id).await
    };
    if !timeout(LAST_PATIENCE, end).await.is_ok_and(|ended| ended.is_ok()) {
        tracing::debug!("the server's end could not be recorded");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::Schedule;

    #[tokio::test(start_paused = true)]
    async fn schedule_does_not_drift_and_skips_what_has_passed() {
        let every = Duration::from_secs(900);
        let begin = Instant::now();
        let mut schedule = Schedule { every, base: begin, due: begin };
        assert!(schedule.wait().is_zero());
        for number in 1..=5 {
            advance(Duration::from_secs(100)).await;
            schedule.advance();
            let (at, earliest) = (schedule.due - begin, every * number);
            assert!(at >= earliest && at <= earliest + every / 10, "{at:?}");
            advance(schedule.wait()).await;
        }
        // A run that took longer than two intervals.
        advance(every * 2 + every / 2).await;
        schedule.advance();
        assert!(schedule.due - begin >= every * 8 && schedule.due - begin < every * 9, "{:?}", schedule.due - begin);
    }
}
