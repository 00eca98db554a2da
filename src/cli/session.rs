//! Shared by `sync`, `verify` and `errors retry`: settings, reporters, stops, connections, and the exit code of a run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use uuid::Uuid;

use super::args::GlobalArgs;
use super::connect::connect;
use super::failure::Failure;
use super::logging::Console;
use super::signals;
use super::values::Target;
use crate::config::{Environment, SyncConfig, SyncFlags, check_required};
use crate::event::{Event, Reporter};
use crate::exit::Exit;
use crate::notify::Notifier;
use crate::progress::Tracker;
use crate::report;
use crate::stop::{Stop, Stopper, stop_pair};
use crate::store::Store;
use crate::store::retry::{LAST_PATIENCE, report_if_slow};
use crate::sync::{self, Plan, Run, RunOutcome, SyncError, Work, unless_overdue};
use crate::wix::WixClient;

/// How the program was called.
pub(super) struct Invocation<'a> {
    pub(super) global: &'a GlobalArgs,
    pub(super) environment: &'a Environment,
    pub(super) console: &'a Console,
}

/// Checked settings and the resources of a run or a comparison.
pub(super) struct Session<'a> {
    invocation: &'a Invocation<'a>,
    batch_size: usize,
    wix: WixClient,
    stopper: Stopper,
    stop: Stop,
    reporter: Arc<Tracker>,
}

impl<'a> Session<'a> {
    /// Checks the settings. From here on, a signal requests a stop, and the run ends after its current batch.
    pub(super) fn start(
        invocation: &'a Invocation<'a>,
        flags: SyncFlags,
        time_limit: Option<Duration>,
        notifier: Option<&Arc<Notifier>>,
    ) -> Result<Session<'a>, Failure> {
        check_required(invocation.environment, invocation.global.database_url.as_deref())?;
        let config = SyncConfig::resolve(invocation.environment, flags)?;
        let console = invocation.console;
        let mut reporters = vec![report::choose(&console.bars, console.draws_bars)];
        reporters.extend(notifier.map(|notifier| notifier.clone() as Arc<dyn Reporter>));
        let reporter = Arc::new(Tracker::new(reporters));
        for notice in &config.notices {
            reporter.report(Event::Notice { table: None, text: notice });
        }
        let (stopper, stop) = stop_pair();
        signals::listen(stopper.clone())?;
        signals::stop_after(time_limit, &stopper);
        let wix = WixClient::new(config.wix, stop.clone(), reporter.clone()).map_err(SyncError::from)?;
        Ok(Session { invocation, batch_size: config.batch_size, wix, stopper, stop, reporter })
    }

    /// A plan for this work, with all safety limits on.
    pub(super) fn plan(&self, targets: &[Target], work: Work) -> Plan {
        Plan::new(Target::sync_type(targets), Target::tables(targets), work, self.batch_size)
    }

    fn context_of<'b>(&'b self, run_id: Uuid, plan: &'b Plan) -> Run<'b> {
        let Session { wix, stop, stopper, reporter, .. } = self;
        Run { run_id, plan, wix, stop, stopper, reporter }
    }

    /// The context of a comparison. It is not a run, so its id is not stored.
    pub(super) fn context<'b>(&'b self, plan: &'b Plan) -> Run<'b> {
        self.context_of(Uuid::new_v4(), plan)
    }

    pub(super) async fn connect(&self) -> Result<Store, Failure> {
        let Invocation { global, environment, .. } = self.invocation;
        let connect = report_if_slow(Some(self.reporter.clone()), connect(global, environment));
        unless_overdue(&self.stop, LAST_PATIENCE, connect).await
    }

    /// Runs under the lease, and records the run in `sync_logs`.
    pub(super) async fn run(&self, plan: &Plan, as_json: bool) -> Result<Exit, Failure> {
        let mut store = self.connect().await?;
        let RunOutcome { summary, error } =
            sync::run(&self.context_of(self.invocation.console.run_id(), plan), &mut store).await?;
        let exit = Exit::of_run(&summary, error.as_ref().and_then(SyncError::stop_reason));
        if as_json {
            report::print_run_json(&summary, exit as u8)?;
        }
        match error {
            Some(error) => {
                let hint = error.hint();
                Err(Failure { exit, error: anyhow!(summary.error.unwrap_or_else(|| error.to_string())), hint })
            }
            None => Ok(exit),
        }
    }
}
