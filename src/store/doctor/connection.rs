//! The way to the database: TLS, the server, and the pooler between.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::config::Host;

use crate::finding::Finding;
use crate::store::connect::Store;
use crate::store::dial::dial;
use crate::store::error::StoreError;
use crate::store::session::{Rows, params};
use crate::store::target::{Target, is_socket};
use crate::store::tls::TlsMode;

/// The oldest server that has everything that our statements use.
const OLDEST_SERVER: i32 = 140_000;

/// A statement time-out below this may end even a small batch on a busy server.
const SHORT_TIMEOUT_MS: i64 = 10_000;

/// A pooler whose servers are all busy makes a connection wait; so long is enough to know.
const POOLER_PATIENCE: Duration = Duration::from_secs(5);

/// How many other connections are kept busy: a transaction pooler hands our server to one of them, unless it has more
/// idle ones than that.
const OTHER_CONNECTIONS: usize = 4;

const OBSERVING: &str = "a statement failed";

/// Whether the connection is encrypted, and the server verified.
pub(super) async fn tls(target: &Target) -> Finding {
    let (mode, is_local) = (target.tls.mode, is_local(target));
    let without = match mode {
        TlsMode::Allow | TlsMode::Prefer if !is_local => insisting(target).await.err().map(|error| error.to_string()),
        _ => None,
    };
    judge_tls(mode, is_local, without.as_deref())
}

/// `without` is the error of a connection that required TLS.
fn judge_tls(mode: TlsMode, is_local: bool, without: Option<&str>) -> Finding {
    const CHECK: &str = "TLS";
    const VERIFY: &str = "set sslmode=verify-full and sslrootcert=FILE in DATABASE_URL (README.md, step 3)";
    match (mode, without) {
        (TlsMode::VerifyFull, _) => {
            Finding::ok(CHECK, "in use; certificate and host name are verified (sslmode=verify-full)")
        }
        (TlsMode::VerifyCa, _) => {
            Finding::ok(CHECK, "in use; the certificate is verified, the host name is not (sslmode=verify-ca)")
        }
        _ if is_local => Finding::ok(CHECK, "the server is on this machine: nothing passes over a network"),
        (TlsMode::Require, _) => {
            Finding::warn(CHECK, "in use, but nobody verifies who is at the other end (sslmode=require)", VERIFY)
        }
        (TlsMode::Disable, _) => {
            Finding::warn(CHECK, "not in use: everything passes readable (sslmode=disable)", VERIFY)
        }
        (TlsMode::Allow, None) => {
            Finding::warn(CHECK, "not in use where the server does without, though it has it (sslmode=allow)", VERIFY)
        }
        (TlsMode::Prefer, None) => Finding::warn(
            CHECK,
            "in use, but nobody insists on it or verifies who is at the other end (sslmode=prefer)",
            VERIFY,
        ),
        (TlsMode::Allow | TlsMode::Prefer, Some(error)) => {
            Finding::warn(CHECK, format!("not in use: everything passes readable ({error})"), VERIFY)
        }
    }
}

/// Connects with TLS required: the driver does not tell what it settled on by itself.
async fn insisting(target: &Target) -> Result<Client, StoreError> {
    let mut target = target.clone();
    target.tls.mode = TlsMode::Require;
    dial(&target).await
}

fn is_local(target: &Target) -> bool {
    let is_loopback =
        |name: &str| name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    target.places.iter().all(|place| match (place.get_hostaddrs(), place.get_hosts()) {
        ([address, ..], _) => address.is_loopback(),
        ([], [Host::Tcp(name), ..]) => is_loopback(name),
        _ => is_socket(place),
    })
}

impl Store {
    /// The server's version, and whether it takes writes.
    pub(super) async fn server(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "server";
        let doing = "could not ask the server for its version";
        let statement = "select current_setting('server_version'), current_database()::text, current_user::text,
                current_setting('server_version_num')::integer, pg_is_in_recovery(),
                current_setting('default_transaction_read_only') = 'on'";
        let rows = self.rows(doing, statement, params![]).await?;
        let Some(row) = rows.first::<(String, String, String, i32, bool, bool)>()? else {
            return Ok(Finding::ok(CHECK, "says nothing"));
        };
        let (version, database, user, number, is_replica, is_read_only) = row;
        let found = format!("Postgres {version}, database {database}, user {user}");
        Ok(if number < OLDEST_SERVER {
            Finding::fail(CHECK, found, "wix-sync needs Postgres 14 or newer")
        } else if is_replica {
            Finding::fail(CHECK, format!("{found}: a replica, which takes no writes"), "connect to the primary")
        } else if is_read_only {
            Finding::fail(
                CHECK,
                format!("{found}: read-only (default_transaction_read_only)"),
                "use another role; a Supabase project over its disk limit is made read-only",
            )
        } else {
            Finding::ok(CHECK, found)
        })
    }

    pub(super) async fn statement_timeout(&self) -> Result<Finding, StoreError> {
        const CHECK: &str = "statement time-out";
        let doing = "could not read statement_timeout";
        let statement = "select reset_val::bigint, current_setting('statement_timeout')
             from pg_catalog.pg_settings where name = 'statement_timeout'";
        let rows = self.rows(doing, statement, params![]).await?;
        let Some((milliseconds, shown)) = rows.first::<(i64, String)>()? else {
            return Ok(Finding::ok(CHECK, "unknown"));
        };
        Ok(match milliseconds {
            0 => Finding::ok(CHECK, "none"),
            1..SHORT_TIMEOUT_MS => Finding::warn(
                CHECK,
                format!("{shown} (statement_timeout): short for a batch on a busy server"),
                "alter role ... set statement_timeout = '2min', or a smaller --batch-size",
            ),
            _ => Finding::ok(CHECK, format!("{shown} (statement_timeout)")),
        })
    }

