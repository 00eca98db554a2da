//! The session that holds the lock that a statement waits for.

use std::fmt;
use std::time::Duration;

/// Table lock modes that conflict with every statement of wix-sync.
pub(super) const STRONG_MODES: [&str; 4] =
    ["AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"];

/// The session that holds a lock. Its query is not kept, because it may contain personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    pub(super) pid: i32,
    /// The name of the locked table.
    pub(super) lock: String,
    pub(super) mode: String,
    pub(super) user: Option<String>,
    pub(super) application: Option<String>,
    pub(super) state: Option<String>,
    /// Seconds since the session entered this state.
    pub(super) seconds: Option<i64>,
}

impl Blocker {
    /// Whether it blocks all statements on the table, and not only those that need the same rows.
    pub(super) fn keeps_others_out(&self) -> bool {
        STRONG_MODES.contains(&self.mode.as_str())
            || self.state.as_ref().is_some_and(|state| state.starts_with("idle in"))
    }

    pub fn hint(&self) -> String {
        format!("if that session is forgotten, end it: `select pg_terminate_backend({})`", self.pid)
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let since = seconds.map(|seconds| format!(" for {}", humantime::format_duration(Duration::from_secs(seconds))));
        let known = [
            self.user.as_ref().map(|user| format!("user {user}")),
            self.application.as_ref().filter(|name| !name.is_empty()).map(|name| format!("application {name}")),
            self.state.as_ref().map(|state| format!("{state}{}", since.unwrap_or_default())),
        ];
        let known: Vec<String> = known.into_iter().flatten().collect();
        write!(out, "pid {} ({}) has {} on {}", self.pid, known.join(", "), self.mode, self.lock)
    }
}
