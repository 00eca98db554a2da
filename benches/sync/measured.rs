//! A process run to its end, and what it used.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::Result;

/// What a process used.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it held. The kernel counts what this process held when it started the other, too: a few MB,
    /// for which reason nothing large is kept here.
    pub(crate) peak_bytes: u64,
    /// What it printed.
    pub(crate) stdout: String,
}

/// Runs a command; an error unless it ends with exit code 0.
pub(crate) fn run(command: &mut Command) -> Result<Usage> {
    let name = command.get_program().display().to_string();
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|e| format!("{name}: {e}"))?;
    let mut stdout = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout)?;
    }
    let used = child.wait4()?;
    let wall = begun.elapsed();
    if !used.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        return Err(format!("`{name} {}` failed: {}\n{stdout}", arguments.join(" "), used.status).into());
    }
    Ok(Usage { wall, cpu: used.rusage.utime + used.rusage.stime, peak_bytes: used.rusage.maxrss, stdout })
}
