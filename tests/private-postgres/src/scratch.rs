//! Directories: where throwaway servers live, and the template that they are copied from.
//!
//! `initdb` takes ten times as long as copying what it made, so each server version is initialised once
//! per account and machine, in a private directory below the temporary directory, and copied from there
//! by every process. The template is remade once a day: cleaners of temporary files leave holes in old ones.

use crate::{
    Binaries, account,
    error::{Error, Result},
};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha512};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

/// Free space that makes a memory file system safe to use: containers often give it 64 MB in all.
const TMPFS_FREE_BYTES: u64 = 2 << 30;

/// The longest directory that still holds a socket: a socket's whole path must stay under 100 bytes.
const MAX_SOCKET_DIR_BYTES: usize = 80;

/// How long a template serves, well under the ten days after which cleaners start to remove files.
const TEMPLATE_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Quick to copy. Not for data that is kept: initdb sets `max_wal_size` to 64 segments, so such a server would write a
/// checkpoint every few seconds under load, where an ordinary one takes in 1 GB first.
const SMALL_WAL: &[&str] = &["--wal-segsize=1"];

/// Names that no other server uses, one in each directory that may hold it, the fastest first.
pub(crate) fn new_dirs() -> Vec<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let name = format!("private-postgres-{}-{count}-{nanos:x}", process::id());
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let mut parents = if free >= TMPFS_FREE_BYTES { vec![memory.to_owned()] } else { vec![] };
    parents.extend([std::env::temp_dir(), "/tmp".into()]);
    parents.into_iter().map(|parent| parent.join(&name)).filter(|dir| holds_socket(dir)).collect()
}

/// Whether a socket in this directory has a path that every platform accepts.
pub(crate) fn holds_socket(dir: &Path) -> bool {
    dir.is_absolute() && dir.as_os_str().len() <= MAX_SOCKET_DIR_BYTES
}

/// A template that may be copied for as long as this lives.
pub(crate) struct Template {
    /// The data directory to copy.
    pub(crate) data: PathBuf,
    _shared: File,
}

/// The template of these binaries; the first caller makes it while the others wait.
pub(crate) fn template(binaries: &Binaries) -> Result<Template> {
    let base = cache()?;
    let identity = Sha512::digest(format!("{}\n{}", binaries.dir().display(), binaries.version()));
    let digits: String = identity.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = base.join(format!("{}-{digits}", binaries.major()));
    account::own_dir(&home)?;
    let (data, done) = (home.join("data"), home.join("done"));
    let fresh = || {
        let made = fs::metadata(&done).and_then(|meta| meta.modified());
        made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < TEMPLATE_AGE))
    };
    let open = || File::open(&home).map_err(|e| Error::io(format!("cannot open {}", home.display()), e));
    loop {
        let lock = open()?;
        lock_file(&lock, FlockOperation::LockShared)?;
        if fresh() {
            return Ok(Template { data, _shared: lock });
        }
        drop(lock);
        let lock = open()?;
        lock_file(&lock, FlockOperation::LockExclusive)?;
        if !fresh() {
            account::run(account::command("rm")?.arg("-rf").arg(&data).arg(&done))?;
            initdb(binaries, &data, SMALL_WAL)?;
            account::run(account::command("touch")?.arg(&done))?;
        }
    }
}

/// Makes a new data directory, with these arguments besides those of all servers.
pub(crate) fn initdb(binaries: &Binaries, data: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = account::command(binaries.dir().join("initdb"))?;
    command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]).args(arguments);
    account::run(command.arg("-D").arg(data)).map(|_| ())
}

/// Waits for a lock on an open file or directory; it is let go when the file is closed.
pub(crate) fn lock_file(file: &File, operation: FlockOperation) -> Result<()> {
    flock(file, operation).map_err(|e| Error::io("cannot lock a cache directory", e.into()))
}

/// The account's own directory for templates: the first of the temporary directories that it can use.
fn cache() -> Result<PathBuf> {
    let name = format!("private-postgres-{}", account::uid()?);
    let first = std::env::temp_dir().join(&name);
    match account::own_dir(&first) {
        Ok(()) => Ok(first),
        // The account may be unable to reach the caller's own temporary directory.
        Err(_) => {
            let second = Path::new("/tmp").join(&name);
            account::own_dir(&second).map(|()| second)
        }
    }
}
