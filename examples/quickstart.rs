//! The main job from nothing, for real: a private Postgres, a simulated Wix site, and wix-sync between them.
//!
//! `cargo run --release --example quickstart` starts both, then runs `wix-sync` four times: migrate, a first
//! sync, a second one after a few records have changed, status. The data stays: the last lines say how to look
//! at it. Nothing else of this machine is touched, and no variable of the caller's reaches `wix-sync`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demonstration talks to the person before it")]

#[path = "quickstart/kept.rs"]
mod kept;
#[path = "quickstart/picture.rs"]
mod picture;
#[path = "quickstart/program.rs"]
mod program;
#[path = "quickstart/signals.rs"]
mod signals;
#[path = "quickstart/site.rs"]
mod site;
#[path = "quickstart/table.rs"]
mod table;

use std::error::Error;
use std::process::{Command, ExitCode};

use kept::Kept;
use postgres::{Client, NoTls};
use program::Program;
use signals::Signals;

const USAGE: &str = "usage:
  quickstart                a first and a second sync of a simulated site into a private Postgres
  quickstart sql STATEMENT  runs SQL on the Postgres that quickstart left, and prints the rows
  quickstart psql [ARGS]    opens it with psql
  quickstart picture FILE   runs the quickstart on a terminal and draws its output as an SVG";

/// An error that is told to the person by its text alone.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // Started under that name, this is wix-sync, exactly as src/main.rs is.
    if program::is_wanted() {
        return wix_sync::cli::main();
    }
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("can't listen for Ctrl-C: {error}")),
    };
    let done = match words.as_slice() {
        [] => demonstrate(&signals),
        ["sql", statement] => query(statement),
        ["psql", rest @ ..] => open(&signals, rest),
        ["picture", file] => picture::draw(file),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    // The server is stopped by now, whatever happened.
    match (done, signals.received()) {
        (_, Some(signal)) => {
            eprintln!("quickstart: stopped, and the private Postgres with it");
            ExitCode::from(signal.exit_code())
        }
        (Ok(code), None) => code,
        (Err(error), None) => fail(&error.to_string()),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("quickstart: {problem}");
    ExitCode::FAILURE
}

fn demonstrate(signals: &Signals) -> Result<ExitCode> {
    let kept = Kept::lock()?;
    println!("Starting a private Postgres and a simulated Wix site ...");
    kept.empty()?;
    let server = kept.start()?;
    let sim = site::start()?;
    let program = Program::new(signals, kept.dir(), site::variables(&sim, &server.url("postgres")))?;
    let version = server.version().1.split(' ').next().unwrap_or_default();
    println!("Postgres {version} keeps its data in {}.", kept.dir().display());
    println!("The site has {}. Every answer takes {} ms.", site::describe(&sim), site::LATENCY.as_millis());
    println!("\nwhat wix-sync finds in its environment:");
    program.variables().iter().for_each(|(name, value)| println!("  {name}={value}"));

    program.run(&["migrate"])?;
    program.run(&["sync"])?;
    println!("\n{}", site::change(&sim));
    program.run(&["sync"])?;
    program.run(&["status"])?;

    println!("\n{}", site::compare(&sim, &mut Client::connect(&server.url("postgres"), NoTls)?)?);
    let cargo = if cfg!(debug_assertions) { "cargo run" } else { "cargo run --release" };
    println!("\nThe site is gone, the data stays. To look at it:");
    println!("  {cargo} --example quickstart -- sql \"select name, email from customers limit 9\"");
    if server.psql().is_some() {
        println!("  {cargo} --example quickstart -- psql");
    }
    Ok(ExitCode::SUCCESS)
}

fn query(statement: &str) -> Result<ExitCode> {
    let kept = Kept::lock_filled()?;
    let server = kept.start()?;
    let mut client = Client::connect(&server.url("postgres"), NoTls)?;
    let messages = client.simple_query(statement).map_err(|error| match error.as_db_error() {
        Some(refusal) => refusal.to_string(),
        None => error.to_string(),
    })?;
    table::print(&messages)?;
    Ok(ExitCode::SUCCESS)
}

fn open(signals: &Signals, arguments: &[&str]) -> Result<ExitCode> {
    let kept = Kept::lock_filled()?;
    let server = kept.start()?;
    let psql = server.psql().ok_or("psql is not installed; use `sql` in place of `psql`")?;
    let mut command = Command::new(psql);
    program::without_own_variables(&mut command);
    command.arg(server.url("postgres")).args(arguments);
    // Ctrl-C is psql's here: it cancels a statement.
    signals.ignore_interrupts();
    let status = signals.run(&mut command)?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
