//! External requests to stop a run: signals, and the time limit.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::stop::{StopReason, Stopper};

/// `--time-limit` requests a stop as a signal does.
pub(super) fn stop_after(time_limit: Option<Duration>, stopper: &Stopper) {
    let Some(limit) = time_limit else { return };
    let stopper = stopper.clone();
    tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        stopper.stop(StopReason::TimeLimit);
    });
}

/// SIGINT, SIGTERM and SIGHUP request a stop, which takes effect after the current batch.
pub(super) fn listen(stopper: Stopper) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // nohup makes the process ignore SIGHUP, and it must stay ignored.
    let mut hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
    tokio::spawn(async move {
        loop {
            let reason = tokio::select! {
                _ = interrupt.recv() => StopReason::Interrupt,
                _ = terminate.recv() => StopReason::Terminate,
                () = received(&mut hang_up) => StopReason::HangUp,
            };
            stopper.stop(reason);
        }
    });
    Ok(())
}

/// Waits for the signal; forever if there is no handler.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP was ignored when the process started. False if that is not known (outside Linux).
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The mask has one bit per signal; SIGHUP is number 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
