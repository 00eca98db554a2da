//! The drift check compares Wix's own count of a list with the table. It finds deletions, merges and records that
//! became visible late within hours instead of a week, when the next full sync is due.

use chrono::{DateTime, TimeDelta, Utc};

use super::context::{Pass, SyncError};
use crate::checkpoint::Drift;
use crate::number::grouped;

/// Minimum time between two full syncs that a difference starts.
const FULL_SYNC_PAUSE: TimeDelta = TimeDelta::days(1);

/// Compares the counts after an incremental sync if that is due, and updates the state of the check. Returns a sentence
/// if a full sync has to follow.
pub(super) async fn check_drift(
    pass: &mut Pass<'_>,
    known: &mut Option<Drift>,
    now: DateTime<Utc>,
) -> Result<Option<String>, SyncError> {
    let table = pass.table;
    let Some(every) = pass.run.plan.full_policy().check_every else { return Ok(None) };
    // A time in the future comes from a wrong clock.
    if known.as_ref().is_some_and(|last| last.checked_at <= now && now - last.checked_at < every) {
        return Ok(None);
    }
    let Some(count) = pass.run.wix.fetch_count(&table.listing, pass.counter).await? else { return Ok(None) };
    let has = pass.store.retry(async |store| store.count_of_wix(table).await).await?;
    let (drift, needs_full_sync) = judge(known.as_ref(), count - has, now);
    pass.store.retry(async |store| store.save_drift(table, &drift).await).await?;
    let text = format!(
        "Wix counts {} {table} and the table has {}, in two checks in a row: a full sync follows",
        grouped(count),
        grouped(has)
    );
    *known = Some(drift);
    Ok(needs_full_sync.then_some(text))
}

/// The new state of the check, and whether a full sync has to follow. It follows if the difference is not the normal
/// one, had the same sign at the last check, and started no full sync within a day.
fn judge(last: Option<&Drift>, difference: i64, now: DateTime<Utc>) -> (Drift, bool) {
    let baseline = last.map_or(0, |last| last.baseline);
    let before = last.map_or(0, |last| last.difference - baseline);
    let full_at = last.and_then(|last| last.full_at).filter(|at| *at <= now);
    let lasts = (difference - baseline).signum() * before.signum() > 0;
    let needs_full_sync = lasts && full_at.is_none_or(|at| now - at >= FULL_SYNC_PAUSE);
    let full_at = if needs_full_sync { Some(now) } else { full_at };
    (Drift { checked_at: now, difference, baseline, full_at }, needs_full_sync)
}

/// Records the end of a full sync. A difference at this point is normal for this site, for instance records that Wix
/// counts but does not return. Costs a request only if the last check found a difference.
pub(super) async fn note_full_sync(
    pass: &mut Pass<'_>,
    last: Option<&Drift>,
    now: DateTime<Utc>,
) -> Result<(), SyncError> {
    let table = pass.table;
    if pass.run.plan.full_policy().check_every.is_none() {
        return Ok(());
    }
    let mut baseline = 0;
    if last.is_some_and(|last| last.difference != 0)
        && let Some(count) = pass.run.wix.fetch_count(&table.listing, pass.counter).await?
    {
        baseline = count - pass.store.retry(async |store| store.count_of_wix(table).await).await?;
    }
    let full_at = last.and_then(|last| last.full_at);
    let drift = Drift { checked_at: now, difference: baseline, baseline, full_at };
    Ok(pass.store.retry(async |store| store.save_drift(table, &drift).await).await?)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::judge;
    use crate::checkpoint::Drift;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn last(difference: i64, baseline: i64, full_at: Option<i64>) -> Drift {
        Drift { checked_at: at(99), difference, baseline, full_at: full_at.map(at) }
    }

    #[test]
    fn difference_in_two_checks_starts_a_full_sync_once_a_day() {
        for (last, difference, expected) in [
            (None, 5, false),
            (Some(last(0, 0, None)), 5, false),
            (Some(last(5, 0, None)), 0, false),
            (Some(last(5, 0, None)), 4, true),
            (Some(last(-3, 0, None)), -3, true),
            // A record was created between the two counts.
            (Some(last(1, 0, None)), -1, false),
            (Some(last(5, 5, None)), 5, false),
            (Some(last(4, 5, None)), 4, true),
            (Some(last(5, 0, Some(90))), 5, false),
            (Some(last(5, 0, Some(76))), 5, true),
            (Some(last(5, 0, Some(500))), 5, true),
        ] {
            let (drift, needs_full_sync) = judge(last.as_ref(), difference, at(100));
            assert_eq!(needs_full_sync, expected, "{last:?} {difference}");
            assert_eq!((drift.checked_at, drift.difference), (at(100), difference));
            assert_eq!(drift.baseline, last.map_or(0, |last| last.baseline));
        }
    }
}
