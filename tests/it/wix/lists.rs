//! Lists that end early, ignore the sort, show rounded dates, or announce other numbers than they return: every record
//! arrives, or the shortfall is reported.

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{CursorStyle, Endpoint, Entity, Fault, Sim, SimBuilder, Site, Sizes};

use crate::support::harness::World;
use crate::support::running::{Gate, wait_until};

const LISTS: [(Endpoint, &str); 3] = [
    (Endpoint::ContactsQuery, "customers"),
    (Endpoint::BookingsQuery, "appointments"),
    (Endpoint::OrdersSearch, "orders"),
];

fn rows(world: &World, table: &str) -> i64 {
    world.value(&format!("select count(*) from {table} where raw is not null and deleted_at is null"))
}

fn entity(table: &str) -> Entity {
    match table {
        "customers" => Entity::Contacts,
        "appointments" => Entity::Bookings,
        _ => Entity::Orders,
    }
}

/// The number of records that Wix lists.
fn records(world: &World, table: &str) -> i64 {
    world.sim.texts(entity(table)).len() as i64
}

/// A record with only an id and dates.
pub(crate) fn record(entity: Entity, id: &str, created: Option<&str>) -> String {
    let mut body = json!({"id": id, "updatedDate": "2026-01-01T00:00:00.000Z"});
    if let Some(created) = created {
        body["createdDate"] = json!(created);
    }
    match entity {
        Entity::Contacts => body,
        Entity::Bookings => json!({ "booking": body }),
        Entity::Orders => {
            body["status"] = json!("APPROVED");
            body
        }
    }
    .to_string()
}

pub(crate) fn date(second: i64, milliseconds: i64) -> String {
    let at = DateTime::<Utc>::from_timestamp(1_700_000_000 + second, 0).expect("a date");
    (at + TimeDelta::milliseconds(milliseconds)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A site of `count` records of one kind, with the dates that `created` returns.
pub(crate) fn site_of(entity: Entity, count: i64, created: impl Fn(i64) -> Option<String>) -> World {
    let world = World::empty().migrated();
    for index in 0..count {
        world.sim.put_raw(entity, &record(entity, &format!("r{index:05}"), created(index).as_deref()));
    }
    world
}

fn with_sim(sizes: Sizes, change: impl FnOnce(SimBuilder) -> SimBuilder) -> World {
    World::with_sim(change(Sim::builder()).start(Site::generate(sizes)).expect("the simulator starts")).migrated()
}

#[test]
fn list_that_ends_before_its_total_is_reported_and_read_again() {
    for (endpoint, table) in LISTS {
        for listed in [0, 60, 200, 349] {
            let world = site_of(entity(table), 350, |index| Some(date(index, 0)));
            world.sim.fault(Fault::on(endpoint).always().states_total().ends_after(listed));
            let said = format!("Wix announced {} more {table} than it returned", 350 - listed);
            world.run(&["sync", table]).expect_exit(3).expect_stderr(&said);
            assert_eq!(rows(&world, table), listed as i64, "{table}");
            let verified = world.run(&["verify", table]).expect_exit(5);
            assert!(verified.stdout.contains(&said), "{verified:#?}");
            world.run(&["sync", table, "--dry-run"]).expect_exit(3).expect_stderr("");
            world.sim.clear_faults();
            let result = world.sync_json(&[table], 0);
            assert_eq!(result["results"][table]["kind"], "full", "{table}, {listed}");
            assert_eq!(rows(&world, table), 350, "{table}");
        }
    }
}

#[test]
fn incremental_sync_and_range_are_checked_against_totals() {
    let world = World::new(30, 260, 0).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.edit_every(Entity::Bookings, 1, |booking| booking["booking"]["status"] = json!("CANCELED"));
    let all = world.sim.bookings().len();
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().states_total().ends_after(all - 7));
    let said = "Wix announced 7 more appointments than it returned";
    world.run(&["sync", "appointments", "--start", "2000-01-01"]).expect_exit(3).expect_stderr(said);
    let result = world.sync_json(&["appointments"], 3);
    assert_eq!(result["results"]["appointments"]["kind"], "incremental");
    world.sim.clear_faults();
    let result = world.sync_json(&["appointments"], 0);
    assert_eq!(result["results"]["appointments"]["kind"], "full");
    world.assert_tables_equal_truth();
}

/// Appointments that all changed except the first fifty. The first ones are edited while the others are read, this much
/// later, and some are deleted meanwhile.
fn check_edits_during_an_incremental_sync(later: TimeDelta) {
    let world = World::new(30, 400, 0).migrated();
    let start = Utc::now();
    world.sim.freeze_clock(Some(start));
    world.run(&["sync", "all"]).expect_exit(0);
    let ids: Vec<String> =
        world.sim.bookings().iter().map(|it| it["booking"]["id"].as_str().expect("an id").to_owned()).collect();
    let cancel = |it: &mut Value| it["booking"]["status"] = json!("CANCELED");
    world.sim.set_clock_offset(TimeDelta::hours(1));
    ids[50..].iter().for_each(|id| world.sim.edit(Entity::Bookings, id, cancel));
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().states_total());
    let behind = ids[3].clone();
    world.sim.on_request(Endpoint::BookingsQuery, 3, move |sim| {
        sim.set_clock_offset(TimeDelta::hours(1) + later);
        sim.edit(Entity::Bookings, &behind, cancel);
    });
    world.sync_json(&["appointments"], 0);
    world.run(&["sync", "appointments"]).expect_exit(0);
    world.assert_tables_equal_truth();
    let gone = ids[200..230].to_vec();
    world.sim.on_request(Endpoint::BookingsQuery, 2, move |sim| {
        gone.iter().for_each(|id| sim.delete(Entity::Bookings, id));
    });
    world.full_sync_json(&["appointments"], 0);
}

