//! A full disk: the message says so, nothing is lost, and a run continues when there is space again.

use wix_sim::{Sim, Site, Sizes};

use crate::support::harness::World;
use crate::support::small_disk::SmallDisk;

fn live_rows(world: &World) -> i64 {
    world.value("select (select count(*) from customers) + (select count(*) from appointments)")
}

#[test]
fn full_disk_is_named_and_the_next_run_resumes() {
    let mut disk = SmallDisk::new();
    let sizes = Sizes { contacts: 3000, bookings: 300, orders: 100, ..Sizes::default() };
    let world = World::with_server(Sim::start(Site::generate(sizes)).expect("the simulator starts"), disk.server());
    world.execute(&format!("create tablespace small location '{}'", disk.place().display()));
    world.execute("alter database postgres set default_tablespace = small");
    let world = world.migrated();

    let mut kept = 0;
    for _ in 0..2 {
        let finished = world.run(&["sync", "all", "--batch-size", "100"]).expect_exit(1);
        let finished = finished.expect_stderr("SQLSTATE 53100").expect_stderr("the database server's disk is full");
        assert!(live_rows(&world) >= kept, "{finished:#?}");
        kept = live_rows(&world);
        assert!(world.value::<i64>("select count(*) from sync_errors") == 0, "no record is to blame");
        // If there was no space for this either, the next run marks it as failed.
        let run = "select status, error from sync_logs order by started_at desc limit 1";
        let run = world.rows_as_json(run).pop().expect("a run");
        let says_why = run["error"].as_str().is_some_and(|error| error.contains("53100"));
        assert!(run["status"] == "running" || (run["status"] == "failed" && says_why), "{run}");
    }
    assert!(kept > 0, "there was room for some");

    disk.make_room();
    world.run(&["sync", "all", "--batch-size", "100"]).expect_exit(0);
    world.assert_tables_equal_truth();
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where status = 'running'"), 0);
}
