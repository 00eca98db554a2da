//! The platform's package manager: apt-get as root or through a sudo that asks nothing, brew on macOS.
//! Each install says on stderr what it is about to do, before it does it.

use crate::{
    account,
    binaries::program,
    error::{Error, Result},
};
use std::process::{Command, Stdio};

/// One line for the person who waits.
#[expect(clippy::print_stderr, reason = "an install must not be silent, and there is no other channel here")]
pub(crate) fn say(line: &str) {
    eprintln!("private-postgres: {line}");
}

/// Whether [`apt_install`] can work here.
pub(crate) fn has_apt() -> bool {
    cfg!(target_os = "linux") && program("apt-get").is_some() && (account::is_root() || has_sudo())
}

/// Whether [`brew_install`] can work here.
pub(crate) fn has_brew() -> bool {
    cfg!(target_os = "macos") && program("brew").is_some()
}

/// sudo, which fails rather than ask for a password. A bare Debian has none.
fn sudo() -> Command {
    let mut sudo = Command::new(program("sudo").unwrap_or_else(|| "sudo".into()));
    sudo.arg("-n");
    sudo
}

fn has_sudo() -> bool {
    let mut sudo = sudo();
    sudo.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

/// Installs Debian packages; services are not started, and no cluster is made.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    say(&format!("{names} is missing: apt-get update, then apt-get install {names} (no service, no cluster)"));
    let mut command = if account::is_root() {
        Command::new("sh")
    } else {
        let mut sudo = sudo();
        sudo.arg("sh");
        sudo
    };
    command.args(["-c", include_str!("apt.sh"), "apt"]).args(packages);
    install("apt-get", &mut command)
}

/// Installs a Homebrew formula.
pub(crate) fn brew_install(formula: &str) -> Result<()> {
    say(&format!("{formula} is missing: brew install {formula}"));
    install("brew", Command::new("brew").args(["install", formula]))
}

fn install(name: &str, command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| Error::io(format!("cannot run {name}"), e))?;
    account::finished(name, &output).map(|_| ())
}

/// What a person types where nothing could be installed.
pub(crate) fn advice(deb: &str, formula: &str) -> String {
    if cfg!(target_os = "macos") {
        format!("type: brew install {formula}")
    } else if program("apt-get").is_some() {
        format!("type: sudo apt-get update && sudo apt-get install {deb}")
    } else if program("dnf").is_some() {
        format!("type: sudo dnf install {}", if deb == "postgresql" { "postgresql-server" } else { deb })
    } else if program("apk").is_some() {
        format!("type: apk add {deb}")
    } else if program("pacman").is_some() {
        format!("type: sudo pacman -S {deb}")
    } else {
        format!("install {deb} with this system's package manager")
    }
}
