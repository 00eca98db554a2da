//! The operator's settings of the database connection: plain data, collected once from flags and environment.

use std::path::PathBuf;

use crate::network::CertificatePaths;
use crate::secret::Secret;

/// libpq's variables, each with the option of a connection string that it sets. Variables without effect here, such as
/// `PGTZ`, are omitted.
pub const VARIABLES: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGSERVICE", "service"),
    ("PGAPPNAME", "application_name"),
    ("PGOPTIONS", "options"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLSNI", "sslsni"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
];

/// The settings of the database in flags and environment. They are checked by [`crate::store`].
#[derive(Clone, Debug, Default)]
pub struct DatabaseSettings {
    /// The connection string, and the flag or variable that it came from.
    pub url: Option<(&'static str, Secret)>,
    /// Variable, option and value of the [`VARIABLES`] that are set. They provide options that the string does not set.
    pub variables: Vec<(&'static str, &'static str, Secret)>,
    /// The home directory, which contains libpq's `.pgpass` and `.postgresql`.
    pub home: Option<PathBuf>,
    /// The operating system's user name: the default for the database user.
    pub account: Option<String>,
    pub certificates: CertificatePaths,
}
