//! Access of Supabase's public roles to the tables and to views that read them: what `doctor` reports, and what blocks
//! an adoption. Also who can create objects in the schemas of the search path.

use crate::commands::doctor::{examine, healthy};
use crate::postgres::supabase::{ALL_GUARDED, inherited_project, stops_unless_told_to_keep};
use crate::support::harness::World;
use crate::upgrade::adoption::TABLES;

const ROLES: &str = "create role anon nologin; create role authenticated nologin;
    grant usage on schema public to anon, authenticated";

const CLOSED: &str = "neither anon nor authenticated can read or change the tables";

fn with_roles() -> World {
    let world = healthy();
    world.execute(ROLES);
    world
}

#[test]
fn doctor_names_every_privilege_that_no_policy_limits() {
    let world = with_roles();
    for table in ["customers", "sync_state", "sync_migrations"] {
        for privilege in ["truncate", "references", "trigger"] {
            let upper = privilege.to_uppercase();
            for role in ["anon", "authenticated", "public"] {
                world.execute(&format!("grant {privilege} on {table} to {role}"));
                let found = examine(&world, 5);
                let shown = if role == "public" { "anon" } else { role };
                found.expect(
                    "public access",
                    "problem",
                    &format!("public.{table}: {shown} has {upper} on it (row level"),
                );
                found.expect("public access", "problem", &format!("granted: {upper} to "));
                world.execute(&format!("revoke {privilege} on {table} from {role}"));
            }
        }
    }
    examine(&world, 0).expect("public access", "ok", CLOSED);
}

#[test]
fn doctor_names_grants_that_policies_or_missing_row_security_open() {
    let world = with_roles();
    world.execute("grant select, insert, update, delete on orders to anon, authenticated");
    // Row level security is enabled, without a policy.
    examine(&world, 0).expect("public access", "ok", CLOSED);
    for (command, condition, privilege) in [
        ("insert", "with check (true)", "has INSERT on it (policies open"),
        ("update", "using (true)", "has UPDATE on it (policies open"),
        ("delete", "using (true)", "has DELETE on it (policies open"),
        ("select", "using (true)", "can read it (policies open"),
        ("all", "using (true)", "can read it and has INSERT, UPDATE, DELETE (policies open"),
    ] {
        world.execute(&format!("create policy open on orders for {command} to authenticated {condition}"));
        let found = examine(&world, 0);
        found.expect("public access", "warning", &format!("public.orders: authenticated {privilege}"));
        assert_eq!(found.of("public access").len(), 1, "{command}: anon has no policy");
        world.execute(&format!("drop policy open on orders; create policy open on orders for {command} {condition}"));
        examine(&world, 5).expect("public access", "problem", &format!("public.orders: anon {privilege}"));
        world.execute("drop policy open on orders");
    }
    // A restrictive policy alone opens nothing; a grant on columns does.
    world.execute(
        "create policy narrow on orders as restrictive for insert with check (true);
         alter table customers disable row level security; grant update (email), insert (email) on customers to anon",
    );
    let found = examine(&world, 5);
    found.expect(
        "public access",
        "problem",
        "public.customers: anon has INSERT, UPDATE on it (row level security is off",
    );
    found.expect("public access", "problem", "INSERT (email) to anon, UPDATE (email) to anon");
    assert_eq!(found.of("public access").len(), 1);
}

#[test]
fn doctor_finds_views_over_the_tables_in_any_schema() {
    let world = with_roles();
    let version: i32 = world.value("select current_setting('server_version_num')::integer");
    world.execute(
        "create schema reports; create view reports.paid as select * from orders where payment_status = 'PAID';
         create view reports.nested as select order_number from reports.paid;
         create materialized view reports.kept as select email from customers;
         create view reports.of_kept as select count(*) from reports.kept;
         create view reports.state as select * from sync_state;
         create role stranger nologin; grant usage, create on schema reports, public to stranger;
         set role stranger; create view reports.empty as select * from orders; grant select on reports.empty to anon",
    );
    // There are no grants on them, and the foreign view shows nothing: its owner cannot read the table.
    examine(&world, 0).expect("public access", "ok", CLOSED);
    world.execute("grant usage on schema reports to anon, authenticated");
    examine(&world, 0).expect("public access", "ok", CLOSED);
    for (view, grant, mark, said) in [
        ("paid", "insert", "problem", "a view of the tables: anon has INSERT on it"),
        ("paid", "delete", "problem", "a view of the tables: anon has DELETE on it"),
        ("paid", "all", "problem", "a view of the tables: anon can read it and has INSERT, UPDATE, DELETE"),
        ("nested", "update (order_number)", "problem", "a view of the tables: anon has UPDATE on it"),
        ("kept", "all", "problem", "a materialized view of the tables: anon can read it ("),
        ("kept", "select", "warning", "a materialized view of the tables: anon can read it ("),
        ("of_kept", "select", "warning", "a view of the tables: anon can read it ("),
        ("of_kept", "all", "problem", "a view of the tables: anon can read it ("),
        ("state", "select", "warning", "a view of the tables: anon can read it ("),
    ] {
        world.execute(&format!("grant {grant} on reports.{view} to anon"));
        let found = examine(&world, if mark == "problem" { 5 } else { 0 });
        found.expect("public access", mark, &format!("reports.{view}, {said}"));
        assert_eq!(found.of("public access").len(), 1, "{view}: {grant}");
        world.execute(&format!("revoke {grant} on reports.{view} from anon"));
    }
    world.execute("grant select on reports.paid to authenticated");
    examine(&world, 0).expect(
        "public access",
        "warning",
        "reports.paid, a view of the tables: authenticated can read it",
    );
    if version >= 150_000 {
        // It reads with the caller's rights; a view that reads it uses the rights of its own owner.
        world.execute("alter view reports.paid set (security_invoker = on); grant all on reports.paid to anon");
        examine(&world, 0).expect("public access", "ok", CLOSED);
        world.execute("grant select on reports.nested to anon");
        examine(&world, 0).expect("public access", "warning", "reports.nested, a view of the tables: anon can read it");
    }
}

