//! Wix over HTTP: credentials, rate limit, retries, and pages of records.
//!
//! The entry point is [`client::WixClient::fetch_page`], or [`client::probe`] for `doctor`. Everything that depends on
//! a table, such as endpoint and filter, is in its [`Listing`](crate::table::listing::Listing): this module does not
//! know the fields of a record.

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
#[cfg(test)]
mod test_lists;

pub use client::probe::ProbeError;
pub use client::{RequestCounter, WixClient, WixSettings};
pub use error::{Oversize, WixError};
pub use query::Selection;
