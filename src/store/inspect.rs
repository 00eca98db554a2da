//! Database checks of `doctor`. Only reads; `crate::doctor` evaluates the results.

use tokio_postgres::config::Host;

use super::adopt;
use super::connect::Store;
use super::dial::dial;
use super::error::StoreError;
use super::needs::{TABLES, VIEW};
use super::problem::{Cause, Problem};
use super::schema_check;
use super::session::{Rows, from_row, params};
use super::target::{Target, is_socket};
use super::tls::TlsMode;
use crate::table::Table;

/// Maximum connections that the check for a pooler opens. A pooler that rotates its idle servers assigns ours after
/// them.
const OTHER_CONNECTIONS: usize = 4;

const SERVER_PROCESS: &str = "select pg_backend_pid()";
const READING_PROCESS: &str = "a statement failed";

const READING_RIGHTS: &str = "could not read what this database user may do";

/// How the connection is secured.
pub struct Encryption {
    pub mode: TlsMode,
    /// Whether the server is on this machine.
    pub is_local: bool,
    /// Why a connection with TLS fails, if `mode` also allows one without.
    pub refusal: Option<String>,
}

#[derive(Default)]
pub struct Server {
    pub version: String,
    /// The number in `server_version_num`.
    pub version_number: i32,
    pub database: String,
    pub user: String,
    pub is_replica: bool,
    /// Whether `default_transaction_read_only` is on.
    pub is_read_only: bool,
    /// The encoding of the database.
    pub encoding: String,
}

from_row!(Server { version, version_number, database, user, is_replica, is_read_only, encoding });

/// The rights that `migrate` needs on the schema and its tables.
#[derive(Default)]
pub struct RightsToMigrate {
    pub schema_exists: bool,
    /// Whether the database user can create tables in the schema, or the schema if it is missing.
    pub may_create: bool,
    /// Names of existing tables that the database user does not own.
    pub not_owned: Option<String>,
}

from_row!(RightsToMigrate { schema_exists, may_create, not_owned });

/// Tables in a schema that is not migrated.
#[derive(Debug, Default)]
pub struct ExistingTables {
    /// Existing tables whose names wix-sync uses.
    pub tables: Vec<&'static str>,
    /// Why `migrate` cannot use them, each with SQL that solves it.
    pub obstacles: Vec<(String, Option<String>)>,
}

/// Each table with the rights that commands need on it.
fn needed_rights() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let synced = Table::ALL.iter().map(|table| (table.name, &["SELECT", "INSERT", "UPDATE"][..]));
    let own = TABLES.iter().filter(|table| !table.is_of_wix()).map(|table| (table.name, rights_on_own(table.name)));
    synced.chain(own)
}

fn rights_on_own(table: &str) -> &'static [&'static str] {
    match table {
        "sync_migrations" => &["SELECT"],
        "sync_state" | "sync_locks" => &["SELECT", "INSERT", "UPDATE"],
        "sync_unlinked" => &["SELECT", "INSERT", "DELETE"],
        _ => &["SELECT", "INSERT", "UPDATE", "DELETE"],
    }
}

fn table_names() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).collect()
}

impl Store {
    pub async fn encryption(&self) -> Encryption {
        let (mode, is_local) = (self.target.tls.mode, is_local(&self.target));
        let mut refusal = None;
        // The driver does not report whether it used TLS if TLS is optional.
        if matches!(mode, TlsMode::Allow | TlsMode::Prefer) && !is_local {
            let mut target = self.target.clone();
            target.tls.mode = TlsMode::Require;
            refusal = dial(&target).await.err().map(|error| error.to_string());
        }
        Encryption { mode, is_local, refusal }
    }

    pub async fn server(&self) -> Result<Server, StoreError> {
        let statement = "select current_setting('server_version') as version,
                current_setting('server_version_num')::integer as version_number, current_database()::text as database,
                current_user::text as user, pg_is_in_recovery() as is_replica,
                current_setting('default_transaction_read_only') = 'on' as is_read_only,
                current_setting('server_encoding') as encoding";
        let rows = self.rows("could not read the server's version", statement, params![]).await?;
        Ok(rows.first()?.unwrap_or_default())
    }

    /// The `statement_timeout` of this database user: milliseconds (0 means none) and Postgres's text.
    pub async fn statement_timeout(&self) -> Result<(i64, String), StoreError> {
        let statement = "select reset_val::bigint, current_setting('statement_timeout')
             from pg_catalog.pg_settings where name = 'statement_timeout'";
        let rows = self.rows("could not read statement_timeout", statement, params![]).await?;
        Ok(rows.first()?.unwrap_or_default())
    }

