//! Runs a command with a private PostgreSQL server: `private-postgres [--version 17] -- COMMAND ARGS...`
//!
//! The command finds the server in `DATABASE_URL`, `PGHOST`, `PGPORT` and `PGUSER`. Its exit code is passed
//! on; the server and its data go when it ends. Exit code 2: wrong arguments, 125: no server, 127: no command.

use private_postgres::{Builder, Server};
use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode},
};

const USAGE: &str =
    "usage: private-postgres [--version 17] [--tcp] [--durable] [--setting NAME=VALUE]... -- COMMAND ARGS...";

fn main() -> ExitCode {
    let (builder, command) = match parse(std::env::args_os().skip(1)) {
        Ok(parsed) => parsed,
        Err(problem) => return fail(2, &format!("{problem}\n{USAGE}")),
    };
    let server = match builder.start() {
        Ok(server) => server,
        Err(problem) => return fail(125, &problem.to_string()),
    };
    let Some((program, args)) = command.split_first() else {
        return fail(2, USAGE);
    };
    let mut command = Command::new(program);
    command.args(args).env("DATABASE_URL", server.url("postgres")).env("PGUSER", "postgres");
    command.env("PGHOST", server.socket_dir()).env("PGPORT", server.port().to_string());
    match command.status() {
        Ok(status) => {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
        Err(problem) => fail(127, &format!("cannot run {}: {problem}", program.display())),
    }
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<(Builder, Vec<OsString>), String> {
    let mut args = args;
    let mut builder = Server::builder();
    while let Some(arg) = args.next() {
        let mut value = || {
            let value = args.next().and_then(|value| value.into_string().ok());
            value.ok_or_else(|| format!("{} needs a value", arg.display()))
        };
        match arg.to_str() {
            Some("--") => {
                let command: Vec<_> = args.collect();
                return if command.is_empty() { Err("no command".into()) } else { Ok((builder, command)) };
            }
            Some("--version") => builder = builder.version(value()?),
            Some("--tcp") => builder = builder.tcp(),
            Some("--durable") => builder = builder.durable(),
            Some("--setting") => {
                let setting = value()?;
                let (name, value) = setting.split_once('=').ok_or(format!("{setting}: no '='"))?;
                builder = builder.setting(name, value);
            }
            _ => return Err(format!("unknown argument {}", arg.display())),
        }
    }
    Err("no command".into())
}

#[expect(clippy::print_stderr, reason = "the one place where this program speaks")]
fn fail(code: u8, problem: &str) -> ExitCode {
    eprintln!("private-postgres: {problem}");
    ExitCode::from(code)
}
