//! The response to one request, before its body is interpreted.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::body::Body;
use crate::address::Address;
use crate::network::{CertificateProblem, chain};
use crate::retry;
use crate::wix::error::{Oversize, WixError};

pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) request_id: Option<String>,
    pub(super) server_time: Option<DateTime<Utc>>,
    pub(super) retry_after: Option<Duration>,
    /// Empty if it is too large.
    pub(super) body: Bytes,
    pub(super) oversize: Option<Oversize>,
}

impl Response {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Body) -> Response {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let server_time = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
        let (body, oversize) = match body {
            Body::Whole(body) => (body, None),
            Body::TooLarge(oversize) => (Bytes::new(), Some(oversize)),
        };
        Response {
            status,
            request_id: text("x-wix-request-id").map(str::to_owned),
            server_time: server_time.map(DateTime::from),
            retry_after: text(RETRY_AFTER.as_str()).and_then(|value| retry::parse_retry_after(value, server_time)),
            body,
            oversize,
        }
    }
}

/// 408, and 5xx except 501: the cause is on Wix's side and probably temporary.
pub(super) fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// Describes why a request had no response, with host and port if there was no connection. A refused certificate is an
/// error, because a later attempt would fail too.
pub(super) fn describe_missing_response(error: reqwest::Error, server: &Address) -> Result<String, WixError> {
    match CertificateProblem::of(&error) {
        Some(problem) => Err(WixError::Certificate { host: server.host().to_owned(), problem }),
        None if error.is_connect() => {
            Ok(format!("no connection to {}: {}", server.host_and_port(), chain(&error.without_url())))
        }
        None => Ok(chain(&error.without_url())),
    }
}
