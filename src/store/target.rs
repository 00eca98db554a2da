//! What the options of a connection string mean: from settings to a target that can be dialled.
//!
//! As libpq has it: the string goes before the variables, those before files in the home directory. An
//! option that would change something and can't be followed is refused by its name. Nothing is connected
//! here; only whether libpq's files are there is looked up.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslNegotiation, TargetSessionAttrs};

use super::options::Options;
use super::passfile::PasswordFile;
use super::tls::{ClientCertificate, RootCertificates, TlsMode, TlsSettings};
use crate::database::DatabaseSettings;
use crate::network::CertificatePaths;
use crate::secret::Secret;

/// A database, and all that is needed to connect to it. Resolved once, for every connection of a run.
#[derive(Clone, Debug)]
pub struct Target {
    /// In the order of the connection string.
    pub(super) places: Vec<Place>,
    /// Whether the places are tried in random order.
    pub(super) is_shuffled: bool,
    /// What all connections have in common: user, database, session.
    pub(super) config: Config,
    pub(super) tls: TlsSettings,
    /// Maximum time for one address. `None`: no limit.
    pub(super) timeout: Option<Duration>,
    /// What kind of server will do; a later one only if no place offers an earlier.
    pub(super) sessions: &'static [TargetSessionAttrs],
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) password: Option<Secret>,
    /// The file that the password was found in.
    pub(super) password_file: Option<PathBuf>,
}

/// A machine, or a directory with a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Socket(PathBuf),
    Tcp { name: String, address: Option<IpAddr> },
}

/// Long enough for a distant server that wakes up, short enough for a run every few minutes.
const DEFAULT_TIMEOUT_SECS: u64 = 15;
/// libpq's least: with less, a server that is merely slow could never be reached.
const MIN_TIMEOUT_SECS: i64 = 2;
const DEFAULT_PORT: u16 = 5432;
/// Where libpq looks for a socket by itself: password files call these `localhost`.
const DEFAULT_SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// A server that is gone without a word is noticed within two minutes, where the system's own defaults take two hours.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_RETRIES: u32 = 6;

impl Target {
    /// Whether the URL's `options` set the search path.
    pub(super) fn sets_search_path(&self) -> bool {
        self.config.get_options().is_some_and(|options| options.contains("search_path"))
    }

    /// Resolves what flags and environment say. The error names the variable or option, never a password.
    pub fn resolve(settings: &DatabaseSettings) -> Result<Target, String> {
        let options = Options::gather(settings)?;
        let account = settings.account.as_deref();
        let user = options.get("user").or(account).ok_or("DATABASE_URL names no database user")?;
        let database = options.get("dbname").unwrap_or(user);
        let mut config = Config::new();
        config.user(user).dbname(database);
        if let Some(value) = options.get("options") {
            config.options(value);
        }
        let name = options.get("application_name").or(options.get("fallback_application_name"));
        config.application_name(name.unwrap_or("wix-sync"));
        config.channel_binding(options.one_of(
            "channel_binding",
            &[
                ("prefer", ChannelBinding::Prefer),
                ("require", ChannelBinding::Require),
                ("disable", ChannelBinding::Disable),
            ],
        )?);
        let seconds = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0).map(Duration::from_secs);
        config.keepalives(options.number("keepalives")? != Some(0));
        config.keepalives_idle(options.number("keepalives_idle")?.and_then(seconds).unwrap_or(KEEPALIVES_IDLE));
        let interval = options.number("keepalives_interval")?.and_then(seconds);
        config.keepalives_interval(interval.unwrap_or(KEEPALIVES_INTERVAL));
        let count = options.number("keepalives_count")?.or(options.number("keepalives_retries")?);
        let count = count.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        config.keepalives_retries(count.unwrap_or(KEEPALIVES_RETRIES));
        let limit = options.number("tcp_user_timeout")?.and_then(|value| u64::try_from(value).ok());
        if let Some(milliseconds) = limit.filter(|value| *value > 0) {
            config.tcp_user_timeout(Duration::from_millis(milliseconds));
        }
        let timeout = match options.number("connect_timeout")? {
            None => Some(Duration::from_secs(DEFAULT_TIMEOUT_SECS)),
            Some(value) if value <= 0 => None,
            Some(value) => seconds(value.max(MIN_TIMEOUT_SECS)),
        };
        let is_direct = options.one_of("sslnegotiation", &[("postgres", false), ("direct", true)])?;
        if is_direct {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        options.one_of("gssencmode", &[("prefer", ()), ("disable", ())])?;
        let is_shuffled = options.one_of("load_balance_hosts", &[("disable", false), ("random", true)])?;
        let sessions = options.one_of("target_session_attrs", SESSIONS)?;
        let tls =
            TlsSettings { system: settings.certificates.clone(), ..options.tls(settings.home.as_deref(), is_direct)? };
        let places = options.places(user, database, settings.home.as_deref())?;
        Ok(Target { places, is_shuffled, config, tls, timeout, sessions })
    }
}

