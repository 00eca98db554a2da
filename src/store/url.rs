//! Connection URLs as libpq users write them, for a driver that knows only part of libpq's options.
//!
//! tokio-postgres refuses `verify-full`, `verify-ca`, `allow`, `sslrootcert` and a number of options that
//! mean nothing here; both URLs and keyword/value strings are taken.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server has it; not verified.
    Prefer,
    /// Always; not verified.
    Require,
    /// Always; the server's certificate must come from a known authority.
    VerifyCa,
    /// The same, and it must be made out for the host.
    VerifyFull,
}

/// Where the authorities' certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootCertificates {
    /// The system's.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// A parsed URL.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the driver needs.
    pub config: Config,
    /// How to use TLS.
    pub tls: TlsMode,
    /// Whom to trust, for the two `verify-` modes.
    pub roots: RootCertificates,
}

/// Options of libpq and of other clients that change nothing here.
const IGNORED: &[&str] = &[
    "sslcompression",
    "gssencmode",
    "krbsrvname",
    "client_encoding",
    "fallback_application_name",
    "sslsni",
    "pgbouncer",
    "connection_limit",
    "pool_timeout",
    "supa",
    "uselibpqcompat",
    "workaround",
    "prepareThreshold",
    "statement_cache_size",
];

/// Options that would change something, and can't be followed.
const UNSUPPORTED: &[&str] = &["sslcert", "sslkey", "sslcrl", "sslpassword", "require_auth", "passfile", "service"];

/// Parses a connection URL or keyword/value string. The error never quotes any part of it that could hold
/// the password.
pub fn parse(url: &str) -> Result<Target, String> {
    let url = url.trim();
    let mut options = TlsOptions::default();
    let text = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        check_password(url)?;
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, raw) = pair
                .split_once('=')
                .ok_or("an option behind the `?` has no value; a `?` in the password must be written %3F")?;
            let value =
                percent_decode_str(raw).decode_utf8().map_err(|_| format!("the value of `{key}` is not UTF-8"))?;
            if let Some((key, value)) = options.take(key, &value)? {
                kept.push(format!(
                    "{key}={}",
                    percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC)
                ));
            }
        }
        if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }
    } else {
        let mut kept = Vec::new();
        for (key, value) in keywords(url)? {
            if let Some((key, value)) = options.take(&key, &value)? {
                kept.push(format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")));
            }
        }
        kept.join(" ")
    };
    let mut config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{cause}")
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("it names no host; it should look like postgresql://USER:PASSWORD@HOST:5432/DATABASE".to_owned());
    }
    let (tls, roots) = options.resolve(&config);
    config.ssl_mode(match tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    });
    Ok(Target { config, tls, roots })
}

#[derive(Default)]
struct TlsOptions {
    mode: Option<TlsMode>,
    root_certificate: Option<String>,
}

impl TlsOptions {
    /// Takes an option that concerns TLS or nothing; gives back one that the driver knows, under its name.
    fn take(&mut self, key: &str, value: &str) -> Result<Option<(String, String)>, String> {
        match key {
            "sslmode" => {
                self.mode = Some(match value {
                    "disable" => TlsMode::Disable,
                    "allow" | "prefer" => TlsMode::Prefer,
                    "require" | "no-verify" => TlsMode::Require,
                    "verify-ca" => TlsMode::VerifyCa,
                    "verify-full" => TlsMode::VerifyFull,
                    other => {
                        return Err(format!(
                            "sslmode={other} is unknown: use disable, prefer, require, verify-ca or verify-full"
                        ));
                    }
                });
            }
            "ssl" if value == "true" => {
                self.mode.get_or_insert(TlsMode::Require);
            }
            "ssl" => {}
            "sslrootcert" => self.root_certificate = Some(value.to_owned()),
            "keepalives_count" => return Ok(Some(("keepalives_retries".to_owned(), value.to_owned()))),
            "target_session_attrs" => {
                let value = match value {
                    "primary" => "read-write",
                    "standby" => "read-only",
                    "prefer-standby" => "any",
                    other => other,
                };
                return Ok(Some((key.to_owned(), value.to_owned())));
            }
            key if UNSUPPORTED.contains(&key) => return Err(format!("the option `{key}` is not supported")),
            key if IGNORED.contains(&key) => {}
            _ => return Ok(Some((key.to_owned(), value.to_owned()))),
        }
        Ok(None)
    }

