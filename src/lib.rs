//! wix-sync copies a Wix site's contacts, bookings and orders into the Postgres tables `customers`, `appointments` and
//! `orders`, and keeps them up to date.
//!
//! The crate exports only [`cli::main`]. The modules form layers, and imports point down only (see ARCHITECTURE.md):
//!
//! - `cli`: commands, flags, exit codes. Connects the other modules.
//! - `serve`: the HTTP server: triggers, status, schedule, page.
//! - `notify`: notifications about a run: a healthcheck's pings, and a metrics file.
//! - `report`: the only place that prints: progress bars, log lines, tables, JSON, errors.
//! - `doctor`: checks everything that a run depends on.
//! - `sync`: a run, and the loop that takes a page of records from Wix to COMMIT.
//! - `table`: what differs between the three tables: where Wix lists the records, how a record maps to a row.
//! - `wix`: Wix over HTTP: credentials, rate limit, retries, pages.
//! - `store`: Postgres: connection, migrations, writing rows, the run log, status.
//! - `healthcheck`: notifies a monitor of the start and the end of a run.
//! - `config`: checked settings from flags and environment.
//! - The rest are values and pure rules without I/O.
//!
//! To follow one page of records, read `src/sync/pass.rs` from top to bottom.

pub mod cli;
mod notify;
mod report;
mod serve;

mod doctor;
mod sync;

mod table;

mod config;
mod healthcheck;
// `store` still re-exports `Schema`, which nothing outside of it uses.

mod store;
mod wix;

mod address;
mod checkpoint;
mod database;
mod diff;
mod difference;
mod event;
mod exit;
mod installation;
mod json_time;
mod lock_owner;
mod network;
mod number;
mod progress;
mod retry;
mod run;
mod secret;
mod spawn_blocking;
mod stop;
mod visible;
