//! `wix-sync serve`: see [`crate::serve`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::args::ServeArgs;
use super::connect::database;
use super::failure::Failure;
use super::session::Invocation;
use super::signals;
use super::sync::{full_policy, positive};
use crate::config::{ConfigError, SyncConfig, SyncFlags};
use crate::exit::Exit;
use crate::notify::Notifier;
use crate::progress::Tracker;
use crate::secret::Secret;
use crate::serve::{Jobs, ServeError, ServeSettings, WebhookSettings, serve};
use crate::stop::stop_pair;
use crate::sync::SyncError;
use crate::wix::WixClient;

/// Minimum interval of scheduled runs.
const MIN_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(invocation: &Invocation<'_>, args: &ServeArgs) -> Result<Exit, Failure> {
    let Invocation { global, environment, .. } = *invocation;
    let config = SyncConfig::resolve(environment, SyncFlags::default())?;
    let (target, schema) = database(global, environment)?;
    if args.every.is_some_and(|every| every < MIN_EVERY) {
        return Err(usage("--every: must be at least 1 s".to_owned(), "leave it out to sync only when triggered"));
    }
    // Only to check the monitor's address now.
    Notifier::prepare(environment, None, "all".to_owned(), Uuid::nil())?;
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    let token = environment.get("WIX_SYNC_SERVE_TOKEN").map(Secret::new);
    let listener = listen(&args.listen, token.is_some()).await?;
    let (stopper, stop) = stop_pair();
    signals::listen(stopper)?;
    let wix = WixClient::new(config.wix, stop.clone(), Arc::new(Tracker::new(Vec::new()))).map_err(SyncError::from)?;
    let full = full_policy(args.full_sync, false);
    let settings = ServeSettings {
        target,
        schema,
        token,
        cors_origin: environment.get("WIX_SYNC_CORS_ORIGIN").map(str::to_owned),
        webhooks: WebhookSettings {
            public_key: environment.get("WIX_WEBHOOK_PUBLIC_KEY").map(str::to_owned),
            instance_id: environment
                .first(&["WIX_APP_INSTANCE_ID", "WIX_INSTANCE_ID"])
                .map(|(_, instance_id)| instance_id.to_owned()),
            hint_token: environment.get("WIX_SYNC_HINT_TOKEN").map(Secret::new),
        },
        jobs: Jobs {
            every: args.every,
            wix,
            environment: environment.clone(),
            full,
            batch_size: config.batch_size,
            keep_logs: positive(args.keep_logs),
        },
        notify_socket: environment.get("NOTIFY_SOCKET").map(str::to_owned),
        watchdog: environment.get("WATCHDOG_USEC").and_then(|text| text.parse().ok()).map(Duration::from_micros),
    };
    serve(listener, settings, stop).await.map_err(|error| match error {
        ServeError::Store(error) => error.into(),
        ServeError::PublicKey(_) => usage(
            error.to_string(),
            "copy the public key from the Webhooks page of the app's dashboard, all lines of it",
        ),
        ServeError::Origin(_) => usage(error.to_string(), "one origin, without a path"),
        ServeError::Listener(error) => error.into(),
    })?;
    Ok(Exit::Done)
}

/// Without a token only loopback addresses are allowed, because everyone who can connect may do everything.
async fn listen(address: &str, has_token: bool) -> Result<TcpListener, Failure> {
    let hint = "use an address and a port, such as 127.0.0.1:8080";
    let resolved = tokio::net::lookup_host(address).await;
    let addresses: Vec<_> = resolved.map_err(|error| usage(format!("--listen {address}: {error}"), hint))?.collect();
    if !has_token && addresses.iter().any(|address| !address.ip().is_loopback()) {
        let message = format!("--listen {address}: not a loopback address, and WIX_SYNC_SERVE_TOKEN is not set");
        return Err(usage(
            message,
            "set WIX_SYNC_SERVE_TOKEN to a long random text, such as that of `openssl rand -hex 32`",
        ));
    }
    TcpListener::bind(addresses.as_slice()).await.map_err(|error| Failure {
        exit: Exit::Failed,
        error: anyhow!("--listen {address}: {error}"),
        hint: Some("is another process listening there? --listen names another address or port".to_owned()),
    })
}

fn usage(message: String, hint: &str) -> Failure {
    ConfigError { message, hint: Some(hint.to_owned()) }.into()
}
