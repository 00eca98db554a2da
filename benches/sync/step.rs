//! One step of a benchmark: a process, and what it made the others do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::database::Postgres;
use crate::measured::Usage;
use crate::simulator::Simulator;

/// What a step took.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) wall: Duration,
    /// CPU time of the process itself; of Postgres; of the simulator.
    pub(crate) cpu: Duration,
    pub(crate) postgres_cpu: Option<Duration>,
    pub(crate) simulator_cpu: Option<Duration>,
    pub(crate) peak_bytes: u64,
    pub(crate) wal_bytes: u64,
    pub(crate) requests: u64,
}

impl Step {
    /// Runs a process between two looks at the others.
    pub(crate) fn measure<T>(
        postgres: &mut Postgres,
        simulator: &mut Simulator,
        process: impl FnOnce(&mut Postgres, &Simulator) -> Result<(Usage, T)>,
    ) -> Result<(Step, T)> {
        postgres.settle()?;
        let (before, simulator_before, requests) = (postgres.done()?, simulator.cpu(), simulator.requests()?);
        let (usage, value) = process(postgres, simulator)?;
        let (after, simulator_after) = (postgres.done()?, simulator.cpu());
        let step = Step {
            wall: usage.wall,
            cpu: usage.cpu,
            postgres_cpu: between(before.cpu, after.cpu),
            simulator_cpu: between(simulator_before, simulator_after),
            peak_bytes: usage.peak_bytes,
            wal_bytes: after.wal_bytes.saturating_sub(before.wal_bytes),
            requests: simulator.requests()?.saturating_sub(requests),
        };
        Ok((step, value))
    }

    /// As JSON, in seconds and bytes.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "wall_seconds": self.wall.as_secs_f64(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "postgres_cpu_seconds": self.postgres_cpu.map(|cpu| cpu.as_secs_f64()),
            "simulator_cpu_seconds": self.simulator_cpu.map(|cpu| cpu.as_secs_f64()),
            "peak_bytes": self.peak_bytes,
            "wal_bytes": self.wal_bytes,
            "requests": self.requests,
        })
    }
}

fn between(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}
