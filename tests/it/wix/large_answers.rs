//! Responses of any size: large records, large pages, bodies without end. Records that fit are written, others are
//! reported, and memory stays limited.

use rustix::process::Pid;
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::{Finished, World};
use crate::support::running::read_peak_memory;
use crate::wix::lists::{date, record};

const MB: usize = 1_000_000;

const KINDS: [(Endpoint, Entity, &str); 3] = [
    (Endpoint::ContactsQuery, Entity::Contacts, "customers"),
    (Endpoint::BookingsQuery, Entity::Bookings, "appointments"),
    (Endpoint::OrdersSearch, Entity::Orders, "orders"),
];

fn id(index: i64) -> String {
    format!("r{index:05}")
}

/// A record of about this many bytes. The large field precedes its id.
fn large(entity: Entity, index: i64, bytes: usize) -> String {
    let text = record(entity, &id(index), Some(&date(index, 0)));
    let start = if entity == Entity::Bookings { "{\"booking\":{" } else { "{" };
    let rest = text.strip_prefix(start).expect("it starts so");
    format!(
        "{start}\"blob\":[{{\"id\":\"no\",\"text\":\"{}\"}}],{rest}",
        (("x".repeat(996) + "é\\\"").repeat(bytes / 1000))
    )
}

fn put(world: &World, entity: Entity, sizes: impl IntoIterator<Item = usize>) {
    for (index, bytes) in (0..).zip(sizes) {
        world.sim.put_raw(entity, &large(entity, index, bytes));
    }
}

fn rows(world: &World, table: &str) -> i64 {
    world.value(&format!("select count(*) from {table} where raw is not null and deleted_at is null"))
}

/// Runs the program until it ends. Also returns its peak memory in bytes.
#[expect(clippy::print_stderr, reason = "the measurement is what a reader wants")]
fn measure(world: &World, arguments: &[&str]) -> (Finished, usize) {
    let mut running = world.start(arguments);
    let mut peak = 0;
    let pid = Pid::from_raw(running.pid() as i32).expect("a process");
    while !running.has_ended() {
        peak = peak.max(read_peak_memory(pid).unwrap_or(0));
        std::thread::yield_now();
    }
    eprintln!("peak of `{}`: {:.1} MB", arguments.join(" "), peak as f64 / MB as f64);
    (running.wait(), peak)
}

/// Runs the program and fails if it held more than 128 MB.
#[track_caller]
fn run(world: &World, arguments: &[&str], exit: i32) -> Finished {
    let (finished, peak) = measure(world, arguments);
    let finished = finished.expect_exit(exit);
    assert!(peak > MB && peak < 128 * MB, "{peak} bytes: {finished:#?}");
    finished
}

#[test]
fn page_of_60_mb_arrives_in_smaller_pages() {
    for (endpoint, entity, table) in KINDS {
        let world = World::empty().migrated();
        let count = if entity == Entity::Contacts { 1_000 } else { 100 };
        put(&world, entity, (0..count).map(|_| 60 * MB / count));
        run(&world, &["sync", table], 0);
        assert_eq!(rows(&world, table), count as i64, "{table}");
        let requests = world.sim.request_count(endpoint);
        assert!(requests < 40, "{table}: {requests} requests");
    }
}

#[test]
fn large_records_arrive_if_cursors_fix_the_limit() {
    let plain = |endpoint| Fault::on(endpoint).always();
    for change in [|it: Fault| it, |it: Fault| it.keep_limit_of_cursors(), |it: Fault| it.refuse_other_limits()] {
        for (endpoint, entity, table) in &KINDS[1..] {
            let world = World::empty().migrated();
            world.sim.fault(change(plain(*endpoint)));
            // Small ones, large ones, small ones again.
            let sizes = (0..500).map(|index| if (150..250).contains(&index) { 400_000 } else { 500 });
            put(&world, *entity, sizes);
            run(&world, &["sync", table], 0);
            assert_eq!(rows(&world, table), 500, "{table}");
            let requests = world.sim.request_count(*endpoint);
            assert!(requests < 50, "{table}: {requests} requests");
            let last = world.sim.requests().into_iter().rfind(|it| it.endpoint == *endpoint).expect("a request");
            assert!(last.body.expect("a body").to_string().contains("\"limit\":100"), "pages grow back");
        }
    }
}

#[test]
fn record_of_50_mb_is_rejected_alone() {
    for (endpoint, entity, table) in KINDS {
        let world = World::empty().migrated();
        put(&world, entity, (0..250).map(|index| if index == 120 { 50 * MB } else { 500 }));
        let finished = run(&world, &["sync", table], 3).expect_stderr(&id(120)).expect_stderr("4 MB");
        assert_eq!(rows(&world, table), 249, "{table}: {finished:#?}");
        let requests = world.sim.request_count(endpoint);
        assert!(requests < 8, "{table}: {requests} requests");
        // It stays reported, and is not requested again in each run.
        world.sim.clear_requests();
        run(&world, &["sync", table], 3).expect_stderr("earlier rejected records are unresolved");
        assert!(world.sim.request_count(Endpoint::Any) <= 2, "{:?}", world.sim.request_count(Endpoint::Any));
        run(&world, &["errors", "retry"], 3).expect_stderr(&id(120));
        run(&world, &["sync", table, "--full"], 3).expect_stderr(&id(120));
        let kept = "select count(*) from sync_errors where wix_id = 'r00120' and length(record) < 1000";
        assert_eq!(world.value::<i64>(kept), 1, "{table}");
        assert_eq!(world.value::<i64>("select count(*) from sync_errors"), 1, "{table}");
        world.sim.put_raw(entity, &large(entity, 120, 500));
        run(&world, &["errors", "retry"], 0);
        assert_eq!(rows(&world, table), 250, "{table}");
    }
}

