//! Whatever way the owner of a server goes, the server and its directory go too.

use private_postgres::Server;
use rustix::process::{Pid, test_kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_private-postgres");

/// The process number of the server that listens in this directory.
fn server_pid(dir: &Path) -> String {
    let file = fs::read_to_string(dir.join("data/postmaster.pid")).expect("a running server");
    file.lines().next().expect("a first line").to_owned()
}

fn is_alive(pid: &str) -> bool {
    let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process number");
    test_kill_process(pid).is_ok()
}

fn wait_until_gone(dir: &Path, pid: &str) {
    let begun = Instant::now();
    while dir.exists() || is_alive(pid) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{pid} or {} is still there", dir.display());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The program, running a command that prints where the server is and then waits for its input to end.
fn spawn_waiting() -> (Child, PathBuf) {
    let mut program = Command::new(PROGRAM);
    program.args(["--", "sh", "-c", "echo \"$PGHOST\"; cat"]);
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a directory");
    (child, PathBuf::from(line.trim()))
}

#[test]
fn panic_leaves_nothing() {
    let (told, where_) = std::sync::mpsc::channel();
    let owner = thread::spawn(move || {
        let server = Server::start().expect("a server");
        let dir = server.socket_dir().to_owned();
        told.send((server_pid(&dir), dir)).expect("a listener");
        panic!("this panic is the test's own");
    });
    let (pid, dir) = where_.recv().expect("a server");
    assert!(owner.join().is_err());
    wait_until_gone(&dir, &pid);
}

#[test]
fn killed_owner_leaves_nothing() {
    let (mut child, dir) = spawn_waiting();
    let pid = server_pid(&dir);
    assert!(is_alive(&pid));
    child.kill().expect("SIGKILL");
    child.wait().expect("an end");
    wait_until_gone(&dir, &pid);
}

#[test]
fn killed_server_leaves_no_directory() {
    let server = Server::start().expect("a server");
    let (dir, pid) = (server.socket_dir().to_owned(), server_pid(server.socket_dir()));
    server.kill_hard().expect("SIGKILL");
    drop(server);
    wait_until_gone(&dir, &pid);
}

#[test]
fn program_passes_the_exit_code_on() {
    let code = |args: &[&str]| {
        let output = Command::new(PROGRAM).args(args).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(code(&["--", "sh", "-c", "test -S \"$PGHOST/.s.PGSQL.$PGPORT\" && exit 7"]).0, Some(7));
    assert_eq!(code(&["--", "/no/such/program"]).0, Some(127));
    assert_eq!(code(&["--version", "17"]).0, Some(2));
    let (status, text) = code(&["--version", "9", "--", "true"]);
    assert_eq!(status, Some(125));
    assert!(text.contains("no prebuilt PostgreSQL 9"), "{text}");
}

#[test]
fn user_without_root_has_servers() {
    let passwd = fs::read_to_string("/etc/passwd").expect("accounts");
    let nobody = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == "nobody");
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let (Some(nobody), true) = (nobody, root) else {
        return;
    };
    let id = |field: usize| nobody[field].parse::<u32>().expect("a number");
    // The account may be unable to reach the build directory.
    let copy = std::env::temp_dir().join(format!("private-postgres-of-nobody-{}", std::process::id()));
    // Not by fs::copy: a child that another thread forks meanwhile would hold the file open for writing.
    assert!(Command::new("cp").arg(PROGRAM).arg(&copy).status().expect("cp runs").success());
    let mut program = Command::new(&copy);
    program.uid(id(2)).gid(id(3)).current_dir("/").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    program.args(["--", "sh", "-c", "stat -c %u \"$PGHOST/data\" \"$PGHOST/.s.PGSQL.$PGPORT\""]);
    let output = program.output();
    fs::remove_file(&copy).expect("the copy goes");
    let output = output.expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, format!("{0}\n{0}\n", nobody[2]), "{output:?}");
}
