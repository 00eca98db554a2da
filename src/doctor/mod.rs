//! `doctor`: checks everything that a run depends on. It changes nothing, and continues after a failed check.
//!
//! This file has the order of the checks. Each check gets a fact from Wix or the database and judges it: `wix` the
//! credentials and their permissions, `connection` the connection to the database, `schema` whether it is migrated and
//! unchanged, `access` who can use the tables, `tables` their content, `runs` how the last runs ended.

mod access;
mod connection;
mod finding;
mod runs;
mod schema;
mod tables;
mod wix;

pub use finding::{CheckStatus, Finding, Outcome};

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use uuid::Uuid;

use self::finding::Findings;
use self::wix::Answers;
use crate::config::{DatabaseConfig, Environment, SyncConfig, SyncFlags, nearest_variable};
use crate::healthcheck::Healthcheck;
use crate::installation::{Claim, Remembered};
use crate::store::migrations::SchemaState;
use crate::store::{Store, StoreError, Target};

/// Runs all checks. `database_url` and `schema` are the values of the flags.
pub async fn examine(environment: &Environment, database_url: Option<&str>, schema: Option<&str>) -> Vec<Finding> {
    let mut findings = Findings::default();
    check_variables(environment, database_url, schema, &mut findings);
    let config = SyncConfig::resolve(environment, SyncFlags::default());
    let (mut answers, mut claim) = (Answers::default(), None);
    match &config {
        Ok(config) => {
            for notice in &config.notices {
                findings.add("variables", Outcome::warning(notice, "unset those that are not meant"));
            }
            answers = wix::check_api(&config.wix, &mut findings).await;
            claim = config.wix.claim();
        }
        Err(error) => {
            findings.add("Wix", error.clone());
            wix::skip_apis("the configuration is incomplete", &mut findings);
        }
    }
    let mut remembered = Remembered::default();
    match connect(environment, database_url, schema).await {
        Ok(mut store) => {
            check_database(&mut store, environment.get("WIX_SITE_ID"), &answers, &mut findings).await;
            remembered = store.remembered_installation().await.unwrap_or_default();
        }
        Err(outcome) => {
            findings.add("database", outcome);
            findings.add("schema", Outcome::skipped("not checked: there is no connection"));
        }
    }
    add_site(claim, &remembered, &answers, &mut findings);
    findings.0
}

/// The checks of Wix alone, with the settings in this environment.
pub async fn examine_wix(environment: &Environment) -> Vec<Finding> {
    let mut findings = Findings::default();
    match SyncConfig::resolve(environment, SyncFlags::default()) {
        Ok(config) => {
            let answers = wix::check_api(&config.wix, &mut findings).await;
            add_site(config.wix.claim(), &Remembered::default(), &answers, &mut findings);
        }
        Err(error) => findings.add("Wix", error),
    }
    findings.0
}

/// The checks of the database alone: whether it can be reached, and whether `migrate` and `sync` have enough
/// privileges.
pub async fn examine_database(environment: &Environment) -> Vec<Finding> {
    let mut findings = Findings::default();
    match connect(environment, None, None).await {
        Ok(store) => {
            check_server(&store, &mut findings).await;
            // A pending migration is not a problem here, because `migrate` is the next step.
            let needs_migrate = matches!(
                schema::state(&store).await,
                Ok(SchemaState::NotMigrated | SchemaState::Unrecorded | SchemaState::Pending(_))
            );
            if check_schema(&store, &mut findings).await {
                findings.add("site", tables::site(&store, environment.get("WIX_SITE_ID")).await);
            }
            findings.0.retain(|finding| !(needs_migrate && finding.check == "migrations"));
        }
        Err(outcome) => findings.add("database", outcome),
    }
    findings.0
}

/// Whether the app credentials belong to the configured site.
fn add_site(claim: Option<Claim<'_>>, remembered: &Remembered, answers: &Answers, findings: &mut Findings) {
    if let (Some(claim), Some(info)) = (claim, &answers.token_info) {
        findings.add("Wix site", wix::site(&claim, remembered, info));
    }
}

