//! `doctor`: each fault is found and named with its hint, it goes on after it, and it changes nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use chrono::TimeDelta;
use postgres::error::SqlState;
use private_postgres::{PgBouncer, PoolMode, Server};
use rustix::process::Signal;
use serde_json::Value;
use wix_sim::{Endpoint, Fault};

use crate::support::harness::{Finished, World};
use crate::support::running::Gate;

/// A site that was synced, with the settings of a real one.
pub(crate) fn healthy() -> World {
    let mut world = World::new(20, 10, 10).migrated();
    // On Postgres 14 everyone may create there, and doctor warns of it.
    world.execute("revoke create on schema public from public");
    world.set("WIX_RATE_LIMIT", "200");
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.clear_requests();
    world
}

/// What doctor found, as JSON.
pub(crate) struct Found {
    pub(crate) finished: Finished,
    pub(crate) json: Value,
}

pub(crate) fn examine(world: &World, exit: i32) -> Found {
    let finished = world.run(&["doctor", "--json"]).expect_exit(exit);
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:#?}");
    let json: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert_eq!(json["exit_code"], Value::from(exit));
    assert_eq!(json["problems"] == 0, exit == 0, "{json:#}");
    let found = Found { finished, json };
    for check in found.checks() {
        let has_hint = check["hint"].as_str().is_some_and(|hint| !hint.is_empty());
        let needs_hint = check["status"] == "warning" || check["status"] == "problem";
        assert_eq!(has_hint, needs_hint, "{check}");
    }
    found
}

impl Found {
    pub(crate) fn of(&self, check: &str) -> Vec<&Value> {
        self.checks().iter().filter(|it| it["check"] == check).collect()
    }

    fn checks(&self) -> &[Value] {
        self.json["checks"].as_array().expect("a list")
    }

    /// Fails the test unless the check has this status and says `part`.
    #[track_caller]
    pub(crate) fn expect(&self, check: &str, status: &str, part: &str) -> &Found {
        let said = self.of(check);
        let found = said.iter().any(|finding| {
            finding["status"] == status && finding["message"].as_str().is_some_and(|text| text.contains(part))
        });
        assert!(found, "no `{status}` with `{part}` in {said:#?}; {:#?}", self.finished);
        self
    }

    /// The checks with a warning or a problem.
    fn faults(&self) -> Vec<&str> {
        self.checks()
            .iter()
            .filter(|it| it["status"] == "warning" || it["status"] == "problem")
            .filter_map(|it| it["check"].as_str())
            .collect()
    }
}

#[test]
fn where_all_is_well_it_says_so_in_a_line_each() {
    let world = healthy();
    let shown = world.run(&["doctor"]).expect_exit(0);
    let host = world.sim.base_url();
    let version = world.value::<String>("select current_setting('server_version')");
    let redacted =
        crate::support::redact::redact(&shown.shown().replace(&host, "ADDRESS").replace(&version, "VERSION"));
    let redacted = redacted.replace(&world.sim.credentials().site_id, "SITE");
    insta::assert_snapshot!(redacted);
}

