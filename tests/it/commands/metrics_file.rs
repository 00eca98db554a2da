//! `--metrics-file`: what is refused because it is not a regular file, links, and that nothing else is touched.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use private_postgres::Server;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use wix_sim::{Endpoint, Sim, Site};

use crate::support::authority::Files;
use crate::support::harness::{Finished, World};
use crate::support::running::{Gate, Running, wait_until};

/// A migrated world, and a directory for its files.
fn prepared() -> (World, Files) {
    let sim = Sim::start(Site::empty()).expect("the simulator starts");
    (World::with_server(sim, Server::builder()).migrated(), Files::new())
}

/// Runs `sync` with this metrics file. A program that hangs fails the test, and does not hold it up for ever.
fn sync(world: &World, path: &str) -> Finished {
    let mut running = world.start(&["sync", "all", "--metrics-file", path]);
    wait_until("the run ends", || running.has_ended());
    running.wait()
}

fn make_fifo(path: &str) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO is made");
}

/// The names in a directory.
fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it can be read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn is_regular(path: &str) -> bool {
    fs::symlink_metadata(path).expect("it is there").is_file()
}

#[test]
fn anything_but_a_regular_file_is_refused_at_once() {
    let (world, files) = prepared();
    let inside = |name: &str| format!("{}/{name}", files.path());
    let (fifo, socket, link) = (inside("fifo"), inside("socket"), inside("link"));
    make_fifo(&fifo);
    let _listener = UnixListener::bind(&socket).expect("a socket is made");
    symlink(&fifo, &link).expect("a link is made");
    // As /dev/stdout and /dev/fd are: the real ones are not for a test to put at risk.
    let (stdout, descriptors) = (inside("stdout"), inside("fd"));
    symlink("/proc/self/fd/1", &stdout).expect("a link is made");
    symlink("/proc/self/fd", &descriptors).expect("a link is made");
    let mut refused = vec![
        (fifo.clone(), "a FIFO"),
        (socket, "a socket"),
        (link, "a FIFO"),
        (stdout, "not a regular file"),
        (format!("{descriptors}/1"), "not a regular file"),
    ];
    // Not every container lets root make one.
    let device = inside("device");
    if mknodat(CWD, &device, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, makedev(1, 3)).is_ok() {
        refused.push((device.clone(), "a device"));
    }
    let before = names(&files.path());
    for (path, what) in &refused {
        let finished = sync(&world, path).expect_exit(2);
        finished.expect_stderr(&format!("--metrics-file {path}: ")).expect_stderr(what).expect_stderr("hint: ");
    }
    assert_eq!(names(&files.path()), before);
    assert!(fs::symlink_metadata(&fifo).expect("it is there").file_type().is_fifo());
    if Path::new(&device).exists() {
        assert!(fs::symlink_metadata(&device).expect("it is there").file_type().is_char_device());
    }
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 0, "no run was started");
}

#[test]
fn stdout_that_is_a_file_is_refused_as_well() {
    let (world, files) = prepared();
    let (output, link) = (files.write("output", "", 0o644), format!("{}/stdout", files.path()));
    symlink("/proc/self/fd/1", &link).expect("a link is made");
    let mut command = world.command(&["sync", "all", "--json", "--metrics-file", &link]);
    let status = command.stdout(fs::File::create(&output).expect("a file")).status().expect("the binary runs");
    assert_eq!((status.code(), fs::read_to_string(&output).expect("it is there").as_str()), (Some(2), ""));
}

#[test]
fn a_link_at_the_temporary_name_is_not_followed() {
    let (world, files) = prepared();
    let victim = files.write("victim", "untouched", 0o644);
    let path = format!("{}/wix.prom", files.path());
    // The shell becomes the program and keeps its process id, which was part of the name once.
    let mut command = std::process::Command::new("/bin/sh");
    let program = world.command(&["sync", "all", "--metrics-file", &path]);
    command
        .arg("-c")
        .arg(format!("ln -s {victim} {}/.wix.prom.$$.tmp && exec \"$0\" \"$@\"", files.path()))
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(files.path());
    Running::of(&["sync"], command).wait().expect_exit(0);
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "untouched");
    assert!(is_regular(&path));
    assert_eq!(names(&files.path()).len(), 3, "the victim, the link and the metrics: {:?}", names(&files.path()));
}

#[test]
fn a_link_to_a_file_stays_and_the_file_is_replaced() {
    let (world, files) = prepared();
    let target = files.write("elsewhere/wix.prom", "old", 0o640);
    let link = format!("{}/wix.prom", files.path());
    symlink("elsewhere/wix.prom", &link).expect("a link is made");
    let before = fs::File::open(&target).expect("it is there");
    sync(&world, &link).expect_exit(0);
    assert_eq!(fs::read_link(&link).expect("it is a link"), Path::new("elsewhere/wix.prom"));
    assert!(fs::read_to_string(&target).expect("it is there").contains("wix_sync_last_run_success"));
    assert_eq!(std::io::read_to_string(before).expect("it can be read"), "old", "replaced as a whole");
    let mode = fs::metadata(&target).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o640, "the mode of the file is kept");
    // The file of a link may not be there yet; a new one can be read by the collector.
    fs::remove_file(&target).expect("it is removed");
    sync(&world, &link).expect_exit(0);
    let mode = fs::metadata(&target).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!((fs::read_link(&link).is_ok(), mode), (true, 0o644));
    assert_eq!((names(&files.path()).len(), names(&format!("{}/elsewhere", files.path())).len()), (2, 1));
}

#[test]
fn a_link_of_somebody_else_in_a_shared_directory_is_refused() {
    let (world, files) = prepared();
    let victim = files.write("victim", "untouched", 0o644);
    let shared = format!("{}/shared", files.path());
    fs::create_dir(&shared).expect("a directory is made");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).expect("it may be changed");
    let link = format!("{shared}/wix.prom");
    symlink(&victim, &link).expect("a link is made");
    // Only root can make a link of somebody else's; without that there is nothing to see here.
    if lchown(&link, Some(65534), None).is_ok() {
        sync(&world, &link).expect_exit(2).expect_stderr("--metrics-file ");
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "untouched");
    }
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let (world, files) = prepared();
    let path = format!("{}/wix.prom", files.path());
    let replacements: [fn(&str); 2] = [|path| fs::create_dir(path).expect("a directory is made"), make_fifo];
    for replace in replacements {
        let gate = Gate::before(&world.sim, Endpoint::ContactsQuery, 1);
        let mut running = world.start(&["sync", "all", "--full", "--metrics-file", &path]);
        gate.wait();
        replace(&path);
        gate.open();
        wait_until("the run ends", || running.has_ended());
        running.wait().expect_exit(0).expect_stderr("--metrics-file could not be written");
        assert!(!is_regular(&path));
        assert_eq!(names(&files.path()), ["wix.prom"]);
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    }
}
