//! One of the tables that are synced.

use crate::table::Table;

pub type Stream = &'static Table;