/// Which variables are set, without their values.
fn check_variables(
    environment: &Environment,
    database_url: Option<&str>,
    schema: Option<&str>,
    findings: &mut Findings,
) {
    let flags = [database_url.map(|_| "--database-url"), schema.map(|_| "--schema")];
    let known: Vec<&str> = environment.known().into_iter().chain(flags.into_iter().flatten()).collect();
    let outcome = match known.is_empty() {
        true => Outcome::problem("none is set", "run `wix-sync init`, or copy .env.example to .env and fill it in"),
        false => Outcome::ok(format!("set: {}", known.join(", "))),
    };
    findings.add("variables", outcome);
    for name in environment.unknown() {
        let hint = match nearest_variable(name) {
            Some(nearest) => format!("did you mean {nearest}? docs/configuration.md lists all variables"),
            None => "unset it, or look for a typing error; docs/configuration.md lists all variables".to_owned(),
        };
        findings.add("variables", Outcome::warning(format!("{name} is unknown and has no effect"), hint));
    }
    if let Some(file) = environment.env_file().filter(|file| is_open_to_others(file)) {
        let message = format!("{} can be read by other users of this machine, and holds secrets", file.display());
        findings.add("variables", Outcome::warning(message, format!("chmod 600 {}", file.display())));
    }
    if let Some(Err(what)) = check_monitor(environment) {
        let message = format!("WIX_SYNC_HEALTHCHECK_URL: {what}");
        findings.add("variables", Outcome::problem(message, "copy the address from the monitor again, or unset it"));
    }
}

/// Whether group or others can read the file. A file whose mode cannot be read was not loaded either.
fn is_open_to_others(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0)
}

/// Whether the monitor's address is valid. No request is sent, because it would count as a run.
fn check_monitor(environment: &Environment) -> Option<Result<(), String>> {
    let url = environment.healthcheck_url()?;
    let network = environment.network().map_err(|error| error.to_string());
    Some(network.and_then(|network| Healthcheck::new(&url, &network, Uuid::nil()).map(drop)))
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

async fn check_database(store: &mut Store, site_id: Option<&str>, answers: &Answers, findings: &mut Findings) {
    check_server(store, findings).await;
    let is_current = check_schema(store, findings).await;
    findings.add("row security", access::row_security(store).await);
    findings.add_all("public access", access::public_access(store).await);
    findings.add_all("search path", access::search_path(store).await);
    if is_current {
        tables::check(store, site_id, answers, findings).await;
    } else {
        findings.add("tables", Outcome::skipped("not checked: the schema is not up to date"));
    }
}

async fn check_server(store: &Store, findings: &mut Findings) {
    findings.add("database", Outcome::ok(format!("can be reached; schema {}", store.schema().name())));
    findings.add("TLS", connection::tls(store).await);
    findings.add("server", connection::server(store).await);
    findings.add("server clock", connection::clock(store));
    findings.add("statement timeout", connection::statement_timeout(store).await);
    findings.add("pooler", connection::pooler(store).await);
}

/// Whether the schema is as wix-sync needs it, and whether this database user can use or migrate it. True if all
/// migrations are applied.
async fn check_schema(store: &Store, findings: &mut Findings) -> bool {
    let state = schema::state(store).await;
    let is_current = matches!(state, Ok(SchemaState::Current));
    let is_changed = matches!(state, Ok(SchemaState::Unrecorded) | Err(StoreError::Damaged { .. }));
    let is_new = matches!(state, Ok(SchemaState::NotMigrated));
    findings.add("migrations", state.map(|state| schema::migrations(store, state)));
    if is_current || is_changed {
        findings.add_all("schema", schema::problems(store).await);
    }
    if is_new {
        findings.add_all("schema", schema::existing_tables(store).await);
    }
    if is_current {
        findings.add("rights", access::rights(store).await);
    } else {
        findings.add("rights", access::rights_to_migrate(store).await);
    }
    is_current
}
