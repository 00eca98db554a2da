//! `wix-sync verify` and `sync --dry-run`: compare Wix with the tables without writing.

use super::args::VerifyArgs;
use super::failure::Failure;
use super::session::{Invocation, Session};
use crate::config::SyncFlags;
use crate::diff::TableDiff;
use crate::exit::Exit;
use crate::report::{self, Purpose};
use crate::store::lease::Heartbeat;
use crate::store::retry::LAST_PATIENCE;
use crate::sync::compare::{Extent, compare_table};
use crate::sync::plan::FullPolicy;
use crate::sync::{Plan, SyncError, Uncompared, Work, check_site, unless_overdue};

/// `verify`: compares everything in Wix's lists with the tables. With `--repair`, a run then fixes the differences.
pub(super) async fn run(invocation: &Invocation<'_>, args: &VerifyArgs) -> Result<Exit, Failure> {
    let flags = SyncFlags { rate_limit: args.rate_limit, ..SyncFlags::default() };
    let session = Session::start(invocation, flags, None, None)?;
    let full = FullPolicy { now: true, every: None, check_every: None };
    let mut plan = Plan {
        allow_mass_delete: args.allow_mass_delete,
        ..session.plan(&[args.target], Work::Sync { full, range: None })
    };
    let compared = compare(&session, &plan, Extent::Everything).await?;
    let differences: u64 = compared.found.iter().map(TableDiff::differences).sum();
    if !args.repair || differences == 0 {
        report::print_comparison(&compared.found, Purpose::Verify, args.json)?;
        if let Some(failure) = compared.failure() {
            return Err(failure);
        }
        let is_whole = differences == 0 && compared.found.iter().all(|comparison| comparison.notices.is_empty());
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
    plan.tables
        .retain(|table| found.iter().any(|comparison| comparison.table == *table && comparison.differences() > 0));
    plan.work = Work::Repair { found, uncompared };
    invocation.console.run_id();
    // A new session, because the run shows its own progress.
    Session::start(invocation, flags, None, None)?.run(&plan, args.json).await
}

/// `sync --dry-run`: shows what `sync` would do now.
pub(super) async fn dry_run(session: &Session<'_>, plan: &Plan, as_json: bool) -> Result<Exit, Failure> {
    let compared = compare(session, plan, Extent::NextPass).await?;
    report::print_comparison(&compared.found, Purpose::DryRun, as_json)?;
    if let Some(failure) = compared.failure() {
        return Err(failure);
    }
    let is_whole = compared.found.iter().all(|comparison| comparison.rejected == 0 && comparison.notices.is_empty());
    Ok(if is_whole { Exit::Done } else { Exit::Incomplete })
}

/// The compared tables, and the errors of the others.
struct Compared {
    found: Vec<TableDiff>,
    uncompared: Vec<Uncompared>,
}

impl Compared {
    fn failure(&self) -> Option<Failure> {
        let reasons: Vec<String> = self.uncompared.iter().map(|one| format!("{}: {}", one.table, one.reason)).collect();
        let mut hints: Vec<&str> = self.uncompared.iter().filter_map(|one| one.hint.as_deref()).collect();
        hints.dedup();
        let hint = (!hints.is_empty()).then(|| hints.join("; "));
        let error = anyhow::anyhow!(reasons.join("\n"));
        (!reasons.is_empty()).then_some(Failure { exit: Exit::Failed, hint, error })
    }
}

/// Compares each table. If Wix refuses one, the others are still compared. Takes no lease, so it may see a part of what
/// another run writes at the same time.
async fn compare(session: &Session<'_>, plan: &Plan, extent: Extent) -> Result<Compared, Failure> {
    let run = session.context(plan);
    let work = async {
        let mut store = session.connect().await?;
        store.check_ready().await?;
        let _heartbeat = Heartbeat::start(&store, run.stopper.clone(), run.reporter.clone());
        check_site(&run, &store).await?;
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
    unless_overdue(run.stop, LAST_PATIENCE, work).await
}

/// A stopped comparison cannot be resumed, so the usual hint would be wrong.
fn compare_hint(error: &SyncError) -> Option<String> {
    if error.stop_reason().is_some() { None } else { error.hint() }
}
