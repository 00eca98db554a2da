//! The project's rules, checked on the source: imports between modules, printing, names of tables in SQL, file lengths,
//! unused files.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project: its path from the root, with `/`, and its text.
struct File {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below these directories with this ending, sorted by path.
fn files(directories: &[&str], endings: &[&str]) -> Vec<File> {
    let mut open: Vec<PathBuf> = directories.iter().map(|directory| root().join(directory)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the directory can be read");
            open.extend(entries.map(|entry| entry.expect("the entry can be read").path()));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            let text = fs::read_to_string(&path).expect("the file can be read");
            let path = path.strip_prefix(root()).expect("it is in the project").to_string_lossy().replace('\\', "/");
            found.push(File { path, text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "{directories:?} hold no {endings:?}");
    found
}

impl File {
    /// The lines that are not comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let comment = if self.path.ends_with(".sql") { "--" } else { "//" };
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(move |(_, line)| !line.trim_start().starts_with(comment))
    }

    /// The module below `src` that the file belongs to: `wix` for src/wix/page.rs, `json` for src/json.rs.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The modules of this crate that the file's code names, with the line.
    fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (number, line) in self.code() {
            for behind in line.split("crate::").skip(1) {
                // For `use crate::{a::b, c}` every name counts.
                let listed = behind.strip_prefix('{').map(|list| list.split(',').collect::<Vec<_>>());
                for name in listed.unwrap_or_else(|| vec![behind]) {
                    let end = name.trim().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.trim().len());
                    found.push((number, name.trim()[..end].to_owned()));
                }
            }
        }
        found
    }
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The modules from the top layer down. A module may import modules of lower layers, and of its own layer only itself.
const LAYERS: [&[&str]; 8] = [
    &["main", "lib"],
    &["cli"],
    &["serve"],
    &["notify"],
    &["report"],
    &["doctor"],
    &["config", "sync"],
    &["store", "wix", "healthcheck"],
];

/// Imports that the layers allow and that are forbidden: only `cli` and `doctor` read the configuration, from which
/// they make the settings of `wix`; `report` does not use the Wix client or the sync.
const FORBIDDEN: [(&str, &str); 5] =
    [("config", "store"), ("report", "config"), ("report", "sync"), ("report", "wix"), ("doctor", "sync")];

/// The layer, counted from the bottom. Modules that are not listed are values and pure rules in layer 0.
fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).map_or(0, |from_top| LAYERS.len() - from_top)
}

#[test]
fn imports_point_down_only() {
    let (mut broken, mut seen) = (Vec::new(), 0);
    for file in files(&["src"], &[".rs"]) {
        for (number, imported) in file.imports() {
            seen += 1;
            let own = file.module();
            let (here, there) = (layer(own), layer(&imported));
            let is_sideways = here == there && here > 0 && own != imported;
            if there > here || is_sideways || FORBIDDEN.contains(&(own, imported.as_str())) {
                broken.push(format!("{}:{number}: {own} must not import {imported}", file.path));
            }
        }
    }
    none(&broken);
    assert!(seen > 50, "imports are found at all");
}

/// Words that may occur only in one place, and the paths where they are allowed.
const ONLY_THERE: [(&[&str], &[&str]); 9] = [
    // The store's connection is private, so every statement is in a transaction that sets the search path.
    (&["dial("], &["src/store/dial.rs", "src/store/connect.rs", "src/store/inspect.rs"]),
    (&["tokio_postgres", "tokio_postgres_rustls"], &["src/store/"]),
    // Notifications use HTTP too. They must share neither credentials nor headers with Wix, but they share the way out.
    (&["reqwest"], &["src/wix/", "src/healthcheck.rs", "src/network.rs"]),
    (&["indicatif"], &["src/report/", "src/cli/logging.rs"]),
    (&["dialoguer"], &["src/report/"]),
    (&["clap::"], &["src/cli/"]),
    (&["std::env", "dotenvy"], &["src/config/environment.rs", "src/cli/logging.rs"]),
    (&["println!", "print!", "eprintln!", "eprint!", "dbg!", "process::exit"], &[]),
    (&["stdout()", "stderr()"], &["src/report/", "src/cli/logging.rs"]),
];

