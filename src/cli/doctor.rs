//! `wix-sync doctor`: checks everything that a run depends on. Changes nothing, and continues after a failed check.

use std::sync::Arc;

use chrono::TimeDelta;

use super::args::{DoctorArgs, GlobalArgs};
use super::connect::connect;
use super::exit::Exit;
use super::failure::Failure;
use crate::config::{ConfigError, DatabaseConfig, Environment, SyncConfig, SyncFlags};
use crate::event::{Event, Reporter};
use crate::finding::{Finding, Mark};
use crate::holder::Holder;
use crate::installation::{Accepted, Claim, Remembered, TokenInfo, judge};
use crate::report;
use crate::stop::stop_pair;
use crate::table::Table;
use crate::table::listing::Listing;
use crate::wix::auth::Credentials;
use crate::wix::{Probe, WixClient, WixError, WixSettings};

/// Clocks that differ by more than this make times in `sync_logs` and the expiry of the lease misleading.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// Wix's limit for an app on a site, in requests per minute (wix-api.md 6.2).
const WIX_RATE_LIMIT: u32 = 200;

pub(super) async fn run(global: &GlobalArgs, args: &DoctorArgs, environment: &Environment) -> Result<Exit, Failure> {
    let mut findings = variables(global, environment);
    let config = SyncConfig::resolve(environment, SyncFlags::default());
    let mut token_info = None;
    match &config {
        Ok(config) => {
            findings.extend(
                config
                    .notices
                    .iter()
                    .map(|notice| Finding::warn("variables", notice, "unset those that are not meant")),
            );
            let (wix, info) = look_at_wix(&config.wix).await;
            findings.extend(wix);
            token_info = config.wix.claim().zip(info);
        }
        Err(error) => findings.push(of_config("Wix", error)),
    }
    let (database, remembered) = look_at_database(global, environment).await;
    findings.extend(database);
    findings.extend(token_info.map(|(claim, info)| wix_site(&claim, &remembered, &info)));
    let exit = if findings.iter().any(|finding| finding.mark == Mark::Fail) { Exit::Found } else { Exit::Done };
    report::print_findings(&findings, exit as u8, args.json)?;
    Ok(exit)
}

/// Which variables are set; never their values.
fn variables(global: &GlobalArgs, environment: &Environment) -> Vec<Finding> {
    const CHECK: &str = "variables";
    let mut known: Vec<&str> = environment.known();
    for (flag, is_given) in [("--database-url", global.database_url.is_some()), ("--schema", global.schema.is_some())] {
        if is_given {
            known.push(flag);
        }
    }
    let mut findings = match known.is_empty() {
        true => vec![Finding::fail(CHECK, "none is set", "copy .env.example to .env and fill it in")],
        false => vec![Finding::ok(CHECK, format!("set: {}", known.join(", ")))],
    };
    let unknown = environment.unknown();
    if !unknown.is_empty() {
        findings.push(Finding::warn(
            CHECK,
            format!("set, but not known to wix-sync: {}", unknown.join(", ")),
            "look for a typing error; README.md lists all variables",
        ));
    }
    findings
}

fn of_config(check: &'static str, error: &ConfigError) -> Finding {
    Finding::error(check, error, error.hint.clone())
}

/// A handful of requests: an access token and the site that it reads, where one is needed, and one record of each
/// listing.
async fn look_at_wix(settings: &WixSettings) -> (Vec<Finding>, Option<Result<TokenInfo, String>>) {
    let mut findings = vec![Finding::ok("Wix address", &settings.base_url), rate_limit(settings)];
    // No rate limit for so few: they must not wait for the next minute.
    let unhurried = WixSettings { rate_limit: 0, ..settings.clone() };
    let (_stopper, stop) = stop_pair();
    let wix = match WixClient::new(unhurried, stop, Arc::new(Silence)) {
        Ok(wix) => wix,
        Err(error) => {
            findings.push(Finding::error("Wix", &error, error.hint()));
            return (findings, None);
        }
    };
    const CREDENTIALS: &str = "credentials";
    let mut token_info = None;
    match (&settings.credentials, wix.probe_token().await) {
        (Credentials::App { variables, .. }, Probe::Answered(())) => {
            findings.push(Finding::ok(CREDENTIALS, format!("Wix gave an access token for {variables}")));
            token_info = Some(match wix.probe_token_info().await {
                Probe::Answered(info) => Ok(info),
                Probe::Throttled(answer) => Err(format!("Wix answered {answer}")),
                Probe::Refused(error) => Err(error.to_string()),
                Probe::Failed(last) => Err(last),
            });
        }
        (Credentials::ApiKey { variable, .. }, _) => {
            findings
                .push(Finding::ok(CREDENTIALS, format!("the API key in {variable}; the next lines show what it may")));
        }
        (_, probe) => {
            findings.push(of_probe(CREDENTIALS, "asked for an access token", probe));
            return (findings, None);
        }
    }
    let mut clock = None;
    for table in Table::ALL {
        let listing = &table.listing;
        let (finding, ahead) = api(listing, wix.probe_listing(listing).await);
        findings.push(finding);
        clock = clock.or(ahead);
    }
    findings.push(clock_difference(clock));
    (findings, token_info)
}

