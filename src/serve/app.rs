//! State that the handlers and the worker share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::inbox::Inbox;
use super::pool::Pool;
use super::proof::{Proof, Token};
use crate::event::{Event, Reporter};
use crate::progress::{RunProgress, Tracker};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::status::TableRow;

/// Minimum time between two counts of the tables' rows, because a count reads whole indexes.
const TABLES_LIFE: Duration = Duration::from_secs(5);

/// Lifetime of the result of `/readyz`. It needs no token, so requests must not each cost database work.
const READY_LIFE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("WIX_SYNC_CORS_ORIGIN: `{0}` is not an origin (use https://example.com)")]
    Origin(String),
    #[error("WIX_WEBHOOK_PUBLIC_KEY {0}")]
    PublicKey(&'static str),
    #[error("the listener failed: {0}")]
    Listener(#[from] std::io::Error),
}

/// The parts of the server.
pub(super) struct Base {
    pub(super) pool: Pool,
    pub(super) schema: String,
    pub(super) proof: Proof,
    pub(super) inbox: Inbox,
}

pub(super) struct App {
    pub(super) pool: Pool,
    pub(super) schema: String,
    pub(super) every: Option<Duration>,
    token: Option<Token>,
    pub(super) proof: Proof,
    pub(super) inbox: Inbox,
    /// Wakes the worker for triggers.
    pub(super) wake: Notify,
    /// The worker's current run, and its progress.
    current: Mutex<Option<(Uuid, Arc<Tracker>)>>,
    /// The last run that was recorded as started.
    started: watch::Sender<Option<Uuid>>,
    pub(super) tables: Cached<Vec<TableRow>>,
    pub(super) ready: Cached<bool>,
    /// Number of finished runs, by type and status.
    pub(super) runs: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// Number of responses, by status code.
    pub(super) responses: Mutex<BTreeMap<u16, u64>>,
    pub(super) wix_requests: AtomicU64,
    /// Number of events, by outcome.
    pub(super) events: Mutex<BTreeMap<&'static str, u64>>,
    /// Number of records looked up because of events.
    pub(super) looked_up: AtomicU64,
    /// Requests to Wix for these lookups, and the seconds until their responses.
    pub(super) lookups: Mutex<(u64, f64)>,
    /// Wakes the worker for events, and tells a drain of them.
    pub(super) news: Notify,
}

impl App {
    /// `every` is the interval of scheduled runs.
    pub(super) fn new(base: Base, token: Option<&Secret>, every: Option<Duration>) -> App {
        let Base { pool, schema, proof, inbox } = base;
        App {
            pool,
            schema,
            proof,
            inbox,
            every,
            token: token.map(Token::new),
            wake: Notify::new(),
            current: Mutex::default(),
            started: watch::Sender::new(None),
            tables: Cached::new(TABLES_LIFE),
            ready: Cached::new(READY_LIFE),
            runs: Mutex::default(),
            responses: Mutex::default(),
            wix_requests: AtomicU64::new(0),
            events: Mutex::default(),
            looked_up: AtomicU64::new(0),
            lookups: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Whether a request with this token is allowed. If no token is configured, all requests are.
    pub(super) fn admits(&self, offered: Option<&str>) -> bool {
        self.token.as_ref().is_none_or(|token| offered.is_some_and(|offered| token.is(offered)))
    }

    pub(super) fn set_current(&self, run: Option<(Uuid, Arc<Tracker>)>) {
        *lock(&self.current) = run;
    }

    pub(super) fn is_busy(&self) -> bool {
        lock(&self.current).is_some()
    }

    /// The progress of a run of this process.
    pub(super) fn progress(&self, run_id: Uuid) -> Option<RunProgress> {
        lock(&self.current).as_ref().filter(|(id, _)| *id == run_id).map(|(_, tracker)| tracker.progress())
    }

    /// Waits until this run is recorded as started. Returns false after the maximum time.
    pub(super) async fn has_started(&self, run_id: Uuid, patience: Duration) -> bool {
        let mut started = self.started.subscribe();
        let wait = started.wait_for(|id| *id == Some(run_id));
        tokio::time::timeout(patience, wait).await.is_ok_and(|seen| seen.is_ok())
    }
}

/// Counts the worker's runs.
impl Reporter for App {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::RunStarted { run_id } => drop(self.started.send_replace(Some(run_id))),
            Event::RequestSent { .. } => drop(self.wix_requests.fetch_add(1, Ordering::Relaxed)),
            // Without a run, only the inbox is looked up.
            Event::ResponseReceived { duration, .. } if !self.is_busy() => {
                let mut lookups = lock(&self.lookups);
                *lookups = (lookups.0 + 1, lookups.1 + duration.as_secs_f64());
            }
            Event::RunFinished { summary } => {
                *lock(&self.runs).entry((summary.sync_type.clone(), summary.status.as_str())).or_default() += 1;
            }
            _ => {}
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value from the database with a minimum time between reads. One reader reads it for all.
pub(super) struct Cached<T> {
    life: Duration,
    slot: tokio::sync::Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Cached<T> {
    fn new(life: Duration) -> Cached<T> {
        Cached { life, slot: tokio::sync::Mutex::const_new(None) }
    }

    pub(super) async fn get(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let mut slot = self.slot.lock().await;
        if let Some((_, value)) = slot.as_ref().filter(|(at, _)| at.elapsed() < self.life) {
            return Ok(value.clone());
        }
        let value = read.await?;
        *slot = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}
