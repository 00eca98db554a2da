//! TLS to Wix: refused certificates, and the variables for proxies and certificates, also from `.env`.

use private_postgres::Server;
use wix_sim::{Sim, Site};

use crate::support::authority::{Authority, Certified, Files};
use crate::support::harness::{Finished, World};
use crate::support::tls_front::{TlsFront, Tunnel};

const WIX: &str = "wix.example.test";

/// A world whose `.env` is in a separate directory.
struct Behind {
    world: World,
    front: TlsFront,
    files: Files,
}

/// The variables that this machine may have set for its own network.
const NETWORK: [&str; 10] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

impl Behind {
    fn new(certified: &Certified) -> Behind {
        let sim = Sim::start(Site::empty()).expect("the simulator starts");
        let front = TlsFront::start(certified, &sim.base_url());
        let mut world = World::with_server(sim, Server::builder()).migrated();
        world.set("WIX_API_BASE_URL", &format!("https://127.0.0.1:{}", front.port()));
        Behind { world, front, files: Files::new() }
    }

    /// Runs the program with these lines in `.env`.
    fn run(&self, arguments: &[&str], env: &[String]) -> Finished {
        self.run_with(arguments, env, &[])
    }

    /// Runs the program with these lines in `.env` and these variables in its environment.
    fn run_with(&self, arguments: &[&str], env: &[String], own: &[(&str, &str)]) -> Finished {
        self.files.write(".env", &env.join("\n"), 0o600);
        let mut command = self.world.command(arguments);
        NETWORK.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(own.iter().copied()).current_dir(self.files.path());
        Finished::of(arguments, command.output().expect("the binary runs"))
    }
}

#[test]
fn untrusted_certificate_is_named_and_not_retried() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let elsewhere = "another.example.test";
    for (certified, words, hint) in [
        (ours.expired(&["127.0.0.1"]), "has expired", "clock"),
        (ours.server(&[elsewhere]), "is for another name", "WIX_API_BASE_URL"),
        (other.server(&["127.0.0.1"]), "is not trusted", "SSL_CERT_FILE"),
    ] {
        let behind = Behind::new(&certified);
        let trusted = format!("SSL_CERT_FILE={}", behind.files.write("ours.crt", &ours.pem(), 0o644));
        let said = format!("the certificate of 127.0.0.1 {words}");
        let finished = behind.run(&["sync", "all"], std::slice::from_ref(&trusted)).expect_exit(1);
        let line = finished.stderr.lines().find(|line| line.starts_with("hint: ")).expect("there is a hint");
        assert!(line.contains(hint), "{line}");
        finished.expect_stderr(&said);
        assert_eq!(behind.front.connections(), 1, "once, for all tables");
        let error: String = behind.world.value("select error from sync_logs");
        assert!(error.contains(&said), "{error}");
        let found = behind.run(&["doctor"], &[trusted]).expect_exit(5);
        assert!(found.stdout.contains(&said) && found.stdout.contains(hint), "{found:#?}");
    }
}

#[test]
fn certificates_named_in_the_env_file_are_trusted() {
    let ours = Authority::new("Ours");
    let behind = Behind::new(&ours.server(&["127.0.0.1"]));
    let file = behind.files.write("ours.crt", &ours.pem(), 0o644);
    let directory = behind.files.write("certificates/ours.pem", &ours.pem(), 0o644);
    let directory = directory.trim_end_matches("/ours.pem");
    behind.run(&["sync", "all"], &[]).expect_exit(1).expect_stderr("is not trusted");
    behind.run(&["sync", "all"], &[format!("SSL_CERT_FILE={file}")]).expect_exit(0);
    behind.run(&["sync", "all"], &[format!("SSL_CERT_DIR=/nowhere:{directory}")]).expect_exit(0);
    for value in [format!("{file}.missing"), behind.files.write("empty.crt", "nothing\n", 0o644)] {
        let finished = behind.run(&["sync", "all"], &[format!("SSL_CERT_FILE={value}")]).expect_exit(2);
        finished.expect_stderr("SSL_CERT_FILE").expect_stderr(&value);
    }
}

