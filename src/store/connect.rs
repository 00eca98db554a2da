//! One connection to Postgres, and the schema that all statements name.

use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::error::{StoreError, describe};
use super::lease::Lease;
use super::schema::Schema;
use super::{tls, url};
use crate::secret::Secret;

/// A connection, with the schema in which the tables live.
pub struct Store {
    pub(super) client: Client,
    pub(super) schema: Schema,
    /// Once taken, it fences every write transaction.
    pub(super) lease: Option<Lease>,
    pub(super) database_url: Secret,
}

impl Store {
    /// Connects. Without `schema`, the tables live in the first existing schema of the search path.
    pub async fn connect(database_url: &str, schema: Option<&str>) -> Result<Store, StoreError> {
        let named = schema.map(Schema::new).transpose()?;
        let client = connect(database_url).await?;
        let schema = match named {
            Some(schema) => schema,
            None => first_of_search_path(&client).await?,
        };
        Ok(Store { client, schema, lease: None, database_url: Secret::new(database_url) })
    }

    /// Replaces a broken connection by a new one. The lease goes on: it is no matter of the connection.
    pub async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.client = connect(self.database_url.reveal()).await?;
        Ok(())
    }

    /// A second connection, under the same lease: for what is written at the same time.
    pub async fn sibling(&self) -> Result<Store, StoreError> {
        Ok(Store {
            client: connect(self.database_url.reveal()).await?,
            schema: self.schema.clone(),
            lease: self.lease,
            database_url: self.database_url.clone(),
        })
    }

    /// True once the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The schema in which the tables live.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Begins a transaction, fenced by the lease once that is taken. It waits for no lock longer than ten
    /// seconds, and the server may end it if this program falls silent for a minute: it never waits for
    /// Wix while a transaction is open.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let fence =
            self.schema.sql("select 1 from {schema}.sync_locks where name = 'sync' and token = $1 for key share");
        let doing = "could not begin a transaction";
        let transaction = self.client.transaction().await.map_err(StoreError::database(doing))?;
        let settings = transaction.batch_execute(
            // Whatever the server's default: what another run committed while we waited has to be seen.
            "set transaction isolation level read committed; \
             set local lock_timeout = '10s'; set local idle_in_transaction_session_timeout = '60s'",
        );
        match self.lease {
            None => settings.await.map_err(StoreError::database(doing))?,
            // Sent together: over a long line every answer that is waited for counts.
            Some(lease) => {
                let (set, fenced) = tokio::join!(settings, lease.fence(&transaction, &fence));
                set.map_err(StoreError::database(doing))?;
                fenced?;
            }
        }
        Ok(transaction)
    }
}

async fn connect(database_url: &str) -> Result<Client, StoreError> {
    let mut target = url::parse(database_url).map_err(StoreError::BadUrl)?;
    if target.config.get_application_name().is_none() {
        target.config.application_name("wix-sync");
    }
    if target.config.get_connect_timeout().is_none() {
        target.config.connect_timeout(Duration::from_secs(15));
    }
    let connector = tls::connector(&target).map_err(StoreError::BadUrl)?;
    let (client, connection) = target.config.connect(connector).await.map_err(|error| {
        let reason = describe(&error);
        StoreError::Connect { hint: connect_hint(&reason, error.code().map(|code| code.code())), reason }
    })?;
    tokio::spawn(async move {
        // The statement that was under way gets the error as well; this is for the log only.
        if let Err(error) = connection.await {
            tracing::debug!(error = describe(&error), "the connection to Postgres ended");
        }
    });
    Ok(client)
}

async fn first_of_search_path(client: &Client) -> Result<Schema, StoreError> {
    let rows = client
        .query_typed("select current_schema()::text", &[])
        .await
        .map_err(StoreError::database("could not read the search path"))?;
    let name: Option<String> = rows.first().and_then(|row| row.get(0));
    Schema::new(&name.ok_or(StoreError::NoSchema)?)
}

fn connect_hint(reason: &str, state: Option<&str>) -> Option<String> {
    let reason = reason.to_ascii_lowercase();
    let hint = if reason.contains("unreachable") || reason.contains("no address") {
        "Supabase's direct host has only an IPv6 address; use the connection string of the pooler instead"
    } else if matches!(state, Some("28P01" | "28000")) {
        "check user and password; through Supabase's pooler the user is postgres.PROJECT_REF"
    } else if state == Some("3D000") {
        "the URL names a database that is not there"
    } else if reason.contains("unknownissuer") || reason.contains("certificate") {
        "the server's certificate does not come from the authority in sslrootcert"
    } else if reason.contains("does not support tls") {
        "the server has no TLS; sslmode=disable connects without"
    } else if reason.contains("connection refused") || reason.contains("no such file") {
        "no server listens there: check host and port"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// A parameter with its type, as unnamed typed statements take them.
pub(super) type Parameter<'a> = (&'a (dyn tokio_postgres::types::ToSql + Sync), Type);
