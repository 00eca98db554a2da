//! The private Postgres of a benchmark: on disk and durable, as in production, and what it did in the meantime.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use private_postgres::Server;

use crate::Result;
use crate::machine::cpu_of_family;
use crate::measured::run;
use crate::program::wix_sync;

const NAME: &str = "wix-sync-bench";

/// How long the backends of a client that has ended may take to end too.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// A server, a directory that is removed at the end, and a connection to look at both.
pub(crate) struct Postgres {
    dir: PathBuf,
    client: Client,
    server: Option<Server>,
    _lock: File,
}

/// What the server has done since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// CPU time of all its processes, where the system tells.
    pub(crate) cpu: Option<Duration>,
    /// Write-ahead log, in bytes.
    pub(crate) wal_bytes: u64,
}

impl Postgres {
    /// Starts a server with its data below `dir`, or else where there is a disk that it can use.
    pub(crate) fn start(dir: Option<&Path>) -> Result<Postgres> {
        let parent = dir.map_or_else(default_dir, |dir| Ok(dir.to_owned()))?;
        let dir = std::path::absolute(parent)?.join(NAME);
        let failed = |error| format!("can't use {}: {error}", dir.display());
        fs::create_dir_all(&dir).map_err(failed)?;
        // Postgres does not run as root, and its account has to pass through here. Its own directory is closed.
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).map_err(failed)?;
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("another benchmark is at work in {}", dir.display()).into());
            }
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        let data = dir.join("postgres");
        remove(&data)?;
        let server = Server::builder().keep(&data).start()?;
        let client = Client::connect(&server.url("postgres"), NoTls)?;
        Ok(Postgres { dir, client, server: Some(server), _lock: lock })
    }

    /// Where files may be put that go at the end.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server.
    pub(crate) fn server(&self) -> Result<&Server> {
        Ok(self.server.as_ref().ok_or("the server is stopped")?)
    }

    /// An empty database with the tables of wix-sync; its URL.
    pub(crate) fn create(&mut self, database: &str) -> Result<String> {
        let url = self.create_empty(database)?;
        run(wix_sync(&self.dir, &url).args(["-q", "migrate"]))?;
        Ok(url)
    }

    /// An empty database; its URL.
    pub(crate) fn create_empty(&mut self, database: &str) -> Result<String> {
        self.client.batch_execute(&format!("drop database if exists {database}"))?;
        self.client.batch_execute(&format!("create database {database}"))?;
        Ok(self.server()?.url(database))
    }

    /// Writes a checkpoint, so that every step begins alike, and waits for the backends of earlier steps to end.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.wait_for_backends()?;
        Ok(self.client.batch_execute("checkpoint")?)
    }

    /// What the server has done so far, after the backends of a step have ended.
    pub(crate) fn done(&mut self) -> Result<Done> {
        self.wait_for_backends()?;
        let statement = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
        let wal: i64 = self.client.query_one(statement, &[])?.get(0);
        let pid = fs::read_to_string(self.server()?.data_dir().join("postmaster.pid"))?;
        let pid = pid.lines().next().and_then(|line| line.trim().parse().ok());
        Ok(Done { cpu: pid.and_then(cpu_of_family), wal_bytes: wal.try_into()? })
    }

    fn wait_for_backends(&mut self) -> Result<()> {
        const OTHERS: &str = "select count(*) from pg_stat_activity \
                              where backend_type = 'client backend' and pid <> pg_backend_pid()";
        let begun = Instant::now();
        while self.client.query_one(OTHERS, &[])?.get::<_, i64>(0) > 0 {
            if begun.elapsed() > SETTLE_LIMIT {
                return Err("a connection of an earlier step is still open".into());
            }
            sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.server.take());
        // What can't be removed is removed by the next benchmark.
        let _ = remove(&self.dir);
    }
}

/// The build directory is on a disk. Root's files may be out of reach for the account that Postgres runs under.
fn default_dir() -> Result<PathBuf> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    Ok(if is_root { PathBuf::from("/var/lib") } else { PathBuf::from(env!("CARGO_TARGET_TMPDIR")) })
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("can't remove {}: {error}", dir.display()).into())
        }
        _ => Ok(()),
    }
}
