//! Checks who can use the tables: this database user, Supabase's public roles, and roles that can create objects in a
//! schema of the search path.

use super::finding::Outcome;
use crate::store::{PublicAccess, Store, StoreError};

/// Whether this database user has the privileges that commands need.
pub(super) async fn rights(store: &Store) -> Result<Outcome, StoreError> {
    let missing = store.missing_rights().await?;
    if missing.is_empty() {
        return Ok(Outcome::ok("this database user may read and write all tables"));
    }
    let message = format!("this database user lacks rights on {}", missing.join(", "));
    Ok(Outcome::problem(message, "connect as the owner of the tables, or grant what is missing"))
}

/// Whether this database user may create tables and change existing ones.
pub(super) async fn rights_to_migrate(store: &Store) -> Result<Outcome, StoreError> {
    let (rights, schema) = (store.rights_to_migrate().await?, store.schema());
    let name = schema.name();
    Ok(if !rights.may_create && rights.schema_exists {
        Outcome::problem(
            format!("this database user may not create tables in schema {name}"),
            format!("grant create on schema {schema} to it, or give another one with --schema"),
        )
    } else if !rights.may_create {
        Outcome::problem(
            format!("there is no schema {name}, and this database user may not create it"),
            format!("create schema {schema} with it as its owner"),
        )
    } else if let Some(tables) = rights.not_owned {
        let message = format!("this database user does not own {tables}, which `migrate` has to change");
        Outcome::problem(message, "connect as their owner")
    } else {
        Outcome::ok(format!("this database user may create tables in schema {name}"))
    })
}

/// Whether row level security could hide rows from this database user.
pub(super) async fn row_security(store: &Store) -> Result<Outcome, StoreError> {
    Ok(match store.tables_with_row_security().await? {
        None => Outcome::ok("hides nothing from this database user"),
        Some(tables) => Outcome::problem(
            format!("may hide rows of {tables} from this database user, who is not their owner"),
            "connect as the owner of the tables, or as a role with BYPASSRLS",
        ),
    })
}

/// Whether Supabase's public roles can read or change the tables, directly or through views.
pub(super) async fn public_access(store: &Store) -> Result<Vec<Outcome>, StoreError> {
    let open = store.public_access().await?;
    if open.is_empty() {
        return Ok(vec![Outcome::ok("neither anon nor authenticated can read or change the tables")]);
    }
    Ok(open.into_iter().map(judge).collect())
}

/// `anon` is everyone who has the project's public key. Policies for `authenticated` may be intended, and so may a view
/// with only SELECT granted: it must not show personal data.
fn judge(access: PublicAccess) -> Outcome {
    let PublicAccess { relation, role, .. } = &access;
    let revoke = format!("revoke all on {relation} from {role}, public");
    let is_anon = role == "anon";
    let is_problem = match access.is_foreign_view {
        true => access.can_write() || is_anon && !access.is_select_only,
        false => is_anon || access.passes_policies(),
    };
    match (is_problem, access.is_foreign_view) {
        (true, true) => Outcome::problem(
            access.sentence,
            format!("{revoke}; then grant select again if the view is meant for them"),
        ),
        (true, false) => Outcome::problem(access.sentence, format!("drop these policies, or: {revoke}")),
        (false, true) => Outcome::warning(
            access.sentence,
            format!("see that it shows no rows that they must not read, or: {revoke}"),
        ),
        (false, false) => Outcome::warning(
            access.sentence,
            "see that the policies let users at their own rows only; `raw` holds the whole record",
        ),
    }
}

/// Whether other roles can create objects in the schemas of the search path. wix-sync's statements do not use the
/// search path; triggers on the tables, and other programs of this database user, may use it.
pub(super) async fn search_path(store: &Store) -> Result<Vec<Outcome>, StoreError> {
    let open = store.schemas_open_to_others().await?;
    if open.is_empty() {
        return Ok(vec![Outcome::ok("nobody else may create objects in the schemas that it names")]);
    }
    let outcome = |(schema, roles): (String, String)| {
        let message = format!(
            "{roles} may create objects in schema {schema}, which this database user searches: a function there can run \
             with its rights"
        );
        Outcome::warning(message, format!("revoke create on schema {schema} from {roles}"))
    };
    Ok(open.into_iter().map(outcome).collect())
}
