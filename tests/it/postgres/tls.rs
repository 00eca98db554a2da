//! TLS as libpq users expect it: every `sslmode`, private authorities, other names, client certificates, channel
//! binding, and a pooler that requires TLS. The server's log shows how each connection was made.

use std::process::Command;

use private_postgres::{PgBouncer, PoolMode};

use crate::support::authority::{
    Authority, Certified, Files, HOST, expired_and_signed_by_itself, plain_server, signed_by_itself, tls_server,
};
use crate::support::harness::{Finished, World};

const TRUST: &str = "host all all 127.0.0.1/32 trust\n";
const SCRAM: &str = "host all all 127.0.0.1/32 scram-sha-256\n";

/// How a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Encrypted,
    Plain,
    Not,
}

/// The program and, if it is installed, `psql` with one server. Neither uses files of this machine's user.
struct Door {
    world: World,
    home: Files,
}

impl Door {
    fn to(world: World) -> Door {
        let home = Files::new();
        let mut world = world;
        world.set("HOME", &home.path());
        Door { world, home }
    }

    fn to_server(certified: &Certified) -> Door {
        Door::to(World::with_postgres(tls_server(certified, TRUST).start().expect("the server starts")))
    }

    /// The URL of this user, with options.
    fn url(&self, user: &str, options: &str) -> String {
        let port = self.world.postgres.port();
        format!("postgresql://{user}@{HOST}:{port}/postgres?hostaddr=127.0.0.1&{options}")
    }

    fn run(&mut self, options: &str) -> Finished {
        let url = self.url("postgres", options);
        self.world.set("DATABASE_URL", &url);
        self.world.run(&["status"])
    }

    /// Runs the program and returns how it connected, by the server's log.
    fn made(&mut self, options: &str) -> (Made, Finished) {
        let before = self.world.postgres.log_text().len();
        let finished = self.run(options);
        let made = self.since(before, "application_name=wix-sync");
        assert_eq!(finished.code == Some(0), made != Made::Not, "{options}: {finished:#?}");
        (made, finished)
    }

    fn since(&self, before: usize, application: &str) -> Made {
        let log = self.world.postgres.log_text();
        let lines = log[before..].lines().filter(|line| line.contains("connection authorized: "));
        match lines.rev().find(|line| line.contains(application)) {
            Some(line) if line.contains("SSL enabled") => Made::Encrypted,
            Some(_) => Made::Plain,
            None => Made::Not,
        }
    }

    /// How `psql` connects with the same options; `None` if it is not installed.
    fn made_by_psql(&self, options: &str) -> Option<Made> {
        let before = self.world.postgres.log_text().len();
        let mut command = Command::new(self.world.postgres.psql()?);
        command.env_clear().env("HOME", self.home.path()).args(["-XAtc", "select 1", &self.url("postgres", options)]);
        command.output().expect("psql runs");
        Some(self.since(before, "application_name=psql"))
    }

    #[track_caller]
    fn expect(&mut self, options: &str, expected: Made) {
        assert_eq!(self.made(options).0, expected, "{options}");
        if let Some(made) = self.made_by_psql(options) {
            assert_eq!(made, expected, "psql: {options}");
        }
    }

    /// Fails unless the connection is refused with this message and this hint.
    #[track_caller]
    fn expect_refusal(&mut self, options: &str, reason: &str, hint: &str) {
        let (made, finished) = self.made(options);
        assert_eq!(made, Made::Not, "{options}");
        let finished = finished.expect_stderr(reason);
        let line = finished.stderr.lines().find(|line| line.starts_with("hint: ")).expect("there is a hint");
        assert!(line.contains(hint), "{options}: `{hint}` is not in {line}");
    }
}

