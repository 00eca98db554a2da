//! Addresses: which are refused, which never receive secrets, and that their passwords are never shown.

use private_postgres::Server;
use wix_sim::{Endpoint, Fault, Sim, Site};

use crate::support::harness::World;
use crate::support::monitor::{CHECK, Monitor};

const PASSWORD: &str = "pa55-in-the-address";

fn empty() -> World {
    let sim = Sim::start(Site::empty()).expect("the simulator starts");
    World::with_server(sim, Server::builder()).migrated()
}

#[test]
fn password_in_the_base_url_is_never_shown() {
    let mut world = empty();
    let port = world.sim.base_url().rsplit(':').next().expect("a port").to_owned();
    let refused = [
        format!("http://user:{PASSWORD}@wix.example.test"),
        format!("ftp://user:{PASSWORD}@127.0.0.1:{port}"),
        format!("http://user:{PASSWORD}@127.0.0.1:{port}0000"),
        format!("http://user:{PASSWORD}@[::1"),
        format!("user:{PASSWORD}@127.0.0.1:{port}"),
        format!("https://127.0.0.1/?token={PASSWORD}"),
    ];
    let reached = format!("http://user:{PASSWORD}@127.0.0.1:{port}/");
    let unreachable = format!("http://user:{PASSWORD}@127.0.0.1:1");
    let mut cases: Vec<(&String, i32)> = refused.iter().map(|url| (url, 2)).collect();
    cases.extend([(&reached, 0), (&unreachable, 1)]);
    for (url, exit) in cases {
        world.set("WIX_API_BASE_URL", url);
        let sync = world.run(&["sync", "all", "-vv", "--max-retries", "0"]).expect_exit(exit);
        let outputs = [sync, world.run(&["doctor"]), world.run(&["doctor", "--json"]), world.run(&["verify"])];
        for output in outputs {
            assert!(!output.shown().contains(PASSWORD), "{url}: {output:#?}");
        }
    }
    world.set("WIX_API_BASE_URL", &reached);
    world.set("WIX_RATE_LIMIT", "200");
    // A last run that failed is a problem too.
    world.run(&["sync", "all"]).expect_exit(0);
    let shown = world.run(&["doctor"]).expect_exit(0).stdout;
    assert!(shown.contains(&format!("http://127.0.0.1:{port}\n")), "{shown}");
    let logged: String = world.value("select coalesce(string_agg(l::text, ' '), '') from sync_logs l");
    assert!(!logged.contains(PASSWORD), "{logged}");
}

#[test]
fn credentials_are_not_sent_unencrypted_to_another_host() {
    let mut world = empty();
    for kind in [World::with_api_key, World::with_app] {
        world = kind(world);
        for base in [
            "http://wix.example.test",
            "http://127.0.0.1.example.test",
            "http://127.0.0.1@wix.example.test",
            "http://localhost.example.test:8080/wix",
            "http://192.0.2.1",
            "http://0.0.0.0",
            "http://[2001:db8::1]:8080",
        ] {
            world.set("WIX_API_BASE_URL", base);
            for arguments in [&["sync", "all"][..], &["verify"], &["errors", "retry"], &["sync", "all", "--dry-run"]] {
                let finished = world.run(arguments).expect_exit(2).expect_stderr("WIX_API_BASE_URL: ");
                finished.expect_stderr("unencrypted").expect_stderr("https://");
            }
            world.run(&["doctor"]).expect_exit(5);
        }
        world.set("WIX_API_BASE_URL", "");
    }
    assert_eq!(world.value::<i64>("select count(*) from sync_logs"), 0);
    let local = world.sim.base_url().replace("127.0.0.1", "localhost");
    world = world.with_api_key();
    world.set("WIX_API_BASE_URL", &local);
    world.run(&["sync", "all"]).expect_exit(0);
}

#[test]
fn invalid_address_is_refused_at_once() {
    let mut world = empty();
    let bad = ["https://", "http://:80", "http://127.0.0.1:99999", "http://[::1", "wix", "ftp://h", "http://a b/"];
    for variable in ["WIX_API_BASE_URL", "WIX_SYNC_HEALTHCHECK_URL"] {
        let before = world.sim.base_url();
        for address in bad {
            world.set(variable, address);
            let finished = world.run(&["sync", "all"]).expect_exit(2).expect_stderr(variable);
            assert_eq!(finished.stderr.matches("error: ").count(), 1, "{finished:#?}");
        }
        world.set(variable, if variable == "WIX_API_BASE_URL" { &before } else { "" });
    }
    assert_eq!((world.sim.requests().len(), world.value::<i64>("select count(*) from sync_logs")), (0, 0));
}

#[test]
fn healthcheck_redirect_to_another_host_is_not_followed() {
    let mut world = empty();
    let (monitor, other) = (Monitor::start(), Monitor::start());
    world.set("WIX_SYNC_HEALTHCHECK_URL", &monitor.url());
    for status in [301, 302, 303, 307, 308] {
        monitor.redirect_to(status, &format!("{}?rid=x", other.url()));
        let finished = world.run(&["sync", "all"]).expect_exit(0).expect_stderr(&format!("it answered {status}"));
        assert!(!finished.shown().contains(CHECK), "{finished:#?}");
        finished.expect_stderr("another host");
    }
    assert!(other.take().is_empty(), "the other host hears nothing");
    monitor.take();
    // On the same host it is followed, without the secret address as Referer.
    monitor.redirect_once_to(308, &format!("{}/log?rid=x", monitor.url()));
    world.run(&["sync", "all"]).expect_exit(0);
    let pings = monitor.take();
    assert!(pings.iter().any(|ping| ping.signal == "/log"), "{pings:#?}");
    assert!(pings.iter().all(|ping| ping.referer.is_none()), "{pings:#?}");
}

#[test]
fn redirect_of_wix_is_not_followed() {
    let world = empty();
    world.sim.fault(
        Fault::on(Endpoint::ContactsQuery).always().status(307).header("location", "http://127.0.0.1:1/elsewhere"),
    );
    world.run(&["sync", "customers"]).expect_exit(1).expect_stderr("it answered 307");
}
