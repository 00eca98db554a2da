//! Looks up records by id.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;

use super::response::Response;
use super::{Call, Payload, RequestCounter, WixClient};
use crate::table::listing::{Listing, Lookup};
use crate::wix::error::WixError;
use crate::wix::page::{Found, NextPage, Page, PageRequest};
use crate::wix::query::Selection;

/// Characters that are escaped in an id that becomes part of a path. Wix's ids contain hyphens, and its own client
/// sends them unescaped.
const NOT_IN_IDS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Maximum number of consecutive empty pages whose cursors are followed.
const MAX_EMPTY_PAGES: usize = 20;

impl WixClient {
    /// One record by its id.
    ///
    /// # Errors
    ///
    /// Those of [`WixClient::fetch_page`]. "Not found" is not an error here, but it can also mean a missing permission
    /// (wix-api.md 1.6): it proves a deletion only if another record can be read in this way.
    pub async fn fetch_record(
        &self,
        listing: &'static Listing,
        wix_id: &str,
        counter: &RequestCounter,
    ) -> Result<Found, WixError> {
        let Lookup::Get { path, query, member } = listing.lookup else {
            return self.fetch_listed(listing, wix_id, counter).await;
        };
        let address = &format!("{path}{}{query}", utf8_percent_encode(wix_id, NOT_IN_IDS));
        let call = Call { listing, path, address, payload: Payload::Get };
        let decode = async |response: &Response| listing.decode_record(member, &response.body);
        match self.repeat(path, counter, async |number| self.attempt(&call, counter, number, &decode).await).await {
            Ok((record, is_merged)) => Ok(if is_merged { Found::Merged(record) } else { Found::Alive(record) }),
            Err(WixError::Refused { response, .. }) if response.status == StatusCode::NOT_FOUND.as_u16() => {
                Ok(Found::Gone)
            }
            Err(error) => Err(error),
        }
    }

    /// The copy of a record that its list returns if it is filtered by id. An empty page with a next cursor proves
    /// nothing: the record may follow.
    ///
    /// # Errors
    ///
    /// Those of [`WixClient::fetch_page`].
    pub async fn fetch_listed(
        &self,
        listing: &'static Listing,
        wix_id: &str,
        counter: &RequestCounter,
    ) -> Result<Found, WixError> {
        let mut call = Call::list(listing, Payload::Post(listing.lookup_body(wix_id)));
        let decode = async |response: &Response| listing.decode_page(&response.body, None);
        for _ in 0..=MAX_EMPTY_PAGES {
            let attempt = async |number| self.attempt(&call, counter, number, &decode).await;
            let page = match self.repeat(listing.path, counter, attempt).await {
                Err(WixError::CursorRefused { .. }) => return Ok(Found::Unclear),
                page => page?,
            };
            match (page.records.into_iter().next(), page.next) {
                // The caller checks whether it is the requested record.
                (Some(record), _) => return Ok(Found::Alive(record)),
                (None, _) if page.shortfall > 0 => return Ok(Found::Unclear),
                (None, NextPage::Cursor(cursor)) => {
                    let selection = Selection::default().with_limit(1);
                    call.payload = Payload::of_page(listing, &selection, &PageRequest::Cursor(cursor));
                }
                (None, NextPage::End | NextPage::ByOffset) => return Ok(Found::Gone),
            }
        }
        Ok(Found::Unclear)
    }

    /// The copies of records that their list returns if it is filtered by these ids, with one request: at most
    /// [`crate::wix::query::MAX_IDS`]. A record that is not returned may still exist.
    ///
    /// # Errors
    ///
    /// Those of [`WixClient::fetch_page`].
    pub async fn fetch_listed_all(
        &self,
        listing: &'static Listing,
        wix_ids: &[&str],
        counter: &RequestCounter,
    ) -> Result<Page, WixError> {
        let call = Call::list(listing, Payload::Post(listing.lookup_all_body(wix_ids)));
        let decode = async |response: &Response| listing.decode_page(&response.body, None);
        self.repeat(listing.path, counter, async |number| self.attempt(&call, counter, number, &decode).await).await
    }
}
