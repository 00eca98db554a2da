//! Ctrl-C and SIGTERM: the command at work is asked to stop, and the server is stopped after it.
//!
//! A second signal ends this process at once. The server is stopped then too, by the shell that holds it.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal as SystemSignal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::signal::unix::{SignalKind, signal};

use crate::Result;

/// A wish to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt = 130,
    Terminate = 143,
}

impl Signal {
    /// How a program ends that was stopped by it.
    pub(crate) fn exit_code(self) -> u8 {
        self as u8
    }
}

#[derive(Default)]
struct State {
    received: Option<Signal>,
    ignores_interrupts: bool,
    child: Option<Pid>,
}

/// What has arrived so far.
#[derive(Clone)]
pub(crate) struct Signals(Arc<Mutex<State>>);

impl Signals {
    /// Listens from here on, in a thread of its own.
    pub(crate) fn listen() -> io::Result<Signals> {
        let signals = Signals(Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let listener = signals.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    let signal = tokio::select! {
                        _ = interrupt.recv() => Signal::Interrupt,
                        _ = terminate.recv() => Signal::Terminate,
                    };
                    listener.note(signal);
                }
            });
        });
        Ok(signals)
    }

    fn note(&self, signal: Signal) {
        let mut state = self.state();
        if state.ignores_interrupts && signal == Signal::Interrupt {
            return;
        }
        // Asked a second time, it waits for nothing.
        if state.received.is_some() {
            std::process::exit(signal.exit_code().into());
        }
        state.received = Some(signal);
        // After a Ctrl-C the command gets both signals: the terminal's own and this one. It stops at the first.
        if let Some(child) = state.child
            && let Err(error) = kill_process(child, SystemSignal::TERM)
        {
            eprintln!("quickstart: can't send SIGTERM to process {child}: {error}; press Ctrl-C again to quit");
        }
    }

    /// What arrived first.
    pub(crate) fn received(&self) -> Option<Signal> {
        self.state().received
    }

    /// An error if something has arrived.
    pub(crate) fn check(&self) -> Result<()> {
        if self.received().is_some() { Err("stopped".into()) } else { Ok(()) }
    }

    /// Leaves Ctrl-C to the command that is run.
    pub(crate) fn ignore_interrupts(&self) {
        self.state().ignores_interrupts = true;
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        let (mut child, process) = {
            let mut state = self.state();
            let child = command.spawn()?;
            let process = Pid::from_child(&child);
            state.child = Some(process);
            (child, process)
        };
        // The process number is the child's until `wait`. It is forgotten before that, so that no signal reaches another
        // process.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let ended = retry_on_intr(|| waitid(WaitId::Pid(process), options));
        self.state().child = None;
        ended?;
        child.wait()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole, so a panic elsewhere does not matter here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
