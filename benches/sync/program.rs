//! The processes that a benchmark starts: wix-sync, and its own executable in another part.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::measured::{Usage, run};
use crate::simulator::Simulator;

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

/// wix-sync as Cargo built it for this benchmark, on a database; `dir` has no `.env`, which it would read.
pub(crate) fn wix_sync(dir: &Path, database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wix-sync"));
    without_own_variables(&mut command);
    command.current_dir(dir).env("DATABASE_URL", database_url);
    command
}

/// What became of the records of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
}

/// Runs `wix-sync sync` on a simulated site.
pub(crate) fn sync(
    dir: &Path,
    database_url: &str,
    simulator: &Simulator,
    rate_limit: usize,
    arguments: &[&str],
) -> Result<(Usage, Counts)> {
    let mut command = wix_sync(dir, database_url);
    command.envs(simulator.variables()).env("WIX_RATE_LIMIT", rate_limit.to_string());
    command.args(["-q", "sync"]).args(arguments).args(["--json", "--no-progress"]);
    let usage = run(&mut command)?;
    let result: Value = serde_json::from_str(&usage.stdout)?;
    let sum = |name: &str| {
        let tables = result["results"].as_object().into_iter().flat_map(|tables| tables.values());
        tables.filter_map(|table| table[name].as_u64()).sum()
    };
    let counts = Counts { inserted: sum("inserted"), updated: sum("updated"), unchanged: sum("unchanged") };
    Ok((usage, counts))
}

/// Runs another program that does a first load.
pub(crate) fn other(dir: &Path, database_url: &str, simulator: &Simulator, command: &str) -> Result<Usage> {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().ok_or("--against needs a command")?);
    without_own_variables(&mut command);
    let value = |name: &str| simulator.variables().find(|(of, _)| *of == name).map_or("", |(_, value)| value);
    command.args(words).args(["WIX_API_BASE_URL", "WIX_API_TOKEN", "WIX_SITE_ID"].map(value)).arg(database_url);
    run(command.current_dir(dir))
}