#[test]
fn http_postgres_terminal_and_environment_have_one_place() {
    let mut broken = Vec::new();
    for file in files(&["src"], &[".rs"]) {
        for (words, places) in ONLY_THERE {
            if places.iter().any(|place| file.path.starts_with(place)) {
                continue;
            }
            for (number, line) in file.code() {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    broken.push(format!("{}:{number}: `{word}` belongs to {places:?}", file.path));
                }
            }
        }
    }
    none(&broken);
}

/// The program's tables. Statements name them with their schema.
const TABLES: [&str; 7] =
    ["customers", "appointments", "orders", "sync_logs", "sync_state", "sync_errors", "sync_migrations"];

/// The SQL keywords that are followed by a table name.
const BEFORE_A_TABLE: [&str; 9] = ["from", "join", "into", "update", "references", "table", "exists", "truncate", "on"];

#[test]
fn statements_name_tables_with_their_schema() {
    let (mut broken, mut seen) = (Vec::new(), 0);
    for file in files(&["src", "migrations"], &[".rs", ".sql"]) {
        for (number, line) in file.code() {
            let words: Vec<&str> =
                line.split(|c: char| c.is_whitespace() || c == '(').filter(|word| !word.is_empty()).collect();
            for pair in words.windows(2) {
                let before = pair[0].trim_start_matches(['"', '\'', ',']).to_ascii_lowercase();
                let name = pair[1].trim_end_matches([',', ';', ')', '"', '\'', ':']);
                if !BEFORE_A_TABLE.contains(&before.as_str()) {
                    continue;
                }
                seen += usize::from(name.starts_with("{schema}.") || name.starts_with("{{schema}}."));
                if TABLES.contains(&name) {
                    broken.push(format!("{}:{number}: `{name}` without {{schema}}: {}", file.path, line.trim()));
                }
            }
        }
    }
    none(&broken);
    assert!(seen > 40, "statements are found at all");
}

#[test]
fn every_sql_file_is_part_of_the_program() {
    let sources: String = files(&["src"], &[".rs"]).into_iter().map(|file| file.text).collect();
    let mut broken = Vec::new();
    for file in files(&["migrations", "src/store/sql"], &[".sql"]) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let mention = match file.path.starts_with("migrations/") {
            true => format!("\"{}\"", name.trim_end_matches(".sql")),
            false => format!("include_str!(\"sql/{name}\")"),
        };
        if !sources.contains(&mention) {
            broken.push(format!("{}: nothing in src says {mention}", file.path));
        }
        if !file.text.starts_with("-- ") {
            broken.push(format!("{}: does not begin with what it promises", file.path));
        }
    }
    none(&broken);
}

#[test]
fn files_stay_short_and_say_what_they_are() {
    let mut broken = Vec::new();
    for file in files(&["src", "tests", "examples", "benches"], &[".rs"]) {
        let (lines, most) = (file.text.lines().count(), if file.path.starts_with("src/") { 450 } else { 500 });
        if lines > most {
            broken.push(format!("{}: {lines} lines, {most} at most", file.path));
        }
        if !file.text.starts_with("//!") {
            broken.push(format!("{}: does not begin with what it is", file.path));
        }
    }
    none(&broken);
}

#[test]
fn no_file_names_this_machine() {
    let mut broken = Vec::new();
    let here = format!("{}/", root().display());
    let mut all = files(
        &["src", "tests", "examples", "benches", "migrations"],
        &[".rs", ".sql", ".sh", ".snap", ".toml", ".json"],
    );
    for entry in fs::read_dir(root()).expect("the root can be read") {
        let path = entry.expect("the entry can be read").path();
        let is_ours = ["md", "toml", "example"].iter().any(|ending| path.extension().is_some_and(|own| own == *ending));
        if path.is_file() && is_ours {
            let text = fs::read_to_string(&path).expect("the file can be read");
            all.push(File { path: path.display().to_string(), text });
        }
    }
    for file in all {
        for (index, line) in file.text.lines().enumerate().filter(|(_, line)| line.contains(&here)) {
            broken.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
        }
    }
    none(&broken);
}

