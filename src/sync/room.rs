//! The memory limit for records that wait to be written. All tables share it.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum size of all pages that wait to be written, in KB of JSON: about four pages of contacts or eight of orders. A
/// larger page counts as this much, so a page of any size is accepted.
const ROOM_KB: u32 = 8_000;

static ROOM: Semaphore = Semaphore::const_new(ROOM_KB as usize);

/// Lets one transaction at a time write a very large record, because its statement needs several copies of it.
static LARGE_WRITE: Semaphore = Semaphore::const_new(1);

/// Reserved room for records. Dropping it frees the room.
pub(super) struct Room {
    _permit: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// Waits until there is room for records of this many bytes. Deadlock: the caller must not wait here while it has
    /// room for records that no other task writes.
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
