//! A run as progress bars on a terminal: one per table, with records, rate, and the time left if the total is known.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::text::{broken, columns, duration, short_outcome};
use crate::event::{Event, Reporter};
use crate::run::{Status, TableSummary};
use crate::table::Table;
use crate::visible;

// Each fits into 80 columns: if a bar wraps, a part of it stays on the screen.
const WITH_TOTAL: &str = "{spinner} {prefix:<12} [{wide_bar}] {human_pos} of {human_len}  {rate}, {eta} left";
const WITHOUT_TOTAL: &str = "{spinner} {prefix:<12} {human_pos} records  {rate}, {elapsed}";
const WAITING: &str = "{spinner} {prefix:<12} {wide_msg}";

/// As wide as the longest table name, and as in the templates.
const NAME_WIDTH: usize = 12;

pub(super) struct Progress {
    area: MultiProgress,
    bars: Mutex<HashMap<&'static Table, ProgressBar>>,
}

impl Progress {
    pub(super) fn new(area: MultiProgress) -> Progress {
        Progress { area, bars: Mutex::default() }
    }

    fn with_bar(&self, table: &'static Table, change: impl FnOnce(&ProgressBar)) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(table).or_insert_with(|| {
            let bar = self.area.add(ProgressBar::no_length().with_style(style(WITHOUT_TOTAL)).with_prefix(table.name));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        change(bar);
    }

    /// A line above the bars, which stay usable if it can't be written.
    fn say(&self, text: &str) {
        for line in broken(&visible::one_line(text), columns(&Term::stderr())) {
            let _ = self.area.println(line);
        }
    }

    /// A line about a table, with its name on the left.
    fn say_of(&self, table: &str, text: &str) {
        let width = columns(&Term::stderr()).map(|width| width - NAME_WIDTH - 1);
        for (index, line) in broken(text, width).iter().enumerate() {
            let name = if index == 0 { table } else { "" };
            let _ = self.area.println(format!("{name:<NAME_WIDTH$} {line}"));
        }
    }
}

impl Reporter for Progress {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::LeaseTaken { .. }
            | Event::RunStarted { .. }
            | Event::PassPlanned { .. }
            | Event::RequestSent { .. } => {}
            Event::TableStarted { table } => self.with_bar(table, |_| {}),
            Event::BatchCommitted { table, record_count, total }
            | Event::RecordsCompared { table, record_count, total } => self.with_bar(table, |bar| {
                if let (Some(total), None) = (total, bar.length()) {
                    bar.set_length(total);
                }
                bar.set_style(style(if bar.length().is_some() { WITH_TOTAL } else { WITHOUT_TOTAL }));
                bar.set_position(record_count);
            }),
            Event::ComparisonFinished { table } => self.with_bar(table, |bar| bar.finish_and_clear()),
            Event::RecordRejected { .. } => {}
            Event::Notice { table: Some(table), text } => self.say(&format!("{table}: {text}")),
            Event::Notice { table: None, text } => self.say(text),
            Event::Waiting { delay, reason } => {
                let bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
                for bar in bars.values().filter(|bar| !bar.is_finished()) {
                    bar.set_style(style(WAITING));
                    bar.set_message(format!("waiting {}: {}", duration(delay), visible::one_line(reason)));
                }
            }
            Event::TableFinished { summary } => {
                self.with_bar(summary.table, |bar| bar.finish_and_clear());
                self.say_of(summary.table.name, &finish_line(summary));
            }
            Event::RunFinished { summary } => {
                for table in &summary.tables {
                    for error in table.error_details.iter().take(10) {
                        let id = error.wix_id.as_deref().unwrap_or("without an id");
                        self.say(&format!("{}: record {id} left out: {}", table.table, error.reason));
                    }
                }
                let word = if summary.status == Status::Completed { "completed" } else { "failed" };
                let elapsed = duration(Duration::from_millis(summary.duration_ms));
                self.say(&format!("Run {} {word} in {elapsed}.", &summary.run_id.to_string()[..8]));
            }
        }
    }
}

fn finish_line(summary: &TableSummary) -> String {
    match &summary.error {
        None => short_outcome(summary),
        Some(_) => format!("failed after {}", short_outcome(summary)),
    }
}

/// The templates are constants, and a test parses them.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // If the rate cannot be written, the bar has none.
    let rate = |state: &ProgressState, out: &mut dyn Write| write!(out, "{:.0}/s", state.per_sec()).unwrap_or_default();
    style.with_key("rate", rate).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    #[test]
    fn the_templates_can_be_parsed() {
        for template in [super::WITH_TOTAL, super::WITHOUT_TOTAL, super::WAITING] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
