//! One connection to Postgres, and the schema of the tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, Client};

use super::clock::ServerClock;
use super::dial::dial;
use super::error::StoreError;
use super::fence::Lease;
use super::limits::{ANSWER_PATIENCE, LOCK_PATIENCE, STATEMENT_PATIENCE, bounds};
use super::row_counts::RowCounts;
use super::schema::Schema;
use super::session::{Parameter, Rows, Session};
use super::target::Target;
use crate::event::Reporter;
use crate::stop::Stop;
use crate::table::Table;

/// Search path of our sessions: unqualified names are the server's own functions, operators and types, whatever the
/// role's search path is and whoever can create objects in its schemas. Tables are named with their schema.
macro_rules! search_path {
    () => {
        "set local search_path to pg_catalog, pg_temp; "
    };
}

/// Maximum wait for a second connection. A pooler with a free server connection responds at once.
const SIBLING_PATIENCE: Duration = Duration::from_secs(3);

/// A connection, and the schema of the tables.
pub struct Store {
    /// Private, so that other modules cannot run statements outside a transaction with the session's search path.
    client: Client,
    pub(super) schema: Schema,
    /// If set, every write transaction is fenced by it.
    pub(super) lease: Option<Lease>,
    /// Used for further connections.
    pub(super) target: Target,
    /// Write numbers and expected rows of the tables whose pass has started.
    pub(super) row_counts: HashMap<&'static Table, RowCounts>,
    pub(super) lock_patience: Duration,
    clock: ServerClock,
    /// Set when the run is asked to stop.
    pub(super) stop: Stop,
    /// Receives waits for the database.
    pub(super) reporter: Option<Arc<dyn Reporter>>,
}

impl Store {
    /// Connects. Without `schema`, the tables live in the first existing schema of the search path.
    pub async fn connect(target: Target, schema: Option<&str>) -> Result<Store, StoreError> {
        let named = schema.map(Schema::new).transpose()?;
        let client = dial(&target).await?;
        let doing = "could not read the server's clock";
        let find_schema = async {
            match named {
                Some(schema) => Ok(schema),
                None => {
                    let searched = searched_schemas(&client, &target).await?;
                    Schema::new(searched.first().ok_or(StoreError::NoSchema)?)
                }
            }
        };
        // Pipelined: one round trip.
        let both = async { tokio::join!(biased; ServerClock::read(&client), find_schema) };
        let (clock, schema) = in_time_limit(doing, ANSWER_PATIENCE, both).await?;
        Ok(Store {
            client,
            schema: schema?,
            lease: None,
            target,
            row_counts: HashMap::new(),
            lock_patience: LOCK_PATIENCE,
            clock: clock?,
            stop: Stop::never(),
            reporter: None,
        })
    }

