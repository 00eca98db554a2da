//! App credentials of another installation, as in a copied `.env`: the site of the access token is confirmed before a
//! record is read, and the result is stored.

use wix_sim::{Endpoint, Fault};

use crate::support::harness::{Finished, World};

const VARIABLE: &str = "WIX_APP_INSTANCE_ID";

/// The site of the simulator's own credentials.
const SITE: &str = "00000000-0000-4000-8000-0000000000aa";
const INSTANCE: &str = "00000000-0000-4000-8000-0000000000cc";

/// An installation of the same app on another firm's site.
const OTHER_SITE: &str = "00000000-0000-4000-8000-00000000dead";
const OTHER_INSTANCE: &str = "00000000-0000-4000-8000-00000000beef";

/// The installation that the app gets when it is installed on the first site again.
const NEW_INSTANCE: &str = "00000000-0000-4000-8000-0000000000dd";

/// A migrated schema and app credentials of the right installation.
fn world() -> World {
    let world = World::new(20, 15, 15).migrated().with_app();
    assert_eq!(
        (world.sim.credentials().site_id.as_str(), world.sim.credentials().instance_id.as_str()),
        (SITE, INSTANCE)
    );
    world.sim.install_app(OTHER_INSTANCE, OTHER_SITE);
    world.sim.install_app(NEW_INSTANCE, SITE);
    world
}

/// After a first run.
fn filled() -> World {
    let world = world();
    world.run(&["sync", "all"]).expect_exit(0);
    world.sim.clear_requests();
    world
}

/// Requests that read records.
fn reads(world: &World) -> usize {
    let of_tokens = [Endpoint::OauthToken, Endpoint::OauthTokenInfo].map(|endpoint| world.sim.request_count(endpoint));
    world.sim.request_count(Endpoint::Any) - of_tokens.iter().sum::<usize>()
}

fn questions(world: &World) -> usize {
    world.sim.request_count(Endpoint::OauthTokenInfo)
}

/// What is stored: the installation and the site that Wix named for it, the same for each table.
fn remembered(world: &World) -> (Option<String>, Option<String>) {
    let rows = world.query("select distinct wix_instance_id, wix_instance_site_id from sync_state");
    assert_eq!(rows.len(), 1, "{rows:?}");
    (rows[0].get(0), rows[0].get(1))
}

fn pair(instance: &str, site: Option<&str>) -> (Option<String>, Option<String>) {
    (Some(instance.to_owned()), site.map(str::to_owned))
}

/// Everything in the tables, to show that nothing was written. Not the lease.
fn rows(world: &World) -> Vec<String> {
    let tables = ["customers", "appointments", "orders", "sync_state", "sync_logs", "sync_errors", "sync_missing"];
    let all = tables.map(|table| format!("select '{table}' || t::text r from {table} t")).join(" union all ");
    world.query(&format!("{all} order by 1")).iter().map(|row| row.get(0)).collect()
}

/// Fails unless the command is refused with exit code 2 and this message, and neither reads records nor writes rows.
#[track_caller]
fn assert_refused(world: &World, arguments: &[&str], words: &[&str]) -> Finished {
    let before = rows(world);
    world.sim.clear_requests();
    let mut finished = world.run(arguments).expect_exit(2);
    for word in words {
        finished = finished.expect_stderr(word);
    }
    assert_eq!(reads(world), 0, "{finished:#?}");
    assert_eq!(rows(world), before, "{finished:#?}");
    finished
}

