//! The tests, one binary. Each runs the built program against a private Postgres and the simulator.
//!
//! - [`wix`]: responses of Wix and how runs handle them.
//! - [`postgres`]: effects of Postgres, poolers, networks, clocks and other sessions on a run.
//! - [`commands`]: output and exit codes of the commands, and the documentation.
//! - [`upgrade`]: schemas that are created, upgraded, adopted, or changed manually.
//! - [`serve`]: the HTTP server: its responses, its queue, its limits, and its page in a browser.
//! - [`soak`]: a changing site with random faults and kills, for a chosen time.
//! - [`circles`]: no circular imports.
//! - [`tidy`]: the rules of the project: imports, printing, SQL, file lengths.
//! - [`support`]: support for the tests: servers, simulated sites, the binary, and the oracle.

mod circles;
mod commands;
mod postgres;
mod serve;
mod soak;
mod support;
mod tidy;
mod upgrade;
mod wix;
