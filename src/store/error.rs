//! Errors of the database, with messages for the operator.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::error::{DbError, Severity, SqlState};
use uuid::Uuid;

use super::blocker::Blocker;
use crate::number::grouped;
use crate::stop::StopReason;
use crate::visible::one_line;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database settings of flags and environment are not usable. The text names the variable or option.
    #[error("{0}")]
    BadUrl(String),
    #[error(
        "--schema (WIX_SYNC_SCHEMA): `{name}` is no usable schema name; letters, digits, `_` and `-` are, but not Postgres's own schemas"
    )]
    BadSchemaName { name: String },
    /// The search path names no schema that exists, and no `--schema` was given.
    #[error("the connection's search path names no existing schema")]
    NoSchema,
    #[error("could not connect to Postgres at {reason}")]
    Connect {
        /// The host and the reason, without secrets.
        reason: String,
        hint: Option<String>,
    },
    /// The tables do not exist, or migrations are missing.
    #[error("schema {schema} is not up to date: {pending} of {total} migrations are missing")]
    NotMigrated { schema: String, pending: usize, total: usize },
    /// The tables were changed manually and do not fit wix-sync.
    #[error("schema {schema}: {what}{}", also(*others))]
    Damaged {
        schema: String,
        what: String,
        /// Further problems.
        others: usize,
    },
    /// The database was migrated by a newer program, or a migration was changed.
    #[error("schema {schema}: {what}")]
    Diverged { schema: String, what: String },
    /// Row level security hides the tables from the database user.
    #[error("schema {schema}: row level security hides the tables from this database user")]
    Hidden { schema: String },
    /// The schema holds another site's data: one schema holds one site.
    #[error("schema {schema} holds site {noted}, but WIX_SITE_ID is {given}")]
    OtherSite { schema: String, noted: String, given: String },
    /// An existing table cannot be adopted.
    #[error("{0}")]
    CannotAdopt(String),
    /// Roles that Supabase opens to the internet can access a table that would be adopted, or a view that reads it.
    #[error("{0}")]
    OpenToAnyone(String),
    /// The database's encoding cannot hold all of Wix's text.
    #[error("the database's encoding is {encoding}, which cannot store all text from Wix; it must be UTF8")]
    Encoding { encoding: String },
    /// Another run holds the lease of this schema.
    #[error("another run holds the lock: run {run_id}, {lock_owner}, for {} s", age.as_secs())]
    Locked {
        run_id: Uuid,
        lock_owner: String,
        /// How long the other run has held the lease.
        age: Duration,
        /// Whether the lease is held for seconds at most.
        is_brief: bool,
    },
    /// Another run took the lease, so this run must not write.
    #[error("another run took the lock, because this run did not renew it in time; this run wrote nothing after that")]
    LeaseLost,
    /// Another run took the lease and recorded this run as failed in `sync_logs`, or the row was deleted.
    #[error("schema {schema}: run {run_id} is no longer running according to sync_logs")]
    RunEnded { schema: String, run_id: Uuid },
    /// The run was asked to stop, and the current work did not end in time.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// The connection broke during COMMIT, and the server has not ended the transaction.
    #[error(
        "the connection broke during COMMIT, and the server did not finish it within a minute; the next run checks the outcome"
    )]
    StillCommitting,
    /// A statement succeeded, but a row that it should have written is missing.
    #[error("a trigger of the table skipped the row without an error")]
    Swallowed,
    /// The database does not contain what this run wrote last.
    #[error(
        "{table}: the database does not hold what this run wrote last: it was restored from an older state, or a standby that was behind took over"
    )]
    Behind { table: &'static str },
    #[error(
        "{table} holds {} rows, but should hold {}: something other than wix-sync removed or added rows", grouped(*holds), grouped(*must_hold)
    )]
    RowsDiffer { table: &'static str, must_hold: i64, holds: i64 },
    /// Another session holds a lock that a statement needs.
    #[error("{doing}: a lock was not granted in time: {blocker}")]
    Blocked { doing: &'static str, blocker: Box<Blocker> },
    /// The server keeps the connection, but does not answer.
    #[error("{doing}: the database server did not answer within {seconds} s")]
    Silent { doing: &'static str, seconds: u64 },
    /// Postgres refused a statement, or the connection broke.
    #[error("{doing}: {message}")]
    Database {
        doing: &'static str,
        /// The server's message, without values of rows.
        message: String,
        /// The SQLSTATE, if the error came from the server.
        state: Option<SqlState>,
        /// Whether the error ended the session. Poolers use their own codes for this.
        ends_session: bool,
        origin: Origin,
    },
}

/// Where in the database an error was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Raised by a user-defined function, such as a trigger: the author chose the SQLSTATE, so it has no fixed meaning.
    Raised,
    /// Raised by a statement within a user-defined function.
    Function,
    /// Raised by a row level security policy, or by a view's check option.
    Policy,
    Statement,
}

impl Origin {
    fn of(error: &DbError) -> Origin {
        let is_in_function = error.where_().is_some();
        match error.routine() {
            // RAISE and ASSERT of PL/pgSQL.
            Some("exec_stmt_raise" | "exec_stmt_assert") => Origin::Raised,
            // The server cancelled the statement.
            Some("ProcessInterrupts") => Origin::Statement,
            // Within a function, the server never cancels a statement in this way: a user-defined function chose the
            // code.
            _ if is_in_function && *error.code() == SqlState::QUERY_CANCELED => Origin::Raised,
            Some("ExecWithCheckOptions") => Origin::Policy,
            _ if is_in_function => Origin::Function,
            _ => Origin::Statement,
        }
    }
}

impl StoreError {
    /// Wraps an error of the driver. For use with `map_err`.
    pub fn database(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> StoreError {
        move |error| StoreError::of(doing, &error, describe(&error))
    }

    /// Wraps an error of a schema change. The message names the objects that depend on a column that cannot be changed:
    /// DETAIL contains no row there.
    pub(super) fn of_change(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> StoreError {
        move |error| {
            let detail = error.as_db_error().filter(|db| matches!(&db.code().code()[..2], "0A" | "2B"));
            let dependents =
                detail.and_then(|db| db.detail()).map(|detail| format!("; {}", one_line(&detail.replace('\n', "; "))));
            let message = describe(&error) + &dependents.unwrap_or_default();
            StoreError::of(doing, &error, message)
        }
    }

    /// Wraps an error of the driver with another message.
    pub(super) fn of(doing: &'static str, error: &tokio_postgres::Error, message: String) -> StoreError {
        let ends_session = match error.as_db_error() {
            Some(db) => matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
            // A column with an unexpected type does not concern the connection.
            None => !error.to_string().starts_with("error deserializing column"),
        };
        let origin = error.as_db_error().map_or(Origin::Statement, Origin::of);
        StoreError::Database { doing, message, state: error.code().cloned(), ends_session, origin }
    }

    /// True if Postgres, a user-defined trigger or a policy refused the written values: the batch is then split to find
    /// the records concerned. False if the error concerns the connection, a lock, the server's state or the statement's
    /// cost, or if the statement fails for every record, for example because a table is missing.
    pub fn is_refusal(&self) -> bool {
        let (state, origin) = match self {
            StoreError::Swallowed => return true,
            StoreError::Database { state: Some(state), ends_session: false, origin, .. } => (state.code(), origin),
            _ => return false,
        };
        let is_class = |classes: &[&str]| classes.iter().any(|class| state.starts_with(class));
        // Read-only or aborted transactions, serialization failures, resources, locks, operator intervention, system
        // errors, corruption.
        let is_about_server = is_class(&["25006", "25P", "40", "53", "55P03", "57", "58", "XX001", "XX002"]);
        match origin {
            Origin::Raised | Origin::Policy => true,
            Origin::Function => !is_about_server,
            // Missing, changed or forbidden objects, broken connections, and unsupported statements.
            Origin::Statement => {
                !is_about_server
                    && !is_class(&[
                        "08", "0A", "0B", "24", "26", "28", "2D", "34", "3B", "3D", "3F", "42", "55", "F0", "XX",
                    ])
            }
        }
    }

    /// True if the connection or the server is gone: a new connection may succeed.
    pub fn is_connection_lost(&self) -> bool {
        match self {
            _ if self.is_refusal() => false,
            StoreError::Database { ends_session: true, .. } => true,
            // Shutdown, crash, connection errors, and "too many connections" while a server restarts.
            StoreError::Database { state: Some(state), .. } => {
                matches!(state.code(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300")
                    || state.code().starts_with("08")
            }
            StoreError::Connect { .. } | StoreError::Silent { .. } => true,
            _ => false,
        }
    }

    /// True if a retry of the same transaction may succeed.
    pub fn is_contention(&self) -> bool {
        match self {
            StoreError::Blocked { .. } => true,
            StoreError::Database { state: Some(state), .. } => {
                !self.is_refusal() && matches!(state.code(), "40001" | "40P01" | "55P03")
            }
            _ => false,
        }
    }

    /// True if a time limit of the server ended a statement or a transaction: a smaller batch may succeed.
    pub fn is_too_slow(&self) -> bool {
        !self.is_refusal()
            && matches!(self, StoreError::Database { state: Some(state), .. } if matches!(state.code(), "57014" | "54P01" | "25P04"))
    }

    /// True if other tables would fail too. False if the error may concern one table, for example a lock on it.
    pub fn is_about_all_tables(&self) -> bool {
        match self {
            StoreError::Database { state: Some(state), .. } => {
                self.is_connection_lost() || matches!(state.code(), "25006" | "53100" | "53200")
            }
            StoreError::Database { .. } => self.is_connection_lost(),
            StoreError::Blocked { .. } | StoreError::RowsDiffer { .. } | StoreError::Swallowed => false,
            _ => true,
        }
    }

    /// True if the configuration is wrong; nothing was started.
    pub fn is_configuration(&self) -> bool {
        !matches!(
            self,
            StoreError::Database { .. }
                | StoreError::Connect { .. }
                | StoreError::Blocked { .. }
                | StoreError::Silent { .. }
                | StoreError::Locked { .. }
                | StoreError::LeaseLost
                | StoreError::RunEnded { .. }
                | StoreError::Stopped(_)
                | StoreError::StillCommitting
                | StoreError::Swallowed
                | StoreError::Behind { .. }
                | StoreError::RowsDiffer { .. }
        )
    }

    /// One line on what to do, if anything helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::NotMigrated { .. } => Some("run `wix-sync migrate` first".to_owned()),
            StoreError::Damaged { .. } => {
                Some("run `wix-sync migrate`: it restores what is missing, and gives the SQL for the rest".to_owned())
            }
            StoreError::Hidden { .. } => Some(
                "connect as the owner of the tables, or as a role with BYPASSRLS or a policy that lets it read"
                    .to_owned(),
            ),
            StoreError::NoSchema => {
                Some("name one with --schema, or create the one that the search path names".to_owned())
            }
            StoreError::OtherSite { .. } => {
                Some("one schema is one site: give each site its own with --schema".to_owned())
            }
            StoreError::Encoding { .. } => {
                Some("create a database with `encoding 'UTF8' template template0`".to_owned())
            }
            StoreError::Connect { hint, .. } => hint.clone(),
            StoreError::Blocked { blocker, .. } => Some(blocker.hint()),
            StoreError::Silent { .. } => Some("check the database with `wix-sync doctor`".to_owned()),
            StoreError::Locked { .. } => {
                Some("it may still be running; its lock expires a minute after its process ends".to_owned())
            }
            StoreError::Stopped(_) => Some("the next run continues from there".to_owned()),
            StoreError::Behind { .. } => Some("the next run continues from the state that the database has".to_owned()),
            StoreError::RowsDiffer { .. } => Some("the next run is a full sync".to_owned()),
            // PgBouncer has no separate SQLSTATE for this.
            StoreError::Database { message, .. } if message.contains("transaction blocks not allowed") => Some(
                "the pooler is in statement mode: use one in transaction or session mode, or the server itself".to_owned(),
            ),
            StoreError::Database { state: Some(state), origin, message, .. } => match state.code() {
                "42P01" | "42883" if *origin == Origin::Function => Some(
                    "a trigger or function names something without its schema, and wix-sync searches pg_catalog only: \
                     `alter function ... set search_path = public`"
                        .to_owned(),
                ),
                "42501" if *origin == Origin::Statement => {
                    Some("the database user needs to own the tables, or to be granted what is missing".to_owned())
                }
                "42P10" | "55000" if message.contains("replica identity") || message.contains("publication") => Some(
                    "a publication for logical replication includes this table and needs more columns of it: `alter table … \
                     replica identity full`, or change the publication"
                        .to_owned(),
                ),
                "42P07" => Some(
                    "something else has that name; drop it if it is left from an earlier time, or choose another schema \
                     with --schema"
                        .to_owned(),
                ),
                "53100" => Some("the database server's disk is full".to_owned()),
                "25006" => Some(
                    "this server is read-only: is it a replica, or a Supabase project over its disk limit?"
                        .to_owned(),
                ),
                _ => None,
            },
            _ => None,
        }
    }
}

fn also(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "; 1 more problem".to_owned(),
        others => format!("; {others} more problems"),
    }
}

/// The error on one line: Postgres's message with its SQLSTATE, or all sources of the driver's error.
///
/// Rows (in DETAIL, for refused values) and values (in messages) must not reach a log. Names of constraints, columns
/// and tables are kept, and so is DETAIL about object definitions.
pub fn describe(error: &tokio_postgres::Error) -> String {
    one_line(&words(error)).into_owned()
}

fn words(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        return text;
    };
    let code = db.code().code();
    // Whatever the SQLSTATE is, the text of a RAISE is user-defined and may contain a row.
    let is_raised = db.routine() == Some("exec_stmt_raise") || code.starts_with("P0");
    let message = match &code[..2] {
        _ if is_raised => "a trigger or function refused it".to_owned(),
        "22" => without_quotation(db.message()),
        _ => db.message().to_owned(),
    };
    let column = db
        .column()
        .filter(|column| !message.contains(*column))
        .map(|column| format!(", column {column}"))
        .unwrap_or_default();
    let constraint = db
        .constraint()
        .filter(|name| !message.contains(*name))
        .map(|name| format!(", constraint {name}"))
        .unwrap_or_default();
    // For syntax and access (42), limits (54) and object states (55), DETAIL names objects. A user-defined function can
    // choose any SQLSTATE and put a row there, so its DETAIL is left out.
    let detail =
        db.detail().filter(|_| !is_raised && db.where_().is_none() && matches!(&code[..2], "42" | "54" | "55"));
    let detail = detail.map(|detail| format!("; {detail}")).unwrap_or_default();
    format!("{message}{column}{constraint}{detail} (SQLSTATE {code})")
}

/// `text` without quoted parts, in any language: removes everything from the first to the last quotation mark, since
/// quoted text may contain quotation marks too.
fn without_quotation(text: &str) -> String {
    const MARKS: [char; 14] = ['"', '„', '“', '”', '«', '»', '‹', '›', '‘', '’', '‚', '「', '」', '\''];
    match (text.find(MARKS), text.rfind(MARKS)) {
        (Some(first), Some(last)) => {
            let behind = text[last..].chars().next().map_or(last, |mark| last + mark.len_utf8());
            format!("{}\"…\"{}", &text[..first], &text[behind..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_quotation;

    #[test]
    fn quoted_values_are_removed() {
        for (text, expected) in [
            (r#"invalid input syntax for type date: "12 June""#, r#"invalid input syntax for type date: "…""#),
            (
                r#"invalid input syntax for type bigint: "the "Nadia" 5""#,
                r#"invalid input syntax for type bigint: "…""#,
            ),
            ("ungültige Eingabesyntax für Typ bigint: „Nadia“", r#"ungültige Eingabesyntax für Typ bigint: "…""#),
            (r#"value "7" is out of range for type smallint"#, r#"value "…" is out of range for type smallint"#),
            ("division by zero", "division by zero"),
        ] {
            assert_eq!(without_quotation(text), expected);
        }
    }
}
