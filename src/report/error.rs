//! The last words of a command that failed: one line with the causes, and one on what to do.

use std::io::{self, Write};

/// Prints an error with its causes, and the hint if there is one, to stderr.
pub fn print_error(error: &anyhow::Error, hint: Option<&str>) {
    let mut text = format!("error: {error:#}\n");
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // Nobody is left to tell that stderr can't be written.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
