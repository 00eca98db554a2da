//! `sync_state`: which site the tables hold, and how far their passes have come.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};
use uuid::Uuid;

use super::books::{Books, check_own_books, live_records, live_rows};
use super::connect::{Parameter, Store, column, first_column, is_true_at};
use super::error::StoreError;
use crate::checkpoint::{Checkpoint, Drift, KnownStatuses, StreamState};
use crate::installation::{Claim, Remembered, RememberedInstallation};
use crate::run::PassKind;
use crate::stream::Stream;

impl Store {
    /// The site whose records the tables hold; more than one only by somebody's hand. None where nothing ever came, whatever
    /// was noted: that was a wrong id.
    pub(super) async fn noted_sites(&self) -> Result<Vec<String>, StoreError> {
        let statement = self
            .schema
            .sql(&format!("select distinct wix_site_id from {{schema}}.sync_state where {} order by 1", has_data()));
        let doing = "could not read which site the tables hold";
        let rows = self.query_once(doing, &statement, &[]).await?;
        first_column(&rows, doing)
    }

    /// Refuses a site other than the one whose records the tables hold. True if all tables have noted this one.
    pub async fn check_site(&self, site_id: &str) -> Result<bool, StoreError> {
        let doing = "could not read which site the tables hold";
        let statement = self.schema.sql(&format!("select wix_site_id, {} from {{schema}}.sync_state", has_data()));
        let noted = self.query_once(doing, &statement, &[]).await?;
        let mut is_noted = noted.len() >= Stream::ALL.len();
        for row in &noted {
            let (noted, has_data): (String, bool) = (column(row, 0, doing)?, column(row, 1, doing)?);
            if noted != site_id && has_data {
                let (schema, given) = (self.schema.name().to_owned(), site_id.to_owned());
                return Err(StoreError::OtherSite { schema, noted, given });
            }
            is_noted &= noted == site_id;
        }
        Ok(is_noted)
    }

