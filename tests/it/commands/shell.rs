//! What a shell and a reader of manuals get, and what is said about values that are mistyped or other people's words.

use std::fs;
use std::process::Command;

use crate::support::harness::{Finished, World};

const COMMANDS: [&str; 10] =
    ["sync", "status", "serve", "init", "migrate", "doctor", "verify", "errors", "completions", "man"];

/// Runs the binary in a directory of its own, without any variable.
fn run_in(directory: &std::path::Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wix-sync"));
    command.env_clear().args(arguments).current_dir(directory);
    Finished::of(arguments, command.output().expect("the binary runs"))
}

fn directory(name: &str) -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("wix-sync-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("it can be made");
    directory
}

#[test]
fn a_completion_script_knows_commands_and_flags_and_needs_no_environment() {
    let directory = directory("completions");
    fs::write(directory.join(".env"), "this is no variable").expect("it can be written");
    for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef wix-sync"), ("fish", "complete -c wix-sync")] {
        let script = run_in(&directory, &["completions", shell]).expect_exit(0).stdout;
        assert!(script.contains(mark), "{shell}: {script}");
        for word in COMMANDS.into_iter().chain(["metrics-file", "max-age", "appointments"]) {
            assert!(script.contains(word), "{shell}: `{word}`");
        }
    }
    run_in(&directory, &["completions", "powershell"]).expect_exit(2);
    run_in(&directory, &["status"]).expect_exit(2).expect_stderr(".env");
}

