//! One request and its response.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::failure::Failure;
use super::response::{Response, describe_missing_response, is_transient};
use super::{Call, Payload, RequestCounter, WixClient, body};
use crate::event::{Event, RequestInfo, ResponseInfo, Wait};
use crate::secret::Secret;
use crate::table::listing::Listing;
use crate::wix::auth::{AccessToken, Credentials};
use crate::wix::error::{WixError, WixResponse};

/// A request to Wix.
pub(super) struct Request<'a> {
    /// The path with its query.
    pub(super) address: &'a str,
    pub(super) payload: &'a Payload,
    pub(super) headers: HeaderMap,
    /// Access token to send. Never shown.
    pub(super) token: Option<&'a AccessToken>,
    /// Number of the attempt, starting at 1.
    pub(super) attempt: u32,
}

impl WixClient {
    /// One attempt of a request for records.
    pub(super) async fn attempt<T>(
        &self,
        call: &Call<'_>,
        counter: &RequestCounter,
        number: u32,
        decode: &impl AsyncFn(&Response) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let &Call { listing, path, address, ref payload } = call;
        let token = match &self.settings.credentials {
            Credentials::ApiKey { .. } => None,
            Credentials::App { .. } => Some(self.current_token(counter).await?),
        };
        let token = token.as_ref();
        let request = Request { address, payload, headers: self.headers(token), token, attempt: number };
        let response = self.send(request, counter).await?;
        if response.status.is_success() {
            self.tokens.accepted();
            if let Some(oversize) = response.oversize {
                return Err(Failure::Refused(WixError::TooLarge { path: listing.path, oversize }));
            }
            return decode(&response).await.map_err(|what| {
                let what = format!("Wix answered {}, but {what}", self.describe(&response, token));
                Failure::Unusable { what, is_server_error: false, retry_after: None }
            });
        }
        let described = self.describe(&response, token);
        Err(match response.status {
            StatusCode::UNAUTHORIZED => {
                // If the credentials work elsewhere, a permission is missing: Wix sometimes answers 401 in this case
                // (wix-api.md 1.6).
                let error = match self.tokens.have_worked() {
                    true => self.forbidden(listing, path, described),
                    false => self.bad_credentials(Some(listing.permission), described),
                };
                match token {
                    Some(token) if !self.tokens.refuse(token.number).await => Failure::TokenRefused(error),
                    _ => Failure::Refused(error),
                }
            }
            StatusCode::FORBIDDEN => Failure::Refused(self.forbidden(listing, path, described)),
            StatusCode::PRECONDITION_REQUIRED => {
                Failure::Refused(WixError::AppNotInstalled { app: listing.app, response: described })
            }
            StatusCode::BAD_REQUEST if matches!(payload, Payload::PostCursor(_)) => {
                Failure::Refused(WixError::CursorRefused { path, response: described })
            }
            _ => Failure::Refused(WixError::Refused { path, response: described }),
        })
    }

