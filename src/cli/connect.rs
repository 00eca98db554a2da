//! Connects a command to the database.

use super::args::GlobalArgs;
use super::failure::Failure;
use crate::config::{DatabaseConfig, Environment};
use crate::store::{Store, StoreError, Target};

pub(super) async fn connect(global: &GlobalArgs, environment: &Environment) -> Result<Store, Failure> {
    let (target, schema) = database(global, environment)?;
    Ok(Store::connect(target, schema.as_deref()).await?)
}

/// Where to connect, and the schema if one is given.
pub(super) fn database(global: &GlobalArgs, environment: &Environment) -> Result<(Target, Option<String>), Failure> {
    let database = DatabaseConfig::resolve(environment, global.database_url.as_deref(), global.schema.as_deref())?;
    Ok((Target::resolve(&database.settings).map_err(StoreError::BadUrl)?, database.schema))
}

/// Adds an explanation to an error of Postgres if the tables were changed manually.
pub(super) async fn explained<T>(store: &Store, result: Result<T, StoreError>) -> Result<T, Failure> {
    match result {
        Err(error @ StoreError::Database { .. }) => Err(store.explain(error).await.into()),
        other => Ok(other?),
    }
}
