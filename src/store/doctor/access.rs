//! Who else can use the tables, and who can create in the schemas that the database user searches.

use super::{NEEDED, VIEW};
use crate::finding::Finding;
use crate::store::access::{ASKING, MAY_CREATE, PUBLIC_ACCESS, PUBLIC_ROLES, PublicAccess, described};
use crate::store::connect::Store;
use crate::store::error::StoreError;
use crate::store::session::params;

impl Store {
    /// Whether roles that Supabase opens to the internet can read or change the tables, themselves or through views.
    pub(super) async fn public_access(&self) -> Result<Vec<Finding>, StoreError> {
        const CHECK: &str = "public access";
        let names: Vec<&str> = NEEDED.iter().map(|(table, _)| *table).chain([VIEW]).collect();
        let schema = self.schema.name();
        let open = described(&self.rows(ASKING, PUBLIC_ACCESS, params![schema, names, PUBLIC_ROLES]).await?)?;
        if open.is_empty() {
            return Ok(vec![Finding::ok(CHECK, "neither anon nor authenticated can read or change the tables")]);
        }
        Ok(open.into_iter().map(|access| judge(CHECK, access)).collect())
    }

    /// Whether others may create in the schemas of the search path. wix-sync's own statements do not search them; triggers
    /// of the tables and other programs of this database user may.
    pub(super) async fn search_path(&self) -> Result<Vec<Finding>, StoreError> {
        const CHECK: &str = "search path";
        let searched = self.searched_schemas().await?;
        let doing = "could not read who may create in the schemas of the search path";
        let rows = self.rows(doing, MAY_CREATE, params![searched]).await?;
        let mut findings: Vec<Finding> = rows.map(|(schema, roles): (String, String)| {
            Finding::warn(
                CHECK,
                format!(
                    "{roles} may create objects in schema {schema}, which this database user searches: a function there \
                     can run with its rights"
                ),
                format!("revoke create on schema {schema} from {roles}"),
            )
        })?;
        if findings.is_empty() {
            findings.push(Finding::ok(CHECK, "nobody else may create objects in the schemas that it names"));
        }
        Ok(findings)
    }
}

/// `anon` is everyone who has the project's public key. What `authenticated` reads or writes by policies may be meant, and
/// so may a view of which nothing but SELECT was granted: it must hold no rows of persons.
fn judge(check: &'static str, access: PublicAccess) -> Finding {
    let PublicAccess { relation, role, .. } = &access;
    let revoke = format!("revoke all on {relation} from {role}, public");
    let is_anon = role == "anon";
    if access.is_foreign_view {
        let is_fault = access.can_write() || is_anon && !access.is_select_only;
        return match is_fault {
            true => Finding::fail(
                check,
                access.sentence,
                format!("{revoke}; then grant select again if the view is meant for them"),
            ),
            false => Finding::warn(
                check,
                access.sentence,
                format!("see that it shows no rows that they must not read, or: {revoke}"),
            ),
        };
    }
    match is_anon || access.passes_policies() {
        true => Finding::fail(check, access.sentence, format!("drop these policies, or: {revoke}")),
        false => Finding::warn(
            check,
            access.sentence,
            "see that the policies let users at their own rows only; `raw` holds the whole record",
        ),
    }
}
