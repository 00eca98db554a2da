//! Decides which passes a table needs: incremental or full, new or resumed. Pure: state and time are arguments.

use chrono::{DateTime, TimeDelta, Utc};

use crate::checkpoint::{Checkpoint, TableState};
use crate::run::PassKind;

/// Overlap: an incremental sync starts this long before the watermark, because Wix's lists may lag behind writes
/// (wix-api.md 10).
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// Maximum difference between the clocks of Wix's servers.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Time until the next full sync if Wix returned fewer records than it announced.
const SHORTFALL_AGE: TimeDelta = TimeDelta::days(1);

/// When to do a full sync, and when to compare counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullPolicy {
    /// `--full`.
    pub now: bool,
    /// `--full-every`: maximum age of the last full sync; `None` means no limit.
    pub every: Option<TimeDelta>,
    /// `--check-every`: the minimum time between two drift checks; `None` means no checks.
    pub check_every: Option<TimeDelta>,
}

/// The passes of one table in one run, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passes {
    /// Reads what changed since the last complete pass.
    pub incremental: Option<PassPlan>,
    /// Reads everything.
    pub full: Option<PassPlan>,
}

/// One pass, new or resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassPlan {
    /// The checkpoint at which it starts: that of an unfinished pass, or an initial one.
    pub checkpoint: Checkpoint,
    /// True if it resumes an unfinished pass.
    pub is_resumed: bool,
}

impl PassPlan {
    /// Reads appointments that start in a time range. Does not change the state of the passes.
    pub fn range() -> PassPlan {
        PassPlan { checkpoint: Checkpoint::at_the_beginning(PassKind::Range, None), is_resumed: false }
    }

    /// Reads everything, regardless of earlier passes.
    pub fn from_the_beginning() -> PassPlan {
        PassPlan { checkpoint: Checkpoint::at_the_beginning(PassKind::Full, None), is_resumed: false }
    }
}

/// Whether an incremental sync builds on a watermark that is in the future by Wix's own clock. One of the two responses
/// then had a wrong date. If it was the earlier one, the changes since then were not requested.
pub fn is_from_the_future(checkpoint: &Checkpoint, server_time: DateTime<Utc>) -> bool {
    checkpoint.since.is_some_and(|since| since + OVERLAP > server_time + CLOCK_TOLERANCE)
}

/// Plans the passes. An unfinished full sync is resumed, and incremental syncs continue beside it, so that a slow or
/// failing full sync does not block changes. `--full` starts over. A table whose rows another program removed or added
/// starts over too, because rows that were read before may be missing. If the table and Wix are both empty, a full sync
/// costs one request.
pub fn plan_passes(state: &TableState, policy: FullPolicy) -> Passes {
    // A time in the future comes from a wrong clock.
    let older_than =
        |age: TimeDelta| state.last_full_pass_at.is_none_or(|last| last > state.now || state.now - last > age);
    let is_due = policy.every.is_some_and(older_than) || (state.shortfall > 0 && older_than(SHORTFALL_AGE));
    let starts_over = policy.now || state.holds == 0 || state.rows_differ();
    let since = state.watermark.map(|watermark| watermark - OVERLAP);
    if let Some(unfinished) = state.full_checkpoint.as_ref().filter(|_| !starts_over) {
        return Passes {
            incremental: since.map(|since| incremental(state, since)),
            full: Some(PassPlan { checkpoint: unfinished.clone(), is_resumed: true }),
        };
    }
    match since {
        Some(since) if !starts_over && !is_due && state.last_full_pass_at.is_some() => {
            Passes { incremental: Some(incremental(state, since)), full: None }
        }
        _ => Passes { incremental: None, full: Some(PassPlan::from_the_beginning()) },
    }
}

/// Plans the incremental sync of a table whose full sync failed. It starts at the last complete pass, else at the start
/// of the full sync. `None` if neither is known.
pub fn plan_incremental(state: &TableState) -> Option<PassPlan> {
    let begun = state.full_checkpoint.as_ref().and_then(|checkpoint| checkpoint.watermark);
    state.watermark.or(begun).map(|watermark| incremental(state, watermark - OVERLAP))
}

