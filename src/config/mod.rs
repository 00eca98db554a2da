//! Turns flags and environment into checked values. Every message names the variable or flag.
//!
//! Nothing below `cli` reads the environment; it gets these values.

mod env_file;
mod environment;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::database::{DatabaseSettings, VARIABLES};
use crate::network::CertificatePaths;
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::wix::WixSettings;
use crate::wix::auth::Credentials;

pub use self::env_file::EnvFile;
pub use environment::{Environment, nearest_variable};

const DEFAULT_BASE_URL: &str = "https://www.wixapis.com";
/// Wix's documented limit for an app on a site, in requests per minute (wix-api.md 6.2).
const DEFAULT_RATE_LIMIT: u32 = 200;
/// Large enough that the cost of a transaction does not show, small enough for short locks and little memory.
const DEFAULT_BATCH_SIZE: u32 = 1000;
const DEFAULT_MAX_RETRIES: u32 = 3;
const DEFAULT_RETRY_DELAY_MS: u32 = 1000;

/// Rows per transaction.
pub const MAX_BATCH_SIZE: u32 = 10_000;
pub const MAX_RETRIES: u32 = 100;
/// Milliseconds.
pub const MAX_RETRY_DELAY: u32 = 600_000;
/// Requests per minute.
pub const MAX_RATE_LIMIT: u32 = 100_000;

/// A variable or flag that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// What is wrong; names the variable or flag.
    pub message: String,
    /// One line on what to do.
    pub hint: Option<String>,
}

impl ConfigError {
    fn new(message: impl fmt::Display) -> ConfigError {
        ConfigError { message: message.to_string(), hint: None }
    }

    /// Names all variables that are not set.
    fn not_set(missing: &[&str], environment: &Environment) -> ConfigError {
        let message = match missing {
            [one] => format!("{one} is not set"),
            [first @ .., last] => format!("{} and {last} are not set", first.join(", ")),
            [] => "variables are not set".to_owned(),
        };
        let hint = format!("{}; docs/configuration.md shows where each value comes from", environment.describe_file());
        ConfigError { message, hint: Some(hint) }
    }
}

/// A number within a range, of a flag or of a variable. The error completes a message that names which.
pub fn parse_number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let (least, most) = (range.start(), range.end());
    let number: u32 = text.trim().parse().map_err(|_| format!("must be a whole number from {least} to {most}"))?;
    range.contains(&number).then_some(number).ok_or_else(|| format!("must be {least} to {most}"))
}

/// The flag's value, else the variable's, else the default.
fn number(
    environment: &Environment,
    flag: Option<u32>,
    name: &str,
    default: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, ConfigError> {
    match (flag, environment.get(name)) {
        (Some(value), _) => Ok(value),
        (None, None) => Ok(default),
        (None, Some(text)) => {
            parse_number(text, range).map_err(|what| ConfigError::new(format!("{name}={text}: {what}")))
        }
    }
}

#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    pub settings: DatabaseSettings,
    /// As given; `None` is the first schema of the search path.
    pub schema: Option<String>,
}

impl DatabaseConfig {
    /// From the flags `--database-url` and `--schema`, else `DATABASE_URL` and `WIX_SYNC_SCHEMA`. libpq's
    /// variables fill in what the connection string leaves out, which may be everything.
    pub fn resolve(
        environment: &Environment,
        url: Option<&str>,
        schema: Option<&str>,
    ) -> Result<DatabaseConfig, ConfigError> {
        let url = match (url, environment.get("DATABASE_URL")) {
            (Some(flag), _) => Some(("--database-url", Secret::new(flag))),
            (None, Some(variable)) => Some(("DATABASE_URL", Secret::new(variable))),
            (None, None) => None,
        };
        let variables: Vec<_> = VARIABLES
            .iter()
            .filter_map(|(name, option)| Some((*name, *option, Secret::verbatim(environment.verbatim(name)?))))
            .collect();
        if let Some(missing) = missing_database(environment, url.is_some()) {
            return Err(ConfigError::not_set(&[missing], environment));
        }
        let settings = DatabaseSettings {
            url,
            variables,
            home: environment.get("HOME").map(PathBuf::from),
            account: whoami::username().ok(),
            certificates: CertificatePaths::of(|name| environment.get(name)),
        };
        let schema = schema.or_else(|| environment.get("WIX_SYNC_SCHEMA")).map(str::to_owned);
        Ok(DatabaseConfig { settings, schema })
    }
}

