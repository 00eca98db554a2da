//! A private PostgreSQL server for tests, examples and continuous integration. Unix only.
//!
//! [`Server::start`] gives a real server of its own in under 0.1 s: no port, no shared state, nothing to
//! install by hand and nothing left behind. [`PgBouncer`] puts a real pooler in front of it.
//!
//! ```no_run
//! let server = private_postgres::Server::start()?;
//! println!("psql '{}'", server.url("postgres"));
//! # Ok::<(), private_postgres::Error>(())
//! ```

mod account;
mod archive;
mod binaries;
mod builder;
mod error;
mod leash;
mod obtain;
mod packages;
mod pgbouncer;
mod pins;
mod scratch;
mod server;
mod url;

pub use binaries::{Binaries, SUPPORTED};
pub use builder::Builder;
pub use error::{Error, Result};
pub use pgbouncer::{PgBouncer, PgBouncerBuilder, PoolMode};
pub use server::Server;