#[test]
fn every_sslmode_means_what_it_means_to_psql() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let files = Files::new();
    let trusted = format!("sslrootcert={}", files.write("ours.crt", &ours.pem(), 0o644));
    let untrusted = format!("sslrootcert={}", files.write("other.crt", &other.pem(), 0o644));
    let certificates = format!("{}{}", other.pem(), ours.pem());
    let both = format!("sslrootcert={}", files.write("both.crt", &certificates, 0o644));

    let mut door = Door::to_server(&ours.server(&[HOST]));
    door.expect("sslmode=disable", Made::Plain);
    door.expect("sslmode=allow", Made::Plain);
    for mode in ["sslmode=prefer", "application_name=wix-sync", "sslmode=require", "ssl=true", "sslsni=0"] {
        assert_eq!(door.made(mode).0, Made::Encrypted, "{mode}");
    }
    door.expect("sslmode=require", Made::Encrypted);
    for mode in ["require", "verify-ca", "verify-full"] {
        door.expect(&format!("sslmode={mode}&{trusted}"), Made::Encrypted);
        door.expect(&format!("sslmode={mode}&{both}"), Made::Encrypted);
        door.expect(&format!("sslmode={mode}&{untrusted}"), Made::Not);
        door.expect_refusal(&format!("sslmode={mode}&{untrusted}"), "UnknownIssuer", "sslrootcert");
    }
    // Neither authority is a CA of the system.
    door.expect_refusal("sslmode=verify-full", "UnknownIssuer", "PGSSLROOTCERT");
    door.expect_refusal("sslmode=verify-full", "UnknownIssuer", "Supabase");

    let mut door = Door::to_server(&ours.server(&["another.example.test", "127.0.0.2"]));
    door.expect("sslmode=require", Made::Encrypted);
    door.expect(&format!("sslmode=require&{trusted}"), Made::Encrypted);
    door.expect(&format!("sslmode=verify-ca&{trusted}"), Made::Encrypted);
    door.expect(&format!("sslmode=verify-full&{trusted}"), Made::Not);
    door.expect_refusal(&format!("sslmode=verify-full&{trusted}"), "not valid for name", "sslmode=verify-ca");

    let mut door = Door::to_server(&ours.expired(&[HOST]));
    door.expect("sslmode=require", Made::Encrypted);
    door.expect(&format!("sslmode=verify-ca&{trusted}"), Made::Not);
    door.expect_refusal(&format!("sslmode=verify-ca&{trusted}"), "expired", "clock");
}

#[test]
fn server_without_tls_is_used_where_that_is_allowed() {
    let mut door = Door::to(World::with_postgres(plain_server(TRUST).start().expect("the server starts")));
    for mode in ["disable", "allow", "prefer"] {
        door.expect(&format!("sslmode={mode}"), Made::Plain);
    }
    door.expect("sslmode=require", Made::Not);
    door.expect_refusal("sslmode=require", "does not support TLS", "sslmode=prefer");
    let file = door.home.write("any.crt", &Authority::new("Any").pem(), 0o644);
    door.expect_refusal(&format!("sslmode=verify-full&sslrootcert={file}"), "does not support TLS", "PGSSLMODE");
}

#[test]
fn allow_and_prefer_fall_back_if_the_first_try_is_refused() {
    let certified = Authority::new("Ours").server(&[HOST]);
    let door = |access| Door::to(World::with_postgres(tls_server(&certified, access).start().expect("it starts")));

    let mut only_with = door("hostssl all all 127.0.0.1/32 trust\n");
    only_with.expect("sslmode=allow", Made::Encrypted);
    only_with.expect("sslmode=prefer", Made::Encrypted);
    only_with.expect_refusal("sslmode=disable", "no pg_hba.conf entry", "sslmode=require");

    let mut only_without = door("hostnossl all all 127.0.0.1/32 trust\n");
    only_without.expect("sslmode=allow", Made::Plain);
    only_without.expect("sslmode=prefer", Made::Plain);
    only_without.expect_refusal("sslmode=require", "no pg_hba.conf entry", "pg_hba.conf");

    let old = tls_server(&certified, TRUST).setting("ssl_max_protocol_version", "TLSv1.1");
    let old = old.setting("ssl_min_protocol_version", "TLSv1").start().expect("the server starts");
    let mut too_old = Door::to(World::with_postgres(old));
    too_old.expect("sslmode=prefer", Made::Plain);
    too_old.expect("sslmode=require", Made::Not);
    too_old.expect_refusal("sslmode=require", "", "ssl_min_protocol_version");
}

#[test]
fn files_of_libpq_in_the_home_directory_are_used() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let mut door = Door::to_server(&ours.server(&["another.example.test"]));
    door.home.write(".postgresql/root.crt", &other.pem(), 0o644);
    for mode in ["require", "verify-ca", "verify-full"] {
        door.expect(&format!("sslmode={mode}"), Made::Not);
        door.expect_refusal(&format!("sslmode={mode}"), "UnknownIssuer", ".postgresql/root.crt");
    }
    assert_eq!(door.made("sslmode=no-verify").0, Made::Encrypted);
    // With prefer, an unsuitable file is not an error: psql continues without TLS.
    assert_eq!(door.made("sslmode=prefer").0, Made::Encrypted);
    door.home.write(".postgresql/root.crt", &ours.pem(), 0o644);
    door.expect("sslmode=require", Made::Encrypted);
    door.expect("sslmode=verify-ca", Made::Encrypted);
    door.expect("sslmode=verify-full", Made::Not);
}

