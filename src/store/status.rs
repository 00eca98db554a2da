//! Data for `status`. Reads only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::lease::IS_HELD;
use super::session::{from_row, params};
use crate::json_time;
use crate::lock_owner::LockOwner;
use crate::progress::RunProgress;

/// One row of `sync_logs`.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    pub id: Uuid,
    /// `customers`, `appointments`, `orders` or `all`.
    pub sync_type: String,
    /// `running`, `completed` or `failed`.
    pub status: String,
    #[serde(serialize_with = "json_time::optional")]
    pub started_at: Option<DateTime<Utc>>,
    /// `None` while it runs.
    #[serde(serialize_with = "json_time::optional")]
    pub completed_at: Option<DateTime<Utc>>,
    /// Records of Wix that were up to date in the tables after the run.
    pub synced_count: i64,
    /// Rejected records.
    pub error_count: i64,
    /// `None` while it runs, if it was killed, and for failed runs of versions that did not record it.
    pub exit_code: Option<i32>,
    pub error: Option<String>,
    /// Results of the run, per table.
    pub results: Option<serde_json::Value>,
}

/// The state of one table: a row of the view `sync_health`.
#[derive(Clone, Debug, Serialize)]
pub struct TableRow {
    pub table: String,
    /// Live rows.
    pub rows: i64,
    pub deleted_rows: i64,
    /// Unresolved rows of `sync_errors`.
    pub rejected_records: i64,
    /// Rows that Wix's list did not return and that must be looked up by id.
    pub pending_deletions: i64,
    /// When a full or incremental sync last reached the end of Wix's list.
    #[serde(serialize_with = "json_time::optional")]
    pub last_success_at: Option<DateTime<Utc>>,
    /// By the server's clock.
    pub age_seconds: Option<i64>,
    #[serde(serialize_with = "json_time::optional")]
    pub last_full_sync_at: Option<DateTime<Utc>>,
    /// Changes that Wix made before this time, by Wix's clock, are in the table.
    #[serde(serialize_with = "json_time::optional")]
    pub watermark: Option<DateTime<Utc>>,
    /// Seconds since the first run in `sync_logs` that included this table.
    #[serde(skip)]
    pub first_run_seconds_ago: Option<i64>,
    /// Whether the last success is in the future, by the server's clock: a clock was wrong.
    #[serde(skip)]
    pub is_in_the_future: bool,
}

/// State of a run that is `running` in `sync_logs`.
#[derive(Clone, Debug, Serialize)]
pub struct RunningRun {
    pub run_id: Uuid,
    /// `customers`, `appointments`, `orders` or `all`.
    pub sync_type: String,
    pub state: RunningState,
    /// Why it is not running, or why its state is unknown.
    pub reason: Option<String>,
    /// Process and machine of the lock owner.
    pub lock_owner: Option<String>,
    #[serde(serialize_with = "json_time::optional")]
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the last heartbeat, which also stored `tables`.
    #[serde(serialize_with = "json_time::optional")]
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// By the server's clock.
    pub heartbeat_age_seconds: Option<i64>,
    pub tables: RunProgress,
}

/// Whether a run that is `running` in `sync_logs` is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunningState {
    /// It holds the lock.
    Running,
    /// It ended without recording its end.
    Dead,
    /// The database user cannot see the lock.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct RunFilter {
    /// Maximum number of runs; the newest come first.
    pub limit: i64,
    pub sync_type: Option<String>,
    pub status: Option<String>,
}

const READING_LOGS: &str = "could not read sync_logs";

const RUN_COLUMNS: &str =
    "id, sync_type::text, status::text, started_at, completed_at, coalesce(synced_count, 0)::bigint as synced_count,
    coalesce(error_count, 0)::bigint as error_count,
    coalesce(exit_code, case when status = 'completed' and results is not null then case
        when error_count > 0 or jsonb_path_exists(results::jsonb, '$.*.incomplete ? (@ == true)') then 3 else 0
    end end) as exit_code, error::text, results::jsonb";

