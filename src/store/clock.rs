//! The database server's clock. It decides what is due, stale, retried or kept. This machine's clock may be wrong by
//! years, so it only measures how much time passed.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Client;

use super::error::StoreError;
use super::session::Rows;

/// The server's time and the local instant at which it arrived. It is never ahead of the server, because the time of
/// the round trip is not added.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    showed: DateTime<Utc>,
    heard: Instant,
}

impl ServerClock {
    /// Runs with the session's search path, so the query names its function with the schema.
    pub(super) async fn read(client: &Client) -> Result<ServerClock, StoreError> {
        let doing = "could not read the server's clock";
        let rows = Rows::of(doing, client.query_typed("select pg_catalog.clock_timestamp()", &[]).await)?;
        Ok(ServerClock { showed: rows.value()?, heard: Instant::now() })
    }

    pub(super) fn now(self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.heard.elapsed()).unwrap_or_default();
        self.showed.checked_add_signed(passed).unwrap_or(self.showed)
    }
}
