//! `wix-sync errors`: lists rejected records, or retries them.

use super::args::{ErrorsArgs, ErrorsCommand, ListErrorsArgs, RetryErrorsArgs};
use super::connect::{connect, explained};
use super::failure::Failure;
use super::session::{Invocation, Session};
use super::values::Target;
use crate::config::SyncFlags;
use crate::exit::Exit;
use crate::report;
use crate::sync::Work;

pub(super) async fn run(invocation: &Invocation<'_>, args: &ErrorsArgs) -> Result<Exit, Failure> {
    match &args.command {
        None => list(invocation, &args.list).await,
        Some(ErrorsCommand::List(args)) => list(invocation, args).await,
        Some(ErrorsCommand::Retry(args)) => retry(invocation, args).await,
    }
}

async fn list(invocation: &Invocation<'_>, args: &ListErrorsArgs) -> Result<Exit, Failure> {
    let store = connect(invocation.global, invocation.environment).await?;
    explained(&store, store.check_migrated().await).await?;
    let errors = explained(&store, store.list_errors(args.limit.into()).await).await?;
    report::print_errors(store.schema().name(), &errors, args.json)?;
    Ok(Exit::Done)
}

/// A normal run: under the lease, and with a row in `sync_logs`. No monitor is notified, because this run is started
/// manually and a monitor expects scheduled runs.
async fn retry(invocation: &Invocation<'_>, args: &RetryErrorsArgs) -> Result<Exit, Failure> {
    let flags = SyncFlags { rate_limit: args.rate_limit, ..SyncFlags::default() };
    let session = Session::start(invocation, flags, None, None)?;
    let plan = session.plan(&[args.target.unwrap_or(Target::All)], Work::Errors);
    session.run(&plan, args.json).await
}
