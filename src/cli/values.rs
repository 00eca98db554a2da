//! Values of arguments: tables, types of run, durations, numbers.

use std::sync::LazyLock;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::config::parse_number;
use crate::table::Table;

/// Which tables to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Table(&'static Table),
    All,
}

const TARGETS: [Target; Table::ALL.len() + 1] = {
    let mut targets = [Target::All; Table::ALL.len() + 1];
    let mut index = 0;
    while index < Table::ALL.len() {
        targets[index] = Target::Table(Table::ALL[index]);
        index += 1;
    }
    targets
};

/// The names of all targets, for usage lines.
pub(super) fn target_names() -> &'static str {
    static NAMES: LazyLock<String> = LazyLock::new(|| TARGETS.map(Target::name).join("|"));
    &NAMES
}

impl ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Target] {
        &TARGETS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Target::Table(table) => table.records,
            Target::All => "All tables",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl Target {
    /// The tables of these targets, in the order in which they are synced. No target means all tables.
    pub fn tables(targets: &[Target]) -> Vec<&'static Table> {
        let is_named =
            |table: &&'static Table| targets.contains(&Target::Table(table)) || targets.contains(&Target::All);
        Table::ALL.into_iter().filter(|table| targets.is_empty() || is_named(table)).collect()
    }

    /// The `sync_logs.sync_type` of a run: the names of its tables, separated by commas, or `all`.
    pub fn sync_type(targets: &[Target]) -> String {
        match Target::tables(targets) {
            tables if tables.len() == Table::ALL.len() => Target::All.name().to_owned(),
            tables => tables.iter().map(|table| table.name).collect::<Vec<_>>().join(","),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Target::Table(table) => table.name,
            Target::All => "all",
        }
    }
}

/// Parses a type of run, as in `sync_logs.sync_type`.
pub(super) fn parse_sync_type(text: &str) -> Result<String, String> {
    let target = |name: &str| TARGETS.into_iter().find(|target| target.name() == name.trim());
    let targets: Option<Vec<Target>> = text.split(',').map(target).collect();
    targets.map(|targets| Target::sync_type(&targets)).ok_or_else(|| {
        format!("not a type of run (use {}, or several tables such as customers,orders)", target_names())
    })
}

/// Parses a duration: `90s`, `30min`, `2h`, `7d`, combinations such as `1h 30min`, or `0`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text.trim()).map_err(|_| "not a duration (use 90s, 30min, 2h or 7d)".to_owned())
}

/// Parses a whole number from `LEAST` to `MOST`.
pub(super) fn number<const LEAST: u32, const MOST: u32>(text: &str) -> Result<u32, String> {
    parse_number(text, LEAST..=MOST)
}

#[cfg(test)]
mod tests {
    use super::{Target, parse_sync_type};
    use crate::table::{APPOINTMENTS, CUSTOMERS, ORDERS};

    #[test]
    fn several_targets_are_tables_in_order_without_duplicates() {
        let [customers, appointments, orders] = [&CUSTOMERS, &APPOINTMENTS, &ORDERS].map(Target::Table);
        for (targets, expected) in [
            (&[][..], "all"),
            (&[Target::All], "all"),
            (&[orders], "orders"),
            (&[orders, customers, orders], "customers,orders"),
            (&[orders, Target::All], "all"),
            (&[orders, appointments, customers], "all"),
        ] {
            assert_eq!(Target::sync_type(targets), expected, "{targets:?}");
        }
        assert_eq!(parse_sync_type("orders, customers").as_deref(), Ok("customers,orders"));
        assert!(parse_sync_type("orders,").is_err());
    }
}
