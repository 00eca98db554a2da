//! The simulator seen from outside, over HTTP.

mod client;
mod faults;
mod lists;
mod refusals;
mod site;
mod walks;
