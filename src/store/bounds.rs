//! Limits the time of a statement, and finds out who holds the lock that it waits for.
//!
//! The limits are settings of each transaction, so they also hold through transaction poolers. A stricter limit of the
//! user stays in force.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::CancelToken;
use tokio_postgres::error::SqlState;

use super::connect::Store;
use super::error::StoreError;
use super::session::{from_row, params};
use super::tls::Tls;
use crate::table::Table;

/// Maximum wait for a lock.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Maximum wait for a lock by a run that was asked to stop.
const LAST_LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum time of a statement, on the server: far longer than any but `migrate` takes on a table of millions of rows.
pub(super) const STATEMENT_PATIENCE: Duration = Duration::from_secs(600);

/// The same for `migrate`, which may have to rewrite a table.
pub(super) const MIGRATION_PATIENCE: Duration = Duration::from_secs(3600);

/// Maximum wait of `migrate` for another one.
pub(super) const OTHER_MIGRATION_PATIENCE: Duration = Duration::from_secs(600);

/// Maximum wait, on this side, for the answer to a statement that takes no lock and reads nothing. Poolers keep a
/// client waiting while all their servers are busy.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// Maximum time to find out who holds a lock.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Maximum wait for each step of cancelling a statement.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// Table locks that conflict with every statement of ours.
const STRONG_MODES: [&str; 4] = ["AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"];

/// The session that holds a lock, without its query: that may hold personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    pid: i32,
    /// The name of the locked table.
    lock: String,
    mode: String,
    user: Option<String>,
    application: Option<String>,
    state: Option<String>,
    /// Whole seconds since it is in that state.
    seconds: Option<i64>,
}

impl Blocker {
    /// True if it surely keeps others waiting, and not only those that want the same rows.
    fn keeps_others_out(&self) -> bool {
        STRONG_MODES.contains(&self.mode.as_str())
            || self.state.as_ref().is_some_and(|state| state.starts_with("idle in"))
    }

    pub fn hint(&self) -> String {
        format!("if that session is forgotten, end it: `select pg_terminate_backend({})`", self.pid)
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let since = seconds.map(|seconds| format!(" for {}", humantime::format_duration(Duration::from_secs(seconds))));
        let known = [
            self.user.as_ref().map(|user| format!("user {user}")),
            self.application.as_ref().filter(|name| !name.is_empty()).map(|name| format!("application {name}")),
            self.state.as_ref().map(|state| format!("{state}{}", since.unwrap_or_default())),
        ];
        let known: Vec<String> = known.into_iter().flatten().collect();
        write!(out, "pid {} ({}) has {} on {}", self.pid, known.join(", "), self.mode, self.lock)
    }
}

/// SQL: the bounds of a transaction, as items of a select list. The search path has to be set before.
pub(super) fn bounds(lock: Duration, statement: Duration) -> String {
    let idle = Duration::from_secs(60);
    [("lock_timeout", lock), ("statement_timeout", statement), ("idle_in_transaction_session_timeout", idle)]
        .map(|(name, most)| bound(name, most))
        .join(", ")
}

/// SQL: sets a time-out, unless the one in force is stricter; 0 is none.
pub(super) fn bound(name: &str, most: Duration) -> String {
    let most = most.as_millis();
    format!(
        "set_config('{name}', case
            when current_setting('{name}')::interval between interval '1 millisecond' and interval '{most} milliseconds'
            then current_setting('{name}') else '{most}' end, true)"
    )
}

/// The session that most likely blocks others: first one that holds a table lock which conflicts with ours, or waits
/// for one (others queue behind it), then one that has locked rows, then, for `migrate`, one that only reads. The state
/// is null if the database user may not see it.
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
    /// Limits the wait for a lock to a second from here on: the run was asked to stop.
    pub fn hurry(&mut self) {
        self.lock_patience = LAST_LOCK_PATIENCE;
    }

    /// If the error is a lock time-out, an error that names the session which holds the lock, if that can be found out.
    pub async fn name_blocker(&self, error: StoreError) -> StoreError {
        match error {
            // Raised by a user-defined trigger: it is not about a lock.
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
        let doing = "could not find out who holds a lock";
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

    /// Whose lock a statement that was cancelled has most likely waited for.
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
    /// Best effort: the server does not report whether it cancelled anything.
    pub async fn cancel(&self) {
        match timeout(CANCEL_PATIENCE, self.token.cancel_query(self.tls.connector.clone())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = error.to_string(), "the statement could not be cancelled"),
            Err(_) => tracing::debug!("the statement could not be cancelled: no answer"),
        }
    }
}
