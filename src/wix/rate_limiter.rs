//! The rate limit of all requests, and one pause for all tasks.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::stop::{Stop, StopReason};

/// A little longer than the minute in which Wix counts, since requests do not all take equally long to arrive.
const MINUTE: Duration = Duration::from_millis(60_500);

/// Lets at most `limit` requests pass in any minute, and none while there is a pause.
///
/// Requests may follow each other at once until the minute's limit is used up: a run that needs few of them is not
/// slowed down, and a long one uses the whole limit.
#[derive(Debug)]
pub struct RateLimiter {
    limit: Option<usize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last `limit` requests passed, oldest first.
    passed: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl RateLimiter {
    /// `limit` is in requests per minute; 0 means no limit.
    pub fn new(limit: u32) -> RateLimiter {
        RateLimiter { limit: (limit > 0).then_some(limit as usize), state: Mutex::default() }
    }

    /// Waits until a request may be sent, and counts it.
    pub async fn acquire(&self, stop: &Stop) -> Result<(), StopReason> {
        loop {
            stop.check()?;
            let wait = {
                let mut state = self.state.lock().await;
                let now = Instant::now();
                match self.free_at(&state, now) {
                    Some(free_at) => free_at - now,
                    None => {
                        if let Some(limit) = self.limit {
                            state.passed.push_back(now);
                            while state.passed.len() > limit {
                                state.passed.pop_front();
                            }
                        }
                        return Ok(());
                    }
                }
            };
            stop.sleep(wait).await?;
        }
    }

    /// How long to wait after this many requests, so that work of low priority leaves some for others: not at all
    /// until half of a minute's requests are used up, then as long as the limit allows for so many.
    pub async fn pace(&self, requests: u64) -> Duration {
        let Some(limit) = self.limit else { return Duration::ZERO };
        let now = Instant::now();
        let used = self.state.lock().await.passed.iter().filter(|passed| **passed + MINUTE > now).count();
        if used * 2 < limit { Duration::ZERO } else { MINUTE.mul_f64(requests as f64 / limit as f64) }
    }

    /// Nothing passes for `delay` from now, unless a longer pause is active already.
    pub async fn pause(&self, delay: Duration) {
        let until = Instant::now() + delay;
        let mut state = self.state.lock().await;
        state.paused_until = Some(state.paused_until.map_or(until, |current| current.max(until)));
    }

    /// When the next request may be sent; `None` if it may be sent now.
    fn free_at(&self, state: &State, now: Instant) -> Option<Instant> {
        let by_limit = match self.limit {
            Some(limit) if state.passed.len() >= limit => state.passed.front().map(|oldest| *oldest + MINUTE),
            _ => None,
        };
        by_limit.max(state.paused_until).filter(|free_at| *free_at > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::RateLimiter;
    use crate::stop::{StopReason, stop_pair};

    #[tokio::test(start_paused = true)]
    async fn no_minute_exceeds_the_limit_and_the_limit_is_used() {
        let (_stopper, stop) = stop_pair();
        let limiter = RateLimiter::new(200);
        let begin = Instant::now();
        let mut times = Vec::new();
        for _ in 0..1000 {
            limiter.acquire(&stop).await.unwrap();
            times.push(begin.elapsed());
        }
        for pair in times.windows(201) {
            assert!(pair[200] - pair[0] >= Duration::from_secs(60), "{:?}", pair[0]);
        }
        assert!(begin.elapsed() < Duration::from_secs(4 * 61), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn pace_leaves_half_of_the_limit_to_others() {
        let (_stopper, stop) = stop_pair();
        let limiter = RateLimiter::new(10);
        for used in 0..10 {
            let is_free = limiter.pace(1).await.is_zero();
            assert_eq!(is_free, used < 5, "{used}");
            limiter.acquire(&stop).await.unwrap();
        }
        assert_eq!(limiter.pace(5).await, super::MINUTE / 2);
        tokio::time::advance(super::MINUTE).await;
        assert!(limiter.pace(5).await.is_zero());
        assert!(RateLimiter::new(0).pace(1000).await.is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn pause_holds_all_tasks_and_a_stop_ends_it() {
        let (stopper, stop) = stop_pair();
        let limiter = RateLimiter::new(0);
        let begin = Instant::now();
        limiter.pause(Duration::from_secs(30)).await;
        limiter.pause(Duration::from_secs(10)).await;
        limiter.acquire(&stop).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(30));
        limiter.pause(Duration::from_secs(3600)).await;
        stopper.stop(StopReason::Terminate);
        assert_eq!(limiter.acquire(&stop).await, Err(StopReason::Terminate));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
