//! Queries of `wix-sync serve`: rows of `sync_logs` for its API, and its own row in `sync_locks`, which shows `status`
//! and `doctor` whether the server is alive.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::session::{from_row, params};
use super::status::RunFilter;
use crate::json_time;
use crate::lock_owner::LockOwner;

/// Maximum age of the last heartbeat in seconds: three heartbeats and a margin. After it the server counts as dead.
const SERVE_SECS: f64 = 75.0;

/// After this many lookups without a clear answer, about three minutes, an entry of the inbox counts as failing.
const MANY_TRIES: i32 = 5;

/// One row of `sync_logs`, with all columns that the HTTP API promises.
#[derive(Clone, Debug, Serialize)]
pub struct LogRow {
    pub id: Uuid,
    pub sync_type: String,
    pub status: String,
    pub user_id: Option<Uuid>,
    #[serde(serialize_with = "json_time::optional")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "json_time::optional")]
    pub completed_at: Option<DateTime<Utc>>,
    pub synced_count: i64,
    pub error_count: i64,
    pub results: Option<serde_json::Value>,
    pub error: Option<String>,
    #[serde(serialize_with = "json_time::optional")]
    pub created_at: Option<DateTime<Utc>>,
}

from_row!(LogRow {
    id,
    sync_type,
    status,
    user_id,
    started_at,
    completed_at,
    synced_count,
    error_count,
    results,
    error,
    created_at
});

/// Number of runs among the newest 100.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RunCounts {
    pub running: i64,
    pub completed: i64,
    pub failed: i64,
}

from_row!(RunCounts { running, completed, failed });

/// State of `wix-sync serve` in this schema.
#[derive(Clone, Debug, Serialize)]
pub struct ServeState {
    /// Queued syncs that wait or are running.
    pub queued: i64,
    pub oldest_queued_seconds: Option<i64>,
    /// Records that events named and that wait for a lookup.
    pub inbox_entries: i64,
    pub oldest_inbox_seconds: Option<i64>,
    /// Those of them whose lookups failed several times.
    pub failing_inbox_entries: i64,
    /// `None`: no server runs here, or it was shut down normally.
    pub is_alive: Option<bool>,
    /// Its process and machine.
    pub process: Option<String>,
    pub heartbeat_age_seconds: Option<i64>,
}

impl ServeState {
    /// For example `running (pid 7 on host), last heartbeat 5 s ago; 1 queued, the oldest for 3 s`, and the inbox. `None`
    /// if `serve` is not used.
    pub fn describe(&self) -> Option<String> {
        let age = self.heartbeat_age_seconds.unwrap_or_default();
        let process = self.process.as_deref().unwrap_or("an unknown process");
        let mut text = match self.is_alive {
            Some(true) => format!("running ({process}), last heartbeat {age} s ago"),
            Some(false) => format!("died ({process}), last heartbeat {age} s ago"),
            None if self.queued == 0 && self.inbox_entries == 0 => return None,
            None => "not running".to_owned(),
        };
        if self.queued > 0 {
            let oldest = self.oldest_queued_seconds.unwrap_or_default();
            text.push_str(&format!("; {} queued, the oldest for {oldest} s", self.queued));
        }
        if self.inbox_entries > 0 {
            let oldest = self.oldest_inbox_seconds.unwrap_or_default();
            text.push_str(&format!("; {} records wait for a lookup, the oldest for {oldest} s", self.inbox_entries));
        }
        if self.failing_inbox_entries > 0 {
            text.push_str(&format!(", and {} of the lookups failed several times", self.failing_inbox_entries));
        }
        Some(text)
    }
}

