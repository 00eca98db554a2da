//! Credentials: both kinds under all their names, what happens when they are wrong, and that no output, log or
//! table ever shows a secret or the personal data of a site's customers.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::Value;
use wix_sim::{AuthorizationKind, Credentials, Endpoint, Entity, Fault, Sim, Site, Sizes};

use crate::support::harness::{Finished, World};

const KEY: &str = "IST.very-secret-key-4711";
const APP_SECRET: &str = "very-secret-app-secret-4712";
const PASSWORD: &str = "very-secret-password-4713";

/// A site whose credentials are distinguishable from any other text.
fn guarded(contacts: usize, bookings: usize, orders: usize) -> World {
    let credentials =
        Credentials { api_keys: vec![KEY.to_owned()], app_secret: APP_SECRET.to_owned(), ..Credentials::default() };
    let sizes = Sizes { contacts, bookings, orders, ..Sizes::default() };
    let sim = Sim::builder().credentials(credentials).start(Site::generate(sizes)).expect("the simulator starts");
    World::with_sim(sim).migrated()
}

fn without_credentials(world: &mut World) {
    for name in ["WIX_API_TOKEN", "WIX_APP_ID", "WIX_APP_SECRET", "WIX_APP_INSTANCE_ID"] {
        world.set(name, "");
    }
}

/// A directory that is removed when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("wix-sync-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A leftover in a temporary directory must not fail the test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run_in(world: &World, directory: &Directory, arguments: &[&str], without: &[&str]) -> Finished {
    let mut command = world.command(arguments);
    command.current_dir(&directory.0);
    without.iter().for_each(|name| {
        command.env_remove(name);
    });
    Finished::of(arguments, command.output().expect("the binary runs"))
}

#[test]
fn api_key_is_sent_with_the_site_id() {
    let world = guarded(3, 0, 0);
    world.sync_json(&["all"], 0);
    for request in world.sim.requests() {
        assert_eq!(request.authorization.as_deref(), Some(KEY));
        assert_eq!(request.site_id.as_ref(), Some(&world.sim.credentials().site_id));
    }
    assert_eq!(world.sim.request_count(Endpoint::OauthToken), 0);
}

#[test]
fn app_credentials_work_under_all_their_names() {
    for names in [
        ["WIX_APP_ID", "WIX_APP_SECRET", "WIX_APP_INSTANCE_ID"],
        ["WIX_CLIENT_ID", "WIX_CLIENT_SECRET", "WIX_INSTANCE_ID"],
        ["WIX_CLIENT_ID", "WIX_APP_SECRET", "WIX_INSTANCE_ID"],
    ] {
        let mut world = guarded(120, 120, 0);
        without_credentials(&mut world);
        let credentials = world.sim.credentials().clone();
        let values = [&credentials.app_id, &credentials.app_secret, &credentials.instance_id];
        names.iter().zip(values).for_each(|(name, value)| world.set(name, value));
        world.sync_json(&["all"], 0);
        world.assert_tables_equal_truth();
        assert_eq!(world.sim.request_count(Endpoint::OauthToken), 1, "one token serves all");
        let kinds: HashSet<String> = world
            .sim
            .requests()
            .iter()
            .filter(|request| !matches!(request.endpoint, Endpoint::OauthToken | Endpoint::OauthTokenInfo))
            .map(|request| format!("{:?} {:?}", request.authorization_kind(), request.site_id))
            .collect();
        assert_eq!(kinds, HashSet::from([format!("{:?} None", AuthorizationKind::Token)]));
    }
}

#[test]
fn api_key_wins_over_app_credentials_and_is_reported() {
    let mut world = guarded(3, 0, 0);
    let credentials = world.sim.credentials().clone();
    world.set("WIX_CLIENT_ID", &credentials.app_id);
    world.set("WIX_CLIENT_SECRET", &credentials.app_secret);
    world.set("WIX_INSTANCE_ID", &credentials.instance_id);
    let finished = world.run(&["sync", "all"]).expect_exit(0).expect_stderr("WIX_API_TOKEN");
    let line = finished.stderr.lines().find(|line| line.contains("WIX_CLIENT_ID")).expect("a line about both");
    assert!(line.contains("WIX_API_TOKEN"), "{line}");
    assert_eq!(world.sim.request_count(Endpoint::OauthToken), 0);
}

