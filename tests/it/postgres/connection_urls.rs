//! Connection strings and libpq's variables: special characters, several hosts, sockets, password files, and the same
//! values for every connection of a run. Errors name what to change, and never a password.

use std::net::TcpListener;

use private_postgres::{PgBouncer, PoolMode, Server};

use crate::support::authority::{Files, plain_server};
use crate::support::harness::{Finished, World};
use crate::support::running::{Gate, wait_until};
use wix_sim::Endpoint;

/// All characters that URLs, keyword strings or password files treat specially.
const PASSWORD: &str = r#"a@b:c/d?e#f%g&h=i'j\k l"m$n+o[p]ü"#;
const ENCODED: &str = "a%40b%3Ac%2Fd%3Fe%23f%25g%26h%3Di'j%5Ck%20l%22m%24n+o%5Bp%5D%C3%BC";
const ACCESS: &str = "host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n";

/// A server with a role whose name and password contain special characters, and a database with that name.
fn world() -> (World, Files) {
    world_on(plain_server(ACCESS).start().expect("the server starts"))
}

fn world_on(server: Server) -> (World, Files) {
    let mut world = World::with_postgres(server);
    let quoted = PASSWORD.replace('\'', "''");
    world.execute(&format!(
        "set password_encryption = 'scram-sha-256'; set standard_conforming_strings = on;
         create role \"my app\" superuser login password '{quoted}'"
    ));
    world.execute("create database \"my data\" owner \"my app\"");
    let home = Files::new();
    world.set("HOME", &home.path());
    (world, home)
}

impl World {
    /// Runs `status` with this connection string.
    fn status(&mut self, url: &str) -> Finished {
        self.set("DATABASE_URL", url);
        self.run(&["status"])
    }
}

#[test]
fn special_characters_in_names_and_passwords() {
    let (mut world, _home) = world();
    let port = world.postgres.port();
    let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
    for url in [
        format!("postgresql://my%20app:{ENCODED}@127.0.0.1:{port}/my%20data"),
        format!("postgres://127.0.0.1:{port}/my%20data?user=my%20app&password={ENCODED}"),
        format!("host=127.0.0.1 port={port} user='my app' password='{quoted}' dbname='my data'"),
        format!("host = 127.0.0.1  port = {port} user=my\\ app password='{quoted}' dbname=my\\ data"),
    ] {
        let finished = world.status(&url);
        assert_eq!(finished.code, Some(0), "{url}: {finished:#?}");
    }
}

#[test]
fn addresses_sockets_and_several_hosts() {
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let addresses = if has_ipv6 { "127.0.0.1,::1" } else { "127.0.0.1" };
    let server = plain_server(ACCESS).setting("listen_addresses", addresses).start().expect("the server starts");
    let (mut world, _home) = world_on(server);
    let port = world.postgres.port();
    let directory = world.postgres.socket_dir().to_str().expect("a path in UTF-8").to_owned();
    let encoded = directory.replace('/', "%2F");
    let login = format!("my%20app:{ENCODED}");
    let mut urls = vec![
        format!("postgresql://{login}@{encoded}:{port}/postgres"),
        format!("postgresql://{login}@/postgres?host={directory}&port={port}&sslmode=verify-full"),
        format!("postgresql://{login}@{encoded}/postgres?port={port}&sslmode=require&sslrootcert=/no/such/file"),
        format!("host={directory} port={port} user=postgres dbname=postgres"),
        format!("postgresql://{login}@127.0.0.1:1,127.0.0.1:{port}/postgres"),
        format!("postgresql://{login}@no-such-host.invalid,localhost/postgres?port={port}"),
        format!("postgresql://{login}@no-such-host.invalid/postgres?port={port}&hostaddr=127.0.0.1"),
        format!("postgresql://{login}@/postgres?port={port}&hostaddr=127.0.0.1"),
        format!("host=/no/such/directory,{directory} port={port} user=postgres hostaddr=,"),
        format!("postgresql://{login}@{encoded},127.0.0.1/postgres?port=1,{port}&load_balance_hosts=random"),
    ];
    if has_ipv6 {
        urls.push(format!("postgresql://{login}@[::1]:{port}/postgres"));
    }
    for url in urls {
        let finished = world.status(&url);
        assert_eq!(finished.code, Some(0), "{url}: {finished:#?}");
    }
    world
        .status(&format!("postgresql://{login}@127.0.0.1:1,127.0.0.1:2/postgres"))
        .expect_exit(1)
        .expect_stderr("at 127.0.0.1:1: ")
        .expect_stderr("; at 127.0.0.1:2: ");
    // The search ends at a server that refuses the login.
    let wrong = format!("postgresql://my%20app:wrong@127.0.0.1:{port},{encoded}:{port}/postgres");
    world.status(&wrong).expect_exit(1).expect_stderr("28P01");
}

