//! Turns flags and environment into checked values. Every message names the variable or flag.
//!
//! Nothing below `cli` reads the environment; it gets these values.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Address;
use crate::database::{DatabaseSettings, VARIABLES};
use crate::network::{CertificatePaths, Network, PROXY_VARIABLES};
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::wix::WixSettings;
use crate::wix::auth::Credentials;

const DEFAULT_BASE_URL: &str = "https://www.wixapis.com";
/// Wix's documented limit for an app on a site, in requests per minute (wix-api.md 6.2).
const DEFAULT_RATE_LIMIT: u32 = 200;
/// Large enough that the cost of a transaction does not show, small enough for short locks and little memory.
const DEFAULT_BATCH_SIZE: u32 = 1000;
const MAX_BATCH_SIZE: u32 = 10_000;
const DEFAULT_MAX_RETRIES: u32 = 3;
const DEFAULT_RETRY_DELAY_MS: u32 = 1000;

/// The variables of this program other than Wix's credentials, to tell which are set.
const SETTINGS: [&str; 11] = [
    "WIX_SITE_ID",
    "DATABASE_URL",
    "WIX_SYNC_SCHEMA",
    "WIX_API_BASE_URL",
    "WIX_RATE_LIMIT",
    "WIX_SYNC_BATCH_SIZE",
    "WIX_SYNC_MAX_RETRIES",
    "WIX_SYNC_RETRY_DELAY_MS",
    "WIX_SYNC_HEALTHCHECK_URL",
    "WIX_SYNC_SERVE_TOKEN",
    "WIX_SYNC_CORS_ORIGIN",
];

/// The variables of Wix's credentials, under all their names.
const CREDENTIALS: [&str; 7] = [
    "WIX_API_TOKEN",
    "WIX_APP_ID",
    "WIX_CLIENT_ID",
    "WIX_APP_SECRET",
    "WIX_CLIENT_SECRET",
    "WIX_APP_INSTANCE_ID",
    "WIX_INSTANCE_ID",
];

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
}

/// The environment: the process's own variables take precedence over those of a `.env` file. Empty ones count as not
/// set.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
}

