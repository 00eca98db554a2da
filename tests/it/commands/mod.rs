//! What the commands print and how they exit, and the documentation.

pub(crate) mod cli_output;
pub(crate) mod docs;
pub(crate) mod docs_sql;
pub(crate) mod doctor;
mod doctor_tables;
pub(crate) mod escapes;
pub(crate) mod health;
mod init;
pub(crate) mod log_lines;
pub(crate) mod metrics_file;
pub(crate) mod progress;
pub(crate) mod quiet;
pub(crate) mod repair;
pub(crate) mod shell;
pub(crate) mod signals_out;
pub(crate) mod status;
pub(crate) mod verify;
