//! The endpoints the simulator knows.

use hyper::Method;

/// One endpoint of Wix's REST API; `Any` stands for all of them in faults, hooks and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /oauth2/token`
    OauthToken,
    /// `POST /oauth2/token-info`
    OauthTokenInfo,
    /// `POST /oauth/access`
    OauthAccess,
    /// `GET /contacts/v4/contacts`
    ContactsList,
    /// `POST /contacts/v4/contacts/query`
    ContactsQuery,
    /// `GET /contacts/v4/contacts/{id}`
    ContactGet,
    /// `GET` or `POST /contacts/v5/contacts/query`
    ContactsV5Query,
    /// `POST …/bookings-reader/v2/extended-bookings/query`
    BookingsQuery,
    /// `POST …/bookings-reader/v2/extended-bookings/count`
    BookingsCount,
    /// `POST /ecom/v1/orders/search`
    OrdersSearch,
    /// `GET /ecom/v1/orders/{id}`
    OrderGet,
    /// A path the simulator does not know; answered 404.
    Unknown,
    /// Every endpoint; never the endpoint of a request.
    Any,
}

impl Endpoint {
    /// The endpoint of a request, and the id in its path.
    pub(crate) fn of(method: &Method, path: &str) -> (Self, Option<String>) {
        let post = method == Method::POST;
        let get = method == Method::GET;
        let endpoint = match path {
            "/oauth2/token" if post => Self::OauthToken,
            "/oauth2/token-info" if post => Self::OauthTokenInfo,
            "/oauth/access" if post => Self::OauthAccess,
            "/contacts/v4/contacts" if get => Self::ContactsList,
            "/contacts/v4/contacts/query" if post => Self::ContactsQuery,
            "/contacts/v5/contacts/query" if get || post => Self::ContactsV5Query,
            "/_api/bookings-reader/v2/extended-bookings/query"
            | "/bookings/bookings-reader/v2/extended-bookings/query"
                if post =>
            {
                Self::BookingsQuery
            }
            "/_api/bookings-reader/v2/extended-bookings/count"
            | "/bookings/bookings-reader/v2/extended-bookings/count"
                if post =>
            {
                Self::BookingsCount
            }
            "/ecom/v1/orders/search" if post => Self::OrdersSearch,
            _ => Self::Unknown,
        };
        if endpoint == Self::Unknown && get {
            let gets = [("/contacts/v4/contacts/", Self::ContactGet), ("/ecom/v1/orders/", Self::OrderGet)];
            for (prefix, endpoint) in gets {
                if let Some(id) = path.strip_prefix(prefix)
                    && !id.is_empty()
                    && !id.contains('/')
                {
                    return (endpoint, Some(percent_decoded(id)));
                }
            }
        }
        (endpoint, None)
    }

    /// True if a fault or hook on `self` concerns a request to `other`.
    pub(crate) fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }

    pub(crate) fn is_oauth(self) -> bool {
        matches!(self, Self::OauthToken | Self::OauthTokenInfo | Self::OauthAccess)
    }
}

fn percent_decoded(id: &str) -> String {
    // A plus sign stands for itself in a path.
    let guarded = id.replace('+', "%2B");
    form_urlencoded::parse(guarded.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}
