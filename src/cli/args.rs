//! The command line, as clap reads it: no side effects, no defaults that depend on the environment.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::help;
use crate::table::Table;

/// Keeps the Postgres tables customers, appointments and orders as Wix has them.
#[derive(Debug, Parser)]
#[command(name = "wix-sync", version, about, after_help = help::EXIT_CODES, max_term_width = 100)]
pub struct Args {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, ClapArgs)]
pub struct GlobalArgs {
    /// Postgres, as libpq users write it [env: DATABASE_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub database_url: Option<String>,
    /// File with variables, one NAME=value per line [default: .env in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub env_file: Option<PathBuf>,
    /// Where the tables live; default: the first schema of the search path [env: WIX_SYNC_SCHEMA]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub schema: Option<String>,
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, help_heading = "Global options")]
    pub log_format: LogFormat,
    /// Log requests, retries, waits and batches; twice logs more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Print only errors, and what was left out for the first time; with every command. --json still prints its JSON
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Lines instead of bars, also on a terminal
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_progress: bool,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read Wix, write Postgres, and record the run in sync_logs
    #[command(after_help = help::SYNC)]
    Sync(SyncArgs),
    /// Show the last runs and the state of each table, or one run in detail
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Bring the schema up to date; safe to repeat
    #[command(after_help = help::MIGRATE)]
    Migrate(MigrateArgs),
    /// Check credentials, permissions, database and tables; changes nothing
    #[command(after_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Compare everything in Wix with the tables, and say what differs
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Show the records that could not be written, or try them again
    #[command(after_help = help::ERRORS)]
    Errors(ErrorsArgs),
    /// Print a script that completes commands and flags in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the main man page, or write one for each command
    #[command(after_help = help::MAN)]
    Man(ManArgs),
}

/// Which tables to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Table(&'static Table),
    All,
}

const TARGETS: [Target; Table::ALL.len() + 1] = {
    let mut targets = [Target::All; Table::ALL.len() + 1];
    let mut index = 0;
    while index < Table::ALL.len() {
        targets[index] = Target::Table(Table::ALL[index]);
        index += 1;
    }
    targets
};

/// All targets, as usage lines name them.
fn target_names() -> &'static str {
    static NAMES: LazyLock<String> = LazyLock::new(|| TARGETS.map(Target::name).join("|"));
    &NAMES
}

impl ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Target] {
        &TARGETS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Target::Table(table) => table.records,
            Target::All => "All of them, in this order",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl Target {
    /// The tables that these name, in the order in which they are synced; no target means all.
    pub fn tables(targets: &[Target]) -> Vec<&'static Table> {
        let is_named =
            |table: &&'static Table| targets.contains(&Target::Table(table)) || targets.contains(&Target::All);
        Table::ALL.into_iter().filter(|table| targets.is_empty() || is_named(table)).collect()
    }

    /// `sync_logs.sync_type` of a run of these: the names of its tables, separated by commas, or `all`.
    pub fn sync_type(targets: &[Target]) -> String {
        match Target::tables(targets) {
            tables if tables.len() == Table::ALL.len() => Target::All.name().to_owned(),
            tables => tables.iter().map(|table| table.name).collect::<Vec<_>>().join(","),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Target::Table(table) => table.name,
            Target::All => "all",
        }
    }
}

/// A type of run, as `sync_logs.sync_type` writes it.
fn parse_sync_type(text: &str) -> Result<String, String> {
    let target = |name: &str| TARGETS.into_iter().find(|target| target.name() == name.trim());
    let targets: Option<Vec<Target>> = text.split(',').map(target).collect();
    targets
        .map(|targets| Target::sync_type(&targets))
        .ok_or_else(|| format!("not a type of run: use {}, or several tables such as customers,orders", target_names()))
}

