//! TLS to Postgres with rustls. It verifies what libpq verifies.

use std::fmt::Display;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;

use super::options::Options;
use crate::database::DatabaseSettings;
use crate::network::{CertificatePaths, CertificateProblem};

/// libpq's `sslmode`, from the weakest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

#[derive(Clone)]
pub(super) struct Tls {
    pub(super) mode: TlsMode,
    /// File with CA certificates; `None` for the system's.
    pub(super) roots: Option<PathBuf>,
    pub(super) connector: MakeRustlsConnect,
}

impl Tls {
    /// `is_possible` is false if all hosts are sockets: then no file is read. An error names the option or file.
    pub(super) fn of(options: &Options, settings: &DatabaseSettings, is_possible: bool) -> Result<Tls, String> {
        let (wanted, roots) = mode_and_roots(options, settings)?;
        let mode = if is_possible { wanted } else { TlsMode::Disable };
        let is_direct = options.get("sslnegotiation") == Some("direct");
        if is_direct && wanted < TlsMode::Require {
            return Err(format!("{}: `direct` needs sslmode=require or stricter", options.name("sslnegotiation")));
        }

        let least = options.get("ssl_min_protocol_version").unwrap_or("TLSv1.2");
        let most = options.get("ssl_max_protocol_version").unwrap_or("TLSv1.3");
        if least > most {
            let names = ["ssl_min_protocol_version", "ssl_max_protocol_version"].map(|option| options.name(option));
            return Err(format!("{} is above {}", names[0], names[1]));
        }
        let versions = [("TLSv1.2", &TLS12), ("TLSv1.3", &TLS13)].into_iter();
        let versions = versions.filter(|(name, _)| (least..=most).contains(name)).map(|(_, version)| version);

        let provider = ring::default_provider();
        let algorithms = provider.signature_verification_algorithms;
        let trusted = trusted(mode, roots.as_deref(), &settings.certificates)?;
        let mut verifier = Verifier { mode, algorithms, trusted, roots: RootCertStore::empty() };
        let (added, _) = verifier.roots.add_parsable_certificates(verifier.trusted.iter().cloned());
        if added == 0 && mode >= TlsMode::VerifyCa {
            return Err(match &roots {
                Some(path) => format!("sslrootcert {}: none of its certificates can be read", path.display()),
                None => "this system has no CA certificates to verify the server's with: name a file with sslrootcert \
                         (PGSSLROOTCERT)"
                    .to_owned(),
            });
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions.collect::<Vec<_>>())
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match client_certificate(options, settings)?.filter(|_| mode > TlsMode::Disable) {
            None => builder.with_no_client_auth(),
            Some((own, key)) => builder
                .with_client_auth_cert(read_certificates("sslcert", &own)?, read_key(&key)?)
                .map_err(|error| format!("sslcert {} and sslkey {}: {error}", own.display(), key.display()))?,
        };
        config.enable_sni = options.get("sslsni") != Some("0");
        if is_direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Tls { mode, roots, connector: MakeRustlsConnect::new(config) })
    }
}

/// The path of libpq's file in the home directory.
fn in_home(settings: &DatabaseSettings, name: &str) -> Option<PathBuf> {
    settings.home.as_ref().map(|home| home.join(".postgresql").join(name))
}

/// As in libpq, a file of CA certificates makes `require` verify the server's certificate. `prefer` and `allow` ignore
/// it: they guarantee nothing, and libpq would continue without TLS after a failure.
fn mode_and_roots(options: &Options, settings: &DatabaseSettings) -> Result<(TlsMode, Option<PathBuf>), String> {
    let is_system = options.get("sslrootcert") == Some("system");
    let roots = match options.get("sslrootcert") {
        Some("system") => None,
        Some(path) => Some(PathBuf::from(path)),
        None => in_home(settings, "root.crt").filter(|path| path.is_file()),
    };
    let is_required = options.get("ssl").is_some_and(|value| !matches!(value, "false" | "0"))
        || options.get("requiressl") == Some("1");
    let default = if is_required { "require" } else { "prefer" };
    let default = if is_system { "verify-full" } else { default };
    let mode = match options.get("sslmode").unwrap_or(default) {
        "disable" => TlsMode::Disable,
        "allow" => TlsMode::Allow,
        "prefer" => TlsMode::Prefer,
        "require" if roots.is_some() => TlsMode::VerifyCa,
        "require" | "no-verify" => TlsMode::Require,
        "verify-ca" => TlsMode::VerifyCa,
        _ => TlsMode::VerifyFull,
    };
    if is_system && mode != TlsMode::VerifyFull {
        let option = options.name("sslrootcert");
        return Err(format!(
            "{option}: `system` needs sslmode=verify-full: anyone can get a certificate of a public authority"
        ));
    }
    Ok((mode, roots))
}

/// Files of the client's certificate and key.
fn client_certificate(options: &Options, settings: &DatabaseSettings) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let existing = || in_home(settings, "postgresql.crt").filter(|path| path.is_file());
    let certificate = options.get("sslcert").map(PathBuf::from).or_else(existing);
    let Some(certificate) = certificate.filter(|_| options.get("sslcertmode") != Some("disable")) else {
        return Ok(None);
    };
    let key = options.get("sslkey").map(PathBuf::from).or_else(|| in_home(settings, "postgresql.key"));
    let key = key.ok_or_else(|| format!("{} needs `sslkey` (PGSSLKEY) as well", options.name("sslcert")))?;
    Ok(Some((certificate, key)))
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn Display| format!("{option} {}: {error}", path.display());
    if !path.exists() {
        let hint = match option {
            "sslrootcert" => "; Supabase's CA certificate is under database settings, SSL Configuration",
            _ => "",
        };
        return Err(format!("{option}: the file {} does not exist{hint}", absolute(path).display()));
    }
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(failed(&"it holds no certificate")),
        other => other.map_err(|error| failed(&error)),
    }
}