    /// Whether a pooler assigns a server to each transaction. Opens other connections, each with an open transaction:
    /// one of them gets the server process that was ours, or we get another one. False if neither happens.
    pub async fn is_pooled_by_transaction(&self) -> Result<bool, StoreError> {
        let own = self.server_process().await?;
        let mut busy = Vec::new();
        for _ in 0..OTHER_CONNECTIONS {
            let client = self.another_in_transaction().await?;
            let other: i32 = Rows::of(READING_PROCESS, client.query_typed(SERVER_PROCESS, &[]).await)?.value()?;
            busy.push(client);
            // The order matters: a pool with a single server has none left for us now.
            if other == own || self.server_process().await? != own {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn server_process(&self) -> Result<i32, StoreError> {
        self.rows(READING_PROCESS, SERVER_PROCESS, params![]).await?.value()
    }

    /// Manual changes of a migrated schema: each problem, with the SQL that the operator must run.
    pub async fn schema_problems(&self) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let catalog = self.load_catalog().await?;
        let mut problems = schema_check::compare(&self.schema, &catalog);
        problems.extend(self.refusing_checks(&catalog).await?);
        Ok(problems.into_iter().map(Problem::into_text).collect())
    }

    /// Existing tables and views with our names in a schema that is not migrated, judged by the catalog.
    pub async fn existing_tables(&self) -> Result<ExistingTables, StoreError> {
        let catalog = self.load_catalog().await?;
        let tables: Vec<&'static str> =
            TABLES.iter().map(|table| table.name).chain([VIEW]).filter(|name| catalog.contains_key(*name)).collect();
        let mut obstacles: Vec<(String, Option<String>)> = tables
            .iter()
            .filter_map(|name| Some((*name, adopt::why_not_adoptable(name, catalog.get(*name)?)?)))
            .map(|(name, why)| (format!("{name} exists and cannot be adopted: {why}"), None))
            .collect();
        let mut problems = schema_check::compare(&self.schema, &catalog);
        problems.extend(self.refusing_checks(&catalog).await?);
        let foreign = problems.into_iter().filter(|problem| problem.cause == Cause::Foreign);
        obstacles.extend(foreign.filter(|problem| tables.contains(&problem.table)).map(Problem::into_text));
        Ok(ExistingTables { tables, obstacles })
    }

    /// Tables on which this database user lacks rights, each with the missing rights in brackets.
    pub async fn missing_rights(&self) -> Result<Vec<String>, StoreError> {
        let (tables, rights): (Vec<&str>, Vec<&str>) =
            needed_rights().flat_map(|(table, rights)| rights.iter().map(move |right| (table, *right))).unzip();
        let statement = "select needed.t || ' (' || string_agg(needed.p, ', ' order by needed.p) || ')'
             from unnest($2::text[], $3::text[]) needed (t, p)
             join pg_catalog.pg_namespace n on n.nspname = $1
             join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = needed.t
             where not has_table_privilege(c.oid, needed.p)
             group by needed.t order by 1";
        self.rows(READING_RIGHTS, statement, params![self.schema.name(), tables, rights]).await?.values()
    }

    pub async fn rights_to_migrate(&self) -> Result<RightsToMigrate, StoreError> {
        let statement = "select
                n.oid is not null as schema_exists,
                case when n.oid is null then has_database_privilege(current_database(), 'CREATE')
                    else has_schema_privilege(n.oid, 'CREATE') end as may_create,
                (
                    select string_agg(c.relname, ', ' order by c.relname) from pg_catalog.pg_class c
                    where c.relnamespace = n.oid and c.relname::text = any ($2)
                        and not pg_has_role(c.relowner, 'USAGE')
                ) as not_owned
             from (select 1) one left join pg_catalog.pg_namespace n on n.nspname = $1";
        let rows = self.rows(READING_RIGHTS, statement, params![self.schema.name(), table_names()]).await?;
        Ok(rows.first()?.unwrap_or_default())
    }

    /// Tables whose rows may be hidden from this database user by row level security.
    pub async fn tables_with_row_security(&self) -> Result<Option<String>, StoreError> {
        let statement = "select string_agg(c.relname, ', ' order by c.relname)
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1 and c.relname::text = any ($2) and row_security_active(c.oid)";
        let doing = "could not read what row level security hides";
        self.rows(doing, statement, params![self.schema.name(), table_names()]).await?.value()
    }
}

/// Whether all hosts of the connection string are this machine.
fn is_local(target: &Target) -> bool {
    let is_loopback =
        |name: &str| name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    target.places.iter().all(|place| match (place.get_hostaddrs(), place.get_hosts()) {
        ([address, ..], _) => address.is_loopback(),
        ([], [Host::Tcp(name), ..]) => is_loopback(name),
        _ => is_socket(place),
    })
}

#[cfg(test)]
mod tests {
    use super::is_local;
    use crate::database::DatabaseSettings;
    use crate::secret::Secret;
    use crate::store::target::Target;

    #[test]
    fn sockets_and_loopback_addresses_are_on_this_machine() {
        for (url, expected) in [
            ("postgresql:///d?host=/run/postgresql", true),
            ("postgresql://u@localhost/d", true),
            ("postgresql://u@127.0.0.1/d", true),
            ("postgresql://u@[::1]/d", true),
            ("postgresql://u@db.example.com/d", false),
            ("postgresql://u@localhost,db.example.com/d", false),
        ] {
            let settings = DatabaseSettings {
                url: Some(("DATABASE_URL", Secret::new(url))),
                account: Some("u".to_owned()),
                ..Default::default()
            };
            assert_eq!(is_local(&Target::resolve(&settings).unwrap()), expected, "{url}");
        }
    }
}
