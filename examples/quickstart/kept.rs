//! Where the private Postgres of the quickstart keeps its data from one start to the next.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use private_postgres::Server;

use crate::Result;

/// How long a server of a quickstart that was killed a moment ago may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The directory, held by this process alone.
pub(crate) struct Kept {
    dir: PathBuf,
    _lock: File,
}

impl Kept {
    /// Makes the directory if it is missing. One quickstart at a time.
    pub(crate) fn lock() -> Result<Kept> {
        let is_root = rustix::process::geteuid().is_root();
        let dir = place(is_root)?;
        let failed = |error| format!("can't use {}: {error}", dir.display());
        fs::create_dir_all(&dir).map_err(failed)?;
        // Postgres does not run as root, and its account has to pass through here. Its own directory is closed.
        let mode = if is_root { 0o755 } else { 0o700 };
        fs::set_permissions(&dir, Permissions::from_mode(mode)).map_err(failed)?;
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Kept { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(format!("another quickstart is at work in {}", dir.display()).into()),
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }

    /// The same, where a quickstart has left data.
    pub(crate) fn lock_filled() -> Result<Kept> {
        let kept = Kept::lock()?;
        if kept.postgres().join("data/PG_VERSION").is_file() {
            return Ok(kept);
        }
        Err("there is no data yet: run quickstart without arguments first".into())
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes the data of earlier quickstarts.
    pub(crate) fn empty(&self) -> Result<()> {
        let begun = Instant::now();
        while self.postgres().join("data/postmaster.pid").exists() && begun.elapsed() < STOP_LIMIT {
            sleep(Duration::from_millis(50));
        }
        match fs::remove_dir_all(self.postgres()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("can't empty {}: {error}", self.postgres().display()).into())
            }
            _ => Ok(()),
        }
    }

    /// Starts the server; gets Postgres first where none is installed. Dropping it stops it.
    pub(crate) fn start(&self) -> Result<Server> {
        Ok(Server::builder().keep(self.postgres()).start()?)
    }

    fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }
}

/// Root's own home is closed to the account that Postgres runs under.
fn place(is_root: bool) -> Result<PathBuf> {
    const NAME: &str = "wix-sync-quickstart";
    if is_root {
        return Ok(Path::new("/var/lib").join(NAME));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let below_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    Ok(data.ok_or("HOME is not set, so there is no place for the data")?.join(NAME))
}
