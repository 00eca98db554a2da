//! Triggers and status as in AsyncSyncAgent, and the status page with its data.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::app::App;
use super::trigger::TriggerBody;
use crate::json_time;
use crate::lock_owner::LockOwner;
use crate::store::StoreError;
use crate::store::status::{RunFilter, RunRow, TableRow};
use crate::visible;

/// Default and maximum number of runs in the response of `GET /api/async-sync/status`.
const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 1000;

/// Number of runs in the response of `GET /api/async-sync/trigger`.
const RECENT: i64 = 10;

/// Number of runs in the page's chart.
const CHART: i64 = 50;

/// Maximum time that the response to a trigger waits for its run to start. Then the response says `running`, and the
/// run is in `sync_logs`.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// The routes of AsyncSyncAgent.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/async-sync/trigger", get(recent).post(trigger))
        .route("/api/async-sync/status", get(status))
}

pub(super) fn page_routes() -> Router<Arc<App>> {
    Router::new().route("/", get(page)).route("/api/status", get(overview))
}

/// A JSON response. Terminal control characters are escaped, for users of curl.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    let body = visible::json(&body.to_string()).into_owned();
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// An error in the format of AsyncSyncAgent.
pub(super) fn error(status: StatusCode, text: &str) -> Response {
    json_response(status, &json!({ "error": text }))
}

/// Why a call failed: a wrong request, or an internal error.
pub(super) enum ApiError {
    Request(String),
    Store(StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        ApiError::Store(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            ApiError::Request(text) => (StatusCode::BAD_REQUEST, text),
            ApiError::Store(error) => {
                tracing::warn!(error = error.to_string(), "a request failed: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
        };
        json_response(status, &json!({ "success": false, "error": text }))
    }
}

/// Queues a sync, and returns the id that its run has in `sync_logs`.
async fn trigger(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ApiError> {
    let body = TriggerBody::parse(&body).map_err(ApiError::Request)?;
    let scope = body.scope().map_err(ApiError::Request)?;
    let mut store = app.pool.get().await?;
    let (id, is_new) = store.enqueue(scope.sync_type, body.date_range().as_ref(), body.user_id()).await?;
    app.pool.put(store);
    let was_busy = app.is_busy();
    app.wake.notify_one();
    let is_running = is_new && !was_busy && app.has_started(id, START_PATIENCE).await;
    let (word, status) = if is_running { ("started", "running") } else { ("queued", "queued") };
    let message = format!("Sync {word} for {}", scope.sync_type);
    let body = json!({ "success": true, "message": message, "syncId": id, "status": status });
    Ok(json_response(StatusCode::ACCEPTED, &body))
}

async fn recent(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let store = app.pool.get().await?;
    let rows = store.log_rows(None, &RunFilter { limit: RECENT, sync_type: None, status: None }).await?;
    app.pool.put(store);
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "recentSyncs": rows })))
}

/// Returns runs that match a filter, or one by its id. A trigger that is still queued is a row with the status
/// `queued`.
async fn status(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let (mut filter, mut wanted) = (RunFilter { limit: DEFAULT_LIMIT, sync_type: None, status: None }, None);
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| *limit >= 1);
                let limit: i64 = limit.ok_or_else(|| ApiError::Request("limit: not a number from 1".to_owned()))?;
                filter.limit = limit.min(MAX_LIMIT);
            }
            "id" => {
                let id: Result<Uuid, _> = value.parse();
                wanted = Some(id.map_err(|_| ApiError::Request("id: not a UUID".to_owned()))?);
            }
            "sync_type" => filter.sync_type = Some(value.into_owned()),
            "status" => filter.status = Some(value.into_owned()),
            _ => {}
        }
    }
    let store = app.pool.get().await?;
    let mut rows = json!(store.log_rows(wanted, &filter).await?);
    if let (Some(id), Some([])) = (wanted, rows.as_array().map(Vec::as_slice)) {
        let queue = store.queue().await?;
        let queued = queue.iter().filter(|trigger| trigger.id == id);
        rows = queued.map(|queued| json!({ "id": id, "sync_type": queued.sync_type, "status": "queued", "created_at": json_time::text(queued.requested_at) })).collect();
    }
    let mut summary = json!({ "total": rows.as_array().map_or(0, Vec::len) });
    if let (Some(counts), Some(summary)) = (store.count_runs().await?, summary.as_object_mut()) {
        let counts = [("running", counts.running), ("completed", counts.completed), ("failed", counts.failed)];
        summary.extend(counts.map(|(status, count)| (status.to_owned(), json!(count))));
    }
    app.pool.put(store);
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "syncLogs": rows, "summary": summary })))
}

/// The data of the page: counts, times and reasons, no values of records.
async fn overview(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let store = app.pool.get().await?;
    let tables = app.tables.get(store.list_tables()).await?;
    let mut running = store.running_run(&LockOwner::current()).await?;
    if let Some(running) = &mut running
        && let Some(progress) = app.progress(running.run_id)
    {
        running.tables = progress;
    }
    let runs = store.list_runs(&RunFilter { limit: CHART, sync_type: None, status: None }).await?;
    let queue = store.queue().await?;
    let now = store.now();
    app.pool.put(store);
    let tables: Vec<Value> = tables.iter().map(table_json).collect();
    let runs: Vec<Value> = runs.iter().map(|run| run_json(run, now)).collect();
    let every = app.every.map(|every| every.as_secs());
    let body = json!({
        "version": 1, "program_version": env!("CARGO_PKG_VERSION"), "schema": app.schema, "now": json_time::text(now), "every_seconds": every,
        "running": running, "queue": queue, "tables": tables, "runs": runs,
    });
    Ok(json_response(StatusCode::OK, &body))
}

fn table_json(row: &TableRow) -> Value {
    json!({
        "table": row.table,
        "rows": row.rows,
        "age_seconds": row.age_seconds,
        "last_success_at": row.last_success_at.map(json_time::text),
        "pending_deletions": row.pending_deletions,
        "rejected_records": row.rejected_records,
    })
}

/// Without `results`, which is long and names ids of records.
fn run_json(run: &RunRow, now: DateTime<Utc>) -> Value {
    let end = run.completed_at.unwrap_or(now);
    let duration = run.started_at.map(|start| (end - start).num_milliseconds() as f64 / 1000.0);
    json!({
        "id": run.id,
        "sync_type": run.sync_type,
        "status": run.status,
        "started_at": run.started_at.map(json_time::text),
        "duration_seconds": duration,
        "synced": run.synced_count,
        "rejected": run.error_count,
        "exit_code": run.exit_code,
        "error": run.error,
    })
}

/// The page, with a policy that allows only its own content and requests to this server.
static PAGE: LazyLock<(&str, String)> = LazyLock::new(|| {
    let html = include_str!("page.html");
    let hash = |begin, end| {
        let text = html.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map_or("", |(text, _)| text);
        BASE64.encode(Sha256::digest(text))
    };
    let (style, script) = (hash("<style>", "</style>"), hash("<script>", "</script>"));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (html, policy)
});

async fn page() -> Response {
    let (html, policy) = &*PAGE;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(*html)).into_response()
}
