//! Checks for `doctor` whether Wix can be used: requests one record of a list.
//!
//! At most two attempts, and no wait if Wix asks for one: the check must report soon, not succeed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use super::response::Response;
use super::{Call, Payload, RequestCounter, WixClient};
use crate::installation::TokenInfo;
use crate::table::listing::Listing;
use crate::wix::error::{WixError, WixResponse};

/// Maximum time of one attempt.
const PATIENCE: Duration = Duration::from_secs(20);

/// Maximum number of attempts of one check.
const TRIES: u32 = 2;

/// Why a check had no usable response.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// 429: too many requests.
    #[error("Wix answered {0}")]
    Throttled(Box<WixResponse>),
    #[error(transparent)]
    Refused(WixError),
    /// The last attempt returned a status 5xx.
    #[error("Wix has a problem ({what})")]
    ServerError { what: String },
    /// The last attempt failed for this reason.
    #[error("{0}")]
    Failed(String),
}

/// Facts about a list from its smallest page.
#[derive(Clone, Copy, Debug)]
pub struct ListProbe {
    /// How far this machine's clock is ahead of Wix's, to the second; `None` if Wix does not send its time.
    pub ahead: Option<TimeDelta>,
    /// Whether the list is empty.
    pub is_empty: bool,
}

impl WixClient {
    /// Exchanges app credentials for an access token.
    pub async fn probe_token(&self) -> Result<(), ProbeError> {
        let counter = RequestCounter::default();
        let mut current = self.tokens.current.lock().await;
        *current = Some(tries(async |number| self.try_token(&counter, number).await).await?);
        Ok(())
    }

    /// Asks which site the access token belongs to, after [`WixClient::probe_token`].
    pub async fn probe_token_info(&self) -> Result<TokenInfo, ProbeError> {
        let token = self.tokens.current.lock().await.clone();
        let token = token.ok_or_else(|| ProbeError::Failed("there is no access token".to_owned()))?;
        let counter = RequestCounter::default();
        tries(async |number| self.try_token_info(&token, &counter, number).await).await
    }

    /// Requests one record of a list.
    pub async fn probe_listing(&self, listing: &'static Listing) -> Result<ListProbe, ProbeError> {
        let call = Call::list(listing, Payload::Post(listing.smallest_page()));
        let counter = RequestCounter::default();
        tries(async |number| {
            let (sent_at, clock) = (Utc::now(), Instant::now());
            let decode = async |response: &Response| {
                let page = listing.decode_page(&response.body, response.server_time)?;
                let ahead = page.server_time.map(|theirs| ahead(sent_at, clock.elapsed(), theirs));
                Ok(ListProbe { ahead, is_empty: page.records.is_empty() })
            };
            self.attempt(&call, &counter, number, &decode).await
        })
        .await
    }
}

/// How far our clock is ahead of a clock that showed `theirs`, cut to the second, at some moment of an exchange that
/// started at `sent_at` and took `took`: the smallest difference that explains it.
fn ahead(sent_at: DateTime<Utc>, took: Duration, theirs: DateTime<Utc>) -> TimeDelta {
    let took = TimeDelta::from_std(took).unwrap_or_default();
    let (least, most) = (sent_at - (theirs + TimeDelta::seconds(1)), sent_at + took - theirs);
    if least > TimeDelta::zero() {
        least
    } else if most < TimeDelta::zero() {
        most
    } else {
        TimeDelta::zero()
    }
}

async fn tries<T>(attempt: impl AsyncFn(u32) -> Result<T, Failure>) -> Result<T, ProbeError> {
    let mut last = ProbeError::Failed("no answer".to_owned());
    for number in 1..=TRIES {
        last = match timeout(PATIENCE, attempt(number)).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Failure::Throttled { response, .. })) => return Err(ProbeError::Throttled(response)),
            Ok(Err(Failure::Refused(error) | Failure::Ended(error))) => return Err(ProbeError::Refused(error)),
            Ok(Err(Failure::Unusable { what, is_server_error: true, .. })) => ProbeError::ServerError { what },
            Ok(Err(Failure::Unusable { what, .. })) => ProbeError::Failed(what),
            Ok(Err(Failure::TokenRefused(_))) => ProbeError::Failed("a fresh access token was refused".to_owned()),
            Err(_) => ProbeError::Failed(format!("no answer within {} s", PATIENCE.as_secs())),
        };
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::ahead;

    #[test]
    fn clock_difference_is_the_least_certain_one() {
        let at = |seconds: f64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::milliseconds((seconds * 1000.0) as i64);
        let second = Duration::from_secs(1);
        // Sent at 100.5, answered at 101.5: a server whose clock is right says 100 or 101.
        for right in [100.0, 101.0] {
            assert_eq!(ahead(at(100.5), second, at(right)), TimeDelta::zero());
        }
        assert_eq!(ahead(at(100.5), second, at(40.0)), TimeDelta::milliseconds(59_500));
        assert_eq!(ahead(at(100.5), second, at(160.0)), TimeDelta::milliseconds(-58_500));
    }
}
