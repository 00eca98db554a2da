//! A private PostgreSQL server: start, stop, restart, and the URLs to reach it.
//!
//! It listens on a unix socket in a directory that only its account can enter, and trusts whoever gets
//! there. With [`Builder::tcp`](crate::Builder::tcp) it also trusts everyone on this machine's loopback
//! address: use that only where a test needs it.

use crate::{
    Binaries, Builder,
    error::{Error, Result},
    leash::Leash,
    url,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a start may take, recovery after a kill included, before it counts as failed.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long a start is tried again while a server that was just killed still holds the directory.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(10);

/// A running server. Dropping it stops the server and, unless it was kept, removes its data; the same
/// happens when the process that holds it panics, exits or is killed.
#[derive(Debug)]
pub struct Server {
    pub(crate) binaries: Binaries,
    pub(crate) leash: Mutex<Leash>,
    pub(crate) data: PathBuf,
    pub(crate) sockets: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) port: u16,
    pub(crate) tcp: bool,
}

impl Server {
    /// Starts a throwaway server: newest installed version, unix socket only, nothing synced to disk.
    ///
    /// Where no server is installed it installs one first, saying so on stderr.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Everything that can be chosen about a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A libpq URL of a database, as the superuser `postgres`, over the unix socket.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// A libpq URL of a database, as `role`, over the unix socket.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        url::socket(role, database, &self.sockets, self.port)
    }

    /// A libpq URL of a database, as the superuser `postgres`, over loopback; `None` without `tcp()`.
    pub fn tcp_url(&self, database: &str) -> Option<String> {
        self.tcp.then(|| url::tcp("postgres", database, self.port))
    }

    /// The directory of the unix socket: what libpq calls the host.
    pub fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// The port: of the socket's name, and on loopback with `tcp()`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The binaries that it runs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The major version and the whole version text.
    pub fn version(&self) -> (u32, &str) {
        (self.binaries.major(), self.binaries.version())
    }

    /// `psql`, beside the binaries or on the PATH.
    pub fn psql(&self) -> Option<PathBuf> {
        self.binaries.psql()
    }

    /// Everything that the server has printed since it was made; empty when there is nothing to read.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether the server's process is alive.
    pub fn is_running(&self) -> bool {
        self.leash().is_running()
    }

    /// Stops the server cleanly (open connections are ended) and keeps its data for [`restart`](Self::restart).
    pub fn stop(&self) -> Result<()> {
        self.leash().halt("INT")
    }

    /// Kills every process of the server with SIGKILL, as a crash would; its data stays for [`restart`](Self::restart).
    pub fn kill_hard(&self) -> Result<()> {
        self.leash().halt("KILL")
    }

    /// Stops the server if it runs and starts it again on the same data and the same port.
    pub fn restart(&self) -> Result<()> {
        let mut leash = self.leash();
        leash.halt("INT")?;
        self.launch(&mut leash)
    }

    /// The first start of a server that was just put together.
    pub(crate) fn first_launch(&self) -> Result<()> {
        self.launch(&mut self.leash())
    }

    /// Starts the process and waits until it takes connections.
    fn launch(&self, leash: &mut Leash) -> Result<()> {
        let begun = Instant::now();
        loop {
            let Err(problem) = self.launch_once(leash) else {
                return Ok(());
            };
            leash.halt("KILL")?;
            // A killed server's last children, or a zombie of it, hold the directory for a moment.
            let taken = ["already exists", "still in use"].iter().any(|words| problem.contains(words));
            if !taken || begun.elapsed() > TAKEOVER_LIMIT {
                return Err(Error::new(format!("PostgreSQL did not start: {problem}")));
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// One attempt; an error is what the server printed.
    fn launch_once(&self, leash: &mut Leash) -> std::result::Result<(), String> {
        let pid = leash.start().map_err(|e| e.to_string())?;
        let begun = Instant::now();
        while !self.is_ready(&pid) {
            let waited = begun.elapsed();
            if !leash.is_running() || waited > START_LIMIT {
                return Err(format!("(after {} ms)\n{}", waited.as_millis(), leash.log_of_this_start()));
            }
            sleep(Duration::from_millis(4));
        }
        Ok(())
    }

    /// Line 1 of the file is the server's process (a crashed server's file names another), line 8 its state.
    fn is_ready(&self, pid: &str) -> bool {
        let file = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<_> = file.lines().map(str::trim).collect();
        lines.first() == Some(&pid) && lines.get(7) == Some(&"ready")
    }

    fn leash(&self) -> MutexGuard<'_, Leash> {
        // A panic elsewhere leaves the leash as it is: it has no state that could be half written.
        self.leash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
