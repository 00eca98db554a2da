//! `sync_state`: the site that the tables belong to, and the progress of each table's passes.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::connect::Store;
use super::error::StoreError;
use super::row_counts::{RowCounts, check_count, check_row_count, live_records, live_rows};
use super::session::{Parameter, params};
use crate::checkpoint::{Checkpoint, Drift, KnownStatuses, TableState};
use crate::installation::{Claim, Remembered, RememberedInstallation};
use crate::run::PassKind;
use crate::table::Table;

#[derive(Debug, Default)]
pub struct RunEnd {
    /// Whether `sync_unlinked` has rows.
    pub has_unlinked: bool,
    /// Whether `sync_logs` or `sync_errors` may have rows to delete.
    pub has_old_logs: bool,
    /// Error for the first table that another program changed: its write number or number of live rows is wrong.
    pub differing: Option<StoreError>,
}

impl Store {
    /// The sites whose records the tables hold; more than one only after a manual change. Empty if no record was ever
    /// written: then a stored site was a wrong id.
    pub async fn noted_sites(&self) -> Result<Vec<String>, StoreError> {
        let statement =
            format!("select distinct wix_site_id from {{schema}}.sync_state where {} order by 1", has_data());
        let doing = "could not read which site the tables hold";
        self.rows(doing, &statement, params![]).await?.values()
    }

    /// Refuses a site other than the one whose records the tables hold. True if the site is stored for all tables.
    pub async fn check_site(&self, site_id: &str) -> Result<bool, StoreError> {
        let doing = "could not read which site the tables hold";
        let statement = format!("select wix_site_id, {} from {{schema}}.sync_state", has_data());
        let noted = self.rows(doing, &statement, params![]).await?;
        let mut is_noted = noted.len() >= Table::ALL.len();
        for (noted, has_data) in noted.all::<(String, bool), Vec<_>>()? {
            if noted != site_id && has_data {
                let (schema, given) = (self.schema.name().to_owned(), site_id.to_owned());
                return Err(StoreError::OtherSite { schema, noted, given });
            }
            is_noted &= noted == site_id;
        }
        Ok(is_noted)
    }

    /// Stores the site. The schema belongs to it as soon as a record was read from it.
    pub async fn note_site(&mut self, site_id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let tables: Vec<&str> = Table::ALL.iter().map(|table| table.name).collect();
        let statement = "insert into {schema}.sync_state (table_name, wix_site_id, updated_at)
             select t, $2, $3 from unnest($1::text[]) t order by t
             on conflict (table_name) do update set wix_site_id = excluded.wix_site_id";
        self.write("could not record the site in sync_state", statement, params![tables, site_id, now]).await
    }

    pub async fn remembered_installation(&self) -> Result<Remembered, StoreError> {
        let doing = "could not read which app installation the tables are filled through";
        let statement =
            format!("select distinct wix_instance_id, wix_instance_site_id, {} from {{schema}}.sync_state", has_data());
        let rows = self.rows(doing, &statement, params![]).await?;
        let mut remembered = Remembered { schema: self.schema.name().to_owned(), ..Remembered::default() };
        for (instance_id, site_id, has_data) in rows.all::<(Option<String>, _, _), Vec<_>>()? {
            remembered.has_data = has_data;
            remembered
                .installations
                .extend(instance_id.map(|instance_id| RememberedInstallation { instance_id, site_id }));
        }
        Ok(remembered)
    }

    /// Stores the app installation that an accepted run uses, and its site if Wix has confirmed it.
    pub async fn remember_installation(
        &mut self,
        claim: &Claim<'_>,
        is_confirmed: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state
             set wix_instance_id = $1, wix_instance_site_id = $2, updated_at = $3
             where (wix_instance_id, wix_instance_site_id) is distinct from ($1, $2)";
        let site_id = is_confirmed.then_some(claim.site_id);
        self.update_state(statement, params![claim.instance_id, site_id, now]).await
    }

