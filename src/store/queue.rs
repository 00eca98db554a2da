//! `sync_queue`: requested syncs that have not ended.
//!
//! A row is deleted in the transaction that records the end of its run ([`Store::finish_run`]). If the process dies
//! before, the next process finds the row and repeats the sync with the same id.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::session::{from_row, params};
use crate::json_time;

/// A requested sync.
#[derive(Clone, Debug, Serialize)]
pub struct Trigger {
    /// The id that the run gets in `sync_logs`.
    pub id: Uuid,
    /// `customers`, `appointments`, `orders` or `all`.
    pub sync_type: String,
    /// `{"start": TEXT, "end": TEXT}`, unchanged from the request.
    pub date_range: Option<Value>,
    #[serde(serialize_with = "json_time::required")]
    pub requested_at: DateTime<Utc>,
}

from_row!(Trigger { id, sync_type, date_range, requested_at });

const READING: &str = "could not read sync_queue";

/// SQL: whether the database has Supabase's table of users and this role can read it.
const HAS_USERS: &str = "select exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'auth' and c.relname = 'users'
            and has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
     )";

impl Store {
    /// Adds a sync to the queue, unless an equal one waits. Returns the id of the queued sync, and whether it is new.
    pub async fn enqueue(
        &mut self,
        sync_type: &str,
        date_range: Option<&Value>,
        user_id: Option<Uuid>,
    ) -> Result<(Uuid, bool), StoreError> {
        let doing = "could not add to sync_queue";
        let user_id = self.known_user(user_id).await?;
        let session = self.begin_unfenced().await?;
        // Two equal requests at the same time must not both find an empty queue.
        session.write(doing, "lock table {schema}.sync_queue in share row exclusive mode", params![]).await?;
        let waiting = "select id from {schema}.sync_queue
             where sync_type = $1 and date_range is not distinct from $2 and started_at is null
             order by requested_at limit 1";
        let waiting: Option<(Uuid,)> = session.rows(doing, waiting, params![sync_type, date_range]).await?.first()?;
        if let Some((id,)) = waiting {
            return Ok((id, false));
        }
        let id = Uuid::new_v4();
        let insert = "insert into {schema}.sync_queue (id, sync_type, date_range, user_id, requested_at)
             values ($1, $2, $3, $4, clock_timestamp())";
        session.write(doing, insert, params![id, sync_type, date_range, user_id]).await?;
        session.commit(doing).await?;
        Ok((id, true))
    }

    /// The queue, oldest first. A sync whose run has started stays in it until the run has ended.
    pub async fn queue(&self) -> Result<Vec<Trigger>, StoreError> {
        let statement =
            "select id, sync_type, date_range, requested_at from {schema}.sync_queue order by requested_at, id";
        self.rows(READING, statement, params![]).await?.all()
    }

    /// Records that a queued sync failed before its run could be recorded as started.
    pub async fn fail_queued(&mut self, id: Uuid, error: &str) -> Result<(), StoreError> {
        let doing = "could not record the failed sync in sync_logs";
        let session = self.begin_unfenced().await?;
        let insert = "insert into {schema}.sync_logs
                (id, sync_type, status, started_at, completed_at, synced_count, error_count, exit_code, error, created_at)
             select id, sync_type, 'failed', now(), now(), 0, 0, 1, $2, now() from {schema}.sync_queue where id = $1
             on conflict (id) do update set
                status = excluded.status, completed_at = excluded.completed_at, exit_code = excluded.exit_code,
                error = excluded.error";
        session.write(doing, insert, params![id, error]).await?;
        session.write(doing, "delete from {schema}.sync_queue where id = $1", params![id]).await?;
        session.commit(doing).await
    }

    /// The user id, if Supabase's table of users contains it: `sync_logs.user_id` references that table.
    async fn known_user(&self, user_id: Option<Uuid>) -> Result<Option<Uuid>, StoreError> {
        let Some(user_id) = user_id else { return Ok(None) };
        let doing = "could not look for the user in auth.users";
        if !self.rows(doing, HAS_USERS, params![]).await?.value::<bool>()? {
            return Ok(None);
        }
        let user = self.rows(doing, "select id from auth.users where id = $1", params![user_id]).await?;
        Ok(user.first()?.map(|(id,)| id))
    }
}
