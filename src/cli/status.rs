//! `wix-sync status`: the last runs and the state of each table. Reads only.

use anyhow::anyhow;

use super::args::{GlobalArgs, StatusArgs};
use super::exit::Exit;
use super::{Failure, connect};
use crate::config::Environment;
use crate::report;
use crate::store::migrate::SchemaState;
use crate::store::status::RunFilter;

pub(super) async fn run(global: &GlobalArgs, args: &StatusArgs, environment: &Environment) -> Result<Exit, Failure> {
    let store = connect(global, environment).await?;
    let schema = store.schema().name().to_owned();
    let state = store.schema_state().await?;
    if state == SchemaState::NotMigrated {
        report::print_not_migrated(&schema, args.json)?;
        return Ok(Exit::Done);
    }
    store.check_migrated().await?;
    if let Some(prefix) = &args.run {
        return match store.find_runs(prefix).await?.as_slice() {
            [run] => {
                report::print_run(run, args.json)?;
                Ok(Exit::Done)
            }
            [] => Err(no_run(format!("no run's id begins with `{prefix}`"))),
            _ => Err(no_run(format!("the ids of several runs begin with `{prefix}`"))),
        };
    }
    let filter = RunFilter { limit: args.limit.into(), sync_type: args.sync_type.clone(), status: args.status.clone() };
    let runs = store.list_runs(&filter).await?;
    let tables = store.list_tables().await?;
    let filtered = filter.sync_type.is_some() || filter.status.is_some();
    report::print_status(&schema, &tables, &runs, filtered, args.json)?;
    Ok(Exit::Done)
}

fn no_run(message: String) -> Failure {
    Failure { exit: Exit::Usage, error: anyhow!(message), hint: Some("`wix-sync status` lists the runs".to_owned()) }
}
