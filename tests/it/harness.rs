//! What every test stands on: a private Postgres, the simulator, and the built binary run between them.

use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls, Row};
use private_postgres::Server;
use serde_json::Value;
use wix_sim::{Endpoint, Sim, Site, Sizes};

/// After this time something that a test waits for counts as not happening.
const PATIENCE: Duration = Duration::from_secs(60);

/// A simulated Wix site and a private Postgres, both of this test alone.
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

    /// A simulator that the test has set up.
    pub(crate) fn with_sim(sim: Sim) -> World {
        World { sim, postgres: Server::start().expect("Postgres starts"), variables: Vec::new() }.with_api_key()
    }

    /// The same, migrated.
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

    /// The binary with this environment and nothing else of ours, ready to be started.
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

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(arguments, self.command(arguments).output().expect("the binary runs"))
    }

    /// Starts the binary and leaves it at work.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        Running { child: Some(child), arguments: arguments.join(" ") }
    }

    /// Runs `sync --full` with these arguments and gives back the result it prints as JSON. A full pass, since
    /// tests put records with dates of long ago on the site, which no changes pass asks for.
    pub(crate) fn full_sync_json(&self, arguments: &[&str], exit: i32) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--full"]).collect();
        self.sync_json(&arguments, exit)
    }

    /// Runs `sync` with these arguments and gives back the result it prints as JSON.
    pub(crate) fn sync_json(&self, arguments: &[&str], exit: i32) -> Value {
        let arguments: Vec<&str> = ["sync"].iter().chain(arguments).copied().chain(["--json"]).collect();
        let finished = self.run(&arguments).expect_exit(exit);
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
    }

    /// A connection of the test's own.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.postgres.url("postgres"), NoTls).expect("the database can be reached")
    }

    /// Runs statements.
    pub(crate) fn execute(&self, sql: &str) {
        self.client().batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The rows of a query.
    pub(crate) fn query(&self, sql: &str) -> Vec<Row> {
        self.client().query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The one value of a query, such as a count.
    pub(crate) fn value<T: for<'a> postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        let rows = self.query(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0].get(0)
    }

    /// What the catalog says of everything that is no part of Postgres itself, a fact a line: to show that
    /// a command changed nothing. Not the rows.
    pub(crate) fn catalog(&self) -> String {
        self.value(include_str!("catalog.sql"))
    }

    /// The rows of a query as JSON objects, in the query's order.
    pub(crate) fn rows_as_json(&self, sql: &str) -> Vec<Value> {
        let sql = format!("select to_jsonb(q) from ({sql}) q");
        self.query(&sql).iter().map(|row| row.get(0)).collect()
    }
}

/// The binary at work; killed if the test ends before it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    arguments: String,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was not waited for").id()
    }

    /// Sends it a signal such as `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success(), "{name}");
    }

    /// Stops it where it stands; returns once it stands still.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
        wait_until("the process stands still", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it is there");
            stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T'))
        });
    }

    /// True once it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().expect("it was not waited for").try_wait().expect("it can be asked after").is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Finished {
        let child = self.child.take().expect("it was not waited for");
        Finished::of(&[&self.arguments], child.wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It fails where the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Holds one request to the simulator until the test lets it go on.
pub(crate) struct Gate {
    reached: Receiver<()>,
    open: Sender<()>,
}

impl Gate {
    /// Before the `nth` request to the endpoint from now on is answered.
    pub(crate) fn before(sim: &Sim, endpoint: Endpoint, nth: usize) -> Gate {
        let (gate, hook) = Gate::pair();
        sim.on_request(endpoint, nth, |_| hook());
        gate
    }

    /// When its answer is made, before it is sent.
    pub(crate) fn behind(sim: &Sim, endpoint: Endpoint, nth: usize) -> Gate {
        let (gate, hook) = Gate::pair();
        sim.after_request(endpoint, nth, |_| hook());
        gate
    }

    fn pair() -> (Gate, impl FnOnce() + Send + 'static) {
        let ((arrive, reached), (open, opened)) = (channel(), channel());
        let hook = move || {
            // A test that has ended holds nothing back.
            if arrive.send(()).is_ok() {
                let _ = opened.recv();
            }
        };
        (Gate { reached, open }, hook)
    }

    #[track_caller]
    pub(crate) fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).expect("the request comes");
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.reached.try_recv().is_ok()
    }

    pub(crate) fn open(self) {
        self.open.send(()).expect("the request waits");
    }
}

/// Waits for what has to happen soon.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came about: {what}");
        std::thread::yield_now();
    }
}

/// What a run of the binary left behind.
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

    /// Fails the test unless stderr says this.
    #[track_caller]
    pub(crate) fn expect_stderr(self, part: &str) -> Finished {
        assert!(self.stderr.contains(part), "`{part}` is not in {self:#?}");
        self
    }

    /// The exit code and both streams, as they are.
    pub(crate) fn shown(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code.unwrap_or(-1), self.stdout, self.stderr)
    }

    /// The same with everything that differs from run to run replaced by marks of fixed width.
    pub(crate) fn redacted(&self) -> String {
        redact(&self.shown())
    }
}

/// Times, durations and run ids become marks; those of times and ids are as wide as what they replace.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (mark, length) = [timestamp(rest), uuid(rest), short_id(out.as_str(), rest), duration(out.as_str(), rest)]
            .into_iter()
            .flatten()
            .next()
            .unwrap_or((None, first.len_utf8()));
        match mark {
            Some(mark) => out.push_str(mark),
            None => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out
}

type Mark = Option<(Option<&'static str>, usize)>;

/// How many bytes at the start of `text` fit the pattern: `9` a digit, `h` a hex digit, anything else itself.
fn fits(text: &str, pattern: &str) -> bool {
    let mut bytes = text.bytes();
    pattern.bytes().all(|wanted| {
        bytes.next().is_some_and(|byte| match wanted {
            b'9' => byte.is_ascii_digit(),
            b'h' => byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase(),
            other => byte == other,
        })
    })
}

fn timestamp(rest: &str) -> Mark {
    if fits(rest, "9999-99-99T99:99:99.999Z") {
        return Some((Some("[---------time---------]"), 24));
    }
    fits(rest, "9999-99-99T99:99:99Z").then_some((Some("[-------time-------]"), 20))
}

fn uuid(rest: &str) -> Mark {
    fits(rest, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh").then_some((Some("[---------------uuid---------------]"), 36))
}

/// The first eight digits of a run's id at the start of a line, or behind "Run ".
fn short_id(before: &str, rest: &str) -> Mark {
    let at_start = before.is_empty() || before.ends_with('\n') || before.ends_with("Run ");
    (at_start && fits(rest, "hhhhhhhh ")).then_some((Some("[run-id]"), 8))
}

/// `12 ms`, `3.4 s`.
fn duration(before: &str, rest: &str) -> Mark {
    if before.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ',' | '-' | ':')) {
        return None;
    }
    let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let unit = ["ms", "s"].into_iter().find(|unit| {
        let end = rest.get(digits..).and_then(|tail| tail.strip_prefix(' ')).and_then(|tail| tail.strip_prefix(unit));
        end.is_some_and(|tail| !tail.starts_with(|c: char| c.is_alphanumeric()))
    })?;
    (digits > 0).then_some((Some("[took]"), digits + 1 + unit.len()))
}
