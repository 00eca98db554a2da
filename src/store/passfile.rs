//! libpq's password file: lines of `host:port:database:user:password`. The first line that matches is used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::secret::Secret;

/// The lines of a password file.
pub(super) struct PasswordFile(Secret);

impl PasswordFile {
    /// As in libpq, a file that others can read is not used and gives a warning; one that does not exist gives none.
    pub(super) fn read(path: &Path) -> PasswordFile {
        let shown = path.display();
        let text = match fs::metadata(path) {
            Err(_) => Ok(String::new()),
            Ok(metadata) if !metadata.is_file() => Err("it is not a regular file".to_owned()),
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                Err("others can read or write it; `chmod 600` it".to_owned())
            }
            Ok(_) => fs::read_to_string(path).map_err(|error| error.to_string()),
        };
        let text = text.unwrap_or_else(|reason| {
            tracing::warn!("the password file {shown} is not used: {reason}");
            String::new()
        });
        PasswordFile(Secret::verbatim(&text))
    }

    pub(super) fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
        let fields = [host, &port.to_string(), database, user];
        let mut lines = self.0.reveal().lines().filter(|line| !line.starts_with('#'));
        lines.find_map(|line| {
            let rest = fields.iter().try_fold(line, |rest, wanted| after(rest, wanted))?;
            Some(password(rest)).filter(|password| !password.is_empty()).map(|password| Secret::verbatim(&password))
        })
    }
}

/// The text after the first field and its colon, if that field is `wanted` or `*`.
fn after<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut rest = line;
    for c in wanted.chars() {
        // A colon within a field must be escaped; any other character may be.
        rest = match rest.strip_prefix('\\') {
            Some(escaped) => escaped.strip_prefix(c)?,
            None if c == ':' => return None,
            None => rest.strip_prefix(c)?,
        };
    }
    rest.strip_prefix(':')
}

/// The password ends at a colon, as in libpq.
fn password(field: &str) -> String {
    let mut plain = String::new();
    let mut characters = field.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => plain.extend(characters.next()),
            ':' => break,
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::PasswordFile;
    use crate::secret::Secret;

    #[test]
    fn first_line_that_fits_counts() {
        let text = "# h:*:*:*:comment\n\
                    h:5433:*:*:other port\n\
                    h:5432:d:u:exact\n\
                    ::1:5432:*:*:no escape\n\
                    \\:\\:1:*:*:*:an address\n\
                    *:*:a\\*:*:a star\n\
                    h:*:*:*:a\\:b\\\\c d:rest\n\
                    h:*:*\n\
                    *:*:*:*:any";
        let file = PasswordFile(Secret::verbatim(text));
        let find = |host, port, database, user| file.find(host, port, database, user);
        let some = |password| Some(Secret::verbatim(password));
        assert_eq!(find("h", 5432, "d", "u"), some("exact"));
        assert_eq!(find("h", 5433, "d", "u"), some("other port"));
        assert_eq!(find("h", 5432, "d", "v"), some(r"a:b\c d"));
        assert_eq!(find("::1", 5432, "d", "u"), some("an address"));
        assert_eq!(find("g", 1, "a*", "u"), some("a star"));
        assert_eq!(find("g", 1, "ab", "u"), some("any"));
    }
}
