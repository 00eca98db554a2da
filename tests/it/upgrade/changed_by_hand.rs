//! Tables that were changed manually: every command says what is wrong, `migrate` restores what was dropped and prints
//! the SQL for the rest, and the next run fills what was restored. Adopted tables: adoption_refused.rs.

use crate::commands::doctor::{examine, healthy};
use crate::support::harness::{Finished, World};
use crate::upgrade::adoption::{STRICTER_TABLES, TABLES, inherited};

/// A synced site whose tables pass `verify`.
fn synced() -> World {
    let world = healthy();
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    world.run(&["verify"]).expect_exit(0);
    world
}

/// Runs every command; none may panic. Returns the output of `sync`.
#[track_caller]
fn every_command_ends(world: &World, named: &str) -> Finished {
    for arguments in
        [["status"].as_slice(), &["status", "--json"], &["errors"], &["verify"], &["sync", "all", "--dry-run"]]
    {
        let finished = world.run(arguments);
        assert!(matches!(finished.code, Some(0..=5)), "{finished:#?}");
        let said = finished.stderr.contains(named) || !matches!(finished.code, Some(1 | 2));
        assert!(said, "`{named}` is not in {finished:#?}");
    }
    world.run(&["sync", "all"])
}

/// The SQL that `migrate` prints.
fn sql_in(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).filter(|part| part.ends_with(';')).map(str::to_owned).collect()
}

