//! `sync_logs`: one row per run.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::session::params;
use crate::run::{RunSummary, Status};
use crate::table::Table;

impl Store {
    /// Records that a run starts, and marks all other `running` runs as failed: while this run holds the lease, none of
    /// them is active. Also marks runs of AsyncSyncAgent. Returns how many were marked.
    ///
    /// A queued run may have been started before by a process that died: its row is used again.
    pub async fn begin_run(&mut self, run_id: Uuid, sync_type: &str, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let begin =
            "insert into {schema}.sync_logs as l (id, sync_type, status, user_id, started_at, synced_count, error_count, created_at)
             values (
                $1, $2, 'running', (select q.user_id from {schema}.sync_queue q where q.id = $1), $3, 0, 0, $3
             )
             on conflict (id) do update set
                status = 'running', started_at = excluded.started_at, completed_at = null, synced_count = 0,
                error_count = 0, results = null, error = null, exit_code = null
             where l.started_at = excluded.started_at
                or exists (select from {schema}.sync_queue q where q.id = excluded.id)";
        let close = "with taken as (update {schema}.sync_queue set started_at = $2 where id = $1)
             update {schema}.sync_logs
             set status = 'failed', completed_at = $2, error = concat_ws(
                E'\n', error, 'the run ended without recording its end (killed, or its machine or connection lost); run ' || $1 || ' found it'
             )
             where status = 'running' and id <> $1";
        let session = self.begin().await?;
        let doing = "could not record the run in sync_logs";
        if session.write_counted(doing, begin, params![run_id, sync_type, now]).await? == 0 {
            return Err(StoreError::RunEnded { schema: session.schema.name().to_owned(), run_id });
        }
        let doing = "could not close the runs that ended without recording it";
        let closed = session.write_counted(doing, close, params![run_id, now]).await?;
        session.commit("could not record the run in sync_logs").await?;
        Ok(closed)
    }

    /// Records how a run ended, and removes it from the queue. Can be repeated with the same `now`. A run that another
    /// run recorded as failed stays failed.
    pub async fn finish_run(
        &mut self,
        summary: &RunSummary,
        exit_code: u8,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = "with ended as (
                update {schema}.sync_logs
                set status = $2, completed_at = $3, synced_count = $4, error_count = $5, results = $6, error = $7,
                    exit_code = $8
                where id = $1 and started_at = $9 and (status = 'running' or (status = $2 and completed_at = $3))
                returning id
             ), done as (
                delete from {schema}.sync_queue where id in (select id from ended)
             )
             select count(*) from ended";
        let doing = "could not record the end of the run in sync_logs";
        let session = self.begin_unfenced().await?;
        let updated = session
            .rows(
                doing,
                statement,
                params![
                    summary.run_id,
                    summary.status.as_str(),
                    now,
                    count(summary.synced_count()),
                    count(summary.error_count()),
                    summary.results(),
                    summary.error,
                    i32::from(exit_code),
                    summary.started_at,
                ],
            )
            .await?
            .count()?;
        session.commit(doing).await?;
        if updated == 0 && summary.status != Status::Running {
            return Err(StoreError::RunEnded { schema: self.schema.name().to_owned(), run_id: summary.run_id });
        }
        Ok(())
    }

    /// The notices of the last run before this one that synced a table.
    pub async fn last_notices(&self, table: &'static Table, run_id: Uuid) -> Result<Vec<String>, StoreError> {
        let statement = "select results -> $1 -> 'notices' from {schema}.sync_logs
             where id <> $2 and status <> 'running' and results -> $1 is not null
             order by started_at desc nulls last limit 1";
        let rows = self.rows("could not read sync_logs", statement, params![table.name, run_id]).await?;
        let notices: Option<(Option<serde_json::Value>,)> = rows.first()?;
        // Other programs may have stored any JSON in their rows.
        Ok(notices.and_then(|(notices,)| serde_json::from_value(notices?).ok()).unwrap_or_default())
    }

    /// Deletes runs that ended before `before`, except the last completed run of each type, and rows of `sync_errors`
    /// that were resolved before.
    pub async fn trim_logs(&mut self, before: DateTime<Utc>) -> Result<(), StoreError> {
        let doing = "could not delete old rows of sync_logs";
        let statement = "with logs as (
                delete from {schema}.sync_logs l
                where l.started_at < $1 and l.status <> 'running' and coalesce(l.completed_at, l.started_at) < $1
                    and l.id not in (
                        select distinct on (kept.sync_type) kept.id from {schema}.sync_logs kept
                        where kept.status = 'completed' order by kept.sync_type, kept.started_at desc nulls last
                    )
             )
             delete from {schema}.sync_errors where resolved_at < $1";
        self.write(doing, statement, params![before]).await
    }
}

/// `sync_logs` has 32-bit counts, for compatibility with AsyncSyncAgent.
fn count(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
