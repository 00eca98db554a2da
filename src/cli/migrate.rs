//! `wix-sync migrate`: brings the schema up to date.

use super::args::{GlobalArgs, MigrateArgs};
use super::exit::Exit;
use super::{Failure, connect};
use crate::config::Environment;
use crate::report;

pub(super) async fn run(global: &GlobalArgs, args: &MigrateArgs, environment: &Environment) -> Result<Exit, Failure> {
    let mut store = connect(global, environment).await?;
    let report = store.migrate(args.keep_policies).await?;
    report::print_migration(&report)?;
    Ok(Exit::Done)
}