#[test]
fn it_changes_nothing_and_sends_a_handful_of_requests() {
    for (world, expected) in [(healthy(), 3), (healthy().with_app(), 5)] {
        let rows = "select md5(string_agg(r, '' order by r)) from (
            select c::text r from customers c union all select o::text from orders o union all select l::text from sync_logs l
            union all select s::text from sync_state s union all select k::text from sync_locks k) t";
        let before = (world.catalog(), world.value::<String>(rows));
        examine(&world, 0);
        assert_eq!((world.catalog(), world.value::<String>(rows)), before);
        let requests = world.sim.requests();
        assert_eq!(requests.len(), expected, "{requests:#?}");
        let of_tokens = [Endpoint::OauthToken, Endpoint::OauthTokenInfo];
        for request in requests.iter().filter(|request| !of_tokens.contains(&request.endpoint)) {
            let body = request.body.as_ref().expect("it has a body").to_string();
            assert!(body.contains(r#""limit":1}"#) || body.contains(r#""limit":1,"#), "{body}");
        }
    }
    let world = World::empty();
    let before = world.catalog();
    examine(&world, 5);
    assert_eq!(world.catalog(), before);
}

#[test]
fn variables_are_named_and_their_values_are_not() {
    let mut world = healthy();
    world.set("WIX_SITEID", "an-odd-value");
    world.execute("create role reader login password 'pa55word-of-the-reader'");
    let key = world.sim.credentials().api_keys[0].clone();
    let url = format!("{}&password=pa55word-of-the-reader", world.postgres.url_as("reader", "postgres"));
    world.set("DATABASE_URL", &url);
    let found = examine(&world, 5);
    found.expect("variables", "ok", "set: WIX_SITE_ID, DATABASE_URL");
    found.expect("variables", "warning", "WIX_SITEID");
    let file = std::env::temp_dir().join(format!("doctor-{}.env", std::process::id()));
    std::fs::write(&file, "WIX_SYNC_SCHEMA=public\n").expect("it is written");
    for (mode, expected) in [(0o644, 1), (0o640, 1), (0o600, 0)] {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is changed");
        let finished = world.run(&["doctor", "--env-file", file.to_str().expect("UTF-8")]);
        assert_eq!(finished.stdout.matches("can be read by other users").count(), expected, "{mode:o}");
    }
    std::fs::remove_file(&file).expect("it is removed");
    let text = world.run(&["doctor"]);
    for secret in [key.as_str(), "pa55word-of-the-reader", "an-odd-value"] {
        for output in [&found.finished, &text] {
            assert!(!output.shown().contains(secret), "{output:#?}");
        }
    }
}

#[test]
fn the_refusals_of_wix_are_told_apart_and_an_app_that_is_not_there_is_no_fault() {
    let world = healthy();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().unauthenticated());
    world.sim.fault(Fault::on(Endpoint::BookingsQuery).always().permission_missing());
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().app_not_installed());
    let found = examine(&world, 5);
    found.expect("contacts API", "problem", "refused the credentials in WIX_API_TOKEN: it answered 401");
    found.expect("bookings API", "problem", "it answered 403");
    assert!(found.of("bookings API")[0]["hint"].as_str().is_some_and(|hint| hint.contains("Read Bookings")));
    found.expect("orders API", "ok", "is not installed on the site (428)");
    // What else there is to look at is looked at.
    found.expect("migrations", "ok", "up to date");
    world.sim.clear_faults();
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().app_not_installed());
    examine(&world, 5).expect("orders", "problem", "its app is not installed on the site any more");
    world.execute("delete from orders; update sync_state set live_rows = 0 where table_name = 'orders'");
    assert!(examine(&world, 0).faults().is_empty());
}

#[test]
fn bad_app_credentials_are_found_and_nothing_else_is_asked_with_them() {
    let mut world = healthy().with_app();
    world.set("WIX_RATE_LIMIT", "200");
    examine(&world, 0).expect("credentials", "ok", "gave an access token");
    world.set("WIX_APP_SECRET", "wrong");
    world.sim.clear_requests();
    let found = examine(&world, 5);
    found.expect("credentials", "problem", "WIX_APP_SECRET").expect(
        "orders API",
        "skipped",
        "there is no access token",
    );
    assert!(world.sim.requests().iter().all(|request| request.endpoint == Endpoint::OauthToken));
}

