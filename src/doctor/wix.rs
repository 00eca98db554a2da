//! Checks Wix: the credentials, their permissions, and Wix's clock.

use std::sync::Arc;

use chrono::TimeDelta;

use super::finding::{Findings, Outcome};
use crate::event::{Event, Reporter};
use crate::installation::{Accepted, Claim, Remembered, TokenInfo, judge};
use crate::stop::stop_pair;
use crate::table::Table;
use crate::table::listing::Listing;
use crate::wix::auth::Credentials;
use crate::wix::{ProbeError, WixClient, WixError, WixSettings};

/// Maximum difference between two clocks. With more, the expiry times of tokens and certificates are misleading.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// Wix's limit for an app on a site, in requests per minute (wix-api.md 6.2).
const WIX_RATE_LIMIT: u32 = 200;

/// Wix's responses, as far as later checks need them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Wix's information about the access token, or why there is none; `None` without a token.
    pub(super) token_info: Option<Result<TokenInfo, String>>,
    /// The tables whose app is not installed on the site.
    pub(super) without_app: Vec<&'static Table>,
    /// The tables for which Wix's list is empty.
    pub(super) empty: Vec<&'static Table>,
}

/// Sends a few requests: for an access token and its site if needed, and for one record of each list.
pub(super) async fn check_api(settings: &WixSettings, findings: &mut Findings) -> Answers {
    let mut answers = Answers::default();
    findings.add("Wix address", Outcome::ok(&settings.base_url));
    findings.add("rate limit", rate_limit(settings.rate_limit));
    // Without the rate limit, because these few requests must not wait for the next minute.
    let unlimited = WixSettings { rate_limit: 0, ..settings.clone() };
    let (_stopper, stop) = stop_pair();
    let wix = match WixClient::new(unlimited, stop, Arc::new(Silence)) {
        Ok(wix) => wix,
        Err(error) => {
            findings.add("Wix", error);
            return answers;
        }
    };
    let outcome = match &settings.credentials {
        Credentials::ApiKey { variable, .. } => {
            Outcome::ok(format!("the API key in {variable}; the next lines show what it may read"))
        }
        Credentials::App { variables, .. } => match wix.probe_token().await {
            Ok(()) => {
                answers.token_info = Some(wix.probe_token_info().await.map_err(|error| error.to_string()));
                Outcome::ok(format!("Wix gave an access token for {variables}"))
            }
            Err(error) => {
                findings.add("credentials", unanswered("asked for an access token", error));
                skip_apis("there is no access token", findings);
                return answers;
            }
        },
    };
    findings.add("credentials", outcome);
    let mut ahead = None;
    for table in Table::ALL {
        let probe = wix.probe_listing(&table.listing).await;
        match &probe {
            Ok(list) => {
                ahead = ahead.or(list.ahead);
                answers.empty.extend(list.is_empty.then_some(table));
            }
            Err(ProbeError::Refused(WixError::AppNotInstalled { .. })) => answers.without_app.push(table),
            Err(_) => {}
        }
        findings.add(table.listing.api, readable(&table.listing, probe));
    }
    findings.add("clock", clock_difference(ahead));
    answers
}

/// Adds that the lists were not requested.
pub(super) fn skip_apis(why: &str, findings: &mut Findings) {
    for table in Table::ALL {
        findings.add(table.listing.api, Outcome::skipped(format!("not requested: {why}")));
    }
}

fn rate_limit(limit: u32) -> Outcome {
    match limit {
        0 => Outcome::warning(
            "none (WIX_RATE_LIMIT is 0)",
            format!("Wix allows {WIX_RATE_LIMIT} requests per minute; 0 is for a simulator"),
        ),
        limit if limit > WIX_RATE_LIMIT => Outcome::warning(
            format!("{limit} requests per minute (WIX_RATE_LIMIT)"),
            format!("Wix documents {WIX_RATE_LIMIT} per minute for an app on a site"),
        ),
        limit => Outcome::ok(format!("{limit} requests per minute")),
    }
}

/// Whether a list can be read.
fn readable<T>(listing: &Listing, probe: Result<T, ProbeError>) -> Outcome {
    match probe {
        Ok(_) => Outcome::ok(format!("can be read (permission \"{}\")", listing.permission)),
        Err(ProbeError::Refused(WixError::AppNotInstalled { app, .. })) => {
            Outcome::ok(format!("{app} is not installed on the site (428): it has no such records"))
        }
        Err(error) => unanswered(listing.path, error),
    }
}

fn unanswered(what: &str, error: ProbeError) -> Outcome {
    match error {
        ProbeError::Throttled(answer) => Outcome::warning(
            format!("not known: Wix answered {answer}"),
            "too many requests: something else uses up this site's limit; run doctor again in a minute",
        ),
        ProbeError::Refused(error) => error.into(),
        ProbeError::ServerError { what: answer } => Outcome::problem(
            format!("Wix has a problem ({what}): {answer}"),
            "try again later; nothing has to be changed here",
        )
        .that_may_pass(),
        ProbeError::Failed(last) => Outcome::problem(
            format!("no usable answer ({what}): {last}"),
            "check whether this machine reaches Wix: network, proxy, WIX_API_BASE_URL",
        )
        .that_may_pass(),
    }
}

/// `ahead` is how far this machine's clock is ahead of Wix's, if Wix stated its time.
fn clock_difference(ahead: Option<TimeDelta>) -> Outcome {
    let Some(ahead) = ahead else {
        return Outcome::skipped("not known: no response of Wix had a date");
    };
    let seconds = ahead.num_seconds().abs();
    if ahead.abs() <= MAX_CLOCK_DIFFERENCE {
        return Outcome::ok(format!("this machine's agrees with Wix's (to {} s)", seconds + 1));
    }
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    Outcome::warning(
        format!("this machine's is {seconds} s {direction} Wix's"),
        "set it by NTP: the expiry of access tokens and TLS certificates is judged by it",
    )
}

/// Whether the app credentials belong to the configured site. A run decides it in the same way.
pub(super) fn site(claim: &Claim<'_>, remembered: &Remembered, info: &Result<TokenInfo, String>) -> Outcome {
    match judge(remembered, claim, info) {
        Ok(Accepted { is_confirmed: false, notice }) => Outcome::warning(
            notice.unwrap_or_default(),
            "run doctor again later, or compare the instance id with the one that the app got on this site",
        ),
        Ok(_) => Outcome::ok(format!("{} is the app's installation on site {}", claim.variable, claim.site_id)),
        Err(error) => Outcome::problem(&error, error.hint()),
    }
}

/// A reporter that shows nothing.
struct Silence;

impl Reporter for Silence {
    fn report(&self, _: Event<'_>) {}
}
