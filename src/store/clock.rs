//! The database server's clock, which decides what is due, stale, to be tried again or to be kept. This machine's own may
//! be wrong by years; it only measures how much time passed.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Client;

use super::error::StoreError;

/// What the server's clock showed, and when that was heard. It is never ahead of the server's: the time that the answer
/// took is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    showed: DateTime<Utc>,
    heard: Instant,
}

impl ServerClock {
    /// Asks for it, with the session's search path.
    pub(super) async fn read(client: &Client) -> Result<ServerClock, StoreError> {
        let doing = "could not ask the server for its clock";
        let rows = client
            .query_typed("select pg_catalog.clock_timestamp()", &[])
            .await
            .map_err(StoreError::database(doing))?;
        let showed = rows.first().map(|row| row.try_get(0)).transpose().map_err(StoreError::database(doing))?;
        Ok(ServerClock { showed: showed.unwrap_or_default(), heard: Instant::now() })
    }

    pub(super) fn now(self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.heard.elapsed()).unwrap_or_default();
        self.showed.checked_add_signed(passed).unwrap_or(self.showed)
    }
}
