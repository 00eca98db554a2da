//! A request to stop. Everything that waits for Wix or for time receives it; a run obeys it between batches.

use std::time::Duration;

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// SIGINT: someone pressed Ctrl-C.
    #[error("stopped by SIGINT")]
    Interrupt,
    /// SIGTERM: the system or an operator requested it.
    #[error("stopped by SIGTERM")]
    Terminate,
    /// SIGHUP: the terminal was closed.
    #[error("stopped by SIGHUP")]
    HangUp,
    #[error("stopped at --time-limit; the next run continues")]
    TimeLimit,
    /// Another run took the lease.
    #[error("another run took the lock, because this run did not renew it in time")]
    LeaseLost,
    /// No renewal of the lease got a response.
    #[error("the database has not answered for about two minutes")]
    DatabaseSilent,
}

/// Received by everything that may wait; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<StopReason>>);

/// The sender: requests a stop.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Option<StopReason>>);

pub fn stop_pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Requests a stop. A second call does not change the reason.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }
}

impl Stop {
    /// A stop that is never requested.
    pub fn never() -> Stop {
        stop_pair().1
    }

    pub fn requested(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    pub fn check(&self) -> Result<(), StopReason> {
        self.requested().map_or(Ok(()), Err)
    }

    /// Waits for the stop; forever if there is no sender any more.
    pub async fn wait(&self) -> StopReason {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await.ok().and_then(|reason| *reason) {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Waits until `grace` has passed after a stop was requested.
    pub async fn overdue(&self, grace: Duration) -> StopReason {
        let reason = self.wait().await;
        tokio::time::sleep(grace).await;
        reason
    }

    /// Sleeps. Ends early if a stop is requested.
    pub async fn sleep(&self, duration: Duration) -> Result<(), StopReason> {
        tokio::select! {
            reason = self.wait() => Err(reason),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }
}