#[test]
fn app_credentials_of_another_site_are_found() {
    let (variable, site, other_site) = ("WIX_APP_INSTANCE_ID", "-0000000000aa", "00000000-0000-4000-8000-00000000dead");
    let mut world = healthy();
    assert!(examine(&world, 0).of("Wix site").is_empty(), "Wix itself checks an API key's site");
    world = world.with_app();
    let instance = world.sim.credentials().instance_id.clone();
    world.set("WIX_RATE_LIMIT", "200");
    world.run(&["sync", "all"]).expect_exit(0);
    // Also about a pair that is known.
    world.sim.clear_requests();
    assert!(examine(&world, 0).expect("Wix site", "ok", variable).faults().is_empty());
    assert_eq!(world.sim.request_count(Endpoint::OauthTokenInfo), 1);

    let silences = || {
        [
            Fault::on(Endpoint::OauthTokenInfo).always().status(404),
            Fault::on(Endpoint::OauthTokenInfo).always().throttled(),
        ]
    };
    for silence in silences() {
        world.sim.fault(silence);
        examine(&world, 0).expect("Wix site", "warning", "could not confirm").expect("orders API", "ok", "can be read");
        world.sim.clear_faults();
    }
    world.sim.install_app("another-instance", other_site);
    world.set(variable, "another-instance");
    let found = examine(&world, 5);
    found.expect("Wix site", "problem", other_site).expect("Wix site", "problem", site).expect(
        "site",
        "ok",
        "holds site",
    );
    // As a run would: it refuses a pair that has changed where Wix says nothing.
    for silence in silences() {
        world.sim.fault(silence);
        examine(&world, 5).expect("Wix site", "problem", &instance).expect(
            "Wix site",
            "problem",
            "could not be confirmed",
        );
        world.sim.clear_faults();
    }
    // Without a database it is found as well.
    world.set("DATABASE_URL", "postgresql://u@127.0.0.1:1/d");
    examine(&world, 5).expect("Wix site", "problem", other_site);
}

#[test]
fn a_wix_that_throttles_or_is_away_is_not_waited_for() {
    let world = healthy();
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().throttled());
    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().gateway_html());
    let found = examine(&world, 5);
    found.expect("contacts API", "warning", "not known: Wix answered 429");
    found.expect("orders API", "problem", "Wix has a problem");
    assert_eq!(found.of("orders API")[0]["hint"], "try again later; nothing has to be changed here");
    assert_eq!(
        (world.sim.request_count(Endpoint::ContactsQuery), world.sim.request_count(Endpoint::OrdersSearch)),
        (1, 2)
    );
}

#[test]
fn a_clock_that_is_wrong_is_found_in_both_directions() {
    let world = healthy();
    world.sim.set_clock_offset(TimeDelta::minutes(10));
    examine(&world, 0).expect("clock", "warning", " s behind Wix's");
    world.sim.set_clock_offset(TimeDelta::minutes(-10));
    examine(&world, 0).expect("clock", "warning", " s ahead of Wix's");
    world.sim.set_clock_offset(TimeDelta::zero());
    examine(&world, 0).expect("clock", "ok", "agrees");
}

#[test]
fn what_is_missing_in_the_configuration_keeps_it_from_nothing_else() {
    let mut world = healthy();
    world.set("WIX_API_TOKEN", "");
    let found = examine(&world, 5);
    found.expect("Wix", "problem", "WIX_APP_INSTANCE_ID) is not set").expect("site", "ok", "holds site");
    assert_eq!(world.sim.requests().len(), 0);
    let mut world = healthy();
    world.set("DATABASE_URL", "postgresql://u:s3cret@127.0.0.1:1/d");
    let found = examine(&world, 5);
    found.expect("database", "problem", "could not connect").expect("orders API", "ok", "can be read");
    assert!(!found.finished.shown().contains("s3cret"));
    world.set("DATABASE_URL", "");
    examine(&world, 5).expect("database", "problem", "DATABASE_URL is not set");
    world.run(&["doctor", "--limit", "3"]).expect_exit(2);
}

