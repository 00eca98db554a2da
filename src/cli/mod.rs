//! The commands. Each has its own file. This file selects the command and maps its result to an exit code.

mod args;
mod connect;
mod doctor;
mod errors;
mod failure;
mod help;
mod init;
mod logging;
mod migrate;
mod range;
mod serve;
mod session;
mod shell;
mod signals;
mod status;
mod sync;
mod values;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::config::{Environment, nearest_variable};
use crate::exit::Exit;
use crate::report;
use args::{Args, Command, ErrorsCommand, LogFormat};
use failure::Failure;
use logging::Console;
use session::Invocation;

/// The whole program.
pub fn main() -> ExitCode {
    // On wrong usage, clap prints a message and exits with 2.
    let args = Args::try_parse().unwrap_or_else(|error| shell::explain(error).exit());
    let console = logging::start(&args.global);
    let result = run(&args, &console);
    console.clear();
    let exit = match result {
        Ok(exit) => {
            if args.global.log_format == LogFormat::Json && console.is_run() {
                report::log_exit(exit as u8);
            }
            exit
        }
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

fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    if is_run(&args.command) {
        // Log lines before the start of the run also contain its id.
        console.run_id();
    }
    let environment = match &args.command {
        // These commands need no environment, so an unreadable `.env` must not stop them.
        Command::Completions(_) | Command::Man(_) => Environment::default(),
        Command::Init(_) => match args.global.env_file.as_deref() {
            // The file may not exist yet.
            Some(file) => Environment::load_or_new(file)?,
            None => Environment::load(None)?,
        },
        _ => Environment::load(args.global.env_file.as_deref())?,
    };
    // `doctor` reports unknown variables as one of its checks.
    if !matches!(args.command, Command::Doctor(_)) {
        warn_of_unknown(&environment);
    }
    // More threads would use more memory: each keeps some of the memory that it has freed.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(2).enable_all().build()?;
    let invocation = Invocation { global: &args.global, environment: &environment, console };
    runtime.block_on(async {
        match &args.command {
            Command::Sync(command) => sync::run(&invocation, command).await,
            Command::Status(command) => status::run(&args.global, command, &environment).await,
            Command::Doctor(command) => doctor::run(&args.global, command, &environment).await,
            Command::Verify(command) => verify::run(&invocation, command).await,
            Command::Errors(command) => errors::run(&invocation, command).await,
            Command::Serve(command) => serve::run(&invocation, command).await,
            Command::Init(command) => init::run(&invocation, command).await,
            Command::Migrate(command) => migrate::run(&args.global, command, &environment).await,
            Command::Completions(command) => shell::completions(command),
            Command::Man(command) => shell::man(command),
        }
    })
}

/// Whether a command is recorded in `sync_logs`. `verify --repair` is recorded only if it finds something to repair.
fn is_run(command: &Command) -> bool {
    match command {
        Command::Sync(args) => !args.dry_run,
        Command::Errors(args) => matches!(args.command, Some(ErrorsCommand::Retry(_))),
        _ => false,
    }
}

/// Warns about variables with a typing error in their name, because they have no effect.
fn warn_of_unknown(environment: &Environment) {
    for name in environment.unknown() {
        match nearest_variable(name) {
            Some(nearest) => {
                tracing::warn!("the variable {name} is unknown and has no effect; did you mean {nearest}?")
            }
            None => tracing::warn!("the variable {name} is unknown and has no effect"),
        }
    }
}