    /// Sends one request. Returns a failure if the response allows a later attempt.
    pub(super) async fn send(&self, request: Request<'_>, counter: &RequestCounter) -> Result<Response, Failure> {
        self.wait_for_rate_limit(counter).await?;
        counter.requests.fetch_add(1, Ordering::Relaxed);
        let Request { address, payload, headers, token, attempt } = request;
        let info = RequestInfo {
            table: counter.table,
            method: if matches!(payload, Payload::Get) { "GET" } else { "POST" },
            path: address.split('?').next().unwrap_or_default(),
            attempt,
        };
        let clock = Instant::now();
        self.reporter.report(Event::RequestSent { request: &info });
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
            Ok::<_, reqwest::Error>(Response::new(status, &headers, body::read(response).await?))
        };
        let response = tokio::select! {
            response = exchange => response.map_err(|error| describe_missing_response(error, &self.settings.base_url)),
            reason = self.stop.wait() => return Err(Failure::Ended(reason.into())),
        };
        self.report_response(&info, response.as_ref(), clock.elapsed());
        let response = response.map_err(|missing| match missing {
            Ok(what) => {
                let proxy = self.settings.network.describe_proxy(&self.settings.base_url);
                let proxy = proxy.map(|proxy| format!(" (proxy: {proxy})")).unwrap_or_default();
                Failure::Unusable { what: what + &proxy, is_server_error: false, retry_after: None }
            }
            Err(error) => Failure::Ended(error),
        })?;
        let retry_after = response.retry_after;
        match response.status {
            StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Throttled { response: self.describe(&response, token), retry_after })
            }
            status if is_transient(status) => {
                let what = format!("Wix answered {}", self.describe(&response, token));
                let is_server_error = status.is_server_error();
                Err(Failure::Unusable { what, is_server_error, retry_after })
            }
            _ => Ok(response),
        }
    }

    async fn wait_for_rate_limit(&self, counter: &RequestCounter) -> Result<(), WixError> {
        let table = counter.table;
        let report = |delay, wait: &Wait| {
            // The wait before a request's own retry was already reported.
            if !matches!(wait, Wait::Retry { table: failed, .. } if *failed == table) {
                self.reporter.report(Event::Waiting { table, delay: Some(delay), wait });
            }
        };
        Ok(self.rate_limiter.acquire(&self.stop, report).await?)
    }

    fn report_response(
        &self,
        request: &RequestInfo<'_>,
        response: Result<&Response, &Result<String, WixError>>,
        duration: Duration,
    ) {
        let certificate;
        let response = match response {
            Ok(Response { status, request_id, .. }) => {
                Ok(ResponseInfo { status: status.as_u16(), request_id: request_id.as_deref() })
            }
            Err(Ok(reason)) => Err(reason.as_str()),
            Err(Err(error)) => {
                certificate = error.to_string();
                Err(certificate.as_str())
            }
        };
        self.reporter.report(Event::ResponseReceived { request, response, duration });
    }

    fn headers(&self, token: Option<&AccessToken>) -> HeaderMap {
        let secret = token.map_or_else(|| self.settings.credentials.secret(), |token| &token.secret);
        let mut headers = HeaderMap::new();
        headers.extend(secret_header(secret).map(|value| (AUTHORIZATION, value)));
        // The token identifies the site; some calls are reported to fail if the site's id is sent too (wix-api.md 1.1).
        if token.is_none()
            && let Ok(site_id) = HeaderValue::from_str(&self.settings.site_id)
        {
            headers.insert(HeaderName::from_static("wix-site-id"), site_id);
        }
        headers
    }

    /// Summary of Wix's response, without the secrets that were sent.
    pub(super) fn describe(&self, response: &Response, token: Option<&AccessToken>) -> Box<WixResponse> {
        let secret = self.settings.credentials.secret();
        let redact = |text: &str| {
            let text = secret.redact(text);
            token.map_or(text.clone(), |token| token.secret.redact(&text))
        };
        let mut described =
            WixResponse::read(response.status.as_u16(), response.request_id.clone(), &response.body, redact);
        if described.is_foreign() {
            described.proxy = self.settings.network.describe_proxy(&self.settings.base_url);
        }
        Box::new(described)
    }

    fn forbidden(&self, listing: &Listing, path: &'static str, response: Box<WixResponse>) -> WixError {
        WixError::Forbidden {
            path,
            permissions: vec![listing.permission],
            variables: format!("{} and WIX_SITE_ID", self.settings.credentials.variables()),
            response,
        }
    }

    pub(super) fn bad_credentials(&self, permission: Option<&'static str>, response: Box<WixResponse>) -> WixError {
        WixError::Credentials { variables: self.settings.credentials.variables(), permission, response }
    }
}

/// The header value, marked as sensitive so that debug output hides it; `None` if the text is not a valid header, which
/// the configuration refuses earlier.
fn secret_header(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
