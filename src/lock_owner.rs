//! The process that owns the lease, and whether it has certainly ended.

use std::fs;

use serde::{Deserialize, Serialize};

/// Identifies one process. Process ids are reused, so boot, namespace and start time are included. A field is `None` if
/// this machine does not provide it (outside Linux).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    host: Option<String>,
    /// The id of the machine's current boot.
    boot: Option<String>,
    /// The namespace of `pid`.
    pid_namespace: Option<String>,
    pid: u32,
    /// When the process started, in clock ticks since boot.
    started: Option<u64>,
    #[serde(default)]
    is_brief: bool,
}

impl LockOwner {
    pub fn current() -> LockOwner {
        let pid = std::process::id();
        LockOwner {
            host: read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")),
            boot: read("/proc/sys/kernel/random/boot_id"),
            pid_namespace: fs::read_link("/proc/self/ns/pid").ok().map(|link| link.to_string_lossy().into_owned()),
            pid,
            started: process_stat(pid).map(|(_, started)| started),
            is_brief: false,
        }
    }

    /// An owner that releases the lease within seconds, for instance to empty the inbox. A run waits for it.
    pub fn briefly(self) -> LockOwner {
        LockOwner { is_brief: true, ..self }
    }

    pub fn is_brief(&self) -> bool {
        self.is_brief
    }

    /// True if `self` ran on the machine and in the namespace of `observer` and has certainly ended. If that is not
    /// known it is false, and the lease has to expire.
    pub fn is_dead(&self, observer: &LockOwner) -> bool {
        let known = [
            (&self.host, &observer.host),
            (&self.boot, &observer.boot),
            (&self.pid_namespace, &observer.pid_namespace),
        ];
        if known.iter().any(|(ours, theirs)| ours.is_none() || ours != theirs) || self.started.is_none() {
            return false;
        }
        match process_stat(self.pid) {
            // A zombie no longer writes; only its parent has not waited for it.
            Some((state, started)) => matches!(state, 'Z' | 'X') || Some(started) != self.started,
            // If other users' processes are hidden (`hidepid`, systemd's `ProtectProc`), not even process 1 is visible.
            None => {
                fs::exists("/proc/1").unwrap_or(false) && !fs::exists(format!("/proc/{}", self.pid)).unwrap_or(true)
            }
        }
    }

    pub fn describe(&self) -> String {
        format!("pid {} on {}", self.pid, self.host.as_deref().unwrap_or("an unknown host"))
    }
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// State and start time from `/proc/PID/stat`. The command's name may contain spaces and brackets, so fields are
/// counted after its last bracket.
fn process_stat(pid: u32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::{LockOwner, process_stat};

    #[test]
    fn ended_process_and_zombie_are_dead() {
        let current = LockOwner::current();
        assert!(!current.is_dead(&current));
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let (_, started) = process_stat(child.id()).unwrap();
        let owner = LockOwner { pid: child.id(), started: Some(started), ..current.clone() };
        assert!(!owner.is_dead(&current));
        child.kill().unwrap();
        while !owner.is_dead(&current) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(owner.is_dead(&current));
    }

    #[test]
    fn other_machine_boot_or_namespace_is_unknown() {
        let current = LockOwner::current();
        let gone = LockOwner { started: Some(0), ..current.clone() };
        assert!(gone.is_dead(&current), "the pid was given to another process since");
        for other in [
            LockOwner { host: Some("elsewhere".to_owned()), ..gone.clone() },
            LockOwner { boot: Some("another".to_owned()), ..gone.clone() },
            LockOwner { pid_namespace: Some("pid:[1]".to_owned()), ..gone.clone() },
            LockOwner { boot: None, ..gone.clone() },
            LockOwner { started: None, ..gone.clone() },
        ] {
            assert!(!other.is_dead(&current), "{other:?}");
        }
    }
}
