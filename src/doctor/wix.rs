//! Wix's side: the credentials, what they may read, and Wix's clock.

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

/// Clocks that differ by more than this make times in `sync_logs` and the expiry of the lease misleading.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// Wix's limit for an app on a site, in requests per minute (wix-api.md 6.2).
const WIX_RATE_LIMIT: u32 = 200;

/// A few requests: an access token and the site that it reads, where one is needed, and one record of each listing.
/// Returns what Wix says of that token, or why it says nothing; `None` without a token.
pub(super) async fn check_api(settings: &WixSettings, findings: &mut Findings) -> Option<Result<TokenInfo, String>> {
    findings.add("Wix address", Outcome::ok(&settings.base_url));
    findings.add("rate limit", rate_limit(settings.rate_limit));
    // Without the rate limit: these few requests must not wait for the next minute.
    let unlimited = WixSettings { rate_limit: 0, ..settings.clone() };
    let (_stopper, stop) = stop_pair();
    let wix = match WixClient::new(unlimited, stop, Arc::new(Silence)) {
        Ok(wix) => wix,
        Err(error) => {
            findings.add("Wix", error);
            return None;
        }
    };
    let mut token_info = None;
    let outcome = match &settings.credentials {
        Credentials::ApiKey { variable, .. } => {
            Outcome::ok(format!("the API key in {variable}; the next lines show what it may"))
        }
        Credentials::App { variables, .. } => match wix.probe_token().await {
            Ok(()) => {
                token_info = Some(wix.probe_token_info().await.map_err(|error| error.to_string()));
                Outcome::ok(format!("Wix gave an access token for {variables}"))
            }
            Err(error) => {
                findings.add("credentials", unanswered("asked for an access token", error));
                return None;
            }
        },
    };
    findings.add("credentials", outcome);
    let mut ahead = None;
    for listing in Table::ALL.map(|table| &table.listing) {
        let probe = wix.probe_listing(listing).await;
        ahead = ahead.or(probe.as_ref().ok().copied().flatten());
        findings.add(listing.api, readable(listing, probe));
    }
    findings.add("clock", clock_difference(ahead));
    token_info
}

fn rate_limit(limit: u32) -> Outcome {
    match limit {
        0 => Outcome::warn(
            "none (WIX_RATE_LIMIT is 0)",
            format!("Wix allows {WIX_RATE_LIMIT} requests a minute; 0 is for a simulator"),
        ),
        limit if limit > WIX_RATE_LIMIT => Outcome::warn(
            format!("{limit} requests a minute (WIX_RATE_LIMIT)"),
            format!("Wix documents {WIX_RATE_LIMIT} a minute for an app on a site"),
        ),
        limit => Outcome::ok(format!("{limit} requests a minute")),
    }
}

/// Whether a listing can be read.
fn readable<T>(listing: &Listing, probe: Result<T, ProbeError>) -> Outcome {
    match probe {
        Ok(_) => Outcome::ok(format!("can be read (permission \"{}\")", listing.permission)),
        Err(ProbeError::Refused(WixError::AppNotInstalled { app, .. })) => {
            Outcome::ok(format!("{app} is not installed on the site (428): there is nothing to read"))
        }
        Err(error) => unanswered(listing.path, error),
    }
}

fn unanswered(what: &str, error: ProbeError) -> Outcome {
    match error {
        ProbeError::Throttled(answer) => Outcome::warn(
            format!("could not tell: Wix answered {answer}"),
            "too many requests: something else uses up this site's; look again in a minute",
        ),
        ProbeError::Refused(error) => error.into(),
        ProbeError::Failed(last) => Outcome::fail(
            format!("no usable answer ({what}): {last}"),
            "see whether this machine reaches Wix: network, proxy, WIX_API_BASE_URL",
        ),
    }
}

/// `ahead` is how far this machine's clock is ahead of Wix's, if Wix told its own.
fn clock_difference(ahead: Option<TimeDelta>) -> Outcome {
    let Some(ahead) = ahead else {
        return Outcome::ok("could not tell: no answer of Wix's said what time it is");
    };
    let seconds = ahead.num_seconds().abs();
    if ahead.abs() <= MAX_CLOCK_DIFFERENCE {
        return Outcome::ok(format!("this machine's agrees with Wix's (to {} s)", seconds + 1));
    }
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    Outcome::warn(
        format!("this machine's is {seconds} s {direction} Wix's"),
        "set it by NTP; times in sync_logs are this machine's",
    )
}

/// Whether app credentials read the configured site. A run decides it in the same way.
pub(super) fn site(claim: &Claim<'_>, remembered: &Remembered, info: &Result<TokenInfo, String>) -> Outcome {
    match judge(remembered, claim, info) {
        Ok(Accepted { is_confirmed: false, notice }) => Outcome::warn(
            notice.unwrap_or_default(),
            "run doctor again later, or compare the instance id with the one that the app got on this site",
        ),
        Ok(_) => Outcome::ok(format!("{} is the app's installation on site {}", claim.variable, claim.site_id)),
        Err(error) => Outcome::fail(&error, error.hint()),
    }
}

/// A reporter that shows nothing.
struct Silence;

impl Reporter for Silence {
    fn report(&self, _: Event<'_>) {}
}
