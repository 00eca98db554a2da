//! A TCP proxy in front of Postgres or PgBouncer that breaks connections where a test wants.
//!
//! It parses enough of the protocol to find messages and their COMMITs. It cuts a connection at a COMMIT, or after a
//! number of bytes at any position. Its URL disables TLS, because it must read the messages.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use private_postgres::{PgBouncer, Server};

/// The part of a COMMIT that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The COMMIT itself: the server does not receive it.
    Request,
    /// The response: the server has committed.
    Answer,
    /// The response. The client notices this at once, while the server may still be committing.
    Wire,
}

/// A running proxy. It stops when the test ends.
pub(crate) struct CuttingProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

/// Bytes until the next connection is cut; `None` means never.
type Lifetime = Box<dyn FnMut() -> Option<usize> + Send>;

struct Shared {
    upstream: PathBuf,
    stopped: AtomicBool,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// Number of matching COMMITs that pass before one is cut, and how it is cut.
    loss: Option<(usize, Loss)>,
    /// Only transactions in which a statement contains this text match.
    word: String,
    lifetime: Option<Lifetime>,
    /// Matching COMMITs since the plan was set.
    commits: usize,
    /// One entry per cut: the statements of the transaction for a cut at a COMMIT, otherwise an empty text.
    cuts: Vec<String>,
}

impl CuttingProxy {
    /// A proxy in front of a server.
    pub(crate) fn before_server(server: &Server) -> CuttingProxy {
        CuttingProxy::before(server.socket_dir(), server.port())
    }

    /// A proxy in front of a pooler.
    pub(crate) fn before_pooler(bouncer: &PgBouncer) -> CuttingProxy {
        CuttingProxy::before(bouncer.socket_dir(), 6432)
    }

