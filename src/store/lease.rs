//! The lease: allows one run at a time per schema, on direct and pooled connections.
//!
//! A lease must be renewed, expires, and fences writes: a run that lost it can no longer write. Only the server's
//! clock is used.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::fence::{LEASE_SECS, Lease};
use super::session::params;
use crate::lock_owner::LockOwner;
use crate::progress::{RunProgress, Tracker};
use crate::stop::{StopReason, Stopper};

/// SQL: whether the row `l` of `sync_locks` is held. If it expires later than any lease can, it was written with a
/// wrong clock and does not count. The margin of a few seconds covers the clock of a standby that became the primary.
/// The view `sync_health` has the same condition.
pub(super) const IS_HELD: &str =
    "(l.expires_at >= clock_timestamp() and l.expires_at <= clock_timestamp() + interval '65 seconds')";

/// Time between two renewals: a quarter of the lease's lifetime.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(15);

/// Time until the first heartbeat. It is short, so that `status` shows the progress of short runs too. A run with
/// nothing to do ends before it, and opens no second connection.
const FIRST_BEAT: Duration = Duration::from_secs(1);

/// Maximum time of one renewal. After it, the renewal is tried again on a new connection.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);

/// Maximum consecutive renewals without a response, about two minutes in all; then the run is stopped.
const MAX_UNANSWERED: u32 = 6;

struct Current {
    token: i64,
    run_id: Uuid,
    lock_owner: Option<LockOwner>,
    is_held: bool,
    age_secs: f64,
}

impl Store {
    /// Acquires the lease for this run. From then on every write transaction of this store is fenced by it.
    ///
    /// If the lock owner died on this machine, the lease is taken at once, otherwise when it has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] while another run holds it.
    pub async fn acquire_lease(&mut self, run_id: Uuid, lock_owner: &LockOwner) -> Result<(), StoreError> {
        let doing = "could not take the lock in sync_locks";
        // Reads first: an insert would wait for a write transaction of the lock owner.
        let mut dead = None;
        if let Some(current) = self.current_lease().await?.filter(|current| current.is_held) {
            match &current.lock_owner {
                Some(previous) if previous.is_dead(lock_owner) => dead = Some((current.token, current.run_id)),
                _ => return Err(current.locked()),
            }
        }
        let statement = format!(
            "insert into {{schema}}.sync_locks as l (name, token, run_id, holder, acquired_at, renewed_at, expires_at)
             values ('sync', 1, $1, $2, clock_timestamp(), clock_timestamp(), clock_timestamp() + make_interval(secs => $3))
             on conflict (name) do update set
                token = l.token + 1, run_id = excluded.run_id, holder = excluded.holder,
                acquired_at = excluded.acquired_at, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at,
                progress = null
             where not {IS_HELD} or (l.token = $4 and l.run_id = $5)
             returning token"
        );
        let ((dead_token, dead_run), lock_owner) = (dead.unzip(), Json(lock_owner));
        let session = self.begin().await?;
        let parameters = params![run_id, lock_owner, LEASE_SECS, dead_token, dead_run];
        let taken = match session.rows(doing, &statement, parameters).await {
            // The lock owner was suspended during a write: it locks the lease row until that ends.
            Err(error @ StoreError::Database { state: Some(SqlState::LOCK_NOT_AVAILABLE), .. }) => {
                drop(session);
                return Err(match self.current_lease().await?.filter(|current| current.is_held) {
                    Some(current) => current.locked(),
                    None => self.name_blocker(error).await,
                });
            }
            taken => taken?,
        };
        session.commit(doing).await?;
        if let Some((token,)) = taken.first()? {
            self.lease = Some(Lease { token, run_id });
            return Ok(());
        }
        let current = self.current_lease().await?;
        Err(current.map_or(StoreError::LeaseLost, |current| current.locked()))
    }

