//! `wix-sync status`: shows the last runs and the state of each table. Reads only.

use std::time::Duration;

use anyhow::anyhow;

use super::args::{GlobalArgs, StatusArgs};
use super::connect::{connect, explained};
use super::failure::Failure;
use crate::config::Environment;
use crate::exit::Exit;
use crate::lock_owner::LockOwner;
use crate::report::{self, Status};
use crate::store::StoreError;
use crate::store::migrations::SchemaState;
use crate::store::status::{RunFilter, TableRow};

pub(super) async fn run(global: &GlobalArgs, args: &StatusArgs, environment: &Environment) -> Result<Exit, Failure> {
    let store = connect(global, environment).await?;
    let schema = store.schema().name().to_owned();
    let state = explained(&store, store.schema_state().await).await?;
    if state == SchemaState::NotMigrated {
        report::print_not_migrated(&schema, args.json)?;
        return match args.max_age {
            Some(_) => Err(never(format!("schema {schema} is not migrated: no run has started"))),
            None => Ok(Exit::Done),
        };
    }
    store.check_migrated().await?;
    if let Some(prefix) = &args.run {
        return match explained(&store, store.find_runs(prefix).await).await?.as_slice() {
            [run] => {
                report::print_run(run, args.json)?;
                Ok(Exit::Done)
            }
            [] => Err(no_run(format!("no run has an id that starts with `{prefix}`"))),
            _ => Err(no_run(format!("several runs have ids that start with `{prefix}`"))),
        };
    }
    let filter = RunFilter { limit: args.limit.into(), sync_type: args.sync_type.clone(), status: args.status.clone() };
    let tables = match store.list_tables().await {
        // The runs may still be readable.
        Err(error @ StoreError::Hidden { .. }) if args.max_age.is_none() => {
            tracing::warn!("{error}");
            Vec::new()
        }
        tables => explained(&store, tables).await?,
    };
    let stale = args.max_age.map(|max_age| stale_tables(&tables, max_age));
    let status = Status {
        schema: &schema,
        running: explained(&store, store.running_run(&LockOwner::current()).await).await?,
        serve: explained(&store, store.serve_state(&LockOwner::current()).await).await?,
        runs: explained(&store, store.list_runs(&filter).await).await?,
        tables: &tables,
        stale: stale.as_deref(),
        filtered: filter.sync_type.is_some() || filter.status.is_some(),
    };
    report::print_status(&status, args.json)?;
    match (args.max_age, stale) {
        (Some(max_age), Some(stale)) if !stale.is_empty() => Err(too_old(&stale, max_age)),
        (Some(_), _) if tables.iter().all(|table| table.age_seconds.is_none()) => {
            if tables.iter().all(|table| table.first_run_seconds_ago.is_none()) {
                return Err(never(format!("schema {schema} was never synced: no run has started")));
            }
            tracing::warn!("no table was synced yet, and the first run started less than --max-age ago");
            Ok(Exit::Done)
        }
        _ => Ok(Exit::Done),
    }
}

/// The tables whose last successful sync is older than `max_age`, or that never had one.
fn stale_tables(tables: &[TableRow], max_age: Duration) -> Vec<&TableRow> {
    let is_stale = |table: &&TableRow| {
        let age = table.age_seconds.or(table.first_run_seconds_ago);
        // A time in the future comes from a wrong clock.
        age.is_some_and(|age| u64::try_from(age).map_or(true, |age| age > max_age.as_secs()))
    };
    tables.iter().filter(is_stale).collect()
}

fn never(what: String) -> Failure {
    let hint = "check --schema, and whether the schedule runs `wix-sync sync`".to_owned();
    Failure { exit: Exit::Found, error: anyhow!(what), hint: Some(hint) }
}

fn too_old(stale: &[&TableRow], max_age: Duration) -> Failure {
    let tables: Vec<String> = stale.iter().map(|table| report::describe_age(table)).collect();
    Failure {
        exit: Exit::Found,
        error: anyhow!(
            "last successful sync is older than --max-age {}: {}",
            humantime::format_duration(max_age),
            tables.join("; ")
        ),
        hint: Some(
            "`wix-sync status` shows the last runs and their reasons; `wix-sync doctor` looks for the cause".to_owned(),
        ),
    }
}

fn no_run(message: String) -> Failure {
    Failure { exit: Exit::Usage, error: anyhow!(message), hint: Some("`wix-sync status` lists the runs".to_owned()) }
}
