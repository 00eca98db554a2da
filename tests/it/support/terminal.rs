//! Runs the binary on a pseudo-terminal, to see what a person sees. Linux only: other systems report the end of the
//! output differently.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Parser, Screen};

use crate::support::harness::Finished;

const HEIGHT: u16 = 24;

/// Maximum time that a test waits for output.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command on a new terminal until it ends. Both streams go to it and are returned as `stdout`.
pub(crate) fn run_on_terminal(arguments: &[&str], command: Command) -> Finished {
    run_on_terminal_of(100, arguments, command)
}

/// Like [`run_on_terminal`], on a terminal with this many columns.
pub(crate) fn run_on_terminal_of(columns: u16, arguments: &[&str], command: Command) -> Finished {
    watch_on_terminal(arguments, command, columns, |_, _| {}).0
}

/// Opens a terminal. Returns the side of the test and that of the program.
fn open_terminal(rows: u16, columns: u16) -> (File, File) {
    // Neither end may become the test's controlling terminal, or be inherited by child processes of other tests.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a pseudo-terminal is made");
    unlockpt(&master).expect("it is unlocked");
    let terminal = File::from(ioctl_tiocgptpeer(&master, flags).expect("it is opened"));
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it has a size");
    (File::from(master), terminal)
}

/// Runs a command on a terminal with this width. `watch` receives the screen and the process after each output. Also
/// returns the last screen.
pub(crate) fn watch_on_terminal(
    arguments: &[&str],
    mut command: Command,
    width: u16,
    mut watch: impl FnMut(&Screen, &Child),
) -> (Finished, String) {
    let (mut master, terminal) = open_terminal(HEIGHT, width);
    let copy = || terminal.try_clone().expect("it is opened again");
    let mut child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("the binary starts");
    // The output ends when neither the command nor this function holds the terminal open.
    drop((command, terminal));
    let [rows, columns] = [HEIGHT, width].map(|size| NonZero::new(size).expect("a terminal has a size"));
    let (mut stdout, mut parser) = (Vec::new(), Parser::new(rows, columns, 0));
    let deadline = Instant::now() + PATIENCE;
    while let Some(written) = read(&mut master) {
        stdout.extend_from_slice(&written);
        parser.process(&written);
        watch(parser.screen(), &child);
        if Instant::now() > deadline {
            // It may have ended meanwhile.
            let _ = child.kill();
            panic!("{arguments:?} does not end: {}", parser.screen().contents());
        }
    }
    let status = child.wait().expect("it ends");
    (Finished::of(arguments, Output { status, stdout, stderr: Vec::new() }), parser.screen().contents())
}

/// A command that asks questions, on a new terminal.
pub(crate) struct Conversation {
    screen: File,
    child: Child,
    output: Receiver<Vec<u8>>,
    /// The complete output, and how much of it the test has read.
    shown: Vec<u8>,
    read: usize,
}

impl Conversation {
    /// The terminal is the one that controls the command, so that Ctrl-C reaches it.
    pub(crate) fn start(command: &Command) -> Conversation {
        let (screen, terminal) = open_terminal(40, 140);
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            session.current_dir(directory);
        }
        let copy = || terminal.try_clone().expect("it is opened again");
        let child = session.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("setsid starts the binary");
        drop((session, terminal));
        let (sender, output) = channel();
        let mut reader = screen.try_clone().expect("it is opened again");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Conversation { screen, child, output, shown: Vec::new(), read: 0 }
    }

    /// Waits for this text, after the text that was expected before.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> &mut Conversation {
        loop {
            let unread = String::from_utf8_lossy(&self.shown[self.read..]).into_owned();
            if let Some(at) = unread.find(text) {
                self.read += at + text.len();
                return self;
            }
            match self.output.recv_timeout(Duration::from_secs(60)) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(error) => panic!("`{text}` is not shown ({error}) in {}", self.shown()),
            }
        }
    }

    /// Types a line.
    pub(crate) fn answer(&mut self, line: &str) -> &mut Conversation {
        self.press(&format!("{line}\n"))
    }

    /// Types a line that is not shown. What is typed before the terminal hides it would be discarded.
    pub(crate) fn answer_secret(&mut self, line: &str) -> &mut Conversation {
        while self.echoes() {
            std::thread::yield_now();
        }
        self.answer(line)
    }

    pub(crate) fn press(&mut self, keys: &str) -> &mut Conversation {
        self.screen.write_all(keys.as_bytes()).expect("the terminal takes input");
        self
    }

    /// Waits for the end, and returns the exit code; `None` if a signal ended it.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let code = self.child.wait().expect("it ends").code();
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(1)) {
            self.shown.extend(bytes);
        }
        code
    }

    /// Whether the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.screen).expect("it is a terminal").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }
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
