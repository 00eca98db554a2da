//! `POST /webhooks/wix` and `POST /webhooks/hint`: verifies the sender, and stores the named records in the inbox. They
//! are looked up after the response.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::api::{error, json_response};
use super::app::{App, lock};
use super::hint::{Event, Records, read_event, read_hint};
use super::inbox::NotStored;
use super::proof::offered_token;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/webhooks/wix", post(wix)).route("/webhooks/hint", post(hint))
}

/// Outcome of an event, as counted in `/metrics`.
#[derive(Clone, Copy)]
enum Outcome {
    Stored,
    /// About another installation of the app, or about records that are not synced.
    Ignored,
    Refused,
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Stored => "stored",
            Outcome::Ignored => "ignored",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

fn count(app: &App, outcome: Outcome) {
    *lock(&app.events).entry(outcome.as_str()).or_default() += 1;
}

/// A webhook of a Wix app. An event that cannot be used also gets a 200, because Wix repeats any other response for two
/// days.
async fn wix(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let Some(key) = &app.proof.public_key else {
        count(&app, Outcome::Failed);
        return error(StatusCode::SERVICE_UNAVAILABLE, "WIX_WEBHOOK_PUBLIC_KEY is not set");
    };
    let token = String::from_utf8_lossy(&body);
    let data = match key.verify(&token, app.inbox.now()) {
        Ok(data) => data,
        Err(reason) => {
            count(&app, Outcome::Refused);
            tracing::debug!("a webhook was refused: {reason}");
            return error(StatusCode::UNAUTHORIZED, "The token is not valid");
        }
    };
    let Event { instance_id, records } = read_event(&data).unwrap_or_default();
    let is_foreign = app.proof.instance_id.as_ref().is_some_and(|own| instance_id.as_ref() != Some(own));
    store(&app, if is_foreign { Records::new() } else { records }).await
}

/// A hint from a site without an app.
async fn hint(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap, body: Bytes) -> Response {
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let parsed = serde_json::from_slice::<Value>(&body).ok();
    let in_body = parsed.as_ref().and_then(|body| body["token"].as_str().or(body["data"]["token"].as_str()));
    let in_header = headers.get("x-webhook-secret").and_then(|value| value.to_str().ok());
    let offered = [query.get("token").map(String::as_str), in_body, in_header];
    let is_token = |offered: &str| app.proof.hint_token.as_ref().is_some_and(|token| token.is(offered));
    let is_proven =
        offered.into_iter().flatten().any(is_token) || offered_token(&headers).is_some_and(|token| is_token(&token));
    if !is_proven {
        count(&app, Outcome::Refused);
        return error(StatusCode::UNAUTHORIZED, "Needs the token of WIX_SYNC_HINT_TOKEN");
    }
    match read_hint(&parsed.unwrap_or_default(), &query) {
        Some(records) => store(&app, records).await,
        None => {
            count(&app, Outcome::Ignored);
            error(StatusCode::BAD_REQUEST, "Needs entityFqdn and entityId, in a JSON body or in the query")
        }
    }
}

async fn store(app: &App, records: Records) -> Response {
    let outcome = if records.is_empty() { Outcome::Ignored } else { Outcome::Stored };
    match app.inbox.store(records).await {
        Ok(()) => {
            count(app, outcome);
            json_response(StatusCode::OK, &json!({ "success": true }))
        }
        Err(why) => {
            count(app, Outcome::Failed);
            error(
                StatusCode::SERVICE_UNAVAILABLE,
                match why {
                    NotStored::Full => "Too many events wait; send it again later",
                    NotStored::Failed => "The database cannot be used; send it again later",
                },
            )
        }
    }
}
