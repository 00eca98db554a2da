//! The HTTP client: one request at a time through the gate, repeated where that helps.

mod answered;
mod body;
mod count;
mod listed;
pub mod probe;
mod token_info;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::answered::{Answer, is_transient, no_answer};
use super::auth::{AccessToken, Credentials, TokenAnswer, TokenStore};
use super::error::{WixAnswer, WixError};
use super::gate::Gate;
use super::query::Selection;
use crate::address::Address;
use crate::event::{Event, Reporter};
use crate::network::{Network, chain};
use crate::off_thread::off_thread;
use crate::retry::{RetryPolicy, THROTTLE_PATIENCE};
use crate::secret::Secret;
use crate::stop::Stop;
use crate::table::Table;
use crate::table::listing::{Listing, Lookup};
use crate::wix::page::{Found, Page, PageRequest};

const TOKEN_PATH: &str = "/oauth2/token";

/// What is escaped in an id that becomes part of a path. Wix's ids have hyphens, and its own client sends them as they
/// are.
const NOT_IN_IDS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Maximum refused tokens that are renewed for one request.
const MAX_REFUSED_TOKENS: u32 = 3;

/// No connection within this time is a failure.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// No byte within this time is a failure.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer that is not complete within this time is a failure.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// What the client needs.
#[derive(Clone, Debug)]
pub struct WixSettings {
    pub base_url: Address,
    pub network: Network,
    /// Sent together with an API key.
    pub site_id: String,
    pub credentials: Credentials,
    /// Requests per minute; 0 is no limit.
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
    /// For a table, which is named in events about requests.
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

/// Wix, with the records of one site. Shared by all tasks of a run.
pub struct WixClient {
    http: Client,
    settings: WixSettings,
    tokens: TokenStore,
    gate: Gate,
    throttling: Mutex<Throttling>,
    stop: Stop,
    reporter: Arc<dyn Reporter>,
}

/// Refusals for too many requests, with no other answer between them.
#[derive(Default)]
struct Throttling {
    since: Option<Instant>,
    refusals: u32,
}

/// The body of a request.
enum Payload {
    Get,
    Post(Value),
    /// With a cursor, which Wix may no longer accept.
    PostCursor(Value),
}

impl Payload {
    fn has_cursor(&self) -> bool {
        matches!(self, Payload::PostCursor(_))
    }
}

/// The result of one attempt.
enum Attempt<T> {
    Done(T),
    /// Another attempt makes sense, after the delay that the answer named, if it did.
    Failed {
        what: String,
        retry_after: Option<Duration>,
    },
    Throttled {
        answer: Box<WixAnswer>,
        retry_after: Option<Duration>,
    },
    /// The token was refused; a new one may be accepted. If not, this is why.
    TokenRefused(WixError),
    Refused(WixError),
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
        let gate = Gate::new(settings.rate_limit);
        Ok(WixClient {
            http,
            settings,
            tokens: TokenStore::default(),
            gate,
            throttling: Mutex::default(),
            stop,
            reporter,
        })
    }

    /// One page of a listing. Waits for the rate limit, renews the token, and repeats what is worth repeating.
    ///
    /// # Errors
    ///
    /// See [`WixError`]; in all cases a later attempt of this run would fail as well, except for
    /// [`WixError::CursorRefused`], after which the walk can restart from a date.
    pub async fn fetch_page(
        &self,
        listing: &'static Listing,
        selection: &Selection,
        request: &PageRequest,
        counter: &RequestCounter,
    ) -> Result<Page, WixError> {
        self.try_page(listing, selection, request, counter, self.settings.retry.max_retries).await
    }

    pub fn max_retries(&self) -> u32 {
        self.settings.retry.max_retries
    }

