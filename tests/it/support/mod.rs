//! Support for the tests: servers, simulated sites, the binary, and the oracle.

pub(crate) mod authority;
pub(crate) mod cutting_proxy;
pub(crate) mod harness;
pub(crate) mod monitor;
pub(crate) mod redact;
pub(crate) mod running;
pub(crate) mod small_disk;
#[cfg(target_os = "linux")]
pub(crate) mod terminal;
pub(crate) mod tls_front;
pub(crate) mod truth;
