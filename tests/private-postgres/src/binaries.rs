//! Finds the programs of a PostgreSQL server and their version. `obtain` installs what is missing.

use crate::{
    account,
    error::{Error, Result},
};
use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
};

/// The major versions that the project supports and tests with.
pub const SUPPORTED: RangeInclusive<u32> = 14..=18;

/// A directory with `initdb` and `postgres`, and their version.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
    version: String,
}

impl Binaries {
    /// The binaries in `dir`, of any version; an error if none of them runs.
    pub fn at(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir: PathBuf = dir.into();
        let dir = fs::canonicalize(&dir).map_err(|e| Error::io(format!("no directory {}", dir.display()), e))?;
        if !dir.join("initdb").is_file() {
            return Err(Error::new(format!("no initdb in {}", dir.display())));
        }
        // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
        let text = account::run(Command::new(dir.join("postgres")).arg("--version"))?;
        let version = text.trim().split_once("(PostgreSQL) ").map(|(_, version)| version.to_owned());
        let unknown = || Error::new(format!("{}/postgres tells no version: {}", dir.display(), text.trim()));
        let version = version.ok_or_else(unknown)?;
        let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse().ok());
        Ok(Self { major: major.ok_or_else(unknown)?, version, dir })
    }

    /// The newest installed binaries of a supported version, or of the `wanted` one (`17` or `17.10`).
    pub fn installed(wanted: Option<&str>) -> Option<Self> {
        // A directory whose initdb does not run is skipped, whatever the reason.
        let found = places().into_iter().filter_map(|dir| Self::at(dir).ok());
        found.filter(|found| found.is(wanted)).max_by_key(|found| found.major)
    }

    fn is(&self, wanted: Option<&str>) -> bool {
        match wanted {
            None => SUPPORTED.contains(&self.major),
            Some(wanted) if wanted.contains('.') => self.version.split(' ').next() == Some(wanted),
            Some(wanted) => wanted == self.major.to_string(),
        }
    }

    /// The directory of the binaries.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The major version, such as 17.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The version as the server reports it, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `psql`, beside the binaries or on the PATH.
    pub fn psql(&self) -> Option<PathBuf> {
        let beside = self.dir.join("psql");
        if beside.is_file() { Some(beside) } else { program("psql") }
    }
}

/// A program on the PATH or in the usual directories of system programs.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let usual = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"];
    let dirs = path_dirs().into_iter().chain(usual.map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn path_dirs() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// Every directory that may hold a server: PATH, `pg_config`, and where packages put each major version.
fn places() -> Vec<PathBuf> {
    let mut dirs = path_dirs();
    if let Some(pg_config) = program("pg_config")
        && let Ok(dir) = account::run(Command::new(pg_config).arg("--bindir"))
    {
        dirs.push(dir.trim().into());
    }
    dirs.push("/usr/local/pgsql/bin".into());
    let parents = [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ];
    for (parent, start) in parents {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
        dirs.extend(named.map(|entry| entry.path().join("bin")));
    }
    dirs.retain(|dir| dir.join("initdb").is_file());
    dirs.sort();
    dirs.dedup();
    dirs
}
