//! Prints the error message of a failed command: one line with the causes, and one with the hint. With JSON log lines
//! it is one of them, so that a program can parse all of stderr.

use std::io::{self, Write};

use console::Term;

use super::text::{broken, columns};
use crate::visible;

/// Logs an error as the last line, with the hint and the exit code.
pub fn log_error(error: &anyhow::Error, hint: Option<&str>, exit_code: u8) {
    tracing::error!(hint, exit_code, "{error:#}");
}

/// Logs the exit code of a successful command, as the last line.
pub fn log_exit(exit_code: u8) {
    match exit_code {
        0 => tracing::info!(exit_code, "exit code 0"),
        _ => tracing::warn!(exit_code, "exit code {exit_code}, see docs/troubleshooting.md#exit-{exit_code}"),
    }
}

/// Prints an error with its causes, and the hint if there is one, to stderr.
pub fn print_error(error: &anyhow::Error, hint: Option<&str>) {
    let width = columns(&Term::stderr());
    let mut text = in_lines(&visible::lines(&format!("error: {error:#}")), width);
    if let Some(hint) = hint {
        text.push_str(&in_lines(&visible::one_line(&format!("hint: {hint}")), width));
    }
    // If stderr cannot be written, the error cannot be shown.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Wraps the text at spaces on a terminal. Line breaks within it are kept.
fn in_lines(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{text}\n") };
    let mut out = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        for part in broken(line, Some(width.saturating_sub(indent))) {
            out.push_str(&format!("{:indent$}{part}\n", ""));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::in_lines;

    #[test]
    fn on_a_terminal_no_word_is_cut_and_lists_stay_lists() {
        let text = "error: nothing was changed: these are in the way\n  a view named first\n  another one";
        assert_eq!(in_lines(text, None), format!("{text}\n"));
        assert_eq!(
            in_lines(text, Some(30)),
            "error: nothing was changed:\nthese are in the way\n  a view named first\n  another one\n"
        );
    }
}