#[test]
fn a_schema_that_is_not_migrated_and_a_user_who_may_not_do_it() {
    let mut world = World::empty();
    world.set("WIX_RATE_LIMIT", "200");
    world.execute("revoke create on schema public from public");
    let found = examine(&world, 5);
    found.expect("migrations", "problem", "not migrated yet").expect("rights", "ok", "may create tables");
    assert_eq!(found.faults(), ["migrations"]);
    world.execute("create role plain login; revoke create on schema public from public");
    let url = world.postgres.url_as("plain", "postgres");
    world.set("DATABASE_URL", &url);
    examine(&world, 5).expect("rights", "problem", "may not create tables in schema public");
    world.set("WIX_SYNC_SCHEMA", "elsewhere");
    examine(&world, 5).expect("rights", "problem", "there is no schema elsewhere");
}

#[test]
fn a_migration_that_is_pending() {
    let world = healthy();
    world.execute("delete from sync_migrations where number = 12");
    examine(&world, 5).expect("migrations", "problem", "1 pending");
}

#[test]
fn rights_that_are_missing_and_rows_that_are_hidden() {
    let mut world = healthy();
    world.execute(
        "create role writer login; grant select, insert, update, delete on all tables in schema public to writer;
         revoke update on orders from writer; revoke delete on sync_missing from writer;
         create policy all_migrations on sync_migrations to writer using (true)",
    );
    let url = world.postgres.url_as("writer", "postgres");
    world.set("DATABASE_URL", &url);
    let found = examine(&world, 5);
    found.expect("rights", "problem", "lacks rights on orders (UPDATE), sync_missing (DELETE)");
    found.expect("row security", "problem", "may hide rows of appointments, customers, orders");
    world.execute("alter role writer bypassrls; grant all on all tables in schema public to writer");
    assert!(examine(&world, 0).faults().is_empty());
}

#[test]
fn roles_of_the_internet_that_can_read_the_tables() {
    let world = healthy();
    world.execute("create role anon nologin; create role authenticated nologin; grant usage on schema public to anon, authenticated");
    examine(&world, 0).expect("public access", "ok", "neither");
    world.execute("grant select on customers to authenticated; create policy own on customers for select to authenticated using (false)");
    examine(&world, 0).expect("public access", "warning", "authenticated can read it (policies own");
    world.execute("grant select on sync_health to anon");
    examine(&world, 5).expect("public access", "problem", "public.sync_health: anon can read it");
    world.execute("revoke select on sync_health from anon; alter table orders disable row level security; grant select (raw) on orders to anon");
    examine(&world, 5).expect("public access", "problem", "public.orders: anon can read it (row level security is off");
}

#[test]
fn what_stands_in_the_tables() {
    let mut world = healthy();
    let gate = Gate::before(&world.sim, Endpoint::OrdersSearch, 1);
    let running = world.start(&["sync", "all"]);
    gate.wait();
    let pid = running.pid();
    examine(&world, 0).expect("current run", "ok", &format!("pid {pid} on "));
    world.execute("update sync_locks set renewed_at = clock_timestamp() - interval '55 seconds'");
    examine(&world, 0).expect("current run", "warning", "last heartbeat ");
    running.signal(Signal::KILL);
    gate.open();
    running.wait();
    examine(&world, 0).expect("current run", "warning", "but its process is gone");

    world.sim.fault(Fault::on(Endpoint::OrdersSearch).always().permission_missing());
    world.run(&["sync", "all"]).expect_exit(1);
    world.sim.clear_faults();
    world.execute(
        "insert into sync_errors (table_name, record_key, reason) values ('orders', 'a', 'bad'), ('customers', 'b', 'bad');
         insert into sync_missing (table_name, wix_id) select 'orders', min(wix_order_id) from orders;
         update sync_state set last_success_at = now() - interval '25 hours' where table_name = 'orders';
         update sync_state set last_full_pass_at = now() - interval '15 days' where table_name = 'customers'",
    );
    let found = examine(&world, 5);
    found
        .expect("current run", "ok", "none")
        .expect("last run", "problem", "failed at ")
        .expect("orders", "warning", "more than a day ago")
        .expect("customers", "warning", "deletions may not be found")
        .expect("appointments", "ok", "last success")
        .expect("rejected records", "problem", "customers 1, orders 1")
        .expect("pending deletions", "ok", "orders 1; the next sync looks them up");
    world.set("WIX_SITE_ID", "another-site");
    examine(&world, 5).expect("site", "problem", "but WIX_SITE_ID is another-site");
}

