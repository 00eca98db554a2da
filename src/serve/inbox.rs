//! Stores in the database which records events named, before they are answered. One task does it: what arrives during a
//! transaction shares the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::hint::Records;
use super::pool::Pool;
use crate::store::Store;

/// Maximum events that wait for a transaction. More are refused.
const MAX_WAITING: usize = 1_024;

/// Maximum events of one transaction.
const MAX_TOGETHER: usize = 256;

/// Maximum time until an event is answered: Wix waits 1.25 s.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time of one transaction. Then its connection is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

/// Why an event is not stored. Whoever sent it has to send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStored {
    /// The inbox, or the queue before it, is full.
    Full,
    /// The database did not answer in time, or refused.
    Failed,
}

struct Job {
    records: Records,
    done: oneshot::Sender<Result<(), NotStored>>,
}

/// Takes events for the task.
pub(super) struct Inbox {
    jobs: mpsc::Sender<Job>,
    /// What the database server's clock showed, and when.
    clock: Mutex<(DateTime<Utc>, Instant)>,
}

/// The other end, for [`store_events`].
pub(super) struct Jobs(mpsc::Receiver<Job>);

impl Inbox {
    /// `now` is by the database server's clock.
    pub(super) fn new(now: DateTime<Utc>) -> (Inbox, Jobs) {
        let (jobs, receiver) = mpsc::channel(MAX_WAITING);
        (Inbox { jobs, clock: Mutex::new((now, Instant::now())) }, Jobs(receiver))
    }

    /// The time by the database server's clock, without asking it: an event without proof costs no database work.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let (showed, heard) = *self.clock();
        showed + TimeDelta::from_std(heard.elapsed()).unwrap_or_default()
    }

    fn clock(&self) -> MutexGuard<'_, (DateTime<Utc>, Instant)> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the records are stored.
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

/// Stores events until nobody can send any more. `news` is notified of each transaction.
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
            // Whoever waited too long for the answer is gone.
            let _ = job.done.send(problem.as_ref().map_or(Ok(()), |(why, _)| Err(*why)));
        }
        news.notify_one();
    }
}
