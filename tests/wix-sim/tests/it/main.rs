//! The simulator seen from outside, over HTTP.

mod client;
mod faults;
mod refusals;
mod site;
mod walks;