impl Environment {
    /// The process's variables, and those of `.env` in the working directory if there is one.
    pub fn load() -> Result<Environment, ConfigError> {
        let mut environment = Environment::default();
        let path = Path::new(".env");
        if path.is_file() {
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigError::new(format!(".env could not be read: {error}")))?;
            environment.add_file(&text)?;
        }
        // A variable that is not UTF-8 is not one of ours.
        let own =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        for (name, value) in own.filter(|(_, value)| !value.trim().is_empty()) {
            // In either spelling: the process's own proxy takes precedence over the file's.
            for spelling in PROXY_VARIABLES.iter().filter(|names| names.contains(&name.as_str())).flatten() {
                environment.variables.remove(*spelling);
            }
            environment.variables.insert(name, value);
        }
        Ok(environment)
    }

    /// Adds the lines of a `.env` file. `$` is not expanded, as in the predecessor's files.
    fn add_file(&mut self, text: &str) -> Result<(), ConfigError> {
        let literal: Vec<String> = text.lines().map(without_expansion).collect();
        let mut last = None;
        for item in dotenvy::from_read_iter(literal.join("\n").as_bytes()) {
            // The error would quote the line, and with it perhaps a secret.
            let (name, value) = item.map_err(|_| ConfigError {
                message: match &last {
                    Some(name) => format!(".env: the line after {name} is not of the form NAME=value"),
                    None => ".env: its first line is not of the form NAME=value".to_owned(),
                },
                hint: Some("put values with spaces in double quotes".to_owned()),
            })?;
            last = Some(name.clone());
            self.variables.insert(name, value);
        }
        Ok(())
    }

    /// The variable's value; `None` if it is not set, or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The variable's value with the white space around it, which may belong to a password.
    fn verbatim(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn network(&self) -> Result<Network, ConfigError> {
        Network::of(|name| self.get(name)).map_err(ConfigError::new)
    }

    /// The monitor's address. A secret: whoever knows it can report for this program.
    pub fn healthcheck_url(&self) -> Option<Secret> {
        self.get("WIX_SYNC_HEALTHCHECK_URL").map(Secret::new)
    }

    /// The names of the variables of this program that are set.
    pub fn known(&self) -> Vec<&'static str> {
        SETTINGS.into_iter().chain(CREDENTIALS).filter(|name| self.get(name).is_some()).collect()
    }

    /// Names of set variables that look like ours but are not: most likely typing errors.
    pub fn unknown(&self) -> Vec<&str> {
        let is_ours = |name: &&str| SETTINGS.iter().chain(&CREDENTIALS).any(|known| known == name);
        let mut names: Vec<&str> = self
            .variables
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with("WIX_") && !is_ours(name))
            .collect();
        names.sort_unstable();
        names
    }

    /// The first of these variables that is set, with its name.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    /// The flag's value, else the variable's, else the default.
    fn number(
        &self,
        flag: Option<u32>,
        name: &str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, ConfigError> {
        let value = match (flag, self.get(name)) {
            (Some(value), _) => value,
            (None, None) => default,
            (None, Some(text)) => text.parse().map_err(|_| {
                ConfigError::new(format!(
                    "{name}: `{text}` is not a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })?,
        };
        if range.contains(&value) {
            return Ok(value);
        }
        Err(ConfigError::new(format!("{name} (or its flag): {value} is not from {} to {}", range.start(), range.end())))
    }
}

/// Keeps dotenvy from replacing `$NAME`: a password may hold a dollar sign.
fn without_expansion(line: &str) -> String {
    match line.split_once('=') {
        Some((name, value)) if !value.trim_start().starts_with('\'') => {
            format!("{name}={}", value.replace("\\$", "$").replace('$', "\\$"))
        }
        _ => line.to_owned(),
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
        let names_a_host = |option: &str| matches!(option, "host" | "hostaddr" | "service");
        if url.is_none() && !variables.iter().any(|(_, option, _)| names_a_host(option)) {
            return Err(ConfigError {
                message: "DATABASE_URL is not set (nor --database-url given)".to_owned(),
                hint: Some(
                    "it looks like postgresql://USER:PASSWORD@HOST:5432/DATABASE; Supabase shows it under Connect"
                        .to_owned(),
                ),
            });
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

impl SyncConfig {
    pub fn resolve(environment: &Environment, flags: SyncFlags) -> Result<SyncConfig, ConfigError> {
        let mut notices = Vec::new();
        let site_id = environment.get("WIX_SITE_ID").ok_or_else(|| ConfigError {
            message: "WIX_SITE_ID is not set".to_owned(),
            hint: Some("it is the id behind /dashboard/ in the address of the site's Wix dashboard".to_owned()),
        })?;
        check_header_text("WIX_SITE_ID", site_id)?;
        let credentials = resolve_credentials(environment, &mut notices)?;
        let base_url = Address::of_api(environment.get("WIX_API_BASE_URL").unwrap_or(DEFAULT_BASE_URL))
            .map_err(|what| ConfigError::new(format!("WIX_API_BASE_URL: {what}")))?;
        let batch_size =
            environment.number(flags.batch_size, "WIX_SYNC_BATCH_SIZE", DEFAULT_BATCH_SIZE, 1..=MAX_BATCH_SIZE)?;
        let retry_delay =
            environment.number(flags.retry_delay_ms, "WIX_SYNC_RETRY_DELAY_MS", DEFAULT_RETRY_DELAY_MS, 0..=600_000)?;
        let retry = RetryPolicy {
            max_retries: environment.number(flags.max_retries, "WIX_SYNC_MAX_RETRIES", DEFAULT_MAX_RETRIES, 0..=100)?,
            first_delay: Duration::from_millis(retry_delay.into()),
        };
        let rate_limit = environment.number(flags.rate_limit, "WIX_RATE_LIMIT", DEFAULT_RATE_LIMIT, 0..=100_000)?;
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

fn resolve_credentials(environment: &Environment, notices: &mut Vec<String>) -> Result<Credentials, ConfigError> {
    let app_id = environment.first(&["WIX_APP_ID", "WIX_CLIENT_ID"]);
    let app_secret = environment.first(&["WIX_APP_SECRET", "WIX_CLIENT_SECRET"]);
    let instance_id = environment.first(&["WIX_APP_INSTANCE_ID", "WIX_INSTANCE_ID"]);
    if let Some(key) = environment.get("WIX_API_TOKEN") {
        check_header_text("WIX_API_TOKEN", key)?;
        if let (Some((app_variable, _)), Some(_)) = (app_id, app_secret) {
            notices
                .push(format!("both WIX_API_TOKEN and {app_variable} are set: the API key in WIX_API_TOKEN is used"));
        }
        return Ok(Credentials::ApiKey { key: Secret::new(key), variable: "WIX_API_TOKEN" });
    }
    let parts = [("WIX_APP_ID", app_id), ("WIX_APP_SECRET", app_secret), ("WIX_APP_INSTANCE_ID", instance_id)];
    if let [
        (_, Some((id_variable, id))),
        (_, Some((secret_variable, secret))),
        (_, Some((instance_variable, instance))),
    ] = parts
    {
        return Ok(Credentials::App {
            app_id: id.to_owned(),
            app_secret: Secret::new(secret),
            instance_id: instance.to_owned(),
            instance_variable,
            variables: format!("{id_variable}, {secret_variable} and {instance_variable}"),
        });
    }
    let missing: Vec<&str> = parts.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    let message = match missing.len() {
        3 => "no Wix credentials are set: WIX_API_TOKEN, or WIX_APP_ID, WIX_APP_SECRET and WIX_APP_INSTANCE_ID"
            .to_owned(),
        1 => format!("{} is not set", missing[0]),
        _ => format!("{} are not set", missing.join(" and ")),
    };
    Err(ConfigError {
        message,
        hint: Some("README.md, \"Five steps to a real site\", shows where each value comes from".to_owned()),
    })
}

/// A value of an HTTP header must be printable ASCII on one line.
fn check_header_text(name: &str, value: &str) -> Result<(), ConfigError> {
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "{name} holds characters that no HTTP header can carry; was it pasted with a line break?"
    )))
}

#[cfg(test)]
mod tests {
    use super::{DatabaseConfig, Environment, SyncConfig, SyncFlags};
    use crate::wix::auth::Credentials;

    fn environment_of(pairs: &[(&str, &str)]) -> Environment {
        Environment { variables: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
    }

    fn resolve(pairs: &[(&str, &str)]) -> Result<SyncConfig, String> {
        SyncConfig::resolve(&environment_of(pairs), SyncFlags::default()).map_err(|error| error.message)
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
            &[SITE],
            "no Wix credentials are set: WIX_API_TOKEN, or WIX_APP_ID, WIX_APP_SECRET and WIX_APP_INSTANCE_ID",
        );
        refused(&[SITE, ("WIX_CLIENT_ID", "a")], "WIX_APP_SECRET and WIX_APP_INSTANCE_ID are not set");
        refused(
            &[SITE, ("WIX_APP_ID", "a"), ("WIX_APP_SECRET", " "), ("WIX_INSTANCE_ID", "c")],
            "WIX_APP_SECRET is not set",
        );
        refused(
            &[SITE, KEY, ("WIX_RATE_LIMIT", "many")],
            "WIX_RATE_LIMIT: `many` is not a whole number from 0 to 100000",
        );
        refused(
            &[SITE, KEY, ("WIX_SYNC_BATCH_SIZE", "0")],
            "WIX_SYNC_BATCH_SIZE (or its flag): 0 is not from 1 to 10000",
        );
        refused(
            &[SITE, KEY, ("WIX_API_BASE_URL", "wix")],
            "WIX_API_BASE_URL: it is not an http:// or https:// address",
        );
        refused(
            &[SITE, ("WIX_API_TOKEN", "a\nb")],
            "WIX_API_TOKEN holds characters that no HTTP header can carry; was it pasted with a line break?",
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
            environment_of(&[SITE, KEY, ("WIX_RATE_LIMIT", "50"), ("WIX_API_BASE_URL", "http://127.0.0.1:8080/")]);
        let config =
            SyncConfig::resolve(&environment, SyncFlags { rate_limit: Some(0), ..SyncFlags::default() }).unwrap();
        assert_eq!((config.wix.base_url.reveal(), config.wix.rate_limit), ("http://127.0.0.1:8080", 0));
    }

    #[test]
    fn a_dotenv_file_keeps_dollar_signs_and_its_errors_keep_secrets() {
        let mut environment = Environment::default();
        environment.add_file("# comment\nA=pa$$word$HOME\nexport B=\"x y$1\" # c\nC='s$q'\nD=\n").unwrap();
        let get = |name| environment.get(name);
        assert_eq!((get("A"), get("B"), get("C"), get("D")), (Some("pa$$word$HOME"), Some("x y$1"), Some("s$q"), None));
        let error = Environment::default().add_file("A=1\nhunter2 secret\n").unwrap_err();
        assert_eq!(error.message, ".env: the line after A is not of the form NAME=value");
    }

    #[test]
    fn the_database_url_is_named_where_it_is_missing() {
        let resolve = |pairs: &[(&str, &str)], flag| {
            DatabaseConfig::resolve(&environment_of(pairs), flag, None).map(|config| config.settings)
        };
        for pairs in [[].as_slice(), &[("PGPASSWORD", "x"), ("PGUSER", "u")]] {
            assert_eq!(resolve(pairs, None).unwrap_err().message, "DATABASE_URL is not set (nor --database-url given)");
        }
        let settings = resolve(&[("PGHOST", "h"), ("PGPASSWORD", " with spaces "), ("PGTZ", "UTC")], None).unwrap();
        assert!(settings.url.is_none());
        let variables = settings.variables.iter().map(|(name, option, value)| (*name, *option, value.reveal()));
        assert!(variables.eq([("PGHOST", "host", "h"), ("PGPASSWORD", "password", " with spaces ")]));
        let (name, url) = resolve(&[("DATABASE_URL", "a")], Some("b")).unwrap().url.unwrap();
        assert_eq!((name, url.reveal()), ("--database-url", "b"));
    }
}