/// A relative path depends on the working directory, which differs under cron.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// As in libpq, other users must not have read access to the key; if root owns it, its group may.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let failed = |error: &dyn Display| format!("sslkey {}: {error}", path.display());
    if !path.exists() {
        return Err(format!("sslkey: the file {} does not exist", absolute(path).display()));
    }
    let metadata = fs::metadata(path).map_err(|error| failed(&error))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(failed(&"others can read or write it; `chmod 600` it"));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        failed(&format!("{error}; if it has a password, which is not supported, `openssl pkey` writes it without one"))
    })
}

/// CA certificates that the mode requires.
fn trusted(
    mode: TlsMode,
    file: Option<&Path>,
    system: &CertificatePaths,
) -> Result<Vec<CertificateDer<'static>>, String> {
    match file {
        _ if mode < TlsMode::VerifyCa => Ok(Vec::new()),
        Some(path) => read_certificates("sslrootcert", path),
        // As in libpq: without a name check, any public CA would be accepted for any host.
        None if mode == TlsMode::VerifyCa => Err(
            "sslmode=verify-ca needs the certificate of a CA: name its file with sslrootcert (PGSSLROOTCERT), or put it \
             into ~/.postgresql/root.crt; sslmode=verify-full needs none where a CA of the system has signed the server's \
             certificate"
                .to_owned(),
        ),
        None => Ok(system.load()?.unwrap_or_else(|| rustls_native_certs::load_native_certs().certs)),
    }
}

/// Verifies the server's certificate as far as the mode requires.
#[derive(Debug)]
struct Verifier {
    mode: TlsMode,
    algorithms: WebPkiSupportedAlgorithms,
    trusted: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.mode >= TlsMode::VerifyCa {
            let parsed = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.algorithms.all;
            match verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms) {
                // As in libpq, the server's certificate may itself be in `sslrootcert`: the Postgres manual creates
                // certificates that are both CA and server, which rustls refuses. rustls checks their dates before.
                Err(error) if self.trusted.contains(&certificate.clone().into_owned()) && !is_of_time(&error) => {}
                other => other?,
            }
            if self.mode == TlsMode::VerifyFull && !has_common_name(certificate, &name.to_str()) {
                verify_server_name(&parsed, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    // Never skipped, even for `require`: otherwise channel binding would prove nothing.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_of_time(error: &rustls::Error) -> bool {
    matches!(CertificateProblem::of(error), Some(CertificateProblem::Expired | CertificateProblem::NotValidYet))
}

/// Whether the certificate has no subject alternative names and its common name matches the host. The Postgres manual
/// creates such certificates; libpq accepts them, rustls does not.
fn has_common_name(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(Certificate { tbs_certificate, .. }) = Certificate::from_der(certificate) else { return false };
    let extensions = tbs_certificate.extensions.unwrap_or_default();
    if extensions.iter().any(|extension| extension.extn_id == ID_CE_SUBJECT_ALT_NAME) {
        return false;
    }
    let mut attributes = tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
    attributes.any(|attribute| {
        let name = std::str::from_utf8(attribute.value.value());
        attribute.oid == COMMON_NAME && name.is_ok_and(|name| is_name_of(name, host))
    })
}

/// As in libpq, the `*` of `*.example.com` matches exactly one label.
fn is_name_of(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(domain), Some((label, rest))) = (name.strip_prefix("*."), host.split_once('.')) else { return false };
    let is_address = host.parse::<IpAddr>().is_ok();
    !is_address && !label.is_empty() && !domain.is_empty() && domain.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{TlsMode, is_name_of, mode_and_roots};
    use crate::database::{DatabaseSettings, VARIABLES};
    use crate::secret::Secret;
    use crate::store::options::Options;

    fn resolve(url: &str, variables: &[(&str, &str)]) -> Result<(TlsMode, Option<PathBuf>), String> {
        let variables = VARIABLES.iter().filter_map(|(name, option)| {
            let (_, value) = variables.iter().find(|(set, _)| set == name)?;
            Some((*name, *option, Secret::verbatim(value)))
        });
        let settings = DatabaseSettings {
            url: Some(("DATABASE_URL", Secret::new(url))),
            variables: variables.collect(),
            ..DatabaseSettings::default()
        };
        mode_and_roots(&Options::gather(&settings)?, &settings)
    }

    #[track_caller]
    fn tls(url: &str, variables: &[(&str, &str)], mode: TlsMode, roots: Option<PathBuf>) {
        assert_eq!(resolve(url, variables).unwrap(), (mode, roots), "{url}");
    }

    #[test]
    fn ssl_modes_mean_what_they_mean_to_libpq() {
        let file = || Some(PathBuf::from("/ca.crt"));
        let system = || None;
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
    fn a_star_is_one_label() {
        assert!(is_name_of("DB.example.com", "db.Example.com"));
        assert!(is_name_of("*.example.com", "db.example.com"));
        assert!(!is_name_of("*.example.com", "a.db.example.com"));
        assert!(!is_name_of("*.example.com", ".example.com"));
        assert!(!is_name_of("*.example.com", "example.com"));
        assert!(!is_name_of("*", "localhost"));
        assert!(!is_name_of("*.", "localhost."));
        assert!(is_name_of("127.0.0.1", "127.0.0.1"));
        assert!(!is_name_of("*.0.0.1", "127.0.0.1"));
    }
}
