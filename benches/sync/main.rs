//! Measures wix-sync as a user meets it: whole processes, between a simulated site and a private Postgres that keeps
//! its data on disk as a production server does.
//!
//! `cargo bench --bench sync` measures the passes against `\copy` of the same rows, `cargo bench --bench sync --
//! latency` how much of the request budget is used where every answer takes its time, and `... -- memory` the peak memory of
//! lists without an order. Nothing has to be installed.
//! BENCHMARKS.md tells what the numbers mean and keeps those that were measured.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to the person before it")]

mod child;
mod copy;
mod database;
mod latency;
mod load;
mod machine;
mod measured;
mod memory;
mod program;
mod simulator;
mod step;
mod summary;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An error that is told to the person by its text alone.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures wix-sync between a simulated Wix site and a private Postgres.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench sync --", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    load: load::Arguments,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// A first load where every answer of Wix takes its time, against the bound that the request budget sets
    Latency(latency::Arguments),
    /// Peak memory where Wix gives the records no order, or one date to many of them
    Memory(memory::Arguments),
    /// The simulated site, in a process of its own
    #[command(hide = true)]
    Simulator(simulator::Arguments),
    /// `\copy` where there is no psql
    #[command(hide = true)]
    Copy(copy::Arguments),
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    // Cargo says so to every benchmark, and `cargo test --benches` does not.
    let is_benchmark = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| argument != "--bench");
    let is_own_child = std::env::var_os(child::CHILD_MARK).is_some();
    if !is_benchmark && !is_own_child {
        println!("nothing is measured without --bench");
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse_from(arguments);
    let done = match &arguments.mode {
        None => load::measure(&arguments.load),
        Some(Mode::Latency(arguments)) => latency::measure(arguments),
        Some(Mode::Memory(arguments)) => memory::measure(arguments),
        Some(Mode::Simulator(arguments)) => simulator::serve(arguments),
        Some(Mode::Copy(arguments)) => copy::serve(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}
