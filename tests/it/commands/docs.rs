//! The documentation against the program: every command, flag, variable, file and message that it names is there.
//! Its SQL: docs_sql.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A fenced block.
pub(crate) struct Block {
    /// What stands behind the fence, such as `sql`.
    pub(crate) info: String,
    /// `docs/queries.md:17`.
    pub(crate) place: String,
    pub(crate) text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a directory, as paths from the root; a file is itself.
fn files(start: &str) -> Vec<String> {
    let (mut open, mut found) = (vec![PathBuf::from(start)], Vec::new());
    while let Some(path) = open.pop() {
        let full = root().join(&path);
        if full.is_dir() {
            let entries = fs::read_dir(&full).expect("the directory can be read");
            open.extend(entries.map(|entry| path.join(entry.expect("the entry can be read").file_name())));
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

/// README.md and the pages in docs, but for the one about Wix.
pub(crate) fn markdown() -> Vec<String> {
    let pages = files("docs").into_iter().filter(|path| path.ends_with(".md") && path != "docs/wix-api.md");
    pages.chain(["README.md".to_owned()]).collect()
}

/// Everything that shows users how to start the program.
fn instructions() -> Vec<String> {
    let examples = files("examples").into_iter().filter(|path| !path.ends_with(".rs"));
    let others = ["crontab.example", ".env.example", "Dockerfile"].map(str::to_owned);
    markdown().into_iter().chain(examples).chain(files(".github")).chain(others).collect()
}

/// All fenced blocks of a page.
pub(crate) fn all_blocks(path: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (index, line) in read(path).lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(info)) => {
                open =
                    Some(Block { info: info.to_owned(), place: format!("{path}:{}", index + 1), text: String::new() });
            }
            (Some(block), Some(_)) => blocks.push(block),
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{path}: a block does not end");
    blocks
}

/// The blocks of one kind.
pub(crate) fn blocks(path: &str, info: &str) -> Vec<Block> {
    all_blocks(path).into_iter().filter(|block| block.info == info).collect()
}

/// The arguments of each `wix-sync` in a text: what stands behind it on the line, up to the end of the command. A
/// comment that begins with the program's name is a sentence about it.
pub(crate) fn command_lines(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("# wix-sync ")) {
        // Kubernetes' way to write arguments.
        if let Some(list) = line.strip_prefix("args: [").and_then(|list| list.strip_suffix(']')) {
            found.push(list.split(',').map(|word| word.trim().to_owned()).collect());
        }
        for (at, _) in line.match_indices("wix-sync ") {
            let before = &line[..at];
            let is_program = before.is_empty()
                || before.ends_with([' ', '\'', '"', '('])
                || before.ends_with("bin/")
                || before.ends_with("./");
            let rest = &line[at + "wix-sync ".len()..];
            let end = rest.find(['`', '|', '>', '&', ';', '"', '\'', ')', '#']).unwrap_or(rest.len());
            let words: Vec<String> = rest[..end].split_whitespace().map(str::to_owned).collect();
            if is_program && words.first().is_some_and(|word| is_word(word)) {
                found.push(words);
            }
        }
    }
    found
}

/// The command lines of a file; of a page those in its blocks and code spans, since the rest are sentences.
fn command_lines_of(path: &str) -> Vec<Vec<String>> {
    let text = read(path);
    if !path.ends_with(".md") {
        return command_lines(&text);
    }
    let blocks: String = all_blocks(path).into_iter().map(|block| block.text).collect();
    let lines = text.lines().filter(|line| !line.starts_with("```"));
    let spans = lines.flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|span| span.starts_with("wix-sync "));
    command_lines(&blocks).into_iter().chain(spans.flat_map(command_lines)).collect()
}

/// A command or one of its words, not a placeholder and no prose.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !text.starts_with('-')
}

/// The help of a command; `None` if there is no such command.
fn help(command: &[&str]) -> Option<String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wix-sync"));
    let output = program.args(command).arg("--help").stdin(Stdio::null()).output().expect("the binary runs");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("help is UTF-8"))
}

/// The words that begin with two dashes.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "[]()<>=,;:.`|\"'".contains(c));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

