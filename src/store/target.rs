//! Combines a connection string and libpq's variables into a list of hosts to connect to.
//!
//! As in libpq, the string has precedence over the variables, and the variables over files in the home directory.
//! Nothing connects here; only libpq's files are read.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};

use super::options::Options;
use super::passfile::PasswordFile;
use super::tls::Tls;
use crate::database::DatabaseSettings;

/// A database and all settings to connect to it. Resolved once for all connections of a run.
#[derive(Clone)]
pub struct Target {
    /// One configuration per host and port, in the order of the string.
    pub(super) places: Vec<Config>,
    /// Server roles to search for, in order of preference: a later one is tried only if no host has an earlier one.
    pub(super) sessions: &'static [TargetSessionAttrs],
    /// Maximum time to connect to one address.
    pub(super) timeout: Duration,
    pub(super) tls: Tls,
    /// The password file, if neither the string nor a variable has the password.
    pub(super) password_file: Option<PathBuf>,
}

/// Default time limit of one connection attempt in seconds: enough for a distant server that wakes up, and short enough
/// for a run every few minutes.
const DEFAULT_TIMEOUT_SECS: u64 = 15;
/// libpq's minimum in seconds: with less, a slow server could never be reached.
const MIN_TIMEOUT_SECS: u64 = 2;
const DEFAULT_PORT: u16 = 5432;
/// libpq's default socket directories. Password files name them `localhost`.
const DEFAULT_SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

impl Target {
    /// Resolves the settings. An error names the variable or option, never a password.
    pub fn resolve(settings: &DatabaseSettings) -> Result<Target, String> {
        let options = Options::gather(settings)?;
        let user = options.get("user").or(settings.account.as_deref()).ok_or("DATABASE_URL names no database user")?;
        let password_file = match (options.get("password"), options.get("passfile"), &settings.home) {
            (Some(_), ..) => None,
            (None, Some(path), _) => Some(PathBuf::from(path)),
            (None, None, home) => home.as_ref().map(|home| home.join(".pgpass")),
        };
        let passwords = password_file.as_deref().map(PasswordFile::read);
        let places = places(&options, &common_config(&options, user)?, passwords.as_ref())?;
        let timeout = match (options.get("connect_timeout"), options.positive("connect_timeout")) {
            (None, _) => Duration::from_secs(DEFAULT_TIMEOUT_SECS),
            (Some(_), None) => Duration::MAX,
            (Some(_), Some(seconds)) => Duration::from_secs(seconds.max(MIN_TIMEOUT_SECS)),
        };
        let sessions: &[TargetSessionAttrs] = match options.get("target_session_attrs") {
            Some("read-write" | "primary") => &[TargetSessionAttrs::ReadWrite],
            Some("read-only" | "standby") => &[TargetSessionAttrs::ReadOnly],
            Some("prefer-standby") => &[TargetSessionAttrs::ReadOnly, TargetSessionAttrs::Any],
            _ => &[TargetSessionAttrs::Any],
        };
        let tls = Tls::of(&options, settings, !places.iter().all(is_socket))?;
        Ok(Target { places, sessions, timeout, tls, password_file })
    }

    /// Whether the URL's `options` set the search path.
    pub(super) fn sets_search_path(&self) -> bool {
        self.places.iter().any(|place| place.get_options().is_some_and(|options| options.contains("search_path")))
    }

    /// In random order if `load_balance_hosts=random` is set.
    pub(super) fn shuffled<T>(&self, mut items: Vec<T>) -> Vec<T> {
        if self.places.iter().any(|place| place.get_load_balance_hosts() == LoadBalanceHosts::Random) {
            fastrand::shuffle(&mut items);
        }
        items
    }
}

/// A Unix socket, where there is no TLS.
pub(super) fn is_socket(place: &Config) -> bool {
    matches!(place.get_hosts(), [Host::Unix(_)]) && place.get_hostaddrs().is_empty()
}

