//! Finds the session that holds the lock a statement waits for, and cancels statements.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::CancelToken;
use tokio_postgres::error::SqlState;

use super::blocker::{Blocker, STRONG_MODES};
use super::connect::Store;
use super::error::StoreError;
use super::session::{from_row, params};
use super::tls::Tls;
use crate::table::Table;

/// Maximum wait for a lock by a run that was asked to stop.
const LAST_LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time to find the session that holds a lock.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Maximum time of each step of cancelling a statement.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// The session that most likely blocks others: first a session that holds a table lock which conflicts with ours or
/// waits for one (others queue behind it), then a session with row locks, then, for `migrate`, a session that only
/// reads. The state is null if the database user cannot see it.
const BLOCKERS: &str = "select l.pid, coalesce(c.relname::text, 'the schema (wix-sync migrate)') as lock, l.mode,
        a.usename::text as user, a.application_name as application, a.state,
        greatest(floor(extract(epoch from clock_timestamp() - a.state_change)), 0)::bigint as seconds
    from pg_locks l
    left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
    left join pg_namespace n on n.oid = c.relnamespace
    left join pg_stat_activity a on a.pid = l.pid
    where l.database = (select oid from pg_database where datname = current_database()) and l.pid <> pg_backend_pid()
        and (
            (n.nspname = $1 and c.relkind in ('r', 'p') and (c.relname like 'sync\\_%' or c.relname::text = any ($2)))
            or (l.locktype = 'advisory' and l.granted and l.objsubid = 1
                and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('wix-sync migrate ' || $1, 0))
        )
    order by
        case
            when l.mode = any ($3) then 0
            when l.mode in ('RowExclusiveLock', 'RowShareLock', 'ShareUpdateExclusiveLock') then 1
            else 2
        end,
        coalesce(a.application_name = current_setting('application_name'), false), not l.granted, coalesce(a.state like 'idle in transaction%', false) desc, a.xact_start nulls last, l.pid
    limit 1";

impl Store {
    /// Limits lock waits to one second from now on: the run was asked to stop.
    pub fn hurry(&mut self) {
        self.lock_patience = LAST_LOCK_PATIENCE;
    }

    /// Replaces a lock timeout by an error that names the session holding the lock, if it is found.
    pub async fn name_blocker(&self, error: StoreError) -> StoreError {
        match error {
            // A user-defined trigger raised it: the error does not concern a lock.
            error if error.is_refusal() => error,
            StoreError::Database { doing, state: Some(SqlState::LOCK_NOT_AVAILABLE), .. } => match self.blocker().await
            {
                Some(blocker) => StoreError::Blocked { doing, blocker: Box::new(blocker) },
                None => error,
            },
            other => other,
        }
    }

    async fn blocker(&self) -> Option<Blocker> {
        let tables = Table::ALL.map(|table| table.name);
        let doing = "could not find the session that holds a lock";
        let (name, modes) = (self.schema.name(), STRONG_MODES);
        let look = async {
            let rows = self.ask(doing, BLOCKERS, params![name, &tables[..], &modes[..]]).await?;
            rows.first::<Blocker>()
        };
        match timeout(LOOK_PATIENCE, look).await {
            Ok(Ok(blocker)) => blocker,
            Ok(Err(error)) => {
                tracing::debug!(error = error.to_string(), "who holds the lock is not known");
                None
            }
            Err(_) => None,
        }
    }

    pub fn canceller(&self) -> Canceller {
        Canceller { token: self.cancel_token(), tls: self.target.tls.clone() }
    }

    /// The session for whose lock a cancelled statement most likely waited.
    pub async fn likely_blocker(&self) -> Option<Blocker> {
        self.blocker().await.filter(Blocker::keeps_others_out)
    }
}

from_row!(Blocker { pid, lock, mode, user, application, state, seconds });

/// Cancels the statement that a connection is running.
pub struct Canceller {
    token: CancelToken,
    tls: Tls,
}

impl Canceller {
    /// Best effort: the server does not report whether it cancelled a statement.
    pub async fn cancel(&self) {
        match timeout(CANCEL_PATIENCE, self.token.cancel_query(self.tls.connector.clone())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = error.to_string(), "the statement could not be cancelled"),
            Err(_) => tracing::debug!("the statement could not be cancelled: no answer"),
        }
    }
}
