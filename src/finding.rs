//! What `doctor` finds: one thing that was looked at, how it stands, and what to do about it.

use std::fmt;

use serde::Serialize;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Works, but somebody should know.
    Warn,
    /// Wrong: runs fail, or data is not safe.
    Fail,
}

/// One thing that was looked at. Never holds a secret, nor anything of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: a fixed word or two.
    pub check: &'static str,
    /// How it stands.
    pub mark: Mark,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Mark {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Warn => "warn",
            Mark::Fail => "fail",
        }
    }
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, found: impl fmt::Display) -> Finding {
        Finding { check, mark: Mark::Ok, found: found.to_string(), mend: None }
    }

    /// It works, but somebody should know.
    pub fn warn(check: &'static str, found: impl fmt::Display, mend: impl fmt::Display) -> Finding {
        Finding { check, mark: Mark::Warn, found: found.to_string(), mend: Some(mend.to_string()) }
    }

    /// Something is wrong.
    pub fn fail(check: &'static str, found: impl fmt::Display, mend: impl fmt::Display) -> Finding {
        Finding { check, mark: Mark::Fail, found: found.to_string(), mend: Some(mend.to_string()) }
    }

    /// It could not be looked at, or a look brought an error.
    pub fn error(check: &'static str, error: impl fmt::Display, hint: Option<String>) -> Finding {
        Finding { check, mark: Mark::Fail, found: error.to_string(), mend: hint }
    }
}
