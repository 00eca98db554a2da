//! Work on the database that does not end: it waits for a lock that somebody forgot, or the server fell silent.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::SyncError;
use crate::stop::{Stop, StopReason};
use crate::store::{Store, StoreError};

/// What is in hand when a stop is asked for gets this much time to end by itself.
pub const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Maximum time of one transaction. Each of its statements has a bound on the server; so much is needed only where that
/// does not answer any more.
const TRANSACTION_PATIENCE: Duration = Duration::from_secs(1800);

/// Maximum time that a statement takes to end once it was cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time to connect again after a silence.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// Does work on the database in one transaction. Once a stop was asked for, it has little time left: then it is cancelled,
/// and if that does not help either, given up together with the connection. Nothing is lost by that, since a transaction is
/// all or nothing; whether a COMMIT still went through is what the books tell the next run.
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
