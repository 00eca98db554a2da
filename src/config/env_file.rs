//! Changes variables in a `.env` file. Other lines and comments stay as they are.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The secrets in it are for its owner only.
const MODE: u32 = 0o600;

/// The text of a `.env` file.
pub struct EnvFile {
    text: String,
}

impl EnvFile {
    /// Empty if the file does not exist.
    pub fn read(path: &Path) -> io::Result<EnvFile> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(EnvFile { text: text.trim_start_matches('\u{FEFF}').to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(EnvFile { text: String::new() }),
            Err(error) => Err(error),
        }
    }

    /// The value that the file gives a variable: its last line counts.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut assignments = self.entries().into_iter().rev().filter_map(assignment);
        assignments.find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Sets a variable in its place, or at the end; with `None` its lines are removed.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let mut line = value.map(|value| format!("{name}={}\n", quoted(value)));
        let mut text = String::new();
        for entry in self.entries() {
            match assignment(entry) {
                Some((known, _)) if known == name => text.push_str(&line.take().unwrap_or_default()),
                _ => text.push_str(entry),
            }
        }
        if let Some(line) = line {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
        }
        self.text = text;
    }

    /// Replaces the file in one step; nobody else can read it at any time. The target of a symbolic link is replaced.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary)?;
            file.write_all(self.text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            // It may not exist; the first error is the one to report.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    /// The lines with their ends. A quoted value may span several.
    fn entries(&self) -> Vec<&str> {
        let (mut entries, mut start, mut end) = (Vec::new(), 0, 0);
        for line in self.text.split_inclusive('\n') {
            end += line.len();
            let entry = &self.text[start..end];
            if end == self.text.len() || super::environment::parse(entry).is_ok() {
                entries.push(entry);
                start = end;
            }
        }
        entries
    }
}

/// The variable and the value that an entry sets; `None` for comments and empty lines.
fn assignment(entry: &str) -> Option<(String, String)> {
    super::environment::parse(entry).ok()?.pop()
}

/// A value as the reader of `.env` files gets it back. In single quotes nothing has a meaning but a backslash, which hides
/// the end from dotenvy: quotes and backslashes stand in double quotes.
fn quoted(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=?&~".contains(&byte);
    match value.bytes().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', "\0").replace('\\', r#"'"\\"'"#).replace('\0', r#"'"'"'"#)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::EnvFile;
    use crate::config::environment::parse;

    fn of(text: &str) -> EnvFile {
        EnvFile { text: text.to_owned() }
    }

    proptest! {
        #[test]
        fn value_is_read_back_as_it_was_written(value in r#"[ -~éß€\\'"$#]{1,40}"#) {
            let mut file = of("# first\nOTHER=\"x\"\n");
            file.set("NAME", Some(&value));
            let read = parse(&file.text).expect("it is valid");
            prop_assert_eq!(read, vec![("OTHER".to_owned(), "x".to_owned()), ("NAME".to_owned(), value)]);
        }
    }

    #[test]
    fn other_lines_and_comments_stay() {
        let mut file = of("# my site\nexport A=1 # one\nB='two\nlines'\n\nA=2\nC=3");
        file.set("A", Some("it's $5"));
        file.set("D", Some("4"));
        file.set("C", None);
        assert_eq!(file.text, "# my site\nA='it'\"'\"'s $5'\nB='two\nlines'\n\nD=4\n");
        assert_eq!(file.get("A").as_deref(), Some("it's $5"));
        file.set("B", Some("2"));
        assert_eq!(file.text, "# my site\nA='it'\"'\"'s $5'\nB=2\n\nD=4\n");
    }
}
