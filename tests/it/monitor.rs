//! A monitor as healthchecks.io is one: takes pings over HTTP, remembers them, and answers what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// A ping as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ping {
    /// The path behind the check's own: empty, `/start`, `/fail` or `/log`.
    pub(crate) signal: String,
    /// The run's id.
    pub(crate) run_id: String,
    /// What was said.
    pub(crate) body: String,
}

/// Listens until the test's process ends.
pub(crate) struct Monitor {
    port: u16,
    status: Arc<AtomicU16>,
    pings: Arc<Mutex<Vec<Ping>>>,
}

/// The check's own path, which is its secret.
pub(crate) const CHECK: &str = "/0c9b4c9e-secret-check";

impl Monitor {
    pub(crate) fn start() -> Monitor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let (status, pings) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
        let monitor = Monitor { port, status: status.clone(), pings: pings.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ping = read(&stream);
                pings.lock().expect("no test panics within").push(ping);
                answer(stream, status.load(Ordering::Relaxed));
            }
        });
        monitor
    }

    /// What goes into `WIX_SYNC_HEALTHCHECK_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{CHECK}", self.port)
    }

    /// From now on it answers so.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// What came since the last time this was asked.
    pub(crate) fn take(&self) -> Vec<Ping> {
        std::mem::take(&mut self.pings.lock().expect("no test panics within"))
    }

    /// The signals that came since then, in order.
    pub(crate) fn signals(&self) -> Vec<String> {
        self.take().into_iter().map(|ping| ping.signal).collect()
    }
}

fn read(stream: &TcpStream) -> Ping {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).expect("a request line comes");
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("headers come");
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body comes");
    let target = first.split_whitespace().nth(1).expect("a target");
    let (path, query) = target.split_once('?').expect("a query");
    Ping {
        signal: path.strip_prefix(CHECK).expect("the check's path").to_owned(),
        run_id: query.strip_prefix("rid=").expect("the run's id").to_owned(),
        body: String::from_utf8(body).expect("UTF-8"),
    }
}

fn answer(mut stream: TcpStream, status: u16) {
    // The client may have gone away.
    let _ = write!(stream, "HTTP/1.1 {status} Told\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK");
}
