//! Tables with AsyncSyncAgent's names that `migrate` cannot adopt: it says why, and changes nothing.

use crate::support::harness::World;
use crate::upgrade::adoption::{STRICTER_TABLES, TABLES, inherited};

/// The whole content: the catalog's facts, and the rows of AsyncSyncAgent's tables.
fn everything(world: &World) -> (String, Vec<String>) {
    let tables = world.query(
        "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') order by 1",
    );
    let rows = tables.iter().map(|table| {
        let table: String = table.get(0);
        world.value(&format!("select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from {table} t"))
    });
    (world.catalog(), rows.collect())
}

/// `migrate` stops with exit code 2, prints all of `parts`, and leaves everything unchanged.
#[track_caller]
fn refuses(world: &World, parts: &[&str]) {
    let before = everything(world);
    let refused = world.run(&["migrate"]).expect_exit(2);
    assert!(refused.stdout.is_empty(), "{refused:#?}");
    for part in parts {
        assert!(refused.stderr.contains(part), "`{part}` is not in {refused:#?}");
    }
    assert_eq!(everything(world), before);
}

#[test]
fn view_over_an_amount_is_named_with_a_hint() {
    let world = inherited(TABLES);
    world.execute(
        "create view turnover as select sum(total_amount) from orders;
         create schema reports; create materialized view reports.by_day as select order_date, total_amount from orders",
    );
    refuses(
        &world,
        &["orders.total_amount", "turnover", "reports.by_day", "pg_get_viewdef", "drop", "nothing was changed"],
    );
    // The hint's fix works.
    world.execute("drop view turnover; drop materialized view reports.by_day");
    world.run(&["migrate"]).expect_exit(0);
    world.execute("create view turnover as select sum(total_amount) from orders");
    world.run(&["migrate"]).expect_exit(0);
}

