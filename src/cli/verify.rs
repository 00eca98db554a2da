//! `wix-sync verify` and `sync --dry-run`: compare Wix with the tables, without writing.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::args::{GlobalArgs, VerifyArgs};
use super::exit::Exit;
use super::logging::Console;
use super::signals::Signals;
use super::site::check_site;
use super::sync::{execute, failure, listen_for_signals, stop_after, unless_overdue};
use super::{Failure, connect};
use crate::comparison::Comparison;
use crate::config::{Environment, SyncConfig, SyncFlags};
use crate::event::{Event, Reporter};
use crate::progress::Tracker;
use crate::report::{self, Purpose};
use crate::stop::stop_pair;
use crate::store::lease::Heartbeat;
use crate::store::retry::LAST_PATIENCE;
use crate::sync::compare::{Extent, compare_table};
use crate::sync::plan::FullPolicy;
use crate::sync::{Plan, Run, SyncError, Uncompared};
use crate::wix::WixClient;

/// `verify`: compares everything that Wix lists with the tables. With `--repair`, a run then fixes the differences.
pub(super) async fn run(
    global: &GlobalArgs,
    args: &VerifyArgs,
    environment: &Environment,
    console: &Console,
) -> Result<Exit, Failure> {
    let flags = || SyncFlags { rate_limit: args.rate_limit, ..SyncFlags::default() };
    let config = SyncConfig::resolve(environment, flags())?;
    let mut plan = Plan {
        sync_type: args.target.sync_type(),
        tables: args.target.tables(),
        batch_size: config.batch_size,
        range: None,
        allow_mass_delete: args.allow_mass_delete,
        allow_mass_changes: false,
        full: FullPolicy { now: true, every: None, check_every: None },
        only_errors: false,
        repairs: Vec::new(),
        uncompared: Vec::new(),
        keep_logs: None,
    };
    let compared = compare(global, environment, console, config, &plan, Extent::Everything, None).await?;
    let gaps: u64 = compared.found.iter().map(Comparison::gaps).sum();
    if !args.repair || gaps == 0 {
        report::print_comparison(&compared.found, Purpose::Verify, args.json)?;
        if let Some(failure) = compared.failure() {
            return Err(failure);
        }
        let is_whole = gaps == 0 && compared.found.iter().all(|comparison| comparison.notices.is_empty());
        return Ok(match compared.found.iter().all(|comparison| comparison.rejected == 0) {
            _ if !is_whole => Exit::Found,
            true => Exit::Done,
            false => Exit::Incomplete,
        });
    }
    let Compared { found, uncompared } = compared;
    if !args.json {
        report::print_comparison(&found, Purpose::Verify, false)?;
    }
    plan.tables.retain(|table| found.iter().any(|comparison| comparison.table == *table && comparison.gaps() > 0));
    (plan.repairs, plan.uncompared) = (found, uncompared);
    let config = SyncConfig::resolve(environment, flags())?;
    let mut signals = Signals::silent(plan.sync_type);
    execute(global, environment, console, config, plan, None, args.json, &mut signals).await
}

/// `sync --dry-run`: shows what `sync` would do now.
pub(super) async fn dry_run(
    global: &GlobalArgs,
    environment: &Environment,
    console: &Console,
    config: SyncConfig,
    plan: &Plan,
    time_limit: Option<Duration>,
    as_json: bool,
) -> Result<Exit, Failure> {
    let compared = compare(global, environment, console, config, plan, Extent::NextPass, time_limit).await?;
    report::print_comparison(&compared.found, Purpose::DryRun, as_json)?;
    if let Some(failure) = compared.failure() {
        return Err(failure);
    }
    let is_whole = compared.found.iter().all(|comparison| comparison.unreadable == 0 && comparison.notices.is_empty());
    Ok(if is_whole { Exit::Done } else { Exit::Incomplete })
}

/// The tables that could be compared, and why others could not.
struct Compared {
    found: Vec<Comparison>,
    uncompared: Vec<Uncompared>,
}

impl Compared {
    fn failure(&self) -> Option<Failure> {
        let reasons: Vec<String> = self.uncompared.iter().map(|one| format!("{}: {}", one.table, one.reason)).collect();
        let hint = self.uncompared.iter().find_map(|one| one.hint.clone());
        let error = anyhow::anyhow!(reasons.join("\n"));
        (!reasons.is_empty()).then_some(Failure { exit: Exit::Failed, hint, error })
    }
}

/// Compares each table; if Wix refuses one, the others are still compared. Takes no lease, so it may or may not see
/// what another run writes meanwhile.
async fn compare(
    global: &GlobalArgs,
    environment: &Environment,
    console: &Console,
    config: SyncConfig,
    plan: &Plan,
    extent: Extent,
    time_limit: Option<Duration>,
) -> Result<Compared, Failure> {
    let tracker = Arc::new(Tracker::new(report::choose(&console.bars, console.draws_bars)));
    let reporter: Arc<dyn Reporter> = tracker.clone();
    for notice in &config.notices {
        reporter.report(Event::Notice { table: None, text: notice });
    }
    let (stopper, stop) = stop_pair();
    listen_for_signals(stopper.clone())?;
    stop_after(time_limit, &stopper);
    let wix = WixClient::new(config.wix, stop.clone(), reporter.clone()).map_err(|error| failure(error.into()))?;
    let run = Run { plan, wix: &wix, stop: &stop, reporter: &reporter, run_id: Uuid::nil() };
    let work = async {
        let mut store = connect(global, environment).await?;
        store.check_ready().await?;
        let _heartbeat = Heartbeat::start(&store, stopper, tracker);
        check_site(&store, &wix, &*reporter).await?;
        let (mut found, mut uncompared) = (Vec::new(), Vec::new());
        for table in &plan.tables {
            match compare_table(&run, &mut store, table, extent).await {
                Ok(comparison) => found.push(comparison),
                Err(error) if error.ends_the_run() => {
                    let exit = error.stop_reason().map_or(Exit::Failed, Exit::of_stop);
                    let hint = compare_hint(&error);
                    return Err(Failure { exit, hint, error: anyhow::anyhow!("{table}: {error}") });
                }
                Err(error) => {
                    let hint = compare_hint(&error);
                    uncompared.push(Uncompared { table, reason: error.to_string(), hint });
                }
            }
        }
        Ok(Compared { found, uncompared })
    };
    unless_overdue(&stop, LAST_PATIENCE, work).await
}

/// A stopped comparison cannot be resumed: the usual hint on a stop would be wrong.
fn compare_hint(error: &SyncError) -> Option<String> {
    if error.stop_reason().is_some() { None } else { error.hint() }
}