/// The flags of `sync` that also have a variable.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncFlags {
    pub batch_size: Option<u32>,
    pub max_retries: Option<u32>,
    pub retry_delay_ms: Option<u32>,
    pub rate_limit: Option<u32>,
}

/// What `sync` needs besides the database.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    pub wix: WixSettings,
    /// Rows per transaction.
    pub batch_size: usize,
    /// Sentences about the configuration, for the operator.
    pub notices: Vec<String>,
}

/// An error that names all variables that are not set, of the database and of Wix.
pub fn check_required(environment: &Environment, database_url: Option<&str>) -> Result<(), ConfigError> {
    let has_url = database_url.is_some() || environment.get("DATABASE_URL").is_some();
    let mut missing = missing_for_wix(environment);
    missing.extend(missing_database(environment, has_url));
    if missing.is_empty() { Ok(()) } else { Err(ConfigError::not_set(&missing, environment)) }
}

fn missing_database(environment: &Environment, has_url: bool) -> Option<&'static str> {
    let names_a_host = |option: &str| matches!(option, "host" | "hostaddr" | "service");
    let mut variables = VARIABLES.iter().filter(|(_, option)| names_a_host(option));
    let is_missing = !has_url && !variables.any(|(name, _)| environment.get(name).is_some());
    is_missing.then_some("DATABASE_URL")
}

fn missing_for_wix(environment: &Environment) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if environment.get("WIX_SITE_ID").is_none() {
        missing.push("WIX_SITE_ID");
    }
    if environment.get("WIX_API_TOKEN").is_none() {
        let absent: Vec<_> = APP_VARIABLES.iter().filter(|names| environment.first(&names[..]).is_none()).collect();
        match absent.len() {
            3 => missing.push("WIX_API_TOKEN (or WIX_APP_ID, WIX_APP_SECRET and WIX_APP_INSTANCE_ID)"),
            _ => missing.extend(absent.iter().map(|names| names[0])),
        }
    }
    missing
}

/// The variables of an app's credentials, each with its other name.
const APP_VARIABLES: [[&str; 2]; 3] = [
    ["WIX_APP_ID", "WIX_CLIENT_ID"],
    ["WIX_APP_SECRET", "WIX_CLIENT_SECRET"],
    ["WIX_APP_INSTANCE_ID", "WIX_INSTANCE_ID"],
];

impl SyncConfig {
    pub fn resolve(environment: &Environment, flags: SyncFlags) -> Result<SyncConfig, ConfigError> {
        let mut notices = Vec::new();
        let missing = || ConfigError::not_set(&missing_for_wix(environment), environment);
        let credentials = resolve_credentials(environment, &mut notices)?;
        let (Some(site_id), Some(credentials)) = (environment.get("WIX_SITE_ID"), credentials) else {
            return Err(missing());
        };
        check_header_text("WIX_SITE_ID", site_id)?;
        let base_url = Address::of_api(environment.get("WIX_API_BASE_URL").unwrap_or(DEFAULT_BASE_URL))
            .map_err(|what| ConfigError::new(format!("WIX_API_BASE_URL: {what}")))?;
        let number = |flag, name, default, range| number(environment, flag, name, default, range);
        let batch_size = number(flags.batch_size, "WIX_SYNC_BATCH_SIZE", DEFAULT_BATCH_SIZE, 1..=MAX_BATCH_SIZE)?;
        let retry_delay =
            number(flags.retry_delay_ms, "WIX_SYNC_RETRY_DELAY_MS", DEFAULT_RETRY_DELAY_MS, 0..=MAX_RETRY_DELAY)?;
        let retry = RetryPolicy {
            max_retries: number(flags.max_retries, "WIX_SYNC_MAX_RETRIES", DEFAULT_MAX_RETRIES, 0..=MAX_RETRIES)?,
            first_delay: Duration::from_millis(retry_delay.into()),
        };
        let rate_limit = number(flags.rate_limit, "WIX_RATE_LIMIT", DEFAULT_RATE_LIMIT, 0..=MAX_RATE_LIMIT)?;
        Ok(SyncConfig {
            wix: WixSettings {
                base_url,
                network: environment.network()?,
                site_id: site_id.to_owned(),
                credentials,
                rate_limit,
                retry,
            },
            batch_size: batch_size as usize,
            notices,
        })
    }
}

