//! The tests, one binary. Each runs the built program against a private Postgres and the simulator.
//!
//! - [`wix`]: what Wix sends, and what becomes of it.
//! - [`postgres`]: what Postgres, poolers, networks, clocks and other sessions do to a run.
//! - [`commands`]: what the commands print and how they exit, and the documentation.
//! - [`upgrade`]: schemas that are made, upgraded, adopted, or changed by hand.
//! - [`serve`]: the HTTP server: its answers, its queue, its limits, and its page in a browser.
//! - [`soak`]: a changing site, every fault and kills at random, for as long as is wanted.
//! - [`circles`]: no circular imports.
//! - [`tidy`]: the rules of the project: imports, printing, SQL, file lengths.
//! - [`support`]: what the tests use: servers, simulated sites, the binary between them, and the oracle.

mod circles;
mod commands;
mod postgres;
mod serve;
mod soak;
mod support;
mod tidy;
mod upgrade;
mod wix;