    fn before(directory: &Path, port: u16) -> CuttingProxy {
        let upstream = directory.join(format!(".s.PGSQL.{port}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let shared = Arc::new(Shared { upstream, stopped: AtomicBool::new(false), plan: Mutex::default() });
        let accepting = shared.clone();
        let listener = std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(Ordering::Relaxed) {
                    return;
                }
                // The client has left or the server is down: the connection ends.
                if let Ok(client) = client {
                    let _ = connect(client, &accepting);
                }
            }
        });
        CuttingProxy { shared, address, listener: Some(listener) }
    }

    /// A libpq URL of the database through the proxy.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@{}/postgres?sslmode=disable", self.address)
    }

    /// Stops cutting and resets the counts.
    pub(crate) fn mend(&self) {
        *self.shared.plan() = Plan::default();
    }

    /// Cuts the `nth` COMMIT from now on of a transaction in which a statement contains this text.
    pub(crate) fn lose(&self, loss: Loss, nth: usize, word: &str) {
        *self.shared.plan() = Plan { loss: Some((nth - 1, loss)), word: word.to_owned(), ..Plan::default() };
    }

    /// Cuts each connection from now on after this many bytes, counted in both directions together.
    pub(crate) fn cut_after(&self, lifetime: impl FnMut() -> Option<usize> + Send + 'static) {
        *self.shared.plan() = Plan { lifetime: Some(Box::new(lifetime)), ..Plan::default() };
    }

    /// The statements of the transactions that were cut at their COMMIT, and an empty text for each other cut.
    pub(crate) fn cuts(&self) -> Vec<String> {
        self.shared.plan().cuts.clone()
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener. Fails only if it has already ended.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends of one connection.
struct Link {
    client: TcpStream,
    server: UnixStream,
    /// Bytes until it is cut.
    left: Mutex<Option<usize>>,
    /// Set while the response to a COMMIT must be lost.
    swallows: AtomicBool,
}

fn connect(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(&shared.upstream)?;
    let left = Mutex::new(shared.plan().lifetime.as_mut().and_then(|lifetime| lifetime()));
    let link = Arc::new(Link { client, server, left, swallows: AtomicBool::new(false) });
    let (requests, answers) = ((link.clone(), shared.clone()), (link, shared.clone()));
    std::thread::spawn(move || {
        // Both sides notice the end, whatever the reason.
        let _ = requests.0.pass_requests(&requests.1);
        let _ = requests.0.server.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        let _ = answers.0.pass_answers(&answers.1);
        answers.0.cut();
    });
    Ok(())
}

impl Link {
    fn cut(&self) {
        // Fails if that end is already closed.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn pass_requests(&self, shared: &Shared) -> io::Result<()> {
        let (mut from, mut to) = (BufReader::new(&self.client), &self.server);
        let greeting = read_message(&mut from, false)?;
        self.pass(&greeting, &mut to, shared)?;
        let mut statements = String::new();
        loop {
            let message = read_message(&mut from, true)?;
            let text = statement_of(&message);
            if text == "BEGIN" || text.starts_with("START TRANSACTION") {
                statements.clear();
            }
            if !text.is_empty() {
                statements.push_str(&text);
                statements.push('\n');
            }
            let loss = if text == "COMMIT" { shared.strike(&statements) } else { None };
            match loss {
                Some(Loss::Request) => {
                    self.cut();
                    return Ok(());
                }
                Some(Loss::Answer) => self.swallows.store(true, Ordering::SeqCst),
                Some(Loss::Wire) => {
                    self.swallows.store(true, Ordering::SeqCst);
                    let _ = self.client.shutdown(Shutdown::Both);
                }
                None => {}
            }
            self.pass(&message, &mut to, shared)?;
        }
    }

    fn pass_answers(&self, shared: &Shared) -> io::Result<()> {
        let (mut from, mut to) = (BufReader::new(&self.server), &self.client);
        loop {
            let message = read_message(&mut from, true)?;
            // CommandComplete with its tag: committed, but the client is not told.
            if self.swallows.load(Ordering::SeqCst) && message[0] == b'C' && message[5..].starts_with(b"COMMIT") {
                return Ok(());
            }
            self.pass(&message, &mut to, shared)?;
        }
    }

    /// Forwards a message, or the part of it that fits before the cut.
    fn pass(&self, message: &[u8], to: &mut impl Write, shared: &Shared) -> io::Result<()> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match *left {
            Some(most) if most < message.len() => {
                to.write_all(&message[..most])?;
                shared.plan().cuts.push(String::new());
                *left = Some(0);
                self.cut();
                Err(io::Error::other("cut"))
            }
            Some(most) => {
                *left = Some(most - message.len());
                to.write_all(message)
            }
            None => to.write_all(message),
        }
    }
}

impl Shared {
    /// How the COMMIT after these statements is treated.
    fn strike(&self, statements: &str) -> Option<Loss> {
        let mut plan = self.plan();
        if !statements.contains(&plan.word) {
            return None;
        }
        plan.commits += 1;
        let (skip, loss) = plan.loss?;
        if skip > 0 {
            plan.loss = Some((skip - 1, loss));
            return None;
        }
        plan.loss = None;
        plan.cuts.push(statements.to_owned());
        Some(loss)
    }
}

/// One complete message. The first message of a client has no type byte.
fn read_message(from: &mut impl Read, has_kind: bool) -> io::Result<Vec<u8>> {
    let mut message = vec![0; if has_kind { 5 } else { 4 }];
    from.read_exact(&mut message)?;
    let at = message.len() - 4;
    let length = u32::from_be_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]]) as usize;
    message.resize(at + length.max(4), 0);
    from.read_exact(&mut message[at + 4..])?;
    Ok(message)
}

/// The text of a statement in a Query or Parse message. Empty for any other message.
fn statement_of(message: &[u8]) -> String {
    let body = &message[5..];
    let mut texts = body.split(|byte| *byte == 0);
    let text = match message[0] {
        b'Q' => texts.next(),
        // The statement's name comes first.
        b'P' => texts.nth(1),
        _ => None,
    };
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}
