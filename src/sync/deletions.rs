//! The end of a full pass: rows that Wix did not list are asked for by id, and marked if they are gone.
//!
//! Nothing is deleted on the strength of a listing alone. First the candidates are counted: too many mean
//! that something is wrong with the listing, and an operator has to allow it. Then Wix is asked for each;
//! its "not found" counts only after a record that was just listed could be got the same way, since it
//! can also mean a missing permission (wix-api.md 1.6).

use chrono::Utc;

use super::batch::Batch;
use super::{Run, SyncError};
use crate::entity::{Entity, map_record};
use crate::event::Event;
use crate::page::Found;
use crate::record::mark_of;
use crate::run::StreamSummary;
use crate::store::Store;
use crate::store::missing::MissingCount;
use crate::wix::{RequestCounter, WixError};

/// So many missing rows are never too many.
const ALWAYS_ALLOWED: u64 = 20;

/// So many candidates are read from the database at once.
const CHUNK: i64 = 500;

/// True if so many rows are missing that it is more likely the listing that is wrong: more than a tenth.
fn is_too_many(count: MissingCount) -> bool {
    count.missing > ALWAYS_ALLOWED && count.missing.saturating_mul(10) > count.live
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
    if store.list_missing(stream, "", 1).await?.is_empty() {
        return Ok(());
    }
    let count = store.count_missing(stream).await?;
    if count.missing == 0 {
        return Ok(());
    }
    if is_too_many(count) && !run.plan.allow_mass_delete {
        let text = format!(
            "{} of {} rows are no longer listed by Wix, which is more than a tenth: nothing was deleted; \
             if that is right, run once with --allow-mass-delete",
            count.missing, count.live
        );
        hold_back(run, summary, text);
        return Ok(());
    }
    // A pass that listed nothing changed still needs a record that can be got.
    let known_id = match listed_id {
        Some(id) => Some(id.to_owned()),
        None => store.any_live_id(stream).await?,
    };
    if !is_readable(run, entity, known_id.as_deref(), counter).await? {
        let text = format!(
            "{} rows are no longer listed by Wix, but a record that it has can't be asked for by its id either: \
             nothing was deleted",
            count.missing
        );
        hold_back(run, summary, text);
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let candidates = store.list_missing(stream, &after, CHUNK).await?;
        let Some(last) = candidates.last() else { return Ok(()) };
        after.clone_from(last);
        for wix_id in &candidates {
            run.stop.check()?;
            settle_one(run, store, entity, wix_id, counter, summary).await?;
        }
    }
}

/// Whether a record that Wix has can be asked for by its id.
async fn is_readable(
    run: &Run<'_>,
    entity: &dyn Entity,
    known_id: Option<&str>,
    counter: &RequestCounter,
) -> Result<bool, SyncError> {
    let Some(known_id) = known_id else { return Ok(false) };
    match run.wix.fetch_record(entity.listing(), known_id, counter).await {
        Ok(Found::Alive(raw)) => Ok(id_of(entity, &raw).as_deref() == Some(known_id)),
        Ok(Found::Merged(_)) => Ok(true),
        Ok(Found::Gone) | Err(WixError::Refused { .. } | WixError::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn settle_one(
    run: &Run<'_>,
    store: &mut Store,
    entity: &dyn Entity,
    wix_id: &str,
    counter: &RequestCounter,
    summary: &mut StreamSummary,
) -> Result<(), SyncError> {
    let stream = entity.stream();
    match run.wix.fetch_record(entity.listing(), wix_id, counter).await {
        Ok(Found::Gone) => {
            store.mark_deleted(stream, wix_id, None, Utc::now()).await?;
            summary.counts.deleted += 1;
        }
        Ok(Found::Alive(raw)) if id_of(entity, &raw).as_deref() == Some(wix_id) => {
            write_one(run, store, entity, raw, summary).await?;
            store.forget_missing(stream, wix_id).await?;
        }
        Ok(Found::Merged(raw)) => {
            let survivor = write_one(run, store, entity, raw, summary).await?;
            store.mark_deleted(stream, wix_id, survivor.as_deref(), Utc::now()).await?;
            summary.counts.deleted += 1;
        }
        // Another record, or any other answer, says nothing about this one: the row stays, and the run says so.
        Ok(Found::Alive(_)) => {
            hold_back(run, summary, format!("{wix_id} is no longer listed, and Wix answers another record for its id"));
        }
        Err(error @ (WixError::Refused { .. } | WixError::Forbidden { .. })) => {
            hold_back(run, summary, format!("{wix_id} is no longer listed, and asking for it failed: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn id_of(entity: &dyn Entity, raw: &str) -> Option<String> {
    mark_of(&map_record(entity, raw.to_owned())).wix_id
}

/// Writes a record that came by id; gives back its own id.
async fn write_one(
    run: &Run<'_>,
    store: &mut Store,
    entity: &dyn Entity,
    raw: String,
    summary: &mut StreamSummary,
) -> Result<Option<String>, SyncError> {
    let record = map_record(entity, raw);
    let wix_id = mark_of(&record).wix_id;
    let mut batch = Batch::new(entity, store).await?;
    batch.gather(vec![record]);
    batch.commit(run, store, None, summary, None).await?;
    Ok(wix_id)
}

/// Says that something was left as it is; the run is then no full success.
pub(super) fn hold_back(run: &Run<'_>, summary: &mut StreamSummary, text: String) {
    run.reporter.report(Event::Notice { stream: Some(summary.stream), text: &text });
    summary.incomplete = true;
    summary.notices.push(text);
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
