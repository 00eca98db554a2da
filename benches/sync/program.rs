//! The programs that a benchmark measures: wix-sync, and others that do a first load.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::child::without_own_variables;
use crate::measured::{Usage, run};
use crate::simulator::Simulator;

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
