//! The account of the server. PostgreSQL refuses to run as root, so root runs everything that touches the data as
//! `postgres` or `nobody`; other users run it as themselves.
//!
//! Directories and files of a server are created by commands under that account, never created by root and then handed
//! over: root must not follow links that another process of the account may have put there.

use crate::error::{Error, Result};
use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, lchown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output, Stdio},
};

/// The uid and gid to switch to, or `None` if the current user is used.
fn change_to() -> Result<Option<(u32, u32)>> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|e| Error::io("cannot read /etc/passwd", e))?;
    let find = |name: &str| {
        passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|f| f[0] == name)
            .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
    };
    find("postgres").or_else(|| find("nobody")).map(Some).ok_or_else(|| {
        Error::new("running as root, and there is no account 'postgres' or 'nobody' to run PostgreSQL under")
    })
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The uid that the servers of this process run under.
pub(crate) fn uid() -> Result<u32> {
    Ok(change_to()?.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid))
}

/// The PATH if the caller has none.
const USUAL_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// A command under the account, with a bare environment and a working directory that it can read. It has the caller's
/// PATH, so that a check which restricts the PATH of the tests also restricts what their servers start.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = change_to()? {
        command.uid(uid).gid(gid); // std clears the supplementary groups with it
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    command.env_clear().env("PATH", path).env("LC_ALL", "C").env("TZ", "UTC");
    command.current_dir("/");
    Ok(command)
}

/// Runs a command without input until it ends. An error contains the last lines of its output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|e| Error::io(format!("cannot run {name}"), e))?;
    finished(&name, &output)
}

/// The standard output of a finished command, or an error with the last lines of its output.
pub(crate) fn finished(name: &str, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let text = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Err(Error::new(format!("{name} failed ({}):\n{}", output.status, last_lines(&text, 15))))
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Writes a file as the account, readable by it alone.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<()> {
    let failed = |e| Error::io(format!("cannot write {}", path.display()), e);
    let mut command = command("/bin/sh")?;
    command.args(["-c", r#"umask 077 && rm -f "$1" && cat >"$1""#, "write"]).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(contents).map_err(failed)?;
    }
    finished("writing a file", &child.wait_with_output().map_err(failed)?).map(|_| ())
}

/// Ensures that a directory exists and belongs to the account alone (mode 0700).
pub(crate) fn own_dir(dir: &Path) -> Result<()> {
    // Another process may create it at the same moment, so a failure matters only if the directory is then still
    // missing.
    let made = if dir.exists() { Ok(String::new()) } else { run(command("mkdir")?.args(["-m", "700"]).arg(dir)) };
    let Ok(meta) = fs::symlink_metadata(dir) else {
        return made.map(|_| ());
    };
    if meta.is_dir() && meta.uid() == uid()? && meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(format!("{} is not a private directory of uid {}", dir.display(), uid()?)))
}

/// Creates a permanent directory with its parents, and gives it to the account if it is new.
pub(crate) fn make_kept_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    let failed = |e| Error::io(format!("cannot make {}", dir.display()), e);
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::DirBuilder::new().mode(0o700).create(dir).map_err(failed)?;
    match change_to()? {
        Some((uid, gid)) => lchown(dir, Some(uid), Some(gid)).map_err(failed),
        None => Ok(()),
    }
}
