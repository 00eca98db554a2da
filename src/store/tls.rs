//! TLS to Postgres: rustls with libpq's ideas of what to verify.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::certificate;
use crate::network::CertificatePaths;

/// libpq's `sslmode`, from the weakest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    Disable,
    /// If the server refuses to go without; not verified.
    Allow,
    /// If the server has it; not verified.
    Prefer,
    /// Always; not verified.
    Require,
    /// Always; the server's certificate must come from an authority that the user names.
    VerifyCa,
    /// The same, and it must be made out for the host.
    VerifyFull,
}

/// Where the authorities' certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootCertificates {
    System,
    /// In the PEM format.
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file with the certificate and its intermediates.
    pub certificate: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    pub mode: TlsMode,
    /// Whom to trust, for the two `verify-` modes.
    pub roots: RootCertificates,
    /// What replaces the system's CA certificates.
    pub system: CertificatePaths,
    /// Shown to a server that asks for it.
    pub certificate: Option<ClientCertificate>,
    /// Whether the server is told the host's name at once (SNI).
    pub sends_name: bool,
    /// Whether TLS 1.2 is allowed.
    pub tls12: bool,
    /// Whether TLS 1.3 is allowed.
    pub tls13: bool,
    /// Whether TLS begins without a question (Postgres 17 and later).
    pub is_direct: bool,
}

/// The connector for these settings. The error names the file or option that is to blame.
pub fn connector(settings: &TlsSettings) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut verifier =
        Verifier { provider: provider.clone(), mode: settings.mode, roots: RootCertStore::empty(), given: Vec::new() };
    if settings.mode >= TlsMode::VerifyCa {
        match &settings.roots {
            // As libpq: any public CA would do, for any host.
            RootCertificates::System if settings.mode == TlsMode::VerifyCa => {
                return Err("sslmode=verify-ca needs the certificate of a CA: name its file with sslrootcert \
                            (PGSSLROOTCERT), or put it into ~/.postgresql/root.crt; sslmode=verify-full needs none where \
                            a CA of the system has signed the server's certificate"
                    .to_owned());
            }
            RootCertificates::System => {
                let named = settings.system.load()?;
                let certificates = named.unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
                verifier.roots.add_parsable_certificates(certificates);
            }
            RootCertificates::File(path) => verifier.trust_file(path)?,
        }
        if verifier.roots.is_empty() {
            return Err(match &settings.roots {
                RootCertificates::System => "this system has no certificates of authorities to verify the server's \
                                             with: name a file with sslrootcert (PGSSLROOTCERT)"
                    .to_owned(),
                RootCertificates::File(path) => format!("sslrootcert {}: it holds no certificate", path.display()),
            });
        }
    }
    let versions: Vec<&'static SupportedProtocolVersion> = [(&TLS12, settings.tls12), (&TLS13, settings.tls13)]
        .into_iter()
        .filter_map(|(version, will_do)| will_do.then_some(version))
        .collect();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match settings.certificate.as_ref().filter(|_| settings.mode > TlsMode::Disable) {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = read_certificates("sslcert", &own.certificate)?;
            let key = read_key(&own.key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                format!("sslcert {} and sslkey {}: {error}", own.certificate.display(), own.key.display())
            })?
        }
    };
    config.enable_sni = settings.sends_name;
    if settings.is_direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn Display| format!("{option} {}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    if certificates.is_empty() { Err(failed(&"it holds no certificate")) } else { Ok(certificates) }
}

/// As libpq has it: nobody else may read the key, but a key of root's may belong to a group.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let failed = |error: &dyn Display| format!("sslkey {}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(|error| failed(&error))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(failed(&"others can read or write it; `chmod 600` it"));
    }
    let text = fs::read(path).map_err(|error| failed(&error))?;
    let is_encrypted = String::from_utf8_lossy(&text).lines().any(|line| line.contains("ENCRYPTED"));
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match is_encrypted {
        true => failed(&"it is encrypted, which is not supported; `openssl pkey` writes it without a password"),
        false => failed(&error),
    })
}

/// Verifies as much of the server's certificate as the mode asks for.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    mode: TlsMode,
    roots: RootCertStore,
    /// The certificates of `sslrootcert`: libpq also accepts a server's own certificate there.
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn trust_file(&mut self, path: &Path) -> Result<(), String> {
        self.given = read_certificates("sslrootcert", path)?;
        for certificate in &self.given {
            let failed = |error| format!("sslrootcert {}: {error}", path.display());
            self.roots.add(certificate.clone()).map_err(failed)?;
        }
        Ok(())
    }

    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if self.given.iter().any(|given| given == certificate) {
            return certificate::check_dates(certificate, now);
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        if certificate::is_version_1(certificate) {
            certificate::check_dates(certificate, now)?;
            return certificate::verify_version_1(certificate, &self.given, algorithms);
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)
    }
}

fn verify_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
    if certificate::has_common_name(certificate, &name.to_str()) {
        return Ok(());
    }
    if certificate::is_version_1(certificate) {
        return Err(CertificateError::NotValidForName.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
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
            self.verify_chain(certificate, intermediates, now)?;
            if self.mode == TlsMode::VerifyFull {
                verify_name(certificate, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    // Never skipped, not even for `require`: otherwise channel binding would prove nothing.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if certificate::is_version_1(certificate) {
            return certificate::verify_handshake(message, certificate, signature, algorithms);
        }
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
