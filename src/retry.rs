//! When to retry, and after which delay. Pure rules: nothing here sleeps.

use std::time::{Duration, SystemTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum number of retries of one request after failures. Throttling does not count.
    pub max_retries: u32,
    /// The first delay. It doubles with each further failure.
    pub first_delay: Duration,
}

/// Maximum delay between two attempts. A longer `Retry-After` is shortened to it; if Wix refuses again, the request
/// waits again.
const MAX_DELAY: Duration = Duration::from_secs(120);

/// The delay after a 429 without `Retry-After`, as recommended by Wix's troubleshooting page (wix-api.md 6.2).
const THROTTLE_DELAY: Duration = Duration::from_secs(60);

/// Maximum time in which all requests are refused. Then the run ends, and the next one resumes.
pub const THROTTLE_PATIENCE: Duration = Duration::from_secs(600);

impl RetryPolicy {
    /// The delay before retry number `retry` (the first is 1): between half of the full delay and all of it, and never
    /// shorter than `retry_after`. `jitter` is in `0.0..1.0`.
    pub fn delay(&self, retry: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let grown = self.first_delay.saturating_mul(2_u32.saturating_pow(retry.saturating_sub(1))).min(THROTTLE_DELAY);
        let jittered = grown.mul_f64(0.5 + jitter / 2.0);
        jittered.max(retry_after.unwrap_or_default()).min(MAX_DELAY)
    }

    /// The delay after refusal number `refusal` in a row (the first is 1): the requested time, or a minute if Wix names
    /// none, plus a random part, so that many clients do not return at the same time. If several refusals in a row have
    /// `Retry-After: 0`, the delay grows as after any other failure.
    pub fn throttle_delay(&self, refusal: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        match retry_after {
            None => THROTTLE_DELAY.mul_f64(1.0 + jitter / 10.0),
            Some(asked) => {
                let asked = asked.min(MAX_DELAY).mul_f64(1.0 + jitter / 10.0);
                asked.max(self.delay(refusal, None, jitter)).min(MAX_DELAY)
            }
        }
    }
}

/// Parses `Retry-After`: seconds or an HTTP date. `None` if it is neither. `now` is the server's clock, to which a date
/// refers. If it is not known, a date cannot be used.
pub fn parse_retry_after(value: &str, now: Option<SystemTime>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_DELAY, RetryPolicy, THROTTLE_DELAY, parse_retry_after};

    const POLICY: RetryPolicy = RetryPolicy { max_retries: 3, first_delay: Duration::from_secs(1) };

    #[test]
    fn delays_grow_are_jittered_and_bounded() {
        assert_eq!(POLICY.delay(1, None, 0.0), Duration::from_millis(500));
        assert_eq!(POLICY.delay(1, None, 1.0), Duration::from_secs(1));
        assert_eq!(POLICY.delay(3, None, 1.0), Duration::from_secs(4));
        assert_eq!(POLICY.delay(30, None, 1.0), Duration::from_secs(60));
        assert_eq!(POLICY.delay(1, Some(Duration::from_secs(7)), 0.5), Duration::from_secs(7));
        assert_eq!(POLICY.delay(1, Some(Duration::MAX), 0.5), MAX_DELAY);
    }

    #[test]
    fn throttling_without_a_time_waits_a_minute() {
        assert_eq!(POLICY.throttle_delay(1, None, 0.0), THROTTLE_DELAY);
        assert_eq!(POLICY.throttle_delay(9, None, 0.0), THROTTLE_DELAY);
        assert_eq!(POLICY.throttle_delay(1, Some(Duration::from_secs(20)), 0.0), Duration::from_secs(20));
        assert_eq!(POLICY.throttle_delay(1, Some(Duration::from_secs(86_400)), 0.0), MAX_DELAY);
    }

    #[test]
    fn retry_after_zero_still_waits() {
        let zero = Some(Duration::ZERO);
        assert_eq!(POLICY.throttle_delay(1, zero, 1.0), Duration::from_secs(1));
        assert_eq!(POLICY.throttle_delay(4, zero, 1.0), Duration::from_secs(8));
        assert_eq!(POLICY.throttle_delay(40, zero, 1.0), Duration::from_secs(60));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Mon, 14 Sep 2026 16:40:00 GMT").unwrap();
        assert_eq!(parse_retry_after("120", Some(now)), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after("0", Some(now)), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("1.5", Some(now)), Some(Duration::from_millis(1500)));
        assert_eq!(parse_retry_after("Mon, 14 Sep 2026 16:40:30 GMT", Some(now)), Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after("Mon, 14 Sep 2026 16:39:30 GMT", Some(now)), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("99999999999999999999999999", Some(now)), Some(Duration::MAX));
        assert_eq!(parse_retry_after("soon", Some(now)), None);
        assert_eq!(parse_retry_after("-5", Some(now)), None);
        assert_eq!(parse_retry_after("", Some(now)), None);
        assert_eq!(parse_retry_after("Mon, 14 Sep 2026 16:40:30 GMT", None), None);
        assert_eq!(parse_retry_after("120", None), Some(Duration::from_secs(120)));
    }
}
