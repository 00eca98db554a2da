//! Writes log lines to stderr, as text or JSON, without disturbing the progress bars.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

use super::args::{GlobalArgs, LogFormat};
use crate::{report, visible};

#[derive(Clone, Debug)]
pub(crate) struct Console {
    pub(crate) bars: MultiProgress,
    /// True if stderr is a terminal and no flag requires lines.
    pub(crate) draws_bars: bool,
    run_id: Arc<OnceLock<Uuid>>,
}

impl Console {
    /// The id of this command's run. JSON log lines contain it after the first call.
    pub(crate) fn run_id(&self) -> Uuid {
        *self.run_id.get_or_init(Uuid::new_v4)
    }

    /// True if this command is a run.
    pub(crate) fn is_run(&self) -> bool {
        self.run_id.get().is_some()
    }

    /// Removes the bars from the screen permanently.
    pub(crate) fn clear(&self) {
        // If stderr cannot be written, no bars are visible.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }
}

pub(crate) fn start(global: &GlobalArgs) -> Console {
    let is_terminal = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let draws_bars = is_terminal
        && !global.no_progress
        && !global.quiet
        && global.verbose == 0
        && global.log_format == LogFormat::Text;
    let target = if draws_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bars = MultiProgress::with_draw_target(target);
    if global.quiet {
        report::set_quiet();
    }
    let run_id = Arc::new(OnceLock::new());
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) if draws_bars => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // Only errors of the libraries, because their debug output may contain requests.
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("wix_sync", level)
        .with_target(report::NEWS, level.max(LevelFilter::WARN));
    let writer =
        SuspendingWriter { bars: bars.clone(), is_json: global.log_format == LogFormat::Json, run_id: run_id.clone() };
    let time = ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned());
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_target(false).with_timer(time);
    let make_writer = move || writer.clone();
    // Fails only if logging was already started; then it continues unchanged.
    let _ = match global.log_format {
        LogFormat::Text => {
            let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            // The message is complete without the fields, which are for JSON.
            let only_message = debug_fn(|writer, field, value| match field.name() {
                "message" => writer.write_str(&visible::one_line(&format!("{value:?}"))),
                _ => Ok(()),
            });
            let lines = builder.fmt_fields(only_message).with_ansi(colour).with_writer(make_writer);
            lines.finish().with(filter).try_init()
        }
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(make_writer)
            .finish()
            .with(filter)
            .try_init(),
    };
    Console { bars, draws_bars, run_id }
}

/// Hides the bars while a line is written.
#[derive(Clone)]
struct SuspendingWriter {
    bars: MultiProgress,
    is_json: bool,
    run_id: Arc<OnceLock<Uuid>>,
}

impl Write for SuspendingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full disk or a closed pipe of stderr must not end a run, which is also recorded in `sync_logs`. The library
        // would print the error to the same stderr, and panic.
        let line = match self.is_json {
            true => {
                let line = visible::json(&String::from_utf8_lossy(bytes)).into_owned();
                let line = match self.run_id.get() {
                    // Each write is one line, which is one object.
                    Some(run_id) => line.replacen('{', &format!("{{\"run_id\":\"{run_id}\","), 1),
                    None => line,
                };
                line.into_bytes()
            }
            false => bytes.to_vec(),
        };
        let _ = self.bars.suspend(|| io::stderr().lock().write_all(&line));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}
