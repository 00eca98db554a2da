//! The connection of a command to the database.

use super::args::GlobalArgs;
use super::failure::Failure;
use crate::config::{DatabaseConfig, Environment};
use crate::store::{Store, StoreError, Target};

pub(super) async fn connect(global: &GlobalArgs, environment: &Environment) -> Result<Store, Failure> {
    let database = DatabaseConfig::resolve(environment, global.database_url.as_deref(), global.schema.as_deref())?;
    let target = Target::resolve(&database.settings).map_err(StoreError::BadUrl)?;
    Ok(Store::connect(target, database.schema.as_deref()).await?)
}

/// An error of Postgres is explained if the tables were changed by hand.
pub(super) async fn explained<T>(store: &Store, result: Result<T, StoreError>) -> Result<T, Failure> {
    match result {
        Err(error @ StoreError::Database { .. }) => Err(store.explain(error).await.into()),
        other => Ok(other?),
    }
}
