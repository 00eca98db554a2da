//! The limit of memory for records that wait to be written: one for all tables, since they share one process.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum size of the pages that wait to be written, in KB of JSON: four pages of contacts of usual size, or eight of
/// orders. A larger page counts as this much, so one page of any size fits.
const ROOM_KB: u32 = 8_000;

static ROOM: Semaphore = Semaphore::const_new(ROOM_KB as usize);

/// Allows one transaction at a time to write a very large record: its statement needs several copies of it.
static LARGE_WRITE: Semaphore = Semaphore::const_new(1);

/// Room for records, free again once this is dropped.
pub(super) struct Room {
    _permit: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// Waits until there is room for records of this many bytes. The caller must not hold room for records that nobody
    /// writes meanwhile: it would wait forever.
    pub(super) async fn take(bytes: usize) -> Room {
        let kilobytes = u32::try_from(bytes / 1_000).unwrap_or(u32::MAX).min(ROOM_KB);
        // An error means that the semaphore is closed, which never happens.
        Room { _permit: ROOM.acquire_many(kilobytes).await.ok() }
    }

    /// Waits until no other table writes a very large record.
    pub(super) async fn take_for_large_write() -> Room {
        Room { _permit: LARGE_WRITE.acquire().await.ok() }
    }
}
