//! Everything about Postgres. No other module depends on the database's client.
//!
//! Direct connections and transaction-mode poolers use the same code: unnamed typed statements, `SET LOCAL`, and no
//! state outside a transaction. Every statement names its schema.

mod access;
mod adopt;
pub mod batch;
mod blocker;
mod catalog;
mod checks;
mod clock;
mod columns;
pub mod compare;
mod connect;
mod connection_string;
pub mod dead_letters;
mod dial;
mod dial_hint;
mod erase;
mod error;
mod fence;
pub mod held;
pub mod inbox;
mod inspect;
pub mod lease;
mod limits;
pub mod links;
mod locks;
pub mod migrate;
pub mod migrations;
pub mod missing;
pub mod narrow;
mod needs;
mod notes;
mod options;
mod passfile;
mod problem;
pub mod queue;
mod repair;
pub mod retry;
pub mod row_counts;
pub mod runs;
mod schema;
mod schema_check;
pub mod serve;
mod session;
pub mod span;
pub mod state;
pub mod status;
mod target;
mod tls;
mod unreadable;
mod upsert;
pub mod write;

pub use access::PublicAccess;
pub use connect::Store;
pub use error::StoreError;
pub use inspect::Encryption;
pub use target::Target;
pub use tls::TlsMode;
