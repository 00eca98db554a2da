//! Wix over HTTP: credentials, rate limit, retries, and pages of records.
//!
//! The entry point is [`client::WixClient::fetch_page`] (for `doctor` [`client::probe`]). Everything that is specific
//! to one table, such as its endpoint and filter, comes as a [`Listing`](crate::table::listing::Listing): nothing here
//! knows the fields of a record.

pub mod auth;
mod client;
mod decode;
mod error;
pub mod page;
pub mod query;
mod rate_limiter;
#[cfg(test)]
mod samples;
mod sanitize;

pub use client::probe::ProbeError;
pub use client::{RequestCounter, WixClient, WixSettings};
pub use error::{Oversize, WixError};
pub use query::Selection;
