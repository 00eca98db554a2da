//! Connects to Postgres: tries each host, each of its addresses, and each with and without TLS as `sslmode` allows,
//! until a server is suitable. As in libpq, the search ends if a server refuses the login.
//!
//! The driver also supports several hosts, but it reports only the last error, continues after a refusal, does not
//! retry with the other TLS mode, and limits only the TCP handshake.

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error};

use super::dial_hint;
use super::error::{StoreError, describe};
use super::target::{Target, is_socket};
use super::tls::TlsMode;

pub(super) async fn dial(target: &Target) -> Result<Client, StoreError> {
    let mut reasons: Vec<String> = Vec::new();
    let mut hint = None;
    for session in target.sessions {
        for place in target.shuffled(target.places.clone()) {
            let (reasons_before, hint_before) = (reasons.len(), hint.clone());
            for address in addresses(target, &place).await {
                let attempt = async { in_time(target, connect(target, address?, *session)).await };
                let failure = match attempt.await {
                    Ok(client) => return Ok(client),
                    Err(failure) => failure,
                };
                if failure.is_final {
                    // The errors of the host's other addresses are no longer relevant.
                    reasons.truncate(reasons_before);
                    hint.clone_from(&hint_before);
                }
                let reason = format!("{}: {}", shown(&place), failure.reason);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                hint = failure.hint.or(hint);
                if failure.is_final {
                    return Err(StoreError::Connect { reason: reasons.join("; at "), hint });
                }
            }
        }
    }
    Err(StoreError::Connect { reason: reasons.join("; at "), hint })
}

/// Why a connection to one address failed.
struct Failure {
    reason: String,
    hint: Option<String>,
    /// Whether the search ends: a server responded with a refusal.
    is_final: bool,
}

impl Failure {
    fn no_answer(reason: String, hint: &str) -> Failure {
        Failure { reason, hint: Some(hint.to_owned()), is_final: false }
    }
}

async fn in_time<T>(target: &Target, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(target.timeout, work).await.unwrap_or_else(|_| {
        Err(Failure::no_answer(format!("no answer within {} s", target.timeout.as_secs()), dial_hint::NO_ANSWER))
    })
}

/// One configuration per address of the host.
async fn addresses(target: &Target, place: &Config) -> Vec<Result<Config, Failure>> {
    let (true, [Host::Tcp(name)]) = (place.get_hostaddrs().is_empty(), place.get_hosts()) else {
        return vec![Ok(place.clone())];
    };
    let lookup = async {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let found =
            found.inspect_err(|error| tracing::debug!(error = error.to_string(), "the host's name was not found"));
        let addresses: Vec<_> = found.into_iter().flatten().map(|address| address.ip()).collect();
        if addresses.is_empty() {
            return Err(Failure::no_answer("no address is known for this host".to_owned(), dial_hint::NO_HOST));
        }
        Ok(target.shuffled(addresses))
    };
    match in_time(target, lookup).await {
        Ok(addresses) => addresses.into_iter().map(|address| Ok(place.clone().hostaddr(address).clone())).collect(),
        Err(failure) => vec![Err(failure)],
    }
}

/// Tries one address. If TLS, or its absence, was the reason for a refusal and `sslmode` allows the other way, tries
/// that too.
async fn connect(target: &Target, mut config: Config, session: TargetSessionAttrs) -> Result<Client, Failure> {
    config.target_session_attrs(session);
    let mode = if is_socket(&config) { TlsMode::Disable } else { target.tls.mode };
    let (first, second) = match mode {
        TlsMode::Disable => (SslMode::Disable, None),
        TlsMode::Allow => (SslMode::Disable, Some(SslMode::Require)),
        TlsMode::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => (SslMode::Require, None),
    };
    let mut error = match connect_once(target, config.ssl_mode(first)).await {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    let is_refused_for_tls = match error.code() {
        None => mode == TlsMode::Prefer && is_of_tls(&error),
        // Poolers use other error codes for this than servers.
        Some(code) if mode == TlsMode::Allow => *code != SqlState::INVALID_PASSWORD,
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    };
    if let Some(second) = second.filter(|_| is_refused_for_tls) {
        match connect_once(target, config.ssl_mode(second)).await {
            Ok(client) => return Ok(client),
            // The response of a server over TLS is more precise.
            Err(again) if mode == TlsMode::Allow && !is_of_tls(&again) => error = again,
            Err(_) => {}
        }
    }
    let text = describe(&error);
    // These prefixes of the driver repeat our own message.
    let known = ["error connecting to server: ", "error performing TLS handshake: "];
    let reason = known.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text).to_owned();
    let hint = dial_hint::hint(&error, &config, target);
    Err(Failure { reason, hint, is_final: error.code().is_some_and(|code| *code != SqlState::CANNOT_CONNECT_NOW) })
}

async fn connect_once(target: &Target, config: &Config) -> Result<Client, Error> {
    let (client, connection) = config.connect(target.tls.connector.clone()).await?;
    tokio::spawn(async move {
        // The current statement returns the error too; this is only for the log.
        if let Err(error) = connection.await {
            tracing::debug!(error = describe(&error), "the connection to Postgres ended");
        }
    });
    Ok(client)
}

/// Whether TLS failed. The driver shows this only in the error's text.
fn is_of_tls(error: &Error) -> bool {
    error.to_string() == "error performing TLS handshake"
}

/// A host as messages name it.
fn shown(place: &Config) -> String {
    let port = place.get_ports().first().copied().unwrap_or_default();
    match place.get_hosts() {
        [Host::Unix(directory), ..] => directory.join(format!(".s.PGSQL.{port}")).display().to_string(),
        [Host::Tcp(name), ..] if name.contains(':') => format!("[{name}]:{port}"),
        [Host::Tcp(name), ..] => format!("{name}:{port}"),
        [] => String::new(),
    }
}
