//! Stores the records that events name in the database, before the response to the event. A single task writes them,
//! and events that arrive during a transaction share the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::hint::Records;
use super::pool::Pool;
use crate::store::Store;

/// Maximum number of events that wait for a transaction. More events are refused.
const MAX_WAITING: usize = 1_024;

/// Maximum number of events per transaction.
const MAX_TOGETHER: usize = 256;

/// Maximum time until the response to an event. Wix waits 1.25 s.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time of one transaction. After that its connection is closed.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

/// Why an event is not stored. Its sender has to send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStored {
    /// The inbox, or the queue before it, is full.
    Full,
    /// The database did not respond in time, or refused the write.
    Failed,
}

struct Job {
    records: Records,
    done: oneshot::Sender<Result<(), NotStored>>,
}

/// Sends events to the task.
pub(super) struct Inbox {
    jobs: mpsc::Sender<Job>,
    /// A time of the database server's clock, and when it was read.
    clock: Mutex<(DateTime<Utc>, Instant)>,
}

/// Receives events in [`store_events`].
pub(super) struct Jobs(mpsc::Receiver<Job>);

impl Inbox {
    /// `now` is the time of the database server's clock.
    pub(super) fn new(now: DateTime<Utc>) -> (Inbox, Jobs) {
        let (jobs, receiver) = mpsc::channel(MAX_WAITING);
        (Inbox { jobs, clock: Mutex::new((now, Instant::now())) }, Jobs(receiver))
    }

    /// The time of the database server's clock, without a query: an event that is not yet verified costs no database
    /// work.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let (showed, heard) = *self.clock();
        showed + TimeDelta::from_std(heard.elapsed()).unwrap_or_default()
    }

    fn clock(&self) -> MutexGuard<'_, (DateTime<Utc>, Instant)> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the records are stored.
    pub(super) async fn store(&self, records: Records) -> Result<(), NotStored> {
        if records.is_empty() {
            return Ok(());
        }
        let (done, stored) = oneshot::channel();
        self.jobs.try_send(Job { records, done }).map_err(|_| NotStored::Full)?;
        match timeout(ANSWER_PATIENCE, stored).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(NotStored::Failed),
        }
    }
}

/// Stores events until all senders are gone. `news` is notified after each transaction.
pub(super) async fn store_events(pool: &Pool, inbox: &Inbox, mut jobs: Jobs, news: &Notify) {
    let mut connection = None;
    while let Some(first) = jobs.0.recv().await {
        let mut together = vec![first];
        while let Some(job) = (together.len() < MAX_TOGETHER).then(|| jobs.0.try_recv().ok()).flatten() {
            together.push(job);
        }
        let records: Records = together.iter().flat_map(|job| job.records.iter().cloned()).collect();
        let write = async {
            let store = match connection.take_if(|store: &mut Store| !store.is_closed()) {
                Some(store) => connection.insert(store),
                None => {
                    let store = pool.connect().await?;
                    *inbox.clock() = (store.now(), Instant::now());
                    connection.insert(store)
                }
            };
            store.note_events(&records).await
        };
        let problem = match timeout(WRITE_PATIENCE, write).await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some((NotStored::Full, "sync_inbox is full".to_owned())),
            Ok(Err(error)) => Some((NotStored::Failed, error.to_string())),
            Err(_) => Some((NotStored::Failed, "the database did not answer".to_owned())),
        };
        if let Some((why, reason)) = &problem {
            tracing::warn!("events were refused: {reason}");
            connection.take_if(|_| *why == NotStored::Failed);
        }
        for job in together {
            // The request may have timed out meanwhile.
            let _ = job.done.send(problem.as_ref().map_or(Ok(()), |(why, _)| Err(*why)));
        }
        news.notify_one();
    }
}