impl Store {
    pub async fn list_runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let statement = format!(
            "select {RUN_COLUMNS} from {{schema}}.sync_logs
             where ($2::text is null or sync_type = $2) and ($3::text is null or status = $3)
             order by started_at desc nulls last, id limit $1"
        );
        let parameters = params![filter.limit, filter.sync_type, filter.status];
        self.rows(READING_LOGS, &statement, parameters).await?.all()
    }

    /// Runs whose ids start with `prefix`. At most two: enough to see whether the prefix is unique.
    pub async fn find_runs(&self, prefix: &str) -> Result<Vec<RunRow>, StoreError> {
        let statement = format!(
            "select {RUN_COLUMNS} from {{schema}}.sync_logs where starts_with(id::text, $1) order by started_at desc nulls last limit 2"
        );
        self.rows(READING_LOGS, &statement, params![prefix.to_ascii_lowercase()]).await?.all()
    }

    pub async fn list_tables(&self) -> Result<Vec<TableRow>, StoreError> {
        let statement =
            "select table_name as table, rows, deleted_rows, unresolved_errors as rejected_records,
                missing_rows as pending_deletions, last_success_at,
                floor(extract(epoch from age))::bigint as age_seconds, last_full_pass_at as last_full_sync_at, watermark,
                floor(extract(epoch from clock_timestamp() - (
                    select min(l.started_at) from {schema}.sync_logs l
                    where h.table_name = any (string_to_array(l.sync_type::text, ',')) or l.sync_type::text = 'all'
                )))::bigint as first_run_seconds_ago,
                coalesce(last_success_at > clock_timestamp(), false) as is_in_the_future
             from {schema}.sync_health h";
        let doing = "could not read the state of the tables";
        let rows = match self.rows(doing, statement, params![]).await {
            // The view raises this if row level security hides the rows that it counts.
            Err(StoreError::Database { state: Some(SqlState::INVALID_TEXT_REPRESENTATION), .. }) => {
                return Err(StoreError::Hidden { schema: self.schema.name().to_owned() });
            }
            rows => rows?,
        };
        rows.all()
    }

    /// The run that is `running` in `sync_logs`: the one that holds the lease, or the newest. `observer` is this
    /// process: it detects at once if a run on the same machine died.
    pub async fn running_run(&self, observer: &LockOwner) -> Result<Option<RunningRun>, StoreError> {
        let statement = format!(
            "select r.id, r.sync_type::text, r.started_at, l.holder, l.progress, l.renewed_at,
                floor(extract(epoch from clock_timestamp() - l.renewed_at))::bigint,
                coalesce({IS_HELD}, false) as is_held,
                not exists (select from {{schema}}.sync_locks) and row_security_active('{{schema}}.sync_locks')
             from {{schema}}.sync_logs r
             left join {{schema}}.sync_locks l on l.name = 'sync' and l.run_id = r.id
             where r.status = 'running'
             order by is_held desc, r.started_at desc nulls last, r.id limit 1"
        );
        let doing = "could not look for a running run";
        let rows = self.rows(doing, &statement, params![]).await?;
        let Some(row) = rows.first()? else { return Ok(None) };
        let (
            run_id,
            sync_type,
            started_at,
            lock_owner,
            progress,
            heartbeat_at,
            heartbeat_age_seconds,
            is_held,
            is_hidden,
        ) = row;
        // Another version may have stored a format that is not readable. The rest is still shown.
        let lock_owner: Option<LockOwner> = readable(lock_owner);
        let tables = readable(progress).unwrap_or_default();
        let (state, reason) = match &lock_owner {
            _ if is_hidden => {
                (RunningState::Unknown, Some("row level security hides sync_locks from this database user"))
            }
            Some(owner) if is_held && owner.is_dead(observer) => (RunningState::Dead, Some("its process is gone")),
            _ if is_held => (RunningState::Running, None),
            Some(_) => (RunningState::Dead, Some("its lock has expired")),
            None => (RunningState::Dead, Some("it does not hold the lock")),
        };
        let (reason, lock_owner) = (reason.map(str::to_owned), lock_owner.as_ref().map(LockOwner::describe));
        Ok(Some(RunningRun {
            run_id,
            sync_type,
            state,
            reason,
            lock_owner,
            started_at,
            heartbeat_at,
            heartbeat_age_seconds,
            tables,
        }))
    }
}

fn readable<T: DeserializeOwned>(json: Option<Value>) -> Option<T> {
    json.and_then(|json| serde_json::from_value(json).ok())
}

from_row!(RunRow {
    id,
    sync_type,
    status,
    started_at,
    completed_at,
    synced_count,
    error_count,
    exit_code,
    error,
    results
});

from_row!(TableRow {
    table,
    rows,
    deleted_rows,
    rejected_records,
    pending_deletions,
    last_success_at,
    age_seconds,
    last_full_sync_at,
    watermark,
    first_run_seconds_ago,
    is_in_the_future
});
