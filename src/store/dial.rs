//! Connecting: each place, each of its addresses, with and without TLS as `sslmode` has it, until one is a
//! server that will do. A server that refuses us ends the search, as it does for libpq.

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::dial_hint;
use super::error::{StoreError, describe};
use super::target::{Host, Place, Target};
use super::tls::{self, TlsMode, TlsSettings};

pub(super) async fn dial(target: &Target) -> Result<Client, StoreError> {
    let needs_tls = target.places.iter().any(|place| matches!(place.host, Host::Tcp { .. }));
    let mode = if needs_tls { target.tls.mode } else { TlsMode::Disable };
    let connector = tls::connector(&TlsSettings { mode, ..target.tls.clone() }).map_err(StoreError::BadUrl)?;
    let mut failures: Vec<Failure> = Vec::new();
    for session in target.sessions {
        let mut places: Vec<&Place> = target.places.iter().collect();
        if target.is_shuffled {
            fastrand::shuffle(&mut places);
        }
        for place in places {
            let dialling = Dialling { target, place, session: *session, connector: &connector };
            match dialling.any_address().await {
                Ok(client) => return Ok(client),
                Err(failed) => {
                    let is_final = failed.iter().any(|failure| failure.is_final);
                    failures.extend(failed);
                    if is_final {
                        return Err(all(failures));
                    }
                }
            }
        }
    }
    Err(all(failures))
}

/// Why one address was not used.
struct Failure {
    place: String,
    reason: String,
    hint: Option<String>,
    /// A server responded, so no other address is tried.
    is_final: bool,
}

/// One error of all failures: each place with each reason once, and the hint for the last that has one.
fn all(failures: Vec<Failure>) -> StoreError {
    let mut reasons: Vec<String> = Vec::new();
    let mut hint = None;
    for failure in failures {
        let reason = format!("{}: {}", failure.place, failure.reason);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
        hint = failure.hint.or(hint);
    }
    StoreError::Connect { reason: reasons.join("; at "), hint }
}

struct Dialling<'a> {
    target: &'a Target,
    place: &'a Place,
    session: TargetSessionAttrs,
    connector: &'a MakeRustlsConnect,
}

impl Dialling<'_> {
    async fn any_address(&self) -> Result<Client, Vec<Failure>> {
        let addresses: Vec<Option<IpAddr>> = match &self.place.host {
            Host::Socket(_) => vec![None],
            Host::Tcp { address: Some(address), .. } => vec![Some(*address)],
            Host::Tcp { name, address: None } => match self.within_timeout(lookup(name)).await {
                Ok(addresses) if self.target.is_shuffled => {
                    let mut addresses = addresses;
                    fastrand::shuffle(&mut addresses);
                    addresses.into_iter().map(Some).collect()
                }
                Ok(addresses) => addresses.into_iter().map(Some).collect(),
                Err(failure) => return Err(vec![failure]),
            },
        };
        let mut failures = Vec::new();
        for address in addresses {
            match self.within_timeout(self.one_address(address)).await {
                Ok(client) => return Ok(client),
                Err(failure) if failure.is_final => return Err(vec![failure]),
                Err(failure) => failures.push(failure),
            }
        }
        Err(failures)
    }

    async fn within_timeout<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Failure> {
        let limit = self.target.timeout.unwrap_or(Duration::MAX);
        let refusal = match tokio::time::timeout(limit, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(refusal)) => refusal,
            Err(_) => Refusal {
                reason: format!("no answer within {} s", limit.as_secs()),
                hint: Some(dial_hint::NO_ANSWER.to_owned()),
                is_final: false,
            },
        };
        Err(Failure {
            place: self.place.shown(),
            reason: refusal.reason,
            hint: refusal.hint,
            is_final: refusal.is_final,
        })
    }

    /// Tries one address. With `sslmode` allow or prefer, tries again with or without TLS if the first try was refused
    /// because of it.
    async fn one_address(&self, address: Option<IpAddr>) -> Result<Client, Refusal> {
        let mode = if matches!(self.place.host, Host::Socket(_)) { TlsMode::Disable } else { self.target.tls.mode };
        let (first, second) = match mode {
            TlsMode::Disable => (SslMode::Disable, None),
            TlsMode::Allow => (SslMode::Disable, Some(SslMode::Require)),
            TlsMode::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => (SslMode::Require, None),
        };
        let error = match self.connect(address, first).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let is_refused_for_tls = match error.code() {
            None => mode == TlsMode::Prefer && is_of_tls(&error),
            // Poolers have other codes for it than servers.
            Some(code) if mode == TlsMode::Allow => *code != SqlState::INVALID_PASSWORD,
            Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        };
        let error = match second.filter(|_| is_refused_for_tls) {
            None => error,
            Some(second) => match self.connect(address, second).await {
                Ok(client) => return Ok(client),
                // The word of the server that was spoken to with TLS says more.
                Err(again) if mode == TlsMode::Allow && !is_of_tls(&again) => again,
                Err(_) => error,
            },
        };
        Err(Refusal {
            reason: without_prefix(&describe(&error)),
            hint: dial_hint::hint(&error, self.place, &self.target.tls),
            is_final: error.code().is_some_and(|code| *code != SqlState::CANNOT_CONNECT_NOW),
        })
    }

    async fn connect(&self, address: Option<IpAddr>, mode: SslMode) -> Result<Client, tokio_postgres::Error> {
        let mut config: Config = self.target.config.clone();
        match &self.place.host {
            Host::Socket(directory) => config.host_path(directory),
            Host::Tcp { name, .. } => config.host(name),
        };
        if let Some(address) = address {
            config.hostaddr(address);
        }
        if let Some(password) = &self.place.password {
            config.password(password.reveal());
        }
        config.port(self.place.port).ssl_mode(mode).target_session_attrs(self.session);
        let (client, connection) = config.connect(self.connector.clone()).await?;
        tokio::spawn(async move {
            // The statement that was under way gets the error as well; this is for the log only.
            if let Err(error) = connection.await {
                tracing::debug!(error = describe(&error), "the connection to Postgres ended");
            }
        });
        Ok(client)
    }
}

/// A [`Failure`] without its place.
struct Refusal {
    reason: String,
    hint: Option<String>,
    is_final: bool,
}

async fn lookup(name: &str) -> Result<Vec<IpAddr>, Refusal> {
    let found = match tokio::net::lookup_host((name, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => {
            tracing::debug!(error = error.to_string(), "the host's name was not found");
            Vec::new()
        }
    };
    if found.is_empty() {
        let hint = Some(dial_hint::NO_HOST.to_owned());
        return Err(Refusal { reason: "no address is known for this host".to_owned(), hint, is_final: false });
    }
    Ok(found)
}

/// Whether the TLS handshake failed. The driver reports this in no other way.
fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string() == "error performing TLS handshake"
}

/// The text without the driver's first words, which our own message already says.
fn without_prefix(text: &str) -> String {
    let known = ["error connecting to server: ", "error performing TLS handshake: "];
    known.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text).to_owned()
}

impl Place {
    pub(super) fn shown(&self) -> String {
        match &self.host {
            Host::Socket(directory) => directory.join(format!(".s.PGSQL.{}", self.port)).display().to_string(),
            Host::Tcp { name, .. } if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Tcp { name, .. } => format!("{name}:{}", self.port),
        }
    }
}