/// Settings that all hosts share.
fn common_config(options: &Options, user: &str) -> Result<Config, String> {
    // The driver does not parse numbers: it reads `tcp_user_timeout` as seconds, and 0 as a missing number.
    let words = ["channel_binding", "load_balance_hosts", "sslnegotiation"];
    let words: Vec<String> =
        words.iter().filter_map(|option| Some(format!("{option}={}", options.get(option)?))).collect();
    let mut config: Config = words.join(" ").parse().map_err(|error: tokio_postgres::Error| error.to_string())?;
    config.user(user).dbname(options.get("dbname").unwrap_or(user));
    let name = options.get("application_name").or(options.get("fallback_application_name"));
    config.application_name(name.unwrap_or("wix-sync"));
    if let Some(password) = options.get("password") {
        config.password(password);
    }
    if let Some(value) = options.get("options") {
        config.options(value);
    }
    // A dead server is noticed after 60 + 6 x 10 s; with the system's defaults it takes two hours.
    let seconds = |option, default| Duration::from_secs(options.positive(option).unwrap_or(default));
    let retries = options.positive("keepalives_count").or(options.positive("keepalives_retries"));
    config
        .keepalives(options.get("keepalives").is_none_or(|value| value.trim().parse() != Ok(0_i64)))
        .keepalives_idle(seconds("keepalives_idle", 60))
        .keepalives_interval(seconds("keepalives_interval", 10))
        .keepalives_retries(retries.unwrap_or(6).try_into().unwrap_or(u32::MAX));
    if let Some(milliseconds) = options.positive("tcp_user_timeout") {
        config.tcp_user_timeout(Duration::from_millis(milliseconds));
    }
    Ok(config)
}

/// One configuration per host, with the password that the password file has for it.
fn places(options: &Options, common: &Config, passwords: Option<&PasswordFile>) -> Result<Vec<Config>, String> {
    const FORM: &str = "it should look like postgresql://USER:PASSWORD@HOST:5432/DATABASE";
    let list = |option| options.get(option).map(|value| value.split(',').collect::<Vec<_>>()).unwrap_or_default();
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    if hosts.iter().any(|host| host.contains([';', '='])) {
        // This is another driver's connection string, which contains the password.
        return Err(format!("DATABASE_URL names a host with `;` or `=` in it; {FORM}"));
    }
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(format!("DATABASE_URL names no host; {FORM}"));
    }
    let given = [("host", hosts.len()), ("hostaddr", addresses.len()), ("port", ports.len())];
    let given = given.into_iter().filter(|(_, length)| *length > 0);
    if given.clone().any(|(option, length)| length != count && (option, length) != ("port", 1)) {
        let names: Vec<String> = given.map(|(option, _)| options.name(option)).collect();
        return Err(format!("{} differ in number", names.join(" and ")));
    }
    let place = |index: usize| {
        let host = at(&hosts, index)
            .or(at(&addresses, index))
            .ok_or_else(|| format!("{}: a host is empty", options.name("host")))?;
        let port = at(&ports, if ports.len() == 1 { 0 } else { index });
        // The value may be part of a password that was not percent-encoded.
        let port = port.map_or(Ok(DEFAULT_PORT), |port| port.trim().parse().map(NonZeroU16::get)).map_err(|_| {
            let name = options.name("port");
            format!("{name}: it is not a number from 1 to 65535; in a password, `:` must be written %3A and `/` %2F")
        })?;
        let mut config = common.clone();
        config.host(host).port(port);
        if let Some(address) = at(&addresses, index) {
            let failed = |_| format!("{}: it is not an IP address", options.name("hostaddr"));
            config.hostaddr(address.parse().map_err(failed)?);
        }
        let called = if DEFAULT_SOCKET_DIRECTORIES.contains(&host) { "localhost" } else { host };
        let (database, user) = (common.get_dbname().unwrap_or_default(), common.get_user().unwrap_or_default());
        if let Some(password) = passwords.and_then(|file| file.find(called, port, database, user)) {
            config.password(password.reveal());
        }
        Ok(config)
    };
    (0..count).map(place).collect()
}

