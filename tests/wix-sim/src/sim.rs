//! Starting and stopping the simulator.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::auth::Credentials;
use crate::handle::SimHandle;
use crate::server::serve;
use crate::site::Site;
use crate::state::{CursorStyle, Options, Shared, State, StatusRule, TieOrder};

/// Lifetime in seconds of a token of the app flow at Wix.
const TOKEN_LIFE: u64 = 14_400;

/// A running simulator; it stops when this is dropped. Everything else is in [`SimHandle`].
#[derive(Debug)]
pub struct Sim {
    handle: SimHandle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sim {
    pub fn start(site: Site) -> io::Result<Self> {
        Self::builder().start(site)
    }

    /// A simulator that differs from the usual.
    pub fn builder() -> SimBuilder {
        SimBuilder::default()
    }

    /// A handle for other threads.
    pub fn handle(&self) -> SimHandle {
        self.handle.clone()
    }
}

impl Deref for Sim {
    type Target = SimHandle;

    fn deref(&self) -> &SimHandle {
        &self.handle
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It fails if the thread has ended already, which is fine.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// The options of a simulator.
#[derive(Debug, Clone)]
pub struct SimBuilder {
    bind: SocketAddr,
    credentials: Credentials,
    token_life: u64,
    seed: Option<u64>,
    options: Options,
}

impl Default for SimBuilder {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            credentials: Credentials::default(),
            token_life: TOKEN_LIFE,
            seed: None,
            options: Options::default(),
        }
    }
}

impl SimBuilder {
    /// The address to listen at; a free port of 127.0.0.1 otherwise.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// The credentials to accept, in place of the public placeholders.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Lifetime of an access token in seconds; the default is 14,400.
    pub fn token_life(mut self, seconds: u64) -> Self {
        self.token_life = seconds;
        self
    }

    /// The seed of the site's records, in place of the site's own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Waits this long before every answer.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.latency = latency;
        self
    }

    /// What cursors hold.
    pub fn cursor_style(mut self, style: CursorStyle) -> Self {
        self.options.cursor_style = style;
        self
    }

    /// The order of records with equal sort values.
    pub fn tie_order(mut self, order: TieOrder) -> Self {
        self.options.tie_order = order;
        self
    }

    /// Answers 429 to more than this many requests per minute (token requests are not counted).
    pub fn rate_limit(mut self, requests_per_minute: usize) -> Self {
        self.options.requests_per_minute = Some(requests_per_minute);
        self
    }

    /// When pending and rejected orders are returned.
    pub fn status_rule(mut self, rule: StatusRule) -> Self {
        self.options.status_rule = rule;
        self
    }

    /// Keeps no log of requests, for long runs.
    pub fn forget_requests(mut self) -> Self {
        self.options.forget_requests = true;
        self
    }

    /// Starts the simulator on a thread of its own.
    pub fn start(self, mut site: Site) -> io::Result<Sim> {
        if let Some(seed) = self.seed {
            site.seed = seed;
        }
        let listener = std::net::TcpListener::bind(self.bind)?;
        listener.set_nonblocking(true)?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let state = State::new(&site, &self.credentials, self.token_life);
        let shared = Shared::new(self.credentials, self.options, base_url, state);
        let shared = Arc::new(shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("wix-sim".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, served, stopped));
            // Requests that hang and hooks that block must not hold the test up.
            runtime.shutdown_background();
        })?;
        Ok(Sim { handle: SimHandle { shared }, stop: Some(stop), thread: Some(thread) })
    }
}