/// `doctor` and, if it does not run, `sync` name `named`; `migrate` restores it, and a run fills it.
#[track_caller]
fn restored(damage: &str, named: &str, sync_runs: bool) {
    let world = synced();
    let catalog = comparable(&world);
    world.execute(damage);
    examine(&world, 5).expect(if named == "sync_migrations" { "migrations" } else { "schema" }, "problem", named);
    let sync = every_command_ends(&world, named);
    assert_eq!(sync.code, Some(if sync_runs { 0 } else { 2 }), "{damage}: {sync:#?}");
    let before = world.catalog();
    let shown = world.run(&["migrate", "--dry-run"]).expect_exit(0);
    assert_eq!(world.catalog(), before, "a dry run changes nothing");
    let done = world.run(&["migrate"]).expect_exit(0);
    assert!(done.stdout.contains(named) && shown.stdout.ends_with(&done.stdout), "{damage}: {shown:#?} {done:#?}");
    assert_eq!(comparable(&world), catalog, "{damage}");
    world.run(&["sync", "all"]).expect_exit(0);
    let verified = world.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{damage}: {verified:#?}");
    examine(&world, 0);
    assert_eq!(world.run(&["migrate"]).expect_exit(0).stdout, "Schema public is up to date.\n");
}

/// `doctor` names it, `migrate` prints the SQL, and the SQL fixes it.
#[track_caller]
fn named_with_sql(damage: &str, named: &str, sync: &[i32]) {
    let world = synced();
    world.execute(damage);
    examine(&world, 5).expect("schema", "problem", named);
    let code = every_command_ends(&world, named).code;
    assert!(code.is_some_and(|code| sync.contains(&code)), "{damage}: sync ended with {code:?}");
    let refused = world.run(&["migrate"]).expect_exit(1).expect_stderr(named);
    let sql = sql_in(&refused.stderr);
    assert!(!sql.is_empty(), "{refused:#?}");
    for statements in &sql {
        world.execute(statements);
    }
    let done = world.run(&["migrate"]);
    assert_eq!(done.code, Some(0), "{damage}: {sql:#?} {done:#?}");
    world.run(&["sync", "all"]).expect_exit(0);
    let verified = world.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{damage}: {verified:#?}");
    examine(&world, 0);
}

/// The catalog without the differences of a restored table: positions of columns, and traces of dropped ones.
fn comparable(world: &World) -> Vec<String> {
    let text = world.catalog();
    let lines = text.lines().filter(|line| !line.contains("pg.dropped"));
    let mut facts: Vec<String> = lines.map(|line| line.replace(|c: char| c.is_ascii_digit(), "")).collect();
    facts.sort_unstable();
    facts
}

#[test]
fn dropped_tables_are_restored_and_filled() {
    for table in ["customers", "appointments", "orders", "sync_state", "sync_locks", "sync_errors", "sync_missing"] {
        restored(&format!("drop table {table} cascade"), table, false);
    }
    for table in ["sync_logs", "sync_unlinked", "sync_held"] {
        restored(&format!("drop table {table}"), table, false);
    }
}

#[test]
fn dropped_columns_are_restored_and_filled() {
    for (table, column) in [
        ("customers", "id"),
        ("customers", "wix_contact_id"),
        ("customers", "email"),
        ("customers", "notes"),
        ("customers", "content_hash"),
        ("customers", "deleted_at"),
        ("appointments", "customer_id"),
        ("appointments", "wix_booking_id"),
        ("appointments", "start_time"),
        ("orders", "raw"),
        ("orders", "wix_created_at"),
        ("orders", "updated_at"),
        ("sync_logs", "status"),
        ("sync_logs", "results"),
        ("sync_state", "watermark"),
        ("sync_state", "wix_site_id"),
        ("sync_locks", "token"),
        ("sync_errors", "reason"),
    ] {
        restored(&format!("alter table {table} drop column {column} cascade"), &format!("{table}.{column}"), false);
    }
}

#[test]
fn dropped_constraints_indexes_and_defaults_are_restored() {
    restored("alter table customers drop constraint customers_wix_contact_id_key", "wix_contact_id", false);
    restored("alter table orders drop constraint orders_pkey", "orders", false);
    restored("alter table sync_state drop constraint sync_state_pkey", "sync_state", false);
    restored("alter table sync_locks drop constraint sync_locks_token_is_a_key", "name, token", false);
    restored("alter table orders drop constraint orders_customer_id_fkey", "orders.customer_id", true);
    restored("drop index customers_email_folded_idx", "customers_email_folded_idx", true);
    restored("alter table sync_errors alter id drop default", "sync_errors.id", false);
}

#[test]
fn dropped_view_is_restored() {
    restored("drop view sync_health", "sync_health", true);
}

#[test]
fn dropped_migrations_table_is_restored() {
    for damage in
        ["drop table sync_migrations", "truncate sync_migrations", "alter table sync_migrations drop column checksum"]
    {
        restored(damage, "sync_migrations", false);
    }
}

#[test]
fn everything_dropped_is_restored_as_migrated() {
    let world = World::empty().migrated();
    let whole = comparable(&world);
    let comments = "select string_agg(objoid::regclass || ' ' || objsubid || ' ' || description, E'\\n' order by 1)
        from (select * from pg_description d where classoid = 'pg_class'::regclass and objoid >= 16384) d";
    let said = world.value::<String>(comments).lines().count();
    let logs: i64 = world.value("select count(*) from sync_migrations");
    world.execute(
        "drop view sync_health;
         drop table appointments, orders, customers, sync_logs, sync_state, sync_errors, sync_locks, sync_missing,
            sync_unlinked, sync_held, sync_unreadable",
    );
    world.run(&["migrate"]).expect_exit(0);
    assert_eq!(comparable(&world), whole);
    assert_eq!(world.value::<String>(comments).lines().count(), said, "the comments are there too");
    assert_eq!(world.value::<i64>("select count(*) from sync_migrations"), logs);
}

#[test]
fn renamed_tables_are_restored_and_the_old_ones_named() {
    let world = synced();
    world.execute("update customers set notes = 'mine'; alter table customers rename to customers_old");
    examine(&world, 5).expect("schema", "problem", "table customers is missing");
    let done = world.run(&["migrate"]).expect_exit(1).expect_stderr("customers_old has its columns");
    assert!(done.stdout.contains("Restored table customers.\n"), "{done:#?}");
    world.run(&["sync", "all"]).expect_exit(0);
    world.run(&["verify"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from customers_old where notes = 'mine'"), 21);
    // The SQL restores the old one.
    for statements in sql_in(&done.stderr) {
        world.execute(&statements);
    }
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    world.run(&["verify"]).expect_exit(0);
    assert!(world.value::<i64>("select count(*) from customers where notes = 'mine'") >= 20);
}

#[test]
fn values_that_are_no_longer_unique_are_counted() {
    named_with_sql(
        "alter table orders drop constraint orders_wix_order_id_key;
         insert into orders (wix_order_id, raw) select wix_order_id, raw from orders limit 3",
        "unique constraint on wix_order_id",
        &[2],
    );
}

#[test]
fn changed_types_are_named_with_the_sql() {
    let unusable: &[i32] = &[2];
    for (table, column, data_type, sync) in [
        ("customers", "wix_updated_at", "timestamp", unusable),
        ("appointments", "start_time", "timestamp(3)", unusable),
        ("appointments", "start_time", "timestamptz(0)", &[0]),
        ("orders", "total_amount", "numeric(10,1)", &[0]),
        ("orders", "total_amount", "float8", unusable),
        ("customers", "email", "varchar(255)", &[0]),
        ("customers", "name", "jsonb using to_jsonb(name)", unusable),
        ("orders", "items", "text", unusable),
        ("orders", "items", "json", &[0]),
        ("orders", "customer_id", "text", unusable),
        ("orders", "id", "text", unusable),
        ("sync_logs", "id", "text", unusable),
        ("sync_logs", "results", "text", unusable),
        ("sync_logs", "synced_count", "text", unusable),
        ("sync_logs", "started_at", "timestamp", unusable),
        ("sync_errors", "tries", "text", unusable),
        ("sync_state", "checkpoint", "text", unusable),
    ] {
        let damage = format!(
            "alter table orders drop constraint orders_customer_id_fkey;
             alter table {table} alter {column} drop default; alter table {table} alter {column} type {data_type}"
        );
        named_with_sql(&damage, &format!("{table}.{column} has the type"), sync);
    }
}

#[test]
fn changed_types_under_the_view_are_named_with_the_sql() {
    for (table, column, data_type) in
        [("customers", "deleted_at", "timestamp"), ("sync_state", "last_success_at", "timestamp")]
    {
        let world = synced();
        let view: String = world.value("select pg_get_viewdef('sync_health')");
        world.execute(&format!(
            "drop view sync_health; drop index customers_email_folded_idx, customers_wix_created_at_idx;
             alter table {table} alter {column} type {data_type}; create view sync_health as {view}"
        ));
        for arguments in [["status"].as_slice(), &["doctor"], &["sync", "all"], &["verify"], &["errors"]] {
            let finished = world.run(arguments);
            assert!(matches!(finished.code, Some(0..=5)), "{finished:#?}");
        }
        let refused = world.run(&["migrate"]).expect_exit(1).expect_stderr(&format!("{table}.{column} has the type"));
        for statements in sql_in(&refused.stderr).iter().filter(|sql| sql.contains("alter column")) {
            world.execute(statements);
        }
        world.run(&["migrate"]).expect_exit(0);
        world.run(&["sync", "all"]).expect_exit(0);
        world.run(&["verify"]).expect_exit(0);
        examine(&world, 0);
    }
}

#[test]
fn enum_instead_of_text_is_named_with_the_sql() {
    named_with_sql(
        "create type state as enum ('APPROVED', 'CANCELED', 'PENDING', 'REJECTED', 'INITIALIZED');
         alter table orders alter status type state using status::state",
        "orders.status has the type",
        &[2],
    );
}

#[test]
fn ids_of_another_type_with_their_links_are_named_with_the_sql() {
    named_with_sql(
        "alter table orders drop constraint orders_customer_id_fkey;
         alter table appointments drop constraint appointments_customer_id_fkey;
         alter table customers alter id type text; alter table orders alter customer_id type text;
         alter table appointments alter customer_id type text;
         alter table orders add foreign key (customer_id) references customers (id);
         alter table appointments add foreign key (customer_id) references customers (id)",
        "customers.id has the type",
        &[2],
    );
}

#[test]
fn generated_columns_are_named_with_the_sql() {
    named_with_sql(
        "alter table customers drop column name;
         alter table customers add column name text generated always as (first_name || ' ' || last_name) stored",
        "customers.name is generated",
        &[2],
    );
}

#[test]
fn objects_that_refuse_rows_are_named_with_the_sql() {
    for (damage, named, sync) in [
        (
            "alter table customers add column branch text; update customers set branch = ''; alter table customers alter branch set not null",
            "customers.branch",
            &[0, 3][..],
        ),
        (
            "alter table customers alter notes set default ''; update customers set notes = ''; alter table customers alter notes set not null, alter notes drop default",
            "customers.notes",
            &[0, 3],
        ),
        (
            "delete from orders where shipping is null; alter table orders alter shipping set not null",
            "orders.shipping",
            &[0, 3],
        ),
        (
            "alter table orders add check (status in ('APPROVED')) not valid",
            "orders_status_check on orders refuses status CANCELED",
            &[0, 3],
        ),
        (
            "alter table sync_logs add check (sync_type in ('customers', 'orders')) not valid",
            "refuses sync_type appointments",
            &[1],
        ),
        ("create rule keep as on update to orders do instead nothing", "rule keep on orders", &[2]),
        ("create rule log as on insert to customers do also select 1", "rule log on customers", &[2]),
    ] {
        let world = synced();
        world.execute(damage);
        examine(&world, 5).expect("schema", "problem", named);
        let said = world.run(&["sync", "all", "--full"]);
        assert!(said.code.is_some_and(|code| sync.contains(&code)), "{damage}: {said:#?}");
        let refused = world.run(&["migrate"]).expect_exit(1).expect_stderr(named);
        for statements in sql_in(&refused.stderr) {
            world.execute(&statements);
        }
        world.run(&["migrate"]).expect_exit(0);
        world.run(&["sync", "all", "--full"]).expect_exit(0);
        world.run(&["verify"]).expect_exit(0);
        examine(&world, 0);
    }
}

#[test]
fn harmless_changes_are_not_named() {
    let world = synced();
    world.execute(
        "alter table customers add column branch text, add column kind text not null default 'x';
         alter table customers alter email type varchar; alter table sync_logs alter synced_count type bigint;
         alter table customers add check (char_length(name) > 0), add check (branch is distinct from 'none');
         create index on orders (status); create unique index on orders (id, status);
         create function seen() returns trigger language plpgsql as 'begin return new; end';
         create trigger seen before insert or update on customers for each row execute function seen();
         drop index orders_email_folded_idx; create index mine on orders (lower(btrim(email) collate \"C\"))",
    );
    examine(&world, 0);
    assert_eq!(world.run(&["migrate"]).expect_exit(0).stdout, "Schema public is up to date.\n");
    world.run(&["sync", "all", "--full"]).expect_exit(0);
}

#[test]
fn rows_are_not_rewritten_because_a_type_rounds() {
    let world = synced();
    world.execute(
        "alter table orders alter total_amount type numeric(10,1); alter table appointments alter start_time type timestamptz(0)",
    );
    for _ in 0..2 {
        let result = world.full_sync_json(&["all"], 0);
        for table in ["customers", "appointments", "orders"] {
            assert_eq!(result["results"][table]["updated"], 0, "{table}");
        }
    }
}

#[test]
fn restored_tables_are_closed_to_the_public_roles() {
    let world = World::empty();
    world.execute(
        "create role anon; create role authenticated; create role service_role;
         alter default privileges grant all on tables to anon, authenticated",
    );
    let world = world.migrated();
    let whole = comparable(&world);
    world.execute("drop table orders, sync_errors cascade; create view sync_health as select 1 as one");
    world.run(&["migrate"]).expect_exit(1);
    world.execute("drop view sync_health");
    world.run(&["migrate"]).expect_exit(0);
    assert_eq!(comparable(&world), whole);
}

#[test]
fn adopted_schema_passes_the_comparison() {
    for tables in [TABLES, STRICTER_TABLES] {
        let mut world = inherited(tables).migrated();
        world.set("WIX_RATE_LIMIT", "200");
        examine(&world, 0).expect("schema", "ok", "as wix-sync needs them");
        assert_eq!(world.run(&["migrate"]).expect_exit(0).stdout, "Schema public is up to date.\n");
    }
}

#[test]
fn manual_links_stay_when_links_are_restored() {
    let world = synced();
    world.execute(
        "insert into customers (name) values ('By hand');
         insert into orders (customer_id) select id from customers where name = 'By hand';
         alter table customers drop column id cascade;
         insert into orders (customer_id) values ('00000000-0000-4000-8000-000000000001')",
    );
    world.run(&["migrate"]).expect_exit(0);
    assert_eq!(
        world.value::<i64>("select count(*) from orders where wix_order_id is null and customer_id is not null"),
        2
    );
    world.run(&["sync", "all"]).expect_exit(0);
    world.run(&["verify"]).expect_exit(0);
}
