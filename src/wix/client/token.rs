//! Exchanges app credentials for an access token.

use reqwest::header::HeaderMap;
use serde_json::json;
use tokio::time::Instant;

use super::exchange::Request;
use super::failure::Failure;
use super::{Payload, RequestCounter, WixClient};
use crate::wix::auth::{AccessToken, Credentials, TokenResponse};
use crate::wix::error::WixError;

const TOKEN_PATH: &str = "/oauth2/token";

impl WixClient {
    /// The current access token, or a new one if it is about to expire.
    pub(super) async fn current_token(&self, counter: &RequestCounter) -> Result<AccessToken, WixError> {
        self.tokens.check()?;
        let mut current = self.tokens.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.clone());
        }
        let token = self.repeat(TOKEN_PATH, counter, async |number| self.try_token(counter, number).await).await?;
        *current = Some(token.clone());
        Ok(token)
    }

    /// One attempt to get a token.
    pub(super) async fn try_token(&self, counter: &RequestCounter, attempt: u32) -> Result<AccessToken, Failure> {
        let Credentials::App { app_id, app_secret, instance_id, .. } = &self.settings.credentials else {
            return Err(WixError::Setup("an API key needs no access token".to_owned()).into());
        };
        let payload = &Payload::Post(json!({
            "grant_type": "client_credentials",
            "client_id": app_id,
            "client_secret": app_secret.reveal(),
            "instance_id": instance_id,
        }));
        let request = Request { address: TOKEN_PATH, payload, headers: HeaderMap::new(), token: None, attempt };
        let response = self.send(request, counter).await?;
        let described = self.describe(&response, None);
        if !response.status.is_success() {
            return Err(Failure::Refused(self.bad_credentials(None, described)));
        }
        match serde_json::from_slice::<TokenResponse>(&response.body) {
            Ok(token) => Ok(self.tokens.issue(token, Instant::now())),
            Err(_) => {
                let what = format!("Wix answered {described}, but no access token");
                Err(Failure::Unusable { what, is_server_error: false, retry_after: None })
            }
        }
    }
}
