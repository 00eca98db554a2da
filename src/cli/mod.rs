//! The commands. Each has a file; this one picks it and maps outcomes to exit codes.

mod args;
mod doctor;
mod errors;
mod exit;
mod help;
mod logging;
mod migrate;
mod shell;
mod signals;
mod site;
mod status;
mod sync;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::config::{ConfigError, DatabaseConfig, Environment};
use crate::report;
use crate::store::{Store, StoreError, Target};
use args::{Args, Command, GlobalArgs, LogFormat};
use exit::Exit;

/// The whole program.
pub fn main() -> ExitCode {
    // Wrong usage ends here with clap's message and exit code 2.
    let args = Args::try_parse().unwrap_or_else(|error| shell::suggest(error).exit());
    let exit = match run(&args) {
        Ok(exit) => exit,
        Err(failure) => {
            let (error, hint) = (&failure.error, failure.hint.as_deref());
            match args.global.log_format {
                LogFormat::Text => report::print_error(error, hint),
                LogFormat::Json => report::log_error(error, hint, failure.exit as u8),
            }
            failure.exit
        }
    };
    exit.into()
}

/// A command that could not do its work.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure { exit: Exit::Usage, hint: error.hint.clone(), error: error.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let exit = match &error {
            StoreError::Locked { .. } => Exit::Locked,
            error if error.is_configuration() => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure { exit, hint: error.hint(), error: error.into() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure { exit: Exit::Failed, hint: None, error: error.into() }
    }
}

fn run(args: &Args) -> Result<Exit, Failure> {
    let console = logging::start(&args.global);
    let environment = match &args.command {
        // These need no environment, and an unreadable `.env` must not stop them.
        Command::Completions(_) | Command::Man(_) => Environment::default(),
        _ => Environment::load()?,
    };
    // Each thread keeps some of the memory that it has freed.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match &args.command {
            Command::Sync(command) => sync::run(&args.global, command, &environment, &console).await,
            Command::Status(command) => status::run(&args.global, command, &environment).await,
            Command::Doctor(command) => doctor::run(&args.global, command, &environment).await,
            Command::Verify(command) => verify::run(&args.global, command, &environment, &console).await,
            Command::Errors(command) => errors::run(&args.global, command, &environment, &console).await,
            Command::Migrate(command) => migrate::run(&args.global, command, &environment).await,
            Command::Completions(command) => shell::completions(command),
            Command::Man(command) => shell::man(command),
        }
    })
}

async fn connect(global: &GlobalArgs, environment: &Environment) -> Result<Store, Failure> {
    let database = DatabaseConfig::resolve(environment, global.database_url.as_deref(), global.schema.as_deref())?;
    let target = Target::resolve(&database.settings).map_err(StoreError::BadUrl)?;
    Ok(Store::connect(target, database.schema.as_deref()).await?)
}

/// An error of Postgres is explained if the tables were changed by hand.
async fn explained<T>(store: &Store, result: Result<T, StoreError>) -> Result<T, Failure> {
    match result {
        Err(error @ StoreError::Database { .. }) => Err(store.explain(error).await.into()),
        other => Ok(other?),
    }
}
