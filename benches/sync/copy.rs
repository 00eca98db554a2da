//! The measure of all: `\copy` of the finished rows into the same empty tables, by one plain client.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use postgres::{Client, NoTls};

use crate::Result;
use crate::child::{own, without_own_variables};
use crate::measured::{Usage, run};

/// In an order that the foreign keys allow.
const TABLES: [&str; 3] = ["customers", "appointments", "orders"];

/// The rows of all tables as files in COPY's text format, and who copies them in.
pub(crate) struct Copy {
    dir: PathBuf,
    psql: Option<PathBuf>,
    /// The size of the files.
    pub(crate) bytes: u64,
}

/// What this executable is told where there is no psql.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    database_url: String,
    #[arg(long)]
    dir: PathBuf,
}

impl Copy {
    /// Writes all columns of all rows to files.
    pub(crate) fn export(database_url: &str, dir: &Path, psql: Option<PathBuf>) -> Result<Copy> {
        let mut client = Client::connect(database_url, NoTls)?;
        let mut bytes = 0;
        for table in TABLES {
            let mut rows = client.copy_out(&format!("copy {table} to stdout"))?;
            bytes += io::copy(&mut rows, &mut File::create(file(dir, table))?)?;
        }
        Ok(Copy { dir: dir.to_owned(), psql, bytes })
    }

    /// Who copies the rows in.
    pub(crate) fn client(&self) -> &'static str {
        if self.psql.is_some() { "psql's \\copy" } else { "COPY FROM STDIN by the postgres crate" }
    }

    /// Copies all rows into a database.
    pub(crate) fn import(&self, database_url: &str) -> Result<Usage> {
        let Some(psql) = &self.psql else {
            return run(own("copy")?.args(["--database-url", database_url, "--dir"]).arg(&self.dir));
        };
        let mut command = Command::new(psql);
        without_own_variables(&mut command);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        for table in TABLES {
            let path = file(&self.dir, table).to_string_lossy().replace('\'', "''");
            command.args(["-c", &format!("\\copy {table} from '{path}'")]);
        }
        run(command.arg(database_url))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for table in TABLES {
            // What stays goes with its directory.
            let _ = fs::remove_file(file(&self.dir, table));
        }
    }
}

/// Does what psql's `\copy` does.
pub(crate) fn serve(arguments: &Arguments) -> Result<()> {
    let mut client = Client::connect(&arguments.database_url, NoTls)?;
    for table in TABLES {
        let mut rows = client.copy_in(&format!("copy {table} from stdin"))?;
        io::copy(&mut File::open(file(&arguments.dir, table))?, &mut rows)?;
        rows.finish()?;
    }
    Ok(())
}

fn file(dir: &Path, table: &str) -> PathBuf {
    dir.join(format!("{table}.copy"))
}