/// What Wix answered to the last request, in its headers.
#[track_caller]
fn assert_refused(world: &World, variables: &[&str], status: &str) {
    let finished = world.run(&["sync", "all"]).expect_exit(1).expect_stderr(status).expect_stderr("Wix request id ");
    let error: String =
        world.value("select error from sync_logs where status = 'failed' order by started_at desc limit 1");
    for variable in variables {
        assert!(finished.stderr.contains(variable), "{variable} is not in {}", finished.stderr);
    }
    assert!(error.contains("Wix request id ") && error.contains(status), "{error}");
}

#[test]
fn refused_credentials_name_variables_and_request_id() {
    let mut world = guarded(3, 0, 0);
    world.set("WIX_API_TOKEN", "IST.another-secret-key");
    assert_refused(&world, &["WIX_API_TOKEN"], "401");
    assert_eq!(world.sim.requests().len(), 3, "once a table: a 401 can be a permission that one of them lacks");

    let mut world = guarded(3, 0, 0);
    world.set("WIX_SITE_ID", "11111111-1111-4111-8111-111111111111");
    assert_refused(&world, &["WIX_SITE_ID"], "403");

    for (wrong, status) in [("WIX_APP_ID", "401"), ("WIX_APP_SECRET", "401"), ("WIX_APP_INSTANCE_ID", "400")] {
        let mut world = guarded(3, 0, 0).with_app();
        world.set(wrong, "00000000-0000-4000-8000-00000000dead");
        assert_refused(&world, &["WIX_APP_ID", "WIX_APP_SECRET", "WIX_APP_INSTANCE_ID"], status);
        assert_eq!(world.sim.requests().len(), 1, "a wrong secret is not tried again");
    }
}

#[test]
fn refused_fresh_token_fails_the_table() {
    let world = guarded(3, 0, 0).with_app();
    let listings = [Endpoint::ContactsQuery, Endpoint::BookingsQuery, Endpoint::OrdersSearch];
    for listing in listings {
        world.sim.fault(Fault::on(listing).always().unauthenticated());
    }
    world.run(&["sync", "customers"]).expect_exit(1).expect_stderr("WIX_APP_SECRET");
    assert_eq!(world.sim.request_count(Endpoint::OauthToken), 2, "two fresh tokens, and no more");
    world.sim.clear_requests();
    assert_refused(&world, &["WIX_APP_SECRET"], "401");
    // The other tables are tried too: the first is refused once, the other possibly with that one's token.
    assert!(world.sim.request_count(Endpoint::OauthToken) <= 4);
    assert!(listings.iter().all(|listing| world.sim.request_count(*listing) <= 2));
}

#[test]
fn missing_variables_are_wrong_use_and_named() {
    let mut world = guarded(3, 0, 0);
    world.set("WIX_SITE_ID", "");
    world.run(&["sync", "all"]).expect_exit(2).expect_stderr("WIX_SITE_ID is not set");
    world.set("WIX_SITE_ID", "site");
    without_credentials(&mut world);
    world.run(&["sync", "all"]).expect_exit(2).expect_stderr("WIX_API_TOKEN").expect_stderr("WIX_APP_SECRET");
    world.set("WIX_CLIENT_ID", "x");
    world.set("WIX_CLIENT_SECRET", "x");
    world.run(&["sync", "all"]).expect_exit(2).expect_stderr("WIX_APP_INSTANCE_ID is not set");
    assert_eq!(world.sim.requests().len(), 0);
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 0, "nothing was started");
}