const SESSIONS: &[(&str, &[TargetSessionAttrs])] = &[
    ("any", &[TargetSessionAttrs::Any]),
    ("read-write", &[TargetSessionAttrs::ReadWrite]),
    ("read-only", &[TargetSessionAttrs::ReadOnly]),
    ("primary", &[TargetSessionAttrs::ReadWrite]),
    ("standby", &[TargetSessionAttrs::ReadOnly]),
    ("prefer-standby", &[TargetSessionAttrs::ReadOnly, TargetSessionAttrs::Any]),
];

impl Options {
    fn tls(&self, home: Option<&Path>, is_direct: bool) -> Result<TlsSettings, String> {
        let in_home = |name: &str| home.map(|home| home.join(".postgresql").join(name));
        let there = |name: &str| in_home(name).filter(|path| path.is_file());
        let roots = match self.get("sslrootcert") {
            Some("system") => RootCertificates::System,
            Some(path) => RootCertificates::File(path.into()),
            None => there("root.crt").map_or(RootCertificates::System, RootCertificates::File),
        };
        let mode = self.tls_mode(&roots)?;
        if is_direct && mode < TlsMode::Require {
            return Err(format!("{}: `direct` needs sslmode=require or stricter", self.name("sslnegotiation")));
        }
        let certificate = match self.one_of("sslcertmode", &[("allow", true), ("disable", false)])? {
            true => self.get("sslcert").map(PathBuf::from).or_else(|| there("postgresql.crt")),
            false => None,
        };
        let certificate = match certificate {
            None => None,
            Some(certificate) => {
                let key = self.get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key"));
                let key = key.ok_or_else(|| format!("{} needs `sslkey` (PGSSLKEY) as well", self.name("sslcert")))?;
                Some(ClientCertificate { certificate, key })
            }
        };
        let versions = [("TLSv1", 0), ("TLSv1.1", 1), ("TLSv1.2", 2), ("TLSv1.3", 3)];
        let least = match self.get("ssl_min_protocol_version") {
            None => 2,
            Some(_) => self.one_of("ssl_min_protocol_version", &versions)?,
        };
        let most = match self.get("ssl_max_protocol_version") {
            None => 3,
            Some(_) => self.one_of("ssl_max_protocol_version", &versions[2..])?,
        };
        if least > most {
            return Err(format!(
                "{} is above {}",
                self.name("ssl_min_protocol_version"),
                self.name("ssl_max_protocol_version")
            ));
        }
        let sends_name = self.one_of("sslsni", &[("1", true), ("0", false)])?;
        let (tls12, tls13) = (least <= 2, most >= 3);
        let system = CertificatePaths::default();
        Ok(TlsSettings { mode, roots, system, certificate, sends_name, tls12, tls13, is_direct })
    }

