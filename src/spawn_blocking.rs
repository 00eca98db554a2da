//! CPU work on another thread, next to what waits for Wix and for Postgres.

/// Does `work` on another thread. Parsing a page takes some milliseconds, and all of a run is one task: meanwhile the
/// other table's pages and the server's answers would have to wait.
///
/// # Panics
///
/// As `work` does.
pub async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // Not cancelled: that happens only once the runtime has ended, and then nobody waits.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
