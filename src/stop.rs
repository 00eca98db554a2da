//! The wish to stop: carried to everything that waits for Wix or for time, obeyed between batches.

use std::time::Duration;

use tokio::sync::watch;

/// Why a run should end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// SIGINT: someone pressed Ctrl-C.
    #[error("stopped by SIGINT")]
    Interrupt,
    /// SIGTERM: the system or an operator asked.
    #[error("stopped by SIGTERM")]
    Terminate,
    /// SIGHUP: the terminal was closed.
    #[error("stopped by SIGHUP")]
    HangUp,
    /// `--time-limit` is reached.
    #[error("stopped at --time-limit; the next run goes on from there")]
    TimeLimit,
    /// Another run took the lease.
    #[error("another run took the lease, since this one did not renew it in time")]
    LeaseLost,
    /// No renewal of the lease got an answer.
    #[error("the database has not answered for about two minutes")]
    DatabaseSilent,
}

/// Handed to everything that may wait; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<StopReason>>);

/// The other end: whoever holds it may ask the run to stop.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Option<StopReason>>);

/// A connected pair.
pub fn stop_pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks for a stop. The first reason stays.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }
}

impl Stop {
    /// The reason, if a stop has been asked for.
    pub fn requested(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// An error if a stop has been asked for.
    pub fn check(&self) -> Result<(), StopReason> {
        self.requested().map_or(Ok(()), Err)
    }

    /// Waits for the stop; for ever if nobody can ask for one any more.
    pub async fn wait(&self) -> StopReason {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await.ok().and_then(|reason| *reason) {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Waits until a stop was asked for and the time to obey it is over.
    pub async fn overdue(&self, grace: Duration) -> StopReason {
        let reason = self.wait().await;
        tokio::time::sleep(grace).await;
        reason
    }

    /// Sleeps, unless the stop comes first.
    pub async fn sleep(&self, duration: Duration) -> Result<(), StopReason> {
        tokio::select! {
            reason = self.wait() => Err(reason),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }
}