    /// Whether a pooler lends us a server for each transaction. Everything works either way; but who looks for
    /// the cause of something else wants to know.
    pub(super) async fn pooler(&self) -> Finding {
        const CHECK: &str = "pooler";
        match timeout(POOLER_PATIENCE, self.observe_pooler()).await {
            Ok(Ok(Pooler::Transaction)) => {
                Finding::ok(CHECK, "in transaction mode: each transaction gets another server, which is fine")
            }
            Ok(Ok(Pooler::Session)) => {
                Finding::ok(CHECK, "there is one, not in transaction mode as far as can be seen, which is fine")
            }
            Ok(Ok(Pooler::None)) => Finding::ok(CHECK, "none, or one in session mode, as far as can be seen"),
            // SQLSTATE 08P01 or none of Postgres's: a pooler that lends a server for a statement only says so.
            Ok(Err(error)) if error.to_string().contains("transaction blocks not allowed") => Finding::fail(
                CHECK,
                "in statement mode, which allows no transactions",
                "connect to a pooler in transaction or session mode, or to the server itself",
            ),
            Ok(Err(error)) => Finding::ok(CHECK, format!("could not tell: {error}")),
            Err(_) => Finding::ok(CHECK, "could not tell: no further connection was served in time"),
        }
    }

    /// Keeps other connections of ours busy within transactions, and looks whether they get the server that was
    /// ours a moment ago, or we another one. A server that was started before we came shows a pooler as well.
    async fn observe_pooler(&self) -> Result<Pooler, StoreError> {
        let own = self.own_server().await?;
        let mut is_reused = false;
        let mut busy = Vec::new();
        for _ in 0..OTHER_CONNECTIONS {
            let rows = self.rows(OBSERVING, "select clock_timestamp()", params![]).await?;
            let asked_at: Option<DateTime<Utc>> = rows.value()?;
            // Its transaction ends with the connection: nothing is left behind, and nothing was changed.
            let client = self.another_in_transaction().await?;
            let rows = Rows::of(OBSERVING, client.query_typed(SERVER_PROCESS, &[]).await)?;
            let other = ServerProcess::of(&rows)?;
            busy.push(client);
            // Before we ask again: a pool of one server has none left for us now.
            if other.pid == own.pid || self.own_server().await?.pid != own.pid {
                return Ok(Pooler::Transaction);
            }
            is_reused |= matches!((other.started_at, asked_at), (Some(started), Some(asked)) if started < asked);
        }
        for client in &busy {
            client.batch_execute("rollback").await.map_err(StoreError::database(OBSERVING))?;
        }
        Ok(if is_reused { Pooler::Session } else { Pooler::None })
    }

    async fn own_server(&self) -> Result<ServerProcess, StoreError> {
        ServerProcess::of(&self.rows(OBSERVING, SERVER_PROCESS, params![]).await?)
    }
}

enum Pooler {
    /// It lends a server for a transaction.
    Transaction,
    /// It lends a server for as long as we are connected.
    Session,
    /// No pooler, or one that does not show.
    None,
}

struct ServerProcess {
    pid: i32,
    started_at: Option<DateTime<Utc>>,
}

const SERVER_PROCESS: &str =
    "select pg_backend_pid(), (select backend_start from pg_catalog.pg_stat_activity where pid = pg_backend_pid())";

impl ServerProcess {
    fn of(rows: &Rows) -> Result<ServerProcess, StoreError> {
        let (pid, started_at) = rows.first()?.unwrap_or_default();
        Ok(ServerProcess { pid, started_at })
    }
}

#[cfg(test)]
mod tests {
    use super::{is_local, judge_tls};
    use crate::database::DatabaseSettings;
    use crate::finding::Mark;
    use crate::secret::Secret;
    use crate::store::target::Target;
    use crate::store::tls::TlsMode;

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
            assert_eq!(judge_tls(mode, is_local, None).mark, mark, "{mode:?}");
        }
        assert!(judge_tls(TlsMode::Prefer, false, None).found.starts_with("in use"));
        let without = judge_tls(TlsMode::Prefer, false, Some("the server has none"));
        assert!(without.found.starts_with("not in use") && without.found.contains("the server has none"));
    }

    #[test]
    fn sockets_and_loopback_addresses_are_on_this_machine() {
        for (url, expected) in [
            ("postgresql:///d?host=/run/postgresql", true),
            ("postgresql://u@localhost/d", true),
            ("postgresql://u@127.0.0.1/d", true),
            ("postgresql://u@[::1]/d", true),
            ("postgresql://u@db.example.com/d", false),
            ("postgresql://u@localhost,db.example.com/d", false),
        ] {
            let settings = DatabaseSettings {
                url: Some(("DATABASE_URL", Secret::new(url))),
                account: Some("u".to_owned()),
                ..Default::default()
            };
            assert_eq!(is_local(&Target::resolve(&settings).unwrap()), expected, "{url}");
        }
    }
}