#[test]
fn dotenv_file_is_read_and_the_environment_wins() {
    let world = guarded(3, 0, 0);
    let directory = Directory::new("dotenv");
    let site = &world.sim.credentials().site_id;
    let url = world.postgres.url("postgres");
    let file =
        |key: &str| format!("# comment\nexport WIX_SITE_ID={site}\nWIX_API_TOKEN=\"{key}\"\nDATABASE_URL='{url}'\n");
    let ours = ["WIX_SITE_ID", "WIX_API_TOKEN", "DATABASE_URL"];

    std::fs::write(directory.0.join(".env"), file(KEY)).expect("a file");
    run_in(&world, &directory, &["sync", "all"], &ours).expect_exit(0);
    world.assert_tables_equal_truth();

    std::fs::write(directory.0.join(".env"), file("IST.old")).expect("a file");
    run_in(&world, &directory, &["sync", "all"], &ours[..1]).expect_exit(0);
    run_in(&world, &directory, &["sync", "all"], &ours).expect_exit(1);

    std::fs::write(directory.0.join(".env"), "WIX_SITE_ID=x\nthis secret-4714 is no line\n").expect("a file");
    let finished = run_in(&world, &directory, &["sync", "all"], &ours[..1]).expect_exit(2).expect_stderr(".env");
    assert!(!finished.stderr.contains("4714"), "the line is not quoted: {}", finished.stderr);
}

#[test]
fn env_file_is_read_from_the_path_that_the_flag_names() {
    let world = guarded(3, 0, 0);
    let directory = Directory::new("env-file");
    let (site, url) = (&world.sim.credentials().site_id, world.postgres.url("postgres"));
    let ours = ["WIX_SITE_ID", "WIX_API_TOKEN", "DATABASE_URL"];
    let text = format!("WIX_SITE_ID={site}\nWIX_API_TOKEN={KEY}\nDATABASE_URL='{url}'\n");
    let path = directory.0.join("site.env");
    let flag = path.to_str().expect("it is UTF-8");
    let run = |arguments: &[&str]| run_in(&world, &directory, arguments, &ours);

    std::fs::write(&path, format!("\u{FEFF}{text}")).expect("a file");
    run(&["sync", "--env-file", flag]).expect_exit(0);
    run(&["--env-file", "site.env", "status"]).expect_exit(0);
    // Without the flag, the message names the directory in which there is no `.env`.
    let missing = run(&["sync"]).expect_exit(2).expect_stderr("no .env in ").expect_stderr("--env-file");
    assert!(ours.iter().all(|name| missing.stderr.contains(name)), "{missing:#?}");

    let utf16: Vec<u8> = "\u{FEFF}A=1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, utf16).expect("a file");
    run(&["sync", "--env-file", flag]).expect_exit(2).expect_stderr("site.env is encoded in UTF-16");
    run(&["sync", "--env-file", "absent.env"]).expect_exit(2).expect_stderr("--env-file absent.env cannot be read");
    run(&["status", "--env-file", "."]).expect_exit(2).expect_stderr("--env-file . cannot be read");
}

#[test]
fn unknown_variables_are_warned_about_by_every_command() {
    let mut world = guarded(3, 0, 0);
    world.set("WIX_SYNC_BATCHSIZE", "1");
    world.set("WIX_WEBHOOK_PUBLIC_KEY", "x");
    for arguments in [&["sync"][..], &["status"], &["migrate"], &["verify"], &["errors"]] {
        let finished = world.run(arguments).expect_exit(0);
        let expected = "WIX_SYNC_BATCHSIZE is unknown and has no effect; did you mean WIX_SYNC_BATCH_SIZE?";
        assert!(finished.stderr.contains(expected), "{finished:#?}");
        assert!(!finished.stderr.contains("WIX_WEBHOOK_PUBLIC_KEY"), "{finished:#?}");
    }
}

/// All text that a run writes about itself to the tables.
fn told_in_tables(world: &World) -> String {
    let rows = world.rows_as_json("select to_jsonb(l) from sync_logs l");
    let errors = world.rows_as_json("select reason, wix_id, record_key, table_name from sync_errors");
    rows.iter().chain(&errors).map(Value::to_string).collect::<Vec<_>>().join("\n")
}

/// No run may show any of `hidden` in its outputs or in the tables.
#[track_caller]
fn assert_all_hidden(world: &World, hidden: &[String], runs: &[Finished]) {
    let tables = told_in_tables(world);
    for run in runs {
        for (place, text) in [("stdout", &run.stdout), ("stderr", &run.stderr), ("the tables", &tables)] {
            for secret in hidden {
                assert!(!text.contains(secret.as_str()), "`{}` shows `{secret}` in {place}", run.arguments);
            }
        }
    }
}

