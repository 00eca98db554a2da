//! One connection to Postgres, and the schema that all statements name.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{CancelToken, Client, Row, Transaction};

use super::books::Books;
use super::bounds::{ANSWER_PATIENCE, LOCK_PATIENCE, STATEMENT_PATIENCE, bounds};
use super::clock::ServerClock;
use super::dial::dial;
use super::error::StoreError;
use super::lease::Lease;
use super::schema::Schema;
use super::target::Target;
use crate::stream::Stream;

/// Names in our statements mean the server's own functions, operators and types, whatever the role's search path is and
/// whoever may create in its schemas. The tables are named with their schema.
macro_rules! search_path {
    () => {
        "set local search_path to pg_catalog, pg_temp; "
    };
}

/// A pooler with a free connection answers at once.
const SIBLING_PATIENCE: Duration = Duration::from_secs(3);

/// A connection, with the schema in which the tables live.
pub struct Store {
    /// Private, so that no statement of another module runs outside a transaction, with the session's search path.
    client: Client,
    pub(super) schema: Schema,
    /// Once taken, it fences every write transaction.
    pub(super) lease: Option<Lease>,
    /// For the connections to come.
    pub(super) target: Target,
    /// The books of the tables whose pass has begun.
    pub(super) books: HashMap<Stream, Books>,
    /// Maximum wait for a lock.
    pub(super) lock_patience: Duration,
    clock: ServerClock,
}

impl Store {
    /// Connects. Without `schema`, the tables live in the first existing schema of the search path.
    pub async fn connect(target: Target, schema: Option<&str>) -> Result<Store, StoreError> {
        let named = schema.map(Schema::new).transpose()?;
        let client = dial(&target).await?;
        let doing = "could not ask the server for its clock";
        let find_schema = async {
            match named {
                Some(schema) => Ok(schema),
                None => {
                    let searched = searched_schemas(&client, &target).await?;
                    Schema::new(searched.first().ok_or(StoreError::NoSchema)?)
                }
            }
        };
        // Sent together: over a long line every answer that is waited for counts.
        let both = async { tokio::join!(biased; ServerClock::read(&client), find_schema) };
        let (clock, schema) = answered(doing, ANSWER_PATIENCE, both).await?;
        Ok(Store {
            client,
            schema: schema?,
            lease: None,
            target,
            books: HashMap::new(),
            lock_patience: LOCK_PATIENCE,
            clock: clock?,
        })
    }

    /// Replaces a broken connection by a new one. The lease goes on: it is no matter of the connection.
    pub async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.client = dial(&self.target).await?;
        Ok(())
    }

    /// A second connection, under the same lease: for what is written at the same time. An error also where it does
    /// not answer soon: a pooler that has only one for us would let it wait for the first.
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
        let (schema, target, books) = (self.schema.clone(), self.target.clone(), self.books.clone());
        let (lease, lock_patience, clock) = (self.lease, self.lock_patience, self.clock);
        Ok(Store { client, schema, lease, target, books, lock_patience, clock })
    }

    /// Another connection to the same database, in a read-only transaction that ends with the connection.
    pub(super) async fn another_in_transaction(&self) -> Result<Client, StoreError> {
        let client = dial(&self.target).await?;
        let begin = concat!("begin read only; ", search_path!());
        client.batch_execute(begin).await.map_err(StoreError::database("could not begin a transaction"))?;
        Ok(client)
    }

    /// The existing schemas of the search path that the role, the database or `DATABASE_URL` sets, in its order.
    pub(super) async fn searched_schemas(&self) -> Result<Vec<String>, StoreError> {
        searched_schemas(&self.client, &self.target).await
    }

    /// The time, by the database server's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// True once the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The schema in which the tables live.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// One statement in a transaction of its own, without the lease: for what only reads, and for the lease itself. If a
    /// lock is not granted in time, the error names the session that has it.
    pub(super) async fn query_once(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        match self.ask(doing, statement, parameters).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.name_blocker(error).await),
        }
    }

    /// The three messages are sent together, so it takes one round trip. If the call is cancelled, the transaction stays
    /// open until the next one of this connection, which ends it: nothing in it was written.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let begin =
            format!(concat!("begin; ", search_path!(), "select {}"), bounds(self.lock_patience, STATEMENT_PATIENCE));
        let (settings, rows, end) = tokio::join!(
            biased;
            answered(doing, ANSWER_PATIENCE, self.client.batch_execute(&begin)),
            answered(doing, STATEMENT_PATIENCE + ANSWER_PATIENCE, self.client.query_typed(statement, parameters)),
            answered(doing, STATEMENT_PATIENCE + ANSWER_PATIENCE, self.client.batch_execute("commit")),
        );
        settings?.map_err(StoreError::database(doing))?;
        let rows = rows?.map_err(StoreError::database(doing))?;
        end?.map_err(StoreError::database(doing))?;
        Ok(rows)
    }

    /// A transaction of one statement. Gives back how many rows it wrote.
    pub(super) async fn write(
        &mut self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, StoreError> {
        let transaction = self.begin().await?;
        let written = match transaction.execute_typed(statement, parameters).await {
            Ok(written) => written,
            Err(error) => {
                drop(transaction);
                return Err(self.name_blocker(StoreError::database(doing)(error)).await);
            }
        };
        transaction.commit().await.map_err(StoreError::database(doing))?;
        Ok(written)
    }

    /// Begins a transaction, fenced by the lease once that is taken. Its waits for locks and its statements are bounded
    /// ([`super::bounds`]), and the server may end it if this program falls silent for a minute: it never waits for
    /// Wix while a transaction is open. Its statements look rows up by index ([`read_whole_tables`]). Its COMMIT waits for
    /// the disk, also where the server's default is not to: what comes behind it relies on it.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        self.begin_fenced_by(self.lease).await
    }

    /// The same, whoever holds the lease by now: for what the log says of a run.
    pub(super) async fn begin_unfenced(&mut self) -> Result<Transaction<'_>, StoreError> {
        self.begin_fenced_by(None).await
    }

    async fn begin_fenced_by(&mut self, lease: Option<Lease>) -> Result<Transaction<'_>, StoreError> {
        let fence = self
            .schema
            .sql("select 1 from {schema}.sync_locks where name = 'sync' and token = $1 and run_id = $2 for key share");
        let doing = "could not begin a transaction";
        // The search path first: with it, the functions of the other settings are the server's own. Whatever the server's
        // default of the isolation level: what another run committed while we waited has to be seen.
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
        let transaction = answered(doing, ANSWER_PATIENCE, self.client.transaction()).await?;
        let transaction = transaction.map_err(StoreError::database(doing))?;
        let settings = async {
            let set = answered(doing, ANSWER_PATIENCE, transaction.batch_execute(&settings)).await?;
            set.map_err(StoreError::database(doing))
        };
        match lease {
            None => settings.await?,
            // Sent together: over a long line every answer that is waited for counts.
            Some(lease) => {
                let (set, fenced) = tokio::join!(biased; settings, lease.fence(&transaction, &fence));
                set?;
                fenced?;
            }
        }
        Ok(transaction)
    }
}

