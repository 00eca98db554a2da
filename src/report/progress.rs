//! Shows a run as progress bars on a terminal: one per table, with records, rate, and remaining time if the total is
//! known, or with the reason for a wait.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::text::{age, broken, columns, duration, short_outcome};
use super::wait::{describe_wait, seconds_left};
use super::{describe_left_out, name_rejected};
use crate::event::{Event, Reporter, Wait};
use crate::number::grouped;
use crate::run::{RunSummary, Status, TableSummary};
use crate::table::Table;
use crate::visible;

// Each template fits into 80 columns, because a wrapped bar leaves a part of itself on the screen.
const WITH_TOTAL: &str = "{spinner} {prefix:<12} [{wide_bar}] {human_pos} of {human_len}{rate}{left}";
const WITHOUT_TOTAL: &str = "{spinner} {prefix:<12} {human_pos} records{rate}, {time}";

/// Width of the table names, as in the templates.
const NAME_WIDTH: usize = 12;

/// Width of an activity, if the width of the terminal is unknown.
const ACTIVITY_WIDTH: usize = 60;

/// Interval at which a bar is drawn.
const TICK: Duration = Duration::from_millis(120);

pub(super) struct Progress {
    area: MultiProgress,
    /// The bar of `None` is for waits of no single table. It exists only during such a wait.
    bars: Mutex<HashMap<Option<&'static Table>, Bar>>,
}

struct Bar {
    bar: ProgressBar,
    wait: Option<CurrentWait>,
    /// The number of the record that is being looked up by its id, and the number of all such records.
    lookup: Option<(u64, Option<u64>)>,
}

#[derive(Clone)]
struct CurrentWait {
    wait: Wait,
    table: Option<&'static Table>,
    until: Option<Instant>,
}

impl CurrentWait {
    fn describe(&self) -> String {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.filter(|left| !left.is_zero()).map(|left| age(seconds_left(left)));
        visible::one_line(&describe_wait(&self.wait, self.table, left.as_deref())).into_owned()
    }
}

impl Bar {
    /// Shows the wait if there is one, else the lookups, else the number of records.
    fn restyle(&self) {
        let lookup = self.lookup.map(|(number, total)| match total {
            Some(total) => format!("looking up {} of {} by id", grouped(number), grouped(total)),
            None => format!("looking up record {} by id", grouped(number)),
        });
        if let Some(wait) = self.wait.clone() {
            self.bar.set_style(activity(move || match &lookup {
                Some(lookup) => format!("{lookup}; {}", wait.describe()),
                None => wait.describe(),
            }));
            return;
        }
        self.bar.set_style(match (lookup, self.bar.length()) {
            (Some(lookup), _) => activity(move || lookup.clone()),
            (None, Some(_)) => style(WITH_TOTAL),
            (None, None) => style(WITHOUT_TOTAL),
        });
    }
}

impl Progress {
    pub(super) fn new(area: MultiProgress) -> Progress {
        Progress { area, bars: Mutex::default() }
    }

    fn with_bar(&self, table: Option<&'static Table>, change: impl FnOnce(&mut Bar)) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(table).or_insert_with(|| {
            let bar = ProgressBar::no_length().with_style(style(WITHOUT_TOTAL));
            let bar = self.area.add(bar.with_prefix(table.map_or("", |table| table.name)));
            bar.enable_steady_tick(TICK);
            Bar { bar, wait: None, lookup: None }
        });
        change(bar);
    }

    /// Ends the wait of a table, or the wait of no single table.
    fn end_wait(&self, table: Option<&'static Table>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match table {
            None => {
                if let Some(Bar { bar, .. }) = bars.remove(&None) {
                    bar.finish_and_clear();
                    self.area.remove(&bar);
                }
            }
            Some(_) => {
                if let Some(bar) = bars.get_mut(&table)
                    && bar.wait.take().is_some()
                {
                    bar.restyle();
                }
            }
        }
    }

    fn finish(&self, table: &'static Table) {
        self.with_bar(Some(table), |bar| bar.bar.finish_and_clear());
    }

    /// Prints a line above the bars. An error does not affect the bars.
    fn say(&self, text: &str) {
        for line in broken(&visible::one_line(text), columns(&Term::stderr())) {
            let _ = self.area.println(line);
        }
    }

    /// Prints a line about a table, with its name on the left.
    fn say_of(&self, table: &str, text: &str) {
        let width = columns(&Term::stderr()).map(|width| width - NAME_WIDTH - 1);
        for (index, line) in broken(&visible::one_line(text), width).iter().enumerate() {
            let name = if index == 0 { table } else { "" };
            let _ = self.area.println(format!("{name:<NAME_WIDTH$} {line}"));
        }
    }

    fn say_finished(&self, summary: &RunSummary) {
        for table in &summary.tables {
            for error in table.error_details.iter().take(10) {
                self.say(&name_rejected(table.table, error.wix_id.as_deref(), &error.reason));
            }
        }
        let id = &summary.run_id.to_string()[..8];
        let elapsed = duration(Duration::from_millis(summary.duration_ms));
        let text = match (summary.status, describe_left_out(summary)) {
            (Status::Completed, None) => format!("Run {id} completed in {elapsed}."),
            (Status::Completed, Some(what)) => format!("Run {id} completed in {elapsed}, {what}"),
            _ => format!("Run {id} failed after {elapsed}."),
        };
        self.say(&text);
    }
}

