//! `wix-sync serve`: triggers, status and a status page over HTTP, and an optional schedule.
//!
//! The listener and the stop are arguments, so that tests can bind port 0. [`server`] handles requests. [`worker`] is
//! the only task that starts runs, in the same way as `wix-sync sync`. The lease keeps runs of different processes
//! apart.

mod api;
mod app;
mod hint;
mod inbox;
mod metrics;
mod pool;
mod proof;
mod server;
mod signature;
mod systemd;
mod trigger;
mod webhook;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use self::app::{App, Base};
use self::inbox::Inbox;
use self::pool::Pool;
use self::proof::Proof;
use self::worker::Worker;
use crate::secret::Secret;
use crate::stop::Stop;
use crate::store::Target;

pub use self::app::ServeError;
pub use self::proof::WebhookSettings;
pub use self::worker::Jobs;

/// What the server needs besides the listener.
pub struct ServeSettings {
    pub target: Target,
    /// `None` means the first schema of the search path.
    pub schema: Option<String>,
    /// Without it, everyone who can connect may do everything.
    pub token: Option<Secret>,
    /// The origin whose pages may call the API, in addition to the status page.
    pub cors_origin: Option<String>,
    pub webhooks: WebhookSettings,
    /// How runs are started, and when.
    pub jobs: Jobs,
    /// systemd's socket and watchdog time, if systemd started this process.
    pub notify_socket: Option<String>,
    pub watchdog: Option<Duration>,
}

/// Serves until the stop. Then it accepts no more connections, finishes open requests, and lets the current run finish
/// its batch and record its end.
///
/// # Errors
///
/// If the settings cannot be used, or the database cannot be reached or is not migrated, before the first request.
pub async fn serve(listener: TcpListener, settings: ServeSettings, stop: Stop) -> Result<(), ServeError> {
    let proof = Proof::new(settings.webhooks).map_err(ServeError::PublicKey)?;
    let pool = Pool::new(settings.target, settings.schema);
    let store = pool.get().await?;
    store.check_migrated().await?;
    let schema = store.schema().name().to_owned();
    let (inbox, events) = Inbox::new(store.now());
    pool.put(store);
    let base = Base { pool, schema, proof, inbox };
    let app = Arc::new(App::new(base, settings.token.as_ref(), settings.jobs.every));
    let router = server::router(app.clone(), settings.cors_origin.as_deref())?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening on http://{address}");
    let server = tokio::spawn(server::run(listener, router, stop.clone()));
    let systemd = systemd::Systemd::new(settings.notify_socket, settings.watchdog);
    systemd.notify("READY=1");
    let pulse = tokio::spawn(worker::beat(app.clone(), systemd, stop.clone()));
    let writer = tokio::spawn({
        let app = app.clone();
        async move { inbox::store_events(&app.pool, &app.inbox, events, &app.news).await }
    });
    Worker::new(app, settings.jobs).work(&stop).await;
    // Both end with the stop. A panic in them was already printed.
    let _ = tokio::join!(server, pulse);
    // No open request can send events any more.
    writer.abort();
    tracing::info!("stopped");
    Ok(())
}
