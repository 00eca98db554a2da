//! Finds user-defined CHECK constraints that refuse rows of wix-sync.
//!
//! Each constraint is evaluated on sample rows: one with only the required values, and one for each status that Wix
//! documents (docs/wix-api.md 7 and 8). A constraint on other values may refuse single records, which is its purpose.

use serde_json::{Value, json};

use super::catalog::Catalog;
use super::connect::Store;
use super::error::StoreError;
use super::needs::TABLES;
use super::problem::{Cause, Effect, Problem, Repair};
use super::schema::{Schema, quoted};
use super::session::{Rows, Session, params};
use crate::table::Table;

const ASKING: &str = "could not evaluate a CHECK constraint";

/// The query that evaluates one constraint. Its first column lists the samples that the constraint refuses.
struct Question {
    table: &'static str,
    name: String,
    statement: String,
    samples: Value,
}

/// One question per constraint that wix-sync did not create.
fn questions(schema: &Schema, catalog: &Catalog) -> Vec<Question> {
    let mut questions = Vec::new();
    for table in TABLES.iter() {
        let (Some(samples), Some(facts)) = (samples(table.name), catalog.get(table.name)) else { continue };
        for (name, expression) in &facts.checks {
            if table.checks.iter().any(|(own, _)| own == name) {
                continue;
            }
            let statement = format!(
                // The expression names columns without their table, so these names must not be possible column names.
                "select wix_sync_sample ->> 'label'
                 from jsonb_array_elements($1::jsonb) with ordinality samples (wix_sync_sample, wix_sync_position)
                 cross join lateral jsonb_populate_record(null::{schema}.{0}, wix_sync_sample -> 'row') {0}
                 where ({expression}) is false
                 order by wix_sync_position",
                table.name
            );
            questions.push(Question { table: table.name, name: name.clone(), statement, samples: samples.clone() });
        }
    }
    questions
}

impl Question {
    fn problem(&self, schema: &Schema, refused: &[String]) -> Option<Problem> {
        let table = self.table;
        (!refused.is_empty()).then(|| Problem {
            table,
            what: format!("CHECK constraint {} on {table} refuses {}", self.name, refused.join(", ")),
            cause: Cause::Foreign,
            effect: if table == "sync_logs" { Effect::StopsRuns } else { Effect::RefusesRows },
            repair: Repair::Sql(format!("alter table {schema}.{table} drop constraint {};", quoted(&self.name))),
        })
    }
}

/// The constraints that refuse rows of wix-sync. A constraint that cannot be evaluated is skipped.
pub(super) async fn refusing_checks(session: &Session<'_>, catalog: &Catalog) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    for question in questions(session.schema, catalog) {
        session.run(ASKING, "savepoint asking").await?;
        // Not `session.rows`: the expression is user-defined and may contain the text `{schema}`.
        let rows = session.transaction.query_typed(&question.statement, params![question.samples]).await;
        match Rows::of(ASKING, rows) {
            Ok(rows) => problems.extend(question.problem(session.schema, &rows.values()?)),
            Err(error) => {
                tracing::debug!(constraint = question.name, error = error.to_string(), "{ASKING}");
                session.run(ASKING, "rollback to savepoint asking").await?;
            }
        }
    }
    Ok(problems)
}

impl Store {
    /// Runs [`refusing_checks`] outside of a transaction.
    pub(super) async fn refusing_checks(&self, catalog: &Catalog) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        for question in questions(&self.schema, catalog) {
            match self.ask(ASKING, &question.statement, params![question.samples]).await {
                Ok(rows) => problems.extend(question.problem(&self.schema, &rows.values()?)),
                Err(error) => tracing::debug!(constraint = question.name, error = error.to_string(), "{ASKING}"),
            }
        }
        Ok(problems)
    }
}

/// Sample rows, each with a label for messages.
fn samples(table: &str) -> Option<Value> {
    let time = "2026-01-31T10:00:00Z";
    let id = "00000000-0000-4000-8000-000000000000";
    if table == "sync_logs" {
        return Some(log_samples(id, time));
    }
    let table = Table::ALL.into_iter().find(|synced| synced.name == table)?;
    let mut base = json!({
        "id": id, "raw": {}, "content_hash": "\\x00", "created_at": time, "updated_at": time,
        "wix_created_at": time, "wix_updated_at": time, "wix_revision": 1, table.id_column: id,
    });
    let varied =
        || table.fields.iter().map(|field| (field.name, field.values)).filter(|(_, values)| !values.is_empty());
    for (column, values) in varied() {
        base[column] = json!(values.first());
    }
    let bare = json!({ "label": "records of which Wix sends nothing but id, dates and status", "row": base });
    let mut samples = vec![bare];
    for (column, values) in varied() {
        for value in values {
            let mut row = base.clone();
            row[column] = json!(value);
            samples.push(json!({ "label": format!("{column} {value}"), "row": row }));
        }
    }
    Some(Value::Array(samples))
}

/// Rows of `sync_logs` as runs write them.
fn log_samples(id: &str, time: &str) -> Value {
    let mut samples = Vec::new();
    for sync_type in Table::ALL.into_iter().map(|table| table.name).chain(["all"]) {
        for status in ["running", "completed", "failed"] {
            let completed_at = (status != "running").then_some(time);
            let row = json!({
                "id": id, "sync_type": sync_type, "status": status, "started_at": time, "completed_at": completed_at,
                "synced_count": 1, "error_count": 0, "created_at": time,
            });
            samples.push(json!({ "label": format!("sync_type {sync_type} with status {status}"), "row": row }));
        }
    }
    Value::Array(samples)
}
