//! Runs the simulator by itself: for benchmarks, and for other clients.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use wix_sim::{Sim, Site, Sizes};

/// Serves an invented Wix site until Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many contacts the site has
    #[arg(long, default_value_t = 1000)]
    contacts: usize,
    /// How many bookings
    #[arg(long, default_value_t = 500)]
    bookings: usize,
    /// How many orders
    #[arg(long, default_value_t = 500)]
    orders: usize,
    /// How many contacts share one creation date
    #[arg(long, default_value_t = 0)]
    tie_block: usize,
    /// Milliseconds to wait before every answer
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Seed of the records
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Requests a minute, above which the answer is 429
    #[arg(long, value_name = "PER_MINUTE")]
    rate_limit: Option<usize>,
    /// Seconds an access token lives
    #[arg(long, default_value_t = 14_400)]
    token_life: u64,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let sizes =
        Sizes { contacts: args.contacts, bookings: args.bookings, orders: args.orders, tie_block: args.tie_block };
    let mut builder = Sim::builder()
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)))
        .latency(Duration::from_millis(args.latency_ms))
        .token_life(args.token_life)
        .forget_requests();
    if let Some(limit) = args.rate_limit {
        builder = builder.rate_limit(limit);
    }
    let sim = builder.start(Site::generate(sizes).seed(args.seed))?;
    let known = sim.credentials();
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "{} api_key={} site_id={} app_id={} app_secret={} instance_id={}",
        sim.base_url(),
        known.api_keys.first().map_or("", String::as_str),
        known.site_id,
        known.app_id,
        known.app_secret,
        known.instance_id,
    )?;
    stdout.flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(tokio::signal::ctrl_c())
}
