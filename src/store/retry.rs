//! Repeats database work after a deadlock or a lost connection, and limits its time: it may wait for a forgotten lock,
//! or for a server that does not respond.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::connect::Store;
use super::error::StoreError;
use crate::event::{Event, Reporter, Wait};
use crate::stop::{Stop, StopReason};

/// Maximum retries of one transaction after the first attempt.
const MAX_TRIES: u32 = 5;

/// First wait between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Longest wait between two attempts to reconnect.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(8);

/// Maximum attempts to reconnect: with the waits above, about one minute.
const MAX_RECONNECTS: u32 = 11;

/// Time that the current work gets to finish after a stop.
pub const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Maximum time of one transaction. The server limits each statement; this limit is for a server that no longer
/// responds.
const TRANSACTION_PATIENCE: Duration = Duration::from_secs(1800);

/// Database work that takes longer is reported as a wait.
const REPORTED_AFTER: Duration = Duration::from_secs(3);

/// Maximum time for a cancelled statement to end.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time to reconnect to a server that did not respond.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(2);

impl Store {
    /// From now on, database work ends soon after this stop, [`Store::retry`] stops waiting at it, and waits are
    /// reported.
    pub fn end_with(&mut self, stop: &Stop, reporter: Arc<dyn Reporter>) {
        self.stop = stop.clone();
        self.reporter = Some(reporter);
    }

    /// Runs idempotent work, and repeats it after a deadlock or a lost connection. If only the response was lost, the
    /// repetition changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stopped`] if it did not end in time after a stop.
    pub async fn retry<T>(
        &mut self,
        mut operation: impl AsyncFnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            let error = match self.in_time(&mut operation).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            tries += 1;
            self.prepare_retry(error, tries).await?;
        }
    }

    /// Reconnects if the connection is known to be closed: the server may have restarted while records were read from
    /// Wix.
    pub async fn ensure_connected(&mut self) -> Result<(), StoreError> {
        if self.is_closed() { self.reconnect_patiently().await } else { Ok(()) }
    }

    /// Runs one transaction with a time limit. After a stop, little time is left: then the transaction is cancelled
    /// and, if that fails, abandoned together with the connection. Nothing is lost, because a transaction is all or
    /// nothing; the write number shows the next run whether a COMMIT succeeded.
    pub(super) async fn in_time<T>(
        &mut self,
        operation: &mut impl AsyncFnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (canceller, stop, reporter) = (self.canceller(), self.stop.clone(), self.reporter.clone());
        let (late, ended) = {
            let mut work = pin!(report_if_slow(reporter, operation(self)));
            let late = tokio::select! {
                biased;
                result = &mut work => return result,
                reason = stop.overdue(LAST_PATIENCE) => Some(reason),
                () = sleep(TRANSACTION_PATIENCE) => None,
            };
            canceller.cancel().await;
            (late, timeout(CANCEL_PATIENCE, work).await)
        };
        let has_ended = match ended {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(_)) => true,
            Err(_) => false,
        };
        let reconnected = async { if has_ended { Ok(()) } else { self.reconnect().await } };
        if !timeout(RECONNECT_PATIENCE, reconnected).await.is_ok_and(|connected| connected.is_ok()) {
            tracing::debug!("no new connection after a statement was given up");
        }
        let Some(reason) = late else {
            let seconds = TRANSACTION_PATIENCE.as_secs();
            return Err(StoreError::Silent { doing: "a transaction was given up", seconds });
        };
        // Work that waited for a lock ends when it is cancelled.
        let blocker = if has_ended { self.likely_blocker().await } else { None };
        warn(reason, blocker.map(|blocker| format!("{blocker}; {}", blocker.hint())), has_ended);
        Err(StoreError::Stopped(reason))
    }

    /// Prepares another attempt after a deadlock or a lost connection. Returns any other error, and every error after
    /// the last attempt.
    pub(super) async fn prepare_retry(&mut self, error: StoreError, tries: u32) -> Result<(), StoreError> {
        if !(error.is_connection_lost() || error.is_contention()) {
            return Err(error);
        }
        let error = self.name_blocker(error).await;
        if tries > MAX_TRIES {
            return Err(error);
        }
        if !error.is_contention() {
            return self.reconnect_patiently().await;
        }
        if let (1, StoreError::Blocked { blocker, .. }) = (tries, &error) {
            tracing::warn!("{error}; retrying for about a minute ({})", blocker.hint());
        }
        // After a stop, one more attempt of the current work is allowed.
        if tries > 1 {
            self.stop.check().map_err(StoreError::Stopped)?;
        }
        let delay = RETRY_DELAY.mul_f64(fastrand::f64() + 0.5);
        self.report_wait(delay, &error);
        sleep(delay).await;
        self.report_wait_ended();
        Ok(())
    }

    /// Replaces a closed connection. Waits about one minute for a server that restarts.
    pub(super) async fn reconnect_patiently(&mut self) -> Result<(), StoreError> {
        let mut delay = RETRY_DELAY;
        for _ in 0..MAX_RECONNECTS {
            let jittered = delay.mul_f64(fastrand::f64() + 0.5);
            match self.in_time(&mut async |store: &mut Store| store.reconnect().await).await {
                Err(error) if error.is_connection_lost() => self.report_wait(jittered, &error),
                other => {
                    self.report_wait_ended();
                    return other;
                }
            }
            self.stop.sleep(jittered).await.map_err(StoreError::Stopped)?;
            delay = (delay * 2).min(MAX_RECONNECT_DELAY);
        }
        self.reconnect().await
    }

    fn report_wait(&self, delay: Duration, error: &StoreError) {
        if let Some(reporter) = &self.reporter {
            let wait = Wait::Database { cause: error.to_string() };
            reporter.report(Event::Waiting { table: None, delay: Some(delay), wait: &wait });
        }
    }

    fn report_wait_ended(&self) {
        if let Some(reporter) = &self.reporter {
            reporter.report(Event::WaitEnded);
        }
    }
}

/// Runs database work, and reports a wait if it takes long.
pub async fn report_if_slow<T>(reporter: Option<Arc<dyn Reporter>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let Some(reporter) = reporter else { return work.await };
    if let Ok(done) = timeout(REPORTED_AFTER, &mut work).await {
        return done;
    }
    let wait = Wait::Database { cause: "no answer yet (busy, unreachable, or waiting for a lock)".to_owned() };
    reporter.report(Event::Waiting { table: None, delay: None, wait: &wait });
    let done = work.await;
    reporter.report(Event::WaitEnded);
    done
}

fn warn(reason: StopReason, blocker: Option<String>, has_ended: bool) {
    match blocker {
        Some(blocker) => tracing::warn!("{reason} while a statement waited for a lock: {blocker}"),
        None if has_ended => tracing::warn!("{reason}: a statement took too long after that, and was cancelled"),
        None => tracing::warn!("{reason}; the database gave no answer after that"),
    }
}
