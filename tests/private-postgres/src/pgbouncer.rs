//! A real PgBouncer in front of a private server, reached over a unix socket of its own, and over TCP where
//! a test needs that (for TLS, which sockets do not have).
//!
//! It is as strict as the ones in production: unknown startup parameters are refused, and in transaction
//! mode a connection's session state is another's at the next transaction. A pool hands back the same
//! server connection while nobody else is busy, so a test of misuse needs several busy clients.

use crate::{
    Server, account,
    builder::free_port,
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

/// The port in the socket's name where no TCP port is asked for: PgBouncer's usual one.
const PORT: u16 = 6432;

/// How often a TCP start is tried again with another port: one found free may be taken a moment later.
const PORT_ATTEMPTS: u32 = 5;

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

/// The choices for a pooler; [`PgBouncer::builder`] makes one with the defaults.
#[derive(Debug, Clone)]
pub struct PgBouncerBuilder {
    mode: PoolMode,
    settings: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    tcp: bool,
}

impl PgBouncerBuilder {
    /// A line of the `[pgbouncer]` section; of two for one name the later counts. `{dir}` in the value is
    /// the directory of [`file`](Self::file).
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// A file in the pooler's directory, readable by the pooler alone: a certificate and its key, or a
    /// `users.txt` in place of the one that lets everyone in.
    pub fn file(mut self, name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), contents.into()));
        self
    }

    /// Also listens on 127.0.0.1, on a free port.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Starts the pooler for every database of the server and waits until it takes connections.
    ///
    /// Where pgbouncer is missing it is installed, which is said on stderr. Every role of the server may
    /// connect, without a password. The pooler may outlive the server; its clients then get errors.
    pub fn start(self, server: &Server) -> Result<PgBouncer> {
        let program = obtain::pgbouncer()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.start_on(server, &program, if self.tcp { free_port()? } else { PORT }) {
                Err(e) if self.tcp && attempts < PORT_ATTEMPTS && e.to_string().contains("in use") => {}
                result => return result,
            }
        }
    }

    fn start_on(&self, server: &Server, program: &Path, port: u16) -> Result<PgBouncer> {
        let mut problem = Error::new("no temporary directory has a path short enough for a socket");
        for dir in scratch::new_dirs() {
            let command = vec![program.into(), dir.join("pgbouncer.ini").into()];
            let log = dir.join("log");
            let held = Held { dir: Some(&dir), template: None, last_signal: "KILL", log: &log, command };
            let leash = Leash::new(held)?;
            let mut bouncer = PgBouncer { leash, dir, port, tcp: self.tcp };
            match bouncer.leash.make() {
                Ok(()) => return bouncer.launch(server, self).map(|()| bouncer),
                Err(e) => problem = e,
            }
        }
        Err(problem)
    }
}

/// A running PgBouncer. Dropping it stops it and removes its directory, as a killed owner does too.
#[derive(Debug)]
pub struct PgBouncer {
    leash: Leash,
    dir: PathBuf,
    port: u16,
    tcp: bool,
}

impl PgBouncer {
    /// Starts a pooler; `settings` are lines of its `[pgbouncer]` section.
    pub fn start(server: &Server, mode: PoolMode, settings: &[(&str, &str)]) -> Result<Self> {
        let builder = Self::builder(mode);
        settings.iter().fold(builder, |builder, (name, value)| builder.setting(*name, *value)).start(server)
    }

    /// Everything that can be chosen about a pooler.
    pub fn builder(mode: PoolMode) -> PgBouncerBuilder {
        PgBouncerBuilder { mode, settings: Vec::new(), files: Vec::new(), tcp: false }
    }

    /// A libpq URL of a database through the pooler, as the superuser `postgres`.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// A libpq URL of a database through the pooler, as `role`.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        url::socket(role, database, &self.dir, self.port)
    }

    /// The port: of the socket's name, and on loopback with `tcp()`.
    pub fn port(&self) -> u16 {
        self.port
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

    fn launch(&mut self, server: &Server, builder: &PgBouncerBuilder) -> Result<()> {
        account::write_file(&self.dir.join("users.txt"), b"\"postgres\" \"\"\n")?;
        for (name, contents) in &builder.files {
            account::write_file(&self.dir.join(name), contents)?;
        }
        let ini = self.ini(server, builder);
        account::write_file(&self.dir.join("pgbouncer.ini"), ini.as_bytes())?;
        self.leash.start()?;
        let begun = Instant::now();
        while UnixStream::connect(self.dir.join(format!(".s.PGSQL.{}", self.port))).is_err() {
            if !self.leash.is_running() || begun.elapsed() > START_LIMIT {
                let log = self.leash.log_of_this_start();
                return Err(Error::new(format!("pgbouncer did not start:\n{log}")));
            }
            sleep(Duration::from_millis(4));
        }
        Ok(())
    }

    fn ini(&self, server: &Server, builder: &PgBouncerBuilder) -> String {
        let mode = match builder.mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        };
        let (dir, sockets) = (self.dir.display().to_string(), server.socket_dir().display());
        let (own_port, port) = (self.port, server.port());
        let listen = if self.tcp { "listen_addr = 127.0.0.1\n" } else { "" };
        let line = |(name, value): &(String, String)| format!("{name} = {}\n", value.replace("{dir}", &dir));
        let lines: String = builder.settings.iter().map(line).collect();
        format!(
            "[databases]\n* = host={sockets} port={port}\n\n\
             [pgbouncer]\nlisten_port = {own_port}\n{listen}unix_socket_dir = {dir}\npool_mode = {mode}\n\
             auth_type = trust\nauth_file = {dir}/users.txt\nauth_user = postgres\n{lines}"
        )
    }
}
