//! Memory for records on their way to the database. One limit for all tables, since all share one process.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum size of the pages that wait to be written, in KB of records: four pages of contacts of Wix's usual size, or
/// eight of orders. One page of any size fits.
const ROOM_KB: u32 = 8_000;

static ROOM: Semaphore = Semaphore::const_new(ROOM_KB as usize);

/// Held by the transaction that writes a very large record: its statement needs several copies.
static LARGE_WRITE: Semaphore = Semaphore::const_new(1);

/// Room for records, free again once this is dropped.
pub(super) struct Room {
    _permit: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// Waits until there is room for records of this many bytes. Whoever waits must hold no room that is not on its way
    /// to the database.
    pub(super) async fn take(bytes: usize) -> Room {
        let kilobytes = u32::try_from(bytes / 1_000).unwrap_or(u32::MAX).min(ROOM_KB);
        // It fails only if the semaphore is closed, which nobody does.
        Room { _permit: ROOM.acquire_many(kilobytes).await.ok() }
    }

    /// Waits until no other table writes a very large record.
    pub(super) async fn take_for_large_write() -> Room {
        Room { _permit: LARGE_WRITE.acquire().await.ok() }
    }
}
