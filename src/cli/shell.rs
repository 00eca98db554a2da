//! `wix-sync completions` and `wix-sync man`, generated from the definition of the command line, and hints for wrong
//! arguments.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::{Args, CompletionsArgs, ManArgs, Shell};
use super::failure::Failure;
use super::help;
use crate::exit::Exit;
use crate::report;
use crate::table::Table;
use crate::visible;

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut Args::command(), "wix-sync", &mut script);
    // The bash script of clap_complete 4.6 spells the commands of a program with a dash in its name in two ways, and
    // then finds none of them.
    let script = String::from_utf8_lossy(&script).replace("wix__subcmd__sync__subcmd__", "wix__sync__subcmd__");
    report::print_file(script.as_bytes())?;
    Ok(Exit::Done)
}

/// Writes a page for each command into a directory, or prints the main page.
pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    // `help` needs no page: each command has its own.
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &args.directory else {
        report::print_file(&man_page(&command)?)?;
        return Ok(Exit::Done);
    };
    if !directory.is_dir() {
        return Err(Failure {
            exit: Exit::Usage,
            error: anyhow::anyhow!("{}: there is no such directory", directory.display()),
            hint: Some(format!("create it first: mkdir -p {}", directory.display())),
        });
    }
    write_pages(&command, directory).map_err(|error| Failure {
        exit: Exit::Failed,
        error,
        hint: Some("the directory must be writable for this user".to_owned()),
    })?;
    Ok(Exit::Done)
}

fn write_pages(command: &clap::Command, directory: &Path) -> anyhow::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, directory)?;
    }
    let path = directory.join(clap_mangen::Man::new(command.clone()).get_filename());
    fs::write(&path, man_page(command)?).with_context(|| format!("{} could not be written", path.display()))
}

/// A man page: the sections that clap_mangen generates from the flags, those of the help text, and those of all pages.
fn man_page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut sections = help_sections(&help);
    if !sections.iter().any(|(title, _)| title == "ENVIRONMENT") {
        sections.push(("ENVIRONMENT".to_owned(), help::MAN_ENVIRONMENT.to_owned()));
    }
    sections.push(("FILES".to_owned(), help::MAN_FILES.to_owned()));
    sections.push(("SEE ALSO".to_owned(), help::MAN_SEE_ALSO.to_owned()));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().after_help(Resettable::Reset)).render(&mut page)?;
    for (title, text) in sections {
        page.extend(format!(".SH \"{title}\"\n.nf\n{}.fi\n", roff(&text)).into_bytes());
    }
    Ok(page)
}

/// The sections of a help text. A heading is a line in capitals.
fn help_sections(help: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let is_heading =
            line.len() > 3 && line.chars().all(|character| character.is_ascii_uppercase() || character == ' ');
        match sections.last_mut() {
            _ if is_heading => sections.push((line.to_owned(), String::new())),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    for (_, text) in &mut sections {
        *text = text.trim_matches('\n').to_owned();
    }
    sections
}

/// Converts text to roff, with dashes that can be copied and without lines that look like requests.
fn roff(text: &str) -> String {
    let escape = |line: &str| format!("\\&{}\n", line.replace('\\', "\\e").replace('-', "\\-"));
    text.lines().map(escape).collect()
}

/// Words of Wix and other programs, with the hint that names our word.
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
    (&["success", "succeeded", "successful", "ok", "done", "complete"], "a successful run is 'completed'"),
    (&["error", "errors", "failure", "fail", "aborted"], "an unsuccessful run is 'failed'"),
    (&["active", "started", "pending", "run"], "a run in progress is 'running'"),
    (&["text/plain", "plain", "human", "pretty"], "lines for people are 'text'"),
];

/// Flags that switch off a safety limit. They are never suggested for a typing error.
const DANGEROUS: [&str; 4] = ["--allow-mass-delete", "--allow-mass-changes", "--keep-policies", "--repair"];

