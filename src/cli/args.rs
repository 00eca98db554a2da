//! The command line, as clap reads it: no side effects, no defaults that depend on the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::help;
use super::values::{Target, number, parse_duration, parse_sync_type, target_names};
use crate::config::{MAX_BATCH_SIZE, MAX_RATE_LIMIT, MAX_RETRIES, MAX_RETRY_DELAY};

/// Copies a Wix site's contacts, bookings and orders into Postgres and keeps them up to date.
#[derive(Debug, Parser)]
#[command(name = "wix-sync", version, about, after_help = help::PROGRAM, max_term_width = 100)]
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
    /// Connection string of the Postgres database, in libpq's form [env: DATABASE_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub database_url: Option<String>,
    /// File with variables, one NAME=value per line [default: .env in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub env_file: Option<PathBuf>,
    /// Schema of the tables [default: the first one of the search path] [env: WIX_SYNC_SCHEMA]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub schema: Option<String>,
    /// Format of log lines
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, help_heading = "Global options")]
    pub log_format: LogFormat,
    /// Log requests, retries and batches; -vv logs more details
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Print only errors, and what was left out for the first time; with every command. --json still prints its JSON
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Print lines instead of progress bars, also on a terminal
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_progress: bool,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copy new and changed records from Wix into the tables
    #[command(after_help = help::SYNC)]
    Sync(SyncArgs),
    /// Show the tables and the last runs, or one run in detail
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Serve triggers, status and a status page over HTTP, and run syncs on a schedule
    #[command(after_help = help::SERVE)]
    Serve(ServeArgs),
    /// Ask for site, credentials and database, test them, and write a .env file
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    /// Create the tables or bring them up to date; safe to repeat
    #[command(after_help = help::MIGRATE)]
    Migrate(MigrateArgs),
    /// Check credentials, permissions, database and tables; change nothing
    #[command(after_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Compare all records in Wix with the tables and list the differences
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// List rejected records, or try them again
    #[command(after_help = help::ERRORS)]
    Errors(ErrorsArgs),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the main man page, or write one per command
    #[command(after_help = help::MAN)]
    Man(ManArgs),
}

/// Arguments of `sync`.
#[derive(Debug, ClapArgs)]
pub struct SyncArgs {
    /// customers, appointments, orders or all; several may be named [default: all]
    #[arg(value_enum, hide_possible_values = true, value_name = "TABLE", value_delimiter = ',')]
    pub targets: Vec<Target>,
    /// Only appointments that start at this time or later: a date, RFC 3339, or 7d for 7 days ago
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Only appointments that start at this time or earlier; a date includes that day
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
    /// Full sync: read all records, not only changed ones
    #[arg(long, conflicts_with_all = ["start", "end"])]
    pub full: bool,
    #[command(flatten)]
    pub full_sync: FullSyncArgs,
    /// Show what a sync would write, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete rows that Wix no longer has even if they are more than 10 % of a table
    #[arg(long)]
    pub allow_mass_delete: bool,
    /// Write changes even if more than 10 % of a table's rows lose the same part, such as contact details
    #[arg(long)]
    pub allow_mass_changes: bool,
    /// Delete finished runs from sync_logs after this time, except the last success of each type; 0 means never
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub keep_logs: Duration,
    /// Stop after this time; the next run continues from there
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub time_limit: Option<Duration>,
    /// Rows per transaction [default: 1000] [env: WIX_SYNC_BATCH_SIZE]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<1, MAX_BATCH_SIZE>)]
    pub batch_size: Option<u32>,
    /// Maximum number of retries of a failed request [default: 3] [env: WIX_SYNC_MAX_RETRIES]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<0, MAX_RETRIES>)]
    pub max_retries: Option<u32>,
    /// Delay before the first retry, in milliseconds; it doubles with each retry [default: 1000] [env: WIX_SYNC_RETRY_DELAY_MS]
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = number::<0, MAX_RETRY_DELAY>)]
    pub retry_delay: Option<u32>,
    /// Maximum number of requests to Wix per minute; 0 means no limit [default: 200] [env: WIX_RATE_LIMIT]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<0, MAX_RATE_LIMIT>)]
    pub rate_limit: Option<u32>,
    /// Write metrics of the run to this file, in Prometheus text format
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Print the result of the run as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// Show this run in detail: its id or a unique prefix
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Maximum number of runs
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true, value_parser = number::<1, 10_000>)]
    pub limit: u32,
    /// Only runs of this type: customers, appointments, orders, all, or several tables with commas
    #[arg(long, value_name = "TYPE", value_parser = parse_sync_type)]
    pub sync_type: Option<String>,
    /// Only runs with this status
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(["running", "completed", "failed"]))]
    pub status: Option<String>,
    /// Exit with code 5 if any table's last successful sync is older than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "run")]
    pub max_age: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// Table
    #[arg(
        value_enum,
        hide_possible_values = true,
        value_name = target_names(),
        default_value = "all"
    )]
    pub target: Target,
    /// Fetch the records that are missing or different, in a run of its own
    #[arg(long)]
    pub repair: bool,
    /// With --repair: delete rows that Wix no longer has even if they are more than 10 % of a table
    #[arg(long, requires = "repair")]
    pub allow_mass_delete: bool,
    /// Maximum number of requests to Wix per minute; 0 means no limit [default: 200] [env: WIX_RATE_LIMIT]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<0, MAX_RATE_LIMIT>)]
    pub rate_limit: Option<u32>,
    /// Print the differences, or with --repair the result of the run, as one JSON object
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
    /// Used without a subcommand.
    #[command(flatten)]
    pub list: ListErrorsArgs,
}