#[test]
fn edits_during_an_incremental_sync_are_no_shortfall() {
    check_edits_during_an_incremental_sync(TimeDelta::hours(1));
    check_edits_during_an_incremental_sync(TimeDelta::zero());
}

#[test]
fn total_that_is_always_one_too_high_is_a_shortfall_of_one() {
    for (endpoint, table) in LISTS {
        let world = World::new(1200, 250, 250).migrated();
        world.sim.fault(Fault::on(endpoint).always().states_total().total_off_by(1));
        for _ in 0..2 {
            world.run(&["sync", table]).expect_exit(3).expect_stderr(&format!("Wix announced 1 more {table} than"));
            assert_eq!(rows(&world, table), records(&world, table), "{table}");
        }
        let listed = world.sim.request_count(endpoint);
        assert!(listed <= 24, "{table}: {listed} requests");
    }
}

#[test]
fn totals_with_another_meaning_report_nothing() {
    for off in [-1, -1100, -10_000] {
        let world = World::new(1200, 0, 0).migrated();
        world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().total_off_by(off));
        world.run(&["sync", "customers"]).expect_exit(0);
        world.assert_tables_equal_truth();
    }
}

/// Enough contacts for a window by date. One has no date, and Wix lists it last.
fn deep_with_undated() -> World {
    let world = with_sim(Sizes { contacts: 9_500, ..Sizes::default() }, |sim| sim);
    world.sim.put_raw(Entity::Contacts, &record(Entity::Contacts, "undated", None));
    world
}

#[test]
fn contact_without_a_date_behind_deep_offsets_arrives() {
    let world = deep_with_undated();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().undated_last());
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(rows(&world, "customers"), 9_501);
    assert!(world.sim.request_count(Endpoint::ContactsQuery) <= 12);
    // If large offsets are refused it cannot be read, which is reported.
    let world = deep_with_undated();
    let fault = || Fault::on(Endpoint::ContactsQuery).always().undated_last();
    world.sim.fault(fault().refuse_offsets_beyond(8_500));
    world.run(&["sync", "customers"]).expect_exit(3).expect_stderr("Wix announced 1 more customers than it returned");
    assert_eq!(rows(&world, "customers"), 9_500);
}

#[test]
fn contact_without_a_date_after_a_restart_arrives() {
    let world = World::new(3_500, 0, 0).migrated();
    world.sim.put_raw(Entity::Contacts, &record(Entity::Contacts, "undated", None));
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).nth(3).repeat_page().undated_last());
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().undated_last());
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(rows(&world, "customers"), 3_501);

    let world = World::new(3_500, 0, 0).migrated();
    world.sim.put_raw(Entity::Contacts, &record(Entity::Contacts, "undated", None));
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).nth(3).system_error());
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().undated_last());
    world.run(&["sync", "customers", "--max-retries", "0"]).expect_exit(1);
    let result = world.sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["resumed"], true);
    assert_eq!(rows(&world, "customers"), 3_501);
}

#[test]
fn rounded_dates_at_a_windows_border_lose_nothing() {
    // Thirty records that were imported within one second are at the start of the window.
    let created = |index: i64| match index {
        7_970..8_000 => Some(date(7_970, 100 + index - 7_970)),
        _ => Some(date(index, 400)),
    };
    let world = site_of(Entity::Contacts, 9_500, created);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().rounded_dates());
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(rows(&world, "customers"), 9_500);
    world.run(&["verify", "customers"]).expect_exit(0);
    assert!(world.sim.request_count(Endpoint::ContactsQuery) <= 2 * 12);
}

