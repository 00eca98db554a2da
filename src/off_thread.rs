//! Work of the processor alone, beside what waits for Wix and for Postgres.

/// Does `work` on another thread. A page takes some milliseconds to read; in the meantime the other stream's pages and
/// the server's answers would have to wait, since all of a run is one task.
///
/// # Panics
///
/// As `work` does.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // Not cancelled: that happens only once the runtime has ended, and nobody waits any more.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
