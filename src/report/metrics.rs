//! Writes a run's metrics in Prometheus's text format, for node_exporter's textfile collector.
//!
//! The file is replaced atomically. The time of a table's last success is copied from the previous file, so that it
//! stays known while runs fail.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, FileType, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::run::{PassKind, RunSummary, Status, TableSummary};
use crate::table::Table;

/// A metric's value for one table.
type Count = fn(&TableSummary) -> u64;

const LAST_SUCCESS: &str = "wix_sync_last_success_timestamp_seconds";
const EXIT_CODE: &str = "wix_sync_last_run_exit_code";

/// The mode of a new file. The collector is another user, and the file has no secrets. An existing file keeps its mode.
const NEW_FILE_MODE: u32 = 0o644;

const STICKY_AND_WORLD_WRITABLE: u32 = 0o1002;

/// Maximum number of symbolic links in one path, as in Linux.
const MAX_LINKS: u32 = 40;

#[derive(Clone, Debug)]
pub struct MetricsFile {
    path: PathBuf,
}

/// How a run ended, or why it did not start.
#[derive(Debug)]
pub struct RunMetrics<'a> {
    /// As in `sync_logs.sync_type`.
    pub sync_type: &'a str,
    /// `None` if it is not known.
    pub schema: Option<&'a str>,
    pub ended_at: DateTime<Utc>,
    pub duration: Duration,
    pub exit_code: u8,
    /// `None` if the run did not start.
    pub summary: Option<&'a RunSummary>,
}

impl MetricsFile {
    /// Makes sure that the file can be written, without changing it.
    pub fn new(path: &Path) -> io::Result<MetricsFile> {
        let file = MetricsFile { path: path.to_owned() };
        let place = Place::of(path)?;
        drop(place.create_temporary()?);
        fs::remove_file(&place.temporary)?;
        Ok(file)
    }

    pub fn write(&self, metrics: &RunMetrics<'_>) -> io::Result<()> {
        // The file may have changed during the run.
        let place = Place::of(&self.path)?;
        // If there is no readable file yet, nothing is copied.
        let before =
            if place.mode.is_some() { fs::read_to_string(&place.path).unwrap_or_default() } else { String::new() };
        let written = place.create_temporary().and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(place.mode.unwrap_or(NEW_FILE_MODE)))?;
            file.write_all(render(metrics, &before).as_bytes())?;
            file.sync_all()?;
            fs::rename(&place.temporary, &place.path)
        });
        if written.is_err() {
            // The incomplete file is useless. An error of its removal changes nothing.
            let _ = fs::remove_file(&place.temporary);
        }
        written
    }
}

/// A regular file, or the name of a new one.
struct Place {
    /// All symbolic links are resolved.
    path: PathBuf,
    /// A file in the same directory, because a rename is atomic only there. The collector ignores it, because its name
    /// does not end in `.prom`.
    temporary: PathBuf,
    /// The mode of the existing file.
    mode: Option<u32>,
}

impl Place {
    /// Follows symbolic links to the real file without opening it: opening a FIFO would block.
    fn of(path: &Path) -> io::Result<Place> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let name = path.file_name().ok_or_else(|| refused("it is a directory"))?.to_owned();
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let directory = fs::canonicalize(parent)?;
            // /dev/stdout and /dev/fd lead here. Replacing these files would redirect the program's output.
            if directory.starts_with("/proc") {
                return Err(refused("it is not a regular file"));
            }
            path = directory.join(name);
            let temporary = directory.join(format!(".wix-sync-{}.tmp", Uuid::new_v4().simple()));
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Place { path, temporary, mode: None });
                }
                Err(error) => return Err(error),
            };
            if metadata.is_symlink() {
                // As Linux does with `fs.protected_symlinks`: in /tmp, anyone can create the link.
                let shared = fs::metadata(&directory)?;
                if shared.mode() & STICKY_AND_WORLD_WRITABLE == STICKY_AND_WORLD_WRITABLE
                    && metadata.uid() != shared.uid()
                {
                    return Err(refused("it is a symbolic link in a directory that everyone may write to"));
                }
                path = directory.join(fs::read_link(&path)?);
                continue;
            }
            return match other_kind(metadata.file_type()) {
                None => Ok(Place { path, temporary, mode: Some(metadata.permissions().mode() & 0o777) }),
                Some(kind) => Err(refused(&format!("it is not a regular file but {kind}"))),
            };
        }
        Err(refused("it is a symbolic link that leads nowhere"))
    }

    /// Fails if the name exists, even as a symbolic link.
    fn create_temporary(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.temporary)
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// Describes a file that is not a regular file.
fn other_kind(file_type: FileType) -> Option<&'static str> {
    if file_type.is_file() {
        None
    } else if file_type.is_dir() {
        Some("a directory")
    } else if file_type.is_fifo() {
        Some("a FIFO")
    } else if file_type.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// Metrics in the text format. A sample has labels, which may be empty, and a value.