    /// The progress of the table's passes, and its row counts. From now on this run writes the table only if nothing
    /// else has written it ([`super::row_counts`]).
    pub async fn load_table_state(&mut self, table: &'static Table) -> Result<TableState, StoreError> {
        let doing = "could not read sync_state";
        let statement = format!(
            "select s.watermark, s.last_full_pass_at, s.checkpoint, s.full_checkpoint, s.live_rows, s.shortfall, s.drift,
                s.order_statuses, s.write_number, ({}) as holds,
                exists (select from {{schema}}.sync_errors e where e.table_name = $1 and e.resolved_at is null) as has_errors,
                exists (select from {{schema}}.sync_missing m where m.table_name = $1) as has_missing,
                exists (select from {{schema}}.sync_held h where h.table_name = $1) as has_held,
                exists (select from {{schema}}.sync_unreadable u where u.table_name = $1) as has_unreadable,
                exists (select from {{schema}}.sync_inbox i where i.table_name = $1) as has_inbox,
                clock_timestamp() as now
             from {{schema}}.sync_state s where s.table_name = $1",
            live_rows(table)
        );
        let rows = self.rows(doing, &statement, params![table.name]).await?;
        if rows.is_empty() {
            return Ok(TableState::default());
        }
        let state = TableState {
            watermark: rows.get("watermark")?,
            last_full_pass_at: rows.get("last_full_pass_at")?,
            checkpoint: self.read_json(rows.get("checkpoint")?, "the checkpoint", table)?,
            full_checkpoint: self.read_json(rows.get("full_checkpoint")?, "the checkpoint", table)?,
            must_hold: rows.get("live_rows")?,
            holds: rows.get("holds")?,
            shortfall: rows.get::<i64>("shortfall")?.unsigned_abs(),
            drift: self.read_json(rows.get("drift")?, "the drift check", table)?,
            has_unresolved_errors: rows.get("has_errors")?,
            has_missing: rows.get("has_missing")?,
            has_held: rows.get("has_held")?,
            has_unreadable: rows.get("has_unreadable")?,
            has_inbox: rows.get("has_inbox")?,
            statuses: self
                .read_json(rows.get("order_statuses")?, "what is known of the statuses", table)?
                .unwrap_or_default(),
            now: rows.get("now")?,
        };
        self.row_counts.insert(table, RowCounts { number: rows.get("write_number")?, counted: state.holds });
        Ok(state)
    }

    /// Loads only a table's write number and expected rows, so that single records can be written.
    pub async fn load_row_counts(&mut self, table: &'static Table) -> Result<(), StoreError> {
        let statement = format!(
            "select write_number, coalesce(live_rows, ({})) from {{schema}}.sync_state where table_name = $1",
            live_rows(table)
        );
        let rows = self.rows("could not read sync_state", &statement, params![table.name]).await?;
        if let Some((number, counted)) = rows.first()? {
            self.row_counts.insert(table, RowCounts { number, counted });
        }
        Ok(())
    }

    fn read_json<T: DeserializeOwned>(
        &self,
        json: Option<serde_json::Value>,
        what: &str,
        table: &'static Table,
    ) -> Result<Option<T>, StoreError> {
        json.map(serde_json::from_value).transpose().map_err(|_| StoreError::Diverged {
            schema: self.schema.name().to_owned(),
            what: format!("{what} of {table} in sync_state is from another version of wix-sync"),
        })
    }