/// `None` if some are missing.
fn resolve_credentials(
    environment: &Environment,
    notices: &mut Vec<String>,
) -> Result<Option<Credentials>, ConfigError> {
    let [app_id, app_secret, instance_id] = APP_VARIABLES.map(|names| environment.first(&names));
    if let Some(key) = environment.get("WIX_API_TOKEN") {
        check_header_text("WIX_API_TOKEN", key)?;
        if let (Some((app_variable, _)), Some(_)) = (app_id, app_secret) {
            notices
                .push(format!("both WIX_API_TOKEN and {app_variable} are set: the API key in WIX_API_TOKEN is used"));
        }
        return Ok(Some(Credentials::ApiKey { key: Secret::new(key), variable: "WIX_API_TOKEN" }));
    }
    let (Some((id_variable, id)), Some((secret_variable, secret)), Some((instance_variable, instance))) =
        (app_id, app_secret, instance_id)
    else {
        return Ok(None);
    };
    Ok(Some(Credentials::App {
        app_id: id.to_owned(),
        app_secret: Secret::new(secret),
        instance_id: instance.to_owned(),
        instance_variable,
        variables: format!("{id_variable}, {secret_variable} and {instance_variable}"),
    }))
}

/// A value of an HTTP header must be printable ASCII on one line.
fn check_header_text(name: &str, value: &str) -> Result<(), ConfigError> {
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "{name} contains characters that an HTTP header cannot carry; was it pasted with a line break?"
    )))
}

#[cfg(test)]
mod tests {
    use super::{DatabaseConfig, Environment, SyncConfig, SyncFlags};
    use crate::wix::auth::Credentials;

    fn resolve(pairs: &[(&str, &str)]) -> Result<SyncConfig, String> {
        SyncConfig::resolve(&Environment::of(pairs), SyncFlags::default()).map_err(|error| error.message)
    }

    #[track_caller]
    fn refused(pairs: &[(&str, &str)], message: &str) {
        assert_eq!(resolve(pairs).map(|_| ()), Err(message.to_owned()));
    }

    const SITE: (&str, &str) = ("WIX_SITE_ID", "site");
    const KEY: (&str, &str) = ("WIX_API_TOKEN", "IST.key");

