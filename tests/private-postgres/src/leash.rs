//! The leash: one shell process per server, which starts it, stops it and removes its directory when the owner drops
//! the leash, ends, panics or is killed. `leash.sh` describes the protocol.
//!
//! Its own process group keeps a terminal's Ctrl-C from the server. It inherits only the two pipes to the shell, so no
//! test runner waits for a descriptor that a server still holds.

use crate::{
    account,
    error::{Error, Result},
};
use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The parameters of a leash.
pub(crate) struct Held<'a> {
    /// The directory that `make` creates and that is removed with the leash; `None`: nothing is removed.
    pub(crate) dir: Option<&'a Path>,
    /// A directory that `make` copies to `data` in `dir`.
    pub(crate) template: Option<&'a Path>,
    /// The name of the signal that stops the server if the owner is gone.
    pub(crate) last_signal: &'a str,
    /// Where the server's output is appended.
    pub(crate) log: &'a Path,
    /// The server's program and its arguments.
    pub(crate) command: Vec<OsString>,
}

/// A running leash. Dropping it stops the server, removes the directory and waits for both.
#[derive(Debug)]
pub(crate) struct Leash {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: PathBuf,
    log_start: usize,
    server: Option<String>,
}

impl Leash {
    /// Starts the shell, not yet the server.
    pub(crate) fn new(held: Held<'_>) -> Result<Self> {
        let failed = |e| Error::io("cannot start /bin/sh", e);
        let mut command = account::command("/bin/sh")?;
        command.process_group(0).args(["-c", include_str!("leash.sh"), "private-postgres-leash"]);
        command.arg(held.dir.unwrap_or(Path::new(""))).arg(held.template.unwrap_or(Path::new("")));
        command.arg(held.last_signal).arg(held.log).args(held.command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let words = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| Error::new("/bin/sh has no output"))?;
        let log = held.log.to_owned();
        Ok(Self { child, words, answers: BufReader::new(stdout), log, log_start: 0, server: None })
    }

    fn ask(&mut self, word: &str) -> Result<String> {
        let failed = |e| Error::io(format!("the shell that holds the server did not answer '{word}'"), e);
        let Some(words) = &mut self.words else {
            return Err(Error::new("the server was let go"));
        };
        words.write_all(format!("{word}\n").as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer).map_err(failed)? == 0 {
            return Err(Error::new(format!("the shell that holds the server ended before '{word}'")));
        }
        Ok(answer.trim().to_owned())
    }

    /// Makes the directory and copies the template.
    pub(crate) fn make(&mut self) -> Result<()> {
        match self.ask("make")? {
            answer if answer == "ok" => Ok(()),
            problem => Err(Error::new(problem)),
        }
    }

    /// Starts the server's process and returns its process id, before the server is ready.
    pub(crate) fn start(&mut self) -> Result<String> {
        self.log_start = fs::metadata(&self.log).map_or(0, |meta| meta.len() as usize);
        let server = self.ask("start")?;
        self.server = Some(server.clone());
        Ok(server)
    }

    /// Sends a signal (`INT`, `QUIT`, `KILL`) to the server and waits until it has ended.
    pub(crate) fn halt(&mut self, signal: &str) -> Result<()> {
        self.ask(signal)?;
        self.server = None;
        Ok(())
    }

    /// Whether the server's process is alive. If it ended by itself it stays a zombie until it is stopped here.
    pub(crate) fn is_running(&self) -> bool {
        let Some(server) = &self.server else {
            return false;
        };
        if Path::new("/proc/self/stat").exists() {
            // pid (name) state ...; the name may hold any character
            let stat = fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
            return stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']));
        }
        let state = Command::new("ps").args(["-o", "stat=", "-p", server]).output();
        state.is_ok_and(|out| out.stdout.first().is_some_and(|state| !matches!(state, b'Z' | b'\n')))
    }

    /// The server's output since its last start.
    pub(crate) fn log_of_this_start(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.log_start..).unwrap_or_default()).into_owned()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.words.take());
        // The shell ends by itself; a failed wait means that it is already gone.
        let _ = self.child.wait();
    }
}