    /// As libpq has it: a file of authorities makes `require` verify them, and the system's are only for
    /// `verify-full`. But such a file changes nothing for `prefer` and `allow`, which promise nothing: libpq
    /// would go on without TLS where it does not fit.
    fn tls_mode(&self, roots: &RootCertificates) -> Result<TlsMode, String> {
        let is_system_asked_for = self.get("sslrootcert") == Some("system");
        let Some(value) = self.get("sslmode") else {
            let is_required = self
                .one_of("ssl", &[("false", false), ("0", false), ("true", true), ("1", true), ("no-verify", true)])?
                || self.get("requiressl") == Some("1");
            return Ok(match (is_system_asked_for, is_required, roots) {
                (true, ..) => TlsMode::VerifyFull,
                (false, true, RootCertificates::File(_)) => TlsMode::VerifyCa,
                (false, true, RootCertificates::System) => TlsMode::Require,
                (false, false, _) => TlsMode::Prefer,
            });
        };
        let mode = match value {
            "no-verify" => TlsMode::Require,
            "require" if matches!(roots, RootCertificates::File(_)) => TlsMode::VerifyCa,
            _ => self.one_of(
                "sslmode",
                &[
                    ("disable", TlsMode::Disable),
                    ("allow", TlsMode::Allow),
                    ("prefer", TlsMode::Prefer),
                    ("require", TlsMode::Require),
                    ("verify-ca", TlsMode::VerifyCa),
                    ("verify-full", TlsMode::VerifyFull),
                ],
            )?,
        };
        if is_system_asked_for && mode != TlsMode::VerifyFull {
            return Err(format!(
                "{}: `system` needs sslmode=verify-full: anyone can get a certificate of a public authority",
                self.name("sslrootcert")
            ));
        }
        Ok(mode)
    }

    fn places(&self, user: &str, database: &str, home: Option<&Path>) -> Result<Vec<Place>, String> {
        let list = |key| self.get(key).map(|value| value.split(',').collect::<Vec<_>>()).unwrap_or_default();
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        if hosts.iter().any(|host| host.contains([';', '='])) {
            // A string of another driver's, with the password in it.
            return Err("DATABASE_URL names a host with `;` or `=` in it; it should look like \
                postgresql://USER:PASSWORD@HOST:5432/DATABASE"
                .to_owned());
        }
        let count = hosts.len().max(addresses.len());
        if count == 0 {
            return Err(
                "DATABASE_URL names no host; it should look like postgresql://USER:PASSWORD@HOST:5432/DATABASE"
                    .to_owned(),
            );
        }
        if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
            return Err(format!("{} and {} differ in number", self.name("host"), self.name("hostaddr")));
        }
        if ports.len() > 1 && ports.len() != count {
            return Err(format!("{} and {} differ in number", self.name("port"), self.name("host")));
        }
        let password = self.get("password").map(Secret::verbatim);
        let file = match (&password, self.get("passfile"), home) {
            (None, Some(path), _) => Some(PasswordFile::read(Path::new(path))),
            (None, None, Some(home)) => Some(PasswordFile::read(&home.join(".pgpass"))),
            _ => None,
        };
        let place = |index: usize| {
            let text = |list: &[&str]| list.get(index).copied().filter(|text| !text.is_empty()).map(str::to_owned);
            let address = match text(&addresses) {
                None => None,
                Some(text) => {
                    Some(text.parse().map_err(|_| format!("{}: it is no IP address", self.name("hostaddr")))?)
                }
            };
            let host = match text(&hosts).or(text(&addresses)) {
                None => return Err(format!("{}: a host is empty", self.name("host"))),
                Some(name) if name.starts_with('/') && address.is_none() => Host::Socket(name.into()),
                Some(name) => Host::Tcp { name, address },
            };
            let port = match ports.get(index).or(ports.first()).filter(|port| !port.is_empty()) {
                None => DEFAULT_PORT,
                // The value may be part of a password that was not encoded.
                Some(port) => port.trim().parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                    format!(
                        "{}: it is no number from 1 to 65535; in a password, `:` must be written %3A and `/` %2F",
                        self.name("port")
                    )
                })?,
            };
            let found = file.as_ref().and_then(|file| {
                Some((file.find(host.in_password_files()?, port, database, user)?.clone(), file.path.clone()))
            });
            let (password, password_file) = match found {
                Some((password, path)) => (Some(password), Some(path)),
                None => (password.clone(), None),
            };
            Ok(Place { host, port, password, password_file })
        };
        (0..count).map(place).collect()
    }
}

