//! `wix-sync doctor`: see [`crate::doctor`].

use super::args::{DoctorArgs, GlobalArgs};
use super::failure::Failure;
use crate::config::Environment;
use crate::doctor::{Mark, examine};
use crate::exit::Exit;
use crate::report;

pub(super) async fn run(global: &GlobalArgs, args: &DoctorArgs, environment: &Environment) -> Result<Exit, Failure> {
    let findings = examine(environment, global.database_url.as_deref(), global.schema.as_deref()).await;
    let is_fault = findings.iter().any(|finding| finding.outcome.mark == Mark::Fail);
    let exit = if is_fault { Exit::Found } else { Exit::Done };
    report::print_findings(&findings, exit as u8, args.json)?;
    Ok(exit)
}
