//! `init`: asks, tests each answer, and writes a `.env` that only its owner can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use wix_sim::{Endpoint, Fault};

use crate::support::harness::{Finished, World};
use crate::support::terminal::Conversation;

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("wix-sync-init-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the directory is made");
        Directory(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join(".env")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("the file can be read")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the directory is removed");
    }
}

/// The binary in this directory, without any variable that `init` asks for.
fn command(world: &World, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    for name in ["WIX_SITE_ID", "WIX_API_TOKEN", "DATABASE_URL"] {
        command.env_remove(name);
    }
    command.current_dir(directory);
    command
}

fn run(world: &World, directory: &Directory, arguments: &[&str]) -> Finished {
    let output = command(world, &directory.0, arguments).output().expect("the binary runs");
    Finished::of(arguments, output)
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("the file exists").permissions().mode() & 0o777
}

/// The flags that answer every question.
fn flags(world: &World) -> [String; 6] {
    let credentials = world.sim.credentials();
    let [site, key, url] =
        [credentials.site_id.clone(), credentials.api_keys[0].clone(), world.postgres.url("postgres")];
    ["--site-id".into(), site, "--api-key".into(), key, "--database-url".into(), url]
}

#[test]
fn dialog_asks_again_after_a_wrong_key_and_runs_the_first_sync() {
    let (world, directory) = (World::new(5, 3, 4), Directory::new("dialog"));
    let credentials = world.sim.credentials().clone();
    let (key, url) = (&credentials.api_keys[0], world.postgres.url("postgres"));
    let mut terminal = Conversation::start(&command(&world, &directory.0, &["init"]));
    terminal.expect("Site id").answer(&credentials.site_id);
    terminal.expect("Use an API key").answer("y");
    terminal.expect("API key (not shown)").answer_secret("IST.wrong");
    terminal.expect("problem").expect("401").expect("hint: ").expect("Keep these answers anyway?").answer("n");
    terminal.expect(&format!("Site id [{}]", credentials.site_id)).answer("");
    terminal.expect("Use an API key").answer("");
    terminal.expect("API key (not shown; Enter: unchanged)").answer_secret(key);
    terminal.expect("orders API").expect("can be read");
    terminal.expect("Connection string (not shown)").answer_secret("postgresql://u:[YOUR-PASSWORD]@h/d");
    terminal.expect("placeholder [YOUR-PASSWORD]").expect("Keep these answers anyway?").answer("n");
    terminal.expect("Connection string").answer_secret(&url);
    terminal.expect("may create tables").expect(".env is written");
    terminal.expect("Create or update the tables now").answer("");
    terminal.expect("Start the first sync now").answer("y");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
    for secret in [key, &url, "IST.wrong"] {
        assert!(!terminal.shown().contains(secret), "{secret} is shown: {}", terminal.shown());
    }
    assert!(world.value::<i64>("select count(*) from orders") > 0);
    assert_eq!(mode(&directory.file()), 0o600);
    // The file is all that later commands need.
    run(&world, &directory, &["status"]).expect_exit(0);
    run(&world, &directory, &["doctor"]).expect_exit(0);
}

#[test]
fn ctrl_c_writes_nothing_and_leaves_a_usable_terminal() {
    let (world, directory) = (World::empty(), Directory::new("interrupted"));
    // At a line of text, at a yes or no (keys are read one by one) and at a secret (nothing is echoed).
    for answers in 0..3 {
        let mut terminal = Conversation::start(&command(&world, &directory.0, &["init"]));
        terminal.expect("Site id");
        if answers > 0 {
            terminal.answer("site").expect("Use an API key");
        }
        if answers > 1 {
            terminal.answer("y").expect("API key (not shown)");
            while terminal.echoes() {
                std::thread::yield_now();
            }
        }
        terminal.press("\u{3}");
        assert_eq!(terminal.end(), Some(130), "{answers}: {}", terminal.shown());
        assert!(terminal.echoes(), "{answers}");
        assert!(terminal.shown().contains("\u{1b}[?25h"), "the cursor is shown: {:?}", terminal.shown());
        assert!(!directory.file().exists());
    }
}

