//! Wix's query language: filters, sorts, selections and cursors.

pub(crate) mod cursor;
pub(crate) mod fields;
pub(crate) mod filter;
pub(crate) mod select;
pub(crate) mod value;
