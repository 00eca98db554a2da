//! Schemas in which other roles can create objects: the program's statements never use functions, operators, relations
//! and types there that have names of the server's own.

use serde_json::json;
use wix_sim::Entity;

use crate::support::harness::World;
use crate::upgrade::adoption::{TABLES, inherited};

const TRAPS: &str = include_str!("hostile/traps.sql");

/// The program connects as `app`, which owns the schema `wix` and can create objects in `public`, like every role.
fn trapped(mut world: World) -> World {
    world.execute(
        "create role app login; grant create, usage on schema public to public; create schema wix authorization app;
         create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls",
    );
    let tables = "select format('alter table %I owner to app', relname) from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r'";
    for row in world.query(tables) {
        world.execute(row.get(0));
    }
    world.client().batch_execute(TRAPS).unwrap_or_else(|error| panic!("{:?}", error.as_db_error()));
    let url = world.postgres.url_as("app", "postgres");
    world.set("DATABASE_URL", &url);
    world
}

/// The traps that the program called.
fn sprung(world: &World) -> Vec<String> {
    let log = world.postgres.log_text();
    log.lines().filter_map(|line| line.split_once("TRAP app ")).map(|(_, what)| what.to_owned()).collect()
}

/// With `public` before `pg_catalog`, every unqualified name calls a trap. With the default path, only a trap that
/// matches the call better than the server's own function is called.
const PATHS: [&str; 2] = ["public, pg_catalog", "\"$user\", public"];

/// All database work of the program, once per search path.
fn does_everything(world: &World, schema: &[&str]) {
    let mut expected = 0;
    for (round, path) in PATHS.into_iter().enumerate() {
        world.execute(&format!("alter role app set search_path = {path}"));
        for probe in ["select concat_ws(' '::text, 'a'::text, 'b'::text)", "select unnest(array['a'])"] {
            let mut client = postgres::Client::connect(&world.postgres.url_as("app", "postgres"), postgres::NoTls)
                .expect("the role can connect");
            // A trap returns no useful value; the log records that it was called.
            let _ = client.simple_query(probe);
            let sprung = sprung(world).len();
            assert!(sprung > expected, "the traps work: {probe}");
            expected = sprung;
        }
        use_every_command(world, schema, round);
        assert_eq!(sprung(world).split_off(expected), Vec::<String>::new(), "search_path {path}");
    }
}

fn use_every_command(world: &World, schema: &[&str], round: usize) {
    let run = |arguments: &[&str], exit: i32| {
        let arguments: Vec<&str> = arguments.iter().chain(schema).copied().collect();
        world.run(&arguments).expect_exit(exit)
    };
    let contacts = world.sim.contacts();
    let id = |index: usize| contacts[index + 5 * round]["id"].as_str().expect("an id").to_owned();
    run(&["doctor"], if round == 0 { 5 } else { 0 });
    run(&["migrate"], 0);
    run(&["migrate"], 0);
    run(&["sync", "all", "--dry-run"], 0);
    run(&["sync", "all"], 0);
    // An update, a merge, a deletion, and a rejected record.
    world.sim.edit(Entity::Contacts, &id(0), |contact| contact["info"]["jobTitle"] = json!("Baker"));
    world.sim.merge_contacts(&id(1), &id(2));
    world.sim.delete(Entity::Contacts, &id(4));
    let refused = format!("Refused {round}");
    world.sim.edit(Entity::Contacts, &id(3), |contact| contact["info"]["jobTitle"] = json!(&refused));
    let customers = if schema.is_empty() { "public.customers" } else { "wix.customers" };
    world.execute(&format!(
        "set search_path to pg_catalog;
         alter table {customers} add constraint refuses check (job_title is distinct from '{refused}')"
    ));
    run(&["sync", "all"], 3);
    run(&["sync", "all", "--full"], 3);
    run(&["errors"], 0);
    run(&["errors", "retry"], 3);
    run(&["sync", "appointments", "--start", "2020-01-01", "--end", "2035-01-01"], 0);
    world.execute(&format!(
        "set search_path to pg_catalog; alter table {customers} drop constraint refuses;
         update {customers} set company = 'X', content_hash = null where wix_contact_id = '{}'",
        id(0)
    ));
    run(&["errors", "retry"], 0);
    run(&["verify"], 5);
    run(&["verify", "--repair"], 0);
    let json = run(&["status", "--json"], 0).stdout;
    let status: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    run(&["status", status["runs"][0]["id"].as_str().expect("a run")], 0);
    run(&["status", "--max-age", "1h"], 0);
    run(&["doctor"], 0);
}

#[test]
fn public_functions_are_not_called_after_adoption() {
    let world = trapped(inherited(TABLES));
    world.execute("alter table public.customers enable row level security");
    does_everything(&world, &[]);
}

#[test]
fn public_functions_are_not_called_with_another_schema() {
    let world = trapped(World::new(60, 30, 30));
    // Our tables in statements that do not name the schema.
    for table in ["customers", "appointments", "orders", "sync_logs", "sync_state", "sync_errors", "sync_migrations"] {
        let view = format!("create view public.{table} as select 1 as id where public.trap('table {table}')");
        world.execute(&format!("{view}; grant select on public.{table} to app"));
    }
    does_everything(&world, &["--schema", "wix"]);
}

/// The functions return what the server's own return, so that nothing is noticed, and make their owner a superuser.
const ESCALATION: &str = r#"
    create function concat_ws(s text, a text, b text) returns text language plpgsql as $$
    begin
        alter role stranger superuser;
        return pg_catalog.concat_ws(s, variadic array[a, b]);
    end $$;
    create function unnest(list text[]) returns setof text language plpgsql as $$
    begin
        alter role stranger superuser;
        return query select list[i] from generate_subscripts(list, 1) i;
    end $$"#;

#[test]
fn sync_as_superuser_gives_nobody_else_that_right() {
    for schema in [[].as_slice(), &["--schema", "wix"]] {
        let world = World::new(30, 20, 20);
        world.execute("create role stranger login; grant create on schema public to public");
        let mut stranger = postgres::Client::connect(&world.postgres.url_as("stranger", "postgres"), postgres::NoTls)
            .expect("the role can connect");
        stranger.batch_execute(ESCALATION).expect("everyone may create in public");
        for command in [["migrate"].as_slice(), &["sync", "all"], &["sync", "all", "--full"], &["status"]] {
            world.run(&command.iter().chain(schema).copied().collect::<Vec<_>>()).expect_exit(0);
        }
        let is_superuser = "select rolsuper from pg_roles where rolname = 'stranger'";
        assert!(!world.value::<bool>(is_superuser), "{schema:?}");
        // A call that the search path resolves does make it a superuser.
        world.execute("select concat_ws(' '::text, 'a'::text, 'b'::text)");
        assert!(world.value::<bool>(is_superuser));
    }
}

/// Statements of a trigger function run with the search path of the statement that fired it.
#[test]
fn trigger_that_needs_the_search_path_gets_a_hint() {
    let world = World::new(3, 0, 0).migrated();
    world.execute(
        "create table audit (at timestamptz); create function note() returns trigger language plpgsql
             as 'begin insert into audit values (now()); return new; end';
         create trigger note before insert on customers for each row execute function note()",
    );
    let refused = world.run(&["sync", "customers"]).expect_exit(3);
    assert!(refused.stderr.contains("alter function ... set search_path = public"), "{refused:#?}");
    world.execute("alter function note() set search_path = public");
    world.run(&["sync", "customers", "--full"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from audit"), 3);
}
