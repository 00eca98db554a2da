//! `wix-sync errors`: lists the records that could not be written, and tries them again.

use super::args::{ErrorsArgs, ErrorsCommand, GlobalArgs, ListErrorsArgs, RetryErrorsArgs, Target};
use super::exit::Exit;
use super::logging::Console;
use super::signals::Signals;
use super::sync::execute;
use super::{Failure, connect, explained};
use crate::config::{Environment, SyncConfig, SyncFlags};
use crate::report;
use crate::sync::Plan;
use crate::sync::plan::FullPolicy;

pub(super) async fn run(
    global: &GlobalArgs,
    args: &ErrorsArgs,
    environment: &Environment,
    console: &Console,
) -> Result<Exit, Failure> {
    match &args.command {
        None => list(global, &args.list, environment).await,
        Some(ErrorsCommand::List(args)) => list(global, args, environment).await,
        Some(ErrorsCommand::Retry(args)) => retry(global, args, environment, console).await,
    }
}

async fn list(global: &GlobalArgs, args: &ListErrorsArgs, environment: &Environment) -> Result<Exit, Failure> {
    let store = connect(global, environment).await?;
    explained(&store, store.check_migrated().await).await?;
    let errors = explained(&store, store.list_errors(args.limit.into()).await).await?;
    report::print_errors(store.schema().name(), &errors, args.json)?;
    Ok(Exit::Done)
}

/// A run like any other: under the lease, and with a row in `sync_logs`.
async fn retry(
    global: &GlobalArgs,
    args: &RetryErrorsArgs,
    environment: &Environment,
    console: &Console,
) -> Result<Exit, Failure> {
    let config = SyncConfig::resolve(environment, SyncFlags { rate_limit: args.rate_limit, ..SyncFlags::default() })?;
    let target = args.target.unwrap_or(Target::All);
    let plan = Plan {
        sync_type: target.sync_type(),
        tables: target.tables(),
        batch_size: config.batch_size,
        range: None,
        allow_mass_delete: false,
        allow_mass_changes: false,
        full: FullPolicy { now: false, every: None, check_every: None },
        only_errors: true,
        repairs: Vec::new(),
        uncompared: Vec::new(),
        keep_logs: None,
    };
    // Started by hand: a monitor expects the scheduled runs, and this is not one.
    let mut signals = Signals::silent(target.sync_type());
    execute(global, environment, console, config, plan, None, args.json, &mut signals).await
}
