//! The environment of a test: a private Postgres, a simulator, and the binary that connects them.

use std::process::{Command, Output, Stdio};

use postgres::{Client, NoTls, Row};
use private_postgres::{Builder, Server};
use serde_json::Value;
use wix_sim::{Sim, Site, Sizes};

use crate::support::redact::redact;
use crate::support::running::Running;

/// A simulated Wix site and a private Postgres for one test.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) postgres: Server,
    variables: Vec<(String, String)>,
}

impl World {
    /// A site of this size and an empty database.
    pub(crate) fn new(contacts: usize, bookings: usize, orders: usize) -> World {
        let sizes = Sizes { contacts, bookings, orders, ..Sizes::default() };
        World::with_sim(Sim::start(Site::generate(sizes)).expect("the simulator starts"))
    }

    /// A site without records, for tests that add their own.
    pub(crate) fn empty() -> World {
        World::with_sim(Sim::start(Site::empty()).expect("the simulator starts"))
    }

    /// A world with this simulator and an empty database.
    pub(crate) fn with_sim(sim: Sim) -> World {
        World::with_server(sim, Server::builder())
    }

    /// A world with this simulator and this server.
    pub(crate) fn with_server(sim: Sim, server: Builder) -> World {
        World { sim, postgres: server.start().expect("Postgres starts"), variables: Vec::new() }.with_api_key()
    }

    /// A world with this server and a small site.
    pub(crate) fn with_postgres(postgres: Server) -> World {
        let sizes = Sizes { contacts: 20, bookings: 10, orders: 10, ..Sizes::default() };
        let sim = Sim::start(Site::generate(sizes)).expect("the simulator starts");
        World { sim, postgres, variables: Vec::new() }.with_api_key()
    }

    /// A migrated world with a small site.
    pub(crate) fn migrated(self) -> World {
        self.run(&["migrate"]).expect_exit(0);
        self
    }

    /// Credentials of the first kind: an API key.
    pub(crate) fn with_api_key(mut self) -> World {
        let key = self.sim.credentials().api_keys[0].clone();
        self.variables.retain(|(name, _)| !name.starts_with("WIX_"));
        self.set("WIX_API_TOKEN", &key);
        self
    }

    /// Credentials of the second kind: those of an app.
    pub(crate) fn with_app(mut self) -> World {
        let credentials = self.sim.credentials().clone();
        self.variables.retain(|(name, _)| !name.starts_with("WIX_"));
        self.set("WIX_APP_ID", &credentials.app_id);
        self.set("WIX_APP_SECRET", &credentials.app_secret);
        self.set("WIX_APP_INSTANCE_ID", &credentials.instance_id);
        self
    }

    /// Sets a variable of the binary's environment; an empty value counts as not set.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The binary with this environment and no other variables, ready to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wix-sync"));
        let kept = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            !name.starts_with("WIX_") && !name.starts_with("PG") && name != "DATABASE_URL"
        });
        command
            .env_clear()
            .envs(kept)
            .env("DATABASE_URL", self.postgres.url("postgres"))
            .env("WIX_API_BASE_URL", self.sim.base_url())
            .env("WIX_SITE_ID", &self.sim.credentials().site_id)
            .env("WIX_RATE_LIMIT", "0")
            .env("WIX_SYNC_RETRY_DELAY_MS", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary until it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(arguments, self.command(arguments).output().expect("the binary runs"))
    }

    /// Starts the binary without waiting for its end.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(arguments, self.command(arguments))
    }

    /// Runs `sync --full` with these arguments and returns the JSON result. A full sync, because tests add records with
    /// old dates, which an incremental sync does not request.
    pub(crate) fn full_sync_json(&self, arguments: &[&str], exit: i32) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--full"]).collect();
        self.sync_json(&arguments, exit)
    }

    /// Runs `sync` with these arguments and returns the JSON result.
    pub(crate) fn sync_json(&self, arguments: &[&str], exit: i32) -> Value {
        let arguments: Vec<&str> = ["sync"].iter().chain(arguments).copied().chain(["--json"]).collect();
        let finished = self.run(&arguments).expect_exit(exit);
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
    }

    /// Makes a day pass for rows that wait for their second lookup.
    pub(crate) fn age_absences(&self) {
        self.execute("update sync_missing set absent_at = absent_at - interval '24 hours'");
    }

    /// A database connection of the test.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.postgres.url("postgres"), NoTls).expect("the database can be reached")
    }

    /// Runs statements.
    pub(crate) fn execute(&self, sql: &str) {
        self.client().batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Empties the tables and resets the expected row counts: otherwise runs would report missing rows.
    pub(crate) fn empty_tables(&self) {
        self.execute("truncate customers, appointments, orders; update sync_state set live_rows = 0");
    }

    /// The rows of a query.
    pub(crate) fn query(&self, sql: &str) -> Vec<Row> {
        self.client().query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The single value of a query, such as a count.
    pub(crate) fn value<T: for<'a> postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        let rows = self.query(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0].get(0)
    }

    /// Catalog facts about everything that is not part of Postgres itself, one per line, to show that a command changed
    /// nothing. Does not include rows.
    pub(crate) fn catalog(&self) -> String {
        self.value(include_str!("catalog.sql"))
    }

    /// The rows of a query as JSON objects, in the query's order.
    pub(crate) fn rows_as_json(&self, sql: &str) -> Vec<Value> {
        let sql = format!("select to_jsonb(q) from ({sql}) q");
        self.query(&sql).iter().map(|row| row.get(0)).collect()
    }
}

/// The result of a run of the binary.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) arguments: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn of(arguments: &[&str], output: Output) -> Finished {
        Finished {
            arguments: arguments.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Fails the test unless the binary ended with this exit code.
    #[track_caller]
    pub(crate) fn expect_exit(self, code: i32) -> Finished {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails the test unless stderr contains this text.
    #[track_caller]
    pub(crate) fn expect_stderr(self, part: &str) -> Finished {
        assert!(self.stderr.contains(part), "`{part}` is not in {self:#?}");
        self
    }

    /// The exit code and both streams, unchanged.
    pub(crate) fn shown(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code.unwrap_or(-1), self.stdout, self.stderr)
    }

    /// The exit code and both streams. Everything that differs from run to run is replaced by marks of fixed width.
    pub(crate) fn redacted(&self) -> String {
        redact(&self.shown())
    }
}
