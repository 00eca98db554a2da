//! The HTTP client: sends requests through the rate limiter and repeats them if that can help.

mod body;
mod count;
mod exchange;
mod failure;
mod lookup;
pub mod probe;
mod response;
mod retry;
mod token;
mod token_info;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::sync::Mutex;

use self::failure::Throttling;
use self::response::Response;
use super::auth::{Credentials, TokenStore};
use super::error::WixError;
use super::query::Selection;
use super::rate_limiter::RateLimiter;
use crate::address::Address;
use crate::event::Reporter;
use crate::network::{Network, chain};
use crate::retry::RetryPolicy;
use crate::spawn_blocking::spawn_blocking;
use crate::stop::Stop;
use crate::table::Table;
use crate::table::listing::Listing;
use crate::wix::page::{Page, PageRequest};

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time without a byte of the response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum time of a request until its response is complete.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Settings of the client.
#[derive(Clone, Debug)]
pub struct WixSettings {
    pub base_url: Address,
    pub network: Network,
    /// Sent together with an API key.
    pub site_id: String,
    pub credentials: Credentials,
    /// Requests per minute; 0 means no limit.
    pub rate_limit: u32,
    pub retry: RetryPolicy,
}

/// Counts the requests made for one table.
#[derive(Debug, Default)]
pub struct RequestCounter {
    table: Option<&'static Table>,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl RequestCounter {
    /// Counter for a table, which events about requests name.
    pub fn of(table: &'static Table) -> RequestCounter {
        RequestCounter { table: Some(table), ..RequestCounter::default() }
    }

    /// Requests sent, retries included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// Client for the records of one site. All tasks of a run share it.
#[derive(Clone)]
pub struct WixClient {
    http: Client,
    settings: WixSettings,
    tokens: Arc<TokenStore>,
    rate_limiter: Arc<RateLimiter>,
    throttling: Arc<Mutex<Throttling>>,
    stop: Stop,
    reporter: Arc<dyn Reporter>,
}

/// The body of a request.
enum Payload {
    Get,
    Post(Value),
    /// With a cursor, which Wix may have expired.
    PostCursor(Value),
}

impl Payload {
    fn of_page(listing: &Listing, selection: &Selection, request: &PageRequest) -> Payload {
        let body = listing.request_body(selection, request);
        match request {
            PageRequest::Cursor(_) => Payload::PostCursor(body),
            PageRequest::Window { .. } => Payload::Post(body),
        }
    }
}

/// A request for records.
struct Call<'a> {
    listing: &'static Listing,
    /// The endpoint's name in messages.
    path: &'static str,
    /// The path with its query.
    address: &'a str,
    payload: Payload,
}

impl Call<'_> {
    /// A request to the list's own endpoint.
    fn list(listing: &'static Listing, payload: Payload) -> Call<'static> {
        Call { listing, path: listing.path, address: listing.path, payload }
    }
}

impl WixClient {
    pub fn new(settings: WixSettings, stop: Stop, reporter: Arc<dyn Reporter>) -> Result<WixClient, WixError> {
        let http = settings
            .network
            .client(&settings.base_url)
            .map_err(WixError::Setup)?
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| WixError::Setup(chain(&error)))?;
        Ok(WixClient {
            http,
            rate_limiter: Arc::new(RateLimiter::new(settings.rate_limit)),
            settings,
            tokens: Arc::default(),
            throttling: Arc::default(),
            stop,
            reporter,
        })
    }

    /// The same client for another run of this process. They share the rate limit and the access token.
    pub fn for_run(&self, stop: Stop, reporter: Arc<dyn Reporter>) -> WixClient {
        WixClient { stop, reporter, ..self.clone() }
    }

    /// Wait of low-priority work after this many requests: [`RateLimiter::pace`].
    pub async fn pace(&self, requests: u64) -> Duration {
        self.rate_limiter.pace(requests).await
    }

    pub fn max_retries(&self) -> u32 {
        self.settings.retry.max_retries
    }

    /// Fetches one page of a list. Waits for the rate limit, renews the token, and repeats failed attempts if that can
    /// help.
    ///
    /// # Errors
    ///
    /// See [`WixError`]. The same request would fail again in this run, but after [`WixError::CursorRefused`] the list
    /// can be read again from a date.
    pub async fn fetch_page(
        &self,
        listing: &'static Listing,
        selection: &Selection,
        request: &PageRequest,
        counter: &RequestCounter,
        max_retries: u32,
    ) -> Result<Page, WixError> {
        let call = Call::list(listing, Payload::of_page(listing, selection, request));
        let decode = async |response: &Response| {
            let (body, server_time) = (response.body.clone(), response.server_time);
            spawn_blocking(move || listing.decode_page(&body, server_time)).await
        };
        let attempt = async |number| self.attempt(&call, counter, number, &decode).await;
        self.repeat_up_to(max_retries, call.path, counter, attempt).await
    }
}
