//! Runs wix-sync as a process of its own, with an environment of its own.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::signals::Signals;

const NAME: &str = "wix-sync";

/// Whether this process was started as wix-sync.
///
/// The program is all in the library, so this executable holds it: started under that name it is the program,
/// built from the same source in the same moment.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// wix-sync, ready to be run.
pub(crate) struct Program<'a> {
    executable: PathBuf,
    signals: &'a Signals,
    dir: &'a Path,
    variables: Vec<(&'static str, String)>,
}

impl<'a> Program<'a> {
    /// `dir` is the working directory: one without a `.env`, which wix-sync would read.
    pub(crate) fn new(
        signals: &'a Signals,
        dir: &'a Path,
        variables: Vec<(&'static str, String)>,
    ) -> Result<Program<'a>> {
        Ok(Program { executable: std::env::current_exe()?, signals, dir, variables })
    }

    /// What it finds in its environment.
    pub(crate) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// Runs it to its end, on the caller's terminal; an error unless it ends with exit code 0.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        self.signals.check()?;
        let shown = format!("{NAME} {}", arguments.join(" "));
        println!("\n$ {shown}");
        let mut command = Command::new(&self.executable);
        without_own_variables(&mut command);
        command.arg0(NAME).args(arguments).current_dir(self.dir);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let status = self.signals.run(&mut command)?;
        self.signals.check()?;
        if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}").into()) }
    }
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
