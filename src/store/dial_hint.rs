//! Hints for failed connections: one line that names the option or variable to change.

use std::io;
use std::path::Path;

use rustls::{AlertDescription, CertificateError};
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::{Config, Error};

use super::error::describe;
use super::target::Target;
use crate::network::{CertificateProblem, find};

pub(super) const NO_ANSWER: &str = "check host and port in DATABASE_URL (PGHOST, PGPORT), and the firewall between; \
                                    connect_timeout (PGCONNECT_TIMEOUT) says how long to wait";

pub(super) const NO_HOST: &str = "check the host in DATABASE_URL (PGHOST) and this machine's name service; Supabase's \
                                  direct host has only an IPv6 address, its poolers have others";

/// One line on what to do, if anything helps.
pub(super) fn hint(error: &Error, place: &Config, target: &Target) -> Option<String> {
    match error.as_db_error() {
        Some(refusal) => {
            let password_file = target.password_file.as_deref().filter(|_| place.get_password().is_some());
            of_refusal(refusal.code().code(), refusal.message(), password_file)
        }
        None => of_failure(error, place, target.tls.roots.as_deref()),
    }
}

/// Hint for an error that the server returned.
fn of_refusal(state: &str, message: &str, password_file: Option<&Path>) -> Option<String> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let hint = if says(&["circuit breaker open", "ecircuitbreaker"]) {
        "the pooler blocks new connections for some minutes after too many failed logins: check user and password in \
         DATABASE_URL, stop other programs that use a wrong one, and wait"
    } else if state == "28P01" || says(&["no such user"]) {
        let from = match password_file {
            Some(path) => format!("the password comes from {}; check it", path.display()),
            None => "check user and password in DATABASE_URL (PGUSER, PGPASSWORD)".to_owned(),
        };
        return Some(format!("{from}; through Supabase's poolers the user is postgres.PROJECT_REF"));
    } else if says(&["tenant or user not found", "tenant/user", "enotfound", "no tenant identifier", "enoidentifier"]) {
        "through Supabase's poolers the user is postgres.PROJECT_REF, and the host is that of the project's region; copy the \
         connection string that the dashboard shows under Connect"
    } else if says(&["maxclientsinsessionmode"]) {
        "the session pooler's clients are limited to its pool size; use the transaction pooler at port 6543, or close \
         other connections"
    } else if says(&["max client connections reached", "max_client_conn", "client connections exceeded"]) {
        "the pooler accepts no more clients: close other connections, or raise its limit (PgBouncer: max_client_conn; \
         Supabase: a larger compute size)"
    } else if says(&["allow_list", "eaddrnotallowed"]) {
        "the Supabase project does not accept this machine's IP address: add it under Database, Network Restrictions"
    } else if says(&["client certificate", "certificate authentication"]) {
        CLIENT_CERTIFICATE
    } else if says(&["no encryption", "ssl connection is required", "ssl required"]) {
        "the server wants TLS: set sslmode=require or stricter in DATABASE_URL (PGSSLMODE)"
    } else if state == "28000" {
        "check user and database in DATABASE_URL (PGUSER, PGDATABASE), and what the server's pg_hba.conf lets in"
    } else if state == "3D000" || says(&["no such database"]) {
        "check the database's name in DATABASE_URL (PGDATABASE); on Supabase it is postgres"
    } else if state == "53300" {
        "the server accepts no more connections; on Supabase, the transaction pooler at port 6543 accepts more"
    } else if says(&["unsupported startup parameter"]) {
        "a pooler takes no such parameter: leave `options` out of DATABASE_URL (PGOPTIONS); --schema names the schema"
    } else if says(&[
        "server_login_retry",
        "cannot connect to server",
        "unable to check out",
        "failed to retrieve database credentials",
        "query_wait_timeout",
    ]) {
        "the pooler works, but cannot connect to the database behind it: check that the database is running (Supabase pauses \
         free projects)"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

const CLIENT_CERTIFICATE: &str =
    "the server asks for a certificate of the user's: sslcert and sslkey in DATABASE_URL (PGSSLCERT, PGSSLKEY) name it";

/// Hint for an error of the driver.
fn of_failure(error: &Error, place: &Config, roots: Option<&Path>) -> Option<String> {
    if let Some(error) = find::<rustls::Error>(error) {
        return of_tls(error, roots);
    }
    let text = describe(error);
    let hint = if text.contains("does not support TLS") {
        "the server has no TLS; sslmode=prefer or disable in DATABASE_URL (PGSSLMODE) connects without"
    } else if text.contains("password missing") {
        "put the password into DATABASE_URL, PGPASSWORD or ~/.pgpass"
    } else if text.contains("channel binding") {
        "channel_binding=require needs TLS and a server that knows SCRAM-SHA-256-PLUS, which poolers mostly do not; \
         channel_binding=prefer (PGCHANNELBINDING) goes without"
    } else if text.contains("does not allow writes") || text.contains("is not read only") {
        "target_session_attrs in DATABASE_URL (PGTARGETSESSIONATTRS) asks for another kind of server"
    } else {
        match find::<io::Error>(error)?.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                "no server listens there: check host and port in DATABASE_URL (PGHOST, PGPORT)"
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "Supabase's direct host has only an IPv6 address; use the connection string of a pooler instead"
            }
            io::ErrorKind::UnexpectedEof if place.get_ssl_negotiation() == SslNegotiation::Direct => {
                "sslnegotiation=direct (PGSSLNEGOTIATION) needs Postgres 17 or later; leave it out"
            }
            _ => return None,
        }
    };
    Some(hint.to_owned())
}

