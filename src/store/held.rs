//! `sync_held`: copies of records that lack a field which their rows have. They wait there until the end of the pass,
//! when the number of rows that would lose it is known.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::connect::Store;
use super::error::StoreError;
use super::row_counts::live_records;
use super::session::{Session, params};
use crate::table::Table;
use crate::table::row::Row;

/// A field of records, such as `booking.contactDetails`, and the number of rows that would lose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The path of the field in the record.
    pub part: String,
    /// Number of held copies without it.
    pub rows: u64,
}

/// Which of these copies lack fields that their rows have, by Wix id.
pub(super) async fn losing(
    session: &Session<'_>,
    table: &'static Table,
    rows: &[&Row],
) -> Result<HashMap<String, Vec<String>>, StoreError> {
    let doing = "could not compare the records of a batch with their rows";
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = include_str!("sql/lost_parts.sql").replace("{table}", table.name).replace("{id}", table.id_column);
    let ids: Vec<&str> = rows.iter().map(|row| row.wix_id.as_str()).collect();
    let records: Vec<&str> = rows.iter().map(|row| row.raw.as_str()).collect();
    session.rows(doing, &statement, params![ids, records]).await?.all()
}

/// Stores copies until the end of the pass.
pub(super) async fn hold(
    session: &Session<'_>,
    table: &'static Table,
    rows: &[&Row],
    lost: &HashMap<String, Vec<String>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = "insert into {schema}.sync_held (table_name, wix_id, lost, record, found_at)
         select $1, u.wix_id, string_to_array(u.lost, E'\\n'), u.record, $5
         from unnest($2::text[], $3::text[], $4::text[]) u (wix_id, lost, record)
         on conflict (table_name, wix_id) do update set lost = excluded.lost, record = excluded.record";
    let held: Vec<&&Row> = rows.iter().filter(|row| lost.contains_key(&row.wix_id)).collect();
    let ids: Vec<&str> = held.iter().map(|row| row.wix_id.as_str()).collect();
    let parts: Vec<String> =
        held.iter().filter_map(|row| lost.get(&row.wix_id)).map(|parts| parts.join("\n")).collect();
    let records: Vec<&str> = held.iter().map(|row| row.raw.as_str()).collect();
    session.write("could not hold copies in sync_held", statement, params![table.name, ids, parts, records, now]).await
}

impl Store {
    /// The fields that held copies lack, the most frequent first, and the number of live rows with a record. Deletes
    /// held copies that have no row any more.
    pub async fn list_losses(&mut self, table: &'static Table) -> Result<(Vec<Loss>, u64), StoreError> {
        let doing = "could not count the held copies";
        let Table { name, id_column, .. } = table;
        let tidy = format!(
            "delete from {{schema}}.sync_held h where h.table_name = $1 and not exists (
                select from {{schema}}.{name} t where t.{id_column} = h.wix_id and t.deleted_at is null and t.raw is not null
             )"
        );
        self.write(doing, &tidy, params![name]).await?;
        let statement = format!(
            "select part, count(*), ({}) as live
             from {{schema}}.sync_held h cross join lateral unnest(h.lost) part
             where h.table_name = $1 group by part order by 2 desc, 1",
            live_records(table)
        );
        let rows = self.rows(doing, &statement, params![name]).await?;
        let live = rows.get::<i64>("live")?.unsigned_abs();
        let losses = rows.map(|(part, rows)| Loss { part, rows: i64::unsigned_abs(rows) })?;
        Ok((losses, live))
    }

    /// The next held copies that lack none of these fields: about this many bytes, at least one copy.
    pub async fn list_held(
        &self,
        table: &'static Table,
        blocked: &HashSet<String>,
        (limit, max_bytes): (i64, i64),
    ) -> Result<Vec<String>, StoreError> {
        let doing = "could not read the held copies";
        let blocked: Vec<&str> = blocked.iter().map(String::as_str).collect();
        let statement = "select record from (
                select wix_id, record, sum(octet_length(record)) over (order by wix_id) - octet_length(record) as before
                from (
                    select wix_id, record from {schema}.sync_held
                    where table_name = $1 and not lost && $2 order by wix_id limit $3
                ) next
             ) counted
             where before < $4 order by wix_id";
        self.rows(doing, statement, params![table.name, blocked, limit, max_bytes]).await?.values()
    }
}
