//! What the simulator answers, before it becomes HTTP: pages and Wix's error bodies.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) content_type: &'static str,
    /// How many records the body holds.
    pub(crate) items: usize,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const HTML: &str = "text/html";

impl Reply {
    pub(crate) fn json(body: String, items: usize) -> Self {
        Self { status: 200, body, content_type: JSON, items }
    }

    pub(crate) fn refusal(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), content_type: JSON, items: 0 }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, body: String::new(), content_type: JSON, items: 0 }
    }
}

/// The usual error body, with an application code.
pub(crate) fn application_error(status: u16, code: &str, description: &str) -> Reply {
    Reply::refusal(
        status,
        &json!({"message": description, "details": {"applicationError":
            {"code": code, "description": description, "data": {}}}}),
    )
}

/// The usual error body for a wrong field of the request.
pub(crate) fn field_violation(field: &str, description: &str) -> Reply {
    Reply::refusal(
        400,
        &json!({"message": format!("{field} {description}"), "details": {"validationError":
            {"fieldViolations": [{"field": field, "description": description}]}}}),
    )
}

pub(crate) fn limit_too_high(field: &str, most: usize) -> Reply {
    let description = format!("must be less than or equal to {most}");
    Reply::refusal(
        400,
        &json!({"message": format!("{field} {description}"), "details": {"validationError":
            {"fieldViolations": [{"field": field, "description": description,
                "violatedRule": "MAX", "data": {"threshold": most}}]}}}),
    )
}

pub(crate) fn bad_cursor() -> Reply {
    Reply::refusal(
        400,
        &json!({"message": "invalid cursor", "details": {"validationError":
            {"fieldViolations": [{"field": "cursorPaging.cursor",
                "description": "is not a valid cursor"}]}}}),
    )
}

pub(crate) fn cursor_with_filter() -> Reply {
    let description = "cursor can not be used together with filter or sort";
    Reply::refusal(
        400,
        &json!({"message": description, "details": {"validationError":
            {"fieldViolations": [{"field": "query", "description": description}]}}}),
    )
}

pub(crate) fn unauthenticated() -> Reply {
    application_error(401, "UNAUTHENTICATED", "UNAUTHENTICATED")
}

pub(crate) fn no_site_context() -> Reply {
    Reply::refusal(403, &json!({"message": "No Metasite Context in identity. UNAUTHORIZED", "details": {}}))
}

pub(crate) fn throttled() -> Reply {
    application_error(429, "RESOURCE_EXHAUSTED", "Too Many Requests")
}

pub(crate) fn not_found() -> Reply {
    Reply::refusal(
        404,
        &json!({"message": "Entity not found", "details": {"applicationError":
            {"code": "NOT_FOUND"}}}),
    )
}

pub(crate) fn contact_not_found() -> Reply {
    application_error(404, "CONTACT_NOT_FOUND", "contact not found")
}

pub(crate) fn app_not_installed() -> Reply {
    Reply::refusal(
        428,
        &json!({"message": "Wix Stores app is not installed for site",
            "details": {"applicationError": {"code": "REQUIRED_APP_NOT_INSTALLED"}}}),
    )
}

pub(crate) fn gateway_html(status: u16) -> Reply {
    Reply {
        status,
        body: format!("<html><body>{status} Service Unavailable</body></html>"),
        content_type: HTML,
        items: 0,
    }
}

/// The error body of the token endpoints (RFC 6749).
pub(crate) fn oauth_error(status: u16, error: &str, description: &str) -> Reply {
    Reply::refusal(status, &json!({"error": error, "error_description": description}))
}