/// Any public CA would be accepted for any host: libpq refuses this too.
#[test]
fn verify_ca_without_a_root_certificate_is_refused() {
    let ours = Authority::new("Ours");
    let mut door = Door::to_server(&ours.server(&[HOST]));
    let system = door.home.write("system.crt", &ours.pem(), 0o644);
    door.world.set("SSL_CERT_FILE", &system);
    door.expect("sslmode=verify-ca", Made::Not);
    let finished = door.run("sslmode=verify-ca").expect_exit(2).expect_stderr("sslmode=verify-ca needs");
    finished.expect_stderr("sslrootcert").expect_stderr("~/.postgresql/root.crt").expect_stderr("sslmode=verify-full");
    let (variable, url) = (door.url("postgres", ""), door.url("postgres", "sslmode=verify-ca"));
    door.world.set("DATABASE_URL", &variable);
    door.world.set("PGSSLMODE", "verify-ca");
    door.world.run(&["status"]).expect_exit(2);
    door.world.set("PGSSLROOTCERT", &system);
    door.world.set("DATABASE_URL", &url);
    door.world.run(&["status"]).expect_exit(0);
    // A socket has no TLS and needs no certificate.
    let socket = door.world.postgres.url("postgres");
    door.world.set("PGSSLROOTCERT", "");
    door.world.set("DATABASE_URL", &socket);
    door.world.run(&["status"]).expect_exit(0);
}

#[test]
fn system_ca_certificates_are_used_without_sslrootcert() {
    let ours = Authority::new("Ours");
    let mut door = Door::to_server(&ours.server(&[HOST]));
    let system = door.home.write("system.crt", &ours.pem(), 0o644);
    door.world.set("SSL_CERT_FILE", &system);
    for options in ["sslmode=verify-full", "sslrootcert=system"] {
        assert_eq!(door.made(options).0, Made::Encrypted, "{options}");
    }
    let mut door = Door::to_server(&ours.server(&["another.example.test"]));
    let system = door.home.write("system.crt", &ours.pem(), 0o644);
    door.world.set("SSL_CERT_FILE", &system);
    door.expect_refusal(
        "sslrootcert=system",
        "not valid for name",
        "sslmode=verify-ca and that CA's certificate in sslrootcert",
    );
    door.run("sslrootcert=system&sslmode=require").expect_exit(2).expect_stderr("needs sslmode=verify-full");
}

#[test]
fn certificates_made_as_in_the_manual_are_accepted() {
    let own = signed_by_itself(HOST);
    let mut door = Door::to_server(&own);
    let file = format!("sslrootcert={}", door.home.write("server.crt", &own.certificate, 0o644));
    door.expect(&format!("sslmode=verify-ca&{file}"), Made::Encrypted);
    door.expect(&format!("sslmode=verify-full&{file}"), Made::Encrypted);

    let expired = expired_and_signed_by_itself(HOST);
    let mut door = Door { home: door.home, ..Door::to_server(&expired) };
    let file = format!("sslrootcert={}", door.home.write("expired.crt", &expired.certificate, 0o644));
    door.expect(&format!("sslmode=verify-ca&{file}"), Made::Not);
    door.expect_refusal(&format!("sslmode=verify-full&{file}"), "expired", "clock");

    let ours = Authority::new("Ours");
    let file = format!("sslrootcert={}", door.home.write("ours.crt", &ours.pem(), 0o644));
    let mut door = Door { home: door.home, ..Door::to_server(&ours.server_with_common_name("*.example.test")) };
    door.expect(&format!("sslmode=verify-full&{file}"), Made::Encrypted);
    let mut door = Door { home: door.home, ..Door::to_server(&ours.server_with_common_name("example.test")) };
    door.expect(&format!("sslmode=verify-full&{file}"), Made::Not);
}

