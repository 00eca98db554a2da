//! Peak memory where much has to be remembered of a list: no order, or one creation date for many records.

use std::path::PathBuf;

use clap::Args;

use crate::Result;
use crate::database::Postgres;
use crate::program::sync;
use crate::simulator::{self, Simulator};

/// Memory.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Bookings of the lists without an order; half as many contacts share one creation date
    #[arg(long, default_value_t = 300_000)]
    records: usize,
    /// Directory on a disk where Postgres keeps its data
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// A first load and a full sync of each site.
pub(crate) fn measure(arguments: &Arguments) -> Result<()> {
    let (records, none) = (arguments.records, simulator::Arguments::default());
    // The dates of contacts begin to be equal at the first quarter. Of more of them, a run says that it could not check them,
    // and exits with 3.
    let tie_block = (records / 2).min(440_000);
    let contacts = simulator::Arguments { contacts: records * 2 / 3, tie_block, ..none };
    let bookings = simulator::Arguments { bookings: records, ..none };
    let sites = [
        ("contacts of one creation date", "customers", contacts),
        ("bookings, sort refused", "appointments", simulator::Arguments { refuse_sort: true, ..bookings }),
        ("bookings, sort ignored", "appointments", simulator::Arguments { newest_first: true, ..bookings }),
        ("bookings, sorted", "appointments", bookings),
    ];
    let mut postgres = Postgres::start(arguments.dir.as_deref())?;
    let dir = postgres.dir().to_owned();
    for (name, table, site) in sites {
        let mut simulator = Simulator::start(site)?;
        let url = postgres.create("memory")?;
        for (pass, flags) in [("first load", &[table][..]), ("full sync", &[table, "--full"])] {
            let before = simulator.requests()?;
            let (usage, counts) = sync(&dir, &url, &simulator, 0, flags)?;
            println!(
                "{name}, {pass}: {:.1} MB, {:.1} s, {} requests, {} rows",
                usage.peak_bytes as f64 / 1e6,
                usage.wall.as_secs_f64(),
                simulator.requests()? - before,
                counts.inserted + counts.updated + counts.unchanged
            );
        }
    }
    Ok(())
}
