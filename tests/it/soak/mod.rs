//! The soak: a site that changes, runs in a loop, every fault of Wix's and the database's and kills at random; in the
//! end the tables are as Wix has them, and nothing that must not happen has happened in between.
//!
//! `WIX_SYNC_SOAK_SECONDS` says for how long, `WIX_SYNC_SOAK_SEED` repeats the choices of another soak (their timing is
//! the machine's own). The numbers are printed: `cargo test --test it soak -- --nocapture`.

mod actors;
mod checks;
mod faults;
mod numbers;
mod served;
mod site;
mod troubles;

use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta, Utc};
use fastrand::Rng;
use private_postgres::{PgBouncer, PoolMode, Server};
use rustix::process::Signal;
use wix_sim::{Endpoint, Sim, Site, Sizes};

use crate::soak::actors::{Past, Poison, install_elsewhere};
use crate::soak::checks::{Log, broken, histories, judge, missing_or_old, watch, wrong_at_the_end};
use crate::soak::faults::arm;
use crate::soak::numbers::Numbers;
use crate::soak::site::SoakSite;
use crate::support::harness::{Finished, World};
use crate::support::running::Running;

/// How long it takes if nobody says so: short enough for every test run.
const SECONDS: u64 = 20;

/// Minimum number of cycles, however slow the machine is.
const LEAST_CYCLES: usize = 15;

/// Maximum number of cycles until something happens during a run.
const MOST_CYCLES: usize = 200;

/// A run that takes longer hangs: no fault makes one wait for so long.
const PATIENCE: Duration = Duration::from_secs(150);

/// So many of the last things that happened are told where something is wrong.
const TOLD: usize = 25;

pub(crate) struct Soak {
    seed: u64,
    pub(crate) world: World,
    bouncer: PgBouncer,
    pub(crate) random: Rng,
    pub(crate) site: SoakSite,
    pub(crate) numbers: Numbers,
    pub(crate) journal: Vec<String>,
    clock_offset: TimeDelta,
    /// True while a fault is armed that makes a run wait for minutes.
    pub(crate) has_long_faults: bool,
    /// A record whose pages all fail.
    pub(crate) poison: Option<Poison>,
    /// The data directory of an earlier moment.
    pub(crate) past: Option<Past>,
    serial: usize,
}

fn variable(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number")),
        Err(_) => otherwise,
    }
}

#[test]
fn changing_site_under_every_fault_ends_equal_to_wix() {
    let mut soak = Soak::new(variable("WIX_SYNC_SOAK_SEED", 1));
    let seconds = variable("WIX_SYNC_SOAK_SECONDS", SECONDS);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut cycles = 0;
    while cycles < LEAST_CYCLES || Instant::now() < end || (!soak.numbers.has_disturbed_a_run() && cycles < MOST_CYCLES)
    {
        soak.cycle();
        cycles += 1;
    }
    soak.finish();
    soak.numbers.print(soak.seed, &soak.world, &soak.site.counts);
    soak.numbers.assert_something_happened(cycles, seconds);
}

