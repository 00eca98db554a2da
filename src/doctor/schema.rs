//! Whether the schema is migrated, and as wix-sync needs it.

use super::finding::Outcome;
use crate::store::migrations::{SchemaState, UNRECORDED};
use crate::store::{Store, StoreError};

/// How far the schema is migrated. An error of Postgres is explained if the tables were changed by hand.
pub(super) async fn state(store: &Store) -> Result<SchemaState, StoreError> {
    match store.schema_state().await {
        Err(error @ StoreError::Database { .. }) => Err(store.explain(error).await),
        state => state,
    }
}

pub(super) fn migrations(store: &Store, state: SchemaState) -> Outcome {
    let schema = store.schema().name();
    let found = match state {
        SchemaState::Current => return Outcome::ok(format!("schema {schema} is up to date")),
        SchemaState::NotMigrated => format!("schema {schema} is not migrated yet"),
        SchemaState::Unrecorded => format!("schema {schema}: {UNRECORDED}"),
        SchemaState::Pending(pending) => format!("schema {schema} is not up to date: {pending} pending"),
    };
    Outcome::fail(found, "run `wix-sync migrate`")
}

pub(super) async fn problems(store: &Store) -> Result<Vec<Outcome>, StoreError> {
    let problems = store.schema_problems().await?;
    if problems.is_empty() {
        return Ok(vec![Outcome::ok("tables, columns, constraints and indexes are as wix-sync needs them")]);
    }
    let outcome = |(what, sql): (String, Option<String>)| match sql {
        Some(sql) => Outcome::fail(what, format!("run `{sql}`, then `wix-sync migrate`")),
        None => Outcome::fail(what, "run `wix-sync migrate`: it restores this, or says what is in the way"),
    };
    Ok(problems.into_iter().map(outcome).collect())
}