impl Reporter for Progress {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::LeaseTaken { .. } | Event::RunStarted { .. } | Event::ResponseReceived { .. } => {}
            Event::RequestSent { request } => self.end_wait(request.table),
            Event::WaitEnded => self.end_wait(None),
            Event::TableStarted { table } => self.with_bar(Some(table), |_| {}),
            Event::PassPlanned { table, .. } => self.with_bar(Some(table), |bar| {
                bar.lookup = None;
                bar.restyle();
            }),
            Event::BatchCommitted { table, record_count, total, .. }
            | Event::RecordsCompared { table, record_count, total } => self.with_bar(Some(table), |bar| {
                if let (Some(total), None) = (total, bar.bar.length()) {
                    bar.bar.set_length(total);
                }
                bar.bar.set_position(record_count);
                // The last of them is finished.
                bar.lookup = bar.lookup.filter(|(number, total)| Some(*number) != *total);
                bar.restyle();
            }),
            Event::LookingUp { table, number, total } => self.with_bar(Some(table), |bar| {
                bar.lookup = Some((number, total));
                bar.restyle();
            }),
            Event::ComparisonFinished { table } => self.finish(table),
            Event::RecordRejected { .. } => {}
            Event::Notice { table: Some(table), text } => self.say(&format!("{table}: {text}")),
            Event::Notice { table: None, text } => self.say(text),
            Event::Waiting { table, delay, wait } => self.with_bar(table, |bar| {
                let until = delay.map(|delay| Instant::now() + delay);
                bar.wait = Some(CurrentWait { wait: wait.clone(), table, until });
                bar.restyle();
            }),
            Event::TableFinished { summary } => {
                self.finish(summary.table);
                self.say_of(summary.table.name, &finish_line(summary));
            }
            Event::RunFinished { summary } => self.say_finished(summary),
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
    // Unknown values are omitted. Rates are averages, so that a wait does not show a rate of 0 and no remaining time.
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        let rate = state.pos() as f64 / state.elapsed().as_secs_f64();
        if rate.is_finite() && rate >= 1.0 {
            write!(out, "  {}/s", grouped(rate as u64)).unwrap_or_default();
        }
    };
    let left = |state: &ProgressState, out: &mut dyn Write| {
        if let (pos @ 1.., Some(len)) = (state.pos(), state.len()) {
            let seconds = state.elapsed().as_secs_f64() * len.saturating_sub(pos) as f64 / pos as f64;
            write!(out, ", {} left", age(seconds as i64)).unwrap_or_default();
        }
    };
    let time = |state: &ProgressState, out: &mut dyn Write| {
        write!(out, "{}", age(state.elapsed().as_secs() as i64)).unwrap_or_default();
    };
    style.with_key("time", time).with_key("rate", rate).with_key("left", left).progress_chars("=> ")
}

/// A bar with one text. It is created for each tick, so that the remaining time counts down.
fn activity(text: impl Fn() -> String + Clone + Send + Sync + 'static) -> ProgressStyle {
    // The text is after the spinner and the name. A wrapped line would leave a part of itself on the screen.
    let width = columns(&Term::stderr()).map_or(ACTIVITY_WIDTH, |columns| columns.saturating_sub(NAME_WIDTH + 4));
    let show = move |_: &ProgressState, out: &mut dyn Write| out.write_str(&text()).unwrap_or_default();
    style(&format!("{{spinner}} {{prefix:<12}} {{activity:{width}!}}")).with_key("activity", show)
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    #[test]
    fn the_templates_can_be_parsed() {
        for template in [super::WITH_TOTAL, super::WITHOUT_TOTAL, "{spinner} {prefix:<12} {activity:60!}"] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