const WAYS: [&[&str]; 4] = [
    &["sync", "all"],
    &["sync", "all", "-vv"],
    &["sync", "all", "-vv", "--log-format", "json", "--json"],
    &["sync", "all", "-q", "--json"],
];

/// Runs with each verbosity, once with success and once with each kind of failure.
fn runs_in_all_ways(world: &mut World, secret: &str) -> Vec<Finished> {
    let mut runs: Vec<Finished> = WAYS.iter().map(|way| world.run(way)).collect();
    runs.extend([&["status"][..], &["status", "--json"], &["migrate", "-vv"]].map(|arguments| world.run(arguments)));
    assert!(runs.iter().all(|run| run.code == Some(0)), "{runs:#?}");

    // An error message could quote what was sent.
    let echo = format!(r#"{{"message":"no: {secret}","details":{{}}}}"#);
    let faults: [fn(&str) -> Fault; 4] = [
        |echo| Fault::on(Endpoint::Any).always().status(401).body(echo),
        |echo| Fault::on(Endpoint::Any).always().status(403).body(echo),
        |echo| Fault::on(Endpoint::Any).always().status(500).body(echo),
        |_| Fault::on(Endpoint::Any).always().close(),
    ];
    for fault in faults {
        world.sim.clear_faults();
        world.sim.fault(fault(&echo));
        runs.extend(WAYS[..3].iter().map(|way| world.run(way).expect_exit(1)));
    }
    world.sim.clear_faults();
    let url = world.postgres.url("postgres");
    let wrong = [
        format!("postgresql://postgres:{PASSWORD}@127.0.0.1:1/postgres"),
        format!("postgresql://postgres:{PASSWORD}@127.0.0.1:notaport/postgres"),
        format!("host=127.0.0.1 port=1 password={PASSWORD}"),
        format!("password={PASSWORD} nonsense"),
    ];
    for url in wrong {
        world.set("DATABASE_URL", &url);
        for way in WAYS.into_iter().chain([&["status"][..], &["migrate"]]) {
            let run = world.run(way);
            assert!(matches!(run.code, Some(1 | 2)), "{run:#?}");
            runs.push(run);
        }
    }
    world.set("DATABASE_URL", &url);
    runs
}

#[test]
fn no_secret_is_shown_anywhere() {
    for with_app in [false, true] {
        let mut world = guarded(12, 8, 8);
        if with_app {
            world = world.with_app();
        }
        let url = world.postgres.url("postgres");
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}password={PASSWORD}");
        world.set("DATABASE_URL", &url);
        world.run(&["sync", "all"]).expect_exit(0);
        let mut runs = runs_in_all_ways(&mut world, if with_app { APP_SECRET } else { KEY });
        world.set("WIX_API_TOKEN", "IST.wrong-secret-key-4715");
        runs.push(world.run(&["sync", "all", "-vv"]).expect_exit(1));
        let mut hidden: Vec<String> = [KEY, APP_SECRET, PASSWORD, "secret-key-4715"].map(str::to_owned).to_vec();
        hidden.push(url);
        for request in world.sim.requests() {
            hidden.extend(request.authorization.filter(|_| with_app));
        }
        assert!(!with_app || hidden.iter().any(|text| text.starts_with("OauthNG.")), "tokens were used");
        assert_all_hidden(&world, &hidden, &runs);
    }
}

