//! A database like a Supabase project: access to the tables that `migrate` creates and adopts, and `auth.users`.

use postgres::error::SqlState;

use crate::support::harness::World;
use crate::upgrade::adoption::{TABLES, inherited};

/// Settings of an older project: its default privileges open every new table to the internet.
const PROJECT: &str = "
    create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
    grant usage on schema public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
    create schema auth; create table auth.users (id uuid primary key)";

const OUR_TABLES: [&str; 7] =
    ["customers", "appointments", "orders", "sync_logs", "sync_state", "sync_errors", "sync_migrations"];

#[test]
fn view_is_closed_to_public_roles_and_open_to_the_service() {
    let world = project(World::new(5, 5, 5)).migrated();
    world.run(&["sync", "all"]).expect_exit(0);
    for role in ["anon", "authenticated"] {
        assert_eq!(reads(&world, role, "sync_health"), Err(SqlState::INSUFFICIENT_PRIVILEGE), "{role}");
    }
    assert_eq!(reads(&world, "service_role", "sync_health"), Ok(3));
    let granted = "select grantee::text || ' ' || privilege_type from information_schema.role_table_grants
        where table_name = 'sync_health' and grantee <> grantor";
    let granted: Vec<String> = world.query(granted).iter().map(|row| row.get(0)).collect();
    assert_eq!(granted, ["service_role SELECT"]);
}

fn project(world: World) -> World {
    world.execute(PROJECT);
    world
}

/// A project whose AsyncSyncAgent tables were created with its default privileges.
pub(crate) fn inherited_project() -> World {
    let world = World::new(5, 5, 5);
    world.execute(PROJECT);
    world.execute(TABLES);
    world.execute("insert into customers (wix_contact_id, name, email) values ('gone', 'Unknown', 'a@example.com')");
    world
}

/// The result of a statement as this role.
fn as_role(world: &World, role: &str, statement: &str) -> Result<(), SqlState> {
    let outcome = world.client().batch_execute(&format!("set role {role}; {statement}"));
    outcome.map_err(|error| error.code().cloned().expect("Postgres answers"))
}

/// Number of rows that the role reads.
fn reads(world: &World, role: &str, table: &str) -> Result<usize, SqlState> {
    let mut client = world.client();
    client.batch_execute(&format!("set role {role}")).expect("the role is there");
    let rows = client.query(&format!("select * from {table}"), &[]);
    rows.map(|rows| rows.len()).map_err(|error| error.code().cloned().expect("Postgres answers"))
}

