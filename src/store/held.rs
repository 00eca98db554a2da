//! `sync_held`: copies of records that lose a part which their rows have. They wait there until the end of the pass, when
//! it is known how many rows would lose it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::live_records;
use super::connect::{Store, column, count_at, first_column};
use super::error::StoreError;
use super::schema::Schema;
use crate::record::Row;
use crate::stream::Stream;

/// A part of records, such as `booking.contactDetails`, and how many rows would lose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The member's path in the record.
    pub part: String,
    /// How many held copies lack it.
    pub rows: u64,
}

/// Which of these copies lose parts that their rows have, by Wix id.
pub(super) async fn losing(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    rows: &[&Row],
) -> Result<HashMap<String, Vec<String>>, StoreError> {
    let doing = "could not compare the records of a batch with their rows";
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let statement =
        include_str!("sql/lost_parts.sql").replace("{table}", stream.table()).replace("{id}", stream.id_column());
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let records: Vec<&str> = rows.iter().map(|row| row.raw.as_str()).collect();
    let found = transaction
        .query_typed(&schema.sql(&statement), &[(&ids, Type::TEXT_ARRAY), (&records, Type::TEXT_ARRAY)])
        .await
        .map_err(StoreError::database(doing))?;
    found.iter().map(|row| Ok((column(row, 0, doing)?, column(row, 1, doing)?))).collect()
}

/// Holds copies until the end of the pass.
pub(super) async fn hold(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    rows: &[&Row],
    lost: &HashMap<String, Vec<String>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = schema.sql(
        "insert into {schema}.sync_held (table_name, wix_id, lost, record, found_at)
         select $1, u.wix_id, string_to_array(u.lost, E'\\n'), u.record, $5
         from unnest($2::text[], $3::text[], $4::text[]) u (wix_id, lost, record)
         on conflict (table_name, wix_id) do update set lost = excluded.lost, record = excluded.record",
    );
    let held: Vec<&&Row> = rows.iter().filter(|row| lost.contains_key(&row.wix_id)).collect();
    let ids: Vec<&str> = held.iter().map(|row| row.wix_id.as_str()).collect();
    let parts: Vec<String> =
        held.iter().filter_map(|row| lost.get(&row.wix_id)).map(|parts| parts.join("\n")).collect();
    let records: Vec<&str> = held.iter().map(|row| row.raw.as_str()).collect();
    transaction
        .execute_typed(
            &statement,
            &[
                (&stream.table(), Type::TEXT),
                (&ids, Type::TEXT_ARRAY),
                (&parts, Type::TEXT_ARRAY),
                (&records, Type::TEXT_ARRAY),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await
        .map(drop)
        .map_err(StoreError::database("could not hold copies in sync_held"))
}

/// Forgets copies that were held: a newer one came.
pub(super) async fn release(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    wix_ids: &[&str],
) -> Result<(), StoreError> {
    let statement = schema.sql("delete from {schema}.sync_held where table_name = $1 and wix_id = any ($2)");
    transaction
        .execute_typed(&statement, &[(&stream.table(), Type::TEXT), (&wix_ids, Type::TEXT_ARRAY)])
        .await
        .map(drop)
        .map_err(StoreError::database("could not clear sync_held"))
}

impl Store {
    /// What held copies lose, the part that most of them lose first; and how many rows of the table Wix is supposed to
    /// have. Copies of rows that are gone, or whose row has that very content by now, are forgotten.
    pub async fn list_losses(&mut self, stream: Stream) -> Result<(Vec<Loss>, u64), StoreError> {
        let doing = "could not count the held copies";
        let (table, id) = (stream.table(), stream.id_column());
        let tidy = self.schema.sql(&format!(
            "delete from {{schema}}.sync_held h where h.table_name = $1 and not exists (
                select from {{schema}}.{table} t where t.{id} = h.wix_id and t.deleted_at is null and t.raw is not null
             )"
        ));
        self.write(doing, &tidy, &[(&table, Type::TEXT)]).await?;
        let statement = self.schema.sql(&format!(
            "select part, count(*), ({})
             from {{schema}}.sync_held h cross join lateral unnest(h.lost) part
             where h.table_name = $1 group by part order by 2 desc, 1",
            live_records(stream)
        ));
        let rows = self.query_once(doing, &statement, &[(&table, Type::TEXT)]).await?;
        let live = count_at(&rows, 2, doing)?;
        let losses = rows
            .iter()
            .map(|row| Ok(Loss { part: column(row, 0, doing)?, rows: column::<i64>(row, 1, doing)?.unsigned_abs() }))
            .collect::<Result<_, StoreError>>()?;
        Ok((losses, live))
    }

    /// The next held copies that lose none of these parts, of about this many bytes: one at least.
    pub async fn list_held(
        &self,
        stream: Stream,
        blocked: &HashSet<String>,
        (limit, max_bytes): (i64, i64),
    ) -> Result<Vec<String>, StoreError> {
        let doing = "could not read the held copies";
        let blocked: Vec<&str> = blocked.iter().map(String::as_str).collect();
        let statement = self.schema.sql(
            "select record from (
                select wix_id, record, sum(octet_length(record)) over (order by wix_id) - octet_length(record) as before
                from (
                    select wix_id, record from {schema}.sync_held
                    where table_name = $1 and not lost && $2 order by wix_id limit $3
                ) next
             ) counted
             where before < $4 order by wix_id",
        );
        let rows = self
            .query_once(
                doing,
                &statement,
                &[
                    (&stream.table(), Type::TEXT),
                    (&blocked, Type::TEXT_ARRAY),
                    (&limit, Type::INT8),
                    (&max_bytes, Type::INT8),
                ],
            )
            .await?;
        first_column(&rows, doing)
    }
}
