//! `wix-sync migrate`: brings the schema up to date.

use anyhow::anyhow;

use super::args::{GlobalArgs, MigrateArgs};
use super::connect::connect;
use super::failure::Failure;
use crate::config::Environment;
use crate::exit::Exit;
use crate::report;
use crate::store::migrate::MigrateOptions;

pub(super) async fn run(global: &GlobalArgs, args: &MigrateArgs, environment: &Environment) -> Result<Exit, Failure> {
    let mut store = connect(global, environment).await?;
    let options = MigrateOptions { keep_policies: args.keep_policies, dry_run: args.dry_run };
    let report = store.migrate(options).await?;
    report::print_migration(&report, args.dry_run)?;
    if report.remaining.is_empty() {
        return Ok(Exit::Done);
    }
    let lines: Vec<String> = report
        .remaining
        .iter()
        .map(|(what, sql)| what.clone() + &sql.as_ref().map(|sql| format!(": `{sql}`")).unwrap_or_default())
        .collect();
    Err(Failure {
        exit: Exit::Failed,
        error: anyhow!("schema {}: migrate does not repair this\n  {}", report.schema, lines.join("\n  ")),
        hint: Some("run the SQL that is named here, then `wix-sync migrate` again".to_owned()),
    })
}