#[test]
fn tables_are_closed_to_public_roles_and_open_to_the_service() {
    let world = project(World::new(5, 5, 5)).migrated();
    world.execute("create role passer_by nologin; grant usage on schema public to passer_by");
    world.run(&["sync", "all"]).expect_exit(0);
    let ours: Vec<String> = world
        .query("select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(OUR_TABLES.iter().all(|table| ours.iter().any(|found| found == table)), "{ours:?}");
    for table in &ours {
        let closed =
            format!("select relrowsecurity and not relforcerowsecurity from pg_class where oid = '{table}'::regclass");
        assert!(world.value::<bool>(&closed), "{table}");
        for role in ["anon", "authenticated", "passer_by"] {
            for statement in [
                format!("select 1 from {table}"),
                format!("insert into {table} default values"),
                format!("delete from {table}"),
                format!("truncate {table} cascade"),
                format!(
                    "create trigger t before insert on {table} for each row execute function suppress_redundant_updates_trigger()"
                ),
            ] {
                let outcome = as_role(&world, role, &statement);
                assert_eq!(outcome, Err(SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {statement}");
            }
        }
        let rows = reads(&world, "service_role", table).expect("the service reads");
        assert_eq!(rows as i64, world.value::<i64>(&format!("select count(*) from {table}")), "{table}");
        assert_eq!(
            as_role(&world, "service_role", &format!("delete from {table}")),
            Err(SqlState::INSUFFICIENT_PRIVILEGE)
        );
    }
    let update = as_role(&world, "anon", "update customers set name = 'x'");
    assert_eq!(update, Err(SqlState::INSUFFICIENT_PRIVILEGE));
    assert_eq!(world.value::<i64>("select count(*) from pg_policy"), 0);
    assert!(reads(&world, "service_role", "customers").expect("the service reads") >= 5);
}

#[test]
fn created_schema_is_open_to_the_service_only() {
    let world = project(World::new(2, 0, 0));
    world.run(&["migrate", "--schema", "wix"]).expect_exit(0);
    world.run(&["sync", "customers", "--schema", "wix"]).expect_exit(0);
    assert_eq!(reads(&world, "service_role", "wix.customers"), Ok(2));
    for role in ["anon", "authenticated"] {
        assert_eq!(reads(&world, role, "wix.customers"), Err(SqlState::INSUFFICIENT_PRIVILEGE));
    }
}

#[test]
fn user_id_references_the_projects_users() {
    let world = project(World::empty()).migrated();
    let user = "77777777-0000-4000-8000-000000000001";
    world.execute(&format!("insert into auth.users values ('{user}')"));
    let insert = |id: &str| {
        let sql = format!(
            "insert into sync_logs (sync_type, status, completed_at, user_id) values ('all', 'failed', now(), '{id}')"
        );
        world.client().batch_execute(&sql).map_err(|error| error.code().cloned())
    };
    assert_eq!(insert(user), Ok(()));
    let unknown = insert("77777777-0000-4000-8000-000000000002");
    assert_eq!(unknown, Err(Some(SqlState::FOREIGN_KEY_VIOLATION)));
    world.execute("delete from auth.users");
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where user_id is null"), 1);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs where user_id is not null"), 0);
}

#[test]
fn existing_user_id_gets_its_reference_once() {
    let world = inherited_project();
    world.execute("alter table sync_logs enable row level security");
    world.execute("alter table customers enable row level security; alter table orders enable row level security");
    world.execute("alter table appointments enable row level security");
    world.execute(UNCOVERED_REVOKED);
    world.execute("alter table sync_logs add constraint by_hand foreign key (user_id) references auth.users (id)");
    world.run(&["migrate"]).expect_exit(0);
    let references = "select count(*) from pg_constraint where conrelid = 'sync_logs'::regclass and contype = 'f'";
    assert_eq!(world.value::<i64>(references), 1);
}

#[test]
fn role_without_references_right_migrates_without_it() {
    for rights in [
        "",
        "grant usage on schema auth to plain",
        "grant usage on schema auth to plain; grant select on auth.users to plain",
    ] {
        let mut world = project(World::empty());
        world.execute(&format!("create role plain login; create schema shop authorization plain; {rights}"));
        let url = world.postgres.url_as("plain", "postgres");
        world.set("DATABASE_URL", &url);
        world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
        let references =
            "select count(*) from pg_constraint where conrelid = 'shop.sync_logs'::regclass and contype = 'f'";
        assert_eq!(world.value::<i64>(references), 0, "{rights}");
        world.run(&["sync", "all", "--schema", "shop"]).expect_exit(0);
    }
}

/// `migrate` stops before any change and prints all of `parts`; `--keep-policies` continues and leaves grants and
/// policies unchanged.
#[track_caller]
pub(crate) fn stops_unless_told_to_keep(world: &World, parts: &[&str]) {
    const RIGHTS: &str = "select coalesce(string_agg(fact, E'\\n' order by fact), '') from (
         select oid::regclass || ': ' || coalesce(relacl::text, '') || relrowsecurity as fact from pg_class
         where oid in (select c::regclass from unnest(array['customers', 'appointments', 'orders', 'sync_logs']) c)
         union all select polrelid::regclass || ' policy ' || polname || polroles::text from pg_policy
         union all select attrelid::regclass || '.' || attname || attacl::text from pg_attribute
            where attacl is not null and attrelid > 16384) f";
    let before = world.catalog();
    let refused = world.run(&["migrate"]).expect_exit(2);
    for part in parts.iter().chain(&["--keep-policies", "nothing was changed"]) {
        assert!(refused.stderr.contains(part), "`{part}` is not in {refused:#?}");
    }
    assert_eq!(world.catalog(), before);
    let rights = world.value::<String>(RIGHTS);
    world.run(&["migrate", "--keep-policies"]).expect_exit(0);
    assert_eq!(world.value::<String>(RIGHTS), rights);
    world.run(&["sync", "all"]).expect_exit(0);
}

