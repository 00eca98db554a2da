//! Faults: which requests fail, and how. Built fluently, armed with [`SimHandle::fault`](crate::SimHandle::fault).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::log::Request;
use crate::reply::{self, Reply};

type Condition = Arc<dyn Fn(&Request) -> bool + Send + Sync>;
type Rewriting = Arc<dyn Fn(&Request, &str) -> String + Send + Sync>;

/// A fault. Without a status and a body, the correct response is made and then changed.
#[derive(Clone)]
pub struct Fault {
    pub(crate) endpoint: Endpoint,
    first: usize,
    times: Option<usize>,
    condition: Option<Condition>,
    pub(crate) effect: Effect,
}

/// How a fault changes the response.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effect {
    pub(crate) reply: Option<Reply>,
    /// Headers to set or, with `None`, to remove.
    pub(crate) headers: Vec<(String, Option<String>)>,
    pub(crate) delay: Duration,
    pub(crate) manner: Manner,
    /// Number of letters after the body.
    pub(crate) padding: usize,
    pub(crate) gzip: bool,
    pub(crate) tweaks: Tweaks,
    pub(crate) rewriting: Option<Rewritten>,
}

/// Makes another body from the correct one.
#[derive(Clone)]
pub(crate) struct Rewritten(pub(crate) Rewriting);

impl fmt::Debug for Rewritten {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Rewritten")
    }
}

/// How the bytes of the response are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Whole,
    Hang,
    Close,
    Cut,
    CutChunked,
}

/// Ways in which a page differs from the correct one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tweaks {
    pub(crate) short: Option<usize>,
    pub(crate) empty: bool,
    pub(crate) repeat: bool,
    pub(crate) without_total: bool,
    pub(crate) has_next: bool,
    pub(crate) refuse_sort: bool,
    pub(crate) expire_cursor: bool,
    pub(crate) stale: bool,
    pub(crate) newest_first: bool,
    pub(crate) undated_last: bool,
    pub(crate) rounded_dates: bool,
    pub(crate) most_records: Option<usize>,
    pub(crate) most_offset: Option<usize>,
    pub(crate) states_total: bool,
    pub(crate) total_off_by: i64,
    pub(crate) endless: bool,
    pub(crate) ignored_filter: Option<&'static str>,
    pub(crate) keep_cursor_limit: bool,
    pub(crate) refuse_other_limit: bool,
}

impl Fault {
    /// Affects the next request to this endpoint, once.
    pub fn on(endpoint: Endpoint) -> Self {
        Self { endpoint, first: 1, times: Some(1), condition: None, effect: Effect::default() }
    }

    /// Affects the `nth` matching request after it was armed first, counted from 1.
    pub fn nth(mut self, nth: usize) -> Self {
        self.first = nth;
        self
    }

    /// Affects this many requests, one after the other.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Affects all later requests.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Affects only requests for which this is true.
    pub fn when(mut self, condition: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.condition = Some(Arc::new(condition));
        self
    }

    /// Answers with this status and, unless one is set, an empty body.
    pub fn status(mut self, status: u16) -> Self {
        self.reply_mut().status = status;
        self
    }

