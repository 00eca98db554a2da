//! Options of a server, and its creation: binaries, directory, data, settings.

use crate::{
    Binaries, Server, account,
    error::{Error, Result},
    leash::{Held, Leash},
    scratch,
};
use std::{
    ffi::{OsStr, OsString},
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf, absolute},
    sync::Mutex,
};

/// The port in the socket's name if no TCP port is used.
const SOCKET_PORT: u16 = 5432;

/// Maximum attempts of a TCP start, each with another port: a free port may be taken a moment later.
const PORT_ATTEMPTS: u32 = 5;

/// Settings of every server.
const ALWAYS: &[&str] = &["log_min_messages=warning"];

/// The data does not outlive the server, so it need not be flushed or vacuumed.
const NOT_DURABLE: &[&str] = &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"];

/// Small enough for many servers side by side; `mmap` keeps shared memory in the directory that is removed.
const THROWAWAY: &[&str] = &["shared_buffers=16MB", "max_connections=50", "dynamic_shared_memory_type=mmap"];

/// The options of a server; [`Server::builder`] starts with the defaults.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    environment: Vec<OsString>,
    tcp: bool,
    durable: bool,
    keep: Option<PathBuf>,
    binaries: Option<PathBuf>,
    version: Option<String>,
}

impl Builder {
    /// A server setting, as `-c NAME=VALUE` sets it. If a name is set twice, the last value counts.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// A file written into the data directory before the start, readable by the server alone: `server.crt`
    /// and `server.key` for `ssl=on`, or a `pg_hba.conf` in place of the trusting one.
    pub fn data_file(mut self, name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), contents.into()));
        self
    }

    /// A variable of the server's environment, which is bare otherwise.
    pub fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut entry = OsString::from(name);
        entry.push("=");
        entry.push(value);
        self.environment.push(entry);
        self
    }

    /// Also listens on 127.0.0.1, on a free port, where it trusts everyone on this machine.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Leaves fsync, full page writes and autovacuum on, as in production.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Keeps the data in this directory (made if missing) and starts again on what it holds. Implies
    /// [`durable`](Self::durable). As root the directory's parents must be searchable by the account
    /// `postgres` or `nobody`, which a directory below root's home is not.
    pub fn keep(mut self, dir: impl Into<PathBuf>) -> Self {
        self.keep = Some(dir.into());
        self
    }

    /// Uses the binaries in this directory.
    pub fn binaries(mut self, dir: impl Into<PathBuf>) -> Self {
        self.binaries = Some(dir.into());
        self
    }

    /// Uses this version, a major (`17`) or a whole one (`17.10`), whatever the environment asks for.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(self) -> Result<Server> {
        let binaries = self.find_binaries()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.start_on(&binaries, if self.tcp { free_port()? } else { SOCKET_PORT }) {
                Err(e) if self.tcp && attempts < PORT_ATTEMPTS && e.to_string().contains("Address already in use") => {}
                result => return result,
            }
        }
    }

    fn find_binaries(&self) -> Result<Binaries> {
        match (&self.binaries, &self.version, &self.keep) {
            (Some(dir), ..) => Binaries::at(dir),
            (None, Some(version), _) => Binaries::obtain_version(version),
            // Existing data decides which version can read it.
            (None, None, Some(keep)) => match fs::read_to_string(keep.join("data/PG_VERSION")) {
                Ok(major) => Binaries::obtain_version(major.trim()),
                Err(_) => Binaries::obtain(),
            },
            (None, None, None) => Binaries::obtain(),
        }
    }

    fn start_on(&self, binaries: &Binaries, port: u16) -> Result<Server> {
        match &self.keep {
            Some(keep) => self.start_kept(binaries, keep, port),
            None => self.start_throwaway(binaries, port),
        }
    }

    fn start_throwaway(&self, binaries: &Binaries, port: u16) -> Result<Server> {
        let template = scratch::template(binaries)?;
        let mut problem = Error::new("no temporary directory has a path short enough for a socket");
        for dir in scratch::new_dirs() {
            let (data, log) = (dir.join("data"), dir.join("log"));
            let command = self.command(binaries, &data, &dir, port);
            let mut leash = Leash::new(Held {
                dir: Some(&dir),
                template: Some(&template.data),
                last_signal: "QUIT", // at once: nobody reads this data again
                log: &log,
                command,
            })?;
            match leash.make() {
                Ok(()) => {
                    drop(template);
                    return self.launch(Server {
                        binaries: binaries.clone(),
                        leash: Mutex::new(leash),
                        data,
                        sockets: dir,
                        log,
                        port,
                        tcp: self.tcp,
                    });
                }
                Err(e) => problem = e, // full, read-only or out of the account's reach: the next one
            }
        }
        Err(problem)
    }

    fn start_kept(&self, binaries: &Binaries, keep: &Path, port: u16) -> Result<Server> {
        let keep = absolute(keep).map_err(|e| Error::io(format!("cannot use {}", keep.display()), e))?;
        account::make_kept_dir(&keep)?;
        let (data, log) = (keep.join("data"), keep.join("log"));
        if !data.join("PG_VERSION").exists() {
            scratch::initdb(binaries, &data, &[])?;
        }
        // The path of a deep directory is too long for the socket: a temporary directory holds it.
        let short = if scratch::holds_socket(&keep) { None } else { scratch::new_dirs().pop() };
        let command = self.command(binaries, &data, short.as_ref().unwrap_or(&keep), port);
        let held = Held { dir: short.as_deref(), template: None, last_signal: "INT", log: &log, command };
        let mut leash = Leash::new(held)?;
        if short.is_some() {
            leash.make()?;
        }
        self.launch(Server {
            binaries: binaries.clone(),
            leash: Mutex::new(leash),
            data,
            sockets: short.unwrap_or(keep),
            log,
            port,
            tcp: self.tcp,
        })
    }

    fn launch(&self, server: Server) -> Result<Server> {
        for (name, contents) in &self.files {
            account::write_file(&server.data.join(name), contents)?;
        }
        server.first_launch()?;
        Ok(server)
    }

    fn command(&self, binaries: &Binaries, data: &Path, sockets: &Path, port: u16) -> Vec<OsString> {
        let mut command: Vec<OsString> = Vec::new();
        if !self.environment.is_empty() {
            command.push("/usr/bin/env".into());
            command.extend(self.environment.iter().cloned());
        }
        command.extend([binaries.dir().join("postgres").into(), "-D".into(), data.into()]);
        let mut add = |setting: OsString| command.extend(["-c".into(), setting]);
        let mut socket_setting = OsString::from("unix_socket_directories=");
        socket_setting.push(sockets);
        add(socket_setting);
        add(format!("port={port}").into());
        add(format!("listen_addresses={}", if self.tcp { "127.0.0.1" } else { "" }).into());
        let mut fixed = ALWAYS.to_vec();
        if self.keep.is_none() {
            fixed.extend(THROWAWAY);
            if !self.durable {
                fixed.extend(NOT_DURABLE);
            }
        }
        fixed.into_iter().for_each(|setting| add(setting.into()));
        self.settings.iter().for_each(|(name, value)| add(format!("{name}={value}").into()));
        command
    }
}

/// A port that is free now. Another process may take it before the server does.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|e| Error::io("cannot listen on 127.0.0.1", e))
}
