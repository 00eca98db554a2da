//! The next page, requested while the one before is mapped: waiting for Wix and the work on records do not add up.

use std::pin::{Pin, pin};

use crate::wix::WixError;
use crate::wix::page::{Page, PageRequest};

type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Page, WixError>> + 'a>>;

/// At most one request that was sent before it is known to be the next.
pub(super) struct Prefetch<'a>(Option<(PageRequest, Answer<'a>)>);

enum Answer<'a> {
    /// The request proceeds only within [`Prefetch::beside`] and [`Prefetch::answer_to`].
    Awaited(Exchange<'a>),
    /// An error waits here as well until somebody asks for this page.
    There(Result<Page, WixError>),
}

impl<'a> Prefetch<'a> {
    pub(super) fn none() -> Prefetch<'a> {
        Prefetch(None)
    }

    /// Requests a page in advance, in place of any other.
    pub(super) fn begin(&mut self, request: PageRequest, exchange: impl Future<Output = Result<Page, WixError>> + 'a) {
        self.0 = Some((request, Answer::Awaited(Box::pin(exchange))));
    }

    /// Does `work` to its end; meanwhile the request proceeds.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some((_, answer)) = &mut self.0
            && let Answer::Awaited(exchange) = answer
        {
            tokio::select! {
                biased;
                done = &mut work => return done,
                page = exchange => *answer = Answer::There(page),
            }
        }
        work.await
    }

    /// The answer to a request if it is the one that was sent; any other request is given up.
    pub(super) async fn answer_to(&mut self, request: &PageRequest) -> Option<Result<Page, WixError>> {
        match self.0.take() {
            Some((sent, Answer::Awaited(exchange))) if sent == *request => Some(exchange.await),
            Some((sent, Answer::There(page))) if sent == *request => Some(page),
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
            lacking: 0,
            server_time: None,
            repaired_characters: 0,
        }
    }

    fn behind(cursor: &str) -> PageRequest {
        PageRequest::Cursor(cursor.to_owned())
    }

    #[tokio::test]
    async fn a_request_gets_on_beside_work_and_its_answer_waits_for_whoever_asks() {
        let (sender, receiver) = oneshot::channel();
        let mut prefetch = Prefetch::none();
        prefetch.begin(behind("a"), async {
            let _ = sender.send("sent");
            Ok(page("a1"))
        });
        // This work ends only once the request was sent.
        assert_eq!(prefetch.beside(receiver).await, Ok("sent"));
        assert_eq!(prefetch.beside(async { 7 }).await, 7);
        let answer = prefetch.answer_to(&behind("a")).await;
        assert_eq!(answer.and_then(Result::ok).map(|page| page.records), Some(vec!["a1".to_owned()]));
        assert!(prefetch.answer_to(&behind("a")).await.is_none(), "an answer is given once");
    }

    #[tokio::test]
    async fn work_that_ends_first_is_not_kept_waiting_and_the_request_goes_on() {
        let (sender, receiver) = oneshot::channel::<()>();
        let mut prefetch = Prefetch::none();
        prefetch.begin(behind("a"), async {
            let _ = receiver.await;
            Ok(page("a1"))
        });
        assert_eq!(prefetch.beside(async { 7 }).await, 7);
        assert_eq!(sender.send(()), Ok(()), "it was not given up");
        let answer = prefetch.answer_to(&behind("a")).await;
        assert!(answer.is_some_and(|answer| answer.is_ok()));
    }

    #[tokio::test]
    async fn an_answer_to_another_request_is_given_up_and_an_error_is_an_answer() {
        let mut prefetch = Prefetch::none();
        prefetch.begin(behind("a"), async { Ok(page("a1")) });
        assert!(prefetch.answer_to(&behind("b")).await.is_none());
        assert!(prefetch.answer_to(&behind("a")).await.is_none());

        prefetch.begin(behind("a"), async { Err(WixError::Setup("no".to_owned())) });
        prefetch.beside(tokio::task::yield_now()).await;
        assert!(matches!(prefetch.answer_to(&behind("a")).await, Some(Err(WixError::Setup(_)))));
    }
}
