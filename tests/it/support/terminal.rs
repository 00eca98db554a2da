//! A pseudo-terminal around the binary: what a person sees. Linux only; elsewhere the end of the output is told
//! differently.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Output};

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::harness::Finished;

/// Runs a command to its end on a terminal of its own. Both streams arrive there and are returned as `stdout`.
pub(crate) fn run_on_terminal(arguments: &[&str], command: Command) -> Finished {
    run_on_terminal_of(100, arguments, command)
}

/// Like [`run_on_terminal`], on a terminal with this many columns.
pub(crate) fn run_on_terminal_of(columns: u16, arguments: &[&str], mut command: Command) -> Finished {
    // Neither end may become the test's controlling terminal, nor be inherited by the children of other tests.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).expect("a pseudo-terminal is made");
    unlockpt(&screen).expect("it is unlocked");
    let terminal = File::from(ioctl_tiocgptpeer(&screen, flags).expect("it is opened"));
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it has a size");

    let copy = || terminal.try_clone().expect("it is opened again");
    let mut child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("the binary starts");
    // As long as the command or this function holds the terminal open, its output has no end.
    drop((command, terminal));
    let stdout = read_to_end(File::from(screen));
    let status = child.wait().expect("it ends");
    Finished::of(arguments, Output { status, stdout, stderr: Vec::new() })
}

/// Linux reports the end of a terminal's output as an I/O error.
fn read_to_end(mut screen: File) -> Vec<u8> {
    let mut output = Vec::new();
    match screen.read_to_end(&mut output) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::IO) => panic!("the terminal can be read: {error}"),
        _ => output,
    }
}
