//! Outgoing connections: proxies and CA certificates from the environment, and what the two HTTP clients share.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy, redirect};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, RootCertStore};
use url::Url;

use crate::address::{Address, is_local};
use crate::secret::Secret;

/// Proxy variables, in the two spellings that other programs support.
pub const PROXY_VARIABLES: [[&str; 2]; 4] = [
    ["HTTPS_PROXY", "https_proxy"],
    ["HTTP_PROXY", "http_proxy"],
    ["ALL_PROXY", "all_proxy"],
    ["NO_PROXY", "no_proxy"],
];

/// Files that replace the system's CA certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificatePaths {
    /// `SSL_CERT_FILE`.
    file: Option<PathBuf>,
    /// The files of `SSL_CERT_DIR`.
    directories: Vec<PathBuf>,
}

impl CertificatePaths {
    /// Reads the variables that other programs also use.
    pub fn of<'a>(get: impl Fn(&str) -> Option<&'a str>) -> CertificatePaths {
        let directories = get("SSL_CERT_DIR").into_iter().flat_map(|list| list.split(':'));
        CertificatePaths {
            file: get("SSL_CERT_FILE").map(PathBuf::from),
            directories: directories.filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
        }
    }

    /// `None` if the system's CA certificates are used. The error names the variable and the file.
    pub fn load(&self) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
        if self.file.is_none() && self.directories.is_empty() {
            return Ok(None);
        }
        let mut certificates = Vec::new();
        if let Some(file) = &self.file {
            let found = rustls_native_certs::load_certs_from_paths(Some(file), None);
            let reason = found.errors.first().map(ToString::to_string);
            certificates = usable(found.certs);
            if certificates.is_empty() {
                let reason = reason.unwrap_or_else(|| "it holds no certificate".to_owned());
                return Err(format!("SSL_CERT_FILE {}: {reason}", file.display()));
            }
        }
        for directory in &self.directories {
            certificates.extend(usable(rustls_native_certs::load_certs_from_paths(None, Some(directory)).certs));
        }
        if certificates.is_empty() {
            return Err("SSL_CERT_DIR: its directories hold no certificate".to_owned());
        }
        Ok(Some(certificates))
    }
}

/// Bundles may contain old certificates that cannot be parsed. They are ignored.
fn usable(certificates: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    certificates.into_iter().filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok()).collect()
}

/// A proxy, and the name of its variable.
#[derive(Clone, Debug)]
struct NamedProxy {
    variable: String,
    address: Secret,
}

#[derive(Clone, Debug, Default)]
pub struct Network {
    https_proxy: Option<NamedProxy>,
    http_proxy: Option<NamedProxy>,
    /// Hosts that are reached without a proxy.
    no_proxy: Option<String>,
    /// `None` if the system's CA certificates are used.
    certificates: Option<Vec<CertificateDer<'static>>>,
}

impl Network {
    /// Reads the variables of curl and other programs. The error names the variable and does not quote a proxy, because
    /// its address may contain a password.
    pub fn of<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Network, String> {
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, get(name)?)));
        let [https, http, all, no] = PROXY_VARIABLES.map(first);
        // In a CGI program, `HTTP_PROXY` is set from a header of the request.
        let http = http.filter(|(name, _)| *name != "HTTP_PROXY" || get("REQUEST_METHOD").is_none());
        let proxy = |specific: Option<(&str, &str)>| match specific.or(all) {
            Some((name, value)) => proxy_address(value)
                .map(|address| Some(NamedProxy { variable: name.to_owned(), address }))
                .map_err(|what| format!("{name}: {what}")),
            None => Ok(None),
        };
        Ok(Network {
            https_proxy: proxy(https)?,
            http_proxy: proxy(http)?,
            no_proxy: no.map(|(_, value)| value.to_owned()),
            certificates: CertificatePaths::of(get).load()?,
        })
    }

    /// The proxy variable that applies to this server, with the host and port of the proxy but without user and
    /// password.
    pub fn describe_proxy(&self, server: &Address) -> Option<String> {
        let proxy = if server.is_encrypted() { self.https_proxy.as_ref() } else { self.http_proxy_for(server) };
        let NamedProxy { variable, address } = proxy?;
        let url = Url::parse(address.reveal()).ok()?;
        let port = url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        let exceptions = if self.no_proxy.is_some() { "; NO_PROXY is set too" } else { "" };
        Some(format!("{variable} names {}{port}{exceptions}", url.host_str().unwrap_or_default()))
    }

    /// Unencrypted requests to this machine must not go through a proxy.
    fn http_proxy_for(&self, server: &Address) -> Option<&NamedProxy> {
        let is_on_this_machine =
            |proxy: &NamedProxy| Url::parse(proxy.address.reveal()).is_ok_and(|url| is_local(&url));
        self.http_proxy.as_ref().filter(|proxy| !server.is_local() || is_on_this_machine(proxy))
    }

    /// A client for one server. It follows no redirect and sends no `Referer`.
    pub fn client(&self, server: &Address) -> Result<ClientBuilder, String> {
        // Fails only if a provider is already installed, which is correct.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut builder = Client::builder()
            .user_agent(concat!("wix-sync/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            // reqwest must not read the variables itself, because it does not know `.env`.
            .no_proxy();
        let no_proxy = || self.no_proxy.as_deref().and_then(NoProxy::from_string);
        if let Some(proxy) = &self.https_proxy {
            builder = builder.proxy(Proxy::https(proxy.address.reveal()).map_err(failed)?.no_proxy(no_proxy()));
        }
        if let Some(proxy) = self.http_proxy_for(server) {
            builder = builder.proxy(Proxy::http(proxy.address.reveal()).map_err(failed)?.no_proxy(no_proxy()));
        }
        if let Some(certificates) = &self.certificates {
            let certificates = certificates.iter().map(|certificate| Certificate::from_der(certificate));
            builder = builder.tls_certs_only(certificates.collect::<Result<Vec<_>, _>>().map_err(failed)?);
        }
        Ok(builder)
    }
}

/// The address of a proxy. Without a scheme it is HTTP.
fn proxy_address(value: &str) -> Result<Secret, String> {
    let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let is_known = |url: &Url| {
        matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") && url.has_host()
    };
    match Url::parse(&text) {
        Ok(url) if is_known(&url) => Ok(Secret::new(&text)),
        _ => Err("it is not the address of a proxy, such as http://proxy.example.com:3128".to_owned()),
    }
}

/// Why a server's certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// Not signed by a trusted CA, or not verifiable for another reason.
    NotTrusted,
    Expired,
    NotValidYet,
    /// It is for other hosts.
    OtherName,
}