#[test]
fn rounded_dates_at_a_restart_or_a_kill_lose_nothing() {
    for (endpoint, table) in LISTS {
        let page: i64 = if table == "customers" { 1000 } else { 100 };
        let created = |index: i64| Some(date(index / 40, 100 + index % 40));
        let world = site_of(entity(table), 3 * page + 50, created);
        world.sim.fault(Fault::on(endpoint).nth(3).expire_cursors().rounded_dates());
        world.sim.fault(Fault::on(endpoint).always().rounded_dates());
        world.run(&["sync", table]).expect_exit(0);
        assert_eq!(rows(&world, table), 3 * page + 50, "{table}, a dying cursor");

        let world = site_of(entity(table), 3 * page + 50, created);
        world.sim.fault(Fault::on(endpoint).nth(3).system_error());
        world.sim.fault(Fault::on(endpoint).always().rounded_dates());
        world.run(&["sync", table, "--max-retries", "0"]).expect_exit(1);
        assert!(rows(&world, table) < 3 * page, "{table}");
        world.run(&["sync", table]).expect_exit(0);
        assert_eq!(rows(&world, table), 3 * page + 50, "{table}, a resumed pass");
    }
}

#[test]
fn sort_that_wix_ignores_and_an_interruption_lose_nothing() {
    for (endpoint, table) in LISTS {
        let page: i64 = if table == "customers" { 1000 } else { 100 };
        for is_kill in [true, false] {
            // All records of the first page have one date, the newest.
            let created = move |index: i64| Some(date(index.min(3 * page), 0));
            let world = site_of(entity(table), 4 * page + 5, created);
            if is_kill {
                world.sim.fault(Fault::on(endpoint).always().newest_first());
                let gate = Gate::before(&world.sim, endpoint, 2);
                let running = world.start(&["sync", table, "--batch-size", "100"]);
                gate.wait();
                wait_until("the first page is written", || rows(&world, table) == page);
                running.signal(Signal::KILL);
                running.wait();
            } else {
                world.sim.fault(Fault::on(endpoint).nth(2).system_error());
                world.sim.fault(Fault::on(endpoint).always().newest_first());
                world.run(&["sync", table, "--max-retries", "0"]).expect_exit(1);
            }
            world.run(&["sync", table]).expect_exit(0);
            assert_eq!(rows(&world, table), 4 * page + 5, "{table}, kill: {is_kill}");
        }
    }
}

#[test]
fn first_page_of_one_record_proves_no_order() {
    for (endpoint, table) in LISTS {
        let world = site_of(entity(table), 120, |index| Some(date(index, 0)));
        world.sim.fault(Fault::on(endpoint).short_page(1).newest_first());
        world.sim.fault(Fault::on(endpoint).system_error());
        world.sim.fault(Fault::on(endpoint).always().newest_first());
        world.run(&["sync", table, "--max-retries", "0"]).expect_exit(1);
        assert_eq!(rows(&world, table), 1);
        let checkpoint: Value =
            world.value(&format!("select full_checkpoint from sync_state where table_name = '{table}'"));
        assert_eq!(checkpoint["created_from"], Value::Null, "{table}");
        world.run(&["sync", table]).expect_exit(0);
        assert_eq!(rows(&world, table), 120, "{table}");
    }
}

#[test]
fn resumed_list_in_descending_order_starts_over() {
    for (endpoint, table) in LISTS {
        let page: i64 = if table == "customers" { 1000 } else { 100 };
        let world = site_of(entity(table), 3 * page + 5, |index| Some(date(index, 0)));
        // Two dates are in order by chance; that the sort is ignored shows only after the interruption.
        world.sim.fault(Fault::on(endpoint).nth(3).system_error());
        world.run(&["sync", table, "--max-retries", "0"]).expect_exit(1);
        world.sim.fault(Fault::on(endpoint).always().newest_first());
        // Without the row counts, which would show that rows are missing.
        world.execute(&format!(
            "delete from {table} where wix_created_at < '{}';
             update sync_state set live_rows = (select count(*) from {table}) where table_name = '{table}'",
            date(30, 0)
        ));
        world.run(&["sync", table]).expect_exit(0);
        assert_eq!(rows(&world, table), 3 * page + 5, "{table}");
    }
}

#[test]
fn counting_cursors_with_totals_need_no_further_request() {
    let sizes = Sizes { contacts: 20, bookings: 450, orders: 430, ..Sizes::default() };
    let world = with_sim(sizes, |sim| sim.cursor_style(CursorStyle::Offset));
    world.sim.fault(Fault::on(Endpoint::Any).always().states_total());
    world.run(&["sync", "all"]).expect_exit(0);
    world.assert_tables_equal_truth();
    assert_eq!(world.sim.request_count(Endpoint::BookingsQuery), 5);
    world.sim.clear_requests();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(world.sim.request_count(Endpoint::Any), 3);
}

#[test]
fn unstable_order_hint_says_what_happens_next() {
    let sizes = Sizes { contacts: 3600, tie_block: 3000, ..Sizes::default() };
    let world = with_sim(sizes, |sim| sim.tie_order(wix_sim::TieOrder::Unstable));
    let finished = world.run(&["sync", "customers"]).expect_exit(1);
    assert!(finished.stderr.contains("continues at the last checkpoint, or from the start"), "{finished:#?}");
}