#[derive(Debug, Default)]
pub struct MetricsText(String);

impl MetricsText {
    pub fn gauge(&mut self, name: &str, help: &str, samples: &[(String, f64)]) {
        self.metric(name, "gauge", help, samples);
    }

    pub fn counter(&mut self, name: &str, help: &str, samples: &[(String, f64)]) {
        self.metric(name, "counter", help, samples);
    }

    pub fn into_string(self) -> String {
        self.0
    }

    /// Writing to a string cannot fail.
    fn metric(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
        if samples.is_empty() {
            return;
        }
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = match labels.as_str() {
                "" => writeln!(self.0, "{name} {value}"),
                labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
            };
        }
    }
}

fn render(metrics: &RunMetrics<'_>, before: &str) -> String {
    let before = Before::read(before);
    let schema = escaped(metrics.schema.or(before.schema.as_deref()).unwrap_or("unknown"));
    let run_labels = format!("schema=\"{schema}\",type=\"{}\"", metrics.sync_type);
    let mut text = MetricsText::default();
    let mut gauge = |name: &str, help: &str, samples: &[(String, f64)]| text.gauge(name, help, samples);
    let one = |value: f64| [(run_labels.clone(), value)];
    let is_success = metrics.summary.is_some_and(|summary| summary.status == Status::Completed);
    gauge("wix_sync_last_run_timestamp_seconds", "When the last run ended.", &one(seconds(metrics.ended_at)));
    gauge("wix_sync_last_run_duration_seconds", "How long it took.", &one(metrics.duration.as_secs_f64()));
    gauge(
        "wix_sync_last_run_success",
        "1 if it completed, also where it left something out.",
        &one(f64::from(u8::from(is_success))),
    );
    gauge(EXIT_CODE, "Its exit code: 3 is completed, with something left out.", &one(metrics.exit_code.into()));

    let tables: &[TableSummary] = metrics.summary.map_or(&[], |summary| &summary.tables);
    let labels = |table: &'static Table| format!("schema=\"{schema}\",table=\"{}\"", table.name);
    let counts: [(&str, &str, Count); 9] = [
        ("table_success", "1 if the table's pass reached Wix's own end.", |it| {
            u64::from(it.status == Status::Completed)
        }),
        ("synced", "Records that stand in the table as Wix has them.", |it| it.counts.synced),
        ("inserted", "New rows.", |it| it.counts.inserted),
        ("updated", "Rows that changed.", |it| it.counts.updated),
        ("unchanged", "Rows that were as Wix has them.", |it| it.counts.unchanged),
        ("deleted", "Rows marked as deleted.", |it| it.counts.deleted),
        ("errors", "Records that could not be written.", |it| it.counts.errors),
        ("requests", "Requests sent to Wix, retries included.", |it| it.requests),
        ("retries", "Requests that were sent again.", |it| it.retries),
    ];
    for (name, help, count) in counts {
        let samples: Vec<(String, f64)> =
            tables.iter().map(|summary| (labels(summary.table), count(summary) as f64)).collect();
        gauge(&format!("wix_sync_last_run_{name}"), help, &samples);
    }
    let mut successes = before.successes;
    if metrics.summary.is_some() {
        // A success in the future comes from a wrong clock, so it is not used.
        successes.values_mut().filter(|at| **at > seconds(metrics.ended_at)).for_each(|at| *at = 0.0);
    }
    for summary in tables.iter().filter(|summary| is_whole(summary)) {
        successes.insert(labels(summary.table), seconds(metrics.ended_at));
    }
    // If the schema differs, the previous file belongs to another site.
    let ours = format!("schema=\"{schema}\",");
    let successes: Vec<(String, f64)> = successes.into_iter().filter(|(labels, _)| labels.starts_with(&ours)).collect();
    gauge(LAST_SUCCESS, "When the table was last read to Wix's own end.", &successes);
    text.into_string()
}

