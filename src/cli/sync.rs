//! `wix-sync sync`: one run.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::args::{FullSyncArgs, SyncArgs};
use super::failure::Failure;
use super::range;
use super::session::{Invocation, Session};
use super::values::Target;
use super::verify::dry_run;
use crate::config::SyncFlags;
use crate::exit::Exit;
use crate::notify::Notifier;
use crate::sync::plan::FullPolicy;
use crate::sync::{Plan, Work};

pub(super) async fn run(invocation: &Invocation<'_>, args: &SyncArgs) -> Result<Exit, Failure> {
    if args.dry_run {
        // This is not a run, so no monitor is notified.
        let (session, plan) = prepare(invocation, args, None)?;
        return dry_run(&session, &plan, args.json).await;
    }
    let (metrics_file, sync_type) = (args.metrics_file.as_deref(), Target::sync_type(&args.targets));
    let run_id = invocation.console.run_id();
    let notifier = Arc::new(Notifier::prepare(invocation.environment, metrics_file, sync_type, run_id)?);
    let result = async {
        let (session, plan) = prepare(invocation, args, Some(&notifier))?;
        session.run(&plan, args.json).await
    }
    .await;
    let (exit, error) = match &result {
        Ok(exit) => (*exit, None),
        Err(failure) => (failure.exit, Some(format!("{:#}", failure.error))),
    };
    notifier.ended(exit, error).await;
    result
}

/// Checks arguments and settings before anything starts.
fn prepare<'a>(
    invocation: &'a Invocation<'a>,
    args: &SyncArgs,
    notifier: Option<&Arc<Notifier>>,
) -> Result<(Session<'a>, Plan), Failure> {
    let range = range::parse(args)?;
    let full = full_policy(args.full_sync, args.full);
    let flags = SyncFlags {
        batch_size: args.batch_size,
        max_retries: args.max_retries,
        retry_delay_ms: args.retry_delay,
        rate_limit: args.rate_limit,
    };
    let session = Session::start(invocation, flags, args.time_limit, notifier)?;
    let plan = Plan {
        allow_mass_delete: args.allow_mass_delete,
        allow_mass_changes: args.allow_mass_changes,
        keep_logs: positive(args.keep_logs),
        ..session.plan(&args.targets, Work::Sync { full, range })
    };
    Ok((session, plan))
}

/// `now`: a full sync starts at once.
pub(super) fn full_policy(args: FullSyncArgs, now: bool) -> FullPolicy {
    FullPolicy { now, every: positive(args.full_every), check_every: positive(args.check_every) }
}

/// `None` for 0, which means never.
pub(super) fn positive(duration: Duration) -> Option<TimeDelta> {
    TimeDelta::from_std(duration).ok().filter(|duration| *duration > TimeDelta::zero())
}