    /// As libpq has it: a root certificate makes `require` verify the chain, `system` makes it verify all,
    /// and a unix socket knows no TLS.
    fn resolve(self, config: &Config) -> (TlsMode, RootCertificates) {
        let roots = match self.root_certificate.as_deref() {
            None | Some("system" | "") => RootCertificates::System,
            Some(path) => RootCertificates::File(path.into()),
        };
        let system_wanted = self.root_certificate.as_deref() == Some("system");
        let mode = match self.mode {
            None if system_wanted => TlsMode::VerifyFull,
            None => TlsMode::Prefer,
            Some(TlsMode::Require) if matches!(roots, RootCertificates::File(_)) => TlsMode::VerifyCa,
            Some(mode) => mode,
        };
        let only_sockets =
            config.get_hostaddrs().is_empty() && !config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        (if only_sockets { TlsMode::Disable } else { mode }, roots)
    }
}

/// Two mistakes that would otherwise end in a riddle, or in part of the password on the screen.
fn check_password(url: &str) -> Result<(), String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.matches('@').count() > 1 {
        return Err("there is more than one `@` before the host; an `@` in the password must be written %40".to_owned());
    }
    if rest.to_ascii_uppercase().contains("[YOUR-PASSWORD]") {
        return Err("it still holds the placeholder [YOUR-PASSWORD]; put the database password there".to_owned());
    }
    Ok(())
}

/// libpq's `key=value key='quoted value'`.
fn keywords(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, behind) =
            rest.split_once('=').ok_or("it is neither a postgresql:// URL nor a list of key=value pairs")?;
        let behind = behind.trim_start();
        let (quoted, body) = behind.strip_prefix('\'').map_or((false, behind), |body| (true, body));
        let mut value = String::new();
        let mut end = None;
        let mut characters = body.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                '\'' if quoted => {
                    end = Some(at + 1);
                    break;
                }
                c if !quoted && c.is_whitespace() => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        if quoted && end.is_none() {
            return Err("a quoted value does not end".to_owned());
        }
        pairs.push((key.trim().to_owned(), value));
        rest = body[end.unwrap_or(body.len())..].trim_start();
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::{RootCertificates, TlsMode, parse};

    #[track_caller]
    fn tls(url: &str, mode: TlsMode, roots: RootCertificates) {
        let target = parse(url).unwrap();
        assert_eq!((target.tls, target.roots), (mode, roots), "{url}");
    }

    #[test]
    fn ssl_modes_mean_what_they_mean_to_libpq() {
        let file = || RootCertificates::File("/ca.crt".into());
        tls("postgresql://u@h/d", TlsMode::Prefer, RootCertificates::System);
        tls("postgresql://u@h/d?sslmode=require", TlsMode::Require, RootCertificates::System);
        tls("postgresql://u@h/d?sslmode=require&sslrootcert=/ca.crt", TlsMode::VerifyCa, file());
        tls("postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca.crt", TlsMode::VerifyFull, file());
        tls("postgresql://u@h/d?sslrootcert=system", TlsMode::VerifyFull, RootCertificates::System);
        tls("host=h user=u sslmode=verify-ca sslrootcert='/ca.crt'", TlsMode::VerifyCa, file());
        tls("postgresql:///d?host=/tmp&sslmode=require", TlsMode::Disable, RootCertificates::System);
    }

    #[test]
    fn options_of_other_clients_do_no_harm() {
        let url = "postgres://postgres.ref:p%40ss@h.example:6543/postgres?pgbouncer=true&connection_limit=1&keepalives_count=3&application_name=my%20app&target_session_attrs=primary";
        let config = parse(url).unwrap().config;
        assert_eq!(config.get_user(), Some("postgres.ref"));
        assert_eq!(config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(config.get_application_name(), Some("my app"));
        assert_eq!(config.get_ports(), [6543]);
    }

    #[test]
    fn keyword_strings_know_quotes_and_escapes() {
        let config = parse(r"host=/var/run/postgresql user = u password='it\'s \\ here' dbname=d").unwrap().config;
        assert_eq!(config.get_hosts(), [Host::Unix("/var/run/postgresql".into())]);
        assert_eq!(config.get_password(), Some(&br"it's \ here"[..]));
    }

    #[test]
    fn mistakes_are_named_and_passwords_are_not() {
        for (url, part) in [
            ("postgresql://u:p@ss@h/d", "%40"),
            ("postgresql://u:[YOUR-PASSWORD]@h/d", "placeholder"),
            ("postgresql://u:p4ss@h/d?sslmode=always", "sslmode=always"),
            ("postgresql://u:p4ss@h/d?sslcert=x", "`sslcert` is not supported"),
            ("postgresql://u:p4ss@h/d?bogus=1", "bogus"),
            ("mysql", "neither"),
            ("dbname=d", "no host"),
            ("postgresql:///d", "no host"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("p4ss") && !error.contains("ss@h"), "{url}: {error}");
        }
    }
}
