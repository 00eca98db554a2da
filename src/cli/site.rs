//! Checks whose records the credentials read, before a command reads any.

use super::Failure;
use super::exit::Exit;
use crate::event::{Event, Reporter};
use crate::installation::{Accepted, WrongInstallation, judge};
use crate::store::Store;
use crate::wix::WixClient;

impl From<Box<WrongInstallation>> for Failure {
    fn from(error: Box<WrongInstallation>) -> Failure {
        Failure { exit: Exit::Usage, hint: Some(error.hint()), error: (*error).into() }
    }
}

/// Refuses a site other than the schema's, and credentials of another site. Writes nothing.
pub(super) async fn check_site(store: &Store, wix: &WixClient, reporter: &dyn Reporter) -> Result<(), Failure> {
    store.check_site(wix.site_id()).await?;
    confirm_installation(store, wix, reporter).await.map(drop)
}

/// Like [`check_site`], and remembers site and installation.
pub(super) async fn claim_site(store: &mut Store, wix: &WixClient, reporter: &dyn Reporter) -> Result<(), Failure> {
    let is_noted = store.check_site(wix.site_id()).await?;
    let accepted = confirm_installation(store, wix, reporter).await?;
    if !is_noted {
        store.note_site(wix.site_id(), store.now()).await?;
    }
    if let (Some(accepted), Some(claim)) = (accepted, wix.claim()) {
        store.remember_installation(&claim, accepted.is_confirmed, store.now()).await?;
    }
    Ok(())
}

/// Asks Wix if the pair of site and installation is not confirmed yet. `None` if there was nothing to ask, or no access
/// token to ask with.
async fn confirm_installation(
    store: &Store,
    wix: &WixClient,
    reporter: &dyn Reporter,
) -> Result<Option<Accepted>, Failure> {
    // Wix itself checks an API key against WIX_SITE_ID, which is sent with it.
    let Some(claim) = wix.claim() else { return Ok(None) };
    let remembered = store.remembered_installation().await?;
    if remembered.confirms(&claim) {
        return Ok(None);
    }
    let Some(info) = wix.token_info().await else { return Ok(None) };
    let accepted = judge(&remembered, &claim, &info)?;
    if let Some(notice) = &accepted.notice {
        let later = if accepted.is_confirmed { "" } else { "; the run continues, and the next one asks again" };
        reporter.report(Event::Notice { table: None, text: &format!("{notice}{later}") });
    }
    Ok(Some(accepted))
}
