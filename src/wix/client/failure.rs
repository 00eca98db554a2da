//! Reasons why an attempt of a request failed. They decide whether it is repeated.

use std::time::Duration;

use tokio::time::Instant;

use crate::wix::error::{WixError, WixResponse};

pub(super) enum Failure {
    /// No usable response. Another attempt makes sense, after the delay that the response named.
    Unusable {
        what: String,
        /// Whether the status was 5xx: the cause is on Wix's side.
        is_server_error: bool,
        retry_after: Option<Duration>,
    },
    /// 429: too many requests.
    Throttled { response: Box<WixResponse>, retry_after: Option<Duration> },
    /// Wix refused the token; a new one may be accepted. Contains the error if it is not.
    TokenRefused(WixError),
    /// Wix refused the request.
    Refused(WixError),
    /// The request was not sent, or the wait for its response was ended.
    Ended(WixError),
}

impl From<WixError> for Failure {
    fn from(error: WixError) -> Failure {
        Failure::Ended(error)
    }
}

/// Consecutive refusals for too many requests.
#[derive(Default)]
pub(super) struct Throttling {
    pub(super) since: Option<Instant>,
    pub(super) refusals: u32,
}