#[test]
fn largest_records_are_held_one_by_one() {
    let world = World::empty().migrated();
    let sizes = || [3_900_000, 3_900_000, 500, 3_900_000, 4_100_000, 3_900_000, 500];
    KINDS.iter().for_each(|(_, entity, _)| put(&world, *entity, sizes()));
    run(&world, &["sync", "all"], 3).expect_stderr(&id(4));
    KINDS.iter().for_each(|(_, _, table)| assert_eq!(rows(&world, table), 6, "{table}"));
    // Smaller copies of each, which are first compared with their rows.
    for (_, entity, _) in KINDS {
        put(&world, entity, sizes().map(|bytes| bytes - bytes / 8));
    }
    run(&world, &["sync", "all", "--full"], 0);
    run(&world, &["verify"], 0);
}

#[test]
fn endless_record_is_skipped_and_named() {
    for (_, entity, table) in KINDS {
        let world = World::empty().migrated();
        let text = large(entity, 7, 500).replace("\"blob\"", &format!("\"zzz\":\"{}\",\"blob\"", "z".repeat(140 * MB)));
        put(&world, entity, (0..120).map(|_| 500));
        // The id comes first here.
        let text =
            text.replacen("{", &format!("{{{}", if entity == Entity::Bookings { "" } else { "\"id\":\"r00007\"," }), 1);
        world.sim.put_raw(entity, &text);
        let finished = run(&world, &["sync", table], 3);
        assert_eq!(rows(&world, table), 119, "{table}: {finished:#?}");
        assert_eq!(world.value::<i64>("select count(*) from sync_errors"), 1, "{table}");
    }
}

/// A response of these bytes followed by letters, endless or highly compressed.
fn endless(endpoint: Endpoint, body: &str, gzip: bool) -> Fault {
    let fault = Fault::on(endpoint).body(body);
    if gzip { fault.padded(1_000 * MB).gzip() } else { fault.padded(usize::MAX) }
}

#[test]
fn endless_response_loses_no_record() {
    for (endpoint, entity, table) in KINDS {
        let world = World::empty().migrated();
        put(&world, entity, (0..250).map(|_| 500));
        for (body, gzip) in
            [("", false), ("{\"orders\":[", true), ("<html>", false), ("{\"a\":[{\"id\":\"x\",\"b\":\"", false)]
        {
            for nth in 1..3 {
                world.sim.fault(endless(endpoint, body, gzip).nth(nth));
            }
            run(&world, &["sync", table, "--full"], 0);
            world.sim.clear_faults();
            assert_eq!(rows(&world, table), 250, "{table}");
        }
    }
}

#[test]
fn list_of_endless_responses_fails_and_keeps_its_rows() {
    for (endpoint, entity, table) in KINDS {
        let world = World::empty().migrated();
        put(&world, entity, (0..250).map(|_| 500));
        world.run(&["sync", table]).expect_exit(0);
        for gzip in [false, true] {
            world.sim.fault(endless(endpoint, "{\"orders\":[", gzip).always());
            run(&world, &["sync", table, "--full"], 1).expect_stderr("larger than what is read");
            world.sim.clear_faults();
            assert_eq!(rows(&world, table), 250, "{table}");
        }
        run(&world, &["sync", table, "--full"], 0);
    }
}

#[test]
fn endless_refusals_and_tokens_are_read_to_a_limit() {
    let mut world = World::empty().migrated();
    put(&world, Entity::Orders, (0..5).map(|_| 500));
    for status in [429, 500, 503] {
        world.sim.fault(Fault::on(Endpoint::OrdersSearch).status(status).retry_after("0").padded(usize::MAX));
    }
    run(&world, &["sync", "orders"], 0);
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).status(403).html("<html>").padded(usize::MAX));
    run(&world, &["sync", "orders"], 1).expect_stderr("403");
    world = world.with_app();
    world.sim.fault(Fault::on(Endpoint::OauthToken).always().body("{\"access_token\":\"").padded(usize::MAX));
    run(&world, &["sync", "orders"], 1);
    run(&world, &["doctor"], 5);
}

#[test]
fn records_below_the_limit_do_not_accumulate_in_memory() {
    let world = World::empty().migrated();
    put(&world, Entity::Contacts, (0..1_000).map(|_| 50_000));
    put(&world, Entity::Bookings, (0..300).map(|_| 30_000));
    put(&world, Entity::Orders, (0..100).map(|_| 400_000));
    run(&world, &["sync", "all"], 0);
    assert_eq!(rows(&world, "customers") + rows(&world, "appointments") + rows(&world, "orders"), 1_400);
}

/// The goals for larger sites, in a release build: `cargo test --release --test it measured -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn large_sites_are_measured() {
    let world = World::new(20_000, 20_000, 20_000).migrated();
    let (finished, usual) = measure(&world, &["sync", "all"]);
    finished.expect_exit(0);

    let world = World::empty().migrated();
    put(&world, Entity::Contacts, (0..3_000).map(|_| 50_000));
    put(&world, Entity::Bookings, (0..3_000).map(|_| 5_000));
    put(&world, Entity::Orders, (0..600).map(|_| 400_000));
    let (finished, large) = measure(&world, &["sync", "all"]);
    finished.expect_exit(0);
    let (finished, again) = measure(&world, &["sync", "all", "--full"]);
    finished.expect_exit(0);
    assert!(usual < 60 * MB && large.max(again) < 72 * MB, "{usual}, {large}, {again}");
}