#[test]
fn files_that_are_missing_or_wrong_are_named() {
    let ours = Authority::new("Ours");
    let mut door = Door::to_server(&ours.server(&[HOST]));
    let home = door.home.path();
    for mode in ["require", "verify-ca", "verify-full"] {
        let options = format!("sslmode={mode}&sslrootcert={home}/no.crt");
        door.run(&options).expect_exit(2).expect_stderr(&format!("sslrootcert: the file {home}/no.crt does not exist"));
    }
    let empty = door.home.write("empty.crt", "nothing\n", 0o644);
    door.run(&format!("sslmode=verify-ca&sslrootcert={empty}")).expect_exit(2).expect_stderr("holds no certificate");
    let file = door.home.write("ours.crt", &ours.pem(), 0o644);
    door.run(&format!("sslcert={file}&sslkey={home}/no.key")).expect_exit(2).expect_stderr("sslkey: the file ");
}

#[test]
fn client_certificate_lets_its_user_in() {
    let ours = Authority::new("Ours");
    let access = "hostssl all app 127.0.0.1/32 trust clientcert=verify-full\nhostssl all postgres 127.0.0.1/32 trust\n";
    let server = tls_server(&ours.server(&[HOST]), access).setting("ssl_ca_file", "clients.crt");
    let server = server.data_file("clients.crt", ours.pem()).start().expect("the server starts");
    let mut door = Door::to(World::with_postgres(server));
    door.world.execute("create role app login; create role other login");
    let home = Files::new();
    let (app, other, stranger) = (ours.user("app"), ours.user("other"), Authority::new("Other").user("app"));
    let certificate = home.write("app.crt", &app.certificate, 0o644);
    let key = home.write("app.key", &app.key, 0o600);
    let root = home.write("ours.crt", &ours.pem(), 0o644);
    let mut run = |options: &str| {
        let url = door.url("app", &format!("sslmode=verify-full&sslrootcert={root}&{options}"));
        door.world.set("DATABASE_URL", &url);
        door.world.run(&["status"])
    };
    let shown = format!("sslcert={certificate}&sslkey={key}");
    run(&shown).expect_exit(0);
    for options in ["", &format!("{shown}&sslcertmode=disable")] {
        run(options).expect_exit(1).expect_stderr("hint: the server asks for a certificate").expect_stderr("PGSSLCERT");
    }
    let strangers = home.write("strangers.crt", &stranger.certificate, 0o644);
    let strangers_key = home.write("strangers.key", &stranger.key, 0o600);
    run(&format!("sslcert={strangers}&sslkey={strangers_key}")).expect_exit(1).expect_stderr("hint: ");
    let others = home.write("other.crt", &other.certificate, 0o644);
    let others_key = home.write("other.key", &other.key, 0o600);
    run(&format!("sslcert={others}&sslkey={others_key}")).expect_exit(1).expect_stderr("authentication failed");
    run(&format!("sslcert={certificate}&sslkey={others_key}")).expect_exit(2).expect_stderr("sslkey ");
    let open = home.write("open.key", &app.key, 0o644);
    run(&format!("sslcert={certificate}&sslkey={open}")).expect_exit(2).expect_stderr("chmod 600");

    // libpq's default paths, and those of its variables.
    door.home.write(".postgresql/postgresql.crt", &app.certificate, 0o644);
    door.home.write(".postgresql/postgresql.key", &app.key, 0o600);
    let url = door.url("app", "sslmode=require");
    door.world.set("DATABASE_URL", &url);
    door.world.run(&["status"]).expect_exit(0);
    let empty = Files::new();
    door.world.set("HOME", &empty.path());
    door.world.run(&["status"]).expect_exit(1);
    door.world.set("PGSSLCERT", &certificate);
    door.world.set("PGSSLKEY", &key);
    door.world.run(&["status"]).expect_exit(0);
}

#[test]
fn tls_versions_and_negotiation_can_be_chosen() {
    let ours = Authority::new("Ours");
    let mut door = Door::to_server(&ours.server(&[HOST]));
    for (options, version) in [
        ("", "protocol=TLSv1.3"),
        ("ssl_max_protocol_version=TLSv1.2", "protocol=TLSv1.2"),
        ("ssl_min_protocol_version=TLSv1.3", "protocol=TLSv1.3"),
        ("ssl_min_protocol_version=TLSv1", "protocol=TLSv1.3"),
    ] {
        let before = door.world.postgres.log_text().len();
        door.run(&format!("sslmode=require&{options}")).expect_exit(0);
        assert!(door.world.postgres.log_text()[before..].contains(version), "{options}");
    }
    for options in [
        "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
        "ssl_max_protocol_version=TLSv1.1",
        "sslnegotiation=direct",
        "sslnegotiation=now&sslmode=require",
        "sslsni=maybe",
        "sslcertmode=require",
        "gssencmode=require",
        "sslcrl=/crl",
        "sslpassword=s3cret",
        "require_auth=none",
    ] {
        let option = options.split('=').next().expect("a name");
        let finished = door.run(options).expect_exit(2).expect_stderr(&format!("`{option}` in DATABASE_URL"));
        assert!(!finished.stderr.contains("s3cret"), "{finished:#?}");
    }
    let (made, finished) = door.made("sslmode=require&sslnegotiation=direct");
    if door.world.postgres.version().0 >= 17 {
        assert_eq!(made, Made::Encrypted);
    } else {
        finished.expect_exit(1).expect_stderr("Postgres 17");
    }
}

