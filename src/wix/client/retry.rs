//! Repeats failed requests.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Failure, Throttling};
use super::{RequestCounter, WixClient};
use crate::event::{Event, Wait};
use crate::retry::THROTTLE_PATIENCE;
use crate::wix::error::{WixError, WixResponse};

/// Maximum number of refused tokens per request that are replaced.
const MAX_REFUSED_TOKENS: u32 = 3;

impl WixClient {
    /// Repeats `attempt`, which receives its number, according to the retry policy.
    pub(super) async fn repeat<T>(
        &self,
        path: &'static str,
        counter: &RequestCounter,
        attempt: impl AsyncFn(u32) -> Result<T, Failure>,
    ) -> Result<T, WixError> {
        self.repeat_up_to(self.settings.retry.max_retries, path, counter, attempt).await
    }

    pub(super) async fn repeat_up_to<T>(
        &self,
        max_retries: u32,
        path: &'static str,
        counter: &RequestCounter,
        attempt: impl AsyncFn(u32) -> Result<T, Failure>,
    ) -> Result<T, WixError> {
        let (mut number, mut failures, mut refused_tokens) = (0, 0, 0);
        loop {
            number += 1;
            match attempt(number).await {
                Ok(value) => {
                    *self.throttling.lock().await = Throttling::default();
                    return Ok(value);
                }
                Err(Failure::Refused(error)) => {
                    *self.throttling.lock().await = Throttling::default();
                    return Err(error);
                }
                Err(Failure::Ended(error)) => return Err(error),
                // Other requests may succeed meanwhile and reset the counter, so this request has its own limit.
                Err(Failure::TokenRefused(error)) if refused_tokens == MAX_REFUSED_TOKENS => return Err(error),
                Err(Failure::TokenRefused(_)) => refused_tokens += 1,
                Err(Failure::Unusable { what, .. }) if failures == max_retries => {
                    return Err(WixError::Unavailable { path, tries: failures + 1, last: what });
                }
                Err(Failure::Unusable { what, retry_after, .. }) => {
                    failures += 1;
                    let delay = self.settings.retry.delay(failures, retry_after, fastrand::f64());
                    let table = counter.table;
                    self.pause(delay, Wait::Retry { table, number: failures, max: Some(max_retries), cause: what })
                        .await;
                }
                Err(Failure::Throttled { response, retry_after }) => {
                    self.throttled(response, retry_after, counter).await?;
                }
            }
            counter.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits after a 429. It does not count as a retry; the limit is the time without any other response.
    async fn throttled(
        &self,
        response: Box<WixResponse>,
        retry_after: Option<Duration>,
        counter: &RequestCounter,
    ) -> Result<(), WixError> {
        let mut throttling = self.throttling.lock().await;
        let waited = throttling.since.get_or_insert_with(Instant::now).elapsed();
        if waited >= THROTTLE_PATIENCE {
            return Err(WixError::Throttled { waited, response });
        }
        throttling.refusals += 1;
        let delay = self.settings.retry.throttle_delay(throttling.refusals, retry_after, fastrand::f64());
        let (table, number) = (counter.table, throttling.refusals);
        drop(throttling);
        let cause = "Wix answered 429 (too many requests)".to_owned();
        self.pause(delay, Wait::Retry { table, number, max: None, cause }).await;
        Ok(())
    }

    async fn pause(&self, delay: Duration, wait: Wait) {
        if let Wait::Retry { table, .. } = wait {
            self.reporter.report(Event::Waiting { table, delay: Some(delay), wait: &wait });
        }
        self.rate_limiter.pause(delay, wait).await;
    }
}