    #[test]
    fn both_kinds_of_credentials_under_all_their_names() {
        for names in [
            ["WIX_APP_ID", "WIX_APP_SECRET", "WIX_APP_INSTANCE_ID"],
            ["WIX_CLIENT_ID", "WIX_CLIENT_SECRET", "WIX_INSTANCE_ID"],
        ] {
            let config = resolve(&[SITE, (names[0], "a"), (names[1], "b"), (names[2], "c")]).unwrap();
            assert_eq!(config.wix.credentials.variables(), format!("{}, {} and {}", names[0], names[1], names[2]));
        }
        let config =
            resolve(&[SITE, KEY, ("WIX_APP_ID", "a"), ("WIX_APP_SECRET", "b"), ("WIX_INSTANCE_ID", "c")]).unwrap();
        assert!(matches!(config.wix.credentials, Credentials::ApiKey { .. }));
        assert_eq!(config.notices, ["both WIX_API_TOKEN and WIX_APP_ID are set: the API key in WIX_API_TOKEN is used"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        refused(&[KEY], "WIX_SITE_ID is not set");
        refused(
            &[],
            "WIX_SITE_ID and WIX_API_TOKEN (or WIX_APP_ID, WIX_APP_SECRET and WIX_APP_INSTANCE_ID) are not set",
        );
        refused(&[SITE], "WIX_API_TOKEN (or WIX_APP_ID, WIX_APP_SECRET and WIX_APP_INSTANCE_ID) is not set");
        refused(&[SITE, ("WIX_CLIENT_ID", "a")], "WIX_APP_SECRET and WIX_APP_INSTANCE_ID are not set");
        refused(
            &[SITE, ("WIX_APP_ID", "a"), ("WIX_APP_SECRET", " "), ("WIX_INSTANCE_ID", "c")],
            "WIX_APP_SECRET is not set",
        );
        refused(
            &[SITE, KEY, ("WIX_RATE_LIMIT", "many")],
            "WIX_RATE_LIMIT=many: must be a whole number from 0 to 100000",
        );
        refused(&[SITE, KEY, ("WIX_SYNC_BATCH_SIZE", "0")], "WIX_SYNC_BATCH_SIZE=0: must be 1 to 10000");
        refused(
            &[SITE, KEY, ("WIX_API_BASE_URL", "wix")],
            "WIX_API_BASE_URL: it is not an http:// or https:// address",
        );
        refused(
            &[SITE, ("WIX_API_TOKEN", "a\nb")],
            "WIX_API_TOKEN contains characters that an HTTP header cannot carry; was it pasted with a line break?",
        );
    }

    #[test]
    fn defaults_and_overrides() {
        let config = resolve(&[SITE, KEY]).unwrap();
        assert_eq!(
            (config.wix.base_url.reveal(), config.wix.rate_limit, config.batch_size),
            ("https://www.wixapis.com", 200, 1000)
        );
        assert_eq!((config.wix.retry.max_retries, config.wix.retry.first_delay.as_millis()), (3, 1000));
        let environment =
            Environment::of(&[SITE, KEY, ("WIX_RATE_LIMIT", "50"), ("WIX_API_BASE_URL", "http://127.0.0.1:8080/")]);
        let config =
            SyncConfig::resolve(&environment, SyncFlags { rate_limit: Some(0), ..SyncFlags::default() }).unwrap();
        assert_eq!((config.wix.base_url.reveal(), config.wix.rate_limit), ("http://127.0.0.1:8080", 0));
    }

    #[test]
    fn the_database_url_is_named_where_it_is_missing() {
        let resolve = |pairs: &[(&str, &str)], flag| {
            DatabaseConfig::resolve(&Environment::of(pairs), flag, None).map(|config| config.settings)
        };
        for pairs in [[].as_slice(), &[("PGPASSWORD", "x"), ("PGUSER", "u")]] {
            let error = resolve(pairs, None).unwrap_err();
            assert_eq!(error.message, "DATABASE_URL is not set");
        }
        let settings = resolve(&[("PGHOST", "h"), ("PGPASSWORD", " with spaces "), ("PGTZ", "UTC")], None).unwrap();
        assert!(settings.url.is_none());
        let variables = settings.variables.iter().map(|(name, option, value)| (*name, *option, value.reveal()));
        assert!(variables.eq([("PGHOST", "host", "h"), ("PGPASSWORD", "password", " with spaces ")]));
        let (name, url) = resolve(&[("DATABASE_URL", "a")], Some("b")).unwrap().url.unwrap();
        assert_eq!((name, url.reveal()), ("--database-url", "b"));
    }
}
