//! Work on the database is done again after a deadlock or a lost connection, and has a time limit: it may wait for a
//! forgotten lock, or for a server that does not answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::connect::Store;
use super::error::StoreError;
use crate::event::{Event, Reporter, Wait};
use crate::stop::{Stop, StopReason};

/// Maximum attempts of one transaction, after the first.
const MAX_TRIES: u32 = 5;

/// The first wait between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The longest wait for a server that is gone.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(8);

/// Maximum attempts to connect again: with the waits above, about a minute.
const MAX_RECONNECTS: u32 = 11;

/// The time that current work gets to end by itself after a stop.
pub const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Maximum time of one transaction. The server limits each of its statements; this is only for a server that does not
/// answer any more.
const TRANSACTION_PATIENCE: Duration = Duration::from_secs(1800);

/// Work on the database that takes longer is reported as a wait.
const REPORTED_AFTER: Duration = Duration::from_secs(3);

/// Maximum time that a statement takes to end after it was cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time to connect again to a server that did not answer.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(2);

impl Store {
    /// From here on, work on the database ends soon after this stop, [`Store::retry`] waits no longer than to it, and
    /// waits are reported.
    pub fn end_with(&mut self, stop: &Stop, reporter: Arc<dyn Reporter>) {
        self.stop = stop.clone();
        self.reporter = Some(reporter);
    }

    /// Does what may be done twice without harm, again after a deadlock or a lost connection: if only the answer was lost,
    /// the second time changes nothing.
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

    /// A new connection if the old one is known to be gone: the server may have been restarted while Wix was asked.
    pub async fn ensure_connected(&mut self) -> Result<(), StoreError> {
        if self.is_closed() { self.reconnect_patiently().await } else { Ok(()) }
    }

    /// Does work on the database in one transaction. After a stop it has little time left: then it is cancelled, and if
    /// that does not help either, given up together with the connection. Nothing is lost, since a transaction is all or
    /// nothing; the books tell the next run whether a COMMIT still went through.
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
        // What waits for a lock ends when it is cancelled.
        let blocker = if has_ended { self.likely_blocker().await } else { None };
        warn(reason, blocker.map(|blocker| format!("{blocker}; {}", blocker.hint())), has_ended);
        Err(StoreError::Stopped(reason))
    }

    /// Prepares another attempt after a deadlock or a lost connection; any other error is returned, and so is one after
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
        // After a stop, the current work may still take one more attempt.
        if tries > 1 {
            self.stop.check().map_err(StoreError::Stopped)?;
        }
        let delay = RETRY_DELAY.mul_f64(fastrand::f64() + 0.5);
        self.report_wait(delay, &error);
        sleep(delay).await;
        self.report_wait_ended();
        Ok(())
    }

    /// A new connection to replace one that is gone. Waits for a server that comes back within about a minute.
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

/// Does work on the database, and reports a wait if that takes long.
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
