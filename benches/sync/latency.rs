//! First loads of orders where every answer takes its time: how near to the bound that the request budget and the
//! answers themselves set.

use std::collections::VecDeque;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::Result;
use crate::database::Postgres;
use crate::machine;
use crate::program::sync;
use crate::simulator::{self, Simulator};
use crate::step::Step;
use crate::summary::{grouped, table};

/// Latency.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many orders the site has; 100,000 take five minutes at 200 requests a minute
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    orders: usize,
    /// As many bookings beside them, so that two tables are read
    #[arg(long)]
    with_bookings: bool,
    /// Milliseconds that every answer takes; several with commas
    #[arg(long, value_name = "MS", value_delimiter = ',', default_values_t = [50, 200, 500])]
    latency: Vec<u64>,
    /// Requests a minute
    #[arg(long, value_name = "N", default_value_t = 200)]
    rate_limit: usize,
    /// Where the private Postgres keeps its data meanwhile
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also writes the measurements to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures and reports.
pub(crate) fn measure(arguments: &Arguments) -> Result<()> {
    let mut postgres = Postgres::start(arguments.dir.as_deref())?;
    let (limit, bookings) = (arguments.rate_limit, if arguments.with_bookings { arguments.orders } else { 0 });
    println!("{}; {limit} requests a minute", machine::describe());
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for &latency_ms in &arguments.latency {
        eprintln!("{} orders at {latency_ms} ms an answer ...", grouped(arguments.orders as u64));
        let none = simulator::Arguments::default();
        let site = simulator::Arguments { bookings, orders: arguments.orders, latency_ms, ..none };
        let mut simulator = Simulator::start(site)?;
        let url = postgres.create("synced")?;
        let tables = if arguments.with_bookings { "all" } else { "orders" };
        let (step, counts) = Step::measure(&mut postgres, &mut simulator, |postgres, simulator| {
            sync(postgres.dir(), &url, simulator, limit, &[tables])
        })?;
        let requests = usize::try_from(step.requests)?;
        let readers = if arguments.with_bookings { 2 } else { 1 };
        let bound = bound(requests, latency_ms as f64 / 1e3, limit, readers);
        let (seconds, budget) = (step.wall.as_secs_f64(), requests as f64 * 60.0 / limit.max(1) as f64);
        rows.push(vec![
            format!("{latency_ms} ms"),
            grouped(counts.inserted),
            grouped(step.requests),
            format!("{seconds:.1}"),
            format!("{budget:.1}"),
            format!("{:.1} %", 100.0 * budget / seconds),
            format!("{bound:.1}"),
            format!("{:.1} %", 100.0 * bound / seconds),
            format!("{:.1}", step.peak_bytes as f64 / 1e6),
        ]);
        all.push(json!({
            "latency_ms": latency_ms, "records": counts.inserted, "rate_limit": limit, "requests_over_budget_seconds": budget,
            "bound_seconds": bound, "step": step.to_json(),
        }));
    }
    let head = [
        "an answer",
        "records",
        "requests",
        "seconds",
        "requests / budget",
        "share of the budget",
        "bound",
        "bound / seconds",
        "peak MB",
    ];
    println!("\n{}", table(&head, &rows));
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", json!(all))).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The least seconds in which `requests` can be answered: each reader has one request under way, since a cursor
/// comes with the answer before, and no minute sees more than `limit` of them.
fn bound(requests: usize, latency: f64, limit: usize, readers: usize) -> f64 {
    let mut begins: VecDeque<f64> = VecDeque::new();
    let mut last = 0.0;
    for index in 0..requests {
        let answered = if index >= readers { begins[begins.len() - readers] + latency } else { 0.0 };
        let allowed = if limit > 0 && index >= limit { begins[begins.len() - limit] + 60.0 } else { 0.0 };
        last = f64::max(last, f64::max(answered, allowed));
        begins.push_back(last);
        while begins.len() > limit.max(readers) {
            begins.pop_front();
        }
    }
    if requests == 0 { 0.0 } else { last + latency }
}
