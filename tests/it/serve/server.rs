//! A server under test, and calls to it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::harness::World;
use crate::support::running::wait_until;

/// `wix-sync serve` at work; killed if the test ends before it.
pub(crate) struct Served {
    child: Child,
    log: PathBuf,
    pub(crate) port: u16,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With names in lower case.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Served {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Served {
        let arguments: Vec<&str> =
            ["serve", "--listen", "127.0.0.1:0"].into_iter().chain(arguments.iter().copied()).collect();
        let served = Served::of(world.command(&arguments));
        served.unwrap_or_else(|log| panic!("{log}"))
    }

    /// The same with any command; its log, if it ended instead.
    pub(crate) fn of(mut command: Command) -> Result<Served, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("wix-sync-serve-{}-{number}.log", std::process::id()));
        let file = File::create(&log).expect("the log can be written");
        let child = command.stdout(Stdio::null()).stderr(file).spawn().expect("the binary starts");
        let mut served = Served { child, log, port: 0 };
        wait_until("it listens or has ended", || {
            let has_ended = served.has_ended();
            let log = served.log();
            let address = log.split_once("listening on http://127.0.0.1:").map(|(_, rest)| rest.to_owned());
            served.port = address.and_then(|rest| rest.lines().next()?.trim().parse().ok()).unwrap_or_default();
            served.port != 0 || has_ended
        });
        if served.port == 0 { Err(served.log()) } else { Ok(served) }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log can be read")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the signal is sent");
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked after").is_some()
    }

    /// Waits for its end; the exit code, and the log.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ends");
        (status.code(), self.log())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    pub(crate) fn call(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        call(self.port, method, path, headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "")
    }

    /// Triggers a sync that must be accepted: its id, and `running` or `queued`.
    #[track_caller]
    pub(crate) fn trigger(&self, body: &str) -> (String, String) {
        let answer = self.call("POST", "/api/async-sync/trigger", &["content-type: application/json"], body);
        assert_eq!(answer.status, 202, "{answer:?}");
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        (text("syncId"), text("status"))
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time can be set");
    stream
}

/// One call. `headers` are lines without their ends.
pub(crate) fn call(port: u16, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut lines = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n");
    for header in headers {
        lines.push_str(&format!("{header}\r\n"));
    }
    lines.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut stream = connect(port);
    // A request that is refused early may not be read to its end.
    let _ = stream.write_all(lines.as_bytes());
    read_answer(stream)
}

/// Reads a response, or what there is at the end of the connection. Not every server closes it.
pub(crate) fn read_answer(stream: TcpStream) -> Answer {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut length) = (String::new(), None);
    loop {
        let mut line = String::new();
        // The connection may be reset.
        if reader.read_line(&mut line).unwrap_or_default() == 0 || line.trim().is_empty() {
            break;
        }
        line.make_ascii_lowercase();
        length = line.strip_prefix("content-length:").and_then(|text| text.trim().parse().ok()).or(length);
        headers.push_str(&line);
    }
    let mut body = Vec::new();
    let _ = reader.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body);
    let status = headers.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, headers, body: String::from_utf8(body).expect("UTF-8") }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Waits until a run is in `sync_logs` with this status.
#[track_caller]
pub(crate) fn wait_for_run(world: &World, id: &str, status: &str) {
    wait_until(&format!("run {id} is {status}"), || {
        world.value(&format!("select exists (select from sync_logs where id = '{id}' and status = '{status}')"))
    });
}
