//! Checks that the credentials belong to the right site, before any records are read.

use super::context::{Run, SyncError};
use crate::event::{Event, Reporter};
use crate::installation::{Accepted, judge};
use crate::store::Store;
use crate::store::retry::report_if_slow;

/// Fails if the configured site is not the schema's, or if the credentials belong to another site. Writes nothing.
pub async fn check_site(run: &Run<'_>, store: &Store) -> Result<(), SyncError> {
    check_stored_site(run, store).await?;
    confirm_installation(run, store).await.map(drop)
}

/// Like [`check_site`], and stores site and installation.
pub(super) async fn claim_site(run: &Run<'_>, store: &mut Store) -> Result<(), SyncError> {
    let is_noted = check_stored_site(run, store).await?;
    let accepted = confirm_installation(run, store).await?;
    if !is_noted {
        store.note_site(run.wix.site_id(), store.now()).await?;
    }
    if let (Some(accepted), Some(claim)) = (accepted, run.wix.claim()) {
        store.remember_installation(&claim, accepted.is_confirmed, store.now()).await?;
    }
    Ok(())
}

/// Fails if the configured site is not the schema's. True if the schema has a site.
async fn check_stored_site(run: &Run<'_>, store: &Store) -> Result<bool, SyncError> {
    Ok(report_if_slow(Some(run.reporter.clone()), store.check_site(run.wix.site_id())).await?)
}

/// Asks Wix if the pair of site and installation is not confirmed yet. `None` if that was not necessary, or if there is
/// no access token.
async fn confirm_installation(run: &Run<'_>, store: &Store) -> Result<Option<Accepted>, SyncError> {
    // Wix itself checks an API key against WIX_SITE_ID, which is sent with it.
    let Some(claim) = run.wix.claim() else { return Ok(None) };
    let remembered = store.remembered_installation().await?;
    if remembered.confirms(&claim) {
        return Ok(None);
    }
    let Some(info) = run.wix.token_info().await else { return Ok(None) };
    let accepted = judge(&remembered, &claim, &info)?;
    if let Some(notice) = &accepted.notice {
        let later = if accepted.is_confirmed { "" } else { "; the run continues, and the next one asks again" };
        run.reporter.report(Event::Notice { table: None, text: &format!("{notice}{later}") });
    }
    Ok(Some(accepted))
}
