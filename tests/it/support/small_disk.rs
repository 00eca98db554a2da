//! A disk for a server's tables that becomes full, and has space again when the test says so.
//!
//! Root mounts a small file system. Other accounts, as in most containers, load a small library into Postgres that
//! returns the same errors: no other way to a full disk works for every account. That needs the C compiler which Rust
//! itself links with.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use private_postgres::{Builder, Server};

/// Keeps a file system mounted as long as its standard input is open. Each line on it is a new size.
const KEEPER: &str = r#"
    mount -t tmpfs -o "size=$2,mode=0700,uid=$3,gid=$4" small "$1" || exit
    echo ok
    while read -r size; do mount -o "remount,size=$size" "$1" && echo ok; done
    umount -l "$1"
"#;

/// A directory with space for a few hundred kilobytes, until [`SmallDisk::make_room`].
pub(crate) struct SmallDisk {
    directory: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A shell that unmounts it when the test ends, for any reason.
    Mounted { keeper: Child, sizes: Option<ChildStdin>, answers: BufReader<ChildStdout> },
    /// This file exists while the disk must be full.
    Pretended { flag: PathBuf, library: PathBuf },
}

impl SmallDisk {
    /// A disk so small that the first thousand records fill it.
    pub(crate) fn new() -> SmallDisk {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("wix-sync-small-disk-{}-{count}", std::process::id()));
        std::fs::create_dir(&directory).expect("a new directory");
        // The account of the servers owns their data.
        let server = Server::start().expect("Postgres starts");
        let owner = std::fs::metadata(server.data_dir()).expect("it has data");
        let owner = (owner.uid(), owner.gid());
        let kind = SmallDisk::mounted(&directory, owner).unwrap_or_else(|| SmallDisk::pretended(&directory, owner));
        SmallDisk { directory, kind }
    }

    /// Settings of a server that keeps tables there.
    pub(crate) fn server(&self) -> Builder {
        match &self.kind {
            Kind::Mounted { .. } => Server::builder(),
            Kind::Pretended { flag, library } => Server::builder()
                .environment("LD_PRELOAD", library)
                .environment("SMALL_DISK_DIR", self.place())
                .environment("SMALL_DISK_FLAG", flag)
                .environment("SMALL_DISK_BYTES", "262144"),
        }
    }

    /// The directory of the tablespace.
    pub(crate) fn place(&self) -> PathBuf {
        match &self.kind {
            Kind::Mounted { .. } => self.directory.clone(),
            Kind::Pretended { .. } => self.directory.join("tables"),
        }
    }

    /// From now on there is enough space.
    pub(crate) fn make_room(&mut self) {
        match &mut self.kind {
            Kind::Mounted { sizes, answers, .. } => {
                writeln!(sizes.as_mut().expect("it is open"), "256m").expect("the keeper reads");
                assert_eq!(answer(answers).as_deref(), Some("ok"), "the disk grows");
            }
            Kind::Pretended { flag, .. } => std::fs::remove_file(flag).expect("the flag is there"),
        }
    }

    fn mounted(directory: &Path, (user, group): (u32, u32)) -> Option<Kind> {
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(directory)
            .args(["2m", &user.to_string(), &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let sizes = keeper.stdin.take();
        let mut answers = BufReader::new(keeper.stdout.take().expect("it has an output"));
        if answer(&mut answers).as_deref() == Some("ok") {
            return Some(Kind::Mounted { keeper, sizes, answers });
        }
        keeper.wait().expect("the shell ends");
        None
    }

    fn pretended(directory: &Path, (user, group): (u32, u32)) -> Kind {
        let library = directory.join("small_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/small_disk.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        let built = built.expect("where nothing can be mounted, this test needs a C compiler named cc");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let tables = directory.join("tables");
        std::fs::create_dir(&tables).expect("a new directory");
        chown(&tables, Some(user), Some(group)).expect("it is given to the servers' account");
        let flag = directory.join("full");
        std::fs::write(&flag, "").expect("the flag is written");
        Kind::Pretended { flag, library }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Kind::Mounted { keeper, sizes, .. } = &mut self.kind {
            drop(sizes.take());
            // Unmounts it, whatever it contains.
            let _ = keeper.wait();
        }
        // A leftover is only this test's directory, in a directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The next line; `None` at the end.
fn answer(from: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line.trim().to_owned())
}
