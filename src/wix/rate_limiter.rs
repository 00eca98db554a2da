//! The rate limit of all requests, and pauses for all tasks.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::event::Wait;
use crate::stop::{Stop, StopReason};

/// Window of the limit. It is longer than Wix's minute, because requests take different times to arrive.
const MINUTE: Duration = Duration::from_millis(60_500);

/// Minimum wait that is reported.
const MIN_REPORTED_WAIT: Duration = Duration::from_secs(1);

/// Lets at most `limit` requests pass in any minute, and none during a pause.
///
/// There is no minimum distance between requests: a run with few requests is not slowed down, and a long run uses the
/// whole limit.
#[derive(Debug)]
pub struct RateLimiter {
    limit: Option<usize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last `limit` requests passed, oldest first.
    passed: VecDeque<Instant>,
    pause: Option<(Instant, Wait)>,
}

impl RateLimiter {
    /// `limit` is in requests per minute; 0 means no limit.
    pub fn new(limit: u32) -> RateLimiter {
        RateLimiter { limit: (limit > 0).then_some(limit as usize), state: Mutex::default() }
    }

    /// Waits until a request may be sent, and counts it. Passes the wait to `report` before it starts.
    pub async fn acquire(&self, stop: &Stop, report: impl Fn(Duration, &Wait)) -> Result<(), StopReason> {
        loop {
            stop.check()?;
            let (delay, wait) = {
                let mut state = self.state.lock().await;
                let now = Instant::now();
                match self.free_at(&state, now) {
                    Some((free_at, wait)) => (free_at - now, wait),
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
            if delay >= MIN_REPORTED_WAIT {
                report(delay, &wait);
            }
            stop.sleep(delay).await?;
        }
    }

    /// The wait of low-priority work after this many requests, which leaves capacity for others: zero until half of a
    /// minute's limit is used, then as long as the limit allows for that many requests.
    pub async fn pace(&self, requests: u64) -> Duration {
        let Some(limit) = self.limit else { return Duration::ZERO };
        let now = Instant::now();
        let used = self.state.lock().await.passed.iter().filter(|passed| **passed + MINUTE > now).count();
        if used * 2 < limit { Duration::ZERO } else { MINUTE.mul_f64(requests as f64 / limit as f64) }
    }

    /// Blocks all requests for `delay` from now, unless a longer pause is active.
    pub async fn pause(&self, delay: Duration, wait: Wait) {
        let until = Instant::now() + delay;
        let mut state = self.state.lock().await;
        if state.pause.as_ref().is_none_or(|(current, _)| *current < until) {
            state.pause = Some((until, wait));
        }
    }

    /// When the next request may be sent, and the reason for the wait; `None` if it may be sent now.
    fn free_at(&self, state: &State, now: Instant) -> Option<(Instant, Wait)> {
        let by_limit = match self.limit {
            Some(limit) if state.passed.len() >= limit => state.passed.front().map(|oldest| *oldest + MINUTE),
            _ => None,
        };
        let by_limit = by_limit.map(|free_at| (free_at, Wait::RateLimit));
        let waits = by_limit.into_iter().chain(state.pause.clone());
        waits.filter(|(free_at, _)| *free_at > now).max_by_key(|(free_at, _)| *free_at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::RateLimiter;
    use crate::event::Wait;
    use crate::stop::{StopReason, stop_pair};

    #[tokio::test(start_paused = true)]
    async fn no_minute_exceeds_the_limit_and_the_limit_is_used() {
        let (_stopper, stop) = stop_pair();
        let limiter = RateLimiter::new(200);
        let begin = Instant::now();
        let mut times = Vec::new();
        for _ in 0..1000 {
            limiter.acquire(&stop, |_, wait| assert_eq!(*wait, Wait::RateLimit)).await.unwrap();
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
            limiter.acquire(&stop, |_, _| {}).await.unwrap();
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
        let wait = |cause: &str| Wait::Database { cause: cause.to_owned() };
        limiter.pause(Duration::from_secs(30), wait("long")).await;
        limiter.pause(Duration::from_secs(10), wait("short")).await;
        let reported = std::cell::RefCell::new(Vec::new());
        limiter.acquire(&stop, |delay, wait| reported.borrow_mut().push((delay, wait.clone()))).await.unwrap();
        assert_eq!(*reported.borrow(), [(Duration::from_secs(30), wait("long"))]);
        assert!(begin.elapsed() >= Duration::from_secs(30));
        limiter.pause(Duration::from_secs(3600), wait("longest")).await;
        stopper.stop(StopReason::Terminate);
        assert_eq!(limiter.acquire(&stop, |_, _| {}).await, Err(StopReason::Terminate));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
