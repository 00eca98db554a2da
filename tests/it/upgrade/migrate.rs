//! `migrate` on new databases: the schema it creates, repeated and concurrent runs, required rights, and failures.
//! Existing tables: adoption.rs. Supabase: supabase.rs.

use std::collections::BTreeSet;

use crate::support::harness::{Finished, World};

/// The columns that three tables share.
const SHARED: &str = "id uuid!, raw jsonb, content_hash bytea, wix_created_at timestamptz, wix_updated_at timestamptz,
    wix_revision int8, deleted_at timestamptz, created_at timestamptz!, updated_at timestamptz!";

/// The columns of the contract by table; `!` is NOT NULL.
const TABLES: [(&str, bool, &str); 4] = [
    (
        "customers",
        true,
        "wix_contact_id text, name text, first_name text, last_name text, email text, phone text, company text,
         job_title text, birthdate date, locale text, labels _text, notes text, merged_into text",
    ),
    (
        "appointments",
        true,
        "wix_booking_id text, customer_id uuid, wix_contact_id text, service_id text, service_name text,
         staff_member text, start_time timestamptz, end_time timestamptz, timezone text, location text,
         participants int4, status text, payment_status text, notes text",
    ),
    (
        "orders",
        true,
        "wix_order_id text, customer_id uuid, wix_contact_id text, order_number text, email text,
         order_date timestamptz, status text, payment_status text, fulfillment_status text, currency text,
         subtotal numeric, shipping numeric, tax numeric, discount numeric, total_amount numeric, items jsonb",
    ),
    (
        "sync_logs",
        false,
        "id uuid!, sync_type text!, status text!, user_id uuid, started_at timestamptz!, completed_at timestamptz,
         synced_count int4!, error_count int4!, results jsonb, error text, created_at timestamptz!,
         exit_code int4",
    ),
];

fn columns_of(world: &World, schema: &str, table: &str) -> BTreeSet<String> {
    let rows = world.query(&format!(
        "select a.attname || ' ' || t.typname || case when a.attnotnull then '!' else '' end
         from pg_attribute a join pg_type t on t.oid = a.atttypid
         where a.attrelid = '\"{schema}\".{table}'::regclass and a.attnum > 0 and not a.attisdropped and a.atttypmod = -1"
    ));
    rows.iter().map(|row| row.get(0)).collect()
}

fn names(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(|column| column.trim().to_owned())
}

/// The database content that a second `migrate` must not change.
fn all(world: &World) -> (String, Vec<serde_json::Value>) {
    (world.catalog(), world.rows_as_json("select * from sync_migrations order by number"))
}

#[test]
fn fresh_database_gets_the_documented_tables() {
    let world = World::empty().migrated();
    for (table, has_shared, own) in TABLES {
        let mut wanted: BTreeSet<String> = names(own).collect();
        if has_shared {
            wanted.extend(names(SHARED));
        }
        assert_eq!(columns_of(&world, "public", table), wanted, "{table}");
    }
    for (table, wix_id) in
        [("customers", "wix_contact_id"), ("appointments", "wix_booking_id"), ("orders", "wix_order_id")]
    {
        let duplicate = format!("insert into {table} ({wix_id}) values ('one'), ('one')");
        let error = world.client().batch_execute(&duplicate).expect_err("Wix ids are unique");
        assert_eq!(error.code(), Some(&postgres::error::SqlState::UNIQUE_VIOLATION));
    }
    for (table, columns) in [
        ("sync_state", ["table_name", "watermark", "last_full_pass_at"].as_slice()),
        (
            "sync_errors",
            &["table_name", "wix_id", "run_id", "reason", "record", "tries", "first_failed_at", "resolved_at"],
        ),
    ] {
        let has = columns_of(&world, "public", table);
        for column in columns {
            assert!(has.iter().any(|found| found.starts_with(&format!("{column} "))), "{table}.{column}: {has:?}");
        }
    }
    let error = world
        .client()
        .batch_execute("insert into sync_logs (sync_type, status) values ('all', 'done')")
        .expect_err("a status is one of three");
    assert_eq!(error.code(), Some(&postgres::error::SqlState::CHECK_VIOLATION));
}

#[test]
fn second_migrate_changes_nothing() {
    let world = World::empty().migrated();
    let before = all(&world);
    let again = world.run(&["migrate"]).expect_exit(0);
    assert_eq!(again.stdout, "Schema public is up to date.\n");
    assert_eq!(all(&world), before);
}

/// Starts this many at once, and returns the output of each.
pub(crate) fn at_once(world: &World, count: usize, arguments: &[&str]) -> Vec<Finished> {
    let children: Vec<_> = (0..count)
        .map(|_| {
            let mut command = world.command(arguments);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().expect("the binary starts")
        })
        .collect();
    let outputs = children.into_iter().map(|child| child.wait_with_output().expect("the binary ends"));
    outputs.map(|output| Finished::of(arguments, output).expect_exit(0)).collect()
}

