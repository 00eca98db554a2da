//! Private certificate authorities, their certificates, servers that use them, and directories for files.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use private_postgres::{Builder, Server};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Name in the servers' certificates. `hostaddr` gives the real address.
pub(crate) const HOST: &str = "db.example.test";

/// A certificate authority of one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Certified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority(CertifiedIssuer::self_signed(params, key()).expect("an authority"))
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, params: &CertificateParams) -> Certified {
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Certified { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// For a server with these names. The first one is the common name.
    pub(crate) fn server(&self, names: &[&str]) -> Certified {
        self.sign(&params(names[0], names))
    }

    /// For a server with a common name and no alternative names.
    pub(crate) fn server_with_common_name(&self, name: &str) -> Certified {
        self.sign(&params(name, &[]))
    }

    /// For a server, and expired long ago.
    pub(crate) fn expired(&self, names: &[&str]) -> Certified {
        let mut params = params(names[0], names);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    /// For a database user.
    pub(crate) fn user(&self, name: &str) -> Certified {
        let mut params = params(name, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }
}

/// A certificate as the Postgres manual makes it: self-signed, an authority, and without alternative names.
pub(crate) fn signed_by_itself(name: &str) -> Certified {
    self_signed(params(name, &[]))
}

pub(crate) fn expired_and_signed_by_itself(name: &str) -> Certified {
    let mut params = params(name, &[]);
    params.not_after = date_time_ymd(2001, 1, 1);
    self_signed(params)
}

fn self_signed(mut params: CertificateParams) -> Certified {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = key();
    let certificate = params.self_signed(&key).expect("a certificate");
    Certified { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// A server on loopback without TLS, which logs each connection.
pub(crate) fn plain_server(access: &str) -> Builder {
    Server::builder()
        .tcp()
        .setting("log_connections", "on")
        .data_file("pg_hba.conf", format!("local all all trust\n{access}"))
}

/// A server on loopback with TLS and this certificate, which logs each connection.
pub(crate) fn tls_server(certified: &Certified, access: &str) -> Builder {
    plain_server(access)
        .setting("ssl", "on")
        .data_file("server.crt", certified.certificate.as_str())
        .data_file("server.key", certified.key.as_str())
}

/// A directory for the files of one test, removed when the test ends.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new() -> Files {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wix-sync-files-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Files(path)
    }

    /// The directory.
    pub(crate) fn path(&self) -> String {
        self.0.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file with this mode. Returns its path.
    pub(crate) fn write(&self, name: &str, contents: &str, mode: u32) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory");
        std::fs::write(&path, contents).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A leftover in a temporary directory must not fail the test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
