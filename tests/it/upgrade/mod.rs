//! Schemas: created, upgraded, adopted, changed manually.

pub(crate) mod adoption;
pub(crate) mod adoption_refused;
pub(crate) mod changed_by_hand;
pub(crate) mod migrate;
pub(crate) mod migrate_failures;