#[track_caller]
pub(crate) fn done_by_one(finished: &[Finished]) {
    let workers = finished.iter().filter(|one| one.stdout.contains("migrations applied")).count();
    assert_eq!(workers, 1, "{finished:#?}");
}

#[test]
fn concurrent_migrates_apply_each_migration_once() {
    for count in [2, 8] {
        let world = World::empty();
        done_by_one(&at_once(&world, count, &["migrate"]));
        done_by_one(&at_once(&world, count, &["migrate", "--schema", "shop"]));
        assert_eq!(world.value::<i64>("select count(*) - count(distinct number) from sync_migrations"), 0);
    }
}

#[test]
fn concurrent_migrates_work_with_repeatable_read() {
    let world = World::empty();
    world.execute("alter database postgres set default_transaction_isolation = 'repeatable read'");
    done_by_one(&at_once(&world, 4, &["migrate"]));
}

#[test]
fn schema_is_named_by_flag_or_variable_and_created() {
    let mut world = World::empty();
    world.run(&["migrate", "--schema", "Kunden-1"]).expect_exit(0);
    world.set("WIX_SYNC_SCHEMA", "from_variable");
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["migrate", "--schema", "flag_wins"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    let rows = world.query("select schemaname::text from pg_tables where tablename = 'orders' order by 1");
    let schemas: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(schemas, ["Kunden-1", "flag_wins", "from_variable"]);
    assert_eq!(world.value::<i64>("select count(*) from from_variable.sync_logs where status = 'completed'"), 1);
    assert_eq!(world.value::<i64>("select count(*) from flag_wins.sync_logs"), 0);
}

#[test]
fn valid_schema_names_work_and_others_are_refused() {
    let world = World::empty();
    for name in ["über", "a-b", "1st", "UPPER"] {
        world.run(&["migrate", "--schema", name]).expect_exit(0);
    }
    let before = world.catalog();
    for name in ["a\"b", "a b", "a;b", "a.b", "a'b", "$", "a$$b", &"x".repeat(64)] {
        world.run(&["migrate", "--schema", name]).expect_exit(2).expect_stderr("--schema");
        world.run(&["status", "--schema", name]).expect_exit(2).expect_stderr("WIX_SYNC_SCHEMA");
    }
    assert_eq!(world.catalog(), before);
}

#[test]
fn schemas_that_belong_to_postgres_are_refused() {
    let world = World::empty();
    for name in ["information_schema", "pg_catalog", "pg_mine", "pg_toast"] {
        world.run(&["migrate", "--schema", name]).expect_exit(2).expect_stderr("--schema");
    }
    assert_eq!(world.value::<i64>("select count(*) from pg_class where relname = 'sync_logs'"), 0);
}

#[test]
fn two_sites_need_two_schemas() {
    let first = World::new(3, 2, 2);
    let mut second = World::new(5, 1, 1);
    let site = "0f000000-0000-4000-8000-000000000002";
    let url = first.postgres.url("postgres");
    second.set("DATABASE_URL", &url);
    first.run(&["migrate", "--schema", "one"]).expect_exit(0);
    first.run(&["migrate", "--schema", "two"]).expect_exit(0);
    first.run(&["sync", "all", "--schema", "one"]).expect_exit(0);
    second.run(&["sync", "all", "--schema", "two"]).expect_exit(0);
    assert_eq!(first.value::<i64>("select count(*) from one.customers where raw is not null"), 3);
    assert_eq!(first.value::<i64>("select count(*) from two.customers where raw is not null"), 5);

    let own = first.sim.credentials().site_id.clone();
    let content = || {
        ["customers", "appointments", "orders", "sync_logs", "sync_state"]
            .map(|table| first.rows_as_json(&format!("select * from one.{table} order by 1")))
    };
    let before = content();
    second.set("WIX_SITE_ID", site);
    second.sim.clear_requests();
    let refused = second.run(&["sync", "all", "--schema", "one"]).expect_exit(2);
    assert!(refused.stderr.contains(&own) && refused.stderr.contains(site), "{refused:#?}");
    assert_eq!(second.sim.requests().len(), 0, "nothing was asked of Wix");
    assert_eq!(content(), before);
}

#[test]
fn first_schema_of_the_search_path_is_used() {
    let mut world = World::empty();
    world.execute("create schema app; create role app_user login; alter schema app owner to app_user");
    world.execute("alter role app_user set search_path = missing, app, public");
    let as_user = world.postgres.url_as("app_user", "postgres");
    world.set("DATABASE_URL", &as_user);
    let done = world.run(&["migrate"]).expect_exit(0);
    assert!(done.stdout.starts_with("Schema app is up to date now"), "{done:#?}");
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
    assert_eq!(world.value::<i64>("select count(*) from app.sync_logs where status = 'completed'"), 1);

    world.execute("alter role app_user set search_path = missing");
    for arguments in [["migrate"].as_slice(), &["status"], &["sync", "all"]] {
        world.run(arguments).expect_exit(2).expect_stderr("search path");
    }
}
