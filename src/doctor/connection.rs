//! Checks the connection to the database: TLS, the server, and a pooler.

use std::time::Duration;

use chrono::Utc;
use tokio::time::timeout;

use super::finding::Outcome;
use crate::store::{Encryption, Store, StoreError, TlsMode};

/// Minimum server version, which has everything that our statements use.
const OLDEST_SERVER: i32 = 140_000;

/// Minimum statement timeout, in milliseconds. A shorter one may cancel even a small batch on a busy server.
const SHORT_TIMEOUT_MS: i64 = 10_000;

const MAX_CLOCK_DIFFERENCE_SECS: i64 = 60;

/// Maximum wait for another connection. A pooler whose servers are all busy lets it wait.
const POOLER_PATIENCE: Duration = Duration::from_secs(5);

/// Whether the connection is encrypted and the server verified.
pub(super) async fn tls(store: &Store) -> Outcome {
    judge_tls(&store.encryption().await)
}

fn judge_tls(encryption: &Encryption) -> Outcome {
    let message = match (encryption.mode, &encryption.refusal) {
        (TlsMode::VerifyFull, _) => {
            return Outcome::ok("in use; certificate and host name are verified (sslmode=verify-full)");
        }
        (TlsMode::VerifyCa, _) => {
            return Outcome::ok("in use; the certificate is verified, the host name is not (sslmode=verify-ca)");
        }
        _ if encryption.is_local => {
            return Outcome::ok("the server is on this machine: nothing is sent over a network");
        }
        (TlsMode::Require, _) => "in use, but the server is not verified (sslmode=require)",
        (TlsMode::Disable, _) => "not in use: everything is sent unencrypted (sslmode=disable)",
        (TlsMode::Allow, None) => "in use only if the server insists on it (sslmode=allow)",
        (TlsMode::Prefer, None) => "in use, but neither required nor is the server verified (sslmode=prefer)",
        (TlsMode::Allow | TlsMode::Prefer, Some(error)) => {
            &format!("not in use: everything is sent unencrypted ({error})")
        }
    };
    Outcome::warning(
        message,
        "set sslmode=verify-full and sslrootcert=FILE in DATABASE_URL; for Supabase see docs/supabase.md",
    )
}

/// The server's version, and whether it accepts writes.
pub(super) async fn server(store: &Store) -> Result<Outcome, StoreError> {
    let server = store.server().await?;
    let message = format!("Postgres {}, database {}, user {}", server.version, server.database, server.user);
    Ok(if server.version_number < OLDEST_SERVER {
        Outcome::problem(message, "wix-sync needs Postgres 14 or newer")
    } else if server.encoding != "UTF8" {
        StoreError::Encoding { encoding: server.encoding }.into()
    } else if server.is_replica {
        Outcome::problem(format!("{message}: a replica, which is read-only"), "connect to the primary")
    } else if server.is_read_only {
        Outcome::problem(
            format!("{message}: read-only (default_transaction_read_only)"),
            "use another role; a Supabase project over its disk limit is made read-only",
        )
    } else {
        Outcome::ok(message)
    })
}

/// Whether the database server's clock agrees with this machine's.
pub(super) fn clock(store: &Store) -> Outcome {
    let seconds = (store.now() - Utc::now()).num_seconds();
    if seconds.abs() <= MAX_CLOCK_DIFFERENCE_SECS {
        return Outcome::ok("the server's agrees with this machine's");
    }
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    Outcome::warning(
        format!("the server's is {} s {direction} this machine's", seconds.abs()),
        "set both by NTP: the server's clock decides what is due, and is shown in sync_logs",
    )
}

pub(super) async fn statement_timeout(store: &Store) -> Result<Outcome, StoreError> {
    let (milliseconds, shown) = store.statement_timeout().await?;
    Ok(match milliseconds {
        0 => Outcome::ok("none"),
        1..SHORT_TIMEOUT_MS => Outcome::warning(
            format!("{shown} (statement_timeout): short for a batch on a busy server"),
            "run `alter role ... set statement_timeout = '2min'`, or use a smaller --batch-size",
        ),
        _ => Outcome::ok(format!("{shown} (statement_timeout)")),
    })
}

/// Whether a pooler assigns a server to each transaction. wix-sync works with and without one; the finding helps to
/// explain other problems.
pub(super) async fn pooler(store: &Store) -> Outcome {
    match timeout(POOLER_PATIENCE, store.is_pooled_by_transaction()).await {
        Ok(Ok(true)) => Outcome::ok("in transaction mode: each transaction gets another server, which is fine"),
        Ok(Ok(false)) => Outcome::ok("none, or one in session mode, as far as can be seen"),
        Ok(Err(error)) => Outcome::skipped(format!("not known: {error}")),
        Err(_) => Outcome::skipped("not known: no further connection was served in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{CheckStatus, Outcome};
    use super::judge_tls;
    use crate::store::{Encryption, TlsMode};

    fn judged(mode: TlsMode, is_local: bool, refusal: Option<&str>) -> Outcome {
        judge_tls(&Encryption { mode, is_local, refusal: refusal.map(str::to_owned) })
    }

    #[test]
    fn tls_is_ok_only_if_verified_or_local() {
        for (mode, is_local, status) in [
            (TlsMode::VerifyFull, false, CheckStatus::Ok),
            (TlsMode::VerifyCa, false, CheckStatus::Ok),
            (TlsMode::Require, false, CheckStatus::Warning),
            (TlsMode::Prefer, false, CheckStatus::Warning),
            (TlsMode::Disable, false, CheckStatus::Warning),
            (TlsMode::Disable, true, CheckStatus::Ok),
        ] {
            assert_eq!(judged(mode, is_local, None).status, status, "{mode:?}");
        }
        assert!(judged(TlsMode::Prefer, false, None).message.starts_with("in use"));
        let without = judged(TlsMode::Prefer, false, Some("the server has none"));
        assert!(without.message.starts_with("not in use") && without.message.contains("the server has none"));
    }
}
