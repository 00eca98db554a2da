//! wix-sync keeps the Postgres tables `customers`, `appointments` and `orders` as Wix has them.
//!
//! The modules form floors; imports point down only (ARCHITECTURE.md has the picture):
//!
//! - [`cli`]: commands, flags, exit codes. Wires everything below.
//! - [`report`]: the only place that prints: bars, log lines, tables, JSON, errors.
//! - [`sync`]: a run, and the loop that takes a page of records from Wix to COMMIT.
//! - [`entity`]: what differs between the three streams: where Wix lists it, how a record maps to a row.
//! - [`wix`]: Wix over HTTP: credentials, budget, retries, pages.
//! - [`store`]: Postgres: connection, migrations, writing rows, the run log, status.
//! - [`healthcheck`]: tells a monitor how a run ends.
//! - [`config`]: flags and environment, checked once.
//! - The rest are values and pure rules without I/O.
//!
//! To follow one page of records, read [`sync::stream_sync`] from top to bottom.

pub mod cli;
pub mod report;

pub mod sync;

pub mod entity;

pub mod config;
pub mod healthcheck;
pub mod store;
pub mod wix;

pub mod address;
pub mod checkpoint;
pub mod comparison;
pub mod content_hash;
pub mod database;
pub mod difference;
pub mod event;
pub mod excerpt;
pub mod finding;
pub mod holder;
pub mod installation;
pub mod json;
pub mod json_damage;
pub mod json_text;
pub mod network;
pub mod off_thread;
pub mod page;
pub mod progress;
pub mod record;
pub mod retry;
pub mod run;
pub mod secret;
pub mod stop;
pub mod stream;
pub mod timestamp;
pub mod visible;
