//! Effects of Postgres, poolers, networks, clocks and other sessions on a run.

pub(crate) mod access;
pub(crate) mod books;
pub(crate) mod clocks;
pub(crate) mod connection_urls;
pub(crate) mod crashes;
pub(crate) mod database_faults;
pub(crate) mod disk_full;
pub(crate) mod hostile;
pub(crate) mod lease;
pub(crate) mod lost_answers;
pub(crate) mod pooler;
pub(crate) mod refusals;
pub(crate) mod supabase;
pub(crate) mod tls;
pub(crate) mod waiting;
