//! Wix's response to the lookup of one record by its id.

use super::context::{Pass, Run, SyncError};
use crate::table::Table;
use crate::table::hash::ContentHash;
use crate::table::json::normal_id;
use crate::table::listing::Lookup;
use crate::table::map::map_record;
use crate::table::row::{MappedRecord, Row, mark_of};
use crate::wix::page::Found;
use crate::wix::{RequestCounter, WixError};

/// The reason if Wix says that it does not have the record. It counts only after a canary check ([`super::by_id`]).
pub(super) const NO_RECORD: &str = "Wix has no such record";
const OTHER_RECORD: &str = "Wix returned a record with another id";
const NO_RECORD_YET: &str = "Wix returned no record, but says that it exists";

/// Wix's response for one id.
#[derive(Debug)]
pub(super) enum Reply {
    /// The record itself.
    Alive(MappedRecord),
    /// The record was merged into this one.
    Merged {
        /// The other record's id.
        survivor_id: String,
        survivor: MappedRecord,
    },
    Gone,
    /// The lookup failed. The reason contains no values of the record.
    Unclear(String),
}

/// Looks up one record. The result is unclear if Wix returns another record, or an error that concerns only this one.
pub(super) async fn ask(
    run: &Run<'_>,
    table: &'static Table,
    wix_id: &str,
    counter: &RequestCounter,
) -> Result<Reply, SyncError> {
    let identified = |raw| {
        let record = map_record(table, raw);
        (mark_of(&record).wix_id, record)
    };
    Ok(match run.wix.fetch_record(&table.listing, wix_id, counter).await {
        Ok(Found::Alive(raw)) => match identified(raw) {
            (_, Ok(row)) if is_never_listed(table, &row) => Reply::Gone,
            (Some(id), record) if id == wix_id => Reply::Alive(record),
            // The row has the id in upper case. The record belongs to the row with the id in lower case.
            (Some(id), record) if id == normal_id(wix_id.to_owned()) => {
                Reply::Merged { survivor_id: id, survivor: record }
            }
            _ => Reply::Unclear(OTHER_RECORD.to_owned()),
        },
        Ok(Found::Merged(raw)) => match identified(raw) {
            (Some(survivor_id), survivor) if survivor_id != wix_id => Reply::Merged { survivor_id, survivor },
            _ => Reply::Unclear(OTHER_RECORD.to_owned()),
        },
        Ok(Found::Gone) => Reply::Gone,
        Ok(Found::Unclear) => Reply::Unclear(NO_RECORD_YET.to_owned()),
        Err(error) if error.is_about_one_record() => Reply::Unclear(error.to_string()),
        Err(error) => return Err(error.into()),
    })
}

/// Whether a record has a status that the list never returns, such as an order whose payment has only started. The
/// tables hold what the list returns.
fn is_never_listed(table: &'static Table, row: &Row) -> bool {
    let Some(statuses) = &table.listing.statuses else { return false };
    table
        .text(row, "status")
        .is_some_and(|status| statuses.never.iter().any(|never| never.eq_ignore_ascii_case(status)))
}

/// Returns the list's copy of a record that was looked up, unless that copy is an older version. A copy by id can have
/// other fields, and the tables hold what the list returns. `listed` is the hash of the list's copy when it was read; a
/// request is sent only if it differs.
pub(super) async fn as_listed(
    pass: &Pass<'_>,
    wix_id: &str,
    found: MappedRecord,
    listed: Option<&ContentHash>,
) -> Result<MappedRecord, SyncError> {
    let table = pass.table;
    let is_the_same = found.as_ref().is_ok_and(|row| Some(&row.content_hash) == listed);
    if is_the_same || listed.is_none() || table.listing.lookup == Lookup::List {
        return Ok(found);
    }
    match pass.run.wix.fetch_listed(&table.listing, wix_id, pass.counter).await {
        Ok(Found::Alive(raw)) => Ok(match (map_record(table, raw), found) {
            (Ok(row), Ok(found)) if row.wix_id != wix_id || found.version().is_newer_than(row.version()) => Ok(found),
            (Ok(row), Err(rejection)) if row.wix_id != wix_id => Err(rejection),
            (Ok(row), _) => Ok(row),
            (Err(_), found) => found,
        }),
        Err(error @ WixError::Stopped(_)) => Err(error.into()),
        // The copy by id is used until a full sync brings the list's copy.
        Ok(_) => Ok(found),
        Err(error) => {
            tracing::debug!(error = error.to_string(), "the list's copy of a record could not be looked up");
            Ok(found)
        }
    }
}