    /// Records that a pass reached the end of Wix's list: stores its watermark and clears its checkpoint. The watermark
    /// never moves back, with one exception: a full sync that finds it more than a day ahead of Wix's clock resets it.
    /// Otherwise each later pass would have to be a full sync.
    pub async fn finish_pass(
        &mut self,
        table: &'static Table,
        run_id: Uuid,
        end: &FinishedPass<'_>,
    ) -> Result<(), StoreError> {
        let doing = "could not record the end of the sync in sync_state";
        let row_counts = self.row_counts(table);
        let is_full = end.checkpoint.pass == PassKind::Full;
        let saved = if is_full { "full_checkpoint" } else { "checkpoint" };
        let statement = format!(
            "update {{schema}}.sync_state
             set write_number = write_number + 1, live_rows = coalesce(live_rows, $10), {saved} = null,
                updated_at = $5,
                watermark = case when $6 and watermark > $3 + interval '1 day' then $3 else greatest(watermark, $3) end,
                last_run_id = $4, last_success_at = case when $9 then $5 else last_success_at end,
                last_full_pass_at = case
                    when not $7 then null
                    when $6 then $5
                    else last_full_pass_at
                end,
                shortfall = case when $6 then $8 else shortfall end
             where table_name = $1 and write_number between $2 and $2 + 1
             returning write_number"
        );
        let name = table.name;
        let shortfall = i64::try_from(end.shortfall).unwrap_or(i64::MAX);
        let FinishedPass { checkpoint, proves_all, is_success, now, .. } = end;
        let (number, watermark) = (row_counts.number, checkpoint.watermark);
        let parameters = params![
            name,
            number,
            watermark,
            run_id,
            now,
            is_full,
            proves_all,
            shortfall,
            is_success,
            row_counts.counted
        ];
        let session = self.begin().await?;
        let rows = session.rows(doing, &statement, parameters).await?;
        let Some((number,)) = rows.first()? else { return Err(StoreError::Behind { table: table.name }) };
        if is_full {
            check_row_count(&session, table).await?;
        }
        session.commit(doing).await?;
        self.row_counts.insert(table, RowCounts { number, ..row_counts });
        Ok(())
    }

    /// Sets the expected number of live rows to the actual one. The table's state is no longer trusted: the next pass
    /// is a full sync, in this run or a later one.
    pub async fn accept_rows(&mut self, table: &'static Table) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state
             set live_rows = $2, last_full_pass_at = null, checkpoint = null, full_checkpoint = null
             where table_name = $1";
        let (table, counted) = (table.name, self.row_counts(table).counted);
        self.write("could not change sync_state", statement, params![table, counted]).await
    }

    /// Whether a transaction was committed if its COMMIT got no response. Waits while its backend is still in COMMIT,
    /// because that locks the table's row in `sync_state`. A lock timeout means that it still does.
    pub async fn was_committed(&mut self, table: &'static Table) -> Result<bool, StoreError> {
        let doing = "could not check the outcome of a transaction";
        let statement = "select write_number from {schema}.sync_state where table_name = $1 for update";
        let row_counts = self.row_counts(table);
        let session = self.begin().await?;
        let number = session.rows(doing, statement, params![table.name]).await?.value::<Option<i64>>()?;
        session.rollback(doing).await?;
        match number {
            Some(number) if number == row_counts.number => Ok(false),
            Some(number) if number == row_counts.number + 1 => {
                self.row_counts.insert(table, RowCounts { number, ..row_counts });
                Ok(true)
            }
            _ => Err(StoreError::Behind { table: table.name }),
        }
    }