/// Replaces the library's words and suggestions in an error about the command line.
pub(super) fn explain(error: clap::Error) -> clap::Error {
    match error.kind() {
        ErrorKind::InvalidValue => suggest_word(error),
        ErrorKind::UnknownArgument => suggest_argument(error),
        ErrorKind::ValueValidation => name_value(error),
        _ => error,
    }
}

/// Names the flag and the value, with the reason from the value's parser.
fn name_value(error: clap::Error) -> clap::Error {
    let (Some(ContextValue::String(argument)), Some(ContextValue::String(value)), Some(reason)) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue), error.source())
    else {
        return error;
    };
    let flag = argument.split(' ').next().unwrap_or_default();
    let mut message = format!("`{flag} {}`: {reason}\n", visible::one_line(value));
    if flag == "--sync-type" {
        let names = Table::ALL.map(|table| table.name);
        let similar = || names.into_iter().find(|name| strsim::jaro_winkler(name, value) > MIN_SIMILARITY);
        let tip = other_word(value, &[&names[..], &["all"]].concat()).map(str::to_owned);
        let tip = tip.or_else(|| similar().map(|name| format!("did you mean '{name}'?")));
        message.extend(tip.map(|tip| format!("\n  tip: {tip}\n")));
    }
    clap::Error::raw(ErrorKind::ValueValidation, message)
}

/// Minimum similarity (Jaro-Winkler, 0 to 1) at which a word counts as a typing error of another.
const MIN_SIMILARITY: f64 = 0.8;

/// Removes dangerous suggestions, and adds a hint about table names.
fn suggest_argument(mut error: clap::Error) -> clap::Error {
    let is_dangerous = |name: &str| DANGEROUS.contains(&name.split([' ', '=']).next().unwrap_or_default());
    if matches!(error.get(ContextKind::SuggestedArg), Some(ContextValue::String(name)) if is_dangerous(name)) {
        error.remove(ContextKind::SuggestedArg);
    }
    // The tip to pass the argument as a value after `--` is never useful: none of our values starts with a dash.
    error.remove(ContextKind::Suggested);
    error.remove(ContextKind::TrailingArg);
    // The usage line also names the suggested flag.
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let harmless = DANGEROUS.iter().fold(usage.clone(), |usage, flag| usage.replace(flag, "[OPTIONS]"));
    error.insert(ContextKind::Usage, ContextValue::StyledStr(StyledStr::from(harmless)));
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let takes_tables = ["sync", "verify", "errors retry"].into_iter();
    let Some(command) = takes_tables.map(|name| format!("wix-sync {name}")).find(|name| usage.contains(name.as_str()))
    else {
        return error;
    };
    let argument = argument.trim_start_matches('-').to_owned();
    let tip = match argument.as_str() {
        "all" | "all-tables" => format!("all tables are `{command}` or `{command} all`"),
        "table" | "tables" => format!("tables are named without a flag: `{command} customers`"),
        name if Table::ALL.iter().any(|table| table.name == name) => {
            format!("tables are named without dashes: `{command} {name}`")
        }
        _ => return error,
    };
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

/// The hint for this word, if the argument accepts one of `valid`.
fn other_word<T: AsRef<str>>(value: &str, valid: &[T]) -> Option<&'static str> {
    let value = value.to_lowercase();
    let is_valid = |sentence: &str| valid.iter().any(|valid| sentence.contains(&format!("'{}'", valid.as_ref())));
    let meant = OTHER_WORDS.iter().find(|(words, sentence)| words.contains(&value.as_str()) && is_valid(sentence));
    meant.map(|(_, sentence)| *sentence)
}

/// Adds a hint to an error about a value that is a word of another program.
fn suggest_word(mut error: clap::Error) -> clap::Error {
    let (Some(ContextValue::String(value)), Some(ContextValue::Strings(valid))) =
        (error.get(ContextKind::InvalidValue), error.get(ContextKind::ValidValue))
    else {
        return error;
    };
    if let Some(sentence) = other_word(value, valid) {
        error.remove(ContextKind::SuggestedValue);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(sentence)]));
    }
    error
}
