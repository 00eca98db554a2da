//! Two looks into a certificate that rustls does not take, and libpq does.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// Fails outside the time for which the certificate is valid.
pub(super) fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// True if a certificate without alternative names, as the Postgres manual's own recipe makes them, has the
/// host's name as its common name.
pub(super) fn has_common_name(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(parsed) = Certificate::from_der(certificate) else { return false };
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
