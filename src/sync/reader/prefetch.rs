//! Requests the next page while the page before is mapped, so that both overlap.

use std::pin::{Pin, pin};

use crate::wix::WixError;
use crate::wix::page::{Page, PageRequest};

type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Page, WixError>> + 'a>>;

/// Holds at most one request that was sent before it is known to be the next.
pub(super) struct Prefetch<'a>(Option<(PageRequest, Response<'a>)>);

enum Response<'a> {
    /// The request proceeds only within [`Prefetch::beside`] and [`Prefetch::response_to`].
    Pending(Exchange<'a>),
    /// A page or an error, until it is used.
    Ready(Result<Page, WixError>),
}

impl<'a> Prefetch<'a> {
    pub(super) fn none() -> Prefetch<'a> {
        Prefetch(None)
    }

    /// Requests a page in advance, and drops any earlier one.
    pub(super) fn begin(&mut self, request: PageRequest, exchange: impl Future<Output = Result<Page, WixError>> + 'a) {
        self.0 = Some((request, Response::Pending(Box::pin(exchange))));
    }

    /// Runs `work` to its end while the request proceeds.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some((_, response)) = &mut self.0
            && let Response::Pending(exchange) = response
        {
            tokio::select! {
                biased;
                done = &mut work => return done,
                page = exchange => *response = Response::Ready(page),
            }
        }
        work.await
    }

    /// Returns the response if this is the request that was sent. Any other request is dropped.
    pub(super) async fn response_to(&mut self, request: &PageRequest) -> Option<Result<Page, WixError>> {
        match self.0.take() {
            Some((sent, Response::Pending(exchange))) if sent == *request => Some(exchange.await),
            Some((sent, Response::Ready(page))) if sent == *request => Some(page),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::Prefetch;
    use crate::wix::WixError;
    use crate::wix::page::{NextPage, Page, PageRequest};

    fn page(record: &str) -> Page {
        Page {
            records: vec![record.to_owned()],
            next: NextPage::End,
            total: None,
            shortfall: 0,
            server_time: None,
            repaired_characters: 0,
        }
    }

    fn behind(cursor: &str) -> PageRequest {
        PageRequest::Cursor(cursor.to_owned())
    }

    #[tokio::test]
    async fn request_proceeds_beside_work_and_its_response_is_kept() {
        let (sender, receiver) = oneshot::channel();
        let mut prefetch = Prefetch::none();
        prefetch.begin(behind("a"), async {
            let _ = sender.send("sent");
            Ok(page("a1"))
        });
        // This work ends only after the request was sent.
        assert_eq!(prefetch.beside(receiver).await, Ok("sent"));
        assert_eq!(prefetch.beside(async { 7 }).await, 7);
        let response = prefetch.response_to(&behind("a")).await;
        assert_eq!(response.and_then(Result::ok).map(|page| page.records), Some(vec!["a1".to_owned()]));
        assert!(prefetch.response_to(&behind("a")).await.is_none(), "a response is given once");
    }

    #[tokio::test]
    async fn finished_work_does_not_wait_for_the_request() {
        let (sender, receiver) = oneshot::channel::<()>();
        let mut prefetch = Prefetch::none();
        prefetch.begin(behind("a"), async {
            let _ = receiver.await;
            Ok(page("a1"))
        });
        assert_eq!(prefetch.beside(async { 7 }).await, 7);
        assert_eq!(sender.send(()), Ok(()), "it was not dropped");
        let response = prefetch.response_to(&behind("a")).await;
        assert!(response.is_some_and(|response| response.is_ok()));
    }

    #[tokio::test]
    async fn different_request_drops_the_response() {
        let mut prefetch = Prefetch::none();
        prefetch.begin(behind("a"), async { Ok(page("a1")) });
        assert!(prefetch.response_to(&behind("b")).await.is_none());
        assert!(prefetch.response_to(&behind("a")).await.is_none());

        prefetch.begin(behind("a"), async { Err(WixError::Setup("no".to_owned())) });
        prefetch.beside(tokio::task::yield_now()).await;
        assert!(matches!(prefetch.response_to(&behind("a")).await, Some(Err(WixError::Setup(_)))));
    }
}
