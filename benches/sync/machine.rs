//! What the system tells of processes and of itself. All of it from `/proc`: elsewhere it is not known.

use std::fs;
use std::time::Duration;

/// The kernel counts CPU time in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of a process, user and system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// Of all its threads.
    pub(crate) own: Duration,
    /// Of its children that have ended.
    pub(crate) ended_children: Duration,
}

/// The CPU time of a process.
pub(crate) fn cpu_of(pid: u32) -> Option<Cpu> {
    let stat = Stat::read(pid)?;
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
    Some(Cpu {
        own: time(stat.number(13)? + stat.number(14)?),
        ended_children: time(stat.number(15)? + stat.number(16)?),
    })
}

/// The CPU time of a process and of all children that it has or had.
pub(crate) fn cpu_of_family(parent: u32) -> Option<Duration> {
    loop {
        let before = cpu_of(parent)?;
        let mut children = Duration::ZERO;
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if Stat::read(pid).and_then(|stat| stat.number(3)) == Some(u64::from(parent)) {
                children += cpu_of(pid).unwrap_or_default().own;
            }
        }
        // A child that ended meanwhile may have been counted in neither place.
        if cpu_of(parent)?.ended_children == before.ended_children {
            return Some(before.own + before.ended_children + children);
        }
    }
}

/// The fields of `/proc/PID/stat`, counted from 0.
struct Stat(String);

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        fs::read_to_string(format!("/proc/{pid}/stat")).ok().map(Stat)
    }

    /// Field 1 is the name in parentheses, which may hold spaces.
    fn number(&self, field: usize) -> Option<u64> {
        let (_, behind) = self.0.rsplit_once(") ")?;
        behind.split(' ').nth(field.checked_sub(2)?)?.parse().ok()
    }
}

/// The machine in a few words.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(String::new(), |(_, model)| format!(", {model}"));
    format!("{cores} cores{model}")
}

/// How busy the machine was in the last minute, other work included.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
