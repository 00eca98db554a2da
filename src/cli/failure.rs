//! A failed command: the error, what to do, and the exit code.

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::store::StoreError;
use crate::sync::SyncError;
use crate::wix::WixError;

/// A command that could not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: anyhow::Error,
    pub(super) hint: Option<String>,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure { exit: Exit::Usage, hint: error.hint.clone(), error: error.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        SyncError::from(error).into()
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Failure {
        let exit = match (&error, error.stop_reason()) {
            (_, Some(reason)) => Exit::of_stop(reason),
            (SyncError::Store(StoreError::Locked { .. }), _) => Exit::Locked,
            (SyncError::Store(error), _) if error.is_configuration() => Exit::Usage,
            (SyncError::Wix(WixError::Setup(_)) | SyncError::WrongInstallation(_), _) => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure { exit, hint: error.hint(), error: error.into() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure { exit: Exit::Failed, hint: None, error: error.into() }
    }
}
