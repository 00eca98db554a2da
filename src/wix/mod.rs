//! Wix over HTTP: credentials, rate limit, retries, and pages of records.
//!
//! The entry point is [`client::WixClient::fetch_page`] (for `doctor` [`client::probe`]). Everything that is specific
//! to one table (which endpoint, which filter) comes as a [`Listing`](crate::table::listing::Listing); nothing here knows a record's shape.

mod answer;
pub mod auth;
mod client;
mod error;
mod gate;
pub mod page;
pub mod query;
#[cfg(test)]
mod samples;
mod sanitize;

pub use client::probe::ProbeError;
pub use client::{RequestCounter, WixClient, WixSettings};
pub use error::{Oversize, WixError};
pub use query::Selection;
