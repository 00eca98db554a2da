//! The site that an access token belongs to (wix-api.md 1.5).

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::exchange::Request;
use super::failure::Failure;
use super::{Payload, RequestCounter, WixClient, WixSettings};
use crate::installation::{Claim, TokenInfo};
use crate::wix::auth::{AccessToken, Credentials};
use crate::wix::error::{WixError, one_line};

const TOKEN_INFO_PATH: &str = "/oauth2/token-info";

/// Maximum time without a response until a run continues. Longer than one wait for a 429 that names no time.
const PATIENCE: Duration = Duration::from_secs(120);

impl WixSettings {
    /// The configured site and installation of app credentials; `None` with an API key.
    pub fn claim(&self) -> Option<Claim<'_>> {
        match &self.credentials {
            Credentials::ApiKey { .. } => None,
            Credentials::App { instance_id, instance_variable, .. } => {
                Some(Claim { site_id: &self.site_id, instance_id, variable: instance_variable })
            }
        }
    }
}

impl WixClient {
    /// `WIX_SITE_ID`.
    pub fn site_id(&self) -> &str {
        &self.settings.site_id
    }

    /// See [`WixSettings::claim`].
    pub fn claim(&self) -> Option<Claim<'_>> {
        self.settings.claim()
    }

    /// Asks which site the access token belongs to. The inner error is why Wix did not say.
    ///
    /// `None` if there is no access token. Then every later request of this client fails for the same reason: a token
    /// that arrived later could read the records of an unchecked site.
    pub async fn token_info(&self) -> Option<Result<TokenInfo, String>> {
        let counter = RequestCounter::default();
        let asked = async {
            let token = self.current_token(&counter).await?;
            let attempt = async |number| {
                self.try_token_info(&token, &counter, number).await.map_err(|failure| match failure {
                    // The wait would exceed [`PATIENCE`], so the run continues at once.
                    Failure::Throttled { response, retry_after }
                        if self.settings.retry.throttle_delay(1, retry_after, 0.0) >= PATIENCE =>
                    {
                        Failure::Refused(WixError::Refused { path: TOKEN_INFO_PATH, response })
                    }
                    failure => failure,
                })
            };
            match timeout(PATIENCE, self.repeat(TOKEN_INFO_PATH, &counter, attempt)).await {
                Ok(Err(error @ WixError::Stopped(_))) => Err(error),
                Ok(info) => Ok(info.map_err(|error| error.to_string())),
                Err(_) => Ok(Err(format!("{TOKEN_INFO_PATH} gave no answer within {} s", PATIENCE.as_secs()))),
            }
        };
        asked.await.map_err(|error| self.tokens.give_up(error)).ok()
    }

    /// One attempt. Wix accepts this request without an authorization header.
    pub(super) async fn try_token_info(
        &self,
        token: &AccessToken,
        counter: &RequestCounter,
        attempt: u32,
    ) -> Result<TokenInfo, Failure> {
        let payload = &Payload::Post(json!({ "token": token.secret.reveal() }));
        let (address, headers) = (TOKEN_INFO_PATH, HeaderMap::new());
        let request = Request { address, payload, headers, token: Some(token), attempt };
        let response = self.send(request, counter).await?;
        let described = self.describe(&response, Some(token));
        if !response.status.is_success() {
            return Err(Failure::Refused(WixError::Refused { path: TOKEN_INFO_PATH, response: described }));
        }
        match serde_json::from_slice::<Value>(&response.body) {
            Ok(body @ Value::Object(_)) => Ok(read(&body, |text| token.secret.redact(text))),
            _ => {
                let what = format!("Wix answered {described}, but no JSON");
                Err(Failure::Unusable { what, is_server_error: false, retry_after: None })
            }
        }
    }
}

/// Reads the ids, spelled as in Wix's REST API or as in OAuth. `active` is ignored, because the next request shows
/// whether the token works: an inactive token still names its site, and without a site there is nothing to compare.
fn read(body: &Value, redact: impl Fn(&str) -> String) -> TokenInfo {
    let id = |names: [&str; 2]| {
        let text = names.into_iter().find_map(|name| body[name].as_str())?;
        // Messages contain the ids.
        Some(one_line(&redact(text))).filter(|id| !id.is_empty())
    };
    TokenInfo { site_id: id(["siteId", "site_id"]), instance_id: id(["instanceId", "instance_id"]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn ids_are_read_in_both_spellings_and_may_be_missing() {
        let ids = |body| {
            let info = read(&body, |text| text.replace("s3cret", "***"));
            (info.site_id.unwrap_or_default(), info.instance_id.unwrap_or_default())
        };
        let some = |site: &str, instance: &str| (site.to_owned(), instance.to_owned());
        assert_eq!(ids(json!({"active": true, "siteId": " a ", "instanceId": "b"})), some("a", "b"));
        assert_eq!(ids(json!({"active": false, "site_id": "a", "instance_id": "b"})), some("a", "b"));
        for body in
            [json!({}), json!({"active": true}), json!({"siteId": null, "instanceId": 7}), json!({"siteId": " "})]
        {
            assert_eq!(ids(body), some("", ""));
        }
        assert_eq!(ids(json!({"siteId": "s3cret"})), some("***", ""));
    }
}
