//! `doctor` names what the next sync would leave out, before it does.

use serde_json::Value;
use wix_sim::{Endpoint, Fault};

use crate::commands::doctor::{Found, examine, healthy};
use crate::support::harness::{Finished, World};

#[test]
fn doctor_names_what_the_next_sync_would_leave_out() {
    let mut world = World::new(60, 10, 10).migrated();
    world.execute("revoke create on schema public from public");
    world.set("WIX_RATE_LIMIT", "200");
    world.run(&["sync", "all"]).expect_exit(0);
    examine(&world, 0);
    for (sql, check, status, part, undo) in [
        (
            "insert into sync_missing (table_name, wix_id) select 'customers', wix_contact_id from customers limit 30",
            "pending deletions",
            "problem",
            "deletions are blocked by the safety limit: 30 of 60 rows of customers",
            "delete from sync_missing",
        ),
        (
            "insert into sync_held (table_name, wix_id, lost, record, found_at) values ('orders', 'a', '{items}', '{}', now())",
            "orders",
            "problem",
            "changes are blocked by the safety limit",
            "delete from sync_held",
        ),
        (
            "update sync_state set shortfall = 7 where table_name = 'orders'",
            "orders",
            "problem",
            "7 fewer records than Wix announced",
            "update sync_state set shortfall = 0",
        ),
        (
            "update sync_state set live_rows = live_rows + 2 where table_name = 'orders'",
            "orders",
            "warning",
            "but the last run left",
            "update sync_state set live_rows = live_rows - 2 where table_name = 'orders'",
        ),
        (
            "update sync_state set watermark = watermark + interval '1 day' where table_name = 'orders'",
            "orders",
            "warning",
            "a time that is in the future",
            "update sync_state set watermark = watermark - interval '1 day' where table_name = 'orders'",
        ),
        (
            "update sync_state set last_success_at = last_success_at + interval '1 day' where table_name = 'orders'",
            "orders",
            "warning",
            "the last success is in the future",
            "update sync_state set last_success_at = last_success_at - interval '1 day' where table_name = 'orders'",
        ),
        (
            "update sync_state set checkpoint = '[]' where table_name = 'orders'",
            "orders",
            "problem",
            "from another version of wix-sync",
            "update sync_state set checkpoint = null",
        ),
        (
            "alter table orders rename column email to mail",
            "schema",
            "problem",
            "column orders.email is missing",
            "alter table orders rename column mail to email",
        ),
    ] {
        world.execute(sql);
        examine(&world, if status == "problem" { 5 } else { 0 }).expect(check, status, part);
        world.execute(undo);
        examine(&world, 0);
    }
    world.set("WIX_SYNC_HEALTHCHECK_URL", "ftp://monitor.example.com");
    examine(&world, 5).expect("variables", "problem", "WIX_SYNC_HEALTHCHECK_URL: ");
}

#[test]
fn last_run_of_each_table_counts() {
    let world = healthy();
    world.execute("create function no() returns trigger language plpgsql as $$ begin raise 'no'; end $$");
    world.execute("update orders set content_hash = null");
    world.execute("create trigger no before insert or update on orders for each row execute function no()");
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    world.run(&["sync", "customers"]).expect_exit(0);
    let found = examine(&world, 5);
    found.expect("last run", "problem", "ended with exit code 3").expect("rejected records", "problem", "orders ");
    world.execute("drop trigger no on orders");
    world.run(&["errors", "retry"]).expect_exit(0);
    examine(&world, 0).expect("last run", "ok", "completed at").expect("rejected records", "ok", "none");

    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    world.run(&["sync", "all"]).expect_exit(1);
    world.sim.clear_faults();
    let found = examine(&world, 5);
    found.expect("last run", "problem", "failed at ").expect("last run", "problem", ": orders: ");
    world.run(&["sync", "orders"]).expect_exit(0);
    examine(&world, 0).expect("last run", "ok", "completed at");
}

#[test]
fn list_that_became_empty_is_a_problem_only_with_rows() {
    let world = World::new(5, 0, 5).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    let other = World::empty();
    assert_eq!(examine_of(&world, &other, 5).of("appointments").len(), 1);
    examine_of(&world, &other, 5).expect("orders", "problem", "Wix returns no orders at all");
}

/// What doctor says of one site's database with another site's Wix.
fn examine_of(world: &World, wix: &World, exit: i32) -> Found {
    let mut command = world.command(&["doctor", "--json"]);
    command.env("WIX_API_BASE_URL", wix.sim.base_url()).env("WIX_API_TOKEN", &wix.sim.credentials().api_keys[0]);
    let finished = Finished::of(&["doctor"], command.output().expect("the binary runs")).expect_exit(exit);
    let json: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    Found { finished, json }
}

#[test]
fn foreign_tables_are_named_before_migrate() {
    let mut world = World::empty();
    world.set("WIX_RATE_LIMIT", "200");
    world.execute("create table customers (id serial primary key, name text)");
    let found = examine(&world, 5);
    found.expect("schema", "problem", "customers exists and cannot be adopted: it has no column wix_contact_id");
    world.run(&["migrate"]).expect_exit(2);
    world.execute("drop table customers; create table customers (id uuid primary key, wix_contact_id text unique)");
    examine(&world, 5).expect("schema", "warning", "wix-sync did not create customers");
    world.execute("create table sync_errors (id integer)");
    examine(&world, 5).expect("schema", "problem", "sync_errors exists and cannot be adopted");
    world.execute("drop table sync_errors");
    world.run(&["migrate"]).expect_exit(0);
}
