//! The fence: refuses transactions of a run that lost its lease.

use uuid::Uuid;

use super::error::StoreError;
use super::session::{Session, params};

/// Lifetime of a lease in seconds. It ends then unless it is renewed, so a run that died on another machine stops
/// blocking.
pub(super) const LEASE_SECS: f64 = 60.0;

/// A lease that was acquired. The fencing token alone is not enough: after a failover to a standby that is behind, the
/// next run gets the same token again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) token: i64,
    pub(super) run_id: Uuid,
}

impl Lease {
    /// The first statement of a write transaction. Fails if another run has the lease. It locks the lease row until the
    /// transaction ends, so no other run can take the lease meanwhile.
    pub(super) async fn fence(self, session: &Session<'_>) -> Result<(), StoreError> {
        let statement =
            "select 1 from {schema}.sync_locks where name = 'sync' and token = $1 and run_id = $2 for key share";
        let rows = session.rows("could not check the lock", statement, params![self.token, self.run_id]).await?;
        if rows.is_empty() { Err(StoreError::LeaseLost) } else { Ok(()) }
    }

    /// Renews the lease with a batch if the heartbeat has not renewed it for half its lifetime. The heartbeat may have
    /// no connection, for example if a pooler or a role allows only two.
    pub(super) async fn renew_if_due(self, session: &Session<'_>) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_locks
             set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $2)
             where name = 'sync' and token = $1 and run_id = $3
                and expires_at not between clock_timestamp() + make_interval(secs => $2 / 2)
                    and clock_timestamp() + make_interval(secs => $2)";
        let parameters = params![self.token, LEASE_SECS, self.run_id];
        session.write("could not renew the lock", statement, parameters).await
    }
}