    /// Like [`WixClient::fetch_page`], with this many retries.
    pub async fn try_page(
        &self,
        listing: &'static Listing,
        selection: &Selection,
        request: &PageRequest,
        counter: &RequestCounter,
        max_retries: u32,
    ) -> Result<Page, WixError> {
        let has_cursor = matches!(request, PageRequest::Cursor(_));
        let body = listing.request_body(selection, request);
        let payload = if has_cursor { Payload::PostCursor(body) } else { Payload::Post(body) };
        let decode = async |answer: &Answer| {
            let (body, server_time) = (answer.body.clone(), answer.server_time);
            off_thread(move || listing.decode_page(&body, server_time)).await
        };
        self.repeat_up_to(max_retries, listing.path, counter, async || {
            self.attempt(listing, listing.path, &payload, counter, &decode).await
        })
        .await
    }

    /// Repeats `attempt` as the retry policy says.
    async fn repeat<T>(
        &self,
        path: &'static str,
        counter: &RequestCounter,
        attempt: impl AsyncFn() -> Result<Attempt<T>, WixError>,
    ) -> Result<T, WixError> {
        self.repeat_up_to(self.settings.retry.max_retries, path, counter, attempt).await
    }

    async fn repeat_up_to<T>(
        &self,
        max_retries: u32,
        path: &'static str,
        counter: &RequestCounter,
        attempt: impl AsyncFn() -> Result<Attempt<T>, WixError>,
    ) -> Result<T, WixError> {
        let (mut failures, mut refused_tokens) = (0, 0);
        loop {
            match attempt().await? {
                Attempt::Done(value) => {
                    *self.throttling.lock().await = Throttling::default();
                    return Ok(value);
                }
                Attempt::Refused(error) => {
                    *self.throttling.lock().await = Throttling::default();
                    return Err(error);
                }
                // Other requests may succeed meanwhile: they must not keep this one asking forever.
                Attempt::TokenRefused(error) if refused_tokens == MAX_REFUSED_TOKENS => return Err(error),
                Attempt::TokenRefused(_) => refused_tokens += 1,
                Attempt::Failed { what, .. } if failures == max_retries => {
                    return Err(WixError::Unavailable { path, tries: failures + 1, last: what });
                }
                Attempt::Failed { what, retry_after } => {
                    failures += 1;
                    self.pause(self.settings.retry.delay(failures, retry_after, fastrand::f64()), &what).await;
                }
                Attempt::Throttled { answer, retry_after } => self.throttled(answer, retry_after).await?,
            }
            counter.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Being throttled uses up no retry: it waits until nothing but refusals came for a long time.
    async fn throttled(&self, answer: Box<WixAnswer>, retry_after: Option<Duration>) -> Result<(), WixError> {
        let mut throttling = self.throttling.lock().await;
        let waited = throttling.since.get_or_insert_with(Instant::now).elapsed();
        if waited >= THROTTLE_PATIENCE {
            return Err(WixError::Throttled { waited, answer });
        }
        throttling.refusals += 1;
        let delay = self.settings.retry.throttle_delay(throttling.refusals, retry_after, fastrand::f64());
        drop(throttling);
        self.pause(delay, "Wix answered 429, too many requests").await;
        Ok(())
    }

    async fn pause(&self, delay: Duration, reason: &str) {
        self.reporter.report(Event::Waiting { delay, reason });
        self.gate.pause(delay).await;
    }

    /// One record by its id.
    ///
    /// # Errors
    ///
    /// Like [`WixClient::fetch_page`]. "Not found" is not an error here, but it can also mean a missing permission
    /// (wix-api.md 1.6): it proves something only if another record can be read in this way.
    pub async fn fetch_record(
        &self,
        listing: &'static Listing,
        wix_id: &str,
        counter: &RequestCounter,
    ) -> Result<Found, WixError> {
        let Lookup::Get { path, query, member } = listing.lookup else {
            return self.fetch_listed(listing, wix_id, counter).await;
        };
        let id = utf8_percent_encode(wix_id, NOT_IN_IDS);
        let address = format!("{path}{id}{query}");
        let decode = async |answer: &Answer| listing.decode_record(member, &answer.body);
        let found =
            self.repeat(path, counter, async || self.attempt(listing, &address, &Payload::Get, counter, &decode).await);
        match found.await {
            Ok((record, is_merged)) => Ok(if is_merged { Found::Merged(record) } else { Found::Alive(record) }),
            Err(WixError::Refused { answer, .. }) if answer.status == StatusCode::NOT_FOUND.as_u16() => Ok(Found::Gone),
            Err(error) => Err(error),
        }
    }

    async fn attempt<T>(
        &self,
        listing: &'static Listing,
        address: &str,
        payload: &Payload,
        counter: &RequestCounter,
        decode: &impl AsyncFn(&Answer) -> Result<T, String>,
    ) -> Result<Attempt<T>, WixError> {
        let token = match &self.settings.credentials {
            Credentials::ApiKey { .. } => None,
            Credentials::App { .. } => Some(self.current_token(counter).await?),
        };
        let answer = match self.send(address, payload, self.headers(token.as_ref()), counter).await? {
            Ok(answer) => answer,
            Err(what) => return Ok(Attempt::Failed { what, retry_after: None }),
        };
        if answer.status.is_success() {
            self.tokens.accepted();
            if let Some(oversize) = answer.oversize {
                return Ok(Attempt::Refused(WixError::TooLarge { path: listing.path, oversize }));
            }
            return Ok(match decode(&answer).await {
                Ok(value) => Attempt::Done(value),
                Err(what) => {
                    let what = format!("it answered {}, but {what}", self.describe(&answer, token.as_ref()));
                    Attempt::Failed { what, retry_after: None }
                }
            });
        }
        let described = self.describe(&answer, token.as_ref());
        let path = match (payload, listing.lookup) {
            (Payload::Get, Lookup::Get { path, .. }) => path,
            _ => listing.path,
        };
        Ok(match answer.status {
            StatusCode::TOO_MANY_REQUESTS => Attempt::Throttled { answer: described, retry_after: answer.retry_after },
            status if is_transient(status) => {
                Attempt::Failed { what: format!("it answered {described}"), retry_after: answer.retry_after }
            }
            StatusCode::UNAUTHORIZED => {
                // If they work elsewhere, it is a missing permission: Wix sometimes answers that in this way
                // (wix-api.md 1.6).
                let error = match self.tokens.have_worked() {
                    true => self.forbidden(listing, path, described),
                    false => self.bad_credentials(Some(listing.permission), described),
                };
                match token {
                    Some(token) if !self.tokens.refuse(token.number).await => Attempt::TokenRefused(error),
                    _ => Attempt::Refused(error),
                }
            }
            StatusCode::FORBIDDEN => Attempt::Refused(self.forbidden(listing, path, described)),
            StatusCode::PRECONDITION_REQUIRED => {
                Attempt::Refused(WixError::AppNotInstalled { app: listing.app, answer: described })
            }
            StatusCode::BAD_REQUEST if payload.has_cursor() => {
                Attempt::Refused(WixError::CursorRefused { path, answer: described })
            }
            _ => Attempt::Refused(WixError::Refused { path, answer: described }),
        })
    }

    /// The current access token, or a new one if it is about to expire.
    async fn current_token(&self, counter: &RequestCounter) -> Result<AccessToken, WixError> {
        self.tokens.check()?;
        let mut current = self.tokens.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.clone());
        }
        let token = self.repeat(TOKEN_PATH, counter, async || self.try_token(counter).await).await?;
        *current = Some(token.clone());
        Ok(token)
    }