    /// Answers with this body, and status 200 unless another is set.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.reply_mut().body = body.into();
        self
    }

    /// Answers with this body as HTML, and status 200 unless another is set.
    pub fn html(mut self, body: impl Into<String>) -> Self {
        let reply = self.reply_mut();
        reply.body = body.into();
        reply.content_type = reply::HTML;
        self
    }

    /// Answers 200 with an empty body.
    pub fn empty_body(self) -> Self {
        self.reply(Reply::empty(200))
    }

    /// 429 in Wix's form, without `Retry-After`.
    pub fn throttled(self) -> Self {
        self.reply(reply::throttled())
    }

    /// 500 with an empty body, as Wix sends system errors without details.
    pub fn system_error(self) -> Self {
        self.reply(Reply::empty(500))
    }

    /// 503 with an HTML body.
    pub fn gateway_html(self) -> Self {
        self.reply(reply::gateway_html(503))
    }

    /// 403 with an empty body.
    pub fn permission_missing(self) -> Self {
        self.reply(Reply::empty(403))
    }

    /// 403 with the text about a missing site.
    pub fn no_site_context(self) -> Self {
        self.reply(reply::no_site_context())
    }

    /// 428: the site does not have the app.
    pub fn app_not_installed(self) -> Self {
        self.reply(reply::app_not_installed())
    }

    /// 401 in Wix's form.
    pub fn unauthenticated(self) -> Self {
        self.reply(reply::unauthenticated())
    }

    /// 400: the cursor is not valid.
    pub fn bad_cursor(self) -> Self {
        self.reply(reply::bad_cursor())
    }

    /// Sets a header of the answer, `Date` and `x-wix-request-id` included.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let entry = (name.to_lowercase(), Some(value.to_owned()));
        self.effect.headers.push(entry);
        self
    }

    /// Removes a header of the response.
    pub fn without_header(mut self, name: &str) -> Self {
        self.effect.headers.push((name.to_lowercase(), None));
        self
    }

    /// Sets `Retry-After` in any format.
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    /// Sends the correct response this much later.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.effect.delay = delay;
        self
    }

    /// Receives the request and never responds.
    pub fn hang(self) -> Self {
        self.manner(Manner::Hang)
    }

    /// Closes the connection without a response.
    pub fn close(self) -> Self {
        self.manner(Manner::Close)
    }

    /// Announces the whole body in `Content-Length`, sends half of it and closes the connection.
    pub fn cut_body(self) -> Self {
        self.manner(Manner::Cut)
    }

    /// Sends half of the body in chunks and closes the connection without the last chunk.
    pub fn cut_chunked_body(self) -> Self {
        self.manner(Manner::CutChunked)
    }

    /// Sends this many letters `a` after the body; `usize::MAX` means without end.
    pub fn padded(mut self, letters: usize) -> Self {
        self.effect.padding = letters;
        self
    }

    /// Compresses the body, and its padding, as gzip.
    pub fn gzip(mut self) -> Self {
        self.effect.gzip = true;
        self.header("content-encoding", "gzip")
    }

    /// Ignores the limit that is sent with a cursor: pages keep the size of the first one.
    pub fn keep_limit_of_cursors(mut self) -> Self {
        self.effect.tweaks.keep_cursor_limit = true;
        self
    }

    /// Refuses a cursor with another limit than that of the page it came with.
    pub fn refuse_other_limits(mut self) -> Self {
        self.effect.tweaks.refuse_other_limit = true;
        self
    }

    /// Returns at most this many records, whatever the limit is; count and cursor are correct.
    pub fn short_page(mut self, most: usize) -> Self {
        self.effect.tweaks.short = Some(most);
        self
    }

    /// Returns no record, and a next cursor to the current position.
    pub fn empty_page(mut self) -> Self {
        self.effect.tweaks.empty = true;
        self
    }

    /// Returns the page before the requested one, with that page's next cursor.
    pub fn repeat_page(mut self) -> Self {
        self.effect.tweaks.repeat = true;
        self
    }

    /// Leaves `total` out and says `tooManyToCount`.
    pub fn without_total(mut self) -> Self {
        self.effect.tweaks.without_total = true;
        self
    }

    /// Adds `hasNext` to the metadata of bookings, which do not have it.
    pub fn has_next_on_bookings(mut self) -> Self {
        self.effect.tweaks.has_next = true;
        self
    }

    /// Refuses any sort with 400, as a field that cannot be sorted by.
    pub fn refuse_sort(mut self) -> Self {
        self.effect.tweaks.refuse_sort = true;
        self
    }

    /// Refuses the cursor of a request as expired. A request without a cursor succeeds.
    pub fn expire_cursors(mut self) -> Self {
        self.effect.tweaks.expire_cursor = true;
        self
    }

    /// Responds with the records of the last [`remember`](crate::SimHandle::remember), like a replica that lags behind.
    /// Without one, with the current records.
    pub fn stale(mut self) -> Self {
        self.effect.tweaks.stale = true;
        self
    }

    /// Ignores the requested sort and lists the newest records first.
    pub fn newest_first(mut self) -> Self {
        self.effect.tweaks.newest_first = true;
        self
    }

    /// Lists records without a creation date last. For lists by offset, and for cursors that count records.
    pub fn undated_last(mut self) -> Self {
        self.effect.tweaks.undated_last = true;
        self
    }

    /// Shows each `createdDate` rounded up to a whole second; filter and sort use the exact one.
    pub fn rounded_dates(mut self) -> Self {
        self.effect.tweaks.rounded_dates = true;
        self
    }

    /// Lists only this many of the oldest records; totals count all.
    pub fn ends_after(mut self, records: usize) -> Self {
        self.effect.tweaks.most_records = Some(records);
        self
    }

    /// Refuses offsets beyond this one with 400.
    pub fn refuse_offsets_beyond(mut self, offset: usize) -> Self {
        self.effect.tweaks.most_offset = Some(offset);
        self
    }

    /// States a total in lists by cursor too.
    pub fn states_total(mut self) -> Self {
        self.effect.tweaks.states_total = true;
        self
    }

    /// States a total that is wrong by this much.
    pub fn total_off_by(mut self, records: i64) -> Self {
        self.effect.tweaks.total_off_by = records;
        self
    }

    /// Returns another body, made from the request and the correct body.
    pub fn rewrite(mut self, rewriting: impl Fn(&Request, &str) -> String + Send + Sync + 'static) -> Self {
        self.effect.rewriting = Some(Rewritten(Arc::new(rewriting)));
        self
    }

    /// Restarts a cursor list after its end, with a new cursor each time.
    pub fn endless(mut self) -> Self {
        self.effect.tweaks.endless = true;
        self
    }

    /// Ignores the filter's conditions for this field.
    pub fn ignore_filter(mut self, field: &'static str) -> Self {
        self.effect.tweaks.ignored_filter = Some(field);
        self
    }

    fn reply(mut self, reply: Reply) -> Self {
        self.effect.reply = Some(reply);
        self
    }

    fn reply_mut(&mut self) -> &mut Reply {
        self.effect.reply.get_or_insert_with(|| Reply::empty(200))
    }

    fn manner(mut self, manner: Manner) -> Self {
        self.effect.manner = manner;
        self
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fault")
            .field("endpoint", &self.endpoint)
            .field("first", &self.first)
            .field("times", &self.times)
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

/// A fault that waits for its request.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: usize,
}

/// The faults of a site, in the order in which they were armed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
}

impl Faults {
    pub(crate) fn arm(&mut self, fault: Fault) {
        self.armed.push(Armed { fault, seen: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// The effect on this request: that of the first due fault. All matching faults count the request.
    pub(crate) fn strike(&mut self, request: &Request) -> Effect {
        let mut effect = None;
        for armed in &mut self.armed {
            let fault = &mut armed.fault;
            let concerned =
                fault.endpoint.covers(request.endpoint) && fault.condition.as_ref().is_none_or(|holds| holds(request));
            if !concerned {
                continue;
            }
            armed.seen += 1;
            if effect.is_none() && armed.seen >= fault.first && fault.times != Some(0) {
                effect = Some(fault.effect.clone());
                if let Some(times) = &mut fault.times {
                    *times -= 1;
                }
            }
        }
        self.armed.retain(|armed| armed.fault.times != Some(0));
        effect.unwrap_or_default()
    }
}
