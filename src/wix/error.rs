//! Errors of Wix, with messages for the operator.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::network::CertificateProblem;
use crate::stop::StopReason;

/// What was read of a response that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Bytes that were read.
    pub read: usize,
    /// Complete records among them.
    pub records: u32,
    /// Excerpt of the last record, if that record alone is too large.
    pub excerpt: Option<String>,
}

/// Summary of a response for messages: without secrets, short and on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WixResponse {
    pub status: u16,
    /// Wix's error code, such as `UNAUTHENTICATED`, or OAuth's, such as `invalid_client`.
    code: Option<String>,
    message: Option<String>,
    /// The header `x-wix-request-id`, which Wix's support asks for.
    request_id: Option<String>,
    /// Whether it has neither the body nor the header of Wix's responses: a proxy or firewall sent it.
    is_foreign: bool,
    /// The proxy in use, if a proxy or firewall sent the response.
    pub(super) proxy: Option<String>,
}

impl WixResponse {
    /// Reads an error response with any body, including an empty one (wix-api.md 1.6, 6.1). `redact` removes secrets.
    pub fn read(status: u16, request_id: Option<String>, body: &[u8], redact: impl Fn(&str) -> String) -> WixResponse {
        // Wix's own gateways also return HTML, but with a status 5xx.
        let is_html = body.trim_ascii_start().starts_with(b"<");
        let is_of_proxy = matches!(status, 300..400 | 407);
        let is_foreign = request_id.is_none() && status < 500 && (is_html || is_of_proxy);
        let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let application = body.details.and_then(|details| details.application_error).unwrap_or_default();
        let code = application.code.or(body.error);
        let message = body.message.or(body.error_description).or(application.description);
        let tidy = |text: String| one_line(&redact(&text));
        WixResponse {
            status,
            message: message.map(tidy).filter(|text| !text.is_empty() && Some(text) != code.as_ref()),
            code: code.map(tidy).filter(|text| !text.is_empty()),
            request_id: request_id.map(tidy),
            is_foreign,
            proxy: None,
        }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }
}

const NOT_WIX: &str = "not Wix's answer: a proxy between?";

impl fmt::Display for WixResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        match &self.request_id {
            None if self.is_foreign => match &self.proxy {
                Some(proxy) => write!(f, " ({NOT_WIX} {proxy})"),
                None => write!(f, " ({NOT_WIX} No proxy variable is set)"),
            },
            Some(request_id) => write!(f, " (Wix request id {request_id})"),
            None => f.write_str(" (without a Wix request id)"),
        }
    }
}

