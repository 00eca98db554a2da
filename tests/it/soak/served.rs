//! The actors of a soak that start `wix-sync serve`: it gets the webhooks of what happens at the site, and is killed.

use chrono::TimeDelta;
use rustix::process::Signal;
use wix_sim::webhooks::{PUBLIC_KEY, Webhooks};

use crate::serve::server::Served;
use crate::soak::Soak;
use crate::soak::checks::{broken, missing_or_old};
use crate::support::running::wait_until;

/// What a server may be killed with, and what it leaves.
const ENDS: [(&str, Signal); 4] =
    [("KILL", Signal::KILL), ("KILL", Signal::KILL), ("KILL", Signal::KILL), ("TERM", Signal::TERM)];

impl Soak {
    /// A server lives beside runs, with the faults that are armed. Some of its events are lost.
    pub(crate) fn beside_a_server(&mut self) {
        if self.has_long_faults {
            self.clear_faults();
        }
        self.lose_events();
        let mut server = self.start_server();
        for _ in 0..self.random.usize(1..4) {
            let mut running = self.start();
            while self.comes_to_some_point(&mut running) {
                self.site.change(&mut self.random);
                self.let_time_pass();
                self.numbers.note_act("a server beside a run");
                match self.random.u8(0..6) {
                    0 => self.lose_events(),
                    1 => self.trigger(&server),
                    2 => server = self.restart(server),
                    _ => self.send_events(&server),
                }
            }
            self.end(running, false);
        }
        self.stop_server(server);
        if self.random.bool() {
            self.calm();
        }
    }

    /// Only events bring what changes, and no fault strikes: then all of it is there without a run.
    pub(crate) fn with_a_server(&mut self) {
        self.calm();
        self.lose_events();
        let mut server = self.start_server();
        for _ in 0..self.random.usize(1..5) {
            self.site.change(&mut self.random);
            self.send_events(&server);
            if self.random.bool() {
                server = self.restart(server);
            }
        }
        // Wix repeats what was not answered.
        while self.site.webhooks.waiting() > 0 {
            self.site.webhooks.pass(TimeDelta::minutes(10));
            self.send_events(&server);
        }
        wait_until("the inbox is empty", || {
            // What a list does not have yet is looked up once more later.
            self.world.execute("update sync_inbox set due_at = clock_timestamp() where tries > 0");
            self.world.value("select not exists (select from sync_inbox)")
        });
        self.stop_server(server);
        self.numbers.note_act("a server alone");
        self.numbers.checks += 1;
        let wrong = missing_or_old(&self.world, &self.site);
        self.expect(wrong.is_empty(), || format!("events did not bring all:\n{}", wrong.join("\n")));
        let broken = broken(&self.world);
        self.expect(broken.is_empty(), || broken.join("\n"));
    }

    /// The events that are on their way never come.
    fn lose_events(&mut self) {
        self.site.webhooks = Webhooks::new("", &self.world.sim.credentials().instance_id);
    }

    fn start_server(&mut self) -> Served {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("WIX_WEBHOOK_PUBLIC_KEY", PUBLIC_KEY);
        Served::of(command).unwrap_or_else(|log| self.fail(&format!("the server does not start: {log}")))
    }

    /// Sends what is due, some of it twice, in any order.
    fn send_events(&mut self, server: &Served) {
        let webhooks = &mut self.site.webhooks;
        webhooks.deliver_to(&format!("127.0.0.1:{}", server.port));
        if self.random.u8(0..4) == 0 {
            webhooks.duplicate(2);
        }
        webhooks.shuffle(self.random.u64(1..u64::MAX));
        let statuses = webhooks.deliver().expect("tokens can be signed");
        let odd: Vec<&u16> = statuses.iter().filter(|status| !matches!(status, 200 | 503)).collect();
        self.expect(odd.is_empty(), || format!("events were answered {odd:?}: {}", server.log()));
    }

    fn trigger(&mut self, server: &Served) {
        let body = *self.random.choice(&["{}", r#"{"table":"orders"}"#, r#"{"table":"customers"}"#]).expect("some");
        let headers = ["content-type: application/json"];
        let answer = server.call("POST", "/api/async-sync/trigger", &headers, body);
        self.journal.push(format!("   trigger {body} -> {}", answer.status));
        self.expect(matches!(answer.status, 202 | 503), || format!("{answer:?}: {}", server.log()));
    }

    /// The server ends in some way, and another one starts.
    fn restart(&mut self, server: Served) -> Served {
        self.stop_server(server);
        self.start_server()
    }

    fn stop_server(&mut self, server: Served) {
        let (name, signal) = *self.random.choice(&ENDS).expect("some");
        self.note_kill(name);
        server.signal(signal);
        let (code, log) = server.wait();
        self.expect(!log.contains("panicked"), || log.clone());
        let is_right = signal == Signal::KILL || code == Some(0);
        self.expect(is_right, || format!("the server ended with {code:?}: {log}"));
    }
}