#[test]
fn libpq_variables_fill_in_what_the_string_omits() {
    let (mut world, _home) = world();
    let port = world.postgres.port().to_string();
    let all = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "my app"),
        ("PGPASSWORD", PASSWORD),
        ("PGDATABASE", "my data"),
        ("PGAPPNAME", "by-variable"),
        ("PGOPTIONS", "-c search_path=chosen"),
        ("PGCONNECT_TIMEOUT", "1"),
        ("PGTARGETSESSIONATTRS", "read-write"),
        ("PGCHANNELBINDING", "prefer"),
        ("PGSSLMODE", "allow"),
    ];
    all.iter().for_each(|(name, value)| world.set(name, value));
    let url = format!("postgresql://my%20app:{ENCODED}@127.0.0.1:{port}/my%20data");
    world.set("DATABASE_URL", &url);
    // The schema in the options does not exist yet, which shows that they were used.
    world.run(&["status"]).expect_exit(2).expect_stderr("search path");
    world.set("DATABASE_URL", "");
    let command = |world: &World| {
        let mut command = world.command(&["migrate"]);
        command.env_remove("DATABASE_URL");
        Finished::of(&["migrate"], command.output().expect("the binary runs"))
    };
    command(&world).expect_exit(2).expect_stderr("search path");
    world.set("PGOPTIONS", "-c search_path=public");
    command(&world).expect_exit(0);
    assert!(world.postgres.log_text().contains("application_name=by-variable"), "{}", world.postgres.log_text());
    world.status("dbname='my data'").expect_exit(0);

    // The string has precedence.
    world.status(&format!("postgresql://postgres:x@127.0.0.1:{port}/postgres")).expect_exit(1).expect_stderr("28P01");
    world.status("host=127.0.0.1 port=1").expect_exit(1).expect_stderr("at 127.0.0.1:1: ");
    for (name, value) in
        [("PGSSLMODE", "always"), ("PGCONNECT_TIMEOUT", "soon"), ("PGSERVICE", "mine"), ("PGREQUIREAUTH", "none")]
    {
        let kept = all.iter().find(|(kept, _)| *kept == name).map_or("", |(_, value)| value);
        world.set(name, value);
        world.status(&url).expect_exit(2).expect_stderr(&format!("error: {name}"));
        world.set(name, kept);
    }
    world.set("PGHOST", "");
    world.status("dbname=postgres").expect_exit(2).expect_stderr("names no host");
    world.set("PGHOSTADDR", "127.0.0.1");
    world.status("dbname=postgres").expect_exit(0);
}

#[test]
fn password_files_are_read_if_nobody_else_can() {
    let (mut world, home) = world();
    let port = world.postgres.port();
    let escaped = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    let line = format!("# mine\n127.0.0.1:{port}:my data:my app:{escaped}\n*:*:*:*:wrong\n");
    let url = format!("postgresql://my%20app@127.0.0.1:{port}/my%20data");
    world.status(&url).expect_exit(1).expect_stderr("password missing").expect_stderr("PGPASSWORD or ~/.pgpass");
    let path = home.write(".pgpass", &line, 0o600);
    world.status(&url).expect_exit(0);
    world
        .status(&format!("postgresql://my%20app@127.0.0.1:{port}/postgres"))
        .expect_exit(1)
        .expect_stderr("28P01")
        .expect_stderr(&format!("hint: the password comes from {path}"));
    // The string and the variable have precedence over the file.
    world.status(&format!("postgresql://my%20app:wrong@127.0.0.1:{port}/my%20data")).expect_exit(1);
    world.set("PGPASSWORD", "wrong");
    world.status(&url).expect_exit(1);
    world.set("PGPASSWORD", "");
    home.write(".pgpass", &line, 0o640);
    world.status(&url).expect_exit(1).expect_stderr("chmod 600").expect_stderr("password missing");
    let other = home.write("elsewhere", &line, 0o600);
    world.set("PGPASSFILE", &other);
    world.status(&url).expect_exit(0);
}

#[test]
fn timeouts_keepalives_and_kinds_of_servers() {
    let (mut world, _home) = world();
    let url = world.postgres.url("postgres");
    let all = "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=20000&\
               connect_timeout=0&target_session_attrs=primary&load_balance_hosts=disable&pgbouncer=true&\
               client_encoding=UTF8&gssencmode=disable&fallback_application_name=x&keepalives_retries=3";
    let port = world.postgres.port();
    world.status(&format!("postgresql://my%20app:{ENCODED}@127.0.0.1:{port}/postgres?{all}")).expect_exit(0);
    for (attributes, code) in
        [("any", 0), ("read-write", 0), ("prefer-standby", 0), ("read-only", 1), ("standby", 1), ("some", 2)]
    {
        let finished = world.status(&format!("{url}&target_session_attrs={attributes}"));
        assert_eq!(finished.code, Some(code), "{attributes}: {finished:#?}");
        if code != 0 {
            finished.expect_stderr("target_session_attrs");
        }
    }
    // A host that accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    world
        .status(&format!("postgresql://u@127.0.0.1:{port}/d?connect_timeout=1"))
        .expect_exit(1)
        .expect_stderr("no answer within 2 s")
        .expect_stderr("PGCONNECT_TIMEOUT");
}