#[test]
fn a_server_that_takes_no_writes_and_a_statement_timeout_that_is_short() {
    let mut world = healthy();
    world.execute("create role hasty login superuser; alter role hasty set statement_timeout = '3s'");
    let url = world.postgres.url_as("hasty", "postgres");
    world.set("DATABASE_URL", &url);
    examine(&world, 0).expect("statement timeout", "warning", "3s");
    world.execute("alter role hasty set default_transaction_read_only = on");
    examine(&world, 5).expect("server", "problem", "read-only");
}

fn pooled(mode: PoolMode, settings: &[(&str, &str)]) -> (World, PgBouncer) {
    let mut world = healthy();
    let bouncer = PgBouncer::start(&world.postgres, mode, settings).expect("the pooler starts");
    world.set("DATABASE_URL", &bouncer.url("postgres"));
    (world, bouncer)
}

#[test]
fn a_pooler_is_seen_and_nothing_is_said_that_is_not_certain() {
    examine(&healthy(), 0).expect("pooler", "ok", "none, or one in session mode");
    let one: &[(&str, &str)] = &[("default_pool_size", "1")];
    let many: &[(&str, &str)] = &[("default_pool_size", "3"), ("server_round_robin", "1")];
    for settings in [one, many, &[]] {
        let (world, _bouncer) = pooled(PoolMode::Transaction, settings);
        world.run(&["status"]).expect_exit(0);
        let found = examine(&world, 0);
        found.expect("pooler", "ok", "in transaction mode");
        assert!(found.faults().is_empty(), "{:#?}", found.finished);
    }
    let (world, _bouncer) = pooled(PoolMode::Session, &[]);
    world.run(&["status"]).expect_exit(0);
    let found = examine(&world, 0);
    let said = found.of("pooler")[0]["message"].as_str().expect("a text").to_owned();
    assert!(!said.contains("in transaction mode:"), "{said}");
    // Where no other connection is to be had, it can't be known.
    let (world, _bouncer) = pooled(PoolMode::Session, one);
    examine(&world, 0).expect("pooler", "skipped", "not known");
}

#[test]
fn a_pooler_in_statement_mode_is_named_with_a_hint() {
    let (world, _bouncer) = pooled(PoolMode::Statement, &[]);
    examine(&world, 5).expect("server", "problem", "transaction blocks not allowed in statement pooling mode");
    world.run(&["migrate"]).expect_exit(1).expect_stderr("hint: the pooler is in statement mode");
}

#[test]
fn a_server_that_takes_no_further_connection_is_no_fault_of_the_pooler() {
    let server = Server::builder().setting("max_connections", "6").setting("superuser_reserved_connections", "0");
    let server = server.setting("max_wal_senders", "0").setting("autovacuum", "off").start().expect("Postgres starts");
    let mut world = healthy();
    world.set("DATABASE_URL", &server.url("postgres"));
    world.run(&["migrate"]).expect_exit(0);
    let mut held: Vec<postgres::Client> = Vec::new();
    let last = loop {
        match postgres::Client::connect(&server.url("postgres"), postgres::NoTls) {
            Ok(client) => held.push(client),
            Err(error) => break error,
        }
    };
    assert_eq!(last.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    held.pop();
    crate::support::running::wait_until("there is room for one connection", || {
        let found = examine_if_connected(&world);
        found.is_some_and(|found| {
            found.expect("pooler", "skipped", "not known");
            true
        })
    });
}

/// A connection that was closed may still count for a moment.
fn examine_if_connected(world: &World) -> Option<Found> {
    let finished = world.run(&["doctor", "--json"]);
    let json: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    let found = Found { finished, json };
    (found.of("database")[0]["status"] == "ok").then_some(found)
}