fn of_tls(error: &rustls::Error, roots: Option<&Path>) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, PeerIncompatible};
    let hint = match (CertificateProblem::of(error), error) {
        (_, InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            let place = roots.map_or("of this system".to_owned(), |path| format!("in {}", path.display()));
            return Some(format!(
                "none of the CA certificates {place} has signed the server's certificate; sslrootcert in DATABASE_URL \
                 (PGSSLROOTCERT) names the file of the one that has, on Supabase the certificate under database settings, \
                 SSL Configuration"
            ));
        }
        (Some(CertificateProblem::OtherName), _) => {
            "connect by a name that is in the certificate, or check only its CA: sslmode=verify-ca and that CA's \
             certificate in sslrootcert (PGSSLROOTCERT)"
        }
        (Some(CertificateProblem::Expired | CertificateProblem::NotValidYet), _) => {
            "the server needs a new certificate, or this machine's clock is wrong"
        }
        (Some(CertificateProblem::NotTrusted), _) => {
            "the server's certificate can't be verified; it has to be a server's, of X.509 version 3. A CA's own is \
             accepted only if it is in sslrootcert (PGSSLROOTCERT) itself"
        }
        (None, PeerIncompatible(_) | AlertReceived(AlertDescription::ProtocolVersion)) => {
            "server and wix-sync have no version of TLS in common: 1.2 and 1.3 are known here, within \
             ssl_min_protocol_version and ssl_max_protocol_version"
        }
        (
            None,
            AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::DecryptError,
            ),
        ) => CLIENT_CERTIFICATE,
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::of_refusal;

    #[test]
    fn refusals_of_poolers_have_hints() {
        for (state, message, part) in [
            ("XX000", "Tenant or user not found", "postgres.PROJECT_REF"),
            ("XX000", "(ENOTFOUND) tenant/user postgres.abc not found", "postgres.PROJECT_REF"),
            (
                "XX000",
                "(ENOIDENTIFIER) no tenant identifier provided (external_id or sni_hostname required)",
                "under Connect",
            ),
            (
                "XX000",
                "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
                "port 6543",
            ),
            ("XX000", "Max client connections reached", "no more clients"),
            ("08P01", "no more connections allowed (max_client_conn)", "max_client_conn"),
            ("XX000", "Address not in tenant allow_list: {203, 0, 113, 7}", "Network Restrictions"),
            ("XX000", "(EADDRNOTALLOWED) address not in tenant allow_list: {203, 0, 113, 7}", "Network Restrictions"),
            ("XX000", "Circuit breaker open: too many authentication errors", "wait"),
            (
                "XX000",
                "(ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked",
                "wait",
            ),
            ("08P01", "server login has been failing, try again later (server_login_retry)", "behind it"),
            ("XX000", "Unable to check out process from the pool due to timeout", "behind it"),
            ("08P01", "no such user", "user and password"),
            ("XX000", "SSL connection is required", "sslmode=require"),
        ] {
            let hint = of_refusal(state, message, None);
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(part)), "{message}: {hint:?}");
        }
        assert_eq!(of_refusal("XX000", "something else", None), None);
    }
}