impl Store {
    /// Runs that match this filter, newest first; only one if an id is given.
    pub async fn log_rows(&self, id: Option<Uuid>, filter: &RunFilter) -> Result<Vec<LogRow>, StoreError> {
        let statement = "select id, sync_type::text, status::text, user_id, started_at, completed_at,
                coalesce(synced_count, 0)::bigint as synced_count, coalesce(error_count, 0)::bigint as error_count,
                results::jsonb, error::text, created_at
             from {schema}.sync_logs
             where ($2::text is null or sync_type = $2) and ($3::text is null or status = $3) and ($4::uuid is null or id = $4)
             order by started_at desc nulls last, id limit $1";
        let parameters = params![filter.limit, filter.sync_type, filter.status, id];
        self.rows("could not read sync_logs", statement, parameters).await?.all()
    }

    pub async fn count_runs(&self) -> Result<Option<RunCounts>, StoreError> {
        let statement = "select count(*) filter (where status = 'running') as running,
                count(*) filter (where status = 'completed') as completed, count(*) filter (where status = 'failed') as failed
             from (select status from {schema}.sync_logs order by started_at desc nulls last, id limit 100) newest";
        self.rows("could not count the runs in sync_logs", statement, params![]).await?.first()
    }

    /// Stores a server's heartbeat. `server_id` identifies one process.
    pub async fn beat_serve(&mut self, server_id: Uuid, process: &LockOwner) -> Result<(), StoreError> {
        let statement = "insert into {schema}.sync_locks as l (name, token, run_id, holder, acquired_at, renewed_at, expires_at)
             values ('serve', 0, $1, $2, clock_timestamp(), clock_timestamp(), clock_timestamp() + make_interval(secs => $3))
             on conflict (name) do update set
                run_id = excluded.run_id, holder = excluded.holder, renewed_at = excluded.renewed_at,
                expires_at = excluded.expires_at,
                acquired_at = case when l.run_id = excluded.run_id then l.acquired_at else excluded.acquired_at end";
        self.write("could not write the server's heartbeat", statement, params![server_id, Json(process), SERVE_SECS])
            .await
    }

    /// Records that the server was shut down normally.
    pub async fn end_serve(&mut self, server_id: Uuid) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_locks set expires_at = '-infinity' where name = 'serve' and run_id = $1";
        self.write("could not record the server's end", statement, params![server_id]).await
    }

    /// `observer` is this process: it detects at once if a server on the same machine died.
    pub async fn serve_state(&self, observer: &LockOwner) -> Result<ServeState, StoreError> {
        let statement = "select queued.count, queued.oldest, inbox.count, inbox.oldest, inbox.failing, l.holder, l.expires_at >= clock_timestamp(),
                floor(extract(epoch from clock_timestamp() - l.renewed_at))::bigint
             from (
                select count(*), floor(extract(epoch from clock_timestamp() - min(requested_at)))::bigint as oldest
                from {schema}.sync_queue
             ) queued
             cross join (
                select count(*), count(*) filter (where tries >= $1) as failing,
                    greatest(floor(extract(epoch from clock_timestamp() - min(received_at))), 0)::bigint as oldest
                from {schema}.sync_inbox
             ) inbox
             left join {schema}.sync_locks l on l.name = 'serve' and l.expires_at > '-infinity'";
        let rows = self.rows("could not look for the server", statement, params![MANY_TRIES]).await?;
        let (
            queued,
            oldest_queued_seconds,
            inbox_entries,
            oldest_inbox_seconds,
            failing_inbox_entries,
            holder,
            is_heard,
            heartbeat_age_seconds,
        ) = rows.first()?.unwrap_or_default();
        let process: Option<LockOwner> =
            Option::<serde_json::Value>::and_then(holder, |holder| serde_json::from_value(holder).ok());
        let is_dead = process.as_ref().is_some_and(|process| process.is_dead(observer));
        Ok(ServeState {
            queued,
            oldest_queued_seconds,
            inbox_entries,
            oldest_inbox_seconds,
            failing_inbox_entries,
            is_alive: Option::<bool>::map(is_heard, |is_heard| is_heard && !is_dead),
            process: process.as_ref().map(LockOwner::describe),
            heartbeat_age_seconds,
        })
    }
}
