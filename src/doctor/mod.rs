//! `doctor`: checks everything that a run depends on. Changes nothing, and continues after a failed check.
//!
//! This file has the checks in their order. Each asks Wix or the database for a fact and judges it: `wix` the credentials
//! and what they may read, `connection` the way to the database, `schema` whether it is migrated and unchanged, `access`
//! who may use the tables, `tables` what is in them.

mod access;
mod connection;
mod finding;
mod schema;
mod tables;
mod wix;

pub use finding::{Finding, Mark, Outcome};

use self::finding::Findings;
use crate::config::{DatabaseConfig, Environment, SyncConfig, SyncFlags};
use crate::installation::Remembered;
use crate::store::migrations::SchemaState;
use crate::store::{Store, StoreError, Target};

/// All checks. `database_url` and `schema` are what the flags say.
pub async fn examine(environment: &Environment, database_url: Option<&str>, schema: Option<&str>) -> Vec<Finding> {
    let mut findings = Findings::default();
    check_variables(environment, database_url, schema, &mut findings);
    let mut token_info = None;
    let config = SyncConfig::resolve(environment, SyncFlags::default());
    match &config {
        Ok(config) => {
            for notice in &config.notices {
                findings.add("variables", Outcome::warn(notice, "unset those that are not meant"));
            }
            let info = wix::check_api(&config.wix, &mut findings).await;
            token_info = config.wix.claim().zip(info);
        }
        Err(error) => findings.add("Wix", error.clone()),
    }
    let mut remembered = Remembered::default();
    match connect(environment, database_url, schema).await {
        Ok(store) => {
            check_database(&store, environment.get("WIX_SITE_ID"), &mut findings).await;
            remembered = store.remembered_installation().await.unwrap_or_default();
        }
        Err(outcome) => findings.add("database", outcome),
    }
    if let Some((claim, info)) = token_info {
        findings.add("Wix site", wix::site(&claim, &remembered, &info));
    }
    findings.0
}

/// Which variables are set; never their values.
fn check_variables(
    environment: &Environment,
    database_url: Option<&str>,
    schema: Option<&str>,
    findings: &mut Findings,
) {
    let flags = [database_url.map(|_| "--database-url"), schema.map(|_| "--schema")];
    let known: Vec<&str> = environment.known().into_iter().chain(flags.into_iter().flatten()).collect();
    let outcome = match known.is_empty() {
        true => Outcome::fail("none is set", "copy .env.example to .env and fill it in"),
        false => Outcome::ok(format!("set: {}", known.join(", "))),
    };
    findings.add("variables", outcome);
    let unknown = environment.unknown();
    if !unknown.is_empty() {
        let found = format!("set, but not known to wix-sync: {}", unknown.join(", "));
        findings.add("variables", Outcome::warn(found, "look for a typing error; README.md lists all variables"));
    }
}

async fn connect(
    environment: &Environment,
    database_url: Option<&str>,
    schema: Option<&str>,
) -> Result<Store, Outcome> {
    let database = DatabaseConfig::resolve(environment, database_url, schema)?;
    let target = Target::resolve(&database.settings).map_err(StoreError::BadUrl)?;
    Ok(Store::connect(target, database.schema.as_deref()).await?)
}

async fn check_database(store: &Store, site_id: Option<&str>, findings: &mut Findings) {
    findings.add("database", Outcome::ok(format!("can be reached; schema {}", store.schema().name())));
    findings.add("TLS", connection::tls(store).await);
    findings.add("server", connection::server(store).await);
    findings.add("statement time-out", connection::statement_timeout(store).await);
    findings.add("pooler", connection::pooler(store).await);

    let state = schema::state(store).await;
    let is_current = matches!(state, Ok(SchemaState::Current));
    let is_changed = matches!(state, Ok(SchemaState::Unrecorded) | Err(StoreError::Damaged { .. }));
    findings.add("migrations", state.map(|state| schema::migrations(store, state)));
    if is_current || is_changed {
        findings.add_all("schema", schema::problems(store).await);
    }
    if is_current {
        findings.add("rights", access::rights(store).await);
    } else {
        findings.add("rights", access::rights_to_migrate(store).await);
    }
    findings.add("row security", access::row_security(store).await);
    findings.add_all("public access", access::public_access(store).await);
    findings.add_all("search path", access::search_path(store).await);
    if is_current {
        tables::check(store, site_id, findings).await;
    }
}
