//! The SQL of the documentation, run as it stands, and its tables of columns against the catalog. The commands and
//! words of the documentation: docs.rs.

use std::collections::{BTreeMap, BTreeSet};

use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage};
use serde_json::json;
use wix_sim::Entity;

use crate::commands::docs::{self, Block};
use crate::support::harness::World;
use crate::upgrade::adoption::{TABLES, inherited};

/// A site with some of everything that the queries ask for: a merge, a deletion, a record that can't be written,
/// duplicates and missing links.
fn busy_site() -> World {
    let world = World::new(300, 200, 200).migrated();
    world.sync_json(&["all"], 0);
    let contacts = world.sim.contacts();
    let id = |index: usize| contacts[index]["id"].as_str().expect("an id").to_owned();
    world.sim.merge_contacts(&id(1), &id(2));
    world.sim.delete(Entity::Contacts, &id(3));
    world.sim.put_raw(Entity::Contacts, r#"{"id":"bad","createdDate":"2026-01-01T00:00:00.000Z","n":1e-400000}"#);
    let bookings = world.sim.bookings();
    let booked = bookings[0]["booking"]["id"].as_str().expect("an id");
    world.sync_json(&["all", "--full"], 3);
    world.execute(&format!("update appointments set notes = 'a no-show' where wix_booking_id = '{booked}'"));
    world
}

/// Runs a block; gives back how many rows it returned, or what Postgres said.
fn run(client: &mut Client, block: &Block) -> Result<usize, String> {
    match client.simple_query(&block.text) {
        Ok(messages) => Ok(messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count()),
        Err(error) => {
            let said = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
            Err(format!("{}: {said}\n{}", block.place, block.text))
        }
    }
}

/// Whether the block has to return rows on the busy site: it asks for something, and not for a part of time that is
/// over by now, nor for what is wrong with the sync.
fn has_rows(block: &Block) -> bool {
    let text = block.text.to_ascii_lowercase();
    block.place.contains("queries.md") && text.contains("select ") && !text.contains("now()")
}

#[test]
fn every_statement_runs_and_those_without_a_time_find_something() {
    let world = busy_site();
    let mut client = world.client();
    let (mut broken, mut ran) = (Vec::new(), 0);
    for file in
        ["docs/schema.md", "docs/queries.md", "docs/troubleshooting.md", "docs/many-sites.md", "docs/monitoring.md"]
    {
        for block in docs::blocks(file, "sql").iter() {
            ran += 1;
            match run(&mut client, block) {
                Ok(0) if has_rows(block) => broken.push(format!("{}: finds nothing\n{}", block.place, block.text)),
                Ok(_) => {}
                Err(problem) => broken.push(problem),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(ran > 25, "the statements are found at all: {ran}");
}

#[test]
fn no_statement_of_another_kind_hides_from_the_test() {
    let mut seen = BTreeSet::new();
    for file in docs::markdown() {
        for block in docs::all_blocks(&file) {
            let looks_like_sql = ["select ", "create ", "alter ", "drop "].iter().any(|word| block.text.contains(word));
            if looks_like_sql && block.info != "sql" {
                seen.insert(block.info.clone());
            }
        }
    }
    // psql's own command line stands in `sh`; pg_cron can't be had here.
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), ["sh", "sql pg_cron"]);
}

#[test]
fn migration_page_works_from_top_to_bottom() {
    let world = inherited(TABLES);
    world.execute("create role anon nologin; create role authenticated nologin");
    let mut client = world.client();
    let (mut statements, mut commands) = (0, 0);
    for block in docs::all_blocks("docs/migrating-from-asyncsyncagent.md") {
        match block.info.as_str() {
            "sql" => {
                statements += 1;
                run(&mut client, &block).unwrap_or_else(|problem| panic!("{problem}"));
            }
            "sh" => {
                for line in docs::command_lines(&block.text).iter() {
                    commands += 1;
                    let arguments: Vec<&str> = line.iter().map(String::as_str).collect();
                    let finished = world.run(&arguments);
                    // What looks before the move may find something: the old tables are not migrated yet.
                    let may_find = arguments[0] == "doctor" && finished.code == Some(5);
                    assert!(finished.code == Some(0) || may_find, "{}: {finished:#?}", block.place);
                }
            }
            other => panic!("{}: what is `{other}`?", block.place),
        }
    }
    assert!(statements > 5 && commands > 5, "{statements} {commands}");
    // The view in the old words shows the fulfillment status, and no order that waits.
    let states =
        "select string_agg(distinct status, ',' order by status) from orders_as_before where wix_order_id is not null";
    assert_eq!(world.value::<String>(states), "FULFILLED,NOT_FULFILLED,PARTIALLY_FULFILLED");
    assert!(world.value::<bool>("select exists (select from orders where status = 'PENDING')"));
}

/// What Supabase has of itself, as far as the page names it; `auth.jwt` as Supabase defines it.
const SUPABASE: &str = "
    create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
    grant usage on schema public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
    create schema auth; create table auth.users (id uuid primary key); grant usage on schema auth to anon, authenticated;
    create function auth.jwt() returns jsonb language sql stable
        as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
    create publication supabase_realtime";

#[test]
fn the_app_sees_what_the_supabase_page_lets_it_see_and_nothing_else() {
    let world = World::new(50, 50, 50);
    let version: i32 = world.value("select current_setting('server_version_num')::integer");
    // Views with security_invoker and publications of columns came with 15; Supabase has no older one.
    if version < 150_000 {
        return;
    }
    world.execute(SUPABASE);
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    let mut client = world.client();
    for block in docs::blocks("docs/supabase.md", "sql").iter() {
        run(&mut client, block).unwrap_or_else(|problem| panic!("{problem}"));
    }
    let buyer: String = world.value("select min(email) from orders where email = lower(email)");
    let own: i64 = world
        .value(&format!("select count(*) from orders where lower(btrim(email)) = '{buyer}' and deleted_at is null"));
    let claims = json!({ "email": buyer.to_uppercase() });
    let asked = |role: &str, sql: &str| -> Result<i64, String> {
        let mut client = world.client();
        client
            .batch_execute(&format!("select set_config('request.jwt.claims', '{claims}', false); set role {role}"))
            .expect("the role is there");
        let row = client.query_one(sql, &[]);
        row.map(|row| row.get(0)).map_err(|error| error.as_db_error().expect("Postgres answers").message().to_owned())
    };
    assert!(own > 0);
    assert_eq!(asked("authenticated", "select count(*) from my_orders"), Ok(own));
    assert_eq!(asked("authenticated", "select count(order_number) from orders"), Ok(own));
    for column in ["raw", "email", "items"] {
        let refused = asked("authenticated", &format!("select count({column}) from orders"));
        assert_eq!(refused, Err("permission denied for table orders".to_owned()), "{column}");
    }
    for (role, sql, view) in [
        ("anon", "select count(*) from my_orders", "view my_orders"),
        ("anon", "select count(order_number) from orders", "table orders"),
        ("authenticated", "select count(*) from customers", "table customers"),
    ] {
        assert_eq!(asked(role, sql), Err(format!("permission denied for {view}")), "{role}: {sql}");
    }
    for role in ["anon", "authenticated"] {
        assert!(asked(role, "select count(*) from free_hours").is_ok(), "{role}");
    }
}

/// A project with the default privileges of old: all that is new in `public` belongs to the internet.
fn project() -> World {
    let world = World::new(300, 200, 200);
    world.execute(SUPABASE);
    world.execute(
        "alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
         alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
         create schema lab; grant create, usage on schema lab to anon, authenticated;
         create function lab.nothing() returns trigger language plpgsql as 'begin return new; end'",
    );
    world.run(&["migrate"]).expect_exit(0);
    world.run(&["sync", "all"]).expect_exit(0);
    world.run(&["migrate", "--schema", "wix_trial"]).expect_exit(0);
    world.run(&["sync", "all", "--schema", "wix_trial"]).expect_exit(0);
    world
}

/// What the role can do with the relation, found by doing it.
fn achieved(world: &World, role: &str, relation: &str, kind: &str) -> Vec<&'static str> {
    let column: String = world.value(&format!(
        "select quote_ident(attname) from pg_attribute where attrelid = '{relation}'::regclass and attnum > 0
         order by pg_column_is_updatable(attrelid, attnum, false) desc, attnum limit 1"
    ));
    let timing = if kind == "v" { "instead of insert" } else { "before insert" };
    let mut statements = vec![
        ("select", format!("select 1 from {relation}")),
        ("insert", format!("insert into {relation} default values")),
        ("update", format!("update {relation} set {column} = {column}")),
        ("delete", format!("delete from {relation}")),
        ("truncate", format!("truncate {relation} cascade")),
        ("trigger", format!("create trigger lab {timing} on {relation} for each row execute function lab.nothing()")),
    ];
    // A view can't be referred to.
    if kind != "v" {
        let key = world.query(&format!(
            "select string_agg(quote_ident(attname), ', '), string_agg(quote_ident(attname) || ' ' || format_type(atttypid, null), ', ')
             from pg_index i, pg_attribute a
             where i.indrelid = '{relation}'::regclass and i.indisprimary and a.attrelid = i.indrelid and a.attnum = any (i.indkey)"
        ));
        let (names, columns): (&str, &str) = (key[0].get(0), key[0].get(1));
        let key =
            format!("create table lab.referring ({columns}, foreign key ({names}) references {relation} ({names}))");
        statements.push(("references", key));
    }
    let mut done = Vec::new();
    for (privilege, statement) in statements {
        let mut client = world.client();
        let outcome = client.batch_execute(&format!("begin; set local role {role}; {statement}; rollback"));
        match outcome.as_ref().map_err(|error| error.code().expect("Postgres answers")) {
            Err(&SqlState::INSUFFICIENT_PRIVILEGE) => {}
            // Not of a view, or not of this one, whoever asks.
            Err(&SqlState::WRONG_OBJECT_TYPE | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) if kind == "v" => {}
            _ => done.push(privilege),
        }
    }
    done
}

/// What the documentation opens on purpose, relation and role by relation and role.
const MEANT: [(&str, &str); 3] =
    [("my_orders", "authenticated"), ("free_hours", "anon"), ("free_hours", "authenticated")];

#[test]
fn nothing_in_the_docs_opens_a_project_with_old_default_privileges() {
    let world = project();
    let version: i32 = world.value("select current_setting('server_version_num')::integer");
    let mut client = world.client();
    for file in docs::markdown() {
        // The page about Supabase needs what its servers have.
        if file.ends_with("supabase.md") && version < 150_000 {
            continue;
        }
        for block in docs::blocks(&file, "sql").iter() {
            run(&mut client, block).unwrap_or_else(|problem| panic!("{problem}"));
        }
    }
    let relations = world.query(
        "select relname::text, relkind::text from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm')",
    );
    let names: BTreeSet<String> = relations.iter().map(|row| row.get(0)).collect();
    assert!(["all_orders", "orders_as_before", "sync_health"].iter().all(|view| names.contains(*view)), "{names:?}");
    for relation in &relations {
        let (name, kind): (&str, &str) = (relation.get(0), relation.get(1));
        for role in ["anon", "authenticated"] {
            let mut expected: Vec<&str> = Vec::new();
            // The policy and the columns of the page about Supabase.
            let is_meant = MEANT.contains(&(name, role)) || (name, role) == ("orders", "authenticated");
            if is_meant && version >= 150_000 {
                expected.push("select");
            }
            assert_eq!(achieved(&world, role, &format!("public.{name}"), kind), expected, "{role}: {name}");
        }
        if kind == "v" {
            let granted: i64 = world.value(&format!(
                "select count(*) from pg_class c, aclexplode(c.relacl) acl
                 where c.oid = 'public.{name}'::regclass and acl.privilege_type <> 'SELECT'
                    and (acl.grantee = 0 or acl.grantee in ('anon'::regrole, 'authenticated'::regrole))"
            ));
            assert_eq!(granted, 0, "only SELECT is granted on {name}");
        }
    }
    let functions = world
        .query("select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace order by 1");
    let functions: Vec<&str> = functions.iter().map(|row| row.get(0)).collect();
    assert_eq!(functions, ["wix_sites()"]);
    for role in ["anon", "authenticated", "service_role"] {
        let called = world.client().batch_execute(&format!("set role {role}; select * from wix_sites()"));
        let code = called.expect_err("it is refused").code().cloned();
        assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{role}");
    }
    // doctor knows what is meant, and finds no fault.
    let found = world.run(&["doctor", "--json"]);
    assert_eq!(found.code, Some(0), "{found:#?}");
}

#[test]
fn views_of_the_docs_show_the_service_and_the_owner_all_rows() {
    let world = project();
    let mut client = world.client();
    for file in ["docs/many-sites.md", "docs/migrating-from-asyncsyncagent.md"] {
        for block in docs::blocks(file, "sql").iter().filter(|block| block.text.contains("create")) {
            run(&mut client, block).unwrap_or_else(|problem| panic!("{problem}"));
        }
    }
    for view in ["all_orders", "orders_as_before"] {
        client.batch_execute("reset role").expect("the role can be reset");
        let count = format!("select count(*) from {view}");
        let owner: i64 = client.query_one(&count, &[]).expect("the owner reads").get(0);
        client.batch_execute("set role service_role").expect("the role is there");
        let service: i64 = client.query_one(&count, &[]).expect("the service reads").get(0);
        assert!(owner > 0 && owner == service, "{view}: {owner} {service}");
    }
}

#[test]
fn wix_sites_leaves_the_schemas_of_strangers_alone() {
    let mut world = World::new(20, 10, 10);
    world.execute(
        "create role owner login; create role member login; grant owner to member; create role stranger login;
         create schema shop authorization owner; create schema theirs authorization stranger;
         create schema mixed authorization stranger; create table public.ran (as_role text);
         grant insert on public.ran to public; grant create, usage on schema public to owner",
    );
    // Schemas of a stranger, with views named like our tables: a look at them runs code with the rights of whoever looks. In
    // `mixed` the table itself is one of ours.
    let mut stranger = postgres::Client::connect(&world.postgres.url_as("stranger", "postgres"), postgres::NoTls)
        .expect("the role can connect");
    for schema in ["theirs", "mixed"] {
        let tables = format!(
            "create function {schema}.spy() returns text language plpgsql
                 as 'begin insert into public.ran values (current_user); return ''orders''; end';
             create view {schema}.sync_errors as select {schema}.spy() as table_name, null::timestamptz as resolved_at;
             create view {schema}.sync_missing as select {schema}.spy() as table_name;
             create view {schema}.sync_logs as
                 select {schema}.spy() as sync_type, 'failed'::text as status, null::text as error, now() as started_at;
             grant usage on schema {schema} to public; grant select on all tables in schema {schema} to public"
        );
        stranger.batch_execute(&tables).expect("the stranger may do so in a schema of its own");
    }
    let state =
        "sync_state (table_name text, wix_site_id text, last_success_at timestamptz, last_full_pass_at timestamptz)";
    stranger
        .batch_execute(&format!(
            "create table theirs.{state}; insert into theirs.sync_state values ('orders', 'x', now(), now());
             grant select on theirs.sync_state to public; grant create on schema mixed to owner"
        ))
        .expect("the stranger may do so in a schema of its own");
    world.execute(&format!(
        "set role owner; create table mixed.{state}; insert into mixed.sync_state values ('orders', 'x', now(), now())"
    ));
    let url = world.postgres.url_as("owner", "postgres");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
    world.run(&["sync", "all", "--schema", "shop"]).expect_exit(0);
    let mut client = world.client();
    let blocks = docs::blocks("docs/many-sites.md", "sql");
    let function = blocks.iter().find(|block| block.text.contains("create or replace function")).expect("it is there");
    run(&mut client, function).unwrap_or_else(|problem| panic!("{problem}"));
    world.execute("grant execute on function wix_sites() to owner, member");
    let sites = "select coalesce(string_agg(distinct site_schema, ','), '') from wix_sites()";
    for role in ["owner", "member"] {
        let mut client = world.client();
        client.batch_execute(&format!("set role {role}")).expect("the role is there");
        let seen: String = client.query_one(sites, &[]).expect("it answers").get(0);
        assert_eq!(seen, "shop", "{role}");
    }
    // No row would mean that all is well.
    let said = world.client().query_one(sites, &[]).expect_err("it finds none");
    let said = said.as_db_error().expect("Postgres answers").message().to_owned();
    assert_eq!(said, "role postgres owns the tables of no site");
    // The traps work.
    let _ = world.client().batch_execute("select table_name from theirs.sync_errors");
    assert_eq!(world.value::<String>("select string_agg(as_role, ',') from ran"), "postgres");
}

#[test]
fn wix_sites_shows_a_site_that_is_hidden_or_was_written_by_a_wrong_clock() {
    let mut world = World::new(5, 5, 5);
    world.execute(
        "create role owner login; create role member noinherit login; grant owner to member;
         grant create on database postgres to owner",
    );
    let url = world.postgres.url_as("owner", "postgres");
    world.set("DATABASE_URL", &url);
    world.run(&["migrate", "--schema", "shop"]).expect_exit(0);
    world.run(&["sync", "all", "--schema", "shop"]).expect_exit(0);
    let mut client = world.client();
    let blocks = docs::blocks("docs/many-sites.md", "sql");
    let block = |part: &str| blocks.iter().find(|block| block.text.contains(part)).expect("it is there");
    run(&mut client, block("create or replace function")).unwrap_or_else(|problem| panic!("{problem}"));
    world.execute(
        "grant execute on function wix_sites() to owner, member; grant usage on schema shop to member;
         grant select on all tables in schema shop to member",
    );
    let looked = |role: &str| {
        let mut client = world.client();
        client.batch_execute(&format!("set role {role}")).expect("the role is there");
        run(&mut client, block("from wix_sites()")).unwrap_or_else(|problem| panic!("{problem}"))
    };
    assert_eq!(looked("owner"), 0, "all is well");
    // It may read, and row level security hides all rows.
    assert_eq!(looked("member"), 1);
    world.execute("revoke select on shop.sync_errors from member");
    assert_eq!(looked("member"), 1);
    for column in ["last_success_at", "last_full_pass_at"] {
        world.execute(&format!(
            "update shop.sync_state set {column} = now() + interval '1 year' where table_name = 'orders'"
        ));
        assert_eq!(looked("owner"), 1, "{column}");
        world.execute(&format!("update shop.sync_state set {column} = now()"));
    }
}

/// Of each table its columns and their types.
type Columns = BTreeMap<String, BTreeMap<String, String>>;

/// What docs/schema.md says: a heading a table, and a row a column.
fn documented() -> Columns {
    let (mut columns, mut table) = (Columns::new(), None);
    for line in docs::read("docs/schema.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = Some(heading.trim_matches('`').to_owned());
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (Some(table), [column, data_type, _]) = (&table, cells.as_slice()) else { continue };
        if let Some(column) = column.strip_prefix('`').and_then(|column| column.strip_suffix('`')) {
            columns.entry(table.clone()).or_default().insert(column.to_owned(), (*data_type).to_owned());
        }
    }
    let common = columns.remove("Columns of all three tables").expect("the columns that all three have");
    for table in ["customers", "appointments", "orders"] {
        columns.get_mut(table).expect("the table has a section").extend(common.clone());
    }
    columns
}

#[test]
fn the_schema_page_has_every_table_and_column_with_its_type() {
    let world = World::empty().migrated();
    let mut real = Columns::new();
    for row in world.query(
        "select table_name::text, column_name::text,
            case data_type when 'timestamp with time zone' then 'timestamptz' when 'ARRAY' then 'text[]' else data_type end
         from information_schema.columns where table_schema = 'public'",
    ) {
        let table = real.entry(row.get(0)).or_default();
        table.insert(row.get(1), row.get::<_, String>(2));
    }
    let documented = documented();
    // What the page promises ahead of the program.
    let (documented, real) = (lines(&documented), lines(&real));
    let missing: Vec<_> = real.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&real).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not on the page: {missing:#?}; only there: {invented:#?}");
}

fn lines(columns: &Columns) -> BTreeSet<String> {
    let of_table = |(table, columns): (&String, &BTreeMap<String, String>)| {
        columns.iter().map(|(column, data_type)| format!("{table}.{column} {data_type}")).collect::<Vec<_>>()
    };
    columns.iter().flat_map(of_table).collect()
}
