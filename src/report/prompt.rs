//! Asks questions on a terminal, for `init`. All output goes to stderr.

use std::io::{self, IsTerminal};

use console::Term;
use dialoguer::{Confirm, Input, Password};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::doctor::render_lines;
use super::grid::Style;
use crate::doctor::Finding;
use crate::visible;

/// Whether questions can be asked: stdin and stderr are a terminal.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The settings of the terminal before the first question.
pub struct TerminalState(Option<Termios>);

impl TerminalState {
    pub fn save() -> TerminalState {
        TerminalState(tcgetattr(io::stdin()).ok())
    }

    /// Restores echo and cursor, which an interrupted question may have hidden.
    pub fn restore(&self) -> io::Result<()> {
        if let Some(termios) = &self.0 {
            tcsetattr(io::stdin(), OptionalActions::Now, termios)?;
        }
        Term::stderr().show_cursor()?;
        Term::stderr().write_line("")
    }
}

/// Reads a line of text. Enter alone selects the default.
pub fn ask_text(question: &str, default: Option<&str>) -> io::Result<String> {
    let mut input = Input::<String>::new().with_prompt(question).allow_empty(true);
    if let Some(default) = default {
        input = input.default(visible::one_line(default).into_owned());
    }
    // The terminal edits the line, so that pasted text arrives complete.
    input.interact().map_err(into_io)
}

/// Reads a line without showing it. Enter alone returns an empty line.
pub fn ask_secret(question: &str) -> io::Result<String> {
    Password::new().with_prompt(question).allow_empty_password(true).report(false).interact().map_err(into_io)
}

pub fn ask_yes_no(question: &str, default: bool) -> io::Result<bool> {
    Confirm::new().with_prompt(question).default(default).wait_for_newline(true).interact().map_err(into_io)
}

/// Prints a text between questions.
pub fn say(text: &str) -> io::Result<()> {
    Term::stderr().write_line(&visible::lines(text))
}

/// Prints the findings of a test.
pub fn say_findings(findings: &[Finding]) -> io::Result<()> {
    let text = render_lines(findings, Style::of_stderr());
    Term::stderr().write_str(&text)
}

fn into_io(error: dialoguer::Error) -> io::Error {
    let dialoguer::Error::IO(error) = error;
    error
}
