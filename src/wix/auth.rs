//! Credentials, and the access token that app credentials are exchanged for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::WixError;
use crate::secret::Secret;

/// Time before a token's expiry at which it is renewed: clocks differ, and requests take time (wix-api.md 1.1).
const RENEWAL_MARGIN: Duration = Duration::from_secs(300);

/// Lifetime assumed if `expires_in` is missing. Wix documents four hours.
const ASSUMED_LIFE: Duration = Duration::from_secs(3600);

/// Credentials for Wix. Messages name the variables that were set.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API key, sent together with the site's id (wix-api.md 1.2).
    ApiKey { key: Secret, variable: &'static str },
    /// App credentials, exchanged for an access token that names the site (wix-api.md 1.1).
    App {
        app_id: String,
        app_secret: Secret,
        /// The id of the app's installation on the site.
        instance_id: String,
        /// The variable that holds the instance id.
        instance_variable: &'static str,
        /// The variables that were set, as a list for messages.
        variables: String,
    },
}

impl Credentials {
    pub fn variables(&self) -> String {
        match self {
            Credentials::ApiKey { variable, .. } => (*variable).to_owned(),
            Credentials::App { variables, .. } => variables.clone(),
        }
    }

    pub fn secret(&self) -> &Secret {
        match self {
            Credentials::ApiKey { key, .. } => key,
            Credentials::App { app_secret, .. } => app_secret,
        }
    }
}

/// An access token and its expiry. Two with the same `number` are the same token.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The value of the header `authorization`.
    pub secret: Secret,
    /// Counts the tokens of this process.
    pub number: u32,
    renew_at: Instant,
}

/// The response of `POST /oauth2/token`.
#[derive(Deserialize)]
pub(super) struct TokenResponse {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

/// Keeps the current token and counts how often fresh ones were refused.
#[derive(Debug, Default)]
pub(super) struct TokenStore {
    /// Held while a token is fetched, so that many tasks request one token only.
    pub(super) current: Mutex<Option<AccessToken>>,
    issued: AtomicU32,
    refused: AtomicU32,
    has_worked: AtomicBool,
    /// Why no token can be used any more.
    given_up: OnceLock<WixError>,
}

impl TokenStore {
    /// Creates a token from Wix's response.
    pub(super) fn issue(&self, response: TokenResponse, now: Instant) -> AccessToken {
        let life = match response.expires_in {
            Some(serde_json::Value::Number(seconds)) => seconds.as_f64(),
            Some(serde_json::Value::String(seconds)) => seconds.trim().parse().ok(),
            _ => None,
        };
        let life = life.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(ASSUMED_LIFE);
        // A short-lived token is renewed in the last tenth of its lifetime.
        let margin = RENEWAL_MARGIN.min(life / 10);
        let renew_at = now.checked_add(life - margin).unwrap_or(now + ASSUMED_LIFE);
        AccessToken {
            secret: Secret::new(&response.access_token),
            number: self.issued.fetch_add(1, Ordering::Relaxed),
            renew_at,
        }
    }

    /// From now on every request fails with this error.
    pub(super) fn give_up(&self, error: WixError) {
        // Keeps the first error.
        let _ = self.given_up.set(error);
    }

    pub(super) fn check(&self) -> Result<(), WixError> {
        self.given_up.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Records that Wix answered 401 to the token `number`, and drops that token if it is still the current one. True
    /// if two fresh tokens were refused without a success between them: then the credentials are wrong.
    pub(super) async fn refuse(&self, number: u32) -> bool {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|token| token.number == number) {
            *current = None;
            return self.refused.fetch_add(1, Ordering::Relaxed) + 1 >= 2;
        }
        false
    }

    /// Records that Wix accepted a token or the API key.
    pub(super) fn accepted(&self) {
        self.refused.store(0, Ordering::Relaxed);
        self.has_worked.store(true, Ordering::Relaxed);
    }

    /// True once Wix has accepted these credentials: a later refusal does not mean that they are wrong.
    pub(super) fn have_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }
}

impl AccessToken {
    /// True until the token must be renewed.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.renew_at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{TokenResponse, TokenStore};

    fn response(expires_in: &str) -> TokenResponse {
        serde_json::from_str(&format!(r#"{{"access_token":"OauthNG.JWS.x","expires_in":{expires_in}}}"#)).unwrap()
    }

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        let (store, now) = (TokenStore::default(), Instant::now());
        for (expires_in, fresh_for) in
            [("14400", 14_100), ("\"14400\"", 14_100), ("60", 54), ("null", 3_300), ("-5", 3_300), ("1e300", 3_300)]
        {
            let token = store.issue(response(expires_in), now);
            assert!(token.is_fresh(now + Duration::from_secs(fresh_for - 1)), "{expires_in}");
            assert!(!token.is_fresh(now + Duration::from_secs(fresh_for)), "{expires_in}");
        }
    }

    #[tokio::test]
    async fn two_fresh_tokens_refused_in_a_row_are_bad_credentials() {
        let (store, now) = (TokenStore::default(), Instant::now());
        let give = async || {
            let token = store.issue(response("14400"), now);
            *store.current.lock().await = Some(token.clone());
            token.number
        };
        let first = give().await;
        assert!(!store.refuse(first).await);
        assert!(!store.refuse(first).await, "a second task with the same old token does not count");
        store.accepted();
        let second = give().await;
        assert!(!store.refuse(second).await);
        let third = give().await;
        assert!(store.refuse(third).await);
    }
}
