//! Required rights of `migrate`, and failures: it then changes nothing.

use crate::support::harness::World;

/// A world whose binary connects as this role; the test's own connection stays a superuser.
fn as_role(mut world: World, role: &str) -> World {
    let url = world.postgres.url_as(role, "postgres");
    world.set("DATABASE_URL", &url);
    world
}

#[test]
fn schema_owner_needs_no_other_right() {
    let world = as_role(World::new(20, 10, 10), "plain");
    world.execute(
        "revoke create on schema public from public; revoke create, temporary on database postgres from public;
         create role plain login nosuperuser; create schema shop authorization plain",
    );
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
    world.run(&["sync", "all", "--schema", "shop"]).expect_exit(0);
    world.run(&["status", "--schema", "shop"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from shop.customers where raw is not null"), 20);
}

#[test]
fn database_without_utf8_is_refused() {
    let mut world = World::empty();
    world.execute("create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0");
    let url = world.postgres.url("latin");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate"]).expect_exit(2).expect_stderr("encoding is LATIN1").expect_stderr("hint: ");
}

#[test]
fn objects_that_depend_on_a_changed_column_are_named() {
    let world = World::empty();
    world.execute(crate::upgrade::adoption::TABLES);
    world.execute("alter table orders add column doubled numeric generated always as (total_amount * 2) stored");
    let before = world.catalog();
    world.run(&["migrate"]).expect_exit(1).expect_stderr("doubled");
    assert_eq!(world.catalog(), before);
}

#[test]
fn user_without_rights_sees_what_is_missing() {
    let world = as_role(World::empty(), "nobody_much");
    world.execute("revoke create on schema public from public; create role nobody_much login");
    let before = world.catalog();
    for arguments in [["migrate"].as_slice(), &["migrate", "--schema", "shop"]] {
        let refused = world.run(arguments).expect_exit(1).expect_stderr("permission denied");
        assert!(refused.stderr.contains("hint: ") && refused.stdout.is_empty(), "{refused:#?}");
    }
    assert_eq!(world.catalog(), before);
}

#[test]
fn row_security_is_not_mistaken_for_an_unmigrated_schema() {
    let world = as_role(World::empty().migrated(), "reader");
    world.execute("create role reader login; grant select on all tables in schema public to reader");
    let seen = world.run(&["status"]);
    assert!(!seen.stdout.contains("not migrated") && seen.code != Some(0), "{seen:#?}");
    assert!(seen.stderr.contains("row level security") || seen.stderr.contains("row security"), "{seen:#?}");
}

#[test]
fn migration_that_was_changed_stops_every_command() {
    let world = World::empty().migrated();
    world.execute("update sync_migrations set checksum = repeat('0', 64) where number = 3");
    let before = (world.catalog(), world.rows_as_json("select * from sync_migrations order by 1"));
    for arguments in [["migrate"].as_slice(), &["sync", "all"], &["status"]] {
        world.run(arguments).expect_exit(2).expect_stderr("migration 0003_appointments is not the one");
    }
    assert_eq!((world.catalog(), world.rows_as_json("select * from sync_migrations order by 1")), before);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 0);
}

#[test]
fn migration_from_a_newer_program_stops_every_command() {
    let world = World::empty().migrated();
    world.execute("insert into sync_migrations (number, name, checksum) values (9999, '9999_later', 'x')");
    for arguments in [["migrate"].as_slice(), &["sync", "all"], &["status"]] {
        world.run(arguments).expect_exit(2).expect_stderr("newer version of wix-sync");
    }
}

#[test]
fn missing_migration_is_named_and_applied_alone() {
    let world = World::empty().migrated();
    // A restored column has another position.
    let catalog = || -> Vec<String> {
        let text = world.catalog();
        let lines = text.lines().filter(|line| !line.contains("pg.dropped"));
        let mut facts: Vec<String> = lines.map(|line| line.replace(|c: char| c.is_ascii_digit(), "")).collect();
        facts.sort_unstable();
        facts
    };
    let whole = catalog();
    // A database of the version before this migration: its columns and its index are missing.
    world.execute(
        "delete from sync_migrations where number = 11;
         alter table sync_errors drop column program_version; alter table sync_missing drop column tried_at;
         drop index sync_errors_unresolved_idx",
    );
    for arguments in [["sync", "all"].as_slice(), &["status"]] {
        let refused = world.run(arguments).expect_exit(2).expect_stderr("1 of ");
        assert!(refused.stderr.contains("hint: run `wix-sync migrate` first"), "{refused:#?}");
    }
    let done = world.run(&["migrate"]).expect_exit(0);
    assert!(done.stdout.contains(": 1 migration"), "{done:#?}");
    assert_eq!(catalog(), whole);
}

#[test]
fn unmigrated_database_gets_a_hint() {
    let world = World::new(1, 0, 0);
    let before = world.catalog();
    let refused = world.run(&["sync", "all"]).expect_exit(2);
    assert!(refused.stderr.contains("hint: run `wix-sync migrate` first"), "{refused:#?}");
    assert_eq!(world.sim.requests().len(), 0, "nothing was asked of Wix");
    let status = world.run(&["status"]).expect_exit(0);
    assert!(status.stdout.contains("not migrated yet"), "{status:#?}");
    world.run(&["status", "--schema", "nowhere"]).expect_exit(0);
    assert_eq!(world.catalog(), before);
}

#[test]
fn migration_that_fails_leaves_no_trace_of_the_others() {
    let world = as_role(World::empty(), "owner");
    world.execute(
        "create role owner login; alter schema public owner to owner;
         create table sync_state (something text); insert into sync_state values ('mine')",
    );
    let before = world.catalog();
    let failed = world.run(&["migrate"]);
    assert!(matches!(failed.code, Some(1 | 2)) && failed.stdout.is_empty(), "{failed:#?}");
    assert!(failed.stderr.contains("sync_state"), "{failed:#?}");
    assert_eq!(world.catalog(), before);
    assert_eq!(world.value::<String>("select something from sync_state"), "mine");
    // In another schema it does no harm.
    world.execute("grant create on database postgres to owner");
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
}

#[test]
fn failed_migrate_creates_no_schema() {
    let world = World::empty();
    // The last object is refused, after everything else was created.
    world.execute(
        "create function refuse() returns event_trigger language plpgsql as $$
         begin
            if exists (select from pg_event_trigger_ddl_commands() where object_identity like '%sync_errors%') then
                raise 'no';
            end if;
         end $$;
         create event trigger refuse on ddl_command_end execute function refuse()",
    );
    let before = world.catalog();
    world.run(&["migrate", "--schema", "shop"]).expect_exit(1).expect_stderr("0006_sync_errors");
    assert_eq!(world.catalog(), before);
    world.execute("drop event trigger refuse; drop function refuse()");
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
}

#[test]
fn read_only_server_is_named() {
    let world = World::new(1, 0, 0);
    let read_only =
        |on: &str| world.execute(&format!("alter database postgres set default_transaction_read_only = {on}"));
    read_only("on");
    world.run(&["migrate"]).expect_exit(1).expect_stderr("hint: this server is read-only");
    // It also applies to the test's own connections.
    world.execute("start transaction read write; alter database postgres reset default_transaction_read_only; commit");
    world.run(&["migrate"]).expect_exit(0);
    read_only("on");
    world.run(&["sync", "all"]).expect_exit(1).expect_stderr("hint: this server is read-only");
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["status"]).expect_exit(0);
}
