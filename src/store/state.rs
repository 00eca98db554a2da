//! `sync_state`: which site the tables hold, and how far their passes have come.

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;
use tokio_postgres::types::{Json, Type};
use uuid::Uuid;

use super::connect::{Parameter, Store};
use super::error::StoreError;
use super::missing::{Span, clear_missing, insert_missing};
use super::schema::Schema;
use crate::checkpoint::{Checkpoint, StreamState};
use crate::run::PassKind;
use crate::stream::Stream;

impl Store {
    /// The site whose records the tables hold; more than one only by somebody's hand. None where nothing ever came, whatever
    /// was noted: that was a wrong id.
    pub(super) async fn noted_sites(&self) -> Result<Vec<String>, StoreError> {
        let statement = self.schema.sql(
            "select distinct wix_site_id from {schema}.sync_state where exists (
                select from {schema}.sync_state s
                where s.watermark is not null or s.checkpoint is not null or s.last_success_at is not null
             ) order by 1",
        );
        let rows = self.query_once("could not read which site the tables hold", &statement, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Refuses a site other than the one whose records the tables hold; notes nothing.
    pub async fn check_site(&self, site_id: &str) -> Result<(), StoreError> {
        let other = self.noted_sites().await?.into_iter().find(|noted| noted != site_id);
        match other {
            None => Ok(()),
            Some(noted) => {
                Err(StoreError::OtherSite { schema: self.schema.name().to_owned(), noted, given: site_id.to_owned() })
            }
        }
    }

    /// Notes the site on the first run, and refuses a run for another one: one schema is one site.
    pub async fn claim_site(&mut self, site_id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.check_site(site_id).await?;
        let doing = "could not note the site in sync_state";
        let tables: Vec<&str> = Stream::ALL.iter().map(|stream| stream.table()).collect();
        let noted = self
            .query_once(
                doing,
                &self
                    .schema
                    .sql("select count(*) from {schema}.sync_state where table_name = any ($1) and wix_site_id = $2"),
                &[(&tables, Type::TEXT_ARRAY), (&site_id, Type::TEXT)],
            )
            .await?;
        if noted.first().is_some_and(|row| row.get::<_, i64>(0) == tables.len() as i64) {
            return Ok(());
        }
        let statement = self.schema.sql(
            "insert into {schema}.sync_state (table_name, wix_site_id, updated_at)
             select t, $2, $3 from unnest($1::text[]) t order by t
             on conflict (table_name) do update set wix_site_id = excluded.wix_site_id",
        );
        let parameters: [Parameter<'_>; 3] =
            [(&tables, Type::TEXT_ARRAY), (&site_id, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
        self.write(doing, &statement, &parameters).await.map(drop)
    }

    /// How far the stream's passes have come.
    pub async fn load_stream_state(&self, stream: Stream) -> Result<StreamState, StoreError> {
        let statement = self.schema.sql(&format!(
            "select watermark, last_full_pass_at, checkpoint, {} from {{schema}}.sync_state where table_name = $1",
            any_live_row(stream)
        ));
        let rows = self.query_once("could not read sync_state", &statement, &[(&stream.table(), Type::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(StreamState::default()) };
        let checkpoint = row.get::<_, Option<serde_json::Value>>(2);
        let checkpoint = checkpoint.map(serde_json::from_value).transpose().map_err(|_| StoreError::Diverged {
            schema: self.schema.name().to_owned(),
            what: format!("the checkpoint of {stream} in sync_state is from another version of wix-sync"),
        })?;
        Ok(StreamState { watermark: row.get(0), last_full_pass_at: row.get(1), checkpoint, has_rows: row.get(3) })
    }

    /// Notes that a pass reached Wix's own end: its watermark is stored, which never moves backward, and
    /// nothing is left to go on with. Only where a full pass finds the stored one more than a day in Wix's future it
    /// goes back: until then each pass would have to be a full one. The next pass is a full one unless this one
    /// `proves_all`.
    pub async fn finish_pass(
        &mut self,
        stream: Stream,
        run_id: Uuid,
        checkpoint: &Checkpoint,
        proves_all: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let statement = self.schema.sql(
            "update {schema}.sync_state
             set watermark = case
                    when $5 and watermark > $2 + interval '1 day' then $2
                    else greatest(watermark, $2)
                end, last_run_id = $3, last_success_at = $4, updated_at = $4,
                last_full_pass_at = case when not $6 then null when $5 then $4 else last_full_pass_at end, checkpoint = null
             where table_name = $1",
        );
        let is_full = checkpoint.pass == PassKind::Full;
        let doing = "could not note the end of the pass in sync_state";
        self.write(
            doing,
            &statement,
            &[
                (&stream.table(), Type::TEXT),
                (&checkpoint.watermark, Type::TIMESTAMPTZ),
                (&run_id, Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&is_full, Type::BOOL),
                (&proves_all, Type::BOOL),
            ],
        )
        .await
        .map(drop)
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
        let rows = self.query_once("could not look for a live row", &statement, &[(&table, Type::TEXT)]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// Whether the table holds rows that Wix is supposed to have.
    pub async fn has_live_rows(&self, stream: Stream) -> Result<bool, StoreError> {
        let statement = self.schema.sql(&format!("select {}", any_live_row(stream)));
        let rows = self.query_once("could not look whether the table has rows", &statement, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}

/// An SQL expression: whether the table holds a record that Wix has.
fn any_live_row(stream: Stream) -> String {
    let (table, id) = (stream.table(), stream.id_column());
    format!("exists (select from {{schema}}.{table} where {id} is not null and deleted_at is null)")
}

/// How far a pass has come with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where a later run can go on.
    pub checkpoint: Checkpoint,
    /// Of a full pass, what the batch completes: rows that Wix did not list in it are missing.
    pub span: Option<Span>,
    /// Whether it is a full pass's first: then the candidates for deletion that an earlier one found go.
    pub forgets_missing: bool,
}

/// Notes how far a pass has come, in the transaction that writes what it brought.
pub(super) async fn save_progress(
    transaction: &Transaction<'_>,
    schema: &Schema,
    stream: Stream,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if progress.forgets_missing {
        clear_missing(transaction, schema, stream).await?;
    }
    if let Some(span) = &progress.span {
        insert_missing(transaction, schema, stream, span, now).await?;
    }
    let statement = schema.sql("update {schema}.sync_state set checkpoint = $2, updated_at = $3 where table_name = $1");
    transaction
        .execute_typed(
            &statement,
            &[(&stream.table(), Type::TEXT), (&Json(&progress.checkpoint), Type::JSONB), (&now, Type::TIMESTAMPTZ)],
        )
        .await
        .map_err(StoreError::database("could not save the checkpoint"))?;
    Ok(())
}