/// The commands, by the list in the help of the whole program.
fn commands() -> Vec<String> {
    let help = help(&[]).expect("the program has a help");
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn command_lines_use_existing_commands_words_and_flags() {
    let commands = commands();
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let (mut broken, mut seen) = (BTreeSet::new(), 0);
    for path in instructions() {
        for line in command_lines_of(&path) {
            seen += 1;
            let first = line[0].clone();
            if !commands.contains(&first) {
                broken.insert(format!("{path}: no command `{first}`: wix-sync {}", line.join(" ")));
                continue;
            }
            if first == "help" {
                continue;
            }
            // A second word may be a command below the first.
            let second = line.get(1).filter(|word| is_word(word) && help(&[&first, word]).is_some());
            let command: Vec<String> = [Some(&first), second].into_iter().flatten().cloned().collect();
            let names: Vec<&str> = command.iter().map(String::as_str).collect();
            let text = helps.entry(command.clone()).or_insert_with(|| help(&names).expect("the command is there"));
            let known = flags(text);
            for flag in flags(&line.join(" ")) {
                if !known.contains(&flag) {
                    broken.insert(format!("{path}: `{}` has no {flag}", names.join(" ")));
                }
            }
            let words = line.iter().skip(command.len()).take_while(|word| !word.starts_with('-'));
            for word in words.filter(|word| is_word(word)) {
                if !text.split(|c: char| !c.is_ascii_lowercase()).any(|known| known == word) {
                    broken.insert(format!("{path}: the help of `{}` does not know `{word}`", names.join(" ")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(seen > 40, "command lines are found at all: {seen}");
}

#[test]
fn every_flag_in_a_sentence_belongs_to_some_command() {
    let mut known = flags(&help(&[]).expect("the program has a help"));
    for command in commands().iter().filter(|command| *command != "help") {
        known.extend(flags(&help(&[command]).expect("the command is there")));
    }
    let mut broken = BTreeSet::new();
    for path in markdown() {
        for span in read(&path).split('`').skip(1).step_by(2).filter(|span| span.starts_with("--")) {
            broken
                .extend(flags(span).difference(&known).map(|flag| format!("{path}: {flag} is no flag of any command")));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_variable_is_one_that_the_program_reads() {
    let sources: String = ["src", "tests"]
        .iter()
        .flat_map(|start| files(start))
        .filter(|path| path.ends_with(".rs") && path != "tests/it/commands/docs.rs")
        .map(|path| read(&path))
        .collect();
    // What the workflow of the example is told by its repository.
    let of_the_workflow = ["WIX_SYNC_VERSION", "WIX_SYNC_REPOSITORY"];
    let mut broken = BTreeSet::new();
    for path in instructions() {
        let text = read(&path);
        let names = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        for name in names.filter(|name| name.starts_with("WIX_") && name.len() > 4) {
            let is_known = sources.contains(&format!("\"{name}\"")) || of_the_workflow.contains(&name);
            if !is_known {
                broken.insert(format!("{path}: nothing reads {name}"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The anchors of a page: its headings as GitHub names them, and its `<a id>`s.
fn anchors(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let headings = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let slug = |heading: &str| {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    let ids = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned));
    headings.map(slug).chain(ids).collect()
}

/// All pages: those for users, and those for contributors.
fn all_pages() -> Vec<String> {
    let others =
        ["ARCHITECTURE", "BENCHMARKS", "CHANGELOG", "CONTRIBUTING", "SECURITY"].map(|name| format!("{name}.md"));
    markdown().into_iter().chain(others).chain(["docs/wix-api.md".to_owned()]).collect()
}

#[test]
fn links_and_anchors_exist() {
    let (mut broken, mut seen) = (Vec::new(), 0);
    for path in all_pages() {
        let folder = Path::new(&path).parent().expect("a file lies in a folder").to_owned();
        for target in read(&path).split("](").skip(1).filter_map(|rest| rest.split(')').next().map(str::to_owned)) {
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let linked = if file.is_empty() { path.clone() } else { folder.join(file).to_string_lossy().into_owned() };
            // `docs/../crontab.example`
            let linked = linked.replace("docs/../", "");
            if !root().join(&linked).exists() || (!anchor.is_empty() && !anchors(&linked).contains(anchor)) {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(seen > 60, "links are found at all: {seen}");
}

#[test]
fn pages_that_messages_name_exist() {
    let (mut broken, mut seen) = (BTreeSet::new(), 0);
    for path in files("src").into_iter().chain(files("examples")).chain(["crontab.example".to_owned()]) {
        let text = read(&path);
        for (at, _) in text.match_indices("docs/") {
            let target: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_.#".contains(*c)).collect();
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            if !file.ends_with(".md") {
                continue;
            }
            seen += 1;
            let anchor = anchor.trim_end_matches('.');
            // `#exit-{code}`: of each exit code.
            let is_pattern = anchor.ends_with('-');
            let is_known =
                root().join(file).exists() && (anchor.is_empty() || is_pattern || anchors(file).contains(anchor));
            if !is_known {
                broken.insert(format!("{path}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(seen > 0, "pages are named at all");
}

/// The fixed part of a message that is longest, without what a code span can't hold.
fn longest_part(message: &str) -> String {
    let parts = message.split(['{', '}']).step_by(2).map(|part| part.replace(['`', '\\'], ""));
    parts
        .map(|part| part.trim_matches([' ', ':', ',', '(']).to_owned())
        .max_by_key(|part| part.chars().count())
        .unwrap_or_default()
}

#[test]
fn every_error_message_is_in_troubleshooting() {
    let troubleshooting = read("docs/troubleshooting.md").replace('`', "");
    let (mut broken, mut seen) = (Vec::new(), 0);
    for path in files("src").into_iter().filter(|path| path.ends_with(".rs")) {
        for rest in read(&path).split("#[error(").skip(1) {
            let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
            let end = rest.match_indices('"').map(|(at, _)| at).find(|at| !rest[..*at].ends_with('\\'));
            let message = &rest[..end.expect("the text ends")];
            let part = longest_part(message);
            // What consists of its fields has no words of its own.
            if part.len() < 12 {
                continue;
            }
            seen += 1;
            if !troubleshooting.contains(&part) {
                broken.push(format!("{path}: `{part}` is not in docs/troubleshooting.md"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(seen > 20, "messages are found at all: {seen}");
}

/// The exit codes, as the enum numbers them.
fn exit_codes() -> BTreeSet<String> {
    let source = read("src/exit.rs");
    let codes: BTreeSet<String> = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = ")?.1.parse::<u8>().ok())
        .map(|code| code.to_string())
        .collect();
    assert!(codes.len() >= 8, "{codes:?}");
    codes
}

#[test]
fn exit_codes_in_readme_and_troubleshooting_are_those_of_the_enum() {
    let codes = exit_codes();
    for path in ["README.md", "docs/troubleshooting.md"] {
        let text = read(path);
        let table = text.lines().skip_while(|line| !line.starts_with("| code |")).skip(2);
        let cells = table.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
        // `[129, 130, 143](docs/troubleshooting.md#exit-129)`: only the text of the link.
        let numbers = cells.flat_map(|cell| {
            let shown = cell.split("](").next().unwrap_or_default();
            shown
                .split(|c: char| !c.is_ascii_digit())
                .filter(|number| !number.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        assert_eq!(numbers.collect::<BTreeSet<_>>(), codes, "{path}");
    }
    let anchors = anchors("docs/troubleshooting.md");
    let missing: Vec<_> = codes.iter().filter(|code| !anchors.contains(&format!("exit-{code}"))).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md has no anchor exit-{missing:?}");
}

/// Long flags of a help text: those at the beginning of a line, which are definitions and not examples.
fn defined_flags(help: &str) -> BTreeSet<String> {
    let definitions = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    definitions.filter_map(|line| flags(line.split("  ").next().unwrap_or_default()).pop_first()).collect()
}

#[test]
fn flags_in_cli_page_are_those_of_each_command() {
    let page = read("docs/cli.md");
    let section = |name: &str| {
        let start = page.split(&format!("\n## {name}\n")).nth(1).unwrap_or_else(|| panic!("docs/cli.md: {name}"));
        let rows = start.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
        rows.flat_map(|line| flags(line.split('|').nth(1).unwrap_or_default())).collect::<BTreeSet<String>>()
    };
    let global = section("Global options");
    let mut known = defined_flags(&help(&[]).expect("the program has a help"));
    assert!(known.len() > 6, "flags are found at all: {known:?}");
    known.extend(["--help".to_owned(), "--version".to_owned()]);
    assert_eq!(global, known, "docs/cli.md: Global options");
    for command in commands().iter().filter(|command| *command != "help") {
        let subcommands: &[&[&str]] =
            if command == "errors" { &[&["errors", "list"], &["errors", "retry"]] } else { &[&[command]] };
        let mut own: BTreeSet<String> = BTreeSet::new();
        for names in subcommands {
            own.extend(defined_flags(&help(names).expect("the command exists")));
        }
        let own: BTreeSet<String> = own.difference(&global).cloned().collect();
        let name = if ["completions", "man"].contains(&command.as_str()) { "completions and man" } else { command };
        let written: BTreeSet<String> = section(name).difference(&global).cloned().collect();
        assert_eq!(written, own, "docs/cli.md: {command}");
    }
}

#[test]
fn variables_in_configuration_page_are_those_of_the_code() {
    let sources = files("src").into_iter().filter(|path| path.starts_with("src/config") && !path.contains("test"));
    // Tests set wrong names on purpose.
    let code: String =
        sources.map(|path| read(&path).split("#[cfg(test)]").next().unwrap_or_default().to_owned()).collect();
    let is_variable =
        |name: &&str| name.starts_with("WIX_") && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let read_by_code: BTreeSet<&str> =
        code.split('"').skip(1).step_by(2).filter(is_variable).filter(|name| name.len() > 9).collect();
    assert!(read_by_code.len() > 10, "{read_by_code:?}");
    let page = read("docs/configuration.md");
    let written: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`'))
        .filter(is_variable)
        .collect();
    assert_eq!(written, read_by_code, "docs/configuration.md");
}

#[test]
fn files_in_architecture_exist() {
    let text = read("ARCHITECTURE.md");
    let starts = ["src/", "tests/", "benches/", "examples/", ".ci/"];
    let named = text.split('`').skip(1).step_by(2).filter(|name| starts.iter().any(|start| name.starts_with(start)));
    // A place for a file of one's own, or all files of a folder.
    let (paths, _): (Vec<&str>, Vec<&str>) = named.partition(|name| !name.contains(['<', '*']));
    let missing: Vec<&&str> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(paths.len() > 80, "files are found at all: {}", paths.len());
}

#[test]
fn readme_has_at_most_170_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 170, "README.md has {lines} lines");
}

/// Words that no text for users may have: each has a plain English replacement.
const NEVER: [&str; 18] = [
    "let rows go",
    "full pass",
    "changes pass",
    "asked for by its id",
    "stands in",
    "stand in",
    "takes over the tables",
    "taken over",
    "held back",
    "believe wix",
    "not believed",
    "all the same",
    "begins anew",
    "as wix has",
    "a minute;",
    "unlisted",
    "left-out",
    "mends",
];

#[test]
fn texts_for_users_have_no_invented_words() {
    let mut texts: Vec<(String, String)> = all_pages()
        .into_iter()
        .filter(|path| path != "docs/wix-api.md")
        .chain(instructions())
        .map(|path| (path.clone(), read(&path)))
        .collect();
    let names = commands();
    for names in names.iter().map(|name| vec![name.as_str()]).chain([vec![]]).filter(|names| *names != ["help"]) {
        texts.push((format!("wix-sync {} --help", names.join(" ")), help(&names).expect("the command exists")));
    }
    let mut broken = BTreeSet::new();
    for (place, text) in texts {
        // A message that a page quotes is the program's.
        let own = text.split('`').step_by(2).collect::<Vec<_>>().join("`").to_lowercase();
        broken.extend(NEVER.iter().filter(|word| own.contains(**word)).map(|word| format!("{place}: {word}")));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
