//! The running binary: sends signals to it, blocks it at a request, and waits for events.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wix_sim::{Endpoint, Sim};

use crate::support::harness::Finished;

/// Maximum time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running binary. It is killed if the test ends first.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    arguments: String,
}

impl Running {
    /// Starts the command.
    pub(crate) fn of(arguments: &[&str], mut command: Command) -> Running {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        Running { child: Some(child), arguments: arguments.join(" ") }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was not waited for").id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it was not waited for");
        kill_process(Pid::from_child(child), signal).expect("the signal is sent");
    }

    /// Suspends it with SIGSTOP and waits until it is suspended.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        wait_until("the process stands still", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it is there");
            stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T'))
        });
    }

    /// Suspends it with SIGSTOP and waits until it is suspended. False if it has ended instead.
    pub(crate) fn pause_if_alive(&self) -> bool {
        self.signal(Signal::STOP);
        let mut is_alive = true;
        wait_until("the process stands still or has ended", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it was not waited for");
            let state = stat.rsplit_once(')').and_then(|(_, fields)| fields.trim_start().chars().next());
            is_alive = state == Some('T');
            is_alive || state == Some('Z')
        });
        is_alive
    }

    /// True if it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().expect("it was not waited for").try_wait().expect("it can be asked after").is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Finished {
        let child = self.child.take().expect("it was not waited for");
        Finished::of(&[&self.arguments], child.wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails if the process has already ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Blocks one request to the simulator until the test releases it.
pub(crate) struct Gate {
    reached: Receiver<()>,
    open: Sender<()>,
}

impl Gate {
    /// Blocks the `nth` request to the endpoint from now on before it is processed.
    pub(crate) fn before(sim: &Sim, endpoint: Endpoint, nth: usize) -> Gate {
        let (gate, hook) = Gate::pair();
        sim.on_request(endpoint, nth, |_| hook());
        gate
    }

    /// Blocks it after the response is made and before it is sent.
    pub(crate) fn behind(sim: &Sim, endpoint: Endpoint, nth: usize) -> Gate {
        let (gate, hook) = Gate::pair();
        sim.after_request(endpoint, nth, |_| hook());
        gate
    }

    fn pair() -> (Gate, impl FnOnce() + Send + 'static) {
        let ((arrive, reached), (open, opened)) = (channel(), channel());
        let hook = move || {
            // A test that has ended blocks nothing.
            if arrive.send(()).is_ok() {
                let _ = opened.recv();
            }
        };
        (Gate { reached, open }, hook)
    }

    #[track_caller]
    pub(crate) fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).expect("the request comes");
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.reached.try_recv().is_ok()
    }

    pub(crate) fn open(self) {
        self.open.send(()).expect("the request waits");
    }
}

/// Peak memory of a process in bytes; `None` if it has ended. `wait4` is not used: it would include the memory of this
/// process at the time of the fork.
pub(crate) fn read_peak_memory(pid: Pid) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came about: {what}");
        std::thread::yield_now();
    }
}
