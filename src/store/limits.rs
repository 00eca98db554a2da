//! Limits of the time of a statement. They are settings of each transaction, so they also hold through transaction poolers.
//! A stricter limit of the user stays in force.

use std::time::Duration;

/// Maximum wait for a lock.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Maximum time of a statement, on the server: far longer than any but `migrate` takes on a table of millions of rows.
pub(super) const STATEMENT_PATIENCE: Duration = Duration::from_secs(600);

/// The same for `migrate`, which may have to rewrite a table.
pub(super) const MIGRATION_PATIENCE: Duration = Duration::from_secs(3600);

/// Maximum wait of `migrate` for another one.
pub(super) const OTHER_MIGRATION_PATIENCE: Duration = Duration::from_secs(600);

/// Maximum wait, on this side, for the answer to a statement that takes no lock and reads nothing. Poolers keep a
/// client waiting while all their servers are busy.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

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
