//! A finding of `doctor`: what was checked, the result, and what to do about it.

use std::fmt;

use serde::Serialize;

use crate::config::ConfigError;
use crate::store::StoreError;
use crate::wix::WixError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Ok,
    /// Works, but somebody should know.
    Warn,
    /// Wrong: runs fail, or data is not safe.
    Fail,
}

impl Mark {
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Warn => "warn",
            Mark::Fail => "fail",
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Finding {
    /// A fixed word or two.
    pub check: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result of a check. Never holds a secret or anything of a record.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub mark: Mark,
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Outcome {
    pub fn ok(found: impl fmt::Display) -> Outcome {
        Outcome { mark: Mark::Ok, found: found.to_string(), mend: None }
    }

    pub fn warn(found: impl fmt::Display, mend: impl fmt::Display) -> Outcome {
        Outcome { mark: Mark::Warn, found: found.to_string(), mend: Some(mend.to_string()) }
    }

    pub fn fail(found: impl fmt::Display, mend: impl fmt::Display) -> Outcome {
        Outcome { mark: Mark::Fail, ..Outcome::warn(found, mend) }
    }

    /// The check failed with an error, or nothing could be checked.
    fn error(error: impl fmt::Display, hint: Option<String>) -> Outcome {
        Outcome { mark: Mark::Fail, found: error.to_string(), mend: hint }
    }
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Outcome {
        Outcome::error(&error, error.hint())
    }
}

impl From<WixError> for Outcome {
    fn from(error: WixError) -> Outcome {
        Outcome::error(&error, error.hint())
    }
}

impl From<ConfigError> for Outcome {
    fn from(error: ConfigError) -> Outcome {
        Outcome::error(&error, error.hint.clone())
    }
}

impl<E: Into<Outcome>> From<Result<Outcome, E>> for Outcome {
    fn from(result: Result<Outcome, E>) -> Outcome {
        result.unwrap_or_else(E::into)
    }
}

/// The findings in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, check: &'static str, outcome: impl Into<Outcome>) {
        self.0.push(Finding { check, outcome: outcome.into() });
    }

    /// Adds a finding for each outcome of a check, or one for its error.
    pub(super) fn add_all(&mut self, check: &'static str, outcomes: Result<Vec<Outcome>, StoreError>) {
        for outcome in outcomes.unwrap_or_else(|error| vec![error.into()]) {
            self.add(check, outcome);
        }
    }
}