#[test]
fn every_test_file_is_compiled_and_every_snapshot_in_use() {
    let mut broken = Vec::new();
    let tests = files(&["tests/it"], &[".rs"]);
    let text_of = |path: &str| tests.iter().find(|file| file.path == path).map_or("", |file| &file.text);
    for file in tests.iter().filter(|file| file.path != "tests/it/main.rs") {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
        let (parent, module) = match (name, folder.rsplit_once('/')) {
            ("mod.rs", Some((_, group))) => ("tests/it/main.rs".to_owned(), group),
            _ if folder == "tests/it" => ("tests/it/main.rs".to_owned(), name.trim_end_matches(".rs")),
            _ => (format!("{folder}/mod.rs"), name.trim_end_matches(".rs")),
        };
        let is_declared = text_of(&parent).lines().any(|line| line.ends_with(&format!("mod {module};")));
        if !is_declared || !file.text.starts_with("//! ") {
            broken.push(format!("{}: not declared in {parent}, or without a description", file.path));
        }
    }
    for snapshot in files(&["tests/it"], &[".snap", ".snap.new"]) {
        let (folder, name) = snapshot.path.rsplit_once("/snapshots/").unwrap_or_default();
        let mut parts = name.trim_end_matches(".snap").splitn(4, "__").skip(2);
        let (module, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // A later snapshot of the same test has a number.
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        if !text_of(&format!("{folder}/{module}.rs")).contains(name) {
            broken.push(format!("{}: no test uses it", snapshot.path));
        }
    }
    none(&broken);
}

#[test]
fn no_test_sleeps() {
    let mut broken = Vec::new();
    // Split, so that this file does not match.
    let words = [concat!("thread::", "sleep"), concat!("time::", "sleep"), concat!("park_", "timeout")];
    for file in files(&["tests/it"], &[".rs"]) {
        for (number, line) in file.code().filter(|(_, line)| words.iter().any(|word| line.contains(word))) {
            broken.push(format!("{}:{number}: {}", file.path, line.trim()));
        }
    }
    none(&broken);
}

/// Programs that may be started by name: those of the packages in .ci/bare-path, then two for macOS.
const PROGRAMS: [&str; 14] =
    ["/bin/sh", "bash", "cc", "chmod", "cp", "mkdir", "rm", "setsid", "sh", "sleep", "tar", "touch", "brew", "ps"];

#[test]
fn programs_started_by_name_are_on_a_bare_debian() {
    let (mut broken, mut seen) = (Vec::new(), 0);
    // Split, so that this file does not match.
    let starts = [concat!("Command::", "new(\""), concat!("command", "(\"")];
    for file in files(&["src", "tests", "examples", "benches"], &[".rs"]) {
        for (number, line) in file.code() {
            for name in starts.iter().filter_map(|start| line.split_once(start)?.1.split('"').next()) {
                seen += 1;
                if !PROGRAMS.contains(&name) {
                    broken.push(format!("{}:{number}: `{name}` may be missing; use a crate in its place", file.path));
                }
            }
        }
    }
    none(&broken);
    assert!(seen > 8, "programs are found at all");
}

#[test]
fn wix_and_postgres_share_one_tls_stack() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file can be read");
    let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let found = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
    assert_eq!((found("rustls"), found("ring"), found("tokio-rustls")), (1, 1, 1), "one of each");
    let others = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring", "mbedtls"];
    none(
        &others.iter().filter(|name| found(name) > 0).map(|name| format!("{name} is another one")).collect::<Vec<_>>(),
    );
}
