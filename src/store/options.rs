//! The options that a connection may have, gathered from the connection string and libpq's variables.

use std::collections::HashMap;

use super::url;
use crate::database::DatabaseSettings;

/// Options of libpq and of other clients that change nothing here.
const IGNORED: &[&str] = &[
    "client_encoding",
    "connection_limit",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "pgbouncer",
    "pool_timeout",
    "prepareThreshold",
    "sslcompression",
    "statement_cache_size",
    "supa",
    "uselibpqcompat",
    "workaround",
];

/// Options that would change something, and are not supported.
const UNSUPPORTED: &[&str] =
    &["replication", "require_auth", "requirepeer", "service", "sslcrl", "sslcrldir", "sslpassword"];

const FOLLOWED: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "requiressl",
    "ssl",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Whether a text may be meant as the name of an option, and not be a piece of a password.
fn is_name(key: &str) -> bool {
    key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Options by name: the value, and how to call them in a message. Empty values count as not given.
pub(super) struct Options(HashMap<String, (String, String)>);

impl Options {
    /// Puts the string before the variables, and refuses options that are unknown or not supported.
    pub(super) fn gather(settings: &DatabaseSettings) -> Result<Options, String> {
        let mut options = HashMap::new();
        for (variable, option, value) in &settings.variables {
            options.insert((*option).to_owned(), (value.reveal().to_owned(), (*variable).to_owned()));
        }
        if let Some((origin, text)) = &settings.url {
            let pairs = url::parse(text.reveal()).map_err(|error| format!("{origin}: {error}"))?;
            let mut previous = "";
            for (key, value) in &pairs {
                if ![IGNORED, UNSUPPORTED, FOLLOWED].iter().any(|known| known.contains(&key.as_str())) {
                    // Behind a password that holds a space, this may be the rest of it.
                    return Err(match previous {
                        "password" => format!(
                            "{origin}: an unknown option stands behind the password; a password with spaces must \
                             stand in single quotes"
                        ),
                        _ if is_name(key) => format!("{origin}: the option `{key}` is unknown"),
                        // It may be a part of the password.
                        _ => format!("{origin}: one of its options is unknown, and no option's name looks like that"),
                    });
                }
                previous = key;
                if !value.is_empty() {
                    options.insert(key.clone(), (value.clone(), format!("`{key}` in {origin}")));
                }
            }
        }
        for key in UNSUPPORTED {
            if let Some((_, name)) = options.get(*key) {
                return Err(format!("{name} is not supported"));
            }
        }
        Ok(Options(options))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// How the option is called where it stands.
    pub(super) fn name(&self, key: &str) -> String {
        self.0.get(key).map_or_else(|| format!("`{key}`"), |(_, name)| name.clone())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.trim().parse().map(Some).map_err(|_| format!("{}: `{value}` is no whole number", self.name(key)))
    }

    /// The value that goes with one of these words; the first where the option is not given.
    pub(super) fn one_of<T: Copy>(&self, key: &str, known: &[(&str, T)]) -> Result<T, String> {
        let value = self.get(key).unwrap_or(known[0].0);
        known.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            format!("{}: `{value}` is unknown or not supported; use {}", self.name(key), words.join(", "))
        })
    }
}