    /// Replaces a broken connection. The lease is kept: it does not depend on the connection.
    pub async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.client = dial(&self.target).await?;
        Ok(())
    }

    /// A second connection under the same lease, for parallel writes. Fails if it is not ready within
    /// [`SIBLING_PATIENCE`]: behind a pooler with a single server connection it would have to wait for the first one.
    pub async fn sibling(&self) -> Result<Store, StoreError> {
        let client = dial(&self.target).await?;
        let answer = tokio::time::timeout(SIBLING_PATIENCE, client.simple_query("select 1")).await;
        match answer {
            Ok(answer) => answer.map_err(StoreError::database("a second connection does not work"))?,
            Err(_) => {
                let reason = "a second connection gets no answer".to_owned();
                return Err(StoreError::Connect { reason, hint: None });
            }
        };
        let (schema, target, row_counts) = (self.schema.clone(), self.target.clone(), self.row_counts.clone());
        let (lease, lock_patience, clock) = (self.lease, self.lock_patience, self.clock);
        let (stop, reporter) = (self.stop.clone(), self.reporter.clone());
        Ok(Store { client, schema, lease, target, row_counts, lock_patience, clock, stop, reporter })
    }

    /// Opens another connection to the same database in a read-only transaction, which ends when the connection is
    /// closed.
    pub(super) async fn another_in_transaction(&self) -> Result<Client, StoreError> {
        let client = dial(&self.target).await?;
        let begin = concat!("begin read only; ", search_path!());
        client.batch_execute(begin).await.map_err(StoreError::database("could not begin a transaction"))?;
        Ok(client)
    }

    /// Existing schemas of the search path that the role, the database or `DATABASE_URL` configures, in its order.
    pub(super) async fn searched_schemas(&self) -> Result<Vec<String>, StoreError> {
        searched_schemas(&self.client, &self.target).await
    }

    pub(super) fn row_counts(&self, table: &'static Table) -> RowCounts {
        self.row_counts.get(&table).copied().unwrap_or_default()
    }

    /// Copies the write numbers and expected rows of the tables that a second connection wrote.
    pub fn copy_row_counts(&mut self, sibling: &Store) {
        self.row_counts.extend(&sibling.row_counts);
    }

    /// The time by the database server's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// Whether the connection is known to be closed.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Runs one statement in its own transaction, without the fence: for reads and for the lease itself. `{schema}` in
    /// it becomes the schema's name. If a lock is not granted in time, the error names the session that holds it.
    pub(super) async fn rows(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Rows, StoreError> {
        match self.ask(doing, &self.schema.sql(statement), parameters).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.name_blocker(error).await),
        }
    }

    /// Runs one statement unchanged, and does not search for the owner of a lock. BEGIN, statement and COMMIT are
    /// pipelined: one round trip. If the call is cancelled, the transaction stays open until the next transaction of
    /// this connection ends it; it has written nothing.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Rows, StoreError> {
        let begin =
            format!(concat!("begin; ", search_path!(), "select {}"), bounds(self.lock_patience, STATEMENT_PATIENCE));
        let (settings, rows, end) = tokio::join!(
            biased;
            in_time_limit(doing, ANSWER_PATIENCE, self.client.batch_execute(&begin)),
            in_time_limit(doing, STATEMENT_PATIENCE + ANSWER_PATIENCE, self.client.query_typed(statement, parameters)),
            in_time_limit(doing, STATEMENT_PATIENCE + ANSWER_PATIENCE, self.client.batch_execute("commit")),
        );
        settings?.map_err(StoreError::database(doing))?;
        let rows = Rows::of(doing, rows?)?;
        end?.map_err(StoreError::database(doing))?;
        Ok(rows)
    }

    /// Runs one statement in its own transaction, fenced by the lease if there is one. `{schema}` in it becomes the
    /// schema's name.
    pub(super) async fn write(
        &mut self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<(), StoreError> {
        let session = self.begin().await?;
        if let Err(error) = session.write(doing, statement, parameters).await {
            drop(session);
            return Err(self.name_blocker(error).await);
        }
        session.commit(doing).await
    }

    /// Starts a transaction, fenced by the lease if there is one. Lock waits and statements have time limits
    /// ([`super::limits`]). The server may end the transaction if this program is silent for a minute, so no request is
    /// sent to Wix while a transaction is open. Statements look up rows by index ([`Session::read_whole_tables`]).
    /// Forces `synchronous_commit = on`: checkpoints rely on it.
    pub(super) async fn begin(&mut self) -> Result<Session<'_>, StoreError> {
        self.begin_fenced_by(self.lease).await
    }

    /// Starts a transaction without the fence, for `sync_logs`: a run that lost its lease still records its end.
    pub(super) async fn begin_unfenced(&mut self) -> Result<Session<'_>, StoreError> {
        self.begin_fenced_by(None).await
    }

    async fn begin_fenced_by(&mut self, lease: Option<Lease>) -> Result<Session<'_>, StoreError> {
        let doing = "could not begin a transaction";
        // The search path comes first, so that the other settings call the server's own functions. Read committed,
        // whatever the server's default is: the transaction must see what another run committed while this one waited.
        let settings = format!(
            concat!(
                search_path!(),
                "set transaction isolation level read committed; \
                 select {}, set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), \
                    set_config('jit', 'off', true), set_config('quote_all_identifiers', 'off', true), \
                    set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), true)"
            ),
            bounds(self.lock_patience, STATEMENT_PATIENCE)
        );
        let transaction = in_time_limit(doing, ANSWER_PATIENCE, self.client.transaction()).await?;
        let transaction = transaction.map_err(StoreError::database(doing))?;
        let session = Session { transaction, schema: &self.schema };
        let settings = async { in_time_limit(doing, ANSWER_PATIENCE, session.run(doing, &settings)).await? };
        match lease {
            None => settings.await?,
            // Pipelined: one round trip.
            Some(lease) => {
                let (set, fenced) = tokio::join!(biased; settings, lease.fence(&session));
                set?;
                fenced?;
            }
        }
        Ok(session)
    }
}

/// The server's response, or an error if it does not come in time.
async fn in_time_limit<T>(
    doing: &'static str,
    patience: Duration,
    work: impl Future<Output = T>,
) -> Result<T, StoreError> {
    timeout(patience, work).await.map_err(|_| StoreError::Silent { doing, seconds: patience.as_secs() })
}

/// Existing schemas of the configured search path. The active one may be another client's: a pooler reuses sessions.
/// These statements run with the session's search path, so they name every function, operator and type with its schema.
async fn searched_schemas(client: &Client, target: &Target) -> Result<Vec<String>, StoreError> {
    let doing = "could not read the search path";
    let statement =
        "select pg_catalog.current_schemas(false)::pg_catalog.text[], setting operator(pg_catalog.=) reset_val
        from pg_catalog.pg_settings where name operator(pg_catalog.=) 'search_path'";
    let rows = Rows::of(doing, client.query_typed(statement, &[]).await)?;
    let (schemas, is_unchanged): (Vec<String>, bool) = rows.first()?.ok_or(StoreError::NoSchema)?;
    // If the URL sets the search path, the pooler has set it in this session.
    if is_unchanged || target.sets_search_path() {
        return Ok(schemas);
    }
    let statement = "select pg_catalog.current_schemas(false)::pg_catalog.text[]";
    let (begin, rows, end) = tokio::join!(
        biased;
        client.batch_execute("begin; set local search_path to default"),
        client.query_typed(statement, &[]),
        client.batch_execute("rollback"),
    );
    begin.map_err(StoreError::database(doing))?;
    let rows = Rows::of(doing, rows)?;
    end.map_err(StoreError::database(doing))?;
    let (schemas,) = rows.first()?.ok_or(StoreError::NoSchema)?;
    Ok(schemas)
}
