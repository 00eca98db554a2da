//! A finding of `doctor`: the check, its result, and what to do about it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::ConfigError;
use crate::store::StoreError;
use crate::wix::WixError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    Ok,
    /// A sync works, but something needs attention.
    Warning,
    /// A sync fails or is incomplete, or data is not safe.
    Problem,
    /// Not checked, because a requirement of the check is missing.
    Skipped,
}

impl CheckStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            CheckStatus::Ok => "ok",
            CheckStatus::Warning => "warning",
            CheckStatus::Problem => "problem",
            CheckStatus::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Finding {
    /// A fixed name of one or two words.
    pub check: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result of a check. It contains no secrets and no values of records.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub status: CheckStatus,
    pub message: String,
    /// What to do about it. Every warning and problem has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether a later attempt with the same settings may succeed, because the cause may be the network or the server.
    #[serde(skip)]
    pub may_pass: bool,
}

impl Outcome {
    pub fn ok(message: impl fmt::Display) -> Outcome {
        Outcome { status: CheckStatus::Ok, message: message.to_string(), hint: None, may_pass: false }
    }

    pub fn skipped(message: impl fmt::Display) -> Outcome {
        Outcome { status: CheckStatus::Skipped, ..Outcome::ok(message) }
    }

    pub fn warning(message: impl fmt::Display, hint: impl fmt::Display) -> Outcome {
        Outcome {
            status: CheckStatus::Warning,
            message: message.to_string(),
            hint: Some(hint.to_string()),
            may_pass: false,
        }
    }

    pub fn problem(message: impl fmt::Display, hint: impl fmt::Display) -> Outcome {
        Outcome { status: CheckStatus::Problem, ..Outcome::warning(message, hint) }
    }

    pub(super) fn that_may_pass(self) -> Outcome {
        Outcome { may_pass: true, ..self }
    }

    pub fn is_problem(&self) -> bool {
        self.status == CheckStatus::Problem
    }
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Outcome {
        let default = "docs/troubleshooting.md explains the messages of Postgres; its own log may say more";
        let may_pass = !error.is_configuration();
        Outcome { may_pass, ..Outcome::problem(&error, error.hint().unwrap_or_else(|| default.to_owned())) }
    }
}

impl From<WixError> for Outcome {
    fn from(error: WixError) -> Outcome {
        let default =
            "check WIX_SITE_ID, the credentials and WIX_API_BASE_URL; docs/troubleshooting.md explains Wix's answers";
        Outcome::problem(&error, error.hint().unwrap_or_else(|| default.to_owned()))
    }
}

impl From<ConfigError> for Outcome {
    fn from(error: ConfigError) -> Outcome {
        let hint =
            error.hint.clone().unwrap_or_else(|| "correct it; docs/configuration.md lists all variables".to_owned());
        Outcome::problem(&error, hint)
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

/// `2026-11-28 07:21 UTC`.
pub(super) fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M UTC").to_string()
}