fn at<'a>(list: &[&'a str], index: usize) -> Option<&'a str> {
    list.get(index).copied().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_postgres::config::{ChannelBinding, Host, LoadBalanceHosts, SslNegotiation};

    use super::Target;
    use crate::database::{DatabaseSettings, VARIABLES};
    use crate::network::CertificatePaths;
    use crate::secret::Secret;

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

    #[test]
    fn each_host_has_its_address_and_port() {
        let hosts = |url: &str| {
            let places = resolve(url, &[("PGPORT", "7")]).unwrap().places.into_iter();
            let hosts = places.map(|place| {
                let addresses: Vec<String> = place.get_hostaddrs().iter().map(ToString::to_string).collect();
                (place.get_hosts()[0].clone(), addresses.join(","), place.get_ports()[0])
            });
            hosts.collect::<Vec<_>>()
        };
        let tcp = |name: &str, address: &str, port: u16| (Host::Tcp(name.to_owned()), address.to_owned(), port);
        assert_eq!(hosts("postgresql://a"), [tcp("a", "", 7)]);
        assert_eq!(hosts("postgresql://a,b"), [tcp("a", "", 7), tcp("b", "", 7)]);
        assert_eq!(hosts("postgresql://a:1,b"), [tcp("a", "", 1), tcp("b", "", 5432)]);
        assert_eq!(hosts("postgresql://[::1]:5/"), [tcp("::1", "", 5)]);
        assert_eq!(hosts("host=a hostaddr=10.0.0.1"), [tcp("a", "10.0.0.1", 7)]);
        assert_eq!(hosts("hostaddr=::1 port=2"), [tcp("::1", "::1", 2)]);
        let socket = (Host::Unix("/run".into()), String::new(), 3);
        assert_eq!(hosts("host=/run,b port=3"), [socket, tcp("b", "", 3)]);
        for (url, part) in [
            ("dbname=d", "no host"),
            ("host=a,b port=1,2,3", "differ in number"),
            ("host=a,b hostaddr=::1", "differ in number"),
            ("host=a,", "a host is empty"),
            ("host=a hostaddr=b", "not an IP address"),
            ("host=a port=secret", "not a number from 1 to 65535"),
        ] {
            let error = resolve(url, &[]).err().unwrap();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_left_out_has_libpqs_defaults_and_what_is_said_counts() {
        let target = resolve("host=h", &[]).unwrap();
        let config = &target.places[0];
        assert_eq!((config.get_user(), config.get_dbname()), (Some("account"), Some("account")));
        assert_eq!(config.get_application_name(), Some("wix-sync"));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(60));
        assert_eq!(target.timeout, Duration::from_secs(15));
        let url = "postgres://postgres.ref:p%40ss@h/postgres?pgbouncer=true&connection_limit=1&connect_timeout=1&\
                   fallback_application_name=other&tcp_user_timeout=1500&keepalives_count=3&keepalives_idle=0&\
                   channel_binding=require&sslnegotiation=direct&sslmode=require&load_balance_hosts=random";
        let target = resolve(url, &[("PGPASSWORD", "other"), ("PGUSER", "other")]).unwrap();
        let config = &target.places[0];
        assert_eq!(config.get_user(), Some("postgres.ref"));
        assert_eq!(config.get_password(), Some(b"p@ss".as_slice()));
        assert_eq!(config.get_application_name(), Some("other"));
        assert_eq!(target.timeout, Duration::from_secs(2));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
        assert_eq!((config.get_keepalives_retries(), config.get_keepalives_idle().as_secs()), (Some(3), 60));
        assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
        assert_eq!(config.get_ssl_negotiation(), SslNegotiation::Direct);
        assert_eq!(config.get_load_balance_hosts(), LoadBalanceHosts::Random);
        assert_eq!(resolve("host=h", &[("PGCONNECT_TIMEOUT", "0")]).unwrap().timeout, Duration::MAX);
        assert!(!format!("{config:?}").contains("p@ss"));
    }

    #[test]
    fn what_can_not_be_followed_is_refused_by_the_name_it_has_there() {
        let unknown = "DATABASE_URL: one of its options is unknown. A URL must begin with postgresql://, and a password with \
                       spaces must be in single quotes";
        for (url, variables, message) in [
            ("host=h require_auth=none", [].as_slice(), "`require_auth` in DATABASE_URL is not supported; remove it"),
            (
                "host=h",
                &[("PGSERVICE", "s")],
                "PGSERVICE is not supported: service files are not read; give host, user and database in DATABASE_URL, or in \
                 PGHOST, PGUSER, PGPASSWORD and PGDATABASE",
            ),
            (
                "postgresql://u:S3cret@h/d?schema=public&pgbouncer=true&connection_limit=1&pool_timeout=9",
                &[],
                "DATABASE_URL: the option `schema` is Prisma's; remove it, and name the schema with --schema or \
                 WIX_SYNC_SCHEMA",
            ),
            ("host=h bogus=1", &[], "DATABASE_URL: the option `bogus` is unknown"),
            ("host=h password=two words=1", &[], unknown),
            ("host=h", &[("PGCONNECT_TIMEOUT", "x")], "PGCONNECT_TIMEOUT: `x` is not a whole number"),
            (
                "host=h",
                &[("PGSSLMODE", "on")],
                "PGSSLMODE: `on` is unknown or not supported; use disable, allow, prefer, require, verify-ca, verify-full, no-verify",
            ),
        ] {
            assert_eq!(resolve(url, variables).err().unwrap(), message);
        }
    }
}
