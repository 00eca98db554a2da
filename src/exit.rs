//! Exit codes, which scripts rely on (README.md lists them).

use std::process::ExitCode;

use crate::run::{RunSummary, Status};
use crate::stop::StopReason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, complete.
    Done = 0,
    /// The command failed, or at least one table failed.
    Failed = 1,
    /// Wrong usage or configuration; nothing was started.
    Usage = 2,
    /// Success, but something was left out. The output names it.
    Incomplete = 3,
    /// Another run holds the lock.
    Locked = 4,
    /// A check found a problem.
    Found = 5,
    /// Stopped at `--time-limit`.
    TimeLimit = 6,
    /// Stopped by SIGHUP.
    HungUp = 129,
    /// Stopped by SIGINT.
    Interrupted = 130,
    /// Stopped by SIGTERM.
    Terminated = 143,
}

impl Exit {
    pub fn of_run(summary: &RunSummary, stopped: Option<StopReason>) -> Exit {
        match (stopped, summary.status) {
            (Some(reason), _) => Exit::of_stop(reason),
            (None, Status::Completed) if summary.tables.iter().all(|table| table.is_complete()) => Exit::Done,
            (None, Status::Completed) => Exit::Incomplete,
            (None, _) => Exit::Failed,
        }
    }

    pub fn of_stop(reason: StopReason) -> Exit {
        match reason {
            StopReason::Interrupt => Exit::Interrupted,
            StopReason::HangUp => Exit::HungUp,
            StopReason::Terminate => Exit::Terminated,
            StopReason::TimeLimit => Exit::TimeLimit,
            StopReason::LeaseLost | StopReason::DatabaseSilent => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use uuid::Uuid;

    use super::Exit;
    use crate::run::{PassKind, RunSummary, Status, TableSummary};
    use crate::stop::StopReason;
    use crate::table::ORDERS;

    fn summary(status: Status, change: impl FnOnce(&mut TableSummary)) -> RunSummary {
        let mut table = TableSummary::new(&ORDERS, PassKind::Full);
        table.status = status;
        change(&mut table);
        RunSummary {
            run_id: Uuid::nil(),
            sync_type: "orders".to_owned(),
            status,
            started_at: Utc::now(),
            duration_ms: 0,
            tables: vec![table],
            error: None,
        }
    }

    #[test]
    fn only_a_run_that_left_nothing_out_is_zero() {
        assert_eq!(Exit::of_run(&summary(Status::Completed, |_| {}), None), Exit::Done);
        assert_eq!(
            Exit::of_run(&summary(Status::Completed, |table| table.add_error(None, "x".into())), None),
            Exit::Incomplete
        );
        assert_eq!(Exit::of_run(&summary(Status::Completed, |table| table.incomplete = true), None), Exit::Incomplete);
        assert_eq!(Exit::of_run(&summary(Status::Failed, |_| {}), None), Exit::Failed);
        assert_eq!(Exit::of_run(&summary(Status::Failed, |_| {}), Some(StopReason::Interrupt)) as u8, 130);
        assert_eq!(Exit::of_run(&summary(Status::Failed, |_| {}), Some(StopReason::HangUp)) as u8, 129);
        assert_eq!(Exit::of_run(&summary(Status::Failed, |_| {}), Some(StopReason::Terminate)) as u8, 143);
    }
}
