//! Accepts connections and requests: limits, timeouts, authentication, routes.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;

use super::app::{App, ServeError, lock};
use super::proof::offered_token;
use super::{api, metrics, webhook};
use crate::stop::Stop;

/// Maximum number of connections, and so of requests, at a time. More wait in the system's queue.
const MAX_CONNECTIONS: u32 = 128;

/// Maximum size of a request body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Maximum size of a request's line and headers, in bytes.
const MAX_HEAD: usize = 16 << 10;

const MAX_HEADERS: usize = 64;

/// Maximum time until a request's headers arrive, and maximum idle time of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time until a response starts. The request's body has to arrive within it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum lifetime of a connection, even if its client still reads a response.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);

/// Maximum time for open requests after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// The routes. `/healthz` and `/readyz` need no token, because they return only one state.
pub(super) fn router(app: Arc<App>, cors_origin: Option<&str>) -> Result<Router, ServeError> {
    let guard = middleware::from_fn_with_state((app.clone(), cors_origin.map(Arc::<str>::from)), guard);
    Ok(Router::new()
        // Set before the layers: a fallback that is set later would replace them.
        .merge(api::routes().method_not_allowed_fallback(not_allowed).layer(guard.clone()).layer(cors(cors_origin)?))
        .merge(
            api::page_routes()
                .route("/metrics", get(metrics::metrics))
                .method_not_allowed_fallback(not_allowed)
                .layer(guard),
        )
        .merge(webhook::routes())
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(async || api::error(StatusCode::NOT_FOUND, "Not found"))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .layer(middleware::from_fn_with_state(app.clone(), log))
        .with_state(app))
}

async fn not_allowed() -> Response {
    api::error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

/// Answers OPTIONS with 200 and no body, and allows pages of one origin to call the API.
fn cors(origin: Option<&str>) -> Result<CorsLayer, ServeError> {
    let layer = CorsLayer::new();
    let Some(origin) = origin else { return Ok(layer) };
    let is_origin = url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == origin);
    let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin);
    let value = value.ok_or_else(|| ServeError::Origin(origin.to_owned()))?;
    Ok(layer
        .allow_origin(value)
        .allow_credentials(true)
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS]))
}

/// Accepts connections until the stop, and then waits for open requests.
pub(super) async fn run(listener: TcpListener, router: Router, stop: Stop) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let accept = async || {
        let slot = slots.clone().acquire_owned().await;
        (listener.accept().await, slot)
    };
    loop {
        let (accepted, slot) = tokio::select! {
            _ = stop.wait() => break,
            accepted = accept() => accepted,
        };
        match (accepted, slot) {
            (Ok((stream, _)), Ok(slot)) => {
                tokio::spawn(connection(stream, router.clone(), stop.clone(), slot));
            }
            // A temporary error, such as too many open files.
            (Err(error), _) => {
                tracing::warn!("a connection could not be accepted: {error}");
                sleep(Duration::from_millis(200)).await;
            }
            (_, Err(_)) => break,
        }
    }
    drop(listener);
    if timeout(DRAIN, slots.acquire_many(MAX_CONNECTIONS)).await.is_err() {
        tracing::debug!("requests were cut off at the end");
    }
}

/// Serves the requests of one connection, one after the other.
async fn connection(stream: TcpStream, router: Router, stop: Stop, _slot: OwnedSemaphorePermit) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        result = connection.as_mut() => return ended(result),
        _ = stop.wait() => {}
        () = sleep(CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    match timeout(REQUEST_TIMEOUT, connection).await {
        Ok(result) => ended(result),
        Err(_) => tracing::debug!("a connection was cut off"),
    }
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::trace!("a connection broke: {error}");
    }
}

/// Requires the token. Without a configured token, pages of other sites still cannot start anything.
async fn guard(
    State((app, cors_origin)): State<(Arc<App>, Option<Arc<str>>)>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !app.admits(offered_token(headers).as_deref()) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"wix-sync\", charset=\"UTF-8\"")];
        return (challenge, api::error(StatusCode::UNAUTHORIZED, "Authentication required")).into_response();
    }
    // Browsers send the password of Basic automatically, also for pages of other sites.
    let is_foreign = matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"));
    if is_foreign && request.method() == Method::POST && text("origin") != cors_origin.as_deref() {
        return api::error(StatusCode::FORBIDDEN, "This origin may not start a sync: see WIX_SYNC_CORS_ORIGIN");
    }
    next.run(request).await
}

/// Logs one line per request, without query, headers and body, which may contain a token.
async fn log(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (method, path, clock) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), clock.elapsed().as_millis());
    *lock(&app.responses).entry(status).or_default() += 1;
    tracing::debug!(%method, path, status, %ms, "{method} {path} {status} {ms} ms");
    response
}

/// Whether the database can be reached.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let check = async {
        let store = app.pool.get().await?;
        store.check_migrated().await?;
        app.pool.put(store);
        Ok(true)
    };
    match app.ready.get(check).await {
        Ok(_) => "ready\n".into_response(),
        // The caller may have no token, so the reason is only logged.
        Err(error) => {
            tracing::warn!("not ready: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be used\n").into_response()
        }
    }
}