/// Row level security on all four tables, as Supabase recommends.
pub(crate) const ALL_GUARDED: &str =
    "alter table customers enable row level security; alter table appointments enable row level security;
    alter table orders enable row level security; alter table sync_logs enable row level security";

/// Privileges that row level security does not cover.
const UNCOVERED_REVOKED: &str = "revoke truncate, references, trigger on customers, appointments, orders, sync_logs
    from anon, authenticated";

#[test]
fn table_without_row_level_security_stops_migrate() {
    let world = inherited_project();
    stops_unless_told_to_keep(
        &world,
        &[
            "public.customers: anon can read it",
            "row level security is off",
            "SELECT to anon",
            "public.orders: authenticated",
            "public.sync_logs",
        ],
    );
}

#[test]
fn policy_for_signed_in_users_stops_migrate() {
    let world = inherited_project();
    world.execute(ALL_GUARDED);
    world.execute("create policy \"Users see orders\" on orders for select to authenticated using (true)");
    stops_unless_told_to_keep(
        &world,
        &["public.orders: authenticated can read it", "Users see orders", "SELECT to authenticated"],
    );
    assert!(reads(&world, "authenticated", "orders").expect("the policy still lets them") > 0);
}

#[test]
fn policy_for_everyone_stops_migrate() {
    let world = inherited_project();
    world.execute(ALL_GUARDED);
    world.execute("create policy open_house on customers using (true)");
    stops_unless_told_to_keep(
        &world,
        &["public.customers: anon can read it", "public.customers: authenticated", "open_house"],
    );
}

#[test]
fn column_grant_stops_migrate_and_is_named() {
    let world = inherited_project();
    world.execute("revoke all on customers, appointments, orders, sync_logs from anon, authenticated");
    world.execute("grant select (email, phone) on customers to anon");
    stops_unless_told_to_keep(&world, &["public.customers: anon can read it", "SELECT", "email", "phone"]);
}

#[test]
fn inherited_or_public_right_stops_migrate() {
    let world = inherited_project();
    world.execute("revoke all on customers, appointments, orders, sync_logs from anon, authenticated");
    world.execute("create role visitors nologin; grant visitors to anon; grant select on orders to visitors; grant select on customers to public");
    stops_unless_told_to_keep(
        &world,
        &[
            "public.orders: anon can read it",
            "SELECT to visitors",
            "public.customers: authenticated can read it",
            "SELECT to PUBLIC",
        ],
    );
}

#[test]
fn row_level_security_without_a_policy_is_accepted() {
    let world = inherited_project();
    world.execute(ALL_GUARDED);
    world.execute(UNCOVERED_REVOKED);
    let done = world.run(&["migrate"]).expect_exit(0);
    assert!(!done.stderr.contains("can read"), "{done:#?}");
    world.run(&["sync", "all"]).expect_exit(0);
    for role in ["anon", "authenticated"] {
        assert_eq!(reads(&world, role, "customers"), Ok(0));
        // New tables are closed, whatever the old grants are.
        assert_eq!(reads(&world, role, "sync_errors"), Err(SqlState::INSUFFICIENT_PRIVILEGE));
    }
}

#[test]
fn tables_in_a_closed_schema_are_adopted() {
    let world = project(World::empty());
    world.execute(&format!("create schema hidden; set search_path = hidden; {TABLES}"));
    world.execute("grant all on all tables in schema hidden to anon, authenticated");
    world.run(&["migrate", "--schema", "hidden"]).expect_exit(0);
}

#[test]
fn each_supabase_role_is_optional() {
    for role in ["anon", "authenticated", "service_role"] {
        let world = inherited(TABLES);
        world.execute(&format!(
            "create role {role}; grant select on orders to {role}; grant usage on schema public to {role}"
        ));
        let exit = if role == "service_role" { 0 } else { 2 };
        world.run(&["migrate"]).expect_exit(exit);
    }
}