/// Arguments of `sync`.
#[derive(Debug, ClapArgs)]
pub struct SyncArgs {
    /// customers, appointments, orders or all; several may be named [default: all]
    #[arg(value_enum, hide_possible_values = true, value_name = "TABLE", value_delimiter = ',')]
    pub targets: Vec<Target>,
    /// Only appointments that begin at this time or later: a date (UTC) or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Only appointments that begin at this time or earlier; a date includes that day
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
    /// Read everything, also what did not change
    #[arg(long, conflicts_with_all = ["start", "end"])]
    pub full: bool,
    /// Read everything when the last time is longer ago than this; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    pub full_every: Duration,
    /// Compare Wix's own counts with the tables at most this often; a difference that lasts reads everything; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub check_every: Duration,
    /// Only say what would be written; write nothing at all
    #[arg(long)]
    pub dry_run: bool,
    /// Let rows go that Wix no longer lists, also if they are more than a tenth of the table
    #[arg(long)]
    pub allow_mass_delete: bool,
    /// Write changes by which more than a tenth of the rows lose a part of their records, such as contact details
    #[arg(long)]
    pub allow_mass_changes: bool,
    /// Delete ended runs from sync_logs after this time, but the last success of each type; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub keep_logs: Duration,
    /// Stop after this time, with everything kept; the next run goes on from there
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub time_limit: Option<Duration>,
    /// Rows a transaction [default: 1000] [env: WIX_SYNC_BATCH_SIZE]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<u32>,
    /// How often a failed request is sent again [default: 3] [env: WIX_SYNC_MAX_RETRIES]
    #[arg(long, value_name = "N")]
    pub max_retries: Option<u32>,
    /// The first wait before that, in milliseconds; it grows [default: 1000] [env: WIX_SYNC_RETRY_DELAY_MS]
    #[arg(long, value_name = "MS")]
    pub retry_delay: Option<u32>,
    /// Requests a minute; 0 is no limit [default: 200] [env: WIX_RATE_LIMIT]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,
    /// Write the run's metrics to this file, in Prometheus's text format
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Print the run's result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// One run in detail: its id, or any unique beginning of it
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// At most so many runs
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Only runs of this type
    #[arg(long, value_name = "TYPE", value_parser = parse_sync_type)]
    pub sync_type: Option<String>,
    /// Only runs with this status
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(["running", "completed", "failed"]))]
    pub status: Option<String>,
    /// End with exit code 5 if a table that runs were to sync had its last success longer ago, or never
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "run")]
    pub max_age: Option<Duration>,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// Which table
    #[arg(
        value_enum,
        hide_possible_values = true,
        value_name = target_names(),
        default_value = "all"
    )]
    pub target: Target,
    /// Fetch just what is missing or differs; the run is recorded in sync_logs
    #[arg(long)]
    pub repair: bool,
    /// With --repair: believe Wix also where more than a tenth of a table is gone
    #[arg(long, requires = "repair")]
    pub allow_mass_delete: bool,
    /// Requests a minute; 0 is no limit [default: 200] [env: WIX_RATE_LIMIT]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,
    /// Print one JSON object on stdout: what was found or, with --repair, the run's result
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `errors`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ErrorsArgs {
    /// Default: list.
    #[command(subcommand)]
    pub command: Option<ErrorsCommand>,
    /// Those of the default.
    #[command(flatten)]
    pub list: ListErrorsArgs,
}

/// What to do with the records that could not be written.
#[derive(Debug, Subcommand)]
pub enum ErrorsCommand {
    /// Show them, with their reasons
    List(ListErrorsArgs),
    /// Ask Wix for each again and write it; the run is recorded in sync_logs
    Retry(RetryErrorsArgs),
}

/// Arguments of `errors list`.
#[derive(Debug, ClapArgs)]
pub struct ListErrorsArgs {
    /// At most so many, those that failed last first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ERRORS_LIMIT, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

const DEFAULT_ERRORS_LIMIT: u32 = 50;

/// Arguments of `errors retry`.
#[derive(Debug, ClapArgs)]
pub struct RetryErrorsArgs {
    /// Which table; default: all
    #[arg(value_enum, hide_possible_values = true, value_name = target_names())]
    pub target: Option<Target>,
    /// Requests a minute; 0 is no limit [default: 200] [env: WIX_RATE_LIMIT]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,
    /// Print the run's result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `migrate`.
#[derive(Debug, ClapArgs)]
pub struct MigrateArgs {
    /// Adopt tables although Supabase's public roles can read or change them
    #[arg(long)]
    pub keep_policies: bool,

    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that can be taught to complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// Arguments of `man`.
#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// Write a page for each command into this directory; default: print the main page
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
}

/// `90s`, `30min`, `2h`, `7d`, or combinations such as `1h 30min`; also `0`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text.trim()).map_err(|_| "a duration is such as 90s, 30min, 2h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Target, parse_sync_type};
    use crate::table::{APPOINTMENTS, CUSTOMERS, ORDERS};

    #[test]
    fn the_command_line_is_sound() {
        super::Args::command().debug_assert();
    }

    #[test]
    fn several_targets_are_tables_in_order_without_duplicates() {
        let [customers, appointments, orders] = [&CUSTOMERS, &APPOINTMENTS, &ORDERS].map(Target::Table);
        for (targets, expected) in [
            (&[][..], "all"),
            (&[Target::All], "all"),
            (&[orders], "orders"),
            (&[orders, customers, orders], "customers,orders"),
            (&[orders, Target::All], "all"),
            (&[orders, appointments, customers], "all"),
        ] {
            assert_eq!(Target::sync_type(targets), expected, "{targets:?}");
        }
        assert_eq!(parse_sync_type("orders, customers").as_deref(), Ok("customers,orders"));
        assert!(parse_sync_type("orders,").is_err());
    }
}