#[test]
fn proxy_named_in_the_env_file_is_used() {
    let ours = Authority::new("Ours");
    let mut behind = Behind::new(&ours.server(&[WIX]));
    behind.world.set("WIX_API_BASE_URL", &format!("https://{WIX}"));
    let trusted = format!("SSL_CERT_FILE={}", behind.files.write("ours.crt", &ours.pem(), 0o644));
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let tunnel = Tunnel::to(behind.front.port());
        let proxy = format!("{variable}=http://user:pa55-of-the-proxy@127.0.0.1:{}", tunnel.port());
        behind.run(&["sync", "all"], &[trusted.clone(), proxy.clone()]).expect_exit(0);
        let asked = tunnel.asked();
        assert!(!asked.is_empty(), "{variable}");
        for head in &asked {
            assert!(head.starts_with(&format!("CONNECT {WIX}:443 ")), "{head}");
            // `user:pa55-of-the-proxy` in base64.
            assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic "), "{head}");
        }
        let without = format!("NO_PROXY=localhost,{WIX}");
        let env = [trusted.clone(), proxy, without, "WIX_SYNC_MAX_RETRIES=0".to_owned()];
        behind.run(&["sync", "all"], &env).expect_exit(1);
        assert_eq!(tunnel.asked().len(), asked.len(), "{variable}");
    }
    // A proxy that does not exist, and values that are not addresses: the password is not shown.
    for (value, exit) in [("127.0.0.1:1", 1), ("[::1", 2), ("127.0.0.1:99999", 2)] {
        let proxy = format!("HTTPS_PROXY=http://user:pa55-of-the-proxy@{value}");
        let env = [trusted.clone(), proxy, "WIX_SYNC_MAX_RETRIES=0".to_owned()];
        let finished = behind.run(&["sync", "all", "-vv"], &env).expect_exit(exit);
        assert!(!finished.shown().contains("pa55-of-the-proxy"), "{finished:#?}");
        assert!(exit != 2 || finished.stderr.contains("HTTPS_PROXY"), "{finished:#?}");
    }
}

#[test]
fn environment_wins_over_the_env_file() {
    let ours = Authority::new("Ours");
    let mut behind = Behind::new(&ours.server(&[WIX]));
    behind.world.set("WIX_API_BASE_URL", &format!("https://{WIX}"));
    let trusted = format!("SSL_CERT_FILE={}", behind.files.write("ours.crt", &ours.pem(), 0o644));
    let tunnel = Tunnel::to(behind.front.port());
    let (proxy, env) = (format!("127.0.0.1:{}", tunnel.port()), [trusted, "HTTPS_PROXY=http://127.0.0.1:1".to_owned()]);
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let before = tunnel.asked().len();
        behind.run_with(&["sync", "all"], &env, &[(variable, &proxy)]).expect_exit(0);
        assert!(tunnel.asked().len() > before, "{variable}");
    }
}

#[test]
fn unencrypted_requests_do_not_use_a_proxy() {
    let mut world = World::with_server(Sim::start(Site::empty()).expect("it starts"), Server::builder()).migrated();
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        NETWORK.iter().filter(|name| name.contains("PROXY")).for_each(|name| world.set(name, ""));
        // An unreachable address, and a wait that would be noticed.
        world.set(variable, "http://proxy.example.invalid:3128");
        world.run(&["sync", "all", "--max-retries", "0"]).expect_exit(0);
    }
}

#[test]
fn healthcheck_uses_the_same_proxy_and_certificates() {
    let ours = Authority::new("Ours");
    let mut behind = Behind::new(&ours.server(&[WIX, "127.0.0.1"]));
    behind.world.set("WIX_SYNC_HEALTHCHECK_URL", "https://monitor.example.test/check");
    let trusted = format!("SSL_CERT_FILE={}", behind.files.write("ours.crt", &ours.pem(), 0o644));
    let tunnel = Tunnel::to(behind.front.port());
    let proxy = format!("HTTPS_PROXY=http://127.0.0.1:{}", tunnel.port());
    let env = [trusted, proxy, "NO_PROXY=127.0.0.1".to_owned()];
    let finished = behind.run(&["sync", "all"], &env).expect_exit(0);
    assert!(tunnel.asked().iter().any(|head| head.starts_with("CONNECT monitor.example.test:443 ")));
    finished.expect_stderr("certificate is for another name");
}