/// Whether app credentials read the configured site. A run decides it in the same way.
fn wix_site(claim: &Claim<'_>, remembered: &Remembered, info: &Result<TokenInfo, String>) -> Finding {
    const CHECK: &str = "Wix site";
    match judge(remembered, claim, info) {
        Ok(Accepted { is_confirmed: false, notice }) => Finding::warn(
            CHECK,
            notice.unwrap_or_default(),
            "run doctor again later, or compare the instance id with the one that the app got on this site",
        ),
        Ok(_) => Finding::ok(CHECK, format!("{} is the app's installation on site {}", claim.variable, claim.site_id)),
        Err(error) => Finding::fail(CHECK, &error, error.hint()),
    }
}

fn rate_limit(settings: &WixSettings) -> Finding {
    const CHECK: &str = "rate limit";
    match settings.rate_limit {
        0 => Finding::warn(
            CHECK,
            "none (WIX_RATE_LIMIT is 0)",
            format!("Wix allows {WIX_RATE_LIMIT} requests a minute; 0 is for a simulator"),
        ),
        limit if limit > WIX_RATE_LIMIT => Finding::warn(
            CHECK,
            format!("{limit} requests a minute (WIX_RATE_LIMIT)"),
            format!("Wix documents {WIX_RATE_LIMIT} a minute for an app on a site"),
        ),
        limit => Finding::ok(CHECK, format!("{limit} requests a minute")),
    }
}

/// Whether a listing can be read, and how far Wix's clock differs.
fn api(listing: &Listing, probe: Probe<Option<TimeDelta>>) -> (Finding, Option<TimeDelta>) {
    let check = listing.api;
    match probe {
        Probe::Answered(ahead) => {
            (Finding::ok(check, format!("can be read (permission \"{}\")", listing.permission)), ahead)
        }
        Probe::Refused(WixError::AppNotInstalled { app, .. }) => {
            (Finding::ok(check, format!("{app} is not installed on the site (428): there is nothing to read")), None)
        }
        probe => (of_probe(check, listing.path, probe), None),
    }
}

fn of_probe<T>(check: &'static str, what: &str, probe: Probe<T>) -> Finding {
    match probe {
        Probe::Answered(_) => Finding::ok(check, "answered"),
        Probe::Throttled(answer) => Finding::warn(
            check,
            format!("could not tell: Wix answered {answer}"),
            "too many requests: something else uses up this site's; look again in a minute",
        ),
        Probe::Refused(error) => Finding::error(check, &error, error.hint()),
        Probe::Failed(last) => Finding::fail(
            check,
            format!("no usable answer ({what}): {last}"),
            "see whether this machine reaches Wix: network, proxy, WIX_API_BASE_URL",
        ),
    }
}

fn clock_difference(ahead: Option<TimeDelta>) -> Finding {
    const CHECK: &str = "clock";
    let Some(ahead) = ahead else {
        return Finding::ok(CHECK, "could not tell: no answer of Wix's said what time it is");
    };
    let seconds = ahead.num_seconds().abs();
    if ahead.abs() <= MAX_CLOCK_DIFFERENCE {
        return Finding::ok(CHECK, format!("this machine's agrees with Wix's (to {} s)", seconds + 1));
    }
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    Finding::warn(
        CHECK,
        format!("this machine's is {seconds} s {direction} Wix's"),
        "set it by NTP; times in sync_logs are this machine's",
    )
}

/// Also returns what the schema remembers, as far as it can be read.
async fn look_at_database(global: &GlobalArgs, environment: &Environment) -> (Vec<Finding>, Remembered) {
    const CHECK: &str = "database";
    let nothing = Remembered::default();
    if let Err(error) = DatabaseConfig::resolve(environment, global.database_url.as_deref(), global.schema.as_deref()) {
        return (vec![of_config(CHECK, &error)], nothing);
    }
    match connect(global, environment).await {
        Ok(store) => {
            let mut findings = vec![Finding::ok(CHECK, format!("can be reached; schema {}", store.schema().name()))];
            findings.extend(store.examine(environment.get("WIX_SITE_ID"), &Holder::current()).await);
            (findings, store.remembered_installation().await.unwrap_or(nothing))
        }
        Err(failure) => (vec![Finding::error(CHECK, &failure.error, failure.hint)], nothing),
    }
}

/// A reporter that shows nothing: the checks have no progress to show.
struct Silence;

impl Reporter for Silence {
    fn report(&self, _: Event<'_>) {}
}