#[test]
fn all_views_that_block_adoption_are_named_at_once() {
    let world = inherited(STRICTER_TABLES);
    world.execute(
        "create view names as select name from customers; create view amounts as select total_amount from orders;
         create view diary as select start_time from appointments; create view counted as select count(id) from orders",
    );
    refuses(&world, &["names", "amounts", "diary"]);
    world.execute("drop view names, amounts, diary");
    world.run(&["migrate"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select * from counted"), 3, "a view that is in nobody's way stays");
}

#[test]
fn table_of_another_kind_is_left_alone() {
    let world = World::empty();
    world.execute("create table customers (id uuid primary key, company text); insert into customers values (gen_random_uuid(), 'x')");
    refuses(&world, &["public.customers", "wix_contact_id", "--schema"]);
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
}

#[test]
fn view_with_a_tables_name_is_left_alone() {
    let world = World::empty();
    world.execute("create view orders as select null::uuid as id, '1'::text as wix_order_id");
    refuses(&world, &["public.orders", "not a table", "--schema"]);
}

#[test]
fn id_of_another_type_is_left_alone() {
    let world = World::empty();
    world.execute("create table appointments (id bigserial primary key, wix_booking_id text unique)");
    refuses(&world, &["public.appointments", "bigint", "uuid"]);
}

#[test]
fn column_that_cannot_be_converted_is_left_alone() {
    let world = inherited(TABLES);
    world.execute("alter table orders alter items type bytea using ''");
    refuses(&world, &["orders.items", "bytea", "jsonb"]);
}

#[test]
fn forced_row_level_security_is_named_with_a_hint() {
    let world = inherited(TABLES);
    world.execute("alter table customers enable row level security, force row level security");
    refuses(&world, &["public.customers", "FORCE ROW LEVEL SECURITY", "no force row level security"]);
    world.execute("alter table customers no force row level security");
    world.run(&["migrate"]).expect_exit(0);
}

#[test]
fn table_of_another_owner_is_left_alone() {
    let mut world = inherited(TABLES);
    world.execute("create role plain login; grant all on schema public to plain; grant all on all tables in schema public to plain");
    let url = world.postgres.url_as("plain", "postgres");
    world.set("DATABASE_URL", &url);
    refuses(&world, &["belongs to another database user", "--schema"]);
}

#[test]
fn table_used_by_a_policy_or_trigger_is_refused() {
    for obstacle in [
        "create policy cheap on orders using (total_amount < 10)",
        "create function seen() returns trigger language plpgsql as 'begin return new; end';
         create trigger seen before update of total_amount on orders for each row execute function seen()",
    ] {
        let world = inherited(TABLES);
        world.execute(obstacle);
        let before = everything(&world);
        let refused = world.run(&["migrate"]);
        assert!(matches!(refused.code, Some(1 | 2)) && refused.stderr.contains("total_amount"), "{refused:#?}");
        assert_eq!(everything(&world), before);
    }
}

#[test]
fn duplicate_wix_ids_are_refused() {
    let world = inherited(TABLES);
    world.execute(
        "alter table customers drop constraint customers_wix_contact_id_key;
         insert into customers (wix_contact_id, name) select wix_contact_id, 'again' from customers where wix_contact_id is not null",
    );
    let before = everything(&world);
    let refused = world.run(&["migrate"]);
    assert!(matches!(refused.code, Some(1 | 2)) && refused.stderr.contains("wix_contact_id"), "{refused:#?}");
    assert!(!refused.stderr.contains("again"), "no row's content is shown: {refused:#?}");
    assert_eq!(everything(&world), before);
    world.execute("delete from customers where name = 'again'");
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
}

#[test]
fn user_columns_with_new_names_are_not_overwritten() {
    let world = inherited(TABLES);
    world.execute(
        "alter table customers add company text, add labels text[];
         alter table orders add currency text;
         -- This one moves with every change, whoever made it.
         alter table appointments add updated_at timestamptz default now();
         update customers set company = 'mine'; update orders set currency = 'EUR'",
    );
    refuses(&world, &["nothing was changed", "\n  public.customers.company\n", "public.orders.currency", "Rename"]);
    world.execute("alter table customers rename company to firm; alter table orders rename currency to money");
    // A column without values is treated like a new one.
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from customers where firm <> 'mine'"), 0);
    // The tables alone, without their dependent objects, are accepted.
    world.execute(
        "drop table sync_migrations, sync_state, sync_errors, sync_missing, sync_held, sync_unreadable, sync_unlinked, sync_locks cascade",
    );
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
}

#[test]
fn check_constraints_that_refuse_values_are_named() {
    for (table, condition, named) in [
        (
            "appointments",
            "status in ('pending', 'confirmed', 'planned')",
            "refuses records of which Wix sends nothing but",
        ),
        ("orders", "status in ('pending', 'fulfilled', 'APPROVED', 'CANCELED', 'PENDING')", "refuses status REJECTED"),
        ("orders", "items is not null", "refuses records of which Wix sends nothing but"),
        ("sync_logs", "sync_type <> 'appointments'", "refuses sync_type appointments"),
    ] {
        for tables in [TABLES, STRICTER_TABLES] {
            if tables == STRICTER_TABLES && table == "orders" && condition.contains("APPROVED") {
                // Its enum does not have these values.
                continue;
            }
            let world = inherited(tables);
            world.execute(&format!("alter table {table} add constraint \"Only ours\" check ({condition})"));
            let drop = format!("`alter table \"public\".{table} drop constraint \"Only ours\";`");
            refuses(&world, &["nothing was changed", named, &drop]);
            world.execute(drop.trim_matches('`'));
            world.run(&["migrate"]).expect_exit(0);
            world.run(&["sync", "all"]).expect_exit(0);
        }
    }
}

#[test]
fn columns_and_rules_that_refuse_rows_are_named() {
    for (damage, parts) in [
        (
            "alter table customers add column branch text not null default 'main';
             alter table customers alter column branch drop default",
            ["customers.branch is NOT NULL", "alter table \"public\".customers alter column \"branch\" drop not null;"],
        ),
        (
            "create rule keep as on update to orders do instead nothing",
            ["rule keep on orders", "drop rule \"keep\" on \"public\".orders;"],
        ),
        (
            "alter table customers drop column phone;
             alter table customers add column phone text generated always as (notes || '!') stored",
            ["customers.phone is generated", "alter column phone drop expression;"],
        ),
    ] {
        let world = inherited(TABLES);
        world.execute(damage);
        refuses(&world, &parts);
    }
}

#[test]
fn harmless_constraints_and_triggers_are_adopted() {
    for tables in [TABLES, STRICTER_TABLES] {
        let world = inherited(tables);
        world.execute(
            "alter table customers add check (char_length(notes) < 100);
             alter table orders add check (total_amount >= 0);
             alter table appointments add check (end_time >= start_time);
             alter table customers add column branch text not null default 'main';
             create function seen() returns trigger language plpgsql as 'begin return new; end';
             create trigger seen before insert or update on customers for each row execute function seen()",
        );
        world.run(&["migrate"]).expect_exit(0);
        world.run(&["sync", "all"]).expect_exit(0);
    }
}
