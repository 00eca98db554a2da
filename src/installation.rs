//! Decides which site app credentials belong to, from the configuration, the schema and Wix's response.
//!
//! The access token determines the site, and `WIX_SITE_ID` is not sent with it. With the instance id of another
//! installation, for example from a copied `.env`, another site's records would be written into this site's tables.

/// The configured ids.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// `WIX_SITE_ID`.
    pub site_id: &'a str,
    /// The id of the app's installation on that site.
    pub instance_id: &'a str,
    /// The variable that contains the instance id: it has several names.
    pub variable: &'static str,
}

/// The ids that a schema remembers.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub schema: String,
    /// Whether any run has read records into the tables. Until then a remembered id may be a typing error.
    pub has_data: bool,
    /// The installations that the last accepted run used; more than one only after a manual change.
    pub installations: Vec<RememberedInstallation>,
}

/// An installation in `sync_state`.
#[derive(Clone, Debug)]
pub struct RememberedInstallation {
    pub instance_id: String,
    /// The site that Wix named for it; `None` if Wix could not be asked.
    pub site_id: Option<String>,
}

/// Wix's information about an access token (wix-api.md 1.5). Every field may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenInfo {
    /// The site that the token reads.
    pub site_id: Option<String>,
    /// The installation that it was issued to.
    pub instance_id: Option<String>,
}

/// The run may read records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whether Wix named the site. If not, the next run asks again.
    pub is_confirmed: bool,
    /// A sentence for the operator.
    pub notice: Option<String>,
}

/// The run must not read records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongInstallation {
    #[error("{variable} is the app's installation on site {actual}, but WIX_SITE_ID is {site_id}")]
    OtherSite {
        variable: &'static str,
        /// As named by Wix.
        actual: String,
        site_id: String,
        /// The schema, if earlier runs may have written the other site's records into it.
        doubtful_schema: Option<String>,
    },
    /// Wix issued the token to another installation than the requested one.
    #[error("Wix issued an access token for the app's installation {actual}, but {variable} is {given}")]
    OtherInstance {
        variable: &'static str,
        /// As named by Wix.
        actual: String,
        /// The value of the variable.
        given: String,
    },
    /// The installation is not the remembered one, and Wix did not name its site.
    #[error(
        "schema {schema} was filled through the app's installation {remembered}, but {variable} is {given}, and it could not be confirmed that this one is on site {site_id}: {why}"
    )]
    Unconfirmed {
        schema: String,
        /// The installation that earlier runs used.
        remembered: String,
        variable: &'static str,
        given: String,
        site_id: String,
        /// Why Wix did not name the site.
        why: String,
    },
}

impl Remembered {
    /// True if Wix confirmed this pair of site and installation in an earlier run, so that no request is needed.
    pub fn confirms(&self, claim: &Claim<'_>) -> bool {
        self.installations.iter().all(|known| is_same(&known.instance_id, claim.instance_id))
            && self.has_confirmed(claim.site_id)
    }

    fn has_confirmed(&self, site_id: &str) -> bool {
        self.installations.iter().filter_map(|known| known.site_id.as_deref()).any(|known| is_same(known, site_id))
    }

    /// An installation other than the claimed one, if it has filled the tables or is confirmed for the site.
    fn other_than(&self, claim: &Claim<'_>) -> Option<&str> {
        let is_bound = self.has_data || self.has_confirmed(claim.site_id);
        let mut known = self.installations.iter().map(|known| known.instance_id.as_str());
        known.find(|known| is_bound && !is_same(known, claim.instance_id))
    }
}

/// Decides about a pair of site and installation that is not confirmed. `info` is Wix's response, or why there is none.
///
/// # Errors
///
/// The run must not read: see [`WrongInstallation`].
pub fn judge(
    remembered: &Remembered,
    claim: &Claim<'_>,
    info: &Result<TokenInfo, String>,
) -> Result<Accepted, Box<WrongInstallation>> {
    let Claim { site_id, instance_id, variable } = *claim;
    let (named, why) = match info {
        Ok(info) => (info.clone(), "Wix's response has no site"),
        Err(why) => (TokenInfo::default(), why.as_str()),
    };
    if let Some(actual) = named.instance_id.filter(|actual| !is_same(actual, instance_id)) {
        return Err(Box::new(WrongInstallation::OtherInstance { variable, actual, given: instance_id.to_owned() }));
    }
    match (named.site_id, remembered.other_than(claim)) {
        (Some(actual), _) if !is_same(&actual, site_id) => {
            let is_doubtful = remembered.has_data && !remembered.has_confirmed(site_id);
            Err(Box::new(WrongInstallation::OtherSite {
                variable,
                actual,
                site_id: site_id.to_owned(),
                doubtful_schema: is_doubtful.then(|| remembered.schema.clone()),
            }))
        }
        (Some(_), other) => {
            let notice = other.map(|other| {
                format!("{variable} changed from {other} to {instance_id}; Wix confirms that it is on site {site_id}")
            });
            Ok(Accepted { is_confirmed: true, notice })
        }
        (None, Some(other)) => Err(Box::new(WrongInstallation::Unconfirmed {
            schema: remembered.schema.clone(),
            remembered: other.to_owned(),
            variable,
            given: instance_id.to_owned(),
            site_id: site_id.to_owned(),
            why: why.to_owned(),
        })),
        (None, None) => {
            let notice =
                format!("could not confirm that {variable} is the app's installation on site {site_id}: {why}");
            Ok(Accepted { is_confirmed: false, notice: Some(notice) })
        }
    }
}

