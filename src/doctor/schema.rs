//! Checks whether the schema is migrated and as wix-sync needs it.

use super::finding::Outcome;
use crate::store::migrations::{SchemaState, UNRECORDED};
use crate::store::{Store, StoreError};

/// Whether the schema is migrated. An error of Postgres is explained if the tables were changed manually.
pub(super) async fn state(store: &Store) -> Result<SchemaState, StoreError> {
    match store.schema_state().await {
        Err(error @ StoreError::Database { .. }) => Err(store.explain(error).await),
        state => state,
    }
}

pub(super) fn migrations(store: &Store, state: SchemaState) -> Outcome {
    let schema = store.schema().name();
    let message = match state {
        SchemaState::Current => return Outcome::ok(format!("schema {schema} is up to date")),
        SchemaState::NotMigrated => format!("schema {schema} is not migrated yet"),
        SchemaState::Unrecorded => format!("schema {schema}: {UNRECORDED}"),
        SchemaState::Pending(pending) => format!("schema {schema} is not up to date: {pending} pending"),
    };
    Outcome::problem(message, "run `wix-sync migrate`")
}

/// The differences of a migrated schema from what wix-sync needs.
pub(super) async fn problems(store: &Store) -> Result<Vec<Outcome>, StoreError> {
    let problems = store.schema_problems().await?;
    if problems.is_empty() {
        return Ok(vec![Outcome::ok("tables, columns, constraints and indexes are as wix-sync needs them")]);
    }
    let outcome = |(what, sql): (String, Option<String>)| match sql {
        Some(sql) => Outcome::problem(what, format!("run `{sql}`, then `wix-sync migrate`")),
        None => Outcome::problem(what, "run `wix-sync migrate`: it restores this, or says what prevents it"),
    };
    Ok(problems.into_iter().map(outcome).collect())
}

/// Tables that exist before the first `migrate`. It adopts those that it can use, and refuses the others.
pub(super) async fn existing_tables(store: &Store) -> Result<Vec<Outcome>, StoreError> {
    let existing = store.existing_tables().await?;
    if existing.tables.is_empty() {
        return Ok(Vec::new());
    }
    let obstacle = |(what, sql): (String, Option<String>)| match sql {
        Some(sql) => Outcome::problem(what, format!("run `{sql}`, then `wix-sync migrate`")),
        None => Outcome::problem(what, "rename that table, or give wix-sync another schema with --schema"),
    };
    let mut outcomes: Vec<Outcome> = existing.obstacles.into_iter().map(obstacle).collect();
    if outcomes.is_empty() {
        outcomes.push(Outcome::warning(
            format!("wix-sync did not create {}, and `migrate` adopts what is there", existing.tables.join(", ")),
            "see what would change with `wix-sync migrate --dry-run`, or choose another schema with --schema",
        ));
    }
    Ok(outcomes)
}
