//! A monitor in the style of healthchecks.io: receives pings over HTTP, records them, and responds as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// A received ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ping {
    /// The path after the check's own: empty, `/start`, `/fail` or `/log`.
    pub(crate) signal: String,
    /// The run's id.
    pub(crate) run_id: String,
    /// The body.
    pub(crate) body: String,
    /// The `Referer` header.
    pub(crate) referer: Option<String>,
}

/// Listens until the test's process ends.
pub(crate) struct Monitor {
    port: u16,
    status: Arc<AtomicU16>,
    redirect: Arc<Mutex<Redirect>>,
    pings: Arc<Mutex<Vec<Ping>>>,
}

/// The address to which pings are redirected.
#[derive(Default)]
enum Redirect {
    #[default]
    None,
    Always(u16, String),
    Once(u16, String),
}

/// The check's own path, which is secret.
pub(crate) const CHECK: &str = "/0c9b4c9e-secret-check";

impl Monitor {
    pub(crate) fn start() -> Monitor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let (status, pings) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
        let redirect = Arc::<Mutex<Redirect>>::default();
        let monitor = Monitor { port, status: status.clone(), redirect: redirect.clone(), pings: pings.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ping = read(&stream);
                pings.lock().expect("no test panics within").push(ping);
                let mut redirect = redirect.lock().expect("no test panics within");
                match std::mem::take(&mut *redirect) {
                    Redirect::None => answer(stream, status.load(Ordering::Relaxed), ""),
                    Redirect::Once(status, location) => answer(stream, status, &location),
                    Redirect::Always(status, location) => {
                        answer(stream, status, &location);
                        *redirect = Redirect::Always(status, location);
                    }
                }
            }
        });
        monitor
    }

    /// The value for `WIX_SYNC_HEALTHCHECK_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{CHECK}", self.port)
    }

    /// Sets the response to all later pings.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Redirects all later pings to another address.
    pub(crate) fn redirect_to(&self, status: u16, location: &str) {
        *self.redirect.lock().expect("no test panics within") = Redirect::Always(status, location.to_owned());
    }

    /// Redirects the next ping to another address.
    pub(crate) fn redirect_once_to(&self, status: u16, location: &str) {
        *self.redirect.lock().expect("no test panics within") = Redirect::Once(status, location.to_owned());
    }

    /// The pings since the last call.
    pub(crate) fn take(&self) -> Vec<Ping> {
        std::mem::take(&mut self.pings.lock().expect("no test panics within"))
    }

    /// The kinds of the pings since the last call, in order.
    pub(crate) fn signals(&self) -> Vec<String> {
        self.take().into_iter().map(|ping| ping.signal).collect()
    }
}

fn read(stream: &TcpStream) -> Ping {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).expect("a request line comes");
    let (mut length, mut referer) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("headers come");
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if header.to_ascii_lowercase().starts_with("referer:") {
            referer = Some(header.trim().to_owned());
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
        referer,
    }
}

fn answer(mut stream: TcpStream, status: u16, location: &str) {
    let location = if location.is_empty() { String::new() } else { format!("location: {location}\r\n") };
    // The client may have left.
    let _ = write!(stream, "HTTP/1.1 {status} Told\r\n{location}content-length: 2\r\nconnection: close\r\n\r\nOK");
}
