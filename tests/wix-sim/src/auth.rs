//! Who may ask: credentials, tokens, and the token endpoints.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::reply::{Reply, no_site_context, oauth_error, unauthenticated};

/// Seconds an access token of the old refresh flow lives.
const LEGACY_TOKEN_LIFE: i64 = 300;

/// The credentials the simulator accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The site every record belongs to.
    pub site_id: String,
    /// API keys allowed on the site.
    pub api_keys: Vec<String>,
    /// The app's id.
    pub app_id: String,
    /// The app's secret.
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

/// The access tokens in circulation.
#[derive(Debug)]
pub(crate) struct Tokens {
    life: i64,
    issued: u64,
    /// When each was issued and runs out, in seconds.
    valid: HashMap<String, (i64, i64)>,
}

impl Tokens {
    pub(crate) fn new(credentials: &Credentials, life: u64) -> Self {
        let standing = credentials.access_tokens.iter();
        Self {
            life: i64::try_from(life).unwrap_or(i64::MAX),
            issued: 0,
            // Standing tokens end in the year 2100.
            valid: standing.map(|token| (token.clone(), (0, 4_102_444_800))).collect(),
        }
    }

    pub(crate) fn revoke_all(&mut self) {
        self.valid.clear();
    }

    fn issue(&mut self, now: i64, life: i64) -> String {
        self.issued += 1;
        let number = (self.issued ^ now as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let token = format!("OauthNG.JWS.{number:016x}{:08x}", self.issued);
        self.valid.insert(token.clone(), (now, now.saturating_add(life)));
        token
    }

    fn is_valid(&self, token: &str, now: i64) -> bool {
        self.valid.get(token).is_some_and(|(_, end)| now < *end)
    }
}

/// Lets a request through or refuses it: an API key comes bare and names the site; a token may
/// follow `Bearer ` and names its site itself.
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
    if !tokens.is_valid(token, now) {
        return Err(unauthenticated());
    }
    match site_id {
        // A token for one site cannot be used for another.
        Some(site) if site != credentials.site_id => Err(no_site_context()),
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
    if body["instance_id"] != credentials.instance_id.as_str() {
        return oauth_error(400, "invalid_grant", "instance not found");
    }
    let life = tokens.life;
    let answer = json!({
        "access_token": tokens.issue(now, life), "token_type": "Bearer", "expires_in": life,
    });
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
    let answer = json!({"access_token": tokens.issue(now, life), "refresh_token": refresh});
    Reply::json(answer.to_string(), 0)
}

/// `POST /oauth2/token-info`
pub(crate) fn token_info(credentials: &Credentials, tokens: &Tokens, now: i64, body: Option<&Value>) -> Reply {
    let token = body.and_then(|body| body["token"].as_str());
    let Some(token) = token else {
        return oauth_error(400, "invalid_request", "token is missing");
    };
    let answer = match tokens.valid.get(token) {
        Some((issued, end)) if now < *end => json!({
            "active": true, "subjectType": "APP", "subjectId": credentials.app_id,
            "exp": end.to_string(), "iat": issued.to_string(), "clientId": credentials.app_id,
            "siteId": credentials.site_id, "instanceId": credentials.instance_id,
        }),
        _ => json!({"active": false}),
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