#[test]
fn without_a_terminal_all_missing_values_are_named() {
    let (world, directory) = (World::empty(), Directory::new("missing"));
    let finished = run(&world, &directory, &["init"]).expect_exit(2);
    for flag in ["--site-id", "--api-key", "--app-id", "--app-secret", "--instance-id", "--database-url"] {
        assert!(finished.stderr.contains(flag), "{flag}: {finished:#?}");
    }
    let finished = run(&world, &directory, &["init", "--site-id", "site", "--app-id", "app"]).expect_exit(2);
    assert!(finished.stderr.contains("--app-secret") && !finished.stderr.contains("--site-id"), "{finished:#?}");
    assert!(!directory.file().exists());
}

#[test]
fn flags_answer_everything_and_other_lines_stay() {
    let (world, directory) = (World::new(3, 3, 3), Directory::new("flags"));
    fs::write(directory.file(), "# the shop\nexport WIX_RATE_LIMIT=100 # half\nWIX_SITE_ID=old\n")
        .expect("it is written");
    let flags = flags(&world);
    let arguments: Vec<&str> = ["init"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let finished = run(&world, &directory, &arguments).expect_exit(2);
    finished.expect_stderr("has other values for WIX_SITE_ID").expect_stderr("--force");
    assert!(directory.text().ends_with("WIX_SITE_ID=old\n"));
    let arguments: Vec<&str> = arguments.into_iter().chain(["--force", "--yes"]).collect();
    run(&world, &directory, &arguments).expect_exit(0);
    let text = directory.text();
    assert!(text.starts_with("# the shop\nexport WIX_RATE_LIMIT=100 # half\nWIX_SITE_ID="), "{text}");
    assert_eq!(mode(&directory.file()), 0o600);
    assert_eq!(world.value::<i64>("select count(*) from orders"), 3);
    // The same again changes nothing and needs no --force.
    let arguments: Vec<&str> = arguments.into_iter().filter(|flag| !["--force", "--yes"].contains(flag)).collect();
    run(&world, &directory, &arguments).expect_exit(0);
    assert_eq!(directory.text(), text);
    assert_eq!(fs::read_dir(&directory.0).expect("it can be listed").count(), 1);
}

#[test]
fn credentials_of_an_app_replace_an_api_key() {
    let (world, directory) = (World::new(3, 3, 3), Directory::new("app"));
    fs::write(directory.file(), "WIX_API_TOKEN=IST.old\nWIX_CLIENT_ID=old\n").expect("it is written");
    let credentials = world.sim.credentials().clone();
    let url = world.postgres.url("postgres");
    let file = directory.file();
    let finished = run(
        &world,
        &directory,
        &[
            "init",
            "--site-id",
            &credentials.site_id,
            "--app-id",
            &credentials.app_id,
            "--app-secret",
            &credentials.app_secret,
            "--instance-id",
            &credentials.instance_id,
            "--database-url",
            &url,
            "--force",
            "--migrate",
            "--env-file",
            file.to_str().expect("UTF-8"),
        ],
    );
    finished.expect_exit(0);
    assert!(!directory.text().contains("WIX_API_TOKEN"), "{}", directory.text());
    run(&world, &directory, &["sync"]).expect_exit(0);
}

#[test]
fn refused_values_write_nothing() {
    let (world, directory) = (World::empty(), Directory::new("refused"));
    let flags = flags(&world);
    let with = |index: usize, value: &str| -> Finished {
        let mut flags = flags.clone();
        flags[index] = value.to_owned();
        let arguments: Vec<&str> = ["init"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        run(&world, &directory, &arguments)
    };
    with(3, "IST.wrong").expect_exit(2).expect_stderr("401").expect_stderr("hint: ");
    with(5, "postgresql://u:p@ss@h/d").expect_exit(2).expect_stderr("%40");
    with(5, "postgresql://u@127.0.0.1:1/d").expect_exit(1).expect_stderr("could not connect");
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().status(503));
    with(1, &flags[1]).expect_exit(1).expect_stderr("Wix has a problem").expect_stderr("hint: try again later");
    assert!(!directory.file().exists());
}
