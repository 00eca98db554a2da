//! Runs CPU work on another thread, so that tasks which wait for Wix or Postgres can continue.

/// Runs `work` on another thread. Parsing a page takes some milliseconds, and a run is a single task: otherwise the
/// pages of the other table, and the server's responses, would have to wait.
///
/// # Panics
///
/// If `work` panics.
pub async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // It is cancelled only after the runtime has ended, and then no task waits for it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
