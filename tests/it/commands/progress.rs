//! What a run shows on a terminal: bars, waits with their reasons, and the last line. Linux only.
#![cfg(target_os = "linux")]

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::{Finished, World};
use crate::support::running::Gate;
use crate::support::terminal::watch_on_terminal;

fn on_terminal(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    command
}

/// Runs a command, and does something once when one line of the screen holds all of these parts.
#[track_caller]
fn run_until_shown(world: &World, arguments: &[&str], parts: &[&str], act: impl FnOnce(Pid)) -> (Finished, String) {
    let (mut act, mut seen) = (Some(act), Vec::new());
    let ended = watch_on_terminal(arguments, on_terminal(world, arguments), 100, |screen, child| {
        let contents = screen.contents();
        if contents.lines().any(|line| parts.iter().all(|part| line.contains(part)))
            && let Some(act) = act.take()
        {
            act(Pid::from_child(child));
        }
        seen.push(contents);
    });
    seen.dedup();
    assert!(act.is_none(), "{parts:?} were never in one line of {seen:#?}");
    ended
}

fn interrupt(pid: Pid) {
    kill_process(pid, Signal::INT).expect("it is at work");
}

/// Nothing of the bars is left on a screen.
#[track_caller]
fn assert_no_bars(screen: &str) {
    let is_bar = |line: &str| line.contains("records,") || line.contains('[') || line.contains("waiting ");
    assert!(!screen.lines().any(is_bar), "{screen}");
}

#[test]
fn a_wait_for_the_rate_limit_is_shown_and_ctrl_c_leaves_a_clean_screen() {
    let world = World::new(5, 450, 0).migrated();
    let arguments = ["sync", "appointments", "--rate-limit", "2"];
    let parts = ["appointments", "waiting", " for Wix's rate limit"];
    let (finished, screen) = run_until_shown(&world, &arguments, &parts, interrupt);
    assert!(screen.contains("stopped by SIGINT"), "{screen}");
    assert_no_bars(&screen);
    assert!(!finished.stdout.contains("0/s"), "{:?}", finished.stdout);
    finished.expect_exit(130);
}

#[test]
fn a_retry_is_shown_with_its_number_and_its_cause() {
    let mut world = World::new(20, 0, 0).migrated();
    world.set("WIX_SYNC_RETRY_DELAY_MS", "2500");
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).status(503));
    let parts = ["customers", "retry 1 of 3 in ", "Wix answered 503"];
    let (finished, screen) = run_until_shown(&world, &["sync", "customers"], &parts, |_| {});
    assert!(screen.contains("completed in"), "{screen}");
    assert_no_bars(&screen);
    finished.expect_exit(0);
}

#[test]
fn a_wait_before_the_first_table_is_shown() {
    let world = World::new(5, 0, 0).migrated().with_app();
    world.sim.fault(Fault::on(Endpoint::OauthToken).throttled().retry_after("30"));
    let parts = ["retry in ", "Wix answered 429"];
    let (finished, screen) = run_until_shown(&world, &["sync", "customers"], &parts, interrupt);
    assert_no_bars(&screen);
    finished.expect_exit(130);
}

#[test]
fn lookups_by_id_are_counted() {
    let world = World::new(400, 0, 0).migrated();
    world.run(&["sync", "customers"]).expect_exit(0);
    let ids: Vec<String> =
        world.sim.contacts().iter().take(30).map(|contact| contact["id"].as_str().expect("an id").to_owned()).collect();
    ids.iter().for_each(|id| world.sim.delete(Entity::Contacts, id));
    let gate = Gate::before(&world.sim, Endpoint::ContactGet, 6);
    let parts = ["customers", "looking up ", " of 30 by id"];
    let (finished, screen) = run_until_shown(&world, &["sync", "customers", "--full"], &parts, |_| gate.open());
    assert!(screen.contains("30 deleted"), "{screen}");
    assert_no_bars(&screen);
    finished.expect_exit(0);
}

#[test]
fn a_wait_for_a_lock_in_the_database_is_shown() {
    let world = World::new(20, 0, 0).migrated();
    let mut client = world.client();
    let mut transaction = client.transaction().expect("it begins");
    transaction.batch_execute("lock table customers in access exclusive mode").expect("it is locked");
    let parts = ["waiting for the database: "];
    let (finished, screen) = run_until_shown(&world, &["sync", "customers"], &parts, |_| {
        transaction.rollback().expect("it ends");
    });
    assert_no_bars(&screen);
    finished.expect_exit(0);
}

#[test]
fn exit_code_3_is_explained_in_the_last_line() {
    let world = World::new(5, 0, 0).migrated();
    world.sim.put_raw(Entity::Contacts, &json!({"revision": 1, "info": {}}).to_string());
    let arguments = ["sync", "customers", "--full"];
    let (finished, _) = watch_on_terminal(&arguments, on_terminal(&world, &arguments), 140, |_, _| {});
    let finished = finished.expect_exit(3);
    let (_, last) = finished.stdout.rsplit_once("Run ").expect("the last line is there");
    for part in ["exit code 3", "1 rejected record", "wix-sync errors", "docs/troubleshooting.md#exit-3"] {
        let words = last.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(part), "`{part}` is not in {words}");
    }
}
