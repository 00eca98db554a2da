//! One record, looked up by its id: what Wix has, and what follows for the table.
//!
//! Wix's "not found" counts only if a record that it certainly has can be read in the same way in this pass, since it
//! can also mean a missing permission (wix-api.md 1.6).

use super::batch::Batch;
use super::context::{Run, SyncError};
use super::lookup::{NO_RECORD, Reply, as_listed, ask};
use crate::run::TableSummary;
use crate::store::Store;
use crate::store::compare::Standing;
use crate::store::links::Reach;
use crate::table::Table;
use crate::table::hash::ContentHash;
use crate::table::listing::Lookup;
use crate::table::row::{MappedRecord, Row};
use crate::wix::RequestCounter;

/// Maximum refusals in a row: further requests would be refused as well, and use up the rate limit.
const MAX_REFUSALS: usize = 3;

/// Maximum refused records that are named.
const NAMED: usize = 3;

/// What became of one record.
#[derive(Debug)]
pub(super) enum Settled {
    /// The table has the record as Wix has it.
    Yes,
    /// Wix did not find it. A second lookup a day later has to confirm that; the table keeps the row until then.
    Waiting,
    /// Nothing was learned. The reason holds no values.
    Unclear(String),
    /// The table refuses the record. The reason holds no values.
    Refused(String),
}

#[derive(Debug, Default)]
pub(super) struct Unsettled {
    named: Vec<String>,
    count: usize,
    in_a_row: usize,
}

impl Unsettled {
    /// Takes the result for a record. False if no further record should be looked up.
    pub(super) fn note(&mut self, settled: &Settled) -> bool {
        match settled {
            Settled::Yes | Settled::Waiting => self.in_a_row = 0,
            Settled::Unclear(reason) => {
                self.in_a_row += 1;
                self.name(reason);
            }
            Settled::Refused(reason) => {
                self.in_a_row = 0;
                self.name(reason);
            }
        }
        self.in_a_row < MAX_REFUSALS
    }

    fn name(&mut self, reason: &str) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(reason.to_owned());
        }
    }

    /// The reasons in words; `None` if all was clear.
    pub(super) fn describe(&self) -> Option<String> {
        let named = self.named.join("; ");
        match self.count {
            0 => None,
            count if count > self.named.len() => Some(format!("{named}; and {} more", count - self.named.len())),
            _ => Some(named),
        }
    }
}

/// The canary check: whether Wix's "not found" can be trusted. Done once, when it is needed, with a record that Wix
/// listed in this pass, else with any live row, since a pass that found no changes needs one too.
pub(super) struct Control<'a> {
    listed_id: Option<&'a str>,
    verdict: Option<Option<String>>,
}

impl Control<'_> {
    pub(super) fn with(listed_id: Option<&str>) -> Control<'_> {
        Control { listed_id, verdict: None }
    }

    /// Why a record that Wix has cannot be read by its id; `None` if it can.
    pub(super) async fn why_unreadable(
        &mut self,
        run: &Run<'_>,
        store: &mut Store,
        table: &'static Table,
        counter: &RequestCounter,
    ) -> Result<Option<String>, SyncError> {
        if self.verdict.is_none() {
            self.verdict = Some(try_known_record(run, store, table, self.listed_id, counter).await?);
        }
        Ok(self.verdict.clone().flatten())
    }
}

async fn try_known_record(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    listed_id: Option<&str>,
    counter: &RequestCounter,
) -> Result<Option<String>, SyncError> {
    let known_id = match listed_id {
        Some(id) => Some(id.to_owned()),
        None => store.retry(async |store| store.any_live_id(table).await).await?,
    };
    let Some(known_id) = known_id else { return Ok(Some("there is none to try it with".to_owned())) };
    let why = match ask(run, table, &known_id, counter).await? {
        Reply::Alive(_) | Reply::Merged { .. } => return Ok(None),
        Reply::Gone => NO_RECORD.to_owned(),
        Reply::Unclear(why) => why,
    };
    Ok(Some(format!("{known_id}: {why}")))
}

/// What Wix has of one record.
enum Answer {
    /// It was written.
    Alive,
    /// It was merged into this one, which was written.
    Merged(String),
    Gone,
    /// The table refused the record. The reason holds no values.
    Refused(String),
    /// Nothing was learned. The reason holds no values.
    Unclear(String),
}

async fn look_up(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    (wix_id, listed): (&str, Option<&ContentHash>),
    counter: &RequestCounter,
    summary: &mut TableSummary,
) -> Result<Answer, SyncError> {
    Ok(match ask(run, table, wix_id, counter).await? {
        Reply::Alive(record) => {
            let record = as_listed(run, table, wix_id, record, listed, counter).await?;
            match write_one(run, store, table, record, (counter, summary)).await? {
                Some(reason) => Answer::Refused(format!("{wix_id}: {reason}")),
                None => Answer::Alive,
            }
        }
        Reply::Merged { survivor_id, survivor } => {
            write_one(run, store, table, survivor, (counter, summary)).await?;
            Answer::Merged(survivor_id)
        }
        Reply::Gone => Answer::Gone,
        Reply::Unclear(why) => Answer::Unclear(format!("{wix_id}: {why}")),
    })
}

