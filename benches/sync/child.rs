//! The benchmark's own executable as another process, and what processes inherit.

use std::process::Command;

use crate::Result;

/// In the environment of this executable where it is started in another part.
pub(crate) const CHILD_MARK: &str = "WIX_SYNC_BENCH_CHILD";

/// This executable as a process of its own, with the words of another part.
pub(crate) fn own(part: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD_MARK, "1").arg(part);
    Ok(command)
}

/// Keeps the caller's own settings of wix-sync, Postgres and proxies from a command.
pub(crate) fn without_own_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("WIX_") || text.starts_with("PG") || text == "DATABASE_URL" || text.ends_with("_PROXY") {
            command.env_remove(&name);
        }
    }
}
