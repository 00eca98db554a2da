//! The passes against `\copy`: a first load, full syncs where nothing changed, an incremental sync where nothing changed,
//! and one where one record in a hundred did.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::Result;
use crate::copy::Copy;
use crate::database::Postgres;
use crate::machine;
use crate::program::{Counts, other, sync};
use crate::simulator::{self, Simulator};
use crate::step::Step;
use crate::summary::{Spread, grouped, median, table};

/// Of so many records one changes.
const CHANGE_STEP: usize = 100;

/// What all rows are compared with.
const COPY: &str = "`\\copy` of the same rows";
/// What the later passes are compared with, and what others do.
const FIRST: &str = "first load";

/// The passes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many records the site has, a third each of contacts, bookings and orders; several sizes with commas
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [60_000])]
    records: Vec<usize>,
    /// How often all of it is done, in turn
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeats: usize,
    /// Another program that does a first load, run in each round too; it gets BASE_URL API_KEY SITE_ID DATABASE_URL as
    /// arguments. May be given several times
    #[arg(long, value_name = "COMMAND")]
    against: Vec<String>,
    /// Where the private Postgres keeps its data meanwhile: on a disk, please
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also writes every single measurement to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Everything once, in the order of the report.
struct Round {
    /// How many records the first load wrote: a few orders are never listed.
    records: u64,
    steps: Vec<(String, Step)>,
}

impl Round {
    fn seconds(&self, name: &str) -> Option<f64> {
        let (_, step) = self.steps.iter().find(|(of, _)| of == name)?;
        Some(step.wall.as_secs_f64())
    }

    fn to_json(&self) -> Value {
        let steps = self.steps.iter().map(|(name, step)| (name.clone(), step.to_json()));
        json!({ "records": self.records, "steps": Value::Object(steps.collect()) })
    }
}

/// Measures and reports.
pub(crate) fn measure(arguments: &Arguments) -> Result<()> {
    let mut postgres = Postgres::start(arguments.dir.as_deref())?;
    let version = postgres.server()?.version().1.split(' ').next().unwrap_or_default().to_owned();
    println!("{}; Postgres {version}, data in {}", machine::describe(), postgres.dir().display());
    let mut sizes = Vec::new();
    for &records in &arguments.records {
        let bench = Bench { site: site_of(records), against: &arguments.against };
        let mut rounds: Vec<Round> = Vec::new();
        for round in 0..arguments.repeats.max(1) {
            let load = machine::load_average().map_or(String::new(), |load| format!(", load {load}"));
            eprintln!("{} records, round {} of {}{load} ...", grouped(records as u64), round + 1, arguments.repeats);
            rounds.push(bench.round(&mut postgres)?);
        }
        println!("\n{}", report(records, &rounds));
        sizes.push(json!({ "records": records, "rounds": rounds.iter().map(Round::to_json).collect::<Vec<_>>() }));
    }
    if let Some(path) = &arguments.json {
        let all = json!({ "machine": machine::describe(), "postgres": version, "sizes": sizes });
        std::fs::write(path, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn site_of(records: usize) -> simulator::Arguments {
    let third = records / 3;
    simulator::Arguments {
        contacts: records - 2 * third,
        bookings: third,
        orders: third,
        ..simulator::Arguments::default()
    }
}

/// A size of the site, and who else is measured.
struct Bench<'a> {
    site: simulator::Arguments,
    against: &'a [String],
}

impl Bench<'_> {
    /// Everything once, from nothing. The simulator is a fresh one, with no record changed yet.
    fn round(&self, postgres: &mut Postgres) -> Result<Round> {
        let mut simulator = Simulator::start(self.site)?;
        let synced = postgres.create("synced")?;
        let sync_all = |postgres: &mut Postgres, simulator: &mut Simulator, flags: &[&str]| {
            let arguments: Vec<&str> = ["all"].iter().chain(flags).copied().collect();
            Step::measure(postgres, simulator, |postgres, simulator| {
                sync(postgres.dir(), &synced, simulator, 0, &arguments)
            })
        };
        let (first, counts) = sync_all(postgres, &mut simulator, &[])?;
        let records = counts.inserted;
        if records == 0 {
            return Err("the first load wrote nothing".into());
        }
        expect(counts, Counts { inserted: records, ..Counts::default() }, "a first load")?;

        let copy = Copy::export(&synced, postgres.dir(), postgres.server()?.psql())?;
        let copied = postgres.create("copied")?;
        let (copying, ()) = Step::measure(postgres, &mut simulator, |_, _| Ok((copy.import(&copied)?, ())))?;
        eprintln!("  {} records, {} MB by {}", grouped(records), copy.bytes / 1_000_000, copy.client());
        drop(copy);
        let mut steps = vec![(COPY.to_owned(), copying), (FIRST.to_owned(), first)];

        for command in self.against {
            let url = postgres.create_empty("against")?;
            let step = Step::measure(postgres, &mut simulator, |postgres, simulator| {
                Ok((other(postgres.dir(), &url, simulator, command)?, ()))
            });
            steps.push((format!("`{command}`"), step?.0));
        }

        // Customers that were made from bookings and that the site does not list: the first full sync asks for each.
        let (settling, counts) = sync_all(postgres, &mut simulator, &["--full"])?;
        expect(counts, Counts { unchanged: records, ..Counts::default() }, "a full sync")?;
        steps.push(("full sync, marks placeholders".to_owned(), settling));
        let (full, counts) = sync_all(postgres, &mut simulator, &["--full"])?;
        expect(counts, Counts { unchanged: records, ..Counts::default() }, "a full sync")?;
        steps.push(("full sync, unchanged".to_owned(), full));
        let (changes, counts) = sync_all(postgres, &mut simulator, &[])?;
        expect(counts, Counts::default(), "an incremental sync")?;
        steps.push(("incremental sync, unchanged".to_owned(), changes));
        let changed = simulator.change(CHANGE_STEP)?;
        let (one_percent, counts) = sync_all(postgres, &mut simulator, &[])?;
        expect(counts, Counts { updated: changed, ..Counts::default() }, "a pass after changes")?;
        steps.push(("incremental sync, 1 % changed".to_owned(), one_percent));
        Ok(Round { records, steps })
    }
}

/// A benchmark of something else than it says would be worth nothing.
fn expect(found: Counts, wanted: Counts, what: &str) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{what} did {found:?}, not {wanted:?}").into()) }
}

