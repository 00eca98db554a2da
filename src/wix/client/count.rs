//! The number of records in a list according to Wix, with one request.

use serde_json::json;

use super::response::Response;
use super::{Call, Payload, RequestCounter, WixClient};
use crate::table::listing::{Count, Listing};
use crate::wix::WixError;
use crate::wix::page::PageRequest;
use crate::wix::query::Selection;

impl WixClient {
    /// The number of records in a list according to Wix; `None` if the endpoint does not report it or refuses the
    /// request.
    ///
    /// # Errors
    ///
    /// Those of [`WixClient::fetch_page`] that end the run.
    pub async fn fetch_count(
        &self,
        listing: &'static Listing,
        counter: &RequestCounter,
    ) -> Result<Option<i64>, WixError> {
        let (path, body) = match listing.count {
            Count::None => return Ok(None),
            Count::Total => (listing.path, listing.smallest_page()),
            Count::At(path) => (path, json!({ "filter": {} })),
        };
        let call = Call { listing, path: listing.path, address: path, payload: Payload::Post(body) };
        let decode = async |response: &Response| match listing.count {
            Count::Total => listing.decode_page(&response.body, None).map(|page| page.total),
            _ => listing.decode_count(&response.body).map(Some),
        };
        match self.repeat(path, counter, async |number| self.attempt(&call, counter, number, &decode).await).await {
            Ok(count) => Ok(count.and_then(|count| i64::try_from(count).ok())),
            Err(error) if error.is_about_one_record() => {
                tracing::debug!(path, error = error.to_string(), "Wix gave no count of the list");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Listing {
    /// The request for the first page of the whole list, with one record.
    pub(super) fn smallest_page(&self) -> serde_json::Value {
        self.request_body(&Selection::default().with_limit(1), &PageRequest::default())
    }
}
