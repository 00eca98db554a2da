//! The way to the database: TLS, the server, and a pooler in front of it.

use std::time::Duration;

use tokio::time::timeout;

use super::finding::Outcome;
use crate::store::{Encryption, Store, StoreError, TlsMode};

/// The oldest server that has everything that our statements use.
const OLDEST_SERVER: i32 = 140_000;

/// A statement time-out below this many milliseconds may end even a small batch on a busy server.
const SHORT_TIMEOUT_MS: i64 = 10_000;

/// A pooler whose servers are all busy lets a connection wait. After this time the check gives up.
const POOLER_PATIENCE: Duration = Duration::from_secs(5);

/// Whether the connection is encrypted, and the server verified.
pub(super) async fn tls(store: &Store) -> Outcome {
    judge_tls(&store.encryption().await)
}

fn judge_tls(encryption: &Encryption) -> Outcome {
    let found = match (encryption.mode, &encryption.refusal) {
        (TlsMode::VerifyFull, _) => {
            return Outcome::ok("in use; certificate and host name are verified (sslmode=verify-full)");
        }
        (TlsMode::VerifyCa, _) => {
            return Outcome::ok("in use; the certificate is verified, the host name is not (sslmode=verify-ca)");
        }
        _ if encryption.is_local => {
            return Outcome::ok("the server is on this machine: nothing passes over a network");
        }
        (TlsMode::Require, _) => "in use, but nobody verifies who is at the other end (sslmode=require)",
        (TlsMode::Disable, _) => "not in use: everything passes readable (sslmode=disable)",
        (TlsMode::Allow, None) => "not in use where the server does without, though it has it (sslmode=allow)",
        (TlsMode::Prefer, None) => {
            "in use, but nobody insists on it or verifies who is at the other end (sslmode=prefer)"
        }
        (TlsMode::Allow | TlsMode::Prefer, Some(error)) => &format!("not in use: everything passes readable ({error})"),
    };
    Outcome::warn(found, "set sslmode=verify-full and sslrootcert=FILE in DATABASE_URL (README.md, step 3)")
}

/// The server's version, and whether it takes writes.
pub(super) async fn server(store: &Store) -> Result<Outcome, StoreError> {
    let server = store.server().await?;
    let found = format!("Postgres {}, database {}, user {}", server.version, server.database, server.user);
    Ok(if server.version_number < OLDEST_SERVER {
        Outcome::fail(found, "wix-sync needs Postgres 14 or newer")
    } else if server.is_replica {
        Outcome::fail(format!("{found}: a replica, which takes no writes"), "connect to the primary")
    } else if server.is_read_only {
        Outcome::fail(
            format!("{found}: read-only (default_transaction_read_only)"),
            "use another role; a Supabase project over its disk limit is made read-only",
        )
    } else {
        Outcome::ok(found)
    })
}

pub(super) async fn statement_timeout(store: &Store) -> Result<Outcome, StoreError> {
    let (milliseconds, shown) = store.statement_timeout().await?;
    Ok(match milliseconds {
        0 => Outcome::ok("none"),
        1..SHORT_TIMEOUT_MS => Outcome::warn(
            format!("{shown} (statement_timeout): short for a batch on a busy server"),
            "alter role ... set statement_timeout = '2min', or a smaller --batch-size",
        ),
        _ => Outcome::ok(format!("{shown} (statement_timeout)")),
    })
}

/// Whether a pooler assigns a server to each transaction. wix-sync works either way; but whoever looks for the cause of
/// another problem needs to know.
pub(super) async fn pooler(store: &Store) -> Outcome {
    match timeout(POOLER_PATIENCE, store.is_pooled_by_transaction()).await {
        Ok(Ok(true)) => Outcome::ok("in transaction mode: each transaction gets another server, which is fine"),
        Ok(Ok(false)) => Outcome::ok("none, or one in session mode, as far as can be seen"),
        Ok(Err(error)) => Outcome::ok(format!("could not tell: {error}")),
        Err(_) => Outcome::ok("could not tell: no further connection was served in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Mark, Outcome};
    use super::judge_tls;
    use crate::store::{Encryption, TlsMode};

    fn judged(mode: TlsMode, is_local: bool, refusal: Option<&str>) -> Outcome {
        judge_tls(&Encryption { mode, is_local, refusal: refusal.map(str::to_owned) })
    }

    #[test]
    fn only_what_is_verified_or_stays_on_this_machine_is_well() {
        for (mode, is_local, mark) in [
            (TlsMode::VerifyFull, false, Mark::Ok),
            (TlsMode::VerifyCa, false, Mark::Ok),
            (TlsMode::Require, false, Mark::Warn),
            (TlsMode::Prefer, false, Mark::Warn),
            (TlsMode::Disable, false, Mark::Warn),
            (TlsMode::Disable, true, Mark::Ok),
        ] {
            assert_eq!(judged(mode, is_local, None).mark, mark, "{mode:?}");
        }
        assert!(judged(TlsMode::Prefer, false, None).found.starts_with("in use"));
        let without = judged(TlsMode::Prefer, false, Some("the server has none"));
        assert!(without.found.starts_with("not in use") && without.found.contains("the server has none"));
    }
}
