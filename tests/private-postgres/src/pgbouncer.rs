//! A real PgBouncer in front of a private server, reached over a unix socket of its own.
//!
//! It is as strict as the ones in production: unknown startup parameters are refused, and in transaction
//! mode a connection's session state is another's at the next transaction. A pool hands back the same
//! server connection while nobody else is busy, so a test of misuse needs several busy clients.

use crate::{
    Server, account,
    error::{Error, Result},
    leash::{Held, Leash},
    obtain, scratch, url,
};
use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// The port in the socket's name: PgBouncer's usual one.
const PORT: u16 = 6432;

/// How long a start may take before it counts as failed.
const START_LIMIT: Duration = Duration::from_secs(30);

/// When a client gives its server connection back to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// When it disconnects.
    Session,
    /// At the end of each transaction.
    Transaction,
    /// At the end of each statement.
    Statement,
}

/// A running PgBouncer. Dropping it stops it and removes its directory, as a killed owner does too.
#[derive(Debug)]
pub struct PgBouncer {
    leash: Leash,
    dir: PathBuf,
}

impl PgBouncer {
    /// Starts a pooler for every database of the server; `settings` are lines of its `[pgbouncer]` section.
    ///
    /// Where pgbouncer is missing it is installed, which is said on stderr. Every role of the server may
    /// connect, without a password. The pooler may outlive the server; its clients then get errors.
    pub fn start(server: &Server, mode: PoolMode, settings: &[(&str, &str)]) -> Result<Self> {
        let program = obtain::pgbouncer()?;
        let mut problem = Error::new("no temporary directory has a path short enough for a socket");
        for dir in scratch::new_dirs() {
            let command = vec![program.clone().into(), dir.join("pgbouncer.ini").into()];
            let log = dir.join("log");
            let held = Held { dir: Some(&dir), template: None, last_signal: "KILL", log: &log, command };
            let leash = Leash::new(held)?;
            let mut bouncer = Self { leash, dir };
            match bouncer.leash.make() {
                Ok(()) => return bouncer.launch(server, mode, settings).map(|()| bouncer),
                Err(e) => problem = e,
            }
        }
        Err(problem)
    }

    /// A libpq URL of a database through the pooler, as the superuser `postgres`.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// A libpq URL of a database through the pooler, as `role`.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        url::socket(role, database, &self.dir, PORT)
    }

    /// The directory of the pooler's unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the pooler's process is alive.
    pub fn is_running(&self) -> bool {
        self.leash.is_running()
    }

    /// Everything that it has printed; empty when there is nothing to read.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }

    fn launch(&mut self, server: &Server, mode: PoolMode, settings: &[(&str, &str)]) -> Result<()> {
        account::write_file(&self.dir.join("users.txt"), b"\"postgres\" \"\"\n")?;
        let ini = self.ini(server, mode, settings);
        account::write_file(&self.dir.join("pgbouncer.ini"), ini.as_bytes())?;
        self.leash.start()?;
        let begun = Instant::now();
        while UnixStream::connect(self.dir.join(format!(".s.PGSQL.{PORT}"))).is_err() {
            if !self.leash.is_running() || begun.elapsed() > START_LIMIT {
                let log = self.leash.log_of_this_start();
                return Err(Error::new(format!("pgbouncer did not start:\n{log}")));
            }
            sleep(Duration::from_millis(4));
        }
        Ok(())
    }

    fn ini(&self, server: &Server, mode: PoolMode, settings: &[(&str, &str)]) -> String {
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        };
        let (dir, sockets, port) = (self.dir.display(), server.socket_dir().display(), server.port());
        let lines: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        format!(
            "[databases]\n* = host={sockets} port={port}\n\n\
             [pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {dir}\npool_mode = {mode}\n\
             auth_type = trust\nauth_file = {dir}/users.txt\nauth_user = postgres\n{lines}"
        )
    }
}
