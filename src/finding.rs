//! A finding of `doctor`: what was checked, the result, and what to do about it.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Ok,
    /// Works, but somebody should know.
    Warn,
    /// Wrong: runs fail, or data is not safe.
    Fail,
}

/// Never holds a secret or anything of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A fixed word or two.
    pub check: &'static str,
    pub mark: Mark,
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
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

impl Finding {
    pub fn ok(check: &'static str, found: impl fmt::Display) -> Finding {
        Finding { check, mark: Mark::Ok, found: found.to_string(), mend: None }
    }

    pub fn warn(check: &'static str, found: impl fmt::Display, mend: impl fmt::Display) -> Finding {
        Finding { check, mark: Mark::Warn, found: found.to_string(), mend: Some(mend.to_string()) }
    }

    pub fn fail(check: &'static str, found: impl fmt::Display, mend: impl fmt::Display) -> Finding {
        Finding { check, mark: Mark::Fail, found: found.to_string(), mend: Some(mend.to_string()) }
    }

    /// It could not be checked, or the check failed with an error.
    pub fn error(check: &'static str, error: impl fmt::Display, hint: Option<String>) -> Finding {
        Finding { check, mark: Mark::Fail, found: error.to_string(), mend: hint }
    }
}