    /// Notes the site. It binds the schema once something was read for it.
    pub async fn note_site(&mut self, site_id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let tables: Vec<&str> = Stream::ALL.iter().map(|stream| stream.table()).collect();
        let statement = self.schema.sql(
            "insert into {schema}.sync_state (table_name, wix_site_id, updated_at)
             select t, $2, $3 from unnest($1::text[]) t order by t
             on conflict (table_name) do update set wix_site_id = excluded.wix_site_id",
        );
        let parameters: [Parameter<'_>; 3] =
            [(&tables, Type::TEXT_ARRAY), (&site_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
        self.write("could not note the site in sync_state", &statement, &parameters).await.map(drop)
    }

    /// The app installations that runs have used for this schema.
    pub async fn remembered_installation(&self) -> Result<Remembered, StoreError> {
        let doing = "could not read which app installation the tables are filled through";
        let statement = self.schema.sql(&format!(
            "select distinct wix_instance_id, wix_instance_site_id, {} from {{schema}}.sync_state",
            has_data()
        ));
        let rows = self.query_once(doing, &statement, &[]).await?;
        let mut remembered = Remembered { schema: self.schema.name().to_owned(), ..Remembered::default() };
        for row in &rows {
            remembered.has_data = column(row, 2, doing)?;
            if let Some(instance_id) = column(row, 0, doing)? {
                let site_id = column(row, 1, doing)?;
                remembered.installations.push(RememberedInstallation { instance_id, site_id });
            }
        }
        Ok(remembered)
    }

    /// Remembers the app installation that an accepted run uses, and its site if Wix has confirmed it.
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
        let parameters: [Parameter<'_>; 3] =
            [(&claim.instance_id, Type::TEXT), (&site_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
        self.update_state(statement, &parameters).await
    }

    /// How far the table's passes have come, and what it holds. From here on this run writes the table only if nothing
    /// else did ([`super::books`]).
    pub async fn load_stream_state(&mut self, stream: Stream) -> Result<StreamState, StoreError> {
        let doing = "could not read sync_state";
        let statement = self.schema.sql(&format!(
            "select s.watermark, s.last_full_pass_at, s.checkpoint, s.full_checkpoint, s.live_rows, ({}), s.shortfall,
                s.drift,
                exists (select from {{schema}}.sync_errors e where e.table_name = $1 and e.resolved_at is null),
                exists (select from {{schema}}.sync_missing m where m.table_name = $1),
                exists (select from {{schema}}.sync_held h where h.table_name = $1),
                exists (select from {{schema}}.sync_unreadable u where u.table_name = $1),
                s.order_statuses, clock_timestamp(), s.write_number
             from {{schema}}.sync_state s where s.table_name = $1",
            live_rows(stream)
        ));
        let rows = self.query_once(doing, &statement, &[(&stream.table(), Type::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(StreamState::default()) };
        let state = StreamState {
            watermark: column(row, 0, doing)?,
            last_full_pass_at: column(row, 1, doing)?,
            checkpoint: self.read_json(row, 2, "the checkpoint", stream)?,
            full_checkpoint: self.read_json(row, 3, "the checkpoint", stream)?,
            must_hold: column(row, 4, doing)?,
            holds: column(row, 5, doing)?,
            shortfall: column::<i64>(row, 6, doing)?.unsigned_abs(),
            drift: self.read_json(row, 7, "the drift check", stream)?,
            has_unresolved_errors: column(row, 8, doing)?,
            has_missing: column(row, 9, doing)?,
            has_held: column(row, 10, doing)?,
            has_unreadable: column(row, 11, doing)?,
            statuses: self.read_json(row, 12, "what is known of the statuses", stream)?.unwrap_or_default(),
            now: column(row, 13, doing)?,
        };
        self.books.insert(stream, Books { number: column(row, 14, doing)?, counted: state.holds });
        Ok(state)
    }

    fn read_json<T: DeserializeOwned>(
        &self,
        row: &Row,
        index: usize,
        what: &str,
        stream: Stream,
    ) -> Result<Option<T>, StoreError> {
        let value: Option<serde_json::Value> = column(row, index, "could not read sync_state")?;
        value.map(serde_json::from_value).transpose().map_err(|_| StoreError::Diverged {
            schema: self.schema.name().to_owned(),
            what: format!("{what} of {stream} in sync_state is from another version of wix-sync"),
        })
    }

    /// Notes that a pass reached the end of Wix's list: its watermark is stored, and its checkpoint goes. The watermark
    /// never moves back, except where a full sync finds the stored one more than a day in Wix's future: until then each
    /// pass would have to be a full one.
    pub async fn finish_pass(
        &mut self,
        stream: Stream,
        run_id: Uuid,
        end: &FinishedPass<'_>,
    ) -> Result<(), StoreError> {
        let doing = "could not note the end of the pass in sync_state";
        let (books, schema) = (self.books(stream), self.schema.clone());
        let is_full = end.checkpoint.pass == PassKind::Full;
        let checkpoint = if is_full { "full_checkpoint" } else { "checkpoint" };
        let statement = schema.sql(&format!(
            "update {{schema}}.sync_state
             set write_number = write_number + 1, live_rows = coalesce(live_rows, $10), {checkpoint} = null,
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
        ));
        let table = stream.table();
        let shortfall = i64::try_from(end.shortfall).unwrap_or(i64::MAX);
        let parameters: [Parameter<'_>; 10] = [
            (&table, Type::TEXT),
            (&books.number, Type::INT8),
            (&end.checkpoint.watermark, Type::TIMESTAMPTZ),
            (&run_id, Type::UUID),
            (&end.now, Type::TIMESTAMPTZ),
            (&is_full, Type::BOOL),
            (&end.proves_all, Type::BOOL),
            (&shortfall, Type::INT8),
            (&end.is_success, Type::BOOL),
            (&books.counted, Type::INT8),
        ];
        let transaction = self.begin().await?;
        let rows = transaction.query_typed(&statement, &parameters).await.map_err(StoreError::database(doing))?;
        let Some(row) = rows.first() else { return Err(StoreError::Behind { table }) };
        let number = column(row, 0, doing)?;
        if is_full {
            check_own_books(&transaction, &schema, stream).await?;
        }
        transaction.commit().await.map_err(StoreError::database(doing))?;
        self.books.insert(stream, Books { number, ..books });
        Ok(())
    }

    /// Keeps a drift check.
    pub async fn save_drift(&mut self, stream: Stream, drift: &Drift) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state set drift = $2 where table_name = $1";
        self.update_state(statement, &[(&stream.table(), Type::TEXT), (&Json(drift), Type::JSONB)]).await
    }

    /// Keeps what is known of the statuses.
    pub async fn save_statuses(&mut self, stream: Stream, statuses: &KnownStatuses) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state set order_statuses = $2 where table_name = $1";
        self.update_state(statement, &[(&stream.table(), Type::TEXT), (&Json(statuses), Type::JSONB)]).await
    }

    /// How many records of Wix's list the table has: live rows with a record, and records that Postgres refused. Not the
    /// customers that bookings made.
    pub async fn count_of_wix(&self, stream: Stream) -> Result<i64, StoreError> {
        let doing = "could not count the rows of the table";
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!(
            "select ({}) + (
                select count(*) from {{schema}}.sync_errors e
                where e.table_name = $1 and e.resolved_at is null and not exists (
                    select from {{schema}}.{table} t
                    where t.{id} = e.wix_id and t.deleted_at is null and t.raw is not null
                )
             )",
            live_records(stream)
        ));
        let rows = self.query_once(doing, &statement, &[(&table, Type::TEXT)]).await?;
        rows.first().map_or(Ok(0), |row| column(row, 0, doing))
    }

    /// Notes a success without a pass: Wix has no such data.
    pub async fn note_success(&mut self, stream: Stream, run_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
        let statement = "update {schema}.sync_state set last_success_at = $3, last_run_id = $2, updated_at = $3
             where table_name = $1";
        let parameters: [Parameter<'_>; 3] =
            [(&stream.table(), Type::TEXT), (&run_id, Type::UUID), (&now, Type::TIMESTAMPTZ)];
        self.update_state(statement, &parameters).await
    }

    async fn update_state(&mut self, statement: &str, parameters: &[Parameter<'_>]) -> Result<(), StoreError> {
        let statement = self.schema.sql(statement);
        self.write("could not change sync_state", &statement, parameters).await.map(drop)
    }

    /// The id of some row that Wix is supposed to have and that is no candidate for deletion.
    pub async fn any_live_id(&self, stream: Stream) -> Result<Option<String>, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!(
            "select t.{id}::text from {{schema}}.{table} t
             where t.{id} is not null and t.deleted_at is null and t.raw is not null and not exists (
                select from {{schema}}.sync_missing m where m.table_name = $1 and m.wix_id = t.{id}
             )
             limit 1"
        ));
        let doing = "could not look for a live row";
        let rows = self.query_once(doing, &statement, &[(&table, Type::TEXT)]).await?;
        rows.first().map(|row| column(row, 0, doing)).transpose()
    }

    /// Whether the table holds rows that Wix is supposed to have.
    pub async fn has_live_rows(&self, stream: Stream) -> Result<bool, StoreError> {
        let (table, id) = (stream.table(), stream.id_column());
        let statement = self.schema.sql(&format!(
            "select exists (select from {{schema}}.{table} where {id} is not null and deleted_at is null)"
        ));
        let doing = "could not look whether the table has rows";
        let rows = self.query_once(doing, &statement, &[]).await?;
        is_true_at(&rows, 0, doing)
    }
}

/// An SQL expression: whether a run has read something from Wix. A range leaves only its rows, which have a content hash;
/// rows of adopted tables have none.
fn has_data() -> String {
    let rows = Stream::ALL
        .map(|stream| format!(" or exists (select from {{schema}}.{} where content_hash is not null)", stream.table()));
    let progress = "exists (
        select from {schema}.sync_state s
        where s.watermark is not null or s.checkpoint is not null or s.full_checkpoint is not null
            or s.last_success_at is not null
    )";
    format!("({progress}{})", rows.concat())
}

/// A pass that reached the end of Wix's list.
#[derive(Clone, Debug)]
pub struct FinishedPass<'a> {
    /// Where it is now.
    pub checkpoint: &'a Checkpoint,
    /// Whether the table has all that Wix has. If not, the next pass is a full sync.
    pub proves_all: bool,
    /// Whether the table is up to date now: not where a full sync is still unfinished.
    pub is_success: bool,
    /// Of a full sync: records that Wix announced and did not return.
    pub shortfall: u64,
    /// The time that is noted.
    pub now: DateTime<Utc>,
}
