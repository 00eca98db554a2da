//! Looks into certificates that rustls does not take, and libpq does: the recipes of the Postgres manual make
//! them without alternative names, and with many versions of OpenSSL of X.509 version 1.

use std::net::IpAddr;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_cert::certificate::{Certificate, Version};
use x509_cert::der::asn1::{AnyRef, Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use x509_cert::spki::AlgorithmIdentifierOwned;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// Fails outside the time for which the certificate is valid.
pub(super) fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = parse(certificate)?.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// True if a certificate without alternative names has the host's name as its common name.
pub(super) fn has_common_name(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(parsed) = parse(certificate) else { return false };
    let extensions = parsed.tbs_certificate.extensions.unwrap_or_default();
    if extensions.iter().any(|extension| extension.extn_id == SUBJECT_ALT_NAME) {
        return false;
    }
    let attributes = parsed.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
    attributes.filter(|attribute| attribute.oid == COMMON_NAME).any(|attribute| {
        let value = &attribute.value;
        let name = match value.tag() {
            Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned()),
            Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned()),
            Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().map(|text| text.as_str().to_owned()),
            _ => value.decode_as::<Ia5StringRef<'_>>().map(|text| text.as_str().to_owned()),
        };
        name.is_ok_and(|name| is_name_of(&name, host))
    })
}

/// `*.example.com` is the name of one label more, as libpq has it.
fn is_name_of(name: &str, host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return name == host;
    }
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    let wildcard = name.strip_prefix('*').filter(|rest| rest.starts_with('.') && rest.len() > 1);
    match (wildcard, host.find('.')) {
        (Some(rest), Some(dot)) => dot > 0 && host[dot..] == *rest,
        _ => name == host,
    }
}

/// True for a certificate of X.509 version 1: no extensions, and unknown to rustls.
pub(super) fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| parsed.tbs_certificate.version == Version::V1)
}

/// Verifies that one of these authorities has signed a certificate of version 1 itself. That is the whole
/// chain: where there are others between, such a certificate is not accepted.
pub(super) fn verify_version_1(
    certificate: &CertificateDer<'_>,
    authorities: &[CertificateDer<'_>],
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let parsed = parse(certificate)?;
    let tbs = signed_part(certificate).ok_or(CertificateError::BadEncoding)?;
    let signature = parsed.signature.as_bytes().ok_or(CertificateError::BadEncoding)?;
    let signed_with = contents(&parsed.signature_algorithm).ok_or(CertificateError::BadEncoding)?;
    for authority in authorities {
        let authority = parse(authority)?.tbs_certificate;
        let key = &authority.subject_public_key_info;
        if authority.subject != parsed.tbs_certificate.issuer {
            continue;
        }
        let (Some(kind), Some(bits)) = (contents(&key.algorithm), key.subject_public_key.as_bytes()) else { continue };
        let is_signed = algorithms.all.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signed_with
                && algorithm.public_key_alg_id().as_ref() == kind
                && algorithm.verify_signature(bits, tbs, signature).is_ok()
        });
        if is_signed {
            return Ok(());
        }
    }
    Err(CertificateError::UnknownIssuer.into())
}

/// The part that the signature is over, byte for byte.
fn signed_part<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let whole = AnyRef::from_der(certificate).ok()?;
    SliceReader::new(whole.value()).ok()?.tlv_bytes().ok()
}

/// An algorithm as rustls compares it: without the outer tag.
fn contents(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = algorithm.to_der().ok()?;
    AnyRef::from_der(&der).ok().map(|whole| whole.value().to_vec())
}

/// The signature of a TLS 1.3 handshake by the key of a certificate of version 1.
pub(super) fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = parse(certificate)?.tbs_certificate.subject_public_key_info.to_der();
    let key = SubjectPublicKeyInfoDer::from(key.map_err(|_| CertificateError::BadEncoding)?);
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

#[cfg(test)]
mod tests {
    use super::is_name_of;

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