/// What to do with rejected records.
#[derive(Debug, Subcommand)]
pub enum ErrorsCommand {
    /// List rejected records with the reason
    List(ListErrorsArgs),
    /// Look each one up in Wix again and write it, in a run of its own
    Retry(RetryErrorsArgs),
}

/// Arguments of `errors list`.
#[derive(Debug, ClapArgs)]
pub struct ListErrorsArgs {
    /// Maximum number of records, the most recent first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ERRORS_LIMIT, allow_negative_numbers = true, value_parser = number::<1, 100_000>)]
    pub limit: u32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const DEFAULT_ERRORS_LIMIT: u32 = 50;

/// Arguments of `errors retry`.
#[derive(Debug, ClapArgs)]
pub struct RetryErrorsArgs {
    /// Table [default: all]
    #[arg(value_enum, hide_possible_values = true, value_name = target_names())]
    pub target: Option<Target>,
    /// Maximum number of requests to Wix per minute; 0 means no limit [default: 200] [env: WIX_RATE_LIMIT]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<0, MAX_RATE_LIMIT>)]
    pub rate_limit: Option<u32>,
    /// Print the result of the run as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// When full syncs start. `sync` and `serve` have these flags.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct FullSyncArgs {
    /// Start a full sync if the last one is older than this; 0 means never
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    pub full_every: Duration,
    /// Minimum time between two drift checks, which compare Wix's count with the table and start a full sync if they
    /// keep differing; 0 means never
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub check_every: Duration,
}

/// Arguments of `serve`.
#[derive(Debug, ClapArgs)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 means any free port. Addresses other than loopback need WIX_SYNC_SERVE_TOKEN
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Sync all tables at this interval, the first time at once [default: only when triggered]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub every: Option<Duration>,
    #[command(flatten)]
    pub full_sync: FullSyncArgs,
    /// Delete finished runs from sync_logs after this time, except the last success of each type; 0 means never
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub keep_logs: Duration,
}

/// Arguments of `init`.
#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// The site's id [env: WIX_SITE_ID]
    #[arg(long, value_name = "ID")]
    pub site_id: Option<String>,
    /// An API key; other users can see flags, so better use the variable [env: WIX_API_TOKEN]
    #[arg(long, value_name = "KEY", conflicts_with_all = ["app_id", "app_secret", "instance_id"])]
    pub api_key: Option<String>,
    /// Instead of an API key: the app's id [env: WIX_APP_ID]
    #[arg(long, value_name = "ID")]
    pub app_id: Option<String>,
    /// The app's secret; better use the variable [env: WIX_APP_SECRET]
    #[arg(long, value_name = "SECRET")]
    pub app_secret: Option<String>,
    /// The id of the app's installation on the site [env: WIX_APP_INSTANCE_ID]
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// Run `migrate` afterwards
    #[arg(long, conflicts_with = "no_migrate")]
    pub migrate: bool,
    /// Do not offer to run `migrate`
    #[arg(long, conflicts_with = "sync")]
    pub no_migrate: bool,
    /// Run `migrate` and a first `sync` afterwards
    #[arg(long, conflicts_with = "no_sync")]
    pub sync: bool,
    /// Do not offer to run `sync`
    #[arg(long)]
    pub no_sync: bool,
    /// Ask nothing: take the given values, then run `migrate` and `sync`
    #[arg(short, long)]
    pub yes: bool,
    /// Replace values that the .env file has
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `migrate`.
#[derive(Debug, ClapArgs)]
pub struct MigrateArgs {
    /// Adopt existing tables even if Supabase's public roles can read or change them
    #[arg(long)]
    pub keep_policies: bool,

    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that completion scripts exist for.
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
    /// Write one page per command into this directory [default: print the main page]
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Args::command().debug_assert();
    }
}
