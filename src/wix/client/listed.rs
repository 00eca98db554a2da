//! One record, looked up through its list.

use super::answered::Answer;
use super::{Payload, RequestCounter, WixClient};
use crate::table::listing::Listing;
use crate::wix::error::WixError;
use crate::wix::page::{Found, NextPage, PageRequest};
use crate::wix::query::Selection;

/// Maximum number of empty pages whose cursors are followed.
const MAX_EMPTY_PAGES: usize = 20;

impl WixClient {
    /// The copy of a record that its list returns when it is filtered by id. An empty page that names a next one proves
    /// nothing: the record may follow.
    ///
    /// # Errors
    ///
    /// Like [`WixClient::fetch_page`].
    pub async fn fetch_listed(
        &self,
        listing: &'static Listing,
        wix_id: &str,
        counter: &RequestCounter,
    ) -> Result<Found, WixError> {
        let mut payload = Payload::Post(listing.lookup_body(wix_id));
        let decode = async |answer: &Answer| listing.decode_page(&answer.body, None);
        for _ in 0..=MAX_EMPTY_PAGES {
            let attempt = async || self.attempt(listing, listing.path, &payload, counter, &decode).await;
            let page = match self.repeat(listing.path, counter, attempt).await {
                Err(WixError::CursorRefused { .. }) => return Ok(Found::Unclear),
                page => page?,
            };
            match (page.records.into_iter().next(), page.next) {
                // The caller checks whether it is the requested record.
                (Some(record), _) => return Ok(Found::Alive(record)),
                (None, _) if page.lacking > 0 => return Ok(Found::Unclear),
                (None, NextPage::Cursor(cursor)) => {
                    let selection = Selection::default().with_limit(1);
                    payload = Payload::PostCursor(listing.request_body(&selection, &PageRequest::Cursor(cursor)));
                }
                (None, NextPage::End | NextPage::ByOffset) => return Ok(Found::Gone),
            }
        }
        Ok(Found::Unclear)
    }
}
