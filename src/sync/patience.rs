//! Work on the database, repeated after a deadlock or a lost connection, and with a time limit: it may wait for a
//! forgotten lock, or for a server that does not answer.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::SyncError;
use crate::stop::{Stop, StopReason};
use crate::store::{Store, StoreError};

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

/// Maximum time that a statement takes to end after it was cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time to connect again to a server that did not answer.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// Does work on the database in one transaction. After a stop it has little time left: then it is cancelled, and if
/// that does not help either, given up together with the connection. Nothing is lost, since a transaction is all or
/// nothing; the books tell the next run whether a COMMIT still went through.
///
/// # Errors
///
/// [`SyncError::Stopped`] if it did not end in time after a stop. The inner error is that of the work.
pub(super) async fn in_time<T>(
    store: &mut Store,
    stop: &Stop,
    operation: &mut impl AsyncFnMut(&mut Store) -> Result<T, StoreError>,
) -> Result<Result<T, StoreError>, SyncError> {
    let canceller = store.canceller();
    let (late, ended) = {
        let mut work = pin!(operation(store));
        let late = tokio::select! {
            biased;
            result = &mut work => return Ok(result),
            reason = stop.overdue(LAST_PATIENCE) => Some(reason),
            () = sleep(TRANSACTION_PATIENCE) => None,
        };
        canceller.cancel().await;
        (late, timeout(CANCEL_PATIENCE, work).await)
    };
    let has_ended = match ended {
        Ok(Ok(value)) => return Ok(Ok(value)),
        Ok(Err(_)) => true,
        Err(_) => false,
    };
    let reconnected = async { if has_ended { Ok(()) } else { store.reconnect().await } };
    if !timeout(RECONNECT_PATIENCE, reconnected).await.is_ok_and(|connected| connected.is_ok()) {
        tracing::debug!("no new connection after a statement was given up");
    }
    let Some(reason) = late else {
        let seconds = TRANSACTION_PATIENCE.as_secs();
        return Ok(Err(StoreError::Silent { doing: "a transaction was given up", seconds }));
    };
    // What waits for a lock ends when it is cancelled.
    let blocker = if has_ended { store.likely_blocker().await } else { None };
    warn(reason, blocker.map(|blocker| format!("{blocker}; {}", blocker.hint())), has_ended);
    Err(reason.into())
}

fn warn(reason: StopReason, blocker: Option<String>, has_ended: bool) {
    match blocker {
        Some(blocker) => tracing::warn!("{reason} while a statement waited for a lock: {blocker}"),
        None if has_ended => tracing::warn!("{reason}: a statement took too long after that, and was cancelled"),
        None => tracing::warn!("{reason}; the database gave no answer after that"),
    }
}

/// Does what may be done twice without harm, again after a deadlock or a lost connection: if only the answer was lost,
/// the second time changes nothing.
pub async fn persist<T>(
    store: &mut Store,
    stop: &Stop,
    mut operation: impl AsyncFnMut(&mut Store) -> Result<T, StoreError>,
) -> Result<T, SyncError> {
    let mut tries = 0;
    loop {
        let error = match in_time(store, stop, &mut operation).await? {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        tries += 1;
        prepare_retry(store, stop, error, tries).await?;
    }
}

/// Prepares another attempt after a deadlock or a lost connection; any other error is returned, and so is one after the
/// last attempt.
pub(super) async fn prepare_retry(
    store: &mut Store,
    stop: &Stop,
    error: StoreError,
    tries: u32,
) -> Result<(), SyncError> {
    if !(error.is_connection_lost() || error.is_contention()) {
        return Err(error.into());
    }
    let error = store.name_blocker(error).await;
    if tries > MAX_TRIES {
        return Err(error.into());
    }
    if error.is_contention() {
        if let (1, StoreError::Blocked { blocker, .. }) = (tries, &error) {
            tracing::warn!("{error}; it is tried again for about a minute ({})", blocker.hint());
        }
        // After a stop, the current work may still take one more attempt.
        if tries > 1 {
            stop.check()?;
        }
        tokio::time::sleep(RETRY_DELAY.mul_f64(fastrand::f64() + 0.5)).await;
        return Ok(());
    }
    reconnect(store, stop).await
}

/// A new connection if the old one is known to be gone: the server may have been restarted while Wix was asked.
pub async fn ensure_connected(store: &mut Store, stop: &Stop) -> Result<(), SyncError> {
    if store.is_closed() { reconnect(store, stop).await } else { Ok(()) }
}

/// A new connection to replace one that is gone. Waits for a server that comes back within about a minute.
pub async fn reconnect(store: &mut Store, stop: &Stop) -> Result<(), SyncError> {
    let mut delay = RETRY_DELAY;
    for _ in 0..MAX_RECONNECTS {
        let mut connect = async |store: &mut Store| store.reconnect().await;
        match in_time(store, stop, &mut connect).await? {
            Ok(()) => return Ok(()),
            Err(error) if error.is_connection_lost() => tracing::debug!(error = error.to_string(), "no connection yet"),
            Err(error) => return Err(error.into()),
        }
        stop.sleep(delay.mul_f64(fastrand::f64() + 0.5)).await?;
        delay = (delay * 2).min(MAX_RECONNECT_DELAY);
    }
    Ok(store.reconnect().await?)
}
