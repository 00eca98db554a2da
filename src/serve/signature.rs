//! Verifies that a webhook comes from Wix: its body is a JWT, signed with the private key of the app.
//!
//! The signature is verified by ring, which TLS already uses. A JWT crate would add more code than this file, and those
//! that only allow RS256 accept an unknown `crit` and refuse tokens that Wix's own client accepts.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const MIN_KEY_BITS: usize = 2048;

/// Maximum difference between the clocks of Wix's servers and the database server, in seconds.
const LEEWAY: f64 = 300.0;

const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, PADDING);

/// The public key of the app, in PKCS#1 form.
pub(super) struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads the key in the formats of the app's dashboard: PEM, also with `\n` in place of line breaks, or base64.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a text to put after the variable's name. The value is not quoted: it may be a private
    /// key.
    pub(super) fn parse(text: &str) -> Result<PublicKey, &'static str> {
        let text = text.trim().trim_matches('"').replace("\\r", "").replace("\\n", "\n");
        let pem = if text.contains("-----BEGIN") {
            text
        } else {
            let base64: String = text.split_whitespace().collect();
            let decoded = BASE64.decode(base64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.filter(|pem| pem.contains("-----BEGIN")).ok_or("is neither a PEM nor the base64 of one")?
        };
        for (label, what) in [
            ("PRIVATE KEY", "is a private key; Wix keeps that one, and the app's dashboard shows the public key"),
            ("RSA PUBLIC KEY", "is in PKCS#1 form; it must begin with -----BEGIN PUBLIC KEY-----"),
            ("CERTIFICATE", "is a certificate; it must begin with -----BEGIN PUBLIC KEY-----"),
        ] {
            if pem.contains(&format!("{label}-----")) {
                return Err(what);
            }
        }
        let unreadable = "is not a readable PEM: line breaks must be kept, or written as \\n";
        let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable)?;
        let info = SubjectPublicKeyInfoRef::from_der(&info).map_err(|_| unreadable)?;
        if info.algorithm.oid != RSA {
            return Err("is not an RSA key");
        }
        let key = info.subject_public_key.as_bytes().ok_or(unreadable)?;
        let bits = modulus_bits(key).map_err(|_| unreadable)?;
        if bits < MIN_KEY_BITS { Err("is shorter than 2,048 bits") } else { Ok(PublicKey(key.to_vec())) }
    }

    /// Returns the claim `data` of a token that is signed with this key and valid at `now`.
    ///
    /// # Errors
    ///
    /// The reason, without any content of the token.
    pub(super) fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Value, &'static str> {
        let token = token.trim();
        let (signed, signature) = token.rsplit_once('.').ok_or("not a JWT")?;
        let (header, payload) = signed.split_once('.').ok_or("not a JWT")?;
        let decode = |part: &str| BASE64_URL.decode(part).map_err(|_| "not a JWT");
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| "not a JWT");
        let header = json(header)?;
        if header["alg"] != "RS256" {
            return Err("not signed with RS256");
        }
        // `crit` names extensions that must be supported, and none is. The key id (`kid`) is not checked, because the
        // app has only one key.
        if header.get("crit").is_some() {
            return Err("it has extensions");
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.0)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "the signature is not of this key")?;
        let mut claims = json(payload)?;
        let time = |claim: &str| match &claims[claim] {
            Value::Null => Ok(None),
            value => value.as_f64().map(Some).ok_or("a time is not a number"),
        };
        let now = now.timestamp() as f64;
        time("iat")?;
        if time("exp")?.is_none_or(|expires| expires + LEEWAY <= now) {
            return Err("expired");
        }
        if time("nbf")?.is_some_and(|not_before| not_before > now + LEEWAY) {
            return Err("not valid yet");
        }
        Ok(claims["data"].take())
    }
}

/// The size of an RSA key in PKCS#1 format.
fn modulus_bits(key: &[u8]) -> x509_cert::der::Result<usize> {
    SliceReader::new(key)?.sequence(|key| {
        let (modulus, _exponent) = (UintRef::decode(key)?, UintRef::decode(key)?);
        let bytes = modulus.as_bytes();
        Ok(bytes.len() * 8 - bytes.first().map_or(0, |first| first.leading_zeros() as usize))
    })
}