/// What the server answers, if it does so in time.
async fn answered<T>(doing: &'static str, patience: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    timeout(patience, work).await.map_err(|_| StoreError::Silent { doing, seconds: patience.as_secs() })
}

/// Lets the rest of a transaction read tables from their start to their end. Other statements look up the rows of a
/// batch, and without statistics, as in a first load, the planner would rather read a whole table or index for that,
/// each time.
pub(super) async fn read_whole_tables(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let doing = "could not change a setting";
    transaction
        .batch_execute("set local enable_seqscan = on; set local enable_bitmapscan = on")
        .await
        .map_err(StoreError::database(doing))
}

/// The existing schemas of the configured search path. Not of the one in force: a pooler may lend us a session in which
/// another client has set its own. These statements run with the session's search path, so they name every function,
/// operator and type with its schema.
async fn searched_schemas(client: &Client, target: &Target) -> Result<Vec<String>, StoreError> {
    let doing = "could not read the search path";
    let statement =
        "select pg_catalog.current_schemas(false)::pg_catalog.text[], setting operator(pg_catalog.=) reset_val
        from pg_catalog.pg_settings where name operator(pg_catalog.=) 'search_path'";
    let rows = client.query_typed(statement, &[]).await.map_err(StoreError::database(doing))?;
    let row = rows.first().ok_or(StoreError::NoSchema)?;
    let schemas: Vec<String> = row.try_get(0).map_err(StoreError::database(doing))?;
    let is_unchanged: bool = row.try_get(1).map_err(StoreError::database(doing))?;
    // If the URL sets it, a pooler that passes it on does so with a SET too.
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
    let rows = rows.map_err(StoreError::database(doing))?;
    end.map_err(StoreError::database(doing))?;
    let row = rows.first().ok_or(StoreError::NoSchema)?;
    row.try_get(0).map_err(StoreError::database(doing))
}

/// A parameter with its type, as unnamed typed statements take them.
pub(super) type Parameter<'a> = (&'a (dyn tokio_postgres::types::ToSql + Sync), Type);

/// A column of a row. An error where the table's column is of another type than the statement expects.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize, doing: &'static str) -> Result<T, StoreError> {
    row.try_get(index).map_err(StoreError::database(doing))
}

/// The first column of each row.
pub(super) fn first_column<'a, T: FromSql<'a>>(rows: &'a [Row], doing: &'static str) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| column(row, 0, doing)).collect()
}

/// A count in the first row; 0 where there is no row.
pub(super) fn count_at(rows: &[Row], index: usize, doing: &'static str) -> Result<u64, StoreError> {
    rows.first().map_or(Ok(0), |row| column::<i64>(row, index, doing).map(i64::unsigned_abs))
}

/// A truth value in the first row; false where there is no row.
pub(super) fn is_true_at(rows: &[Row], index: usize, doing: &'static str) -> Result<bool, StoreError> {
    rows.first().map_or(Ok(false), |row| column(row, index, doing))
}