impl CertificateProblem {
    /// The certificate problem that made a request fail, if there was one.
    pub fn of(error: &(dyn Error + 'static)) -> Option<CertificateProblem> {
        let rustls::Error::InvalidCertificate(error) = find::<rustls::Error>(error)? else { return None };
        Some(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateProblem::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateProblem::NotValidYet
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateProblem::OtherName
            }
            _ => CertificateProblem::NotTrusted,
        })
    }

    pub fn hint(self) -> &'static str {
        match self {
            CertificateProblem::NotTrusted => {
                "if a company proxy inspects TLS, name the file of its CA certificate in SSL_CERT_FILE; otherwise install \
                 ca-certificates, or find out who answers in place of the server"
            }
            CertificateProblem::Expired | CertificateProblem::NotValidYet => {
                "check this machine's clock; if it is right, the server needs a new certificate"
            }
            CertificateProblem::OtherName => {
                "check WIX_API_BASE_URL and the name server: something else answers under this name"
            }
        }
    }
}

/// The text after "the certificate of HOST".
impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateProblem::NotTrusted => "is not trusted",
            CertificateProblem::Expired => "has expired",
            CertificateProblem::NotValidYet => "is not valid yet",
            CertificateProblem::OtherName => "is for another name",
        })
    }
}

/// The first cause of this type. The inner error of an `io::Error` is in `get_ref`; its `source` skips it.
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// An error with its causes, because the top line alone often says little.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{CertificatePaths, Network};
    use crate::address::Address;

    fn network(pairs: &[(&str, &'static str)]) -> Result<Network, String> {
        Network::of(|name| pairs.iter().find(|(set, _)| *set == name).map(|(_, value)| *value))
    }

    #[test]
    fn proxies_are_read_as_curl_reads_them_and_never_quoted() {
        let of = |pairs: &[(&str, &'static str)]| {
            let network = network(pairs).unwrap();
            [network.https_proxy, network.http_proxy].map(|proxy| proxy.map(|proxy| proxy.address.reveal().to_owned()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(&[]), [None, None]);
        assert_eq!(
            of(&[("HTTPS_PROXY", "h:1"), ("all_proxy", "socks5h://a:2")]),
            [some("http://h:1"), some("socks5h://a:2")]
        );
        assert_eq!(
            of(&[("HTTPS_PROXY", "a"), ("https_proxy", "b"), ("HTTP_PROXY", "c")]),
            [some("http://a"), some("http://c")]
        );
        assert_eq!(of(&[("HTTP_PROXY", "c"), ("REQUEST_METHOD", "GET")]), [None, None]);
        for value in ["ftp://u:s3cret@h", "u:s3cret@h:99999", "http://", "http://u:s3cret@["] {
            let error = network(&[("all_proxy", value)]).unwrap_err();
            assert!(
                error.starts_with("all_proxy: it is not the address of a proxy") && !error.contains("s3cret"),
                "{error}"
            );
        }
        let server = Address::parse("https://www.wixapis.com").unwrap();
        let described =
            network(&[("https_proxy", "http://u:s3cret@proxy.example:3128")]).unwrap().describe_proxy(&server);
        assert_eq!(described.as_deref(), Some("https_proxy names proxy.example:3128"));
        assert!(!format!("{:?}", network(&[("ALL_PROXY", "http://u:s3cret@h")]).unwrap()).contains("s3cret"));
    }

    #[test]
    fn without_variables_the_certificates_of_the_system_count() {
        assert_eq!(CertificatePaths::of(|_| None).load(), Ok(None));
        let paths = CertificatePaths::of(|name| (name == "SSL_CERT_DIR").then_some(":/nowhere:"));
        assert_eq!((paths.directories.len(), paths.load().is_err()), (1, true));
    }
}