fn incremental(state: &TableState, since: DateTime<Utc>) -> PassPlan {
    match &state.checkpoint {
        Some(unfinished) => PassPlan { checkpoint: unfinished.clone(), is_resumed: true },
        None => {
            PassPlan { checkpoint: Checkpoint::at_the_beginning(PassKind::Incremental, Some(since)), is_resumed: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{FullPolicy, PassPlan, Passes, is_from_the_future, plan_incremental, plan_passes};
    use crate::checkpoint::{Checkpoint, TableState};
    use crate::run::PassKind;

    const NEVER: FullPolicy = FullPolicy { now: false, every: None, check_every: None };
    const NOW: FullPolicy = FullPolicy { now: true, ..NEVER };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn weekly() -> FullPolicy {
        FullPolicy { every: Some(TimeDelta::days(7)), ..NEVER }
    }

    fn synced() -> TableState {
        TableState {
            watermark: Some(at(100)),
            last_full_pass_at: Some(at(100)),
            must_hold: Some(5),
            holds: 5,
            now: at(200),
            ..TableState::default()
        }
    }

    fn unfinished(pass: PassKind) -> Option<Checkpoint> {
        let checkpoint = Checkpoint::at_the_beginning(pass, Some(at(90)));
        Some(Checkpoint { watermark: Some(at(120)), created_from: Some(at(50)), ..checkpoint })
    }

    /// The kind of each pass; `R` marks a resumed one.
    #[track_caller]
    fn check(state: &TableState, policy: FullPolicy, expected: &str) {
        let Passes { incremental, full } = plan_passes(state, policy);
        let shown: Vec<String> = [incremental, full]
            .into_iter()
            .flatten()
            .map(|plan| plan.checkpoint.pass.as_str().to_owned() + if plan.is_resumed { " R" } else { "" })
            .collect();
        assert_eq!(shown.join(", "), expected);
    }

    #[test]
    fn first_sync_is_full_and_later_ones_are_incremental() {
        check(&TableState::default(), NEVER, "full");
        let plan = plan_passes(&synced(), weekly()).incremental.unwrap();
        assert_eq!(plan.checkpoint, Checkpoint::at_the_beginning(PassKind::Incremental, Some(at(90))));
    }

    #[test]
    fn watermark_a_minute_ahead_of_wix_is_from_the_future() {
        let checkpoint = plan_passes(&synced(), weekly()).incremental.unwrap().checkpoint;
        for (server_time, expected) in [(0, true), (98, true), (99, false), (100, false), (1000, false)] {
            assert_eq!(is_from_the_future(&checkpoint, at(server_time)), expected, "{server_time}");
        }
        assert!(!is_from_the_future(&PassPlan::from_the_beginning().checkpoint, at(0)));
    }

    #[test]
    fn full_sync_runs_on_request_and_when_due() {
        let later = |minutes| TableState { now: at(minutes), ..synced() };
        check(&synced(), NOW, "full");
        check(&later(100 + 7 * 24 * 60), weekly(), "incremental");
        check(&later(101 + 7 * 24 * 60), weekly(), "full");
        check(&later(1_000_000), NEVER, "incremental");
        check(&later(99), weekly(), "full");
    }

    #[test]
    fn shortfall_is_checked_again_after_a_day() {
        let short = |minutes| TableState { shortfall: 3, now: at(minutes), ..synced() };
        check(&short(100 + 24 * 60), NEVER, "incremental");
        check(&short(101 + 24 * 60), NEVER, "full");
    }

    #[test]
    fn table_that_lost_or_gained_rows_gets_a_full_sync() {
        for (must_hold, holds, expected) in [
            (Some(5), 0, "full"),
            (Some(0), 0, "full"),
            (Some(5), 4, "full"),
            (Some(5), 6, "full"),
            (None, 4, "incremental"),
        ] {
            let state = TableState { must_hold, holds, ..synced() };
            check(&state, NEVER, expected);
            if expected == "full" {
                let unfinished = unfinished(PassKind::Full);
                check(&TableState { full_checkpoint: unfinished, ..state }, NEVER, "full");
            }
        }
    }

    #[test]
    fn unfinished_full_sync_is_resumed_beside_incremental_ones() {
        let full = TableState { full_checkpoint: unfinished(PassKind::Full), ..synced() };
        check(&full, NEVER, "incremental, full R");
        check(&full, NOW, "full");
        let both = TableState { checkpoint: unfinished(PassKind::Incremental), ..full };
        check(&both, NEVER, "incremental R, full R");
        let first = TableState { watermark: None, last_full_pass_at: None, checkpoint: None, ..both };
        check(&first, weekly(), "full R");
        let since = plan_incremental(&first).unwrap().checkpoint.since;
        assert_eq!(since, Some(at(110)), "since the full sync began");
    }

    #[test]
    fn unfinished_incremental_sync_is_resumed() {
        let changes = TableState { checkpoint: unfinished(PassKind::Incremental), ..synced() };
        check(&changes, weekly(), "incremental R");
        check(&changes, NOW, "full");
        check(&TableState { now: at(20_000), ..changes }, weekly(), "full");
    }
}
