//! The variables of the process and of a `.env` file.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::network::{Network, PROXY_VARIABLES};
use crate::secret::Secret;

/// The variables of this program other than Wix's credentials.
const SETTINGS: [&str; 13] = [
    "WIX_SITE_ID",
    "DATABASE_URL",
    "WIX_SYNC_SCHEMA",
    "WIX_API_BASE_URL",
    "WIX_RATE_LIMIT",
    "WIX_SYNC_BATCH_SIZE",
    "WIX_SYNC_MAX_RETRIES",
    "WIX_SYNC_RETRY_DELAY_MS",
    "WIX_SYNC_HEALTHCHECK_URL",
    "WIX_SYNC_SERVE_TOKEN",
    "WIX_SYNC_HINT_TOKEN",
    "WIX_SYNC_CORS_ORIGIN",
    "WIX_WEBHOOK_PUBLIC_KEY",
];

/// The variables of Wix's credentials, under all their names.
const CREDENTIALS: [&str; 7] = [
    "WIX_API_TOKEN",
    "WIX_APP_ID",
    "WIX_CLIENT_ID",
    "WIX_APP_SECRET",
    "WIX_CLIENT_SECRET",
    "WIX_APP_INSTANCE_ID",
    "WIX_INSTANCE_ID",
];

/// A word is a typing error of another only if they are at least this similar (Jaro-Winkler, 0 to 1).
const MIN_SIMILARITY: f64 = 0.85;

const DEFAULT_FILE: &str = ".env";

/// The environment: the process's own variables take precedence over those of a `.env` file. Empty ones count as not
/// set.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    /// The file that was read.
    file: Option<PathBuf>,
}

impl Environment {
    /// The process's variables, and those of `file`; without one, those of `.env` in the working directory, if it exists.
    pub fn load(file: Option<&Path>) -> Result<Environment, ConfigError> {
        let mut environment = Environment::default();
        let default = Path::new(DEFAULT_FILE);
        match file {
            Some(path) => environment.read_file(path, &format!("--env-file {}", path.display()))?,
            None if default.is_file() => environment.read_file(default, DEFAULT_FILE)?,
            None => {}
        }
        environment.add_process();
        Ok(environment)
    }

    /// The same for a `.env` file that may not exist yet.
    pub fn load_or_new(file: &Path) -> Result<Environment, ConfigError> {
        let mut environment = Environment::default();
        if file.exists() {
            environment.read_file(file, &file.display().to_string())?;
        }
        environment.add_process();
        Ok(environment)
    }

    /// Sets a variable here, without a change of the process's own; with `None` it counts as not set.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.variables.insert(name.to_owned(), value.unwrap_or_default().to_owned());
    }

    /// Adds the variables of the process.
    fn add_process(&mut self) {
        // A variable that is not UTF-8 is not one of ours.
        let own =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        for (name, value) in own.filter(|(_, value)| !value.trim().is_empty()) {
            // In either spelling: the process's own proxy takes precedence over the file's.
            for spelling in PROXY_VARIABLES.iter().filter(|names| names.contains(&name.as_str())).flatten() {
                self.variables.remove(*spelling);
            }
            self.variables.insert(name, value);
        }
    }

    /// `label` is what messages call the file.
    fn read_file(&mut self, path: &Path, label: &str) -> Result<(), ConfigError> {
        let bytes =
            std::fs::read(path).map_err(|error| ConfigError::new(format!("{label} cannot be read: {error}")))?;
        self.add_lines(decode(&bytes, label)?, label)?;
        self.file = Some(path.to_owned());
        Ok(())
    }

    /// Adds the lines of a `.env` file. `$` is not expanded: a password may contain one.
    fn add_lines(&mut self, text: &str, label: &str) -> Result<(), ConfigError> {
        let mut last = None;
        for item in items(text) {
            // The error would quote the line, and with it perhaps a secret.
            let (name, value) = item.map_err(|_| ConfigError {
                message: match &last {
                    Some(name) => format!("{label}: the line after {name} does not have the form NAME=value"),
                    None => format!("{label}: its first line does not have the form NAME=value"),
                },
                hint: Some("put values with spaces in double quotes".to_owned()),
            })?;
            last = Some(name.clone());
            self.variables.insert(name, value);
        }
        Ok(())
    }

    /// The `.env` file that was read.
    pub fn env_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// One clause on the `.env` file that was or was not read, for messages about missing variables.
    pub(super) fn describe_file(&self) -> String {
        let directory = std::env::current_dir().unwrap_or_default();
        match self.env_file() {
            Some(file) => format!("read {}", directory.join(file).display()),
            None => format!(
                "no {DEFAULT_FILE} in {}; under cron, cd to its directory first or use --env-file",
                directory.display()
            ),
        }
    }

    /// The variable's value; `None` if it is not set, or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The variable's value with the white space around it, which may belong to a password.
    pub(super) fn verbatim(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn network(&self) -> Result<Network, ConfigError> {
        Network::of(|name| self.get(name)).map_err(ConfigError::new)
    }

    /// The monitor's address. A secret: whoever knows it can report for this program.
    pub fn healthcheck_url(&self) -> Option<Secret> {
        self.get("WIX_SYNC_HEALTHCHECK_URL").map(Secret::new)
    }

    /// The names of the variables of this program that are set.
    pub fn known(&self) -> Vec<&'static str> {
        known_names().filter(|name| self.get(name).is_some()).collect()
    }

    /// Names of set variables that look like ours but are not: most likely typing errors.
    pub fn unknown(&self) -> Vec<&str> {
        let is_unknown = |name: &&str| name.starts_with("WIX_") && !known_names().any(|known| known == *name);
        let mut names: Vec<&str> = self.variables.keys().map(String::as_str).filter(is_unknown).collect();
        names.sort_unstable();
        names
    }

    /// The first of these variables that is set, with its name.
    pub fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    #[cfg(test)]
    pub(super) fn of(pairs: &[(&str, &str)]) -> Environment {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { variables, file: None }
    }
}

