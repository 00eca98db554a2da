//! `wix-sync completions` and `wix-sync man`, made from the definition of the command line. Also the hint about a word
//! that other programs use.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Failure;
use super::args::{Args, CompletionsArgs, ManArgs, Shell};
use crate::exit::Exit;
use crate::report;

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut Args::command(), "wix-sync", &mut script);
    // In its script for bash, clap_complete 4.6 spells the commands of a program with a dash in its name in two ways,
    // and then finds none of them.
    let script = String::from_utf8_lossy(&script).replace("wix__subcmd__sync__subcmd__", "wix__sync__subcmd__");
    report::print_file(script.as_bytes())?;
    Ok(Exit::Done)
}

/// Writes a page for each command into a directory, or prints the main one.
pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    // `help` needs no page: each command has its own.
    let command = Args::command().disable_help_subcommand(true);
    match &args.directory {
        Some(directory) => write_pages(command, directory).map_err(|error| Failure {
            exit: Exit::Failed,
            error,
            hint: Some("the directory must be writable for this user".to_owned()),
        })?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            report::print_file(&page)?;
        }
    }
    Ok(Exit::Done)
}

fn write_pages(command: clap::Command, directory: &Path) -> anyhow::Result<()> {
    let place = || format!("could not write man pages into {}", directory.display());
    fs::create_dir_all(directory).with_context(place)?;
    clap_mangen::generate_to(command, directory).with_context(place)
}

/// Words that Wix, people and other programs use, and ours for them.
const OTHER_WORDS: [(&[&str], &str); 8] = [
    (
        &["contact", "contacts", "client", "clients", "member", "members"],
        "Wix's contacts go into the table 'customers'",
    ),
    (&["booking", "bookings", "session", "sessions"], "Wix's bookings go into the table 'appointments'"),
    (
        &["purchase", "purchases", "sale", "sales", "ecommerce", "ecom"],
        "Wix's eCommerce orders go into the table 'orders'",
    ),
    (&["everything", "*", "full", "tables"], "all three tables are 'all'"),
    (&["success", "succeeded", "successful", "ok", "done", "complete"], "a run that ended well is 'completed'"),
    (&["error", "errors", "failure", "fail", "aborted"], "a run that did not is 'failed'"),
    (&["active", "started", "pending", "run"], "a run at work is 'running'"),
    (&["text/plain", "plain", "human", "pretty"], "lines for people are 'text'"),
];

/// Adds our word to an error about a value that is another program's word, if the argument takes ours.
pub(super) fn suggest(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidValue {
        return error;
    }
    let (Some(ContextValue::String(value)), Some(ContextValue::Strings(valid))) =
        (error.get(ContextKind::InvalidValue), error.get(ContextKind::ValidValue))
    else {
        return error;
    };
    let value = value.to_lowercase();
    let meant = OTHER_WORDS.iter().find(|(words, sentence)| {
        words.contains(&value.as_str()) && valid.iter().any(|valid| sentence.contains(&format!("'{valid}'")))
    });
    if let Some((_, sentence)) = meant {
        error.remove(ContextKind::SuggestedValue);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*sentence)]));
    }
    error
}
