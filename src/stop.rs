//! A request to stop: carried to everything that waits for Wix or for time, obeyed between batches.

use std::time::Duration;

use tokio::sync::watch;

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
    #[error("stopped at --time-limit; the next run goes on from there")]
    TimeLimit,
    /// Another run took the lease.
    #[error("another run took the lock, because this run did not renew it in time")]
    LeaseLost,
    /// No renewal of the lease was answered.
    #[error("the database has not answered for about two minutes")]
    DatabaseSilent,
}

/// Given to everything that may wait; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<StopReason>>);

/// The other end: whoever holds it may ask the run to stop.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Option<StopReason>>);

pub fn stop_pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks for a stop. If called again, the first reason stays.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }
}

impl Stop {
    /// One that nobody asks for.
    pub fn never() -> Stop {
        stop_pair().1
    }

    pub fn requested(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    pub fn check(&self) -> Result<(), StopReason> {
        self.requested().map_or(Ok(()), Err)
    }

    /// Waits for the stop; forever if nobody can ask for one any more.
    pub async fn wait(&self) -> StopReason {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await.ok().and_then(|reason| *reason) {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Waits until a stop was requested and `grace` has passed since.
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
