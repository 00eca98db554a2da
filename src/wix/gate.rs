//! The gate that every request passes: the rate limit, and one pause for all tasks.

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
pub struct Gate {
    limit: Option<usize>,
    state: Mutex<GateState>,
}

#[derive(Debug, Default)]
struct GateState {
    /// When the last `limit` requests passed, oldest first.
    passed: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl Gate {
    /// `limit` is in requests per minute; 0 is no limit.
    pub fn new(limit: u32) -> Gate {
        Gate { limit: (limit > 0).then_some(limit as usize), state: Mutex::default() }
    }

    /// Waits until a request may be sent, and counts it.
    pub async fn pass(&self, stop: &Stop) -> Result<(), StopReason> {
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

    /// Nothing passes for `delay` from now, unless a longer pause is active already.
    pub async fn pause(&self, delay: Duration) {
        let until = Instant::now() + delay;
        let mut state = self.state.lock().await;
        state.paused_until = Some(state.paused_until.map_or(until, |current| current.max(until)));
    }

    /// When the gate opens; `None` if it is open.
    fn free_at(&self, state: &GateState, now: Instant) -> Option<Instant> {
        let budget = match self.limit {
            Some(limit) if state.passed.len() >= limit => state.passed.front().map(|oldest| *oldest + MINUTE),
            _ => None,
        };
        budget.max(state.paused_until).filter(|free_at| *free_at > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Gate;
    use crate::stop::{StopReason, stop_pair};

    #[tokio::test(start_paused = true)]
    async fn no_minute_sees_more_than_the_budget_and_the_budget_is_used() {
        let (_stopper, stop) = stop_pair();
        let gate = Gate::new(200);
        let begin = Instant::now();
        let mut times = Vec::new();
        for _ in 0..1000 {
            gate.pass(&stop).await.unwrap();
            times.push(begin.elapsed());
        }
        for pair in times.windows(201) {
            assert!(pair[200] - pair[0] >= Duration::from_secs(60), "{:?}", pair[0]);
        }
        assert!(begin.elapsed() < Duration::from_secs(4 * 61), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everyone_and_a_stop_ends_the_waiting() {
        let (stopper, stop) = stop_pair();
        let gate = Gate::new(0);
        let begin = Instant::now();
        gate.pause(Duration::from_secs(30)).await;
        gate.pause(Duration::from_secs(10)).await;
        gate.pass(&stop).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(30));
        gate.pause(Duration::from_secs(3600)).await;
        stopper.stop(StopReason::Terminate);
        assert_eq!(gate.pass(&stop).await, Err(StopReason::Terminate));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
