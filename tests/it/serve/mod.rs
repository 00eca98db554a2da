//! `wix-sync serve`: the real binary on a free port, called over HTTP.

mod api;
mod events;
mod operations;
mod page;
mod queue;
pub(crate) mod server;
mod webhooks;
