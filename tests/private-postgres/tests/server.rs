//! Real servers: start and reach one, many at once, stop and restart, kept data, poolers.

use postgres::{Client, NoTls};
use private_postgres::{PgBouncer, PoolMode, Result, Server};
use std::{fs, process::Command, thread};

fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap_or_else(|e| panic!("{url}: {e:?}"))
}

fn number(url: &str, query: &str) -> i32 {
    connect(url).query_one(query, &[]).expect(query).get(0)
}

#[test]
fn query_works_and_nothing_is_left() -> Result<()> {
    let server = Server::start()?;
    let dir = server.socket_dir().to_owned();
    assert_eq!(number(&server.url("postgres"), "select 1"), 1);
    assert!(dir.exists());
    drop(server);
    assert!(!dir.exists());
    Ok(())
}

#[test]
fn psql_reads_the_same_url() -> Result<()> {
    let server = Server::builder().tcp().start()?;
    let Some(psql) = server.psql() else {
        return Ok(());
    };
    for url in [server.url("postgres"), server.tcp_url("postgres").expect("tcp was asked for")] {
        let output = Command::new(&psql).args(["-XAtc", "select 40 + 2", &url]).output().expect("psql runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "42", "{url}: {output:?}");
    }
    Ok(())
}

#[test]
fn twenty_servers_start_side_by_side() {
    let threads: Vec<_> = (0..20)
        .map(|n| {
            thread::spawn(move || {
                let server = Server::start().expect("a server");
                assert_eq!(number(&server.url("postgres"), &format!("select {n}")), n);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

#[test]
fn restart_and_kill_keep_the_data() -> Result<()> {
    for server in [Server::start()?, Server::builder().durable().tcp().start()?] {
        let url = server.url("postgres");
        connect(&url).batch_execute("create table t as select 7 as n; checkpoint").expect("a table");
        server.restart()?;
        assert_eq!(number(&url, "select n from t"), 7);
        server.kill_hard()?;
        assert!(Client::connect(&url, NoTls).is_err());
        server.restart()?;
        assert_eq!(number(&url, "select n from t"), 7);
        server.stop()?;
        assert!(!server.is_running());
    }
    Ok(())
}

#[test]
fn server_is_killed_in_the_middle_of_a_statement() -> Result<()> {
    let server = Server::start()?;
    let mut busy = connect(&server.url("postgres"));
    let never_waits = "create table t as select g from generate_series(1, 2000000000) g";
    let statement = thread::spawn(move || busy.batch_execute(never_waits));
    let running = "select count(*)::int from pg_stat_activity where query like 'create table t%'";
    while number(&server.url("postgres"), running) == 0 {}
    server.kill_hard()?;
    assert!(statement.join().expect("no panic").is_err());
    server.restart()?;
    let tables = "select count(*)::int from pg_class where relname = 't'";
    assert_eq!(number(&server.url("postgres"), tables), 0);
    Ok(())
}

#[test]
fn kept_directory_survives_its_server() -> Result<()> {
    let parent = std::env::temp_dir().join(format!("kept-{}-{}", std::process::id(), "long".repeat(20)));
    for n in 0..2 {
        let server = Server::builder().keep(parent.join("server")).start()?;
        let mut client = connect(&server.url("postgres"));
        client.batch_execute("create table if not exists runs (n int)").expect("a table");
        client.execute("insert into runs values (1)", &[]).expect("a row");
        assert_eq!(number(&server.url("postgres"), "select count(*)::int from runs"), n + 1);
        assert_eq!(number(&server.url("postgres"), "select (current_setting('fsync') = 'on')::int"), 1);
        // Postgres' own default, in MB.
        let wal = "select setting::int from pg_settings where name = 'max_wal_size'";
        assert_eq!(number(&server.url("postgres"), wal), 1024);
    }
    fs::remove_dir_all(parent).expect("the kept directory is still there");
    Ok(())
}

#[test]
fn settings_files_and_roles_take_effect() -> Result<()> {
    let only_owner = "local all postgres trust\nlocal all app trust\n";
    let server = Server::builder().setting("wal_level", "logical").data_file("pg_hba.conf", only_owner).start()?;
    let mut client = connect(&server.url("postgres"));
    client.batch_execute("create role app login; create role other login").expect("roles");
    let level: String = client.query_one("show wal_level", &[]).expect("a setting").get(0);
    assert_eq!(level, "logical");
    assert_eq!(number(&server.url_as("app", "postgres"), "select (current_user = 'app')::int"), 1);
    assert!(Client::connect(&server.url_as("other", "postgres"), NoTls).is_err());
    assert!(server.log_text().contains("no pg_hba.conf entry"));
    Ok(())
}

#[test]
fn unknown_setting_is_reported_with_the_log() {
    let problem = Server::builder().setting("no_such_setting", "1").start().expect_err("an error");
    assert!(problem.to_string().contains("no_such_setting"), "{problem}");
}

#[test]
fn pgbouncer_pools_transactions() -> Result<()> {
    let server = Server::start()?;
    connect(&server.url("postgres")).batch_execute("create role app login").expect("a role");
    let bouncer = PgBouncer::start(&server, PoolMode::Transaction, &[("default_pool_size", "1")])?;
    let (mut first, mut second) = (connect(&bouncer.url("postgres")), connect(&bouncer.url("postgres")));
    let backend = |client: &mut Client| match &client.simple_query("select pg_backend_pid()").expect("a row")[..] {
        [.., postgres::SimpleQueryMessage::Row(row), _] => row.get(0).expect("a number").to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(backend(&mut first), backend(&mut second), "one server connection for two clients");
    connect(&bouncer.url_as("app", "postgres")).simple_query("select 1").expect("another role");
    let dir = bouncer.socket_dir().to_owned();
    drop(bouncer);
    assert!(!dir.exists());
    Ok(())
}
