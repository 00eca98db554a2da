//! Addresses of HTTP servers. They are shown without parts that may be secret: user and password, query, fragment.

use std::fmt;

use url::{Host, Url};

/// An `http://` or `https://` address.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Parses an address. The error does not quote it, because the invalid part may be a part of a password.
    pub fn parse(text: &str) -> Result<Address, String> {
        let url = Url::parse(text.trim()).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => NOT_HTTP.to_owned(),
            error => format!("{NOT_HTTP}: {error}"),
        })?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(NOT_HTTP.to_owned());
        }
        Ok(Address(url))
    }

    /// The address of an API to which credentials are sent.
    pub fn of_api(text: &str) -> Result<Address, String> {
        let address = Address::parse(text)?;
        if address.0.query().is_some() || address.0.fragment().is_some() {
            return Err("paths are added to it, so it cannot have a query (`?`) or a fragment (`#`)".to_owned());
        }
        if !address.is_encrypted() && !address.is_local() {
            return Err(format!(
                "{address}: credentials and records would be sent unencrypted; use https://, or an address of this machine"
            ));
        }
        Ok(address)
    }

    /// The complete address with its secrets, for the request itself, without a slash at the end.
    pub fn reveal(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub fn host_and_port(&self) -> String {
        let port = self.0.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.host())
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether requests to this address stay on this machine.
    pub fn is_local(&self) -> bool {
        is_local(&self.0)
    }
}

const NOT_HTTP: &str = "it is not an http:// or https:// address";

pub fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // Always resolves to this machine (RFC 6761).
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        // The host name is not parsed for other schemes than HTTP's.
        None => false,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        for (text, shown) in [
            ("https://www.wixapis.com", "https://www.wixapis.com"),
            (" http://127.0.0.1:8080/wix/ ", "http://127.0.0.1:8080/wix"),
            ("https://user:s3cret@H.example/a?b=s3cret#s3cret", "https://h.example/a"),
            ("https://s3cret@[::1]:80", "https://[::1]:80"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), format!("{address:?}")), (shown, format!("Address({shown})")));
        }
        for text in ["s3cret", "user:s3cret@h", "https://u:s3cret@", "http://u:s3cret@h:99999", "ftp://u:s3cret@h", ""]
        {
            let error = Address::parse(text).unwrap_err();
            assert!(
                error.starts_with("it is not an http:// or https:// address") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_api_is_reached_encrypted_or_on_this_machine() {
        for local in
            ["http://127.9.9.9", "http://[::1]:80/wix", "http://localhost:1", "http://wix.localhost", "https://h"]
        {
            assert!(Address::of_api(local).is_ok(), "{local}");
        }
        for other in
            ["http://0.0.0.0", "http://127.0.0.1.example", "http://localhost@h", "http://[fe80::1]", "http://10.0.0.1"]
        {
            assert!(Address::of_api(other).unwrap_err().contains("unencrypted"), "{other}");
        }
        assert!(Address::of_api("https://h/?a").unwrap_err().contains("query"));
    }
}
