//! Looks up one record by its id and makes the table match the result.
//!
//! "Not found" counts only if, in this pass, a record that exists in Wix can be looked up in the same way (the canary
//! check): "not found" can also mean a missing permission (wix-api.md 1.6).

use super::batch::Batch;
use super::context::{Pass, SyncError};
use super::lookup::{NO_RECORD, Reply, as_listed, ask};
use crate::event::{Event, Reporter};
use crate::store::compare::RowDiff;
use crate::store::links::Reach;
use crate::store::missing::Deletion;
use crate::table::Table;
use crate::table::hash::ContentHash;
use crate::table::listing::Lookup;
use crate::table::row::{MappedRecord, Row};

/// Maximum number of refusals in a row. Further requests would probably be refused too, and use up the rate limit.
const MAX_REFUSALS: usize = 3;

/// Maximum number of refused records that a message names.
const NAMED: usize = 3;

/// Result for one record.
#[derive(Debug)]
pub(super) enum Resolved {
    /// The table matches Wix.
    Yes,
    /// Wix did not find the record. The row stays until a second lookup a day later confirms that.
    Waiting,
    /// The lookup failed. The reason contains no values of the record.
    Unclear(String),
    /// Postgres refused the record. The reason contains no values of the record.
    Refused(String),
}

#[derive(Debug, Default)]
pub(super) struct Unresolved {
    named: Vec<String>,
    count: usize,
    in_a_row: usize,
}

