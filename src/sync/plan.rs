//! Which pass a stream makes: full or changes, new or gone on with. Pure: state and time come as arguments.

use chrono::{DateTime, TimeDelta, Utc};

use crate::checkpoint::{Checkpoint, StreamState};
use crate::run::PassKind;

/// A changes pass asks for so much more than it needs: what Wix lists may lag behind what was written
/// (wix-api.md 10).
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// Wix's servers may differ by so much in their clocks.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Whether to read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullPolicy {
    /// `--full`: now.
    pub now: bool,
    /// `--full-every`: when the last full pass is older than this; `None` is never.
    pub every: Option<TimeDelta>,
}

/// One stream's pass, as it begins or goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassPlan {
    /// The checkpoint from which it starts: that of an unfinished pass, or one at the very beginning.
    pub checkpoint: Checkpoint,
    /// True if it goes on with an unfinished pass.
    pub is_resumed: bool,
}

impl PassPlan {
    /// Appointments that begin in a given range: it leaves the state of the passes alone.
    pub fn range() -> PassPlan {
        PassPlan { checkpoint: Checkpoint::at_the_beginning(PassKind::Range, None), is_resumed: false }
    }

    /// Everything, whatever was read before.
    pub fn from_the_beginning() -> PassPlan {
        PassPlan { checkpoint: Checkpoint::at_the_beginning(PassKind::Full, None), is_resumed: false }
    }
}

/// Whether a changes pass builds on a watermark that lies in the future by Wix's own clock. One of the two answers then
/// had a wrong date; if it was the earlier one, what changed since then was never asked for.
pub fn is_from_the_future(checkpoint: &Checkpoint, server_time: DateTime<Utc>) -> bool {
    checkpoint.since.is_some_and(|since| since + OVERLAP > server_time + CLOCK_TOLERANCE)
}

/// Decides. A full pass that was begun is always finished; a changes pass gives way to a full one that is
/// wanted or due. Whatever was read before into a table that is empty is not there any more: somebody truncated it, or
/// restored it without its rows. Where there is nothing at Wix either, a full pass costs one request as well.
pub fn plan_pass(state: &StreamState, policy: FullPolicy, now: DateTime<Utc>) -> PassPlan {
    let is_due = match (policy.every, state.last_full_pass_at) {
        (Some(every), Some(last)) => now - last > every,
        _ => false,
    };
    let since = state.watermark.map(|watermark| watermark - OVERLAP);
    let wants_full = policy.now || is_due || since.is_none() || state.last_full_pass_at.is_none() || !state.has_rows;
    if let Some(unfinished) = &state.checkpoint
        && state.has_rows
        && (unfinished.pass == PassKind::Full || !wants_full)
    {
        return PassPlan { checkpoint: unfinished.clone(), is_resumed: true };
    }
    let (pass, since) = if wants_full { (PassKind::Full, None) } else { (PassKind::Changes, since) };
    PassPlan { checkpoint: Checkpoint::at_the_beginning(pass, since), is_resumed: false }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{FullPolicy, is_from_the_future, plan_pass};
    use crate::checkpoint::{Checkpoint, StreamState};
    use crate::run::PassKind;

    const NEVER: FullPolicy = FullPolicy { now: false, every: None };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn weekly() -> FullPolicy {
        FullPolicy { now: false, every: Some(TimeDelta::days(7)) }
    }

    fn synced() -> StreamState {
        StreamState { watermark: Some(at(100)), last_full_pass_at: Some(at(100)), checkpoint: None, has_rows: true }
    }

    fn unfinished(pass: PassKind) -> Option<Checkpoint> {
        Some(Checkpoint { pass, since: Some(at(90)), watermark: Some(at(120)), created_from: Some(at(50)), lacking: 0 })
    }

    #[track_caller]
    fn check(state: &StreamState, policy: FullPolicy, now: DateTime<Utc>, pass: PassKind, is_resumed: bool) {
        let plan = plan_pass(state, policy, now);
        assert_eq!((plan.checkpoint.pass, plan.is_resumed), (pass, is_resumed));
    }

    #[test]
    fn the_first_pass_is_full_and_later_ones_ask_for_changes_with_an_overlap() {
        check(&StreamState::default(), NEVER, at(0), PassKind::Full, false);
        let plan = plan_pass(&synced(), weekly(), at(200));
        assert_eq!(plan.checkpoint, Checkpoint::at_the_beginning(PassKind::Changes, Some(at(90))));
    }

    #[test]
    fn a_watermark_is_from_the_future_if_wixs_clock_is_a_minute_behind_it() {
        let checkpoint = plan_pass(&synced(), weekly(), at(200)).checkpoint;
        for (server_time, expected) in [(0, true), (98, true), (99, false), (100, false), (1000, false)] {
            assert_eq!(is_from_the_future(&checkpoint, at(server_time)), expected, "{server_time}");
        }
        let full = plan_pass(&StreamState::default(), weekly(), at(200)).checkpoint;
        assert!(!is_from_the_future(&full, at(0)));
    }

    #[test]
    fn a_full_pass_comes_when_asked_for_and_when_due() {
        check(&synced(), FullPolicy { now: true, every: None }, at(200), PassKind::Full, false);
        check(&synced(), weekly(), at(100 + 7 * 24 * 60), PassKind::Changes, false);
        check(&synced(), weekly(), at(101 + 7 * 24 * 60), PassKind::Full, false);
        check(&synced(), NEVER, at(1_000_000), PassKind::Changes, false);
    }

    #[test]
    fn an_empty_table_is_read_from_the_beginning() {
        let empty = StreamState { has_rows: false, ..synced() };
        check(&empty, NEVER, at(200), PassKind::Full, false);
        for pass in [PassKind::Full, PassKind::Changes] {
            check(
                &StreamState { checkpoint: unfinished(pass), ..empty.clone() },
                NEVER,
                at(200),
                PassKind::Full,
                false,
            );
        }
    }

    #[test]
    fn an_unfinished_pass_goes_on_unless_a_changes_pass_has_to_give_way() {
        let full = StreamState { checkpoint: unfinished(PassKind::Full), ..synced() };
        check(&full, NEVER, at(200), PassKind::Full, true);
        check(&full, FullPolicy { now: true, every: None }, at(200), PassKind::Full, true);
        let changes = StreamState { checkpoint: unfinished(PassKind::Changes), ..synced() };
        check(&changes, weekly(), at(200), PassKind::Changes, true);
        check(&changes, FullPolicy { now: true, every: None }, at(200), PassKind::Full, false);
        check(&changes, weekly(), at(20_000), PassKind::Full, false);
        let first = StreamState { checkpoint: unfinished(PassKind::Full), has_rows: true, ..StreamState::default() };
        check(&first, weekly(), at(200), PassKind::Full, true);
    }
}
