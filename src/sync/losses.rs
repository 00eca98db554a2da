//! Copies of records that lose a part, for example if all bookings lose their contact details. A pass stores such
//! copies in `sync_held`. At its end it writes them, unless so many records lose the same part that a missing
//! permission or another field set is the likely cause.

use std::collections::HashSet;

use super::batch::Batch;
use super::context::{Pass, SyncError};
use crate::number::grouped;
use crate::store::Store;
use crate::store::held::Loss;
use crate::store::missing::MissingCount;
use crate::table::map::map_record;

/// Number of held copies written per transaction.
const CHUNK: i64 = 500;

/// Maximum size of the records of held copies written per transaction, in bytes.
const CHUNK_BYTES: i64 = 4_000_000;

/// Maximum number of parts that a message names.
const NAMED: usize = 5;

/// Writes the held copies of a table, except those that lose a part that too many records lose.
pub(super) async fn resolve_losses(pass: &mut Pass<'_>) -> Result<(), SyncError> {
    let (run, table) = (pass.run, pass.table);
    let (losses, live) = pass.store.retry(async |store| store.list_losses(table).await).await?;
    let is_blocked =
        |loss: &&Loss| !run.plan.allow_mass_changes && MissingCount { missing: loss.rows, live }.exceeds_limit();
    let blocked: Vec<&Loss> = losses.iter().filter(is_blocked).collect();
    let parts: HashSet<String> = blocked.iter().map(|loss| loss.part.clone()).collect();
    let mut batch = Batch::new(run, table, pass.counter).accepting_losses();
    loop {
        let list = async |store: &mut Store| store.list_held(table, &parts, (CHUNK, CHUNK_BYTES)).await;
        let records = pass.store.retry(list).await?;
        if records.is_empty() {
            break;
        }
        run.stop.check()?;
        batch.gather(records.into_iter().map(|record| map_record(table, record)).collect());
        batch.commit(pass.store, None, pass.summary, None).await?;
    }
    if !blocked.is_empty() {
        let mut named: Vec<String> =
            blocked.iter().take(NAMED).map(|loss| format!("{} ({} rows)", loss.part, grouped(loss.rows))).collect();
        if blocked.len() > NAMED {
            named.push(format!("{} more parts", blocked.len() - NAMED));
        }
        let text = format!(
            "{} of {} rows of {table} would lose parts of their records, which is more than 10 %: nothing of that was \
             written. Lost would be: {}. Check the permissions of the credentials; if the change is real, run once \
             with --allow-mass-changes",
            grouped(blocked.iter().map(|loss| loss.rows).max().unwrap_or_default()),
            grouped(live),
            named.join(", ")
        );
        pass.warn_incomplete(text);
    }
    Ok(())
}
