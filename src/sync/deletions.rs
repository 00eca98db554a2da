//! The end of a full pass: rows that Wix did not list are asked for by id, and marked if they are gone.
//!
//! Nothing is deleted on the strength of a listing alone. First the candidates are counted: too many mean
//! that something is wrong with the listing, and an operator has to allow it. Then Wix is asked for each
//! ([`super::by_id`]).

use chrono::Utc;

use super::batch::persist;
use super::by_id::{Control, Settled, Unsettled, settle_one};
use super::{Run, SyncError};
use crate::entity::Entity;
use crate::event::Event;
use crate::run::StreamSummary;
use crate::store::Store;
use crate::store::missing::MissingCount;
use crate::wix::RequestCounter;

/// So many missing rows are never too many.
const ALWAYS_ALLOWED: u64 = 20;

/// So many candidates are read from the database at once.
const CHUNK: i64 = 500;

/// True if so many rows are missing that it is more likely the listing that is wrong: more than a tenth.
pub(super) fn is_too_many(count: MissingCount) -> bool {
    count.missing > ALWAYS_ALLOWED && count.missing.saturating_mul(10) > count.live
}

/// Why so many rows are not deleted; `None` if they are not too many, or an operator allows it.
pub(super) fn refuse_mass_deletion(run: &Run<'_>, count: MissingCount) -> Option<String> {
    (is_too_many(count) && !run.plan.allow_mass_delete).then(|| {
        format!(
            "{} of {} rows are no longer listed by Wix, which is more than a tenth: nothing was deleted; \
             if that is right, run once with --allow-mass-delete",
            count.missing, count.live
        )
    })
}

/// Asks Wix for each candidate, or holds them back. `listed_id` is a record that Wix listed in this pass.
pub(super) async fn settle_missing(
    run: &Run<'_>,
    store: &mut Store,
    entity: &dyn Entity,
    listed_id: Option<&str>,
    counter: &RequestCounter,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let stream = entity.stream();
    let begun_at = Utc::now();
    let list = async |store: &mut Store, limit| store.list_missing(stream, begun_at, limit).await;
    if persist(store, run.stop, async |store| list(store, 1).await).await?.is_empty() {
        return Ok(());
    }
    let count = persist(store, run.stop, async |store| store.count_missing(stream).await).await?;
    if count.missing == 0 {
        return Ok(());
    }
    if let Some(text) = refuse_mass_deletion(run, count) {
        hold_back(run, summary, text);
        return Ok(());
    }
    let mut control = Control::with(listed_id);
    if let Some(why) = control.why_unreadable(run, store, entity, counter).await? {
        let text = format!(
            "{} rows are no longer listed by Wix, but a record that it has can't be asked for by its id either: \
             nothing was deleted ({why})",
            count.missing
        );
        hold_back(run, summary, text);
        return Ok(());
    }
    let mut unsettled = Unsettled::default();
    'queue: loop {
        let candidates = persist(store, run.stop, async |store| list(store, CHUNK).await).await?;
        if candidates.is_empty() {
            break;
        }
        for wix_id in &candidates {
            run.stop.check()?;
            let settled = settle_one(run, store, entity, wix_id, &mut control, counter, summary).await?;
            if !matches!(settled, Settled::Yes) {
                let now = Utc::now();
                persist(store, run.stop, async |store| store.note_tried_missing(stream, wix_id, now).await).await?;
            }
            if !unsettled.note(&settled) {
                break 'queue;
            }
        }
    }
    if let Some(reasons) = unsettled.describe() {
        hold_back(run, summary, format!("rows that Wix no longer lists stay: {reasons}"));
    }
    Ok(())
}

/// Says something to the operator, now and in the run's record.
pub(super) fn tell(run: &Run<'_>, summary: &mut StreamSummary, text: String) {
    run.reporter.report(Event::Notice { stream: Some(summary.stream), text: &text });
    summary.notices.push(text);
}

/// Says that something was left as it is; the run is then no full success.
pub(super) fn hold_back(run: &Run<'_>, summary: &mut StreamSummary, text: String) {
    summary.incomplete = true;
    tell(run, summary, text);
}

#[cfg(test)]
mod tests {
    use super::is_too_many;
    use crate::store::missing::MissingCount;

    #[test]
    fn more_than_a_tenth_and_more_than_twenty_are_too_many() {
        for (missing, live, expected) in
            [(20, 20, false), (21, 21, true), (21, 210, false), (22, 210, true), (100, 1000, false), (101, 1000, true)]
        {
            assert_eq!(is_too_many(MissingCount { missing, live }), expected, "{missing} of {live}");
        }
    }
}
