//! The simulated site in a process of its own, so that its CPU time is told apart, and the few words it listens to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use wix_sim::{Endpoint, Entity, Fault, Sim, Site, Sizes};

use crate::Result;
use crate::child::own;
use crate::machine::cpu_of;

/// The site.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    pub(crate) contacts: usize,
    #[arg(long)]
    pub(crate) bookings: usize,
    #[arg(long)]
    pub(crate) orders: usize,
    #[arg(long)]
    pub(crate) latency_ms: u64,
    /// Contacts that share one creation date
    #[arg(long, default_value_t = 0)]
    pub(crate) tie_block: usize,
    /// Whether bookings cannot be sorted
    #[arg(long)]
    pub(crate) refuse_sort: bool,
    /// Whether bookings come newest first, whatever sort is asked for
    #[arg(long)]
    pub(crate) newest_first: bool,
}

/// Serves the site until standard input ends. Each line there is answered by a number:
///
/// - `requests`: how many there were, requests for tokens included;
/// - `change N`: changes every Nth record of each kind, and says how many records that is.
pub(crate) fn serve(arguments: &Arguments) -> Result<()> {
    let sizes = Sizes {
        contacts: arguments.contacts,
        bookings: arguments.bookings,
        orders: arguments.orders,
        tie_block: arguments.tie_block,
    };
    let latency = Duration::from_millis(arguments.latency_ms);
    let sim = Sim::builder().latency(latency).forget_requests().start(Site::generate(sizes))?;
    if arguments.refuse_sort {
        sim.fault(Fault::on(Endpoint::BookingsQuery).always().refuse_sort());
    }
    if arguments.newest_first {
        sim.fault(Fault::on(Endpoint::BookingsQuery).always().newest_first());
    }
    let credentials = sim.credentials();
    println!("{} {} {}", sim.base_url(), credentials.site_id, credentials.api_keys[0]);
    for line in std::io::stdin().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            None if line == "requests" => sim.request_count(Endpoint::Any),
            Some(("change", step)) => change(&sim, step.parse()?),
            _ => return Err(format!("no such word: {line}").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn change(sim: &Sim, step: usize) -> usize {
    sim.edit_every(Entity::Contacts, step, |contact| contact["info"]["company"] = json!("Moved Ltd"))
        + sim.edit_every(Entity::Bookings, step, |item| item["booking"]["benchmarkNote"] = json!("changed"))
        + sim.edit_every(Entity::Orders, step, |order| order["buyerNote"] = json!("changed"))
}

/// A simulated site that runs. Dropping it stops it.
pub(crate) struct Simulator {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    variables: [(&'static str, String); 3],
}

impl Simulator {
    /// Starts the site and waits until it serves.
    pub(crate) fn start(site: Arguments) -> Result<Simulator> {
        let mut command = own("simulator")?;
        for (name, value) in [
            ("--contacts", site.contacts as u64),
            ("--bookings", site.bookings as u64),
            ("--orders", site.orders as u64),
            ("--latency-ms", site.latency_ms),
            ("--tie-block", site.tie_block as u64),
        ] {
            command.arg(name).arg(value.to_string());
        }
        for (name, is_set) in [("--refuse-sort", site.refuse_sort), ("--newest-first", site.newest_first)] {
            command.args(is_set.then_some(name));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let words = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("the simulator has no output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let mut parts = line.split_whitespace().map(str::to_owned);
        let mut next = || parts.next().ok_or("the simulator did not start");
        let variables = [("WIX_API_BASE_URL", next()?), ("WIX_SITE_ID", next()?), ("WIX_API_TOKEN", next()?)];
        Ok(Simulator { child, words, answers, variables })
    }

    /// What wix-sync has to know of it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// How many requests it has got.
    pub(crate) fn requests(&mut self) -> Result<u64> {
        self.ask("requests")
    }

    /// Changes every `step`th record of each kind; how many that is.
    pub(crate) fn change(&mut self, step: usize) -> Result<u64> {
        self.ask(&format!("change {step}"))
    }

    /// The CPU time that it has used, where the system tells.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu_of(self.child.id()).map(|cpu| cpu.own)
    }

    fn ask(&mut self, word: &str) -> Result<u64> {
        let words = self.words.as_mut().ok_or("the simulator was let go")?;
        writeln!(words, "{word}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim().parse().map_err(|_| format!("the simulator did not answer `{word}`"))?)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.words.take());
        // It ends with its input; a wait that fails means that it is gone already.
        let _ = self.child.wait();
    }
}
