//! A pseudo-terminal around the binary: what a person sees. Linux only; elsewhere the end of the output is told
//! differently.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Parser, Screen};

use crate::support::harness::Finished;

const HEIGHT: u16 = 24;

/// After this time what a test watches for counts as not happening.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command to its end on a terminal of its own. Both streams arrive there and are returned as `stdout`.
pub(crate) fn run_on_terminal(arguments: &[&str], command: Command) -> Finished {
    watch_on_terminal(arguments, command, 100, |_, _| {}).0
}

/// The same on a terminal of this width. `watch` gets the screen and the process each time something was written. Also
/// returns the last screen.
pub(crate) fn watch_on_terminal(
    arguments: &[&str],
    mut command: Command,
    width: u16,
    mut watch: impl FnMut(&Screen, &Child),
) -> (Finished, String) {
    // Neither end may become the test's controlling terminal, nor be inherited by the children of other tests.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a pseudo-terminal is made");
    unlockpt(&master).expect("it is unlocked");
    let terminal = File::from(ioctl_tiocgptpeer(&master, flags).expect("it is opened"));
    let size = Winsize { ws_row: HEIGHT, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it has a size");

    let copy = || terminal.try_clone().expect("it is opened again");
    let mut child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("the binary starts");
    // As long as the command or this function holds the terminal open, its output has no end.
    drop((command, terminal));
    let [rows, columns] = [HEIGHT, width].map(|size| NonZero::new(size).expect("a terminal has a size"));
    let (mut master, mut stdout, mut parser) = (File::from(master), Vec::new(), Parser::new(rows, columns, 0));
    let deadline = Instant::now() + PATIENCE;
    while let Some(written) = read(&mut master) {
        stdout.extend_from_slice(&written);
        parser.process(&written);
        watch(parser.screen(), &child);
        if Instant::now() > deadline {
            // It can have ended meanwhile.
            let _ = child.kill();
            panic!("{arguments:?} does not end: {}", parser.screen().contents());
        }
    }
    let status = child.wait().expect("it ends");
    (Finished::of(arguments, Output { status, stdout, stderr: Vec::new() }), parser.screen().contents())
}

/// What was written, or `None` at the end, which Linux reports as an I/O error.
fn read(master: &mut File) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 64_000];
    match master.read(&mut buffer) {
        Ok(0) => None,
        Ok(length) => {
            buffer.truncate(length);
            Some(buffer)
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => None,
        Err(error) => panic!("the terminal can be read: {error}"),
    }
}