#[test]
fn every_connection_of_a_run_uses_the_same_values() {
    let (mut world, _home) = world();
    let port = world.postgres.port().to_string();
    for (name, value) in [("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGPASSWORD", PASSWORD), ("PGUSER", "my app")] {
        world.set(name, value);
    }
    world.set("DATABASE_URL", "dbname=postgres application_name=the-run");
    world.run(&["migrate"]).expect_exit(0);
    let ours = "from pg_stat_activity where application_name = 'the-run'";
    let gate = Gate::before(&world.sim, Endpoint::BookingsQuery, 1);
    let running = world.start(&["sync", "all"]);
    gate.wait();
    let cut: i64 = world.value(&format!("select count(*) from (select pg_terminate_backend(pid) {ours}) t"));
    assert!(cut > 0, "the program was connected");
    wait_until("the connection is gone", || world.value::<i64>(&format!("select count(*) {ours}")) == 0);
    gate.open();
    running.wait().expect_exit(0);
    world.assert_tables_equal_truth();
}

#[test]
fn each_mistake_gets_a_hint_and_shows_no_password() {
    let (mut world, _home) = world();
    let port = world.postgres.port();
    for (url, reason, hint) in [
        (format!("postgresql://my%20app:p4ss@127.0.0.1:{port}/postgres"), "password authentication", "PGPASSWORD"),
        (format!("postgresql://nobody:p4ss@127.0.0.1:{port}/postgres"), "28P01", "postgres.PROJECT_REF"),
        (format!("postgresql://my%20app:{ENCODED}@127.0.0.1:{port}/nothing"), "does not exist", "PGDATABASE"),
        (format!("postgresql://u:p4ss@no-such-host.invalid:{port}/d"), "no address is known", "PGHOST"),
        ("postgresql://u:p4ss@127.0.0.1:1/d".to_owned(), "refused", "check host and port"),
        ("postgresql://u:p4ss@/d?host=/no/such/directory".to_owned(), "No such file", "check host and port"),
    ] {
        let finished = world.status(&url).expect_exit(1).expect_stderr(reason).expect_stderr("hint: ");
        let finished = finished.expect_stderr(hint);
        assert!(!finished.stderr.contains("p4ss") && !finished.stderr.contains("a@b"), "{finished:#?}");
    }
    for url in [
        "postgresql://u:p4@ss@h/d",
        "postgresql://u:p4/ss@h/d",
        "postgresql://u:p4?ss@h/d",
        "postgresql://u:p4#ss/d",
        "postgresql://u:1/p4ss@h:5432/d",
        "postgresql://u:p4%ss@h/d",
        "postgresql://u:[your-password]@h/d",
        "postgresql://u:x@h/d?bogus=1",
        "postgresql://u:x@h:p4ss/d",
        "postgresql://u:x@h:0/d",
        "postgresql://u:x@h:70000/d",
        "postgresql://u:x@h,g/d?port=1,2,3",
        "postgresql://u:x@h/d?hostaddr=p4ss",
        "host=h password=p4 ss",
        "host=h password=p4 ss=1",
        "p4ss",
        "postgresql://u:p4ss@/d",
    ] {
        let finished = world.status(url).expect_exit(2).expect_stderr("DATABASE_URL");
        let shown = &finished.stderr;
        assert!(!shown.contains("p4") && !shown.contains("ss@") && !shown.contains("`ss`"), "{url}: {shown}");
    }
    let finished = world.run(&["status", "--database-url", "postgresql://u:p4ss@h/d?bogus=1"]);
    finished.expect_exit(2).expect_stderr("--database-url: the option `bogus` is unknown");
}

#[test]
fn pooler_without_startup_options_is_recognised() {
    let mut world = World::empty();
    let bouncer = PgBouncer::start(&world.postgres, PoolMode::Transaction, &[]).expect("the pooler starts");
    let url = bouncer.url("postgres");
    world.status(&url).expect_exit(0);
    let options = format!("{url}&options=-c%20search_path%3Dpublic");
    world.status(&options).expect_exit(1).expect_stderr("startup parameter").expect_stderr("PGOPTIONS");
}