    async fn try_token(&self, counter: &RequestCounter) -> Result<Attempt<AccessToken>, WixError> {
        let Credentials::App { app_id, app_secret, instance_id, .. } = &self.settings.credentials else {
            return Err(WixError::Setup("an API key needs no access token".to_owned()));
        };
        let payload = Payload::Post(json!({
            "grant_type": "client_credentials",
            "client_id": app_id,
            "client_secret": app_secret.reveal(),
            "instance_id": instance_id,
        }));
        let answer = match self.send(TOKEN_PATH, &payload, HeaderMap::new(), counter).await? {
            Ok(answer) => answer,
            Err(what) => return Ok(Attempt::Failed { what, retry_after: None }),
        };
        let described = self.describe(&answer, None);
        Ok(match answer.status {
            status if status.is_success() => match serde_json::from_slice::<TokenAnswer>(&answer.body) {
                Ok(token) => Attempt::Done(self.tokens.issue(token, Instant::now())),
                Err(_) => {
                    Attempt::Failed { what: format!("it answered {described}, but no access token"), retry_after: None }
                }
            },
            StatusCode::TOO_MANY_REQUESTS => Attempt::Throttled { answer: described, retry_after: answer.retry_after },
            status if is_transient(status) => {
                Attempt::Failed { what: format!("it answered {described}"), retry_after: answer.retry_after }
            }
            _ => Attempt::Refused(self.bad_credentials(None, described)),
        })
    }