impl Host {
    fn in_password_files(&self) -> Option<&str> {
        match self {
            Host::Tcp { name, .. } => Some(name),
            Host::Socket(path) => {
                let path = path.to_str()?;
                Some(if DEFAULT_SOCKET_DIRECTORIES.contains(&path) { "localhost" } else { path })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Host, Target};
    use crate::database::{DatabaseSettings, VARIABLES};
    use crate::network::CertificatePaths;
    use crate::secret::Secret;
    use crate::store::tls::{RootCertificates, TlsMode};

    fn resolve(url: &str, variables: &[(&str, &str)]) -> Result<Target, String> {
        let variables = VARIABLES.iter().filter_map(|(name, option)| {
            let (_, value) = variables.iter().find(|(set, _)| set == name)?;
            Some((*name, *option, Secret::verbatim(value)))
        });
        Target::resolve(&DatabaseSettings {
            url: Some(("DATABASE_URL", Secret::new(url))),
            variables: variables.collect(),
            home: None,
            account: Some("account".to_owned()),
            certificates: CertificatePaths::default(),
        })
    }

    #[track_caller]
    fn tls(url: &str, variables: &[(&str, &str)], mode: TlsMode, roots: RootCertificates) {
        let target = resolve(url, variables).unwrap();
        assert_eq!((target.tls.mode, target.tls.roots), (mode, roots), "{url}");
    }

    #[test]
    fn ssl_modes_mean_what_they_mean_to_libpq() {
        let file = || RootCertificates::File("/ca.crt".into());
        let system = || RootCertificates::System;
        tls("postgresql://u@h/d", &[], TlsMode::Prefer, system());
        tls("postgresql://u@h/d?ssl=true", &[], TlsMode::Require, system());
        tls("postgresql://u@h/d?ssl=true&sslmode=disable", &[], TlsMode::Disable, system());
        tls("postgresql://u@h/d?sslmode=allow&sslrootcert=/ca.crt", &[], TlsMode::Allow, file());
        tls("postgresql://u@h/d?sslmode=prefer&sslrootcert=/ca.crt", &[], TlsMode::Prefer, file());
        tls("postgresql://u@h/d?sslmode=require", &[], TlsMode::Require, system());
        tls("postgresql://u@h/d?sslmode=require&sslrootcert=/ca.crt", &[], TlsMode::VerifyCa, file());
        tls("postgresql://u@h/d?sslmode=no-verify&sslrootcert=/ca.crt", &[], TlsMode::Require, file());
        tls("postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca.crt", &[], TlsMode::VerifyFull, file());
        tls("postgresql://u@h/d?sslrootcert=system", &[], TlsMode::VerifyFull, system());
        tls("host=h sslmode=verify-ca", &[("PGSSLROOTCERT", "/ca.crt")], TlsMode::VerifyCa, file());
        tls("host=h", &[("PGSSLROOTCERT", "/ca.crt"), ("PGSSLMODE", "require")], TlsMode::VerifyCa, file());
        tls("host=h sslmode=disable", &[("PGSSLMODE", "verify-full")], TlsMode::Disable, system());
        tls("host=h", &[("PGREQUIRESSL", "1")], TlsMode::Require, system());
        assert!(resolve("host=h sslrootcert=system", &[("PGSSLMODE", "prefer")]).unwrap_err().contains("verify-full"));
    }

    #[test]
    fn each_host_has_its_address_and_port() {
        let hosts = |url: &str| {
            let places = resolve(url, &[("PGPORT", "7")]).unwrap().places;
            places.into_iter().map(|place| (place.host, place.port)).collect::<Vec<_>>()
        };
        let tcp = |name: &str, address: Option<&str>| Host::Tcp {
            name: name.to_owned(),
            address: address.map(|text| text.parse().unwrap()),
        };
        assert_eq!(hosts("postgresql://a"), [(tcp("a", None), 7)]);
        assert_eq!(hosts("postgresql://a,b"), [(tcp("a", None), 7), (tcp("b", None), 7)]);
        assert_eq!(hosts("postgresql://a:1,b"), [(tcp("a", None), 1), (tcp("b", None), 5432)]);
        assert_eq!(hosts("postgresql://[::1]:5/"), [(tcp("::1", None), 5)]);
        assert_eq!(hosts("host=a hostaddr=10.0.0.1"), [(tcp("a", Some("10.0.0.1")), 7)]);
        assert_eq!(hosts("hostaddr=::1 port=2"), [(tcp("::1", Some("::1")), 2)]);
        assert_eq!(hosts("host=/run,b port=3"), [(Host::Socket("/run".into()), 3), (tcp("b", None), 3)]);
        for (url, part) in [
            ("dbname=d", "no host"),
            ("host=a,b port=1,2,3", "differ in number"),
            ("host=a,b hostaddr=::1", "differ in number"),
            ("host=a,", "a host is empty"),
            ("host=a hostaddr=b", "no IP address"),
            ("host=a port=secret", "no number from 1 to 65535"),
        ] {
            let error = resolve(url, &[]).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_left_out_has_libpqs_defaults_and_what_is_said_counts() {
        let target = resolve("host=h", &[]).unwrap();
        assert_eq!((target.config.get_user(), target.config.get_dbname()), (Some("account"), Some("account")));
        assert_eq!(target.config.get_application_name(), Some("wix-sync"));
        assert_eq!(target.timeout, Some(Duration::from_secs(15)));
        let url = "postgres://postgres.ref:p%40ss@h/postgres?pgbouncer=true&connection_limit=1&connect_timeout=1&\
                   fallback_application_name=other&tcp_user_timeout=1500&keepalives_count=3&keepalives_idle=0";
        let target = resolve(url, &[("PGPASSWORD", "other"), ("PGUSER", "other")]).unwrap();
        assert_eq!(target.config.get_user(), Some("postgres.ref"));
        assert_eq!(target.places[0].password.as_ref().map(Secret::reveal), Some("p@ss"));
        assert_eq!(target.config.get_application_name(), Some("other"));
        assert_eq!(target.timeout, Some(Duration::from_secs(2)));
        assert_eq!(target.config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
        assert_eq!(target.config.get_keepalives_retries(), Some(3));
        assert_eq!(resolve("host=h", &[("PGCONNECT_TIMEOUT", "0")]).unwrap().timeout, None);
        assert!(!format!("{target:?}").contains("p@ss"));
    }

    #[test]
    fn what_can_not_be_followed_is_refused_by_the_name_it_has_there() {
        for (url, variables, message) in [
            ("host=h service=s", [].as_slice(), "`service` in DATABASE_URL is not supported"),
            ("host=h", &[("PGSERVICE", "s")], "PGSERVICE is not supported"),
            ("host=h bogus=1", &[], "DATABASE_URL: the option `bogus` is unknown"),
            (
                "\"postgresql://u:S3cret@h/d?sslmode=require\"",
                &[],
                "DATABASE_URL: one of its options is unknown, and no option's name looks like that",
            ),
            (
                "POSTGRESQL://u:S3cret@h/d?sslmode=require",
                &[],
                "DATABASE_URL: one of its options is unknown, and no option's name looks like that",
            ),
            ("host=h", &[("PGCONNECT_TIMEOUT", "x")], "PGCONNECT_TIMEOUT: `x` is no whole number"),
            (
                "host=h",
                &[("PGSSLMODE", "on")],
                "PGSSLMODE: `on` is unknown or not supported; use disable, allow, prefer, require, verify-ca, verify-full",
            ),
        ] {
            assert_eq!(resolve(url, variables).unwrap_err(), message);
        }
        let error = resolve("host=h password=two words=1", &[]).unwrap_err();
        assert!(error.contains("single quotes") && !error.contains("words"), "{error}");
    }
}
