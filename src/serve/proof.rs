//! Authentication of webhooks and hints, and the token of a request.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::signature::PublicKey;
use crate::secret::Secret;
use crate::table::json::normal_id;

/// The settings of the routes below `/webhooks`.
#[derive(Default)]
pub struct WebhookSettings {
    /// The public key of the Wix app. Without it, webhooks are refused.
    pub public_key: Option<String>,
    /// The app's installation whose webhooks are accepted. With an API key it may be unknown. Then webhooks of all
    /// installations are accepted; at worst, a record is looked up that this site does not have.
    pub instance_id: Option<String>,
    /// Without it, hints are refused.
    pub hint_token: Option<Secret>,
}

/// The same settings, checked.
pub(super) struct Proof {
    pub(super) public_key: Option<PublicKey>,
    pub(super) instance_id: Option<String>,
    pub(super) hint_token: Option<Token>,
}

/// The digest of a token that requests must have.
pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn new(token: &Secret) -> Token {
        Token(Sha256::digest(token.reveal()).into())
    }

    /// Whether this is the token, compared in constant time: the digests have the same length, whatever was sent.
    pub(super) fn is(&self, offered: &str) -> bool {
        Sha256::digest(offered).as_slice().ct_eq(&self.0).into()
    }
}

impl Proof {
    /// # Errors
    ///
    /// If the public key is invalid.
    pub(super) fn new(settings: WebhookSettings) -> Result<Proof, &'static str> {
        let WebhookSettings { public_key, instance_id, hint_token } = settings;
        Ok(Proof {
            public_key: public_key.as_deref().map(PublicKey::parse).transpose()?,
            instance_id: instance_id.map(normal_id),
            hint_token: hint_token.as_ref().map(Token::new),
        })
    }
}

/// The token of `Authorization`: after Bearer, or the password of Basic with any user name.
pub(super) fn offered_token(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.to_owned());
    }
    let decoded = BASE64.decode(value).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}