/// Whether a pass read everything: neither a time range nor only rejected records.
fn is_whole(summary: &TableSummary) -> bool {
    summary.status == Status::Completed && matches!(summary.pass, PassKind::Full | PassKind::Incremental)
}

/// Values from the previous file.
#[derive(Default)]
struct Before {
    schema: Option<String>,
    successes: BTreeMap<String, f64>,
}

impl Before {
    fn read(text: &str) -> Before {
        let mut before = Before::default();
        for line in text.lines() {
            let Some((name, (labels, value))) =
                line.split_once('{').and_then(|(name, rest)| Some((name, rest.rsplit_once("} ")?)))
            else {
                continue;
            };
            if name == EXIT_CODE {
                let schema = labels.strip_prefix("schema=\"").and_then(|rest| rest.split_once("\",type="));
                before.schema = schema.map(|(schema, _)| schema.to_owned());
            } else if let (LAST_SUCCESS, Ok(value)) = (name, value.trim().parse()) {
                before.successes.insert(labels.to_owned(), value);
            }
        }
        before
    }
}

fn seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1000.0
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::{RunMetrics, render};
    use crate::run::{PassKind, RunSummary, Status, TableSummary};
    use crate::table::Table;
    use crate::table::{CUSTOMERS, ORDERS};

    fn summary(statuses: &[(&'static Table, Status)]) -> RunSummary {
        let table = |(table, status): &(&'static Table, Status)| {
            let mut summary = TableSummary::new(table, PassKind::Incremental);
            summary.status = *status;
            summary.counts.add(5, 0, 1995);
            summary
        };
        RunSummary {
            run_id: Uuid::nil(),
            sync_type: "all".to_owned(),
            status: Status::Failed,
            started_at: Utc::now(),
            duration_ms: 0,
            tables: statuses.iter().map(table).collect(),
            error: None,
        }
    }

    fn at(seconds: i64, summary: Option<&RunSummary>, schema: Option<&str>, before: &str) -> String {
        let ended_at = DateTime::from_timestamp(seconds, 500_000_000).unwrap();
        let duration = Duration::from_millis(1250);
        render(&RunMetrics { sync_type: "all", schema, ended_at, duration, exit_code: 1, summary }, before)
    }

    #[test]
    fn when_a_table_last_succeeded_stays_known_while_runs_fail() {
        let first = summary(&[(&CUSTOMERS, Status::Completed), (&ORDERS, Status::Failed)]);
        let first = at(1000, Some(&first), Some("wix"), "");
        for line in [
            "wix_sync_last_run_duration_seconds{schema=\"wix\",type=\"all\"} 1.25",
            "wix_sync_last_run_success{schema=\"wix\",type=\"all\"} 0",
            "wix_sync_last_run_unchanged{schema=\"wix\",table=\"orders\"} 1995",
            "wix_sync_last_success_timestamp_seconds{schema=\"wix\",table=\"customers\"} 1000.5",
        ] {
            assert!(first.lines().any(|found| found == line), "{line} is not in {first}");
        }
        assert!(!first.contains("seconds{schema=\"wix\",table=\"orders\"}"), "{first}");
        // The database was not reachable, so tables and schema are unknown.
        let second = at(2000, None, None, &first);
        assert!(second.contains("exit_code{schema=\"wix\",type=\"all\"} 1"), "{second}");
        assert!(second.contains("success_timestamp_seconds{schema=\"wix\",table=\"customers\"} 1000.5"), "{second}");
        assert!(!second.contains("last_run_synced"), "{second}");
        let third = summary(&[(&CUSTOMERS, Status::Failed), (&ORDERS, Status::Completed)]);
        let third = at(3000, Some(&third), Some("wix"), &second);
        assert!(third.contains("table=\"customers\"} 1000.5") && third.contains("table=\"orders\"} 3000.5"), "{third}");
        // A file of another site is ignored.
        assert!(!at(4000, None, Some("other"), &third).contains("1000.5"));
    }
}
