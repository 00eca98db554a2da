//! Where Postgres is, as given by the operator: plain data, collected once from flags and environment.

use std::path::PathBuf;

use crate::network::CertificatePaths;
use crate::secret::Secret;

/// libpq's variables, each with the option of a connection string that it sets. Variables that have no effect here,
/// such as `PGTZ`, are left out.
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

/// What flags and environment say about the database. Not checked yet: [`crate::store`] does that.
#[derive(Clone, Debug, Default)]
pub struct DatabaseSettings {
    /// The connection string, and the flag or variable that it came from.
    pub url: Option<(&'static str, Secret)>,
    /// Variable, option and value of those of [`VARIABLES`] that are set. They fill in what the string leaves out.
    pub variables: Vec<(&'static str, &'static str, Secret)>,
    /// The home directory, where libpq keeps `.pgpass` and `.postgresql`.
    pub home: Option<PathBuf>,
    /// The operating system's user name: the default for the database user.
    pub account: Option<String>,
    pub certificates: CertificatePaths,
}
