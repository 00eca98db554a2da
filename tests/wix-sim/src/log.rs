//! The log of requests, for tests to look at.

use std::time::Instant;

use serde_json::Value;

use crate::endpoint::Endpoint;

/// One request the simulator received.
#[derive(Debug, Clone)]
pub struct Request {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `GET` or `POST`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query string, decoded, in the order of the request.
    pub query: Vec<(String, String)>,
    /// The body, if it was JSON.
    pub body: Option<Value>,
    /// The `Authorization` header, unchanged.
    pub authorization: Option<String>,
    /// The `wix-site-id` header.
    pub site_id: Option<String>,
    /// Every header as it came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// `None` while the request waits, and if it had no response.
    pub status: Option<u16>,
    /// Number of records in the response.
    pub items: usize,
    /// When the request arrived.
    pub at: Instant,
    /// Its number among all requests.
    pub(crate) serial: u64,
}

/// The content of an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationKind {
    Missing,
    /// An API key (`IST.…`), bare.
    ApiKey,
    /// An access token, bare.
    Token,
    /// Anything after `Bearer `.
    Bearer,
    /// Something else.
    Other,
}

impl Request {
    /// The kind of credentials that the request carried.
    pub fn authorization_kind(&self) -> AuthorizationKind {
        match self.authorization.as_deref() {
            None => AuthorizationKind::Missing,
            Some(text) if text.starts_with("Bearer ") => AuthorizationKind::Bearer,
            Some(text) if text.starts_with("IST.") => AuthorizationKind::ApiKey,
            Some(text) if text.starts_with("OauthNG.") => AuthorizationKind::Token,
            Some(_) => AuthorizationKind::Other,
        }
    }

    /// The cursor in the body, if there is one.
    pub fn cursor(&self) -> Option<&str> {
        let body = self.body.as_ref()?;
        let query = body.get("search").or_else(|| body.get("query"))?;
        query["cursorPaging"]["cursor"].as_str()
    }

    /// The requested offset, in body or query string.
    pub fn offset(&self) -> Option<u64> {
        let in_body = self.body.as_ref().and_then(|body| body["query"]["paging"]["offset"].as_u64());
        in_body.or_else(|| {
            let found = self.query.iter().find(|(name, _)| name == "paging.offset")?;
            found.1.parse().ok()
        })
    }
}