fn known_names() -> impl Iterator<Item = &'static str> {
    SETTINGS.into_iter().chain(CREDENTIALS)
}

/// The known variable that an unknown one was most likely meant to be.
pub fn nearest_variable(name: &str) -> Option<&'static str> {
    let similarity =
        |known: &str| strsim::jaro_winkler(&name["WIX_".len().min(name.len())..], known.trim_start_matches("WIX_"));
    let nearest = known_names().map(|known| (similarity(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).map(|(_, known)| known)
}

/// The text of a `.env` file, without a byte order mark.
fn decode<'a>(bytes: &'a [u8], label: &str) -> Result<&'a str, ConfigError> {
    let has_utf16_mark = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    if has_utf16_mark || bytes.contains(&0) {
        return Err(ConfigError {
            message: format!("{label} is encoded in UTF-16, not in UTF-8"),
            hint: Some("save it again as UTF-8; in PowerShell: `Set-Content -Encoding utf8`".to_owned()),
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::new(format!("{label} is not encoded in UTF-8")))?;
    Ok(text.trim_start_matches('\u{FEFF}'))
}

/// The variables of a `.env` file and their values, in order. `$` is not expanded.
fn items(text: &str) -> impl Iterator<Item = dotenvy::Result<(String, String)>> {
    let literal: Vec<String> = text.lines().map(without_expansion).collect();
    let lines = literal.join("\n").into_bytes();
    dotenvy::from_read_iter(io::Cursor::new(lines))
}

/// The same, if all lines have the form NAME=value.
pub(super) fn parse(text: &str) -> dotenvy::Result<Vec<(String, String)>> {
    items(text).collect()
}

/// Keeps dotenvy from replacing `$NAME`: a password may contain a dollar sign.
fn without_expansion(line: &str) -> String {
    match line.split_once('=') {
        Some((name, value)) if !value.trim_start().starts_with('\'') => {
            format!("{name}={}", value.replace("\\$", "$").replace('$', "\\$"))
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, decode, nearest_variable};

    #[test]
    fn a_dotenv_file_keeps_dollar_signs_and_its_errors_keep_secrets() {
        let mut environment = Environment::default();
        let lines = "# comment\nA=pa$$word$HOME\r\nexport B=\"x y$1\" # c\nC='s$q'\nD=\n";
        environment.add_lines(lines, ".env").unwrap();
        let get = |name| environment.get(name);
        assert_eq!((get("A"), get("B"), get("C"), get("D")), (Some("pa$$word$HOME"), Some("x y$1"), Some("s$q"), None));
        let error = Environment::default().add_lines("A=1\nhunter2 secret\n", ".env").unwrap_err();
        assert_eq!(error.message, ".env: the line after A does not have the form NAME=value");
    }

    #[test]
    fn byte_order_marks_are_accepted_and_utf16_is_named() {
        assert_eq!(decode(b"\xEF\xBB\xBFA=1", ".env").unwrap(), "A=1");
        for bytes in [&b"\xFF\xFEA\0=\0"[..], b"\xFE\xFF\0A\0=", b"A\0=\0"] {
            assert_eq!(decode(bytes, ".env").unwrap_err().message, ".env is encoded in UTF-16, not in UTF-8");
        }
        assert_eq!(decode(b"A=\xFF", ".env").unwrap_err().message, ".env is not encoded in UTF-8");
    }

    #[test]
    fn typing_errors_have_a_nearest_variable() {
        for (typed, meant) in [
            ("WIX_SITEID", Some("WIX_SITE_ID")),
            ("WIX_API_TOKE", Some("WIX_API_TOKEN")),
            ("WIX_SYNC_BATCHSIZE", Some("WIX_SYNC_BATCH_SIZE")),
            ("WIX_SYNC_SHEMA", Some("WIX_SYNC_SCHEMA")),
            ("WIX_APPSECRET", Some("WIX_APP_SECRET")),
            ("WIX_é", None),
            ("WIX_ZZZ", None),
            ("WIX_", None),
        ] {
            assert_eq!(nearest_variable(typed), meant, "{typed}");
        }
    }
}