impl Unresolved {
    /// Adds the result for a record. Returns false if no further record should be looked up.
    pub(super) fn note(&mut self, resolved: &Resolved) -> bool {
        match resolved {
            Resolved::Yes | Resolved::Waiting => self.in_a_row = 0,
            Resolved::Unclear(reason) => {
                self.in_a_row += 1;
                self.name(reason);
            }
            Resolved::Refused(reason) => {
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

    /// The reasons as text; `None` if all records are resolved.
    pub(super) fn describe(&self) -> Option<String> {
        let named = self.named.join("; ");
        match self.count {
            0 => None,
            count if count > self.named.len() => Some(format!("{named}; and {} more", count - self.named.len())),
            _ => Some(named),
        }
    }
}

/// Looks up several records, one after the other.
#[derive(Default)]
pub(super) struct Lookups<'a> {
    /// A record that Wix listed in this pass.
    listed_id: Option<&'a str>,
    /// Result of the canary check: why an existing record cannot be looked up. `None` until it is needed.
    verdict: Option<Option<String>>,
    unresolved: Unresolved,
    gives_up: bool,
    /// The number of records to look up, if it is known, and the number looked up so far.
    total: Option<u64>,
    count: u64,
}

impl<'a> Lookups<'a> {
    pub(super) fn beside(listed_id: Option<&'a str>) -> Lookups<'a> {
        Lookups { listed_id, ..Lookups::default() }
    }

    /// Sets the number of records to look up.
    pub(super) fn expecting(mut self, total: Option<u64>) -> Lookups<'a> {
        self.total = total;
        self
    }

    fn report_next(&mut self, pass: &Pass<'_>) {
        self.count += 1;
        let (table, number, total) = (pass.table, self.count, self.total);
        pass.run.reporter.report(Event::LookingUp { table, number, total });
    }

    /// True if no further record should be looked up: Wix refused too many in a row.
    pub(super) fn gives_up(&self) -> bool {
        self.gives_up
    }

    /// The reasons why records are not resolved, as text; `None` if all are resolved.
    pub(super) fn describe(&self) -> Option<String> {
        self.unresolved.describe()
    }

    /// Looks up a record by its id and makes the table match: deleted, merged, or updated. `listed` is the hash of the
    /// list's copy, if that was read: see [`as_listed`].
    pub(super) async fn resolve(
        &mut self,
        pass: &mut Pass<'_>,
        wix_id: &str,
        listed: Option<&ContentHash>,
    ) -> Result<Resolved, SyncError> {
        pass.run.stop.check()?;
        self.report_next(pass);
        let resolved = match look_up(pass, wix_id, listed).await? {
            Answer::Alive => {
                let table = pass.table;
                pass.store.retry(async |store| store.forget_missing(table, wix_id).await).await?;
                Resolved::Yes
            }
            Answer::Merged(survivor) => end(pass, wix_id, Some(&survivor)).await?,
            Answer::Refused(reason) => Resolved::Refused(reason),
            Answer::Unclear(reason) => Resolved::Unclear(reason),
            Answer::Gone => self.resolve_gone(pass, wix_id).await?,
        };
        self.gives_up |= !self.unresolved.note(&resolved);
        Ok(resolved)
    }

    async fn resolve_gone(&mut self, pass: &mut Pass<'_>, wix_id: &str) -> Result<Resolved, SyncError> {
        if let Some(why) = self.why_unreadable(pass).await? {
            let text = format!("{wix_id}: {NO_RECORD}, but a record that Wix has cannot be looked up either ({why})");
            return Ok(Resolved::Unclear(text));
        }
        let table = pass.table;
        if needs_confirmation(table)
            && !pass.store.retry(async |store| store.confirm_absence(table, wix_id).await).await?
        {
            return Ok(Resolved::Waiting);
        }
        end(pass, wix_id, None).await
    }

    /// Looks up a record that has no live row: it may be new, merged, or restored. "Not found" changes nothing.
    pub(super) async fn follow(&mut self, pass: &mut Pass<'_>, wix_id: &str) -> Result<Resolved, SyncError> {
        pass.run.stop.check()?;
        self.report_next(pass);
        let resolved = match look_up(pass, wix_id, None).await? {
            Answer::Alive | Answer::Gone => Resolved::Yes,
            Answer::Merged(survivor) => end(pass, wix_id, Some(&survivor)).await?,
            Answer::Refused(reason) => Resolved::Refused(reason),
            Answer::Unclear(reason) => Resolved::Unclear(reason),
        };
        self.gives_up |= !self.unresolved.note(&resolved);
        Ok(resolved)
    }

    /// The canary check: why a record that exists in Wix cannot be looked up by its id; `None` if it can. It is done
    /// once, with a record that Wix listed in this pass. If there is none, because nothing changed, any live row is
    /// used.
    pub(super) async fn why_unreadable(&mut self, pass: &mut Pass<'_>) -> Result<Option<String>, SyncError> {
        if self.verdict.is_none() {
            self.verdict = Some(try_known_record(pass, self.listed_id).await?);
        }
        Ok(self.verdict.clone().flatten())
    }
}

async fn try_known_record(pass: &mut Pass<'_>, listed_id: Option<&str>) -> Result<Option<String>, SyncError> {
    let table = pass.table;
    let known_id = match listed_id {
        Some(id) => Some(id.to_owned()),
        None => pass.store.retry(async |store| store.any_live_id(table).await).await?,
    };
    let Some(known_id) = known_id else { return Ok(Some("no known record to check with".to_owned())) };
    let why = match ask(pass.run, table, &known_id, pass.counter).await? {
        Reply::Alive(_) | Reply::Merged { .. } => return Ok(None),
        Reply::Gone => NO_RECORD.to_owned(),
        Reply::Unclear(why) => why,
    };
    Ok(Some(format!("{known_id}: {why}")))
}

/// The record as Wix returned it.
enum Answer {
    /// It was written.
    Alive,
    /// It was merged into this one, which was written.
    Merged(String),
    Gone,
    /// Postgres refused the record. The reason contains no values of the record.
    Refused(String),
    /// The lookup failed. The reason contains no values of the record.
    Unclear(String),
}

async fn look_up(pass: &mut Pass<'_>, wix_id: &str, listed: Option<&ContentHash>) -> Result<Answer, SyncError> {
    let reply = ask(pass.run, pass.table, wix_id, pass.counter).await?;
    Ok(match reply {
        Reply::Alive(record) => {
            let record = as_listed(pass, wix_id, record, listed).await?;
            match write_one(pass, record).await? {
                Some(reason) => Answer::Refused(format!("{wix_id}: {reason}")),
                None => Answer::Alive,
            }
        }
        Reply::Merged { survivor_id, survivor } => {
            write_one(pass, survivor).await?;
            Answer::Merged(survivor_id)
        }
        Reply::Gone => Answer::Gone,
        Reply::Unclear(why) => Answer::Unclear(format!("{wix_id}: {why}")),
    })
}

/// Marks a row as deleted, or as merged.
async fn end(pass: &mut Pass<'_>, wix_id: &str, survivor: Option<&str>) -> Result<Resolved, SyncError> {
    let mut result = Ok(false);
    // A user-defined trigger or constraint may refuse the change of the row, or its effect on rows of other tables.
    for reach in [Reach::AllTables, Reach::RowsOnly] {
        let deletion = Deletion { table: pass.table, wix_id, merged_into: survivor, reach, now: pass.store.now() };
        result = pass.store.retry(async |store| store.mark_deleted(&deletion).await).await;
        if !matches!(&result, Err(error) if error.is_refusal()) {
            break;
        }
    }
    match result {
        Ok(is_live) => pass.summary.counts.deleted += u64::from(is_live),
        Err(error) if error.is_refusal() => {
            return Ok(Resolved::Refused(format!("{wix_id}: {error}")));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Resolved::Yes)
}

/// Whether a second lookup has to confirm "not found". That is so where records are looked up through the list itself:
/// a record that is missing in Wix's index is missing in both, and the canary check does not notice.
pub(super) fn needs_confirmation(table: &'static Table) -> bool {
    matches!(table.listing.lookup, Lookup::List)
}

/// Writes a record that was looked up by id. A repair also writes it over a row with the same content whose columns
/// another program changed. If Postgres refuses that, the reason is returned.
async fn write_one(pass: &mut Pass<'_>, record: MappedRecord) -> Result<Option<String>, SyncError> {
    let mut batch = Batch::new(pass.run, pass.table, pass.counter);
    if pass.run.plan.differences(pass.table).is_some() {
        batch = batch.having_listed_fields();
        if let Ok(row) = &record
            && has_content(pass, row).await?
        {
            return batch.rewrite(pass.store, row.clone(), pass.summary).await;
        }
    }
    batch.gather_looked_up(record);
    batch.commit(pass.store, None, pass.summary, None).await.map(|()| None)
}

/// Whether a live row has exactly this content.
async fn has_content(pass: &mut Pass<'_>, row: &Row) -> Result<bool, SyncError> {
    let (table, rows) = (pass.table, std::slice::from_ref(row));
    let diffs = pass.store.retry(async |store| store.compare_rows(table, rows).await).await?;
    Ok(matches!(diffs.first(), Some((RowDiff::UpToDate, _))))
}
