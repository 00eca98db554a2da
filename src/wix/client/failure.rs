//! Why one attempt of a request failed, which decides whether there is another one.

use std::time::Duration;

use tokio::time::Instant;

use crate::wix::error::{WixError, WixResponse};

pub(super) enum Failure {
    /// No response, or none that can be used. Another attempt makes sense, after the delay that the response named.
    Unusable {
        what: String,
        /// Whether the status was 5xx: the cause is on the side of Wix.
        is_server_error: bool,
        retry_after: Option<Duration>,
    },
    /// 429: too many requests.
    Throttled { response: Box<WixResponse>, retry_after: Option<Duration> },
    /// The token was refused; a new one may be accepted. If not, this is why.
    TokenRefused(WixError),
    /// Wix refused the request.
    Refused(WixError),
    /// The request was not sent, or its response was not waited for.
    Ended(WixError),
}

impl From<WixError> for Failure {
    fn from(error: WixError) -> Failure {
        Failure::Ended(error)
    }
}

/// Refusals for too many requests, with no other response between them.
#[derive(Default)]
pub(super) struct Throttling {
    pub(super) since: Option<Instant>,
    pub(super) refusals: u32,
}