#[test]
fn policy_for_writing_stops_migrate() {
    for (command, condition) in
        [("insert", "with check (true)"), ("update", "using (true)"), ("delete", "using (true)")]
    {
        let world = inherited_project();
        world.execute(ALL_GUARDED);
        world.execute("revoke truncate, references, trigger on customers, appointments, orders, sync_logs from anon, authenticated");
        world.execute(&format!("create policy writers on orders for {command} to authenticated {condition}"));
        let said = format!("public.orders: authenticated has {} on it (policies writers", command.to_uppercase());
        stops_unless_told_to_keep(&world, &[&said]);
    }
}

#[test]
fn privileges_that_row_security_does_not_cover_stop_migrate() {
    for privilege in ["truncate", "references", "trigger"] {
        let world = inherited_project();
        world.execute(ALL_GUARDED);
        world.execute("revoke all on customers, appointments, orders, sync_logs from anon, authenticated");
        world.execute(&format!("grant {privilege} on sync_logs to authenticated"));
        let upper = privilege.to_uppercase();
        let said = format!("public.sync_logs: authenticated has {upper} on it (row level security does not cover");
        stops_unless_told_to_keep(&world, &[&said]);
    }
}

#[test]
fn view_over_a_table_stops_migrate() {
    for (view, said) in [
        (
            "create view names as select name from customers",
            "public.names, a view of the tables: anon can read it and has",
        ),
        (
            "create view counted as select count(*) from orders",
            "public.counted, a view of the tables: anon can read it",
        ),
        (
            "create materialized view kept as select count(*) from orders",
            "public.kept, a materialized view of the tables: authenticated",
        ),
    ] {
        let world = inherited_project();
        world.execute(ALL_GUARDED);
        world.execute("revoke all on customers, appointments, orders, sync_logs from anon, authenticated");
        world.execute(view);
        stops_unless_told_to_keep(&world, &[said]);
    }
}

#[test]
fn columns_of_an_extensions_type_are_adopted() {
    let world = World::empty();
    // Named like the extension's type, and outside pg_catalog like it.
    world.execute("create domain citext as text");
    world.execute(&TABLES.replace("email text", "email citext").replace("email varchar", "email citext"));
    world.execute("alter table customers alter email type citext");
    world.run(&["migrate"]).expect_exit(0);
    let now = "select format_type(atttypid, null) from pg_attribute where attrelid = 'customers'::regclass and attname = 'email'";
    assert_eq!(world.value::<String>(now), "text");
}

#[test]
fn doctor_warns_of_create_on_a_schema_that_is_searched() {
    let mut world = healthy();
    let nobody = "nobody else may create";
    examine(&world, 0).expect("search path", "ok", nobody);
    world.execute("grant create on schema public to public");
    let found = examine(&world, 0);
    found.expect("search path", "warning", "public may create objects in schema public");
    assert_eq!(found.of("search path")[0]["hint"], "revoke create on schema public from public");
    world.set("WIX_SYNC_SCHEMA", "public");
    examine(&world, 0).expect("search path", "warning", "public may create objects in schema public");
    world.execute("revoke create on schema public from public");
    examine(&world, 0).expect("search path", "ok", nobody);

    // A separate role: only schemas of its search path count, and only roles that cannot act as it.
    world.execute(
        "create role app login; create role colleague nologin; grant app to colleague; create role stranger nologin;
         create role \"Owner\" nologin; create schema \"Own\" authorization \"Owner\"; grant usage on schema \"Own\" to app;
         grant select, insert, update, delete on all tables in schema public to app; alter role app bypassrls;
         grant create on schema public, \"Own\" to app, colleague; grant create on schema \"Own\" to stranger",
    );
    let url = world.postgres.url_as("app", "postgres");
    world.set("DATABASE_URL", &url);
    examine(&world, 0).expect("search path", "ok", nobody);
    world.execute("alter role app set search_path = \"Own\", public, nowhere");
    let found = examine(&world, 0);
    found.expect("search path", "warning", "stranger may create objects in schema \"Own\"");
    assert_eq!(found.of("search path").len(), 1);
    assert_eq!(found.of("search path")[0]["hint"], "revoke create on schema \"Own\" from stranger");
}
