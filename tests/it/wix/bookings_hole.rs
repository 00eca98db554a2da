//! Holes in Wix's index of bookings: the list and the lookup by id read the same index, and bookings cannot be deleted. So
//! a booking that is not returned is looked up in two runs, at least a day apart, before it is marked as deleted.

use rustix::process::Signal;
use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;
use crate::support::running::wait_until;
use crate::wix::deletions::{APPOINTMENTS, absent, asked, delete, deleted, id, ids, lookups, record, site};
use crate::wix::deletions_resumed::broken;

/// The hole closes: Wix returns these bookings again, as they were.
fn close(world: &World, indexes: impl IntoIterator<Item = usize>) {
    for index in indexes {
        world.sim.put_raw(Entity::Bookings, &record(APPOINTMENTS, &id(index), index));
    }
}

fn sync(world: &World, arguments: &[&str], exit: i32) -> Value {
    world.sim.clear_requests();
    let arguments = [&["appointments"], arguments].concat();
    world.sync_json(&arguments, exit)["results"]["appointments"].clone()
}

/// Number of live rows, and the transaction that wrote each last.
fn live(world: &World) -> Vec<Value> {
    world.rows_as_json("select wix_booking_id, xmin::text from appointments where deleted_at is null order by 1")
}

#[test]
fn hole_of_one_run_deletes_nothing_and_is_reported() {
    let world = site(40);
    let before = live(&world);
    delete(&world, APPOINTMENTS, [3, 4]);
    let full = sync(&world, &["--full"], 0);
    let told = "2 appointments are no longer returned by Wix; they are marked as deleted if that is still so in a day";
    assert!(full["notices"].to_string().contains(told), "{full}");
    assert_eq!((&full["deleted"], &full["incomplete"]), (&json!(0), &Value::Null));
    assert_eq!(lookups(&world, APPOINTMENTS).len(), 1 + 2);
    assert_eq!((deleted(&world, APPOINTMENTS), absent(&world, APPOINTMENTS)), (vec![], ids([3, 4])));

    // While they wait, no run looks them up again, and each run reports that they wait.
    for arguments in [&[][..], &["--full"], &[]] {
        let result = sync(&world, arguments, 0);
        assert!(result["notices"].to_string().contains(told), "{result}");
        assert_eq!(lookups(&world, APPOINTMENTS), Vec::<String>::new(), "{arguments:?}");
    }
    assert_eq!(live(&world), before, "no row was written");

    close(&world, [3, 4]);
    let result = sync(&world, &["--full"], 0);
    assert_eq!((&result["unchanged"], &result["notices"]), (&json!(40), &Value::Null));
    assert_eq!(world.value::<i64>("select count(*) from sync_missing"), 0);
    world.age_absences();
    sync(&world, &["--full"], 0);
    assert_eq!(live(&world), before);
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn second_lookup_after_a_day_confirms_a_deletion() {
    for second in [&[][..], &["--full"]] {
        let world = site(40);
        delete(&world, APPOINTMENTS, [3]);
        sync(&world, &["--full"], 0);
        world.execute("update sync_missing set absent_at = absent_at - interval '23 hours 58 minutes'");
        sync(&world, second, 0);
        assert_eq!(lookups(&world, APPOINTMENTS), Vec::<String>::new(), "not a day yet");
        world.execute("update sync_missing set absent_at = absent_at - interval '2 minutes'");
        let result = sync(&world, second, 0);
        assert_eq!((&result["deleted"], deleted(&world, APPOINTMENTS)), (&json!(1), ids([3])));
        assert_eq!(lookups(&world, APPOINTMENTS)[1..], ids([3]));
        assert_eq!(world.value::<i64>("select count(*) from sync_missing"), 0);
    }
}

#[test]
fn booking_that_returns_restarts_its_wait() {
    let world = site(40);
    delete(&world, APPOINTMENTS, [3, 4, 5]);
    sync(&world, &["--full"], 0);
    world.age_absences();
    // One is in the list again, with a change; one is only found by id; one is found and refused by Postgres.
    close(&world, [3, 4]);
    world.sim.edit(Entity::Bookings, &id(3), |_| {});
    world.sim.put_raw(Entity::Bookings, &broken(APPOINTMENTS, 5));
    sync(&world, &[], 3);
    assert_eq!((deleted(&world, APPOINTMENTS), absent(&world, APPOINTMENTS)), (vec![], vec![]));
    close(&world, [5]);
    sync(&world, &["--full"], 0);

    delete(&world, APPOINTMENTS, [3, 4, 5]);
    let result = sync(&world, &["--full"], 0);
    assert_eq!((&result["deleted"], absent(&world, APPOINTMENTS)), (&json!(0), ids([3, 4, 5])));
}

#[test]
fn listed_rejected_record_is_not_pending() {
    let world = site(40);
    delete(&world, APPOINTMENTS, [5]);
    sync(&world, &["--full"], 0);
    world.sim.put_raw(Entity::Bookings, &broken(APPOINTMENTS, 5));
    sync(&world, &["--full"], 3);
    assert_eq!((deleted(&world, APPOINTMENTS), absent(&world, APPOINTMENTS)), (vec![], vec![]));
}

#[test]
fn hole_of_many_bookings_is_blocked_by_the_limit() {
    let world = site(60);
    delete(&world, APPOINTMENTS, 10..40);
    let result = sync(&world, &["--full"], 3);
    assert!(result["notices"].to_string().contains("30 of 60"), "{result}");
    assert!(result["notices"].to_string().contains("run now, and again a day later, with --allow-mass-delete"));
    assert_eq!((lookups(&world, APPOINTMENTS), absent(&world, APPOINTMENTS)), (vec![], vec![]));
    sync(&world, &["--allow-mass-delete"], 0);
    assert_eq!((deleted(&world, APPOINTMENTS), absent(&world, APPOINTMENTS)), (vec![], ids(10..40)));
    // While they wait there is nothing to decide, neither for a run nor for a dry run.
    sync(&world, &[], 0);
    sync(&world, &["--full"], 0);
    for arguments in [&["sync", "appointments", "--dry-run"][..], &["sync", "appointments", "--dry-run", "--full"]] {
        world.run(arguments).expect_exit(0);
    }
    world.age_absences();
    for arguments in [&["sync", "appointments", "--dry-run"][..], &["sync", "appointments", "--dry-run", "--full"]] {
        world.run(arguments).expect_exit(3);
    }
    sync(&world, &[], 3);
    assert_eq!(deleted(&world, APPOINTMENTS), Vec::<String>::new());
    close(&world, 10..40);
    sync(&world, &["--full"], 0);
    assert_eq!(world.value::<i64>("select count(*) from sync_missing"), 0);
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn absence_from_the_future_counts_as_now() {
    let world = site(40);
    delete(&world, APPOINTMENTS, [3]);
    sync(&world, &["--full"], 0);
    world.execute("update sync_missing set absent_at = '2999-01-01'");
    let result = sync(&world, &[], 0);
    assert!(result["notices"].to_string().contains("1 appointment is no longer returned"), "{result}");
    assert_eq!((lookups(&world, APPOINTMENTS), deleted(&world, APPOINTMENTS)), (vec![], vec![]));
    world.age_absences();
    sync(&world, &[], 0);
    assert_eq!(deleted(&world, APPOINTMENTS), ids([3]));
}

#[test]
fn kill_between_two_lookups_does_not_change_the_wait() {
    let world = site(40);
    delete(&world, APPOINTMENTS, [3, 4, 5]);
    let kill_at = |index: usize, arguments: &[&str], is_there: &dyn Fn() -> bool| {
        world
            .sim
            .fault(Fault::on(Endpoint::BookingsQuery).when(move |request| asked(request) == Some(id(index))).hang());
        world.sim.clear_requests();
        let running = world.start(arguments);
        wait_until("it hangs", || is_there() && lookups(&world, APPOINTMENTS).last() == Some(&id(index)));
        running.signal(Signal::KILL);
        running.wait();
        world.sim.clear_faults();
    };
    kill_at(4, &["sync", "appointments", "--full"], &|| absent(&world, APPOINTMENTS) == ids([3]));
    let result = sync(&world, &[], 0);
    assert_eq!(result["resumed"], true);
    assert_eq!(lookups(&world, APPOINTMENTS)[1..], ids([4, 5]));
    assert_eq!((deleted(&world, APPOINTMENTS), absent(&world, APPOINTMENTS)), (vec![], ids([3, 4, 5])));
    world.age_absences();
    kill_at(4, &["sync", "appointments"], &|| deleted(&world, APPOINTMENTS) == ids([3]));
    sync(&world, &[], 0);
    assert_eq!(deleted(&world, APPOINTMENTS), ids([3, 4, 5]));
}

#[test]
fn interrupted_full_sync_keeps_the_time_of_absence() {
    let world = site(40);
    delete(&world, APPOINTMENTS, [3, 30]);
    sync(&world, &["--full"], 0);
    world.age_absences();
    close(&world, [3]);
    let page = |nth| Fault::on(Endpoint::BookingsQuery).when(|request| asked(request).is_none()).nth(nth);
    world.sim.fault(page(3).system_error());
    world.sim.fault(page(1).always().short_page(10));
    sync(&world, &["--full", "--max-retries", "0"], 1);
    sync(&world, &[], 0);
    assert_eq!(deleted(&world, APPOINTMENTS), ids([30]), "a day ago a lookup did not find it either");
    assert_eq!(absent(&world, APPOINTMENTS), Vec::<String>::new());
}