fn report(records: usize, rounds: &[Round]) -> String {
    let head = [
        "",
        "seconds",
        "/ `\\copy`",
        "/ first load",
        "CPU s",
        "Postgres CPU s",
        "simulator CPU s",
        "peak MB",
        "requests",
        "WAL MB",
        "WAL bytes a record",
    ];
    let names = rounds.first().into_iter().flat_map(|round| round.steps.iter().map(|(name, _)| name));
    let rows: Vec<Vec<String>> = names.enumerate().map(|(index, name)| row(rounds, index, name)).collect();
    format!(
        "{} records, {} rounds in turn; seconds and ratios: median (least to greatest), the rest medians\n\n{}",
        grouped(records as u64),
        rounds.len(),
        table(&head, &rows)
    )
}

fn row(rounds: &[Round], index: usize, name: &str) -> Vec<String> {
    let each = |digits, value: &dyn Fn(&Step, &Round) -> Option<f64>| {
        median(rounds.iter().map(|round| value(&round.steps[index].1, round)), digits)
    };
    let spread = |seconds: &dyn Fn(&Round) -> Option<f64>| {
        Spread::of(rounds.iter().filter_map(seconds)).map_or(String::new(), |spread| spread.shown())
    };
    // Pair by pair, so that what the machine did meanwhile concerns both.
    let ratio = |to: &str| match name == to || name == COPY {
        true => String::new(),
        false => spread(&|round| Some(round.seconds(name)? / round.seconds(to)?)),
    };
    vec![
        name.to_owned(),
        spread(&|round| round.seconds(name)),
        ratio(COPY),
        ratio(FIRST),
        each(2, &|step, _| Some(step.cpu.as_secs_f64())),
        each(2, &|step, _| Some(step.postgres_cpu?.as_secs_f64())),
        each(2, &|step, _| Some(step.simulator_cpu?.as_secs_f64())),
        each(1, &|step, _| Some(step.peak_bytes as f64 / 1e6)),
        each(0, &|step, _| Some(step.requests as f64)),
        each(1, &|step, _| Some(step.wal_bytes as f64 / 1e6)),
        each(0, &|step, round| Some(step.wal_bytes as f64 / round.records as f64)),
    ]
}
