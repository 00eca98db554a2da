//! Writes rows despite refused rows, lost connections, deadlocks, slow statements, and a COMMIT without a response.

use super::batch::{BatchContext, BatchOutcome};
use super::connect::Store;
use super::error::StoreError;
use super::links::Reach;
use super::narrow::narrow;
use super::row_counts::Progress;
use crate::table::Table;
use crate::table::row::{Rejection, Row};

/// Maximum waits for an unacknowledged COMMIT. Each ends at the lock timeout of 10 s: one minute in all.
const MAX_WAITS_FOR_COMMIT: u32 = 6;

#[derive(Debug, Default)]
pub struct Written {
    /// Counts of the rows that were written.
    pub outcome: BatchOutcome,
    /// Rows that Postgres refused because of their own content.
    pub rejections: Vec<Rejection>,
    /// Wix ids of copies that look older than their rows. If there are any, nothing was written: see
    /// [`Store::write_batch`].
    pub older: Vec<String>,
    /// Whether the progress was stored with the rows. False if the batch had to be split.
    pub has_progress: bool,
}

impl Store {
    /// Writes all rows except those that Postgres refuses because of their own content.
    pub async fn write_rows(
        &mut self,
        context: &BatchContext,
        rows: &[Row],
        progress: Option<&Progress>,
    ) -> Result<Written, StoreError> {
        let mut written = Written::default();
        let refused = narrow(rows, async |part| {
            let is_whole = part.len() == rows.len();
            let progress = progress.filter(|_| is_whole);
            let mut result = self.write_part(context, part, progress, Reach::AllTables).await;
            // The row alone may be accepted: then its effect on other tables was refused.
            if let (Err(error), [_]) = (&result, part)
                && error.is_refusal()
            {
                result = self.write_part(context, part, progress, Reach::RowsOnly).await;
            }
            let (outcome, older) = result?;
            if !older.is_empty() {
                written.older.extend(older);
                return Ok(());
            }
            written.outcome.inserted += outcome.inserted;
            written.outcome.updated += outcome.updated;
            written.outcome.unchanged += outcome.unchanged;
            written.outcome.held += outcome.held;
            written.has_progress = progress.is_some();
            Ok(())
        });
        for (row, error) in refused.await? {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            written.rejections.push(Rejection {
                wix_id: Some(row.wix_id.clone()),
                wix_created_at: row.wix_created_at,
                reason: format!("{error}{hint}"),
                raw: row.raw.clone(),
            });
        }
        Ok(written)
    }

    /// Writes rows in one transaction, and repeats it after a deadlock or a lost connection. If the response to COMMIT
    /// was lost, the write number shows whether it was committed: nothing is written or counted twice.
    async fn write_part(
        &mut self,
        context: &BatchContext,
        rows: &[Row],
        progress: Option<&Progress>,
        reach: Reach,
    ) -> Result<(BatchOutcome, Vec<String>), StoreError> {
        let mut tries = 0;
        loop {
            let mut outcome = BatchOutcome::default();
            let mut write =
                async |store: &mut Store| store.write_batch(context, rows, progress, reach, &mut outcome).await;
            let error = match self.in_time(&mut write).await {
                Ok(older) => return Ok((outcome, older)),
                Err(error) => error,
            };
            tries += 1;
            let is_connection_lost = error.is_connection_lost();
            self.prepare_retry(error, tries).await?;
            if is_connection_lost && self.find_commit_outcome(context.table).await? {
                return Ok((outcome, Vec::new()));
            }
        }
    }

    /// Whether a transaction was committed whose COMMIT got no response. Waits while its backend is still working on
    /// it.
    async fn find_commit_outcome(&mut self, table: &'static Table) -> Result<bool, StoreError> {
        let mut waits = 0;
        loop {
            match self.in_time(&mut async |store: &mut Store| store.was_committed(table).await).await {
                Err(error) if error.is_contention() && waits < MAX_WAITS_FOR_COMMIT => waits += 1,
                Err(error) if error.is_contention() => return Err(StoreError::StillCommitting),
                Err(error) if error.is_connection_lost() => self.reconnect_patiently().await?,
                other => return other,
            }
        }
    }
}
