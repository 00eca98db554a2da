//! A run, and the loop that takes a page of records from Wix to COMMIT.

mod batch;
mod by_id;
pub mod compare;
mod context;
mod coverage;
mod dead_letters;
mod deletions;
mod drain;
mod drift;
mod inbox;
mod linking;
mod lookup;
mod losses;
mod pagination;
mod pass;
mod placeholders;
pub mod plan;
mod range;
mod reader;
mod repair;
mod room;
mod run;
mod site;
mod statuses;
mod warnings;

pub use self::context::{Plan, Run, SyncError, Uncompared, Work};
pub use self::drain::{Drained, drain};
pub use self::range::{Bound, Range};
pub use self::run::{RunOutcome, run, unless_overdue};
pub use self::site::check_site;