    /// Releases the lease, so that the next run can start at once.
    pub async fn release_lease(&mut self) -> Result<(), StoreError> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let statement = "update {schema}.sync_locks set expires_at = '-infinity' where name = 'sync' and token = $1 and run_id = $2";
        self.rows("could not release the lock", statement, params![lease.token, lease.run_id]).await.map(drop)
    }

    async fn current_lease(&self) -> Result<Option<Current>, StoreError> {
        let statement = format!(
            "select l.token, l.run_id, l.holder, {IS_HELD}, extract(epoch from clock_timestamp() - l.acquired_at)::float8
             from {{schema}}.sync_locks l where l.name = 'sync'"
        );
        let doing = "could not read sync_locks";
        let rows = self.rows(doing, &statement, params![]).await?;
        Ok(rows.first()?.map(|(token, run_id, lock_owner, is_held, age_secs)| {
            let lock_owner = serde_json::from_value(lock_owner).ok();
            Current { token, run_id, lock_owner, is_held, age_secs }
        }))
    }

    /// Renews the lease once and stores the run's progress. False if another run has the lease.
    async fn renew_lease(&self, lease: Lease, progress: &RunProgress) -> Result<bool, StoreError> {
        let statement = "update {schema}.sync_locks
             set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $2), progress = $3
             where name = 'sync' and token = $1 and run_id = $4 returning token";
        let progress = Json(progress);
        let parameters = params![lease.token, LEASE_SECS, progress, lease.run_id];
        let renewed = self.rows("could not renew the lock", statement, parameters).await?;
        Ok(renewed.len() == 1)
    }

    /// Waits until the database responds.
    async fn is_there(&self) -> Result<bool, StoreError> {
        self.rows("could not ask whether the database answers", "select 1", params![]).await.map(|_| true)
    }
}

impl Current {
    fn locked(&self) -> StoreError {
        StoreError::Locked {
            run_id: self.run_id,
            lock_owner: self.lock_owner.as_ref().map_or_else(|| "an unknown process".to_owned(), LockOwner::describe),
            age: Duration::try_from_secs_f64(self.age_secs).unwrap_or_default(),
            is_brief: self.lock_owner.as_ref().is_some_and(LockOwner::is_brief),
        }
    }
}

/// Renews a lease on its own connection until it is dropped. If the lease is lost, the run is asked to stop, and the
/// fence refuses its writes until then. The run is also asked to stop if the database no longer responds. Without a
/// lease only that is checked.
#[derive(Debug)]
pub struct Heartbeat(JoinHandle<()>);

impl Heartbeat {
    /// Starts to renew the lease that `store` holds, if any. A failed renewal is repeated at the next beat.
    pub fn start(store: &Store, stopper: Stopper, tracker: Arc<Tracker>) -> Heartbeat {
        let lease = store.lease;
        let schema = store.schema.name().to_owned();
        let target = store.target.clone();
        Heartbeat(tokio::spawn(async move {
            let mut connection: Option<Store> = None;
            let (mut wait, mut unanswered) = (FIRST_BEAT, 0);
            let mut last_progress = RunProgress::new();
            loop {
                tokio::time::sleep(wait).await;
                wait = RENEWAL_INTERVAL;
                let progress = tracker.progress();
                let has_advanced = std::mem::replace(&mut last_progress, progress.clone()) != progress;
                let renewal = async {
                    let store = match connection.take() {
                        Some(store) => store,
                        None => Store::connect(target.clone(), Some(&schema)).await?,
                    };
                    let is_ours = match lease {
                        Some(lease) => store.renew_lease(lease, &progress).await?,
                        None => store.is_there().await?,
                    };
                    Ok::<_, StoreError>((store, is_ours))
                };
                let failure = match timeout(RENEWAL_PATIENCE, renewal).await {
                    Ok(Ok((_, false))) => return stopper.stop(StopReason::LeaseLost),
                    Ok(Ok((store, true))) => {
                        connection = Some(store);
                        unanswered = 0;
                        continue;
                    }
                    // A response, even if the renewal failed: the run's own connection may still work.
                    Ok(Err(error)) => {
                        unanswered = 0;
                        error.to_string()
                    }
                    Err(_) => {
                        // A pooler may delay this connection while it serves the run's own.
                        unanswered = if has_advanced { 0 } else { unanswered + 1 };
                        "no answer".to_owned()
                    }
                };
                tracing::debug!(error = failure, "the lease could not be renewed; the next beat tries again");
                if unanswered == MAX_UNANSWERED {
                    return stopper.stop(StopReason::DatabaseSilent);
                }
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