#[test]
fn channel_binding_can_be_required() {
    let ours = Authority::new("Ours");
    let server = tls_server(&ours.server(&[HOST]), SCRAM).start().expect("the server starts");
    let mut door = Door::to(World::with_postgres(server));
    door.world.execute("set password_encryption = 'scram-sha-256'; create role app login password 'p@ss w/rd?'");
    let password = "p%40ss%20w%2Frd%3F";
    let mut run = |options: &str| {
        let url = door.url(&format!("app:{password}"), options);
        door.world.set("DATABASE_URL", &url);
        door.world.run(&["status"])
    };
    for binding in ["require", "prefer", "disable"] {
        run(&format!("sslmode=require&channel_binding={binding}")).expect_exit(0);
    }
    run("sslmode=disable&channel_binding=prefer").expect_exit(0);
    run("sslmode=disable&channel_binding=require")
        .expect_exit(1)
        .expect_stderr("channel binding")
        .expect_stderr("hint: channel_binding=require needs TLS")
        .expect_stderr("PGCHANNELBINDING");
    run("channel_binding=always").expect_exit(2).expect_stderr("`channel_binding` in DATABASE_URL: `always`");

    // With `trust`, the server has not proven that it knows the password.
    let mut trusting = Door::to_server(&ours.server(&[HOST]));
    let options = "sslmode=require&channel_binding=require";
    trusting.run(options).expect_exit(1).expect_stderr("hint: channel_binding=require needs TLS");
}

#[test]
fn every_command_works_through_a_pooler_that_requires_tls() {
    let ours = Authority::new("Ours");
    let certified = ours.server(&[HOST]);
    let mut door = Door::to(World::new(60, 40, 40));
    door.world.execute("create role app login superuser password 'secret'");
    let bouncer = PgBouncer::builder(PoolMode::Transaction)
        .tcp()
        .setting("client_tls_sslmode", "require")
        .setting("client_tls_cert_file", "{dir}/server.crt")
        .setting("client_tls_key_file", "{dir}/server.key")
        .setting("auth_type", "scram-sha-256")
        .setting("log_connections", "1")
        .file("server.crt", certified.certificate)
        .file("server.key", certified.key)
        .file("users.txt", "\"app\" \"secret\"\n")
        .start(&door.world.postgres)
        .expect("the pooler starts");
    let root = door.home.write("ours.crt", &ours.pem(), 0o644);
    let url = |options: &str| {
        format!("postgresql://app:secret@{HOST}:{}/postgres?hostaddr=127.0.0.1&{options}", bouncer.port())
    };
    door.world.set("PGSSLROOTCERT", &root);
    door.world.set("DATABASE_URL", &url("sslmode=verify-full&channel_binding=prefer"));
    door.world.run(&["migrate"]).expect_exit(0);
    door.world.run(&["sync", "all"]).expect_exit(0);
    door.world.run(&["status"]).expect_exit(0);
    door.world.assert_tables_equal_truth();
    door.world.set("DATABASE_URL", &url("sslmode=allow"));
    door.world.run(&["status"]).expect_exit(0);
    let log = bouncer.log_text();
    assert!(log.contains("tls=TLSv1.3"), "{log}");

    // What a pooler without channel binding cannot do, and what it refuses.
    let mut refused = |options: &str, hint: &str| {
        door.world.set("DATABASE_URL", &url(options));
        door.world.run(&["status"]).expect_exit(1).expect_stderr("hint: ").expect_stderr(hint);
    };
    refused("sslmode=verify-full&channel_binding=require", "poolers mostly do not");
    refused("sslmode=disable", "sslmode=require");
    refused("sslmode=verify-full&user=stranger", "postgres.PROJECT_REF");
    refused("sslmode=verify-full&options=-c%20search_path%3Dx", "leave `options` out");
}