    /// Checks at the end of a run, in one statement: whether these tables are unchanged since this run wrote them and
    /// have the expected number of live rows, whether links must still be made, and whether the logs have rows that
    /// ended before `logs_before`.
    pub async fn look_at_end(
        &self,
        tables: &[&'static Table],
        logs_before: Option<DateTime<Utc>>,
    ) -> Result<RunEnd, StoreError> {
        let doing = "could not check the tables at the end of the run";
        let counts: Vec<String> = tables
            .iter()
            .map(|table| {
                let (table, live) = (table.name, live_rows(table));
                let of_table = format!("from {{schema}}.sync_state where table_name = '{table}'");
                format!("(select write_number {of_table}), (select live_rows {of_table}), ({live})")
            })
            .collect();
        let statement = format!(
            "select exists (select from {{schema}}.sync_unlinked),
                exists (select from {{schema}}.sync_logs where started_at < $1 and status <> 'running')
                    or exists (select from {{schema}}.sync_errors where resolved_at < $1),
                array[{}]::bigint[]",
            counts.join(", ")
        );
        let rows = self.rows(doing, &statement, params![logs_before]).await?;
        let Some((has_unlinked, has_old_logs, counts)) = rows.first()? else { return Ok(RunEnd::default()) };
        let counts: Vec<Option<i64>> = counts;
        let differing = tables.iter().zip(counts.chunks(3)).find_map(|(table, counts)| match counts {
            [Some(number), must_hold, Some(holds)] if *number == self.row_counts(table).number => {
                check_count(table, *must_hold, *holds).err()
            }
            _ => Some(StoreError::Behind { table: table.name }),
        });
        Ok(RunEnd { has_unlinked, has_old_logs, differing })
    }

    pub async fn save_drift(&mut self, table: &'static Table, drift: &Drift) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state set drift = $2 where table_name = $1";
        self.update_state(statement, params![table.name, Json(drift)]).await
    }

    pub async fn save_statuses(&mut self, table: &'static Table, statuses: &KnownStatuses) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state set order_statuses = $2 where table_name = $1";
        self.update_state(statement, params![table.name, Json(statuses)]).await
    }

    /// Number of records of Wix's list that the database has: live rows with a record, and rejected records.
    /// Placeholders do not count.
    pub async fn count_of_wix(&self, table: &'static Table) -> Result<i64, StoreError> {
        let doing = "could not count the rows of the table";
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select ({}) + (
                select count(*) from {{schema}}.sync_errors e
                where e.table_name = $1 and e.resolved_at is null and not exists (
                    select from {{schema}}.{name} t
                    where t.{id_column} = e.wix_id and t.deleted_at is null and t.raw is not null
                )
             )",
            live_records(table)
        );
        self.rows(doing, &statement, params![name]).await?.value()
    }

    /// Records a success without a pass: Wix has no such data on this site.
    pub async fn note_success(
        &mut self,
        table: &'static Table,
        run_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state set last_success_at = $3, last_run_id = $2, updated_at = $3
             where table_name = $1";
        self.update_state(statement, params![table.name, run_id, now]).await
    }

    async fn update_state(&mut self, statement: &str, parameters: &[Parameter<'_>]) -> Result<(), StoreError> {
        self.write("could not change sync_state", statement, parameters).await
    }

    /// The Wix id of a live row with a record that is not pending deletion.
    pub async fn any_live_id(&self, table: &'static Table) -> Result<Option<String>, StoreError> {
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select t.{id_column}::text from {{schema}}.{name} t
             where t.{id_column} is not null and t.deleted_at is null and t.raw is not null and not exists (
                select from {{schema}}.sync_missing m where m.table_name = $1 and m.wix_id = t.{id_column}
             )
             limit 1"
        );
        let doing = "could not look for a live row";
        self.rows(doing, &statement, params![name]).await?.value()
    }

    pub async fn has_live_rows(&self, table: &'static Table) -> Result<bool, StoreError> {
        let Table { name, id_column, .. } = table;
        let statement = format!(
            "select exists (select from {{schema}}.{name} where {id_column} is not null and deleted_at is null)"
        );
        let doing = "could not check whether the table has rows";
        self.rows(doing, &statement, params![]).await?.value()
    }
}

/// SQL: whether a run has read records from Wix. A range sync leaves only its rows, which have a content hash; rows of
/// adopted tables have none.
fn has_data() -> String {
    let rows = Table::ALL
        .map(|table| format!(" or exists (select from {{schema}}.{} where content_hash is not null)", table.name));
    let progress = "exists (
        select from {schema}.sync_state s
        where s.watermark is not null or s.checkpoint is not null or s.full_checkpoint is not null
            or s.last_success_at is not null
    )";
    format!("({progress}{})", rows.concat())
}

/// The result of a pass that reached the end of Wix's list.
#[derive(Clone, Debug)]
pub struct FinishedPass<'a> {
    pub checkpoint: &'a Checkpoint,
    /// Whether the table has all records of Wix. If not, the next pass is a full sync.
    pub proves_all: bool,
    /// Whether the table is up to date: false while a full sync is unfinished.
    pub is_success: bool,
    /// Full sync only: number of records that Wix announced and did not return.
    pub shortfall: u64,
    pub now: DateTime<Utc>,
}
