//! Connection URLs that libpq and tokio-postgres read alike.

use std::{fmt::Write, os::unix::ffi::OsStrExt, path::Path};

/// A URL over a unix socket: the directory goes into the `host` parameter.
pub(crate) fn socket(role: &str, database: &str, dir: &Path, port: u16) -> String {
    let (role, database) = (encode(role.as_bytes()), encode(database.as_bytes()));
    let port = if port == 5432 { String::new() } else { format!("&port={port}") };
    format!("postgresql://{role}@/{database}?host={}{port}", encode(dir.as_os_str().as_bytes()))
}

/// A URL over loopback.
pub(crate) fn tcp(role: &str, database: &str, port: u16) -> String {
    format!("postgresql://{}@127.0.0.1:{port}/{}", encode(role.as_bytes()), encode(database.as_bytes()))
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{socket, tcp};
    use std::path::Path;

    #[test]
    fn names_and_paths_are_percent_encoded() {
        let url = socket("a b", "d/é", Path::new("/tmp/x y"), 5432);
        assert_eq!(url, "postgresql://a%20b@/d%2F%C3%A9?host=%2Ftmp%2Fx%20y");
        assert_eq!(socket("r", "d", Path::new("/s"), 6432), "postgresql://r@/d?host=%2Fs&port=6432");
        assert_eq!(tcp("r", "d", 6000), "postgresql://r@127.0.0.1:6000/d");
    }
}
