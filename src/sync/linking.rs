//! Sets links to customers that could not be set together with the rows: appointments and orders are written at the
//! same time, or a user-defined trigger or constraint refused a link. A refused link affects only itself.

use super::by_id::{Resolved, Unresolved};
use super::context::{Run, SyncError};
use super::warnings::warn_incomplete;
use crate::run::TableSummary;
use crate::store::Store;
use crate::store::narrow::narrow;
use crate::table::{CUSTOMERS, Table};

/// Maximum number of contacts per transaction.
const CHUNK: i64 = 1000;

/// Sets the links of the contacts in `sync_unlinked`. Contacts with refused links stay there for the next run.
pub(super) async fn link_contacts(
    run: &Run<'_>,
    store: &mut Store,
    summaries: &mut [TableSummary],
) -> Result<(), SyncError> {
    let mut after = String::new();
    loop {
        run.stop.check()?;
        let contacts = store.retry(async |store| store.list_unlinked(&after, CHUNK).await).await?;
        let Some(last) = contacts.last() else { return Ok(()) };
        after.clone_from(last);
        let refused = narrow(&contacts, async |part| {
            store.retry(async |store| store.link_contacts(part, store.now()).await).await
        });
        for (contact, _) in refused.await? {
            link_rows_of(run, store, contact, summaries).await?;
        }
    }
}

/// Sets the links of one contact, one by one, after some of them were refused.
async fn link_rows_of(
    run: &Run<'_>,
    store: &mut Store,
    contact: &str,
    summaries: &mut [TableSummary],
) -> Result<(), SyncError> {
    let mut is_linked = true;
    for table in Table::ALL.into_iter().filter(|table| table.needs.contains(&&CUSTOMERS)) {
        let mut unresolved = Unresolved::default();
        let rows = store.retry(async |store| store.list_linked(table, contact).await).await?;
        let refused = narrow(&rows, async |part| {
            store.retry(async |store| store.link_rows(table, contact, part, store.now()).await).await
        });
        for (row, error) in refused.await? {
            unresolved.note(&Resolved::Refused(format!("{}: {error}", row.wix_id)));
        }
        if let Some(reasons) = unresolved.describe() {
            is_linked = false;
            let of_table = summaries.iter().position(|summary| summary.table == table).unwrap_or_default();
            if let Some(summary) = summaries.get_mut(of_table) {
                warn_incomplete(run, summary, format!("{table} could not be linked to their customer: {reasons}"));
            }
        }
    }
    if is_linked {
        store.retry(async |store| store.forget_unlinked(contact).await).await?;
    }
    Ok(())
}