impl WrongInstallation {
    pub fn hint(&self) -> String {
        match self {
            WrongInstallation::OtherSite { variable, actual, site_id, doubtful_schema } => {
                let what = format!("set {variable} to the instance id of the app's installation on site {site_id}");
                match doubtful_schema {
                    Some(schema) => format!(
                        "{what}. Earlier runs may have written records of site {actual} into schema {schema}: compare with \
                         `wix-sync verify`, or sync into a new schema"
                    ),
                    None => what,
                }
            }
            WrongInstallation::OtherInstance { variable, .. } => {
                format!("check {variable}, and WIX_API_BASE_URL if there is a proxy")
            }
            WrongInstallation::Unconfirmed { variable, remembered, .. } => {
                format!(
                    "if the app was installed again on this site, run again later; otherwise set {variable} to {remembered}"
                )
            }
        }
    }
}

/// Wix's ids are UUIDs. Configured ones may be in upper case or have spaces.
fn is_same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

#[cfg(test)]
mod tests {
    use super::{Accepted, Claim, Remembered, RememberedInstallation, TokenInfo, WrongInstallation, judge};

    const CLAIM: Claim<'_> = Claim { site_id: "site", instance_id: "instance", variable: "WIX_APP_INSTANCE_ID" };

    fn remembered(has_data: bool, instance_id: &str, site_id: Option<&str>) -> Remembered {
        let known = RememberedInstallation { instance_id: instance_id.to_owned(), site_id: site_id.map(str::to_owned) };
        Remembered { schema: "public".to_owned(), has_data, installations: vec![known] }
    }

    fn named(site_id: &str) -> Result<TokenInfo, String> {
        Ok(TokenInfo { site_id: Some(site_id.to_owned()), instance_id: None })
    }

    /// What happens to the run.
    fn verdict(remembered: &Remembered, info: &Result<TokenInfo, String>) -> &'static str {
        match judge(remembered, &CLAIM, info).map_err(|error| *error) {
            Ok(Accepted { is_confirmed: true, notice: None }) => "confirmed",
            Ok(Accepted { is_confirmed: true, notice: Some(_) }) => "confirmed, notice",
            Ok(Accepted { is_confirmed: false, notice: Some(_) }) => "unconfirmed, notice",
            Ok(Accepted { is_confirmed: false, notice: None }) => "unconfirmed",
            Err(WrongInstallation::OtherSite { doubtful_schema: None, .. }) => "other site",
            Err(WrongInstallation::OtherSite { doubtful_schema: Some(_), .. }) => "other site, doubtful schema",
            Err(WrongInstallation::OtherInstance { .. }) => "other instance",
            Err(WrongInstallation::Unconfirmed { .. }) => "refused",
        }
    }

    #[test]
    fn judge_decides_every_combination() {
        let nothing = Remembered::default();
        let unavailable = Err("it answered 404".to_owned());
        let silent = Ok(TokenInfo::default());
        for (remembered, confirmed, other_site, unknown) in [
            (nothing.clone(), "confirmed", "other site", "unconfirmed, notice"),
            (
                Remembered { has_data: true, ..nothing },
                "confirmed",
                "other site, doubtful schema",
                "unconfirmed, notice",
            ),
            (remembered(true, "instance", None), "confirmed", "other site, doubtful schema", "unconfirmed, notice"),
            (remembered(true, "other", Some("site")), "confirmed, notice", "other site", "refused"),
            (remembered(true, "other", None), "confirmed, notice", "other site, doubtful schema", "refused"),
            (remembered(false, "other", None), "confirmed", "other site", "unconfirmed, notice"),
            (remembered(false, "other", Some("site")), "confirmed, notice", "other site", "refused"),
            (remembered(false, "other", Some("elsewhere")), "confirmed", "other site", "unconfirmed, notice"),
        ] {
            assert_eq!(verdict(&remembered, &named(" SITE\n")), confirmed, "{remembered:?}");
            assert_eq!(verdict(&remembered, &named("elsewhere")), other_site, "{remembered:?}");
            assert_eq!(verdict(&remembered, &unavailable), unknown, "{remembered:?}");
            assert_eq!(verdict(&remembered, &silent), unknown, "{remembered:?}");
            let info = Ok(TokenInfo { instance_id: Some("other".to_owned()), ..named("site").unwrap() });
            assert_eq!(verdict(&remembered, &info), "other instance", "{remembered:?}");
            let info = Ok(TokenInfo { instance_id: Some(" INSTANCE".to_owned()), ..named("site").unwrap() });
            assert_eq!(verdict(&remembered, &info), confirmed, "{remembered:?}");
        }
    }

    #[test]
    fn only_a_confirmed_pair_is_not_checked() {
        assert!(remembered(true, "Instance ", Some("SITE")).confirms(&CLAIM));
        assert!(!remembered(true, "instance", None).confirms(&CLAIM));
        assert!(!remembered(true, "instance", Some("other")).confirms(&CLAIM));
        assert!(!remembered(true, "other", Some("site")).confirms(&CLAIM));
        assert!(!Remembered::default().confirms(&CLAIM));
        let mut two = remembered(true, "instance", Some("site"));
        two.installations.extend(remembered(true, "other", Some("site")).installations);
        assert!(!two.confirms(&CLAIM));
    }
}
