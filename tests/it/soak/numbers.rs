//! What happened during a soak, and how often: printed at its end, so that it can be quoted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::soak::faults::Armed;
use crate::support::harness::World;

/// The counts of a soak.
#[derive(Default)]
pub(crate) struct Numbers {
    /// Runs by exit code.
    pub(crate) runs: BTreeMap<String, usize>,
    /// Signals that were sent.
    pub(crate) kills: BTreeMap<&'static str, usize>,
    /// What happened to the database during a run.
    pub(crate) database: BTreeMap<&'static str, usize>,
    /// Faults of Wix; not each of them met a request.
    pub(crate) armed: Armed,
    /// Requests by the status of the answer.
    pub(crate) answers: BTreeMap<String, usize>,
    /// What the actors of `soak_actors` did.
    pub(crate) actors: BTreeMap<&'static str, usize>,
    /// Runs that said something of interest.
    said: BTreeMap<&'static str, usize>,
    /// How often all rows were compared in between.
    pub(crate) checks: usize,
}

fn owned<K: ToString>(counts: &BTreeMap<K, usize>) -> Vec<(String, usize)> {
    counts.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

fn total<K>(counts: &BTreeMap<K, usize>) -> usize {
    counts.values().sum()
}

/// Each of them has to act in a soak of this many seconds.
const LONG: u64 = 600;

const ACTORS: [&str; 11] = [
    "rows removed between runs",
    "rows removed during a run",
    "a page that always fails",
    "another installation",
    "another installation beside a run",
    "an older database between runs",
    "an older database under a run",
    "a trigger that refuses",
    "a clock that was ahead",
    "a server beside a run",
    "a server alone",
];

/// What a run may say, and how that is counted.
const MESSAGES: [(&str, &str); 7] = [
    ("a full sync follows", "a full sync follows"),
    ("is a full sync", "the next sync is a full sync"),
    ("rows, but should hold", "a table lost rows during the run"),
    ("does not hold what this run wrote last", "the database is behind"),
    ("is no longer running according to sync_logs", "the log does not know the run"),
    ("Wix cannot deliver this record", "a record was passed over"),
    ("is the app's installation on site", "the installation is on another site"),
];

impl Numbers {
    pub(crate) fn note_messages(&mut self, stderr: &str) {
        for (_, name) in MESSAGES.iter().filter(|(message, _)| stderr.contains(message)) {
            *self.said.entry(name).or_default() += 1;
        }
    }

    pub(crate) fn note_act(&mut self, name: &'static str) {
        *self.actors.entry(name).or_default() += 1;
    }

    #[expect(clippy::print_stdout, reason = "the numbers are what a soak is for")]
    pub(crate) fn print(&self, seed: u64, world: &World, changes: &BTreeMap<&'static str, usize>) {
        let mut text = format!("soak: seed {seed}\n");
        let mut line = |name: &str, counts: Vec<(String, usize)>| {
            let total: usize = counts.iter().map(|(_, count)| count).sum();
            let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "soak: {total} {name} ({})", parts.join(", "));
        };
        line("runs by exit code", owned(&self.runs));
        line("kills", owned(&self.kills));
        line("blows to the database", owned(&self.database));
        line("acts", owned(&self.actors));
        line("times it was said", owned(&self.said));
        line("faults of Wix armed", owned(&self.armed));
        line("requests by answer", owned(&self.answers));
        line("changes of the site", owned(changes));
        let rows = ["customers", "appointments", "orders"].map(|table| {
            let count: i64 = world.value(&format!("select count(*) from {table} where deleted_at is null"));
            (table.to_owned(), usize::try_from(count).unwrap_or_default())
        });
        line("live rows in the end", rows.to_vec());
        line("comparisons of all rows in between", vec![("after passes without faults".to_owned(), self.checks)]);
        println!("{text}");
    }

    /// Whether a run at work was killed, lost its database, or met one of the acts whose names end so.
    pub(crate) fn has_disturbed_a_run(&self) -> bool {
        let acts = self.actors.keys().filter(|name| name.ends_with(" a run")).count();
        total(&self.kills) + total(&self.database) + acts > 0
    }

    /// A soak in which nothing goes wrong proves nothing.
    pub(crate) fn assert_something_happened(&self, cycles: usize, seconds: u64) {
        let idle: Vec<&&str> = ACTORS.iter().filter(|name| !self.actors.contains_key(**name)).collect();
        assert!(seconds < LONG || idle.is_empty(), "they never acted: {idle:?}");
        assert!(total(&self.runs) >= cycles, "each cycle has a run");
        let done: usize = ["0", "3"].iter().filter_map(|code| self.runs.get(*code)).sum();
        assert!(done > 0 && done < total(&self.runs), "some runs got through and some did not: {:?}", self.runs);
        assert!(self.has_disturbed_a_run(), "something happened during a run");
        let refused: usize = self.answers.iter().filter(|(status, _)| *status != "200").map(|(_, count)| count).sum();
        assert!(total(&self.armed) > 0 && refused > 0, "faults met requests");
        assert!(self.checks > 0, "the tables were compared in between");
    }
}
