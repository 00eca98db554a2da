//! The end of a list: whether as many records came as Wix announced.
//!
//! Another request is sent only if the numbers differ, or if an earlier run read a part of the list.

use chrono::{DateTime, TimeDelta, Utc};

use super::context::SyncError;
use super::reader::Reader;
use super::walk::Conclusion;
use crate::run::PassKind;
use crate::wix::WixError;
use crate::wix::page::PageRequest;

impl Reader<'_> {
    /// How many records Wix announced and did not return. `None` if the list is to be read again.
    pub(super) async fn conclude(&mut self) -> Result<Option<u64>, SyncError> {
        if let Some(from) = self.walk.unconfirmed_start() {
            let whole = self.fetch_total(None).await?;
            let window = match whole {
                Some(whole) if whole > self.walk.record_count() => self.fetch_total(Some(from)).await?,
                _ => None,
            };
            if !self.walk.confirm_start(whole, window) {
                return Ok(None);
            }
        }
        if self.walk.shortfall() == 0 && !self.walk.has_undated_to_compare() {
            return Ok(Some(0));
        }
        // Records may have been deleted while the list was read: what is missing must still be announced.
        let whole = self.fetch_total(None).await?;
        if self.reading.start.pass != PassKind::Full {
            // A record that changed within the second of the first answer may be what is missing: it comes when the
            // list is read again.
            self.walk.allow_second_reading();
        }
        Ok(match self.walk.conclude(whole) {
            Conclusion::Shortfall(count) => Some(count),
            Conclusion::ReadAgain => None,
        })
    }

    /// The current total of the list, or of its part from a date on. `None` if Wix does not tell.
    async fn fetch_total(&self, created_from: Option<DateTime<Utc>>) -> Result<Option<u64>, SyncError> {
        let mut selection = self.reading.selection.clone().with_limit(1);
        // A record that changed meanwhile may have entered the selection behind the position that was read.
        if self.reading.start.pass != PassKind::Full
            && let Some(first_answer_at) = self.first_answer_at
        {
            // The header `Date` has whole seconds.
            selection = selection.with_bound("updatedDate", "$lt", first_answer_at + TimeDelta::seconds(1));
        }
        match self.reading.fetch(selection, PageRequest::Window { created_from, offset: 0 }).await {
            Ok(page) => Ok(page.total),
            Err(error @ WixError::Stopped(_)) => Err(error.into()),
            Err(error) => {
                tracing::debug!(error = error.to_string(), "the total of the list is not known");
                Ok(None)
            }
        }
    }
}
