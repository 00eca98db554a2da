//! What `status` shows. Reads only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use crate::stream::Stream;

/// One row of `sync_logs`.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    /// Its id; any unique beginning of it names it.
    pub id: Uuid,
    /// `customers`, `appointments`, `orders` or `all`.
    pub sync_type: String,
    /// `running`, `completed` or `failed`.
    pub status: String,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; null while it runs.
    pub completed_at: Option<DateTime<Utc>>,
    /// Records that stood in the tables as Wix had them.
    pub synced_count: i64,
    /// Records that could not be written.
    pub error_count: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// What it did, per table.
    pub results: Option<serde_json::Value>,
}

/// How one table stands.
#[derive(Clone, Debug, Serialize)]
pub struct TableRow {
    /// The table's name.
    pub table: &'static str,
    /// Rows that Wix has.
    pub rows: i64,
    /// Rows that Wix had once.
    pub deleted_rows: i64,
    /// Records that wait in `sync_errors`.
    pub unresolved_errors: i64,
    /// When the last full pass ended well.
    pub last_full_pass_at: Option<DateTime<Utc>>,
    /// Wix's clock up to which changes are known to be here.
    pub watermark: Option<DateTime<Utc>>,
}

/// Which runs to show.
#[derive(Clone, Debug)]
pub struct RunFilter {
    /// At most so many, newest first.
    pub limit: i64,
    /// Only runs of this type.
    pub sync_type: Option<String>,
    /// Only runs with this status.
    pub status: Option<String>,
}

const RUN_COLUMNS: &str =
    "id, sync_type::text, status::text, started_at, completed_at, coalesce(synced_count, 0)::bigint,
    coalesce(error_count, 0)::bigint, error::text, results::jsonb";

impl Store {
    /// The last runs, newest first.
    pub async fn list_runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let statement = self.schema.sql(&format!(
            "select {RUN_COLUMNS} from {{schema}}.sync_logs
             where ($2::text is null or sync_type = $2) and ($3::text is null or status = $3)
             order by started_at desc nulls last, id limit $1"
        ));
        let rows = self
            .client
            .query_typed(
                &statement,
                &[(&filter.limit, Type::INT8), (&filter.sync_type, Type::TEXT), (&filter.status, Type::TEXT)],
            )
            .await
            .map_err(StoreError::database("could not read sync_logs"))?;
        Ok(rows.iter().map(run_row).collect())
    }

    /// The runs whose ids begin with `prefix`, two at most: enough to see whether it is unique.
    pub async fn find_runs(&self, prefix: &str) -> Result<Vec<RunRow>, StoreError> {
        let statement = self.schema.sql(&format!(
            "select {RUN_COLUMNS} from {{schema}}.sync_logs where starts_with(id::text, $1) order by started_at desc nulls last limit 2"
        ));
        let rows = self
            .client
            .query_typed(&statement, &[(&prefix.to_ascii_lowercase(), Type::TEXT)])
            .await
            .map_err(StoreError::database("could not read sync_logs"))?;
        Ok(rows.iter().map(run_row).collect())
    }

    /// How each table stands.
    pub async fn list_tables(&self) -> Result<Vec<TableRow>, StoreError> {
        let mut tables = Vec::new();
        for stream in Stream::ALL {
            let (table, id) = (stream.table(), stream.id_column());
            let statement = self.schema.sql(&format!(
                "select
                    (select count(*) from {{schema}}.{table} where {id} is not null and deleted_at is null),
                    (select count(*) from {{schema}}.{table} where {id} is not null and deleted_at is not null),
                    (select count(*) from {{schema}}.sync_errors where table_name = $1 and resolved_at is null),
                    (select last_full_pass_at from {{schema}}.sync_state where table_name = $1),
                    (select watermark from {{schema}}.sync_state where table_name = $1)"
            ));
            let rows = self
                .client
                .query_typed(&statement, &[(&table, Type::TEXT)])
                .await
                .map_err(StoreError::database("could not read the state of the tables"))?;
            if let Some(row) = rows.first() {
                tables.push(TableRow {
                    table,
                    rows: row.get(0),
                    deleted_rows: row.get(1),
                    unresolved_errors: row.get(2),
                    last_full_pass_at: row.get(3),
                    watermark: row.get(4),
                });
            }
        }
        Ok(tables)
    }
}

fn run_row(row: &Row) -> RunRow {
    RunRow {
        id: row.get(0),
        sync_type: row.get(1),
        status: row.get(2),
        started_at: row.get(3),
        completed_at: row.get(4),
        synced_count: row.get(5),
        error_count: row.get(6),
        error: row.get(7),
        results: row.get(8),
    }
}