/// All responses from which the token's site is unknown.
fn silences() -> Vec<(&'static str, Fault)> {
    let fault = || Fault::on(Endpoint::OauthTokenInfo).always();
    vec![
        ("404", fault().status(404)),
        ("500", fault().system_error()),
        ("429", fault().throttled().retry_after("600")),
        ("html", fault().html("<html>maintenance</html>")),
        ("closed", fault().close()),
        ("cut", fault().cut_body()),
        ("no_site", fault().body(r#"{"active":true,"clientId":"app"}"#)),
        ("null", fault().body(r#"{"active":true,"siteId":null,"instanceId":""}"#)),
        ("inactive", fault().body(r#"{"active":false}"#)),
        ("list", fault().body("[]")),
    ]
}

#[test]
fn first_run_with_another_installation_reads_nothing() {
    for variable in [VARIABLE, "WIX_INSTANCE_ID"] {
        let mut world = world();
        world.set(VARIABLE, "");
        world.set(variable, OTHER_INSTANCE);
        let words = [variable, OTHER_SITE, "but WIX_SITE_ID is", SITE, "hint: set"];
        let finished = assert_refused(&world, &["sync", "all"], &words);
        assert!(!finished.stderr.contains("Earlier runs"), "{finished:#?}");
        assert_eq!(world.value::<i64>("select count(*) from sync_state"), 0, "the schema stays free");
        // The same schema accepts the right installation.
        world.set(variable, INSTANCE);
        world.run(&["sync", "all"]).expect_exit(0);
        world.assert_tables_equal_truth();
    }
}

#[test]
fn filled_schema_refuses_another_installation() {
    let mut world = filled();
    world.set(VARIABLE, OTHER_INSTANCE);
    for arguments in [
        &["sync", "all"][..],
        &["sync", "all", "--full"],
        &["sync", "orders", "--dry-run"],
        &["verify", "all"],
        &["verify", "all", "--repair"],
        &["errors", "retry"],
    ] {
        let finished = assert_refused(&world, arguments, &[VARIABLE, OTHER_SITE, SITE]);
        assert!(!finished.stderr.contains("Earlier runs"), "the site is confirmed: {finished:#?}");
    }
    assert_eq!(remembered(&world), pair(INSTANCE, Some(SITE)));
}

#[test]
fn known_pair_is_not_asked_about() {
    let world = world();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(questions(&world), 1);
    let asked = world.sim.requests().into_iter().find(|request| request.endpoint == Endpoint::OauthTokenInfo);
    assert_eq!(asked.and_then(|request| request.authorization), None);
    assert_eq!(remembered(&world), pair(INSTANCE, Some(SITE)));
    world.sim.clear_requests();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(world.sim.request_count(Endpoint::Any), 4, "a token, and one request for each table");
    world.run(&["verify", "all"]);
    world.run(&["sync", "all", "--dry-run"]);
    assert_eq!(questions(&world), 0);
}

#[test]
fn schema_of_an_older_version_is_asked_about_once() {
    let mut world = filled();
    // A schema that an older version filled, after `migrate`.
    world.execute("update sync_state set wix_instance_id = null, wix_instance_site_id = null");
    world.set(VARIABLE, OTHER_INSTANCE);
    let words = [OTHER_SITE, "Earlier runs may have written records of site", "into schema public"];
    assert_refused(&world, &["sync", "all"], &words);
    world.set(VARIABLE, INSTANCE);
    world.sim.clear_requests();
    for _ in 0..2 {
        world.run(&["sync", "all"]).expect_exit(0);
    }
    assert_eq!((questions(&world), remembered(&world)), (1, pair(INSTANCE, Some(SITE))));
}

#[test]
fn first_pair_without_a_response_is_checked_again() {
    let mut world = world();
    for (name, fault) in silences() {
        world.set("WIX_SYNC_SCHEMA", name);
        world.run(&["migrate"]).expect_exit(0);
        world.sim.fault(fault);
        let notice = format!("could not confirm that {VARIABLE} is the app's installation on site {SITE}: ");
        for arguments in [["sync", "all", "--dry-run"], ["sync", "all", "--json"], ["sync", "all", "--full"]] {
            world.sim.clear_requests();
            world.run(&arguments).expect_exit(0).expect_stderr(&notice);
            assert!((1..=4).contains(&questions(&world)), "{name}: {}", questions(&world));
        }
        let query = |sql: &str| world.value::<i64>(&sql.replace("FROM", &format!("from \"{name}\".")));
        assert_eq!(query("select count(*) FROMcustomers where raw is not null"), 20, "{name}");
        assert_eq!(query("select count(*) FROMsync_state where wix_instance_id is not null"), 3, "{name}");
        assert_eq!(query("select count(wix_instance_site_id) FROMsync_state"), 0, "{name}");
        world.sim.clear_faults();
        world.sim.clear_requests();
        for _ in 0..2 {
            world.run(&["sync", "all"]).expect_exit(0);
        }
        assert_eq!((questions(&world), query("select count(wix_instance_site_id) FROMsync_state")), (1, 3), "{name}");
    }
}

#[test]
fn accepted_pair_of_another_site_is_refused_later() {
    let mut world = world();
    world.set(VARIABLE, OTHER_INSTANCE);
    world.sim.fault(Fault::on(Endpoint::OauthTokenInfo).status(404));
    world.run(&["sync", "all"]).expect_exit(0).expect_stderr("could not confirm");
    let words = [OTHER_SITE, SITE, "Earlier runs may have written records of site", "into schema public"];
    assert_refused(&world, &["sync", "all"], &words);
    assert_eq!(remembered(&world), pair(OTHER_INSTANCE, None));
}

#[test]
fn changed_pair_without_a_response_is_refused() {
    let mut world = filled();
    for instance in [NEW_INSTANCE, OTHER_INSTANCE] {
        world.set(VARIABLE, instance);
        for (_, fault) in silences() {
            world.sim.fault(fault);
            let words = [VARIABLE, INSTANCE, instance, "schema public", "could not be confirmed", "hint: if the app"];
            assert_refused(&world, &["sync", "all"], &words);
            assert_refused(&world, &["verify", "all"], &words);
            world.sim.clear_faults();
        }
    }
    assert_eq!(remembered(&world), pair(INSTANCE, Some(SITE)));
}

#[test]
fn app_reinstalled_on_the_same_site_is_accepted() {
    let mut world = filled();
    world.set(VARIABLE, NEW_INSTANCE);
    let notice = format!("{VARIABLE} changed from {INSTANCE} to {NEW_INSTANCE}");
    world.run(&["verify", "customers"]).expect_exit(0).expect_stderr(&notice);
    assert_eq!(remembered(&world), pair(INSTANCE, Some(SITE)), "verify writes nothing");
    world.run(&["sync", "all"]).expect_exit(0).expect_stderr(&notice);
    assert_eq!(remembered(&world), pair(NEW_INSTANCE, Some(SITE)));
    world.sim.clear_requests();
    let finished = world.run(&["sync", "all"]).expect_exit(0);
    assert!(!finished.stderr.contains(VARIABLE), "{finished:#?}");
    assert_eq!(questions(&world), 0);
}

#[test]
fn token_of_another_installation_is_refused() {
    let world = world();
    for site in [format!(r#","siteId":"{SITE}""#), String::new()] {
        let answer = format!(r#"{{"active":true,"instanceId":"{OTHER_INSTANCE}"{site}}}"#);
        world.sim.fault(Fault::on(Endpoint::OauthTokenInfo).body(answer));
        assert_refused(&world, &["sync", "all"], &[VARIABLE, OTHER_INSTANCE, INSTANCE]);
    }
}

#[test]
fn ids_are_the_same_in_upper_case_and_with_spaces() {
    let world = world();
    for (site, instance) in [("siteId", "instanceId"), ("site_id", "instance_id")] {
        let answer = format!(r#"{{"{site}":" {} ","{instance}":"{} "}}"#, SITE.to_uppercase(), INSTANCE.to_uppercase());
        world.sim.fault(Fault::on(Endpoint::OauthTokenInfo).body(answer));
        world.run(&["sync", "all"]).expect_exit(0);
        assert_eq!(remembered(&world), pair(INSTANCE, Some(SITE)));
        world.execute("update sync_state set wix_instance_id = upper(wix_instance_id)");
        world.sim.clear_requests();
        world.run(&["sync", "all"]).expect_exit(0);
        assert_eq!(questions(&world), 0);
        world.execute("update sync_state set wix_instance_id = null, wix_instance_site_id = null");
        // The other spelling names the other site.
        let answer = format!(r#"{{"{site}":"{OTHER_SITE}"}}"#);
        world.sim.fault(Fault::on(Endpoint::OauthTokenInfo).body(answer));
        assert_refused(&world, &["sync", "all"], &[OTHER_SITE]);
    }
}

#[test]
fn failed_token_info_request_is_retried() {
    let mut world = world();
    world.set(VARIABLE, OTHER_INSTANCE);
    for fault in [
        Fault::on(Endpoint::OauthTokenInfo).times(2).system_error(),
        Fault::on(Endpoint::OauthTokenInfo).html("<html></html>"),
        Fault::on(Endpoint::OauthTokenInfo).times(3).throttled().retry_after("0"),
    ] {
        world.sim.fault(fault);
        assert_refused(&world, &["sync", "all"], &[OTHER_SITE]);
    }
}

#[test]
fn token_after_the_check_gave_up_reads_nothing() {
    let mut world = world();
    world.set(VARIABLE, OTHER_INSTANCE);
    // The check makes four attempts; a fifth would get a token.
    world.sim.fault(Fault::on(Endpoint::OauthToken).times(4).system_error());
    world.run(&["sync", "all"]).expect_exit(1).expect_stderr("/oauth2/token in 4 tries");
    assert_eq!((reads(&world), world.sim.request_count(Endpoint::OauthToken)), (0, 4));
    assert_eq!(world.value::<String>("select status from sync_logs"), "failed");
    assert_eq!(remembered(&world), (None, None));
}

#[test]
fn api_key_run_does_not_check_the_installation() {
    let world = filled().with_api_key();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!((questions(&world), remembered(&world)), (0, pair(INSTANCE, Some(SITE))));
    let mut world = world.with_app();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!(questions(&world), 0);
    world.set(VARIABLE, OTHER_INSTANCE);
    assert_refused(&world, &["sync", "all"], &[OTHER_SITE]);

    // A schema that was filled with an API key stores no installation: the site of the first credentials is checked.
    let mut world = self::world().with_api_key();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!((questions(&world), remembered(&world)), (0, (None, None)));
    world = world.with_app();
    world.run(&["sync", "all"]).expect_exit(0);
    assert_eq!((questions(&world), remembered(&world)), (1, pair(INSTANCE, Some(SITE))));
}

#[test]
fn confirmation_counts_only_for_the_site_that_wix_named() {
    let mut world = world();
    world.set(VARIABLE, OTHER_INSTANCE);
    world.set("WIX_SITE_ID", OTHER_SITE);
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).always().permission_missing());
    world.run(&["sync", "customers"]).expect_exit(1);
    world.sim.clear_faults();
    assert_eq!(remembered(&world), pair(OTHER_INSTANCE, Some(OTHER_SITE)));
    // No record was read, so the schema still accepts the first site.
    world = world.with_api_key();
    world.run(&["sync", "customers"]).expect_exit(0);
    world = world.with_app();
    world.set(VARIABLE, OTHER_INSTANCE);
    assert_refused(&world, &["sync", "all"], &[OTHER_SITE, SITE]);
}

#[test]
fn range_as_the_first_run_binds_the_schema_to_its_site() {
    let mut world = world();
    world.sim.fault(Fault::on(Endpoint::OauthTokenInfo).times(2).status(404));
    world.run(&["sync", "appointments", "--start", "2000-01-01"]).expect_exit(0).expect_stderr("could not confirm");
    assert!(world.value::<i64>("select count(*) from appointments") > 0);
    world.set(VARIABLE, OTHER_INSTANCE);
    assert_refused(&world, &["sync", "all"], &["was filled through", INSTANCE]);
    world.set("WIX_SITE_ID", OTHER_SITE);
    assert_refused(&world, &["sync", "all"], &["schema public holds site", SITE]);
}

#[test]
fn mistyped_installation_does_not_claim_a_schema() {
    let mut world = world();
    world.sim.fault(Fault::on(Endpoint::OauthTokenInfo).always().status(404));
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).permission_missing());
    world.set(VARIABLE, OTHER_INSTANCE);
    world.run(&["sync", "customers"]).expect_exit(1);
    assert_eq!(remembered(&world), pair(OTHER_INSTANCE, None));
    world.set(VARIABLE, INSTANCE);
    world.run(&["sync", "customers"]).expect_exit(0);
    assert_eq!(remembered(&world), pair(INSTANCE, None));
}

#[test]
fn access_token_that_token_info_quotes_is_not_shown() {
    let world = world();
    let token = "OauthNG.JWS.quoted-token-4717";
    let answer = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":14400}}"#);
    world.sim.fault(Fault::on(Endpoint::OauthToken).always().body(answer));
    for (fault, code) in [
        (Fault::on(Endpoint::OauthTokenInfo).body(format!(r#"{{"siteId":"{token}"}}"#)), 2),
        (Fault::on(Endpoint::OauthTokenInfo).body(format!(r#"{{"instanceId":"{token}"}}"#)), 2),
        (Fault::on(Endpoint::OauthTokenInfo).status(400).body(format!(r#"{{"message":"what is {token}"}}"#)), 1),
        (Fault::on(Endpoint::OauthTokenInfo).always().status(500).body(format!(r#"{{"message":"{token}"}}"#)), 1),
    ] {
        world.sim.fault(fault.clone());
        let synced = world.run(&["sync", "all", "-vv"]).expect_exit(code).expect_stderr("***");
        world.sim.fault(fault);
        let examined = world.run(&["doctor"]).expect_exit(5);
        for shown in [synced.shown(), examined.shown()] {
            assert!(!shown.contains("quoted-token"), "{shown}");
        }
        assert!(examined.stdout.contains("***"), "{examined:#?}");
    }
}
