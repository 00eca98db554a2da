//! HTTP: accepting connections, logging requests, applying faults, sending answers.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::api::{Ask, answer};
use crate::endpoint::Endpoint;
use crate::fault::{Effect, Manner};
use crate::handle::SimHandle;
use crate::log::Request;
use crate::reply::{Reply, throttled};
use crate::state::{Hook, Shared, State};

/// Maximum bytes of a request body that are read.
const MOST_BODY_BYTES: usize = 1 << 20;
/// Time to send the first half of a body before the connection is cut.
const CUT_AFTER: Duration = Duration::from_millis(50);
/// Bytes of padding that are sent at once.
const PADDING_CHUNK: usize = 1 << 16;

type Body = BoxBody<Bytes, io::Error>;

/// Serves connections until told to stop.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut stop => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, Arc::clone(&shared)));
                }
                // Out of file handles, most likely: others will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers must not wait for one another; an error here costs only time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(&shared, request).await }
    });
    // A connection ends in an error whenever the client leaves or a fault closes it.
    let _ = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(shared: &Arc<Shared>, request: hyper::Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (mut request, id) = read(request).await;
    let endpoint = request.endpoint;
    let (serial, hooks, effect) = {
        let mut state = shared.lock();
        state.serial += 1;
        *state.counts.entry(endpoint).or_default() += 1;
        request.serial = state.serial;
        if !shared.options.forget_requests {
            state.log.push(request.clone());
        }
        let hooks = state.due_hooks(endpoint);
        let effect = state.faults.strike(&request);
        (state.serial, hooks, effect)
    };
    let (after, before): (Vec<Hook>, Vec<Hook>) = hooks.into_iter().partition(|hook| hook.after);
    run_hooks(shared, before).await?;

    // The date of an answer is that of its records, however late it is sent: both are taken at once.
    let (reply, made_at) = {
        let mut state = shared.lock();
        let mut reply = reply(shared, &mut state, &request, id.as_deref(), &effect, serial);
        if let Some(rewriting) = &effect.rewriting {
            reply.body = (rewriting.0)(&request, &reply.body);
        }
        (reply, state.clock.now())
    };
    run_hooks(shared, after).await?;
    let wait = shared.options.latency + effect.delay;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    match effect.manner {
        Manner::Hang => std::future::pending().await,
        Manner::Close => return Err(io::Error::other("closed by a fault")),
        Manner::Whole | Manner::Cut | Manner::CutChunked => {}
    }
    note_answer(shared, serial, &reply);
    Ok(send(reply, &effect, serial, made_at))
}

/// Completes the entry of the log, unless the log was cleared meanwhile.
fn note_answer(shared: &Shared, serial: u64, reply: &Reply) {
    let mut state = shared.lock();
    let entry = state.log.iter_mut().rev().find(|entry| entry.serial == serial);
    if let Some(entry) = entry {
        entry.status = Some(reply.status);
        entry.items = reply.items;
    }
}

/// The right answer, or the fault's.
fn reply(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    id: Option<&str>,
    effect: &Effect,
    serial: u64,
) -> Reply {
    if let Some(reply) = &effect.reply {
        return reply.clone();
    }
    let limit = shared.options.requests_per_minute;
    if !request.endpoint.is_oauth() && state.is_over_limit(limit) {
        return throttled();
    }
    let ask = Ask { request, id, tweaks: effect.tweaks, options: &shared.options, serial };
    if !effect.tweaks.stale {
        return answer(shared, state, &ask);
    }
    state.exchange_past();
    let stale = answer(shared, state, &ask);
    state.exchange_past();
    stale
}

async fn run_hooks(shared: &Arc<Shared>, hooks: Vec<Hook>) -> io::Result<()> {
    for hook in hooks {
        let handle = SimHandle { shared: Arc::clone(shared) };
        // On a thread of its own: a hook may block. One that panics closes the connection.
        tokio::task::spawn_blocking(move || (hook.run)(&handle)).await?;
    }
    Ok(())
}

async fn read(request: hyper::Request<Incoming>) -> (Request, Option<String>) {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let bytes = match Limited::new(body, MOST_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        // Read as an empty body, which the endpoints refuse.
        Err(_) => Bytes::new(),
    };
    let path = head.uri.path().to_owned();
    let (endpoint, id) = Endpoint::of(&head.method, &path);
    let query = head.uri.query().unwrap_or_default();
    let header = |name: &str| text_of(&head.headers, name);
    let request = Request {
        endpoint,
        method: head.method.to_string(),
        path,
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body: serde_json::from_slice(&bytes).ok(),
        authorization: header("authorization"),
        site_id: header("wix-site-id"),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect(),
        status: None,
        items: 0,
        at,
        serial: 0,
    };
    (request, id)
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn send(reply: Reply, effect: &Effect, serial: u64, made_at: DateTime<Utc>) -> Response<Body> {
    let mut response = Response::new(body(&reply, effect));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(reply.content_type));
    if effect.manner == Manner::Cut {
        headers.insert("content-length", HeaderValue::from(reply.body.len()));
    }
    let request_id = format!("{}.{:019}", made_at.timestamp(), serial.wrapping_mul(7_919));
    let date = httpdate::fmt_http_date(made_at.into());
    for (name, value) in [("x-wix-request-id", request_id), ("date", date)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    for (name, value) in &effect.headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        match value {
            None => {
                headers.remove(name);
            }
            Some(value) => {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(name, value);
                }
            }
        }
    }
    response
}

fn body(reply: &Reply, effect: &Effect) -> Body {
    let bytes = Bytes::from(reply.body.clone());
    if effect.padding > 0 || effect.gzip {
        return padded(bytes, effect.padding, effect.gzip);
    }
    if !matches!(effect.manner, Manner::Cut | Manner::CutChunked) {
        return Full::new(bytes).map_err(|never: Infallible| match never {}).boxed();
    }
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let half = bytes.slice(..bytes.len() / 2);
        // The client may have left by then.
        let _ = sender.send(Frame::data(half)).await;
        tokio::time::sleep(CUT_AFTER).await;
        sender.abort(io::Error::other("cut by a fault"));
    });
    body.boxed()
}

/// A body with letters behind it, made while it is sent. The padding may be infinite.
fn padded(bytes: Bytes, letters: usize, gzip: bool) -> Body {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let mut encoder = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let mut encode = move |bytes: &[u8]| match &mut encoder {
            None => Bytes::copy_from_slice(bytes),
            Some(encoder) => {
                let written = if bytes.is_empty() { encoder.try_finish() } else { encoder.write_all(bytes) };
                written.map_or_else(|_| Bytes::new(), |()| std::mem::take(encoder.get_mut()).into())
            }
        };
        let padding = [b'a'; PADDING_CHUNK];
        let mut left = letters;
        let mut chunk = encode(&bytes);
        // The client may leave at any time.
        while chunk.is_empty() || sender.send(Frame::data(chunk)).await.is_ok() {
            if left == 0 {
                let _ = sender.send(Frame::data(encode(&[]))).await;
                return;
            }
            chunk = encode(&padding[..left.min(PADDING_CHUNK)]);
            left -= left.min(PADDING_CHUNK);
        }
    });
    body.boxed()
}
