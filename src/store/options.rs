//! Options of a connection, from the connection string and libpq's variables: known names and allowed values.

use std::collections::BTreeMap;

use super::connection_string;
use crate::database::DatabaseSettings;

enum Kind {
    Text,
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Has no effect here: an option of libpq or of another client.
    Ignored,
    /// Has an effect in libpq that wix-sync does not support: it is refused.
    Unsupported,
}

fn kind(option: &str) -> Option<Kind> {
    Some(match option {
        "application_name" | "dbname" | "fallback_application_name" | "host" | "hostaddr" | "options" => Kind::Text,
        "passfile" | "password" | "port" | "requiressl" | "sslcert" | "sslkey" | "sslrootcert" | "user" => Kind::Text,
        "connect_timeout" | "keepalives" | "keepalives_count" | "keepalives_idle" => Kind::Number,
        "keepalives_interval" | "keepalives_retries" | "tcp_user_timeout" => Kind::Number,
        "channel_binding" => Kind::Word(&["prefer", "require", "disable"]),
        "gssencmode" => Kind::Word(&["prefer", "disable"]),
        "load_balance_hosts" => Kind::Word(&["disable", "random"]),
        "ssl" => Kind::Word(&["false", "0", "true", "1", "no-verify"]),
        "ssl_min_protocol_version" => Kind::Word(&["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        "ssl_max_protocol_version" => Kind::Word(&["TLSv1.2", "TLSv1.3"]),
        "sslcertmode" => Kind::Word(&["allow", "disable"]),
        "sslmode" => Kind::Word(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full", "no-verify"]),
        "sslnegotiation" => Kind::Word(&["postgres", "direct"]),
        "sslsni" => Kind::Word(&["1", "0"]),
        "target_session_attrs" => {
            Kind::Word(&["any", "read-write", "read-only", "primary", "standby", "prefer-standby"])
        }
        "client_encoding" | "connection_limit" | "gssdelegation" | "gsslib" | "krbsrvname" | "pgbouncer" => {
            Kind::Ignored
        }
        "pool_timeout" | "prepareThreshold" | "sslcompression" | "statement_cache_size" | "supa" => Kind::Ignored,
        "uselibpqcompat" | "workaround" => Kind::Ignored,
        "replication" | "require_auth" | "requirepeer" | "service" | "sslcrl" | "sslcrldir" => Kind::Unsupported,
        "sslpassword" => Kind::Unsupported,
        _ => return None,
    })
}

/// Options by name: the value, and the option's name in messages. An empty value counts as not given.
pub(super) struct Options(BTreeMap<String, (String, String)>);

impl Options {
    /// Collects the options. The connection string has precedence over the variables. An unknown or unsupported option,
    /// or an invalid value, is an error.
    pub(super) fn gather(settings: &DatabaseSettings) -> Result<Options, String> {
        let variables = settings.variables.iter().map(|(variable, option, value)| {
            ((*option).to_owned(), (value.reveal().to_owned(), (*variable).to_owned()))
        });
        let mut options = Options(variables.collect());
        if let Some((origin, text)) = &settings.url {
            let pairs = connection_string::parse(text.reveal()).map_err(|error| format!("{origin}: {error}"))?;
            let mut previous = String::new();
            for (key, value) in pairs {
                if kind(&key).is_none() {
                    // The name may be part of the password.
                    let is_hidden =
                        previous == "password" || key.contains(|c: char| !c.is_ascii_lowercase() && c != '_');
                    return Err(match is_hidden || key.len() > 32 {
                        false if key == "schema" => format!(
                            "{origin}: the option `schema` is Prisma's; remove it, and name the schema with --schema or \
                             WIX_SYNC_SCHEMA"
                        ),
                        false => format!("{origin}: the option `{key}` is unknown"),
                        true => format!(
                            "{origin}: one of its options is unknown. A URL must begin with postgresql://, and a \
                             password with spaces must be in single quotes"
                        ),
                    });
                }
                if !value.is_empty() {
                    options.0.insert(key.clone(), (value, format!("`{key}` in {origin}")));
                }
                previous = key;
            }
        }
        if options.get("sslmode").is_some() {
            options.0.remove("ssl");
        }
        for (option, (value, name)) in &options.0 {
            match kind(option) {
                Some(Kind::Unsupported) if option == "service" => {
                    return Err(format!(
                        "{name} is not supported: service files are not read; give host, user and database in DATABASE_URL, or \
                         in PGHOST, PGUSER, PGPASSWORD and PGDATABASE"
                    ));
                }
                Some(Kind::Unsupported) => return Err(format!("{name} is not supported; remove it")),
                Some(Kind::Number) if value.trim().parse::<i64>().is_err() => {
                    return Err(format!("{name}: `{value}` is not a whole number"));
                }
                Some(Kind::Word(words)) if !words.contains(&value.as_str()) => {
                    return Err(format!("{name}: `{value}` is unknown or not supported; use {}", words.join(", ")));
                }
                _ => {}
            }
        }
        Ok(options)
    }

    pub(super) fn get(&self, option: &str) -> Option<&str> {
        self.0.get(option).map(|(value, _)| value.as_str())
    }

    /// The option's name where it was set: the variable or the connection string.
    pub(super) fn name(&self, option: &str) -> String {
        self.0.get(option).map_or_else(|| format!("`{option}`"), |(_, name)| name.clone())
    }

    /// A number above 0. Other numbers mean the default or no limit.
    pub(super) fn positive(&self, option: &str) -> Option<u64> {
        self.get(option)?.trim().parse().ok().filter(|number| *number > 0)
    }
}
