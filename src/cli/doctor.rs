//! `wix-sync doctor`: see [`crate::doctor`].

use super::args::{DoctorArgs, GlobalArgs};
use super::failure::Failure;
use crate::config::Environment;
use crate::doctor::examine;
use crate::exit::Exit;
use crate::report;

pub(super) async fn run(global: &GlobalArgs, args: &DoctorArgs, environment: &Environment) -> Result<Exit, Failure> {
    let findings = examine(environment, global.database_url.as_deref(), global.schema.as_deref()).await;
    let exit = if findings.iter().any(|finding| finding.outcome.is_problem()) { Exit::Found } else { Exit::Done };
    report::print_findings(&findings, exit as u8, args.json)?;
    Ok(exit)
}