#[cfg(unix)]
#[test]
fn bash_completes_with_it() {
    let directory = directory("bash");
    let script = run_in(&directory, &["completions", "bash"]).stdout;
    fs::write(directory.join("script"), script).expect("it can be written");
    let completed = |line: &[&str]| {
        let words = line.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let (last, previous) = (line[line.len() - 1], line[line.len() - 2]);
        let program = format!(
            "source ./script; COMP_WORDS=({words}); COMP_CWORD={}; _wix__sync wix-sync '{last}' '{previous}'; echo \"${{COMPREPLY[@]}}\"",
            line.len() - 1
        );
        let output = Command::new("bash").args(["-c", &program]).current_dir(&directory).output().expect("bash runs");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    assert_eq!(completed(&["wix-sync", "doc"]), "doctor");
    assert_eq!(completed(&["wix-sync", "status", "--max"]), "--max-age");
    assert_eq!(completed(&["wix-sync", "sync", "app"]), "appointments");
}

#[test]
fn every_command_has_a_man_page() {
    let directory = directory("man");
    let pages = directory.join("new");
    let missing = run_in(&directory, &["man", &pages.to_string_lossy()]).expect_exit(2);
    missing.expect_stderr("there is no such directory").expect_stderr("mkdir -p");
    assert!(!pages.exists(), "no directory is created silently");
    fs::create_dir(&pages).expect("the directory can be made");
    run_in(&directory, &["man", &pages.to_string_lossy()]).expect_exit(0);
    let mut names: Vec<String> = fs::read_dir(&pages)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    let mut expected: Vec<String> = COMMANDS.iter().map(|command| format!("wix-sync-{command}.1")).collect();
    expected.extend(["wix-sync.1", "wix-sync-errors-list.1", "wix-sync-errors-retry.1"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(names, expected);
    for name in names {
        let page = fs::read_to_string(pages.join(&name)).expect("it is there");
        assert!(page.contains(".TH ") && page.contains(".SH SYNOPSIS"), "{name}");
        for section in ["ENVIRONMENT", "FILES", "SEE ALSO"] {
            assert_eq!(page.matches(&format!(".SH \"{section}\"\n")).count(), 1, "{name}: {section}");
        }
    }
    let sync = fs::read_to_string(pages.join("wix-sync-sync.1")).expect("it is there");
    assert!(sync.contains(".SH \"EXAMPLES\"\n") && sync.contains(".SH \"EXIT STATUS\"\n"), "{sync}");
    let main = run_in(&directory, &["man"]).expect_exit(0).stdout;
    assert!(main.contains(".TH wix\\-sync") || main.contains(".TH wix-sync"), "{main}");
    run_in(&directory, &["man", "/proc"]).expect_exit(1).expect_stderr("/proc/wix-sync");
}

#[test]
fn help_shows_examples_and_exit_codes_of_every_command() {
    let directory = directory("help");
    for command in COMMANDS {
        let help = run_in(&directory, &[command, "--help"]).expect_exit(0).stdout;
        assert!(help.contains(&format!("EXAMPLES\n  wix-sync {command}")), "{command}: {help}");
        assert!(help.contains("EXIT STATUS") || matches!(command, "completions" | "man"), "{command}: {help}");
        let (flags, below) = help.split_once("EXAMPLES").expect("it has examples");
        assert!(flags.lines().all(|line| line.chars().count() <= 100), "{command}: {help}");
        assert!(below.lines().all(|line| line.chars().count() <= 80), "{command}: {below}");
    }
}

/// The examples are real: each is a command line that is understood.
#[test]
fn the_examples_in_help_are_command_lines_that_are_understood() {
    let directory = directory("examples");
    let mut seen = 0;
    for command in COMMANDS.iter().filter(|command| !matches!(**command, "completions" | "man")) {
        let help = run_in(&directory, &[command, "--help"]).expect_exit(0).stdout;
        for line in help.lines().filter_map(|line| line.strip_prefix("  wix-sync ")) {
            let line = line.split(" | ").next().unwrap_or_default().replace("/var/lib/node_exporter", ".");
            let arguments: Vec<&str> = line.split(' ').collect();
            // Without a database and Wix's credentials they get no further than to say what is not set.
            let finished = run_in(&directory, &arguments);
            let is_not_set = |text: &str| text.contains("is not set") || text.contains("are not set");
            let is_understood = is_not_set(&finished.stderr)
                || is_not_set(&finished.stdout)
                || finished.stderr.contains("init needs a terminal to ask, or these values");
            assert!(is_understood || finished.stdout.contains("none is set"), "{finished:#?}");
            seen += 1;
        }
    }
    assert!(seen > 12, "{seen}");
}

#[test]
fn other_peoples_words_are_answered_with_ours() {
    let world = World::empty();
    for (arguments, tip) in [
        (["sync", "contacts"].as_slice(), "Wix's contacts go into the table 'customers'"),
        (&["sync", "Bookings"], "Wix's bookings go into the table 'appointments'"),
        (&["sync", "purchases"], "Wix's eCommerce orders go into the table 'orders'"),
        (&["sync", "everything"], "all three tables are 'all'"),
        (&["errors", "retry", "contacts"], "'customers'"),
        (&["status", "--sync-type", "bookings"], "'appointments'"),
        (&["status", "--status", "success"], "'completed'"),
        (&["status", "--status", "error"], "'failed'"),
        (&["status", "--status", "active"], "'running'"),
        (&["status", "--log-format", "pretty"], "'text'"),
        // What is only mistyped is still found by its looks.
        (&["sync", "custmers"], "'customers'"),
        (&["status", "--sync-type", "order"], "'orders'"),
    ] {
        let refused = world.run(arguments).expect_exit(2);
        let tips = refused.stderr.lines().filter(|line| line.trim_start().starts_with("tip: ") && line.contains(tip));
        assert_eq!(tips.count(), 1, "{refused:#?}");
    }
    // A word that means nothing here is not explained.
    let refused = world.run(&["sync", "success"]).expect_exit(2);
    assert!(!refused.stderr.contains("completed"), "{refused:#?}");
}

#[test]
fn times_and_durations_that_are_none_are_answered_with_how_they_look() {
    let world = World::empty();
    for arguments in [
        ["status", "--max-age", "two hours"].as_slice(),
        &["sync", "all", "--time-limit", "10"],
        &["sync", "all", "--full-every", "weekly"],
        &["sync", "all", "--keep-logs=-3d"],
    ] {
        world.run(arguments).expect_exit(2).expect_stderr("not a duration (use 90s, 30min, 2h or 7d)");
    }
    for time in ["yesterday", "01/02/2025", "2025-02-30", "09:30"] {
        let refused = world.run(&["sync", "appointments", "--start", time]).expect_exit(2);
        assert!(refused.stderr.contains(&format!("`--start {time}`: not a date (use ")), "{refused:#?}");
    }
}
