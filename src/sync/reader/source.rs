//! The pages of one list, for one selection of its records.

use chrono::{DateTime, TimeDelta, Utc};

use crate::table::Table;
use crate::wix::page::{NextPage, Page, PageRequest};
use crate::wix::{RequestCounter, Selection, WixClient, WixError};

/// Maximum number of retries of a request during the search for a record that Wix cannot deliver.
pub(super) const SEARCH_RETRIES: u32 = 1;

/// A time in milliseconds (2100-01-01) after which no record was created. A list that starts here is empty, and shows
/// whether Wix responds.
pub(super) const FAR_MS: i64 = 4_102_444_800_000;

pub(super) struct Source<'a> {
    pub(super) wix: &'a WixClient,
    pub(super) table: &'static Table,
    pub(super) selection: Selection,
    pub(super) counter: &'a RequestCounter,
}

impl<'a> Source<'a> {
    /// Requests one page of a selection, which may be a part of the whole one.
    pub(super) fn fetch(
        &self,
        selection: Selection,
        request: PageRequest,
        max_retries: u32,
    ) -> impl Future<Output = Result<Page, WixError>> + use<'a> {
        let (wix, listing, counter) = (self.wix, &self.table.listing, self.counter);
        async move { wix.fetch_page(listing, &selection, &request, counter, max_retries).await }
    }

    /// The current total of the list, or of its part from a date on. `changed_before` excludes records that changed
    /// later. `None` if Wix does not state a total.
    pub(super) async fn total(
        &self,
        created_from: Option<DateTime<Utc>>,
        changed_before: Option<DateTime<Utc>>,
    ) -> Result<Option<u64>, WixError> {
        let mut selection = self.selection.clone().with_limit(1);
        if let Some(changed_before) = changed_before {
            // The `Date` header has whole seconds.
            selection = selection.with_bound("updatedDate", "$lt", changed_before + TimeDelta::seconds(1));
        }
        let request = PageRequest::starting_at(created_from);
        match self.fetch(selection, request, self.wix.max_retries()).await {
            Ok(page) => Ok(page.total),
            Err(error @ WixError::Stopped(_)) => Err(error),
            Err(error) => {
                tracing::debug!(error = error.to_string(), "the total of the list is not known");
                Ok(None)
            }
        }
    }

    /// Whether Wix responds: one request, without retries.
    pub(super) async fn is_up(&self) -> Result<bool, WixError> {
        self.is_readable(FAR_MS, None).await
    }

    /// Whether the first record created in `from..until` can be read. It is not retried: a temporary failure is noticed
    /// when the result of the search is checked. Times are in milliseconds.
    pub(super) async fn is_readable(&self, from: i64, until: Option<i64>) -> Result<bool, WixError> {
        Ok(self.has_record(Some(from), until, 0).await?.is_some())
    }

    /// Whether no record was created in `from..until`.
    pub(super) async fn is_empty(&self, from: Option<i64>, until: Option<i64>) -> Result<bool, WixError> {
        Ok(self.has_record(from, until, SEARCH_RETRIES).await? == Some(false))
    }

    /// Whether the first `count` records created at this time or later can be read.
    pub(super) async fn are_readable(&self, from: Option<DateTime<Utc>>, count: u32) -> Result<bool, WixError> {
        let selection = self.selection.clone().with_limit(count);
        let page = self.fetch(selection, PageRequest::starting_at(from), SEARCH_RETRIES).await;
        Ok(readable(page)?.is_some())
    }

    /// Whether a record was created in this time; `None` if the first one cannot be read.
    async fn has_record(
        &self,
        from: Option<i64>,
        until: Option<i64>,
        max_retries: u32,
    ) -> Result<Option<bool>, WixError> {
        let mut selection = self.selection.clone().with_limit(1);
        if let Some(until) = until {
            selection = selection.with_bound("createdDate", "$lt", at(until));
        }
        let page = self.fetch(selection, PageRequest::starting_at(from.map(at)), max_retries).await;
        Ok(readable(page)?.map(|page| !page.records.is_empty() || matches!(page.next, NextPage::Cursor(_))))
    }
}

pub(super) fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns a page; `None` if Wix sent no usable response.
fn readable(page: Result<Page, WixError>) -> Result<Option<Page>, WixError> {
    match page {
        Ok(page) => Ok(Some(page)),
        Err(WixError::Unavailable { .. } | WixError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
