//! Time limits of statements. They are set per transaction, so they also work through transaction poolers. A stricter
//! limit of the user stays in force.

use std::time::Duration;

/// Maximum wait for a lock.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Maximum time of a statement on the server: far longer than any statement takes on a table of millions of rows,
/// except in `migrate`.
pub(super) const STATEMENT_PATIENCE: Duration = Duration::from_secs(600);

/// Maximum time of a statement of `migrate`, which may rewrite a table.
pub(super) const MIGRATION_PATIENCE: Duration = Duration::from_secs(3600);

/// Maximum wait of `migrate` for another `migrate`.
pub(super) const OTHER_MIGRATION_PATIENCE: Duration = Duration::from_secs(600);

/// Maximum wait, on the client, for the response to a statement that takes no lock and reads no rows. A pooler delays
/// clients while all its servers are busy.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// SQL: sets the time limits of a transaction, as items of a select list. The search path must be set before.
pub(super) fn bounds(lock: Duration, statement: Duration) -> String {
    let idle = Duration::from_secs(60);
    [("lock_timeout", lock), ("statement_timeout", statement), ("idle_in_transaction_session_timeout", idle)]
        .map(|(name, most)| bound(name, most))
        .join(", ")
}

/// SQL: sets a timeout, unless the active one is stricter; 0 means none.
pub(super) fn bound(name: &str, most: Duration) -> String {
    let most = most.as_millis();
    format!(
        "set_config('{name}', case
            when current_setting('{name}')::interval between interval '1 millisecond' and interval '{most} milliseconds'
            then current_setting('{name}') else '{most}' end, true)"
    )
}