#[test]
fn access_token_quoted_by_wix_is_not_shown() {
    let world = guarded(3, 0, 0).with_app();
    let token = "OauthNG.JWS.quoted-token-4716";
    let answer = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":14400}}"#);
    world.sim.fault(Fault::on(Endpoint::OauthToken).always().body(answer));
    let quote = format!(r#"{{"message":"{token} may not do this","details":{{}}}}"#);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().status(403).body(quote));
    let run = world.run(&["sync", "customers", "-vv"]).expect_exit(1).expect_stderr("may not do this");
    assert_all_hidden(&world, &[token.to_owned()], &[run]);
}

/// The names, emails and phones of the site's people that are distinguishable from ordinary words.
fn personal_data(world: &World) -> Vec<String> {
    let mut found = HashSet::new();
    for contact in world.sim.contacts() {
        let name = &contact["info"]["name"];
        let info = [&name["first"], &name["last"], &contact["primaryInfo"]["email"], &contact["primaryInfo"]["phone"]];
        found.extend(info.into_iter().filter_map(Value::as_str).map(str::to_owned));
    }
    for order in world.sim.orders() {
        found.extend(order["buyerInfo"]["email"].as_str().map(str::to_owned));
    }
    found.retain(|text| text.chars().count() > 4);
    assert!(found.len() > 30, "{}", found.len());
    found.into_iter().collect()
}

#[test]
fn no_personal_data_is_shown_anywhere() {
    let mut world = guarded(25, 15, 15);
    let mut hidden = personal_data(&world);
    let mut runs = runs_in_all_ways(&mut world, KEY);

    // Rejected records are named by id and never quoted.
    let bad = [
        (
            Entity::Contacts,
            r#"{"id":"bad-1","primaryInfo":{"email":"hidden-1@x.example"},"info":{"name":{"first":["Hidden-2"]}}}"#,
        ),
        (Entity::Contacts, r#"{"id":"bad-2","info":{"birthdate":"hidden-3"}}"#),
        (Entity::Contacts, r#"{"primaryInfo":{"email":"hidden-4@x.example"}}"#),
        (Entity::Contacts, r#"{"id":"bad-3","primaryInfo":{"email":"hidden-5@x.example"},"info":{"x":1e400000}}"#),
        (Entity::Orders, r#"{"id":"bad-4","status":"APPROVED","priceSummary":{"total":{"amount":"hidden-6"}}}"#),
        (Entity::Orders, r#"{"id":"bad-5","status":"APPROVED","purchasedDate":"hidden-7"}"#),
    ];
    bad.iter().for_each(|(entity, text)| world.sim.put_raw(*entity, text));
    world.execute(
        "create function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'no: %', new.email; end $$;
         create trigger refuse before insert on customers for each row when (new.wix_contact_id = 'bad-6') execute function refuse();
         create unique index one_email on customers (email) where email like 'hidden-9%'",
    );
    world.sim.put_raw(Entity::Contacts, r#"{"id":"bad-6","primaryInfo":{"email":"hidden-8@x.example"}}"#);
    world.sim.put_raw(Entity::Contacts, r#"{"id":"bad-7","primaryInfo":{"email":"hidden-9@x.example"}}"#);
    world.sim.put_raw(Entity::Contacts, r#"{"id":"bad-8","primaryInfo":{"email":"hidden-9@x.example"}}"#);
    runs.extend(WAYS.iter().map(|way| world.run(&[*way, &["--full"]].concat()).expect_exit(3)));
    runs.push(world.run(&["status", "--json"]));
    hidden.extend(["hidden-", "Hidden-"].map(str::to_owned));
    assert_all_hidden(&world, &hidden, &runs);
    assert_eq!(world.value::<i64>("select count(*) from sync_errors"), 4);
    assert_eq!(world.value::<i64>("select count(*) from sync_unreadable"), 4);
}

#[test]
fn mistyped_site_id_does_not_claim_a_schema() {
    let mut world = World::new(5, 0, 0).migrated();
    world.set("WIX_SITE_ID", "00000000-0000-4000-8000-00000000dead");
    world.run(&["sync", "customers"]).expect_exit(1);
    assert!(world.value::<String>("select distinct wix_site_id from sync_state").ends_with("dead"));
    world.set("WIX_SITE_ID", "00000000-0000-4000-8000-0000000000aa");
    world.run(&["verify", "customers"]).expect_exit(5);
    let examined = world.run(&["doctor"]);
    assert!(examined.stdout.contains("holds no site yet"), "{examined:#?}");
    world.run(&["sync", "customers"]).expect_exit(0);
    assert!(world.value::<String>("select distinct wix_site_id from sync_state").ends_with("aa"));

    world.set("WIX_SITE_ID", "00000000-0000-4000-8000-00000000dead");
    for command in ["sync", "verify"] {
        world
            .run(&[command, "customers"])
            .expect_exit(2)
            .expect_stderr("holds site 00000000-0000-4000-8000-0000000000aa");
    }
}