    /// Sends one request. The inner error is a failure without an answer, in words.
    async fn send(
        &self,
        address: &str,
        payload: &Payload,
        headers: HeaderMap,
        counter: &RequestCounter,
    ) -> Result<Result<Answer, String>, WixError> {
        self.gate.pass(&self.stop).await?;
        counter.requests.fetch_add(1, Ordering::Relaxed);
        self.reporter.report(Event::RequestSent { table: counter.table });
        let address = format!("{}{address}", self.settings.base_url.reveal());
        let request = match payload {
            Payload::Get => self.http.get(address),
            Payload::Post(body) | Payload::PostCursor(body) => {
                self.http.post(address).header(CONTENT_TYPE, "application/json").body(body.to_string())
            }
        };
        let request = request.headers(headers);
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>(Answer::new(status, &headers, body::read(response).await?))
        };
        tokio::select! {
            answer = exchange => match answer {
                Ok(answer) => Ok(Ok(answer)),
                Err(error) => no_answer(error, &self.settings.base_url).map(Err),
            },
            reason = self.stop.wait() => Err(reason.into()),
        }
    }

    fn headers(&self, token: Option<&AccessToken>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match (&self.settings.credentials, token) {
            // The token names the site; sending the site's id as well is reported to make some calls fail (wix-api.md
            // 1.1).
            (_, Some(token)) => headers.extend(secret_header(&token.secret).map(|value| (AUTHORIZATION, value))),
            (credentials, None) => {
                headers.extend(secret_header(credentials.secret()).map(|value| (AUTHORIZATION, value)));
                headers.extend(
                    HeaderValue::from_str(&self.settings.site_id)
                        .ok()
                        .map(|value| (reqwest::header::HeaderName::from_static("wix-site-id"), value)),
                );
            }
        }
        headers
    }

    /// Wix's answer, without the secrets that were sent.
    fn describe(&self, answer: &Answer, token: Option<&AccessToken>) -> Box<WixAnswer> {
        let secret = self.settings.credentials.secret();
        let redact = |text: &str| {
            let text = secret.redact(text);
            token.map_or(text.clone(), |token| token.secret.redact(&text))
        };
        Box::new(WixAnswer::read(answer.status.as_u16(), answer.request_id.clone(), &answer.body, redact))
    }

    fn forbidden(&self, listing: &Listing, path: &'static str, answer: Box<WixAnswer>) -> WixError {
        WixError::Forbidden {
            path,
            permission: listing.permission,
            variables: format!("{} and WIX_SITE_ID", self.settings.credentials.variables()),
            answer,
        }
    }

    fn bad_credentials(&self, permission: Option<&'static str>, answer: Box<WixAnswer>) -> WixError {
        WixError::Credentials { variables: self.settings.credentials.variables(), permission, answer }
    }
}

/// The header's value, marked so that no debug output shows it; `None` for text that no header can hold, which the
/// configuration has refused before.
fn secret_header(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