impl Soak {
    fn new(seed: u64) -> Soak {
        // More contacts of one moment than two pages hold.
        let sizes = Sizes { contacts: 2600, bookings: 420, orders: 420, tie_block: 2100 };
        let sim = Sim::start(Site::generate(sizes).seed(seed)).expect("the simulator starts");
        let site = SoakSite::new(sim.handle());
        install_elsewhere(&sim);
        // What was committed has to outlive a crash of the server.
        let world = World::with_server(sim, Server::builder().setting("synchronous_commit", "on")).migrated();
        world.execute("create role syncer superuser login");
        watch(&world);
        let settings = [("default_pool_size", "4"), ("server_round_robin", "1"), ("server_login_retry", "1")];
        let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &settings).expect("the pooler starts");
        Soak {
            seed,
            world,
            bouncer,
            random: Rng::with_seed(seed),
            site,
            numbers: Numbers::default(),
            journal: Vec::new(),
            clock_offset: TimeDelta::zero(),
            has_long_faults: false,
            poison: None,
            past: None,
            serial: 0,
        }
    }

    /// A run, or two, and what befalls them.
    fn cycle(&mut self) {
        self.let_time_pass();
        if self.random.u8(0..8) == 0 {
            self.journal.push("a day passes for bookings that were not found".to_owned());
            self.world.age_absences();
        }
        if self.random.bool() {
            self.site.change(&mut self.random);
        }
        if self.random.bool() {
            self.clear_faults();
        }
        self.has_long_faults |= arm(&self.world.sim, &mut self.random, &mut self.numbers.armed);
        match self.random.u8(0..100) {
            0..24 => self.plain(),
            24..34 => self.killed(),
            34..38 => self.beside_a_server(),
            38..43 => self.suspended(),
            43..49 => self.two_at_once(),
            49..62 => self.without_its_database(),
            62..74 => self.with_rows_removed(),
            74..80 => self.with_a_failing_page(),
            80..86 => self.with_another_installation(),
            86..91 => self.with_an_older_database(),
            91..94 => self.with_a_refusing_trigger(),
            94..96 => self.with_a_wrong_clock(),
            96..98 => self.with_a_server(),
            _ => self.calm(),
        }
        let broken = broken(&self.world);
        self.expect(broken.is_empty(), || broken.join("\n"));
        for request in self.world.sim.requests() {
            let status = request.status.map_or("none".to_owned(), |status| status.to_string());
            *self.numbers.answers.entry(status).or_default() += 1;
        }
        self.world.sim.clear_requests();
    }

    /// Some time passes at Wix, often more than two passes overlap.
    fn let_time_pass(&mut self) {
        // First: a stale answer is of now, at most, since no overlap would do for older ones.
        self.world.sim.remember();
        if self.random.bool() {
            self.clock_offset += TimeDelta::seconds(self.random.i64(0..3600));
            self.world.sim.set_clock_offset(self.clock_offset);
        }
    }

    pub(crate) fn clear_faults(&mut self) {
        self.world.sim.clear_faults();
        self.has_long_faults = false;
    }

    /// A run of some kind.
    fn arguments(&mut self) -> Vec<String> {
        let random = &mut self.random;
        if !self.has_long_faults && random.u8(0..25) == 0 {
            return ["errors", "retry", "--json"].map(str::to_owned).to_vec();
        }
        let table = *random.choice(&["all", "all", "all", "customers", "appointments", "orders"]).expect("some");
        let mut arguments = vec!["sync".to_owned(), table.to_owned(), "--json".to_owned()];
        let mut add = |parts: &[&str]| arguments.extend(parts.iter().map(|part| (*part).to_owned()));
        match random.u8(0..20) {
            0..4 => add(&["--full"]),
            4 => add(&["--full-every", "1s"]),
            5 if matches!(table, "all" | "appointments") => add(&["--start", "2025-01-01", "--end", "2026-06-30"]),
            _ => {}
        }
        add(&["--batch-size", random.choice(&["20", "100", "333", "1000", "5000"]).expect("some")]);
        add(&["--max-retries", random.choice(&["0", "2", "3", "6"]).expect("some")]);
        if self.has_long_faults || random.u8(0..10) == 0 {
            add(&["--time-limit", &format!("{}ms", random.u32(50..1200))]);
        }
        arguments
    }

    /// The binary, directly or through the pooler, with credentials of either kind.
    pub(crate) fn command(&mut self, arguments: &[&str]) -> Command {
        self.serial += 1;
        let pooled = self.random.u8(0..5) < 2;
        let url = if pooled {
            self.bouncer.url_as("syncer", "postgres")
        } else {
            self.world.postgres.url_as("syncer", "postgres")
        };
        let mut command = self.world.command(arguments);
        command.env("DATABASE_URL", format!("{url}&application_name=soak-{}", self.serial));
        if self.random.bool() {
            self.use_app(&mut command, &self.world.sim.credentials().instance_id);
        }
        let how = if pooled { "pooled" } else { "direct" };
        let at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        self.journal.push(format!("{at} {}: {how}: {}", self.serial, arguments.join(" ")));
        command
    }

    pub(crate) fn start(&mut self) -> Running {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let command = self.command(&arguments);
        Running::of(&arguments, command)
    }

    /// Told of some request from now on.
    fn some_request(&mut self) -> Receiver<()> {
        let (told, receiver) = channel();
        let hook = move |_: &wix_sim::SimHandle| {
            // A run that ended earlier leaves nobody to tell.
            let _ = told.send(());
        };
        // An incremental sync makes three requests, a full one more than twenty.
        let most = if self.random.bool() { 3 } else { 15 };
        let nth = self.random.usize(1..=most);
        if self.random.bool() {
            self.world.sim.on_request(Endpoint::Any, nth, hook);
        } else {
            self.world.sim.after_request(Endpoint::Any, nth, hook);
        }
        receiver
    }

    /// Waits until the run has come to some request, and a moment longer. False if it ended before that.
    pub(crate) fn comes_to_some_point(&mut self, running: &mut Running) -> bool {
        let request = self.some_request();
        let is_there = loop {
            match request.recv_timeout(Duration::from_millis(2)) {
                Ok(()) => break true,
                _ if running.has_ended() => break false,
                Err(RecvTimeoutError::Timeout) => {}
                // The hook is gone, with a request that was never made.
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        let moment = Duration::from_micros(self.random.u64(0..40_000));
        pass(if self.random.bool() { moment } else { Duration::ZERO });
        is_there && !running.has_ended()
    }

    /// Waits for the end of a run and judges it.
    pub(crate) fn end(&mut self, running: Running, was_alone: bool) -> Finished {
        let finished = self.wait(running);
        let wrong = judge(&self.world, &finished, was_alone, Log::Kept);
        self.expect(wrong.is_empty(), || format!("{}\n{finished:#?}", wrong.join("\n")));
        finished
    }

    /// Waits for the end of a run and counts it.
    pub(crate) fn wait(&mut self, mut running: Running) -> Finished {
        let begun = Instant::now();
        while !running.has_ended() {
            if begun.elapsed() > PATIENCE {
                running.signal(Signal::KILL);
                let finished = running.wait();
                self.fail(&format!("it hangs: {finished:#?}"));
            }
            pass(Duration::from_millis(2));
        }
        let finished = running.wait();
        let code = finished.code.map_or("killed".to_owned(), |code| code.to_string());
        self.journal.push(format!("   -> {code}: {}", finished.stderr.lines().last().unwrap_or_default()));
        *self.numbers.runs.entry(code).or_default() += 1;
        self.numbers.note_messages(&finished.stderr);
        self.let_poison_wear_off();
        finished
    }

    fn plain(&mut self) {
        let (mut running, mut is_disturbed) = (self.start(), false);
        while self.comes_to_some_point(&mut running) {
            self.site.change(&mut self.random);
            self.let_time_pass();
            is_disturbed = true;
        }
        self.end(running, true);
        // Before a full sync mends what this one passed by.
        if is_disturbed && self.random.bool() {
            self.calm();
        }
    }

    fn killed(&mut self) {
        let mut running = self.start();
        if self.comes_to_some_point(&mut running) {
            let kill = ("KILL", Signal::KILL);
            let choices = [kill, kill, ("TERM", Signal::TERM), ("INT", Signal::INT)];
            let (name, signal) = self.random.choice(choices).expect("some");
            self.note_kill(name);
            running.signal(signal);
        }
        self.end(running, true);
    }

    fn note_kill(&mut self, signal: &'static str) {
        self.journal.push(format!("   {signal}"));
        *self.numbers.kills.entry(signal).or_default() += 1;
    }

    /// A run stands still until its lease is over and another has been at work; then it wakes up.
    fn suspended(&mut self) {
        let mut running = self.start();
        if !self.comes_to_some_point(&mut running) || !running.pause_if_alive() {
            self.end(running, true);
            return;
        }
        self.note_kill("STOP, a take-over, CONT");
        // It may stand still with that row in its hands: then nobody takes over.
        let _ = self.world.client().batch_execute(
            "set lock_timeout = '1s';
             update sync_locks set expires_at = clock_timestamp() - interval '1 second'",
        );
        let second = self.start();
        self.end(second, false);
        running.signal(Signal::CONT);
        self.end(running, false);
    }

    fn two_at_once(&mut self) {
        let (first, second) = (self.start(), self.start());
        let codes = [first, second].map(|running| self.end(running, false).code);
        self.expect(codes != [Some(4); 2], || "of two runs at once none was at work".to_owned());
    }

    /// Something happens to the database during a run.
    fn without_its_database(&mut self) {
        let names = [
            "connections cut",
            "one connection cut",
            "server restarted",
            "server crashed",
            "a table locked",
            "rows locked",
            "statement_timeout",
        ];
        let name = *self.random.choice(&names).expect("some");
        let limits = name == "statement_timeout";
        if limits {
            let limit = self.random.u32(20..400);
            self.world.execute(&format!("alter role syncer set statement_timeout = '{limit}ms'"));
        }
        let mut running = self.start();
        if self.comes_to_some_point(&mut running) {
            self.journal.push(format!("   {name}"));
            *self.numbers.database.entry(name).or_default() += 1;
            self.strike_database(name);
        }
        self.end(running, true);
        if limits {
            self.world.execute("alter role syncer reset statement_timeout");
        }
    }

    /// Nothing goes wrong for once: then all is there that an incremental sync can find.
    pub(crate) fn calm(&mut self) {
        self.clear_faults();
        self.cure();
        // The second finds what changed behind a pass that the first only took to its end.
        for _ in 0..2 {
            let command = self.command(&["sync", "all", "--json"]);
            let finished = self.end(Running::of(&["sync all --json"], command), true);
            self.expect(matches!(finished.code, Some(0 | 3)), || format!("a calm run failed: {finished:#?}"));
        }
        self.numbers.checks += 1;
        let wrong = missing_or_old(&self.world, &self.site);
        self.expect(wrong.is_empty(), || wrong.join("\n"));
    }

    /// The end: nothing goes wrong any more, and full syncs find what only they can find.
    fn finish(&mut self) {
        self.calm();
        self.site.mend_all();
        // Also those that wait for another lookup.
        self.world.execute("update sync_inbox set due_at = clock_timestamp()");
        let full: &[&str] = &["sync", "all", "--full", "--allow-mass-delete", "--json"];
        let retry: &[&str] = &["errors", "retry", "--json"];
        // Records that were deleted while nobody could read them are asked for by `errors retry` alone; stubs that the
        // first pass makes, by the second. That bookings are gone is confirmed a day after the first lookup.
        for (arguments, exits, is_a_day_later) in [
            (retry, &[0, 3][..], false),
            (full, &[0, 3], false),
            (retry, &[0, 3], true),
            (full, &[0, 3], false),
            (full, &[0], false),
        ] {
            if is_a_day_later {
                self.world.age_absences();
            }
            let command = self.command(arguments);
            let finished = self.end(Running::of(arguments, command), true);
            self.expect(finished.code.is_some_and(|code| exits.contains(&code)), || format!("{finished:#?}"));
        }
        let wrong = wrong_at_the_end(&self.world, &self.site);
        self.expect(wrong.is_empty(), || wrong.join("\n"));
        let broken = broken(&self.world);
        self.expect(broken.is_empty(), || broken.join("\n"));
        let verified = self.command(&["verify"]).output().expect("the program runs");
        self.expect(verified.status.success(), || format!("verify finds gaps where there are none: {verified:#?}"));
    }

    pub(crate) fn expect(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.fail(&otherwise());
        }
    }

    fn fail(&self, what: &str) -> ! {
        let told = self.journal[self.journal.len().saturating_sub(TOLD)..].join("\n");
        let histories = histories(&self.world, &self.site, what);
        let (seed, run) = (self.seed, self.serial);
        panic!("WIX_SYNC_SOAK_SEED={seed}, run {run}:\n{what}\nbefore that:\n{told}\n{histories}");
    }
}

/// Lets this time pass.
pub(crate) fn pass(time: Duration) {
    let (_open, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}
