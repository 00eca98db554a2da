//! libpq's password file: lines of `host:port:database:user:password`, the first that fits counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

#[derive(Debug, Default)]
pub(super) struct PasswordFile {
    pub(super) path: PathBuf,
    lines: Vec<([String; 4], Secret)>,
}

impl PasswordFile {
    /// Reads it. As libpq does, a file that others can read is passed over with a warning, and one that is
    /// not there (or no file at all) without.
    pub(super) fn read(path: &Path) -> PasswordFile {
        let mut file = PasswordFile { path: path.to_owned(), lines: Vec::new() };
        let Ok(metadata) = fs::metadata(path) else { return file };
        let shown = path.display();
        if !metadata.is_file() {
            tracing::warn!("the password file {shown} is not used: it is no plain file");
        } else if metadata.permissions().mode() & 0o077 != 0 {
            tracing::warn!("the password file {shown} is not used: others can read or write it; `chmod 600` it");
        } else {
            match fs::read_to_string(path) {
                Ok(text) => file.lines = text.lines().filter_map(parse_line).collect(),
                Err(error) => tracing::warn!("the password file {shown} is not used: {error}"),
            }
        }
        file
    }

    /// The password for a place, where there is one.
    pub(super) fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<&Secret> {
        let port = port.to_string();
        let wanted = [host, &port, database, user];
        let fits = |fields: &[String; 4]| {
            fields.iter().zip(wanted).all(|(field, wanted)| field == ANYTHING || unescaped(field) == wanted)
        };
        self.lines.iter().find(|(fields, _)| fits(fields)).map(|(_, password)| password)
    }
}

const ANYTHING: &str = "*";

fn parse_line(line: &str) -> Option<([String; 4], Secret)> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                field.push(c);
                field.extend(characters.next());
            }
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            // Behind the password libpq ignores what follows a colon.
            ':' => break,
            c => field.push(c),
        }
    }
    let password = unescaped(field.trim_end_matches('\r'));
    let fields = fields.try_into().ok()?;
    (!password.is_empty()).then(|| (fields, Secret::verbatim(&password)))
}

/// A backslash takes the next character as it is.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => plain.extend(characters.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{PasswordFile, parse_line};

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# h:*:*:*:comment\n\
                    h:5433:*:*:other port\n\
                    h:5432:d:u:exact\n\
                    ::1:5432:*:*:no escape\n\
                    \\:\\:1:*:*:*:an address\n\
                    *:*:a\\*:*:a star\n\
                    h:*:*:*:a\\:b\\\\c d:rest\n\
                    h:*:*\n\
                    *:*:*:*:any";
        let lines = text.lines().filter_map(parse_line).collect();
        let file = PasswordFile { lines, ..PasswordFile::default() };
        let find = |host, port, database, user| file.find(host, port, database, user).map(|found| found.reveal());
        assert_eq!(find("h", 5432, "d", "u"), Some("exact"));
        assert_eq!(find("h", 5433, "d", "u"), Some("other port"));
        assert_eq!(find("h", 5432, "d", "v"), Some(r"a:b\c d"));
        assert_eq!(find("::1", 5432, "d", "u"), Some("an address"));
        assert_eq!(find("g", 1, "a*", "u"), Some("a star"));
        assert_eq!(find("g", 1, "ab", "u"), Some("any"));
    }
}
