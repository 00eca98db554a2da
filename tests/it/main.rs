//! The tests, one binary. Each runs the built program against a private Postgres and the simulator.
//!
//! - [`first_sync`]: a first and a second sync, compared with the simulator's truth, column by column.

mod first_sync;
mod harness;
