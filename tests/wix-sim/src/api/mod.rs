//! The endpoints: from an accepted request to its response.

mod contacts;
mod contacts_v5;
mod page;
mod projection;
mod search;

use serde_json::Value;

use crate::auth;
use crate::clock::{parse_instant, push_date};
use crate::endpoint::Endpoint;
use crate::fault::Tweaks;
use crate::log::Request;
use crate::reply::{Reply, field_violation, not_found};
use crate::state::{Options, Shared, State};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// One request, as the endpoints receive it.
pub(crate) struct Ask<'a> {
    pub(crate) request: &'a Request,
    /// The id in the path.
    pub(crate) id: Option<&'a str>,
    pub(crate) tweaks: Tweaks,
    pub(crate) options: &'a Options,
    pub(crate) serial: u64,
}

impl Ask<'_> {
    /// The JSON body. A body that is not JSON is refused.
    fn body(&self) -> Result<&Value, Reply> {
        match &self.request.body {
            Some(body) if body.is_object() => Ok(body),
            _ => Err(field_violation("body", "is not a JSON object")),
        }
    }

    /// All values of one query parameter.
    fn params(&self, name: &str) -> Vec<&str> {
        let query = self.request.query.iter();
        query.filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Responds to one request, without faults.
pub(crate) fn answer(shared: &Shared, state: &mut State, ask: &Ask) -> Reply {
    let credentials = &shared.credentials;
    let now = state.clock.now().timestamp();
    let body = ask.request.body.as_ref();
    match ask.request.endpoint {
        Endpoint::OauthToken => return auth::token(credentials, &mut state.tokens, now, body),
        Endpoint::OauthAccess => return auth::access(credentials, &mut state.tokens, now, body),
        Endpoint::OauthTokenInfo => {
            return auth::token_info(credentials, &state.tokens, now, body);
        }
        _ => {}
    }
    let allowed = auth::check(
        credentials,
        &state.tokens,
        now,
        ask.request.authorization.as_deref(),
        ask.request.site_id.as_deref(),
    );
    let answer = allowed.and_then(|()| match ask.request.endpoint {
        Endpoint::ContactsList => contacts::list(state, ask),
        Endpoint::ContactsQuery => contacts::query(state, ask),
        Endpoint::ContactGet => contacts::get(state, ask),
        Endpoint::ContactsV5Query => contacts_v5::query(state, ask),
        Endpoint::BookingsQuery => search::bookings(state, ask),
        Endpoint::BookingsCount => search::bookings_count(state, ask),
        Endpoint::OrdersSearch => search::orders(state, ask),
        Endpoint::OrderGet => search::order(state, ask),
        _ => Err(not_found()),
    });
    let mut answer = answer.unwrap_or_else(|refusal| refusal);
    if ask.tweaks.rounded_dates {
        answer.body = with_rounded_dates(&answer.body);
    }
    answer
}

/// The text with each `createdDate` rounded up to a whole second.
fn with_rounded_dates(body: &str) -> String {
    const MEMBER: &str = "\"createdDate\":\"";
    let mut parts = body.split(MEMBER);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(MEMBER);
        let (date, rest) = part.split_once('"').unwrap_or((part, ""));
        match parse_instant(date) {
            Some(at) => {
                push_date(&mut out, (at + NANOS_PER_SECOND - 1).div_euclid(NANOS_PER_SECOND) * NANOS_PER_SECOND)
            }
            None => out.push_str(date),
        }
        out.push('"');
        out.push_str(rest);
    }
    out
}
