//! `/metrics`: the server, its runs, the queue and the tables, in Prometheus's text format.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::app::{App, lock};
use crate::report::MetricsText;
use crate::store::StoreError;
use crate::store::status::TableRow;

/// Metrics from the database are omitted while it cannot be reached, so that the counters are still available.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = MetricsText::default();
    let runs: Vec<(String, f64)> = lock(&app.runs)
        .iter()
        .map(|((sync_type, status), count)| (format!("type=\"{sync_type}\",status=\"{status}\""), *count as f64))
        .collect();
    text.counter("wix_sync_runs_total", "Runs of this process that ended.", &runs);
    let responses: Vec<(String, f64)> =
        lock(&app.responses).iter().map(|(code, count)| (format!("code=\"{code}\""), *count as f64)).collect();
    text.counter("wix_sync_http_responses_total", "HTTP responses of this process.", &responses);
    let requests = app.wix_requests.load(Ordering::Relaxed) as f64;
    text.counter("wix_sync_wix_requests_total", "Requests sent to Wix, retries included.", &one(requests));
    let events: Vec<(String, f64)> =
        lock(&app.events).iter().map(|(outcome, count)| (format!("outcome=\"{outcome}\""), *count as f64)).collect();
    text.counter("wix_sync_events_total", "Webhooks and hints received.", &events);
    let looked_up = app.looked_up.load(Ordering::Relaxed) as f64;
    text.counter("wix_sync_event_lookups_total", "Records looked up because of events.", &one(looked_up));
    let (count, seconds) = *lock(&app.lookups);
    text.counter("wix_sync_event_lookup_requests_total", "Requests to Wix for these lookups.", &one(count as f64));
    text.counter("wix_sync_event_lookup_seconds_total", "Seconds until their responses.", &one(seconds));
    let is_up = match add_database(&app, &mut text).await {
        Ok(()) => 1.0,
        Err(error) => {
            tracing::warn!(error = error.to_string(), "metrics of the database are left out: {error}");
            0.0
        }
    };
    text.gauge("wix_sync_database_up", "1 if the database could be asked.", &one(is_up));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.into_string()).into_response()
}

async fn add_database(app: &App, text: &mut MetricsText) -> Result<(), StoreError> {
    let store = app.pool.get().await?;
    let queue = store.queue().await?;
    let inbox = store.inbox_depth().await?;
    let tables = app.tables.get(store.list_tables()).await?;
    let oldest = queue.first().map_or(0, |oldest| (store.now() - oldest.requested_at).num_seconds().max(0));
    app.pool.put(store);
    text.gauge("wix_sync_queue_length", "Syncs that wait or run because of a trigger.", &one(queue.len() as f64));
    text.gauge("wix_sync_queue_oldest_seconds", "Age of the oldest of them.", &one(oldest as f64));
    text.gauge(
        "wix_sync_inbox_entries",
        "Records that events named and that wait for a lookup.",
        &one(inbox.entries as f64),
    );
    let oldest = inbox.oldest_age_seconds.unwrap_or_default();
    text.gauge("wix_sync_inbox_oldest_seconds", "Age of the oldest of them.", &one(oldest));
    let mut per_table = |name: &str, help: &str, value: fn(&TableRow) -> Option<i64>| {
        let labelled = |row: &TableRow| Some((format!("table=\"{}\"", row.table), value(row)? as f64));
        text.gauge(name, help, &tables.iter().filter_map(labelled).collect::<Vec<_>>());
    };
    per_table("wix_sync_table_age_seconds", "Time since the last success.", |row| row.age_seconds);
    per_table("wix_sync_table_rows", "Live rows.", |row| Some(row.rows));
    per_table("wix_sync_table_pending_deletions", "Rows pending deletion.", |row| Some(row.pending_deletions));
    per_table("wix_sync_table_rejected_records", "Rejected records.", |row| Some(row.rejected_records));
    Ok(())
}

fn one(value: f64) -> [(String, f64); 1] {
    [(String::new(), value)]
}