/// The fields of Wix's and OAuth's error bodies.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    message: Option<String>,
    details: Option<ErrorDetails>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorDetails {
    application_error: Option<ApplicationError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ApplicationError {
    code: Option<String>,
    description: Option<String>,
}

/// At most 300 characters, without line breaks and control characters.
pub(super) fn one_line(text: &str) -> String {
    let line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Why a request to Wix failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WixError {
    /// The credentials are wrong, or belong to another site.
    #[error("Wix refused the credentials in {variables}: it answered {response}")]
    Credentials {
        /// The environment variables of the credentials.
        variables: String,
        /// The permission that may be missing if a list was requested: Wix sometimes answers 401 in this case
        /// (wix-api.md 1.6). `None` if there was no access token, so nothing can be read.
        permission: Option<&'static str>,
        response: Box<WixResponse>,
    },
    /// The credentials are valid, but do not allow this request.
    #[error("Wix does not allow these credentials to use {path}: it answered {response}")]
    Forbidden {
        path: &'static str,
        /// All missing permissions, in the words of Wix's dashboard.
        permissions: Vec<&'static str>,
        variables: String,
        response: Box<WixResponse>,
    },
    /// The site does not have the Wix app whose records were requested.
    #[error("{app} is not installed on the site: Wix answered {response}")]
    AppNotInstalled { app: &'static str, response: Box<WixResponse> },
    /// Wix refused a request with a cursor: the cursor is unknown or too old.
    #[error("Wix no longer accepts its cursor on {path}: it answered {response}")]
    CursorRefused { path: &'static str, response: Box<WixResponse> },
    /// Wix refused the request for another reason: a repetition would not help.
    #[error("Wix refused a request to {path}: it answered {response}")]
    Refused { path: &'static str, response: Box<WixResponse> },
    /// Wix answered every request with 429 for a long time.
    #[error("Wix has refused every request for {} minutes, for too many requests: the last answer was {response}", waited.as_secs() / 60)]
    Throttled {
        waited: Duration,
        /// The last response.
        response: Box<WixResponse>,
    },
    /// No attempt had a usable response.
    #[error("Wix gave no usable answer on {path} in {tries} tries: {last}")]
    Unavailable {
        path: &'static str,
        tries: u32,
        /// What was wrong with the last one.
        last: String,
    },
    /// The server's certificate is refused, so nothing was sent.
    #[error("the certificate of {host} {problem}")]
    Certificate { host: String, problem: CertificateProblem },
    /// A response was too large and not read to its end. A smaller page may be small enough.
    #[error("Wix's answer on {path} is larger than what is read: {} MB had come", oversize.read / 1_000_000)]
    TooLarge {
        path: &'static str,
        /// What was read of the response.
        oversize: Oversize,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTPS client could not be set up: {0}")]
    Setup(String),
    #[error(transparent)]
    Stopped(#[from] StopReason),
}

impl WixError {
    /// True if Wix refused the request's filter, sort or paging.
    pub fn is_bad_request(&self) -> bool {
        matches!(self, WixError::Refused { response, .. } if response.status == 400)
    }

    /// True if the error concerns one record only, so other requests of this run may succeed.
    pub fn is_about_one_record(&self) -> bool {
        matches!(
            self,
            WixError::Refused { .. }
                | WixError::Forbidden { .. }
                | WixError::AppNotInstalled { .. }
                | WixError::Unavailable { .. }
                | WixError::TooLarge { .. }
        )
    }

    /// Wix's response, if the error has one.
    fn response(&self) -> Option<&WixResponse> {
        match self {
            WixError::Credentials { response, .. }
            | WixError::Forbidden { response, .. }
            | WixError::AppNotInstalled { response, .. }
            | WixError::CursorRefused { response, .. }
            | WixError::Refused { response, .. }
            | WixError::Throttled { response, .. } => Some(response),
            _ => None,
        }
    }

    /// Adds the permissions that other requests lacked, so that one hint names all.
    pub fn add_permissions(&mut self, other: &WixError) {
        if let (WixError::Forbidden { permissions, .. }, WixError::Forbidden { permissions: others, .. }) =
            (self, other)
        {
            permissions.extend(others.iter().copied().filter(|name| !permissions.contains(name)).collect::<Vec<_>>());
        }
    }

    /// One line on what to do, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        if self.response().is_some_and(WixResponse::is_foreign)
            || matches!(self, WixError::Unavailable { last, .. } if last.contains(NOT_WIX))
        {
            return Some(
                "a proxy or firewall answered instead of Wix: allow HTTPS to Wix's API there, or correct HTTPS_PROXY and \
                 NO_PROXY"
                    .to_owned(),
            );
        }
        match self {
            WixError::Credentials { permission, .. } => {
                let what = "check the values in Wix's dashboard; docs/configuration.md shows where each comes from";
                let permission = permission
                    .map(|name| format!("; if other tables can be read, the permission \"{name}\" is missing"));
                Some(what.to_owned() + &permission.unwrap_or_default())
            }
            WixError::Forbidden { permissions, variables, .. } => {
                let noun = if permissions.len() == 1 { "permission" } else { "permissions" };
                let names = permissions.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
                Some(format!("give them the {noun} {names} and access to this site, and check {variables}"))
            }
            WixError::Throttled { .. } => {
                Some("something else uses up this site's requests; lower --rate-limit or run less often".to_owned())
            }
            WixError::Certificate { problem, .. } => Some(problem.hint().to_owned()),
            WixError::Unavailable { .. } | WixError::TooLarge { .. } => Some(
                "the next run tries again; WIX_API_BASE_URL and the network are what can be checked here".to_owned(),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WixResponse;

    fn read(status: u16, body: &str) -> String {
        WixResponse::read(status, Some("17.5".to_owned()), body.as_bytes(), |text| text.replace("s3cret", "***"))
            .to_string()
    }

    #[test]
    fn every_known_error_body_reads_well() {
        assert_eq!(
            read(
                401,
                r#"{"message":"UNAUTHENTICATED","details":{"applicationError":{"code":"UNAUTHENTICATED","description":"UNAUTHENTICATED"}}}"#
            ),
            "401 UNAUTHENTICATED (Wix request id 17.5)"
        );
        assert_eq!(
            read(400, r#"{"message":"invalid cursor","details":{"validationError":{"fieldViolations":[]}}}"#),
            "400: invalid cursor (Wix request id 17.5)"
        );
        assert_eq!(
            read(401, r#"{"error":"invalid_client","error_description":"client s3cret is unknown"}"#),
            "401 invalid_client: client *** is unknown (Wix request id 17.5)"
        );
        let foreign = WixResponse::read(403, None, b"\n<html>blocked</html>", str::to_owned);
        assert_eq!(foreign.to_string(), "403 (not Wix's answer: a proxy between? No proxy variable is set)");
        for body in ["", "null", "<html>503</html>", "[]", r#"{"message":1}"#, r#"{"details":{}}"#] {
            assert_eq!(read(503, body), "503 (Wix request id 17.5)", "{body}");
        }
    }

    #[test]
    fn long_messages_become_one_short_line() {
        let text = read(400, &format!(r#"{{"message":"a\nb{}"}}"#, "x".repeat(1000)));
        assert!(text.starts_with("400: a bxxx") && text.chars().count() < 360, "{text}");
    }
}