/// Looks up a record by its id and makes the table agree: gone, merged, or as it is now.
pub(super) async fn settle_one(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    wix_id: &str,
    control: &mut Control<'_>,
    counter: &RequestCounter,
    summary: &mut TableSummary,
) -> Result<Settled, SyncError> {
    settle_as_listed(run, store, table, (wix_id, None), control, counter, summary).await
}

/// Like [`settle_one`], for a record whose copy in the list was read; see [`as_listed`].
pub(super) async fn settle_as_listed(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    (wix_id, listed): (&str, Option<&ContentHash>),
    control: &mut Control<'_>,
    counter: &RequestCounter,
    summary: &mut TableSummary,
) -> Result<Settled, SyncError> {
    let survivor = match look_up(run, store, table, (wix_id, listed), counter, summary).await? {
        Answer::Alive => {
            store.retry(async |store| store.forget_missing(table, wix_id).await).await?;
            return Ok(Settled::Yes);
        }
        Answer::Merged(survivor) => Some(survivor),
        Answer::Refused(reason) => return Ok(Settled::Refused(reason)),
        Answer::Unclear(reason) => return Ok(Settled::Unclear(reason)),
        Answer::Gone => match control.why_unreadable(run, store, table, counter).await? {
            None if needs_confirmation(table) => {
                let note = async |store: &mut Store| store.confirm_absence(table, wix_id).await;
                if !store.retry(note).await? {
                    return Ok(Settled::Waiting);
                }
                None
            }
            None => None,
            Some(why) => {
                let text = format!("{wix_id}: {NO_RECORD}, but nor can one be had that it has ({why})");
                return Ok(Settled::Unclear(text));
            }
        },
    };
    end(store, table, wix_id, survivor.as_deref(), summary).await
}

/// Looks up a record whose row is marked as deleted: it may have been merged since, or restored. "Not found" changes
/// nothing.
pub(super) async fn follow_one(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    wix_id: &str,
    counter: &RequestCounter,
    summary: &mut TableSummary,
) -> Result<Settled, SyncError> {
    match look_up(run, store, table, (wix_id, None), counter, summary).await? {
        Answer::Alive | Answer::Gone => Ok(Settled::Yes),
        Answer::Merged(survivor) => end(store, table, wix_id, Some(&survivor), summary).await,
        Answer::Refused(reason) => Ok(Settled::Refused(reason)),
        Answer::Unclear(reason) => Ok(Settled::Unclear(reason)),
    }
}

/// Marks a row as deleted, or as merged.
async fn end(
    store: &mut Store,
    table: &'static Table,
    wix_id: &str,
    survivor: Option<&str>,
    summary: &mut TableSummary,
) -> Result<Settled, SyncError> {
    let now = store.now();
    let mut result = Ok(false);
    // A trigger or constraint of the user may refuse the row, or only its effect on rows of other tables.
    for reach in [Reach::AllTables, Reach::RowsOnly] {
        let mark = async |store: &mut Store| store.mark_deleted(table, wix_id, survivor, reach, now).await;
        result = store.retry(mark).await;
        if !matches!(&result, Err(error) if error.is_refusal()) {
            break;
        }
    }
    match result {
        Ok(is_live) => summary.counts.deleted += u64::from(is_live),
        Err(error) if error.is_refusal() => {
            return Ok(Settled::Refused(format!("{wix_id}: {error}")));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Settled::Yes)
}

/// Whether "not found" has to be confirmed by a second lookup: where records are looked up through the list itself, a
/// gap in Wix's index hides them from both, and the canary check does not see that.
pub(super) fn needs_confirmation(table: &'static Table) -> bool {
    matches!(table.listing.lookup, Lookup::List)
}

/// Writes a record that was looked up by id. A repair also writes it over a row with the same content, of which
/// something else changed a column; if Postgres refuses that, the reason is returned.
async fn write_one(
    run: &Run<'_>,
    store: &mut Store,
    table: &'static Table,
    record: MappedRecord,
    (counter, summary): (&RequestCounter, &mut TableSummary),
) -> Result<Option<String>, SyncError> {
    let mut batch = Batch::new(run, table, counter);
    if run.plan.differences(table).is_some() {
        batch = batch.having_listed_fields();
        if let Ok(row) = &record
            && has_content(store, table, row).await?
        {
            return batch.rewrite(store, row.clone(), summary).await;
        }
    }
    batch.gather_looked_up(record);
    batch.commit(store, None, summary, None).await.map(|()| None)
}

/// Whether a live row has exactly this record.
async fn has_content(store: &mut Store, table: &'static Table, row: &Row) -> Result<bool, SyncError> {
    let rows = std::slice::from_ref(row);
    let standings = store.retry(async |store| store.compare_rows(table, rows).await).await?;
    Ok(matches!(standings.first(), Some((Standing::Current, _))))
}
