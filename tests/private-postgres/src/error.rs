//! The error of this crate: a sentence for a developer, with its cause as the source.

use std::{fmt, io};

/// Names the step that failed and, if something helps, the command to run.
#[derive(Debug)]
pub struct Error {
    message: String,
    source: Option<io::Error>,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a source.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// An error of the operating system, with the step that failed.
    pub(crate) fn io(step: impl Into<String>, source: io::Error) -> Self {
        Self { message: step.into(), source: Some(source) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            // Tests unwrap this error, and a panic prints no sources: the cause is part of the line.
            Some(source) => write!(f, "{}: {source}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}
