//! Authorization: credentials, tokens, and the token endpoints.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::reply::{Reply, no_site_context, oauth_error, unauthenticated};

/// Lifetime in seconds of an access token of the old refresh flow.
const LEGACY_TOKEN_LIFE: i64 = 300;

/// The credentials the simulator accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The site every record belongs to.
    pub site_id: String,
    /// API keys allowed on the site.
    pub api_keys: Vec<String>,
    pub app_id: String,
    pub app_secret: String,
    /// The app's installation on the site.
    pub instance_id: String,
    /// Access tokens that are valid from the start and until revoked.
    pub access_tokens: Vec<String>,
    /// Refresh tokens of the old flow.
    pub refresh_tokens: Vec<String>,
}

impl Default for Credentials {
    /// Public placeholders, the same in every simulator.
    fn default() -> Self {
        Self {
            site_id: "00000000-0000-4000-8000-0000000000aa".to_owned(),
            api_keys: vec!["IST.probe".to_owned()],
            app_id: "00000000-0000-4000-8000-0000000000bb".to_owned(),
            app_secret: "probe-secret".to_owned(),
            instance_id: "00000000-0000-4000-8000-0000000000cc".to_owned(),
            access_tokens: vec!["OauthNG.JWS.probe".to_owned()],
            refresh_tokens: vec!["probe-refresh".to_owned()],
        }
    }
}

/// The issued access tokens, and the app's installations.
#[derive(Debug)]
pub(crate) struct Tokens {
    life: i64,
    issued: u64,
    /// The site of each installation, by its instance id.
    installations: HashMap<String, String>,
    valid: HashMap<String, Token>,
}

/// An access token; times are in seconds since 1970.
#[derive(Debug, Clone)]
struct Token {
    issued_at: i64,
    expires_at: i64,
    instance_id: String,
    site_id: String,
}

impl Tokens {
    pub(crate) fn new(credentials: &Credentials, life: u64) -> Self {
        let Credentials { instance_id, site_id, .. } = credentials;
        // Permanent tokens expire in the year 2100.
        let (issued_at, expires_at) = (0, 4_102_444_800);
        let standing = Token { issued_at, expires_at, instance_id: instance_id.clone(), site_id: site_id.clone() };
        Self {
            life: i64::try_from(life).unwrap_or(i64::MAX),
            issued: 0,
            installations: HashMap::from([(instance_id.clone(), site_id.clone())]),
            valid: credentials.access_tokens.iter().map(|token| (token.clone(), standing.clone())).collect(),
        }
    }

    /// Adds another installation of the app.
    pub(crate) fn install(&mut self, instance_id: &str, site_id: &str) {
        self.installations.insert(instance_id.to_owned(), site_id.to_owned());
    }

    pub(crate) fn revoke_all(&mut self) {
        self.valid.clear();
    }

    /// A new token of an installation; `None` if there is no such installation.
    fn issue(&mut self, instance_id: &str, now: i64, life: i64) -> Option<String> {
        let site_id = self.installations.get(instance_id)?.clone();
        self.issued += 1;
        let number = (self.issued ^ now as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let token = format!("OauthNG.JWS.{number:016x}{:08x}", self.issued);
        let (expires_at, instance_id) = (now.saturating_add(life), instance_id.to_owned());
        self.valid.insert(token.clone(), Token { issued_at: now, expires_at, instance_id, site_id });
        Some(token)
    }

    fn valid(&self, token: &str, now: i64) -> Option<&Token> {
        self.valid.get(token).filter(|token| now < token.expires_at)
    }
}

/// Accepts or refuses a request. An API key has no prefix and comes with the site's id; a token may follow `Bearer `
/// and names its own site.
pub(crate) fn check(
    credentials: &Credentials,
    tokens: &Tokens,
    now: i64,
    authorization: Option<&str>,
    site_id: Option<&str>,
) -> Result<(), Reply> {
    let Some(authorization) = authorization else {
        return Err(unauthenticated());
    };
    if credentials.api_keys.iter().any(|key| key == authorization) {
        return match site_id {
            Some(site) if site == credentials.site_id => Ok(()),
            _ => Err(no_site_context()),
        };
    }
    let token = authorization.strip_prefix("Bearer ").unwrap_or(authorization);
    let Some(token) = tokens.valid(token, now) else {
        return Err(unauthenticated());
    };
    match site_id {
        // A token for one site cannot be used for another.
        Some(site) if site != token.site_id => Err(no_site_context()),
        _ => Ok(()),
    }
}

/// `POST /oauth2/token`
pub(crate) fn token(credentials: &Credentials, tokens: &mut Tokens, now: i64, body: Option<&Value>) -> Reply {
    let Some(body) = body else {
        return oauth_error(400, "invalid_request", "the body is not JSON");
    };
    if body["grant_type"] != "client_credentials" {
        let what = "grant_type is not supported";
        return oauth_error(400, "unsupported_grant_type", what);
    }
    if let Err(refusal) = check_client(credentials, body) {
        return refusal;
    }
    let life = tokens.life;
    let Some(token) = tokens.issue(body["instance_id"].as_str().unwrap_or_default(), now, life) else {
        return oauth_error(400, "invalid_grant", "instance not found");
    };
    let answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": life});
    Reply::json(answer.to_string(), 0)
}

/// `POST /oauth/access`, with a refresh token
pub(crate) fn access(credentials: &Credentials, tokens: &mut Tokens, now: i64, body: Option<&Value>) -> Reply {
    let Some(body) = body else {
        return oauth_error(400, "invalid_request", "the body is not JSON");
    };
    if let Err(refusal) = check_client(credentials, body) {
        return refusal;
    }
    let refresh = body["refresh_token"].as_str().unwrap_or_default();
    let known = credentials.refresh_tokens.iter().any(|one| one == refresh);
    if body["grant_type"] != "refresh_token" || !known {
        return oauth_error(400, "invalid_grant", "refresh token not found");
    }
    let life = tokens.life.min(LEGACY_TOKEN_LIFE);
    let token = tokens.issue(&credentials.instance_id, now, life);
    let answer = json!({"access_token": token, "refresh_token": refresh});
    Reply::json(answer.to_string(), 0)
}

/// `POST /oauth2/token-info`
pub(crate) fn token_info(credentials: &Credentials, tokens: &Tokens, now: i64, body: Option<&Value>) -> Reply {
    let token = body.and_then(|body| body["token"].as_str());
    let Some(token) = token else {
        return oauth_error(400, "invalid_request", "token is missing");
    };
    let answer = match tokens.valid(token, now) {
        Some(token) => json!({
            "active": true, "subjectType": "APP", "subjectId": credentials.app_id,
            "exp": token.expires_at.to_string(), "iat": token.issued_at.to_string(), "clientId": credentials.app_id,
            "siteId": token.site_id, "instanceId": token.instance_id,
        }),
        None => json!({"active": false}),
    };
    Reply::json(answer.to_string(), 0)
}

fn check_client(credentials: &Credentials, body: &Value) -> Result<(), Reply> {
    let known =
        body["client_id"] == credentials.app_id.as_str() && body["client_secret"] == credentials.app_secret.as_str();
    if known {
        return Ok(());
    }
    let what = "client authentication failed";
    Err(oauth_error(401, "invalid_client", what))
}
