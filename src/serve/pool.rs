//! A few database connections for requests. They stay open between requests.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::store::{Store, StoreError, Target};

/// Maximum number of connections at a time. Runs have their own.
const MAX_CONNECTIONS: usize = 4;

pub(super) struct Pool {
    target: Target,
    schema: Option<String>,
    idle: Mutex<Vec<Store>>,
    permits: Semaphore,
}

/// A connection of the pool. Dropping it closes it, because its statement may have been cancelled.
pub(super) struct Lent<'a> {
    store: Store,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(target: Target, schema: Option<String>) -> Pool {
        Pool { target, schema, idle: Mutex::default(), permits: Semaphore::new(MAX_CONNECTIONS) }
    }

    /// Waits for a free connection, or opens one.
    pub(super) async fn get(&self) -> Result<Lent<'_>, StoreError> {
        let stopped = |_| StoreError::Connect { reason: "the pool is closed".to_owned(), hint: None };
        let _permit = self.permits.acquire().await.map_err(stopped)?;
        let idle = self.idle().pop();
        let store = match idle.filter(|store| !store.is_closed()) {
            Some(store) => store,
            None => self.connect().await?,
        };
        Ok(Lent { store, _permit })
    }

    /// Returns a connection after its work is finished.
    pub(super) fn put(&self, lent: Lent<'_>) {
        self.idle().push(lent.store);
    }

    /// A connection outside the pool.
    pub(super) async fn connect(&self) -> Result<Store, StoreError> {
        Store::connect(self.target.clone(), self.schema.as_deref()).await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Store>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::Deref for Lent<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl std::ops::DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.store
    }
}
