//! The content of a trigger: tables and time range.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::sync::{Bound, Range};
use crate::table::Table;
use crate::table::timestamp::{self, Timestamp};

/// The body of a trigger, in the format of AsyncSyncAgent. Other fields are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TriggerBody {
    table: Option<String>,
    date_range: Option<DateRange>,
    /// Not an authentication. A value that is not a UUID is ignored.
    supabase_user_id: Option<Value>,
}

/// Stored in the queue unchanged.
#[derive(Clone, Debug, Default, Deserialize, serde::Serialize)]
#[serde(default)]
struct DateRange {
    start: Option<String>,
    end: Option<String>,
}

/// The tables and time range of one run.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// As in `sync_logs.sync_type`.
    pub(super) sync_type: &'static str,
    pub(super) tables: Vec<&'static Table>,
    pub(super) range: Option<Range>,
}

impl TriggerBody {
    /// An empty body means all tables.
    pub(super) fn parse(body: &[u8]) -> Result<TriggerBody, String> {
        if body.trim_ascii().is_empty() {
            return Ok(TriggerBody::default());
        }
        serde_json::from_slice(body).map_err(|error| format!("the body is not the JSON of a trigger: {error}"))
    }

    pub(super) fn scope(&self) -> Result<Scope, String> {
        scope(self.table.as_deref().unwrap_or("all"), self.date_range.as_ref())
    }

    /// The range in the format of the queue.
    pub(super) fn date_range(&self) -> Option<Value> {
        let range = self.date_range.as_ref().filter(|range| range.start.is_some() || range.end.is_some());
        range.map(|range| serde_json::json!(range))
    }

    pub(super) fn user_id(&self) -> Option<Uuid> {
        self.supabase_user_id.as_ref()?.as_str()?.parse().ok()
    }
}

impl Scope {
    pub(super) fn all() -> Scope {
        Scope { sync_type: "all", tables: Table::ALL.to_vec(), range: None }
    }

    /// The scope of a row of the queue.
    pub(super) fn of_queued(sync_type: &str, date_range: Option<Value>) -> Result<Scope, String> {
        let range = date_range.map(serde_json::from_value).transpose().map_err(|error| error.to_string())?;
        scope(sync_type, range.as_ref())
    }

    /// Whether it does the same as a scheduled run.
    pub(super) fn is_all(&self) -> bool {
        self.sync_type == "all" && self.range.is_none()
    }
}

fn scope(sync_type: &str, range: Option<&DateRange>) -> Result<Scope, String> {
    let all = Scope::all();
    let scope = match Table::ALL.into_iter().find(|table| table.name == sync_type) {
        Some(table) => Scope { sync_type: table.name, tables: vec![table], range: None },
        None if sync_type == all.sync_type => all,
        None => return Err(format!("Unknown table: {sync_type}")),
    };
    let DateRange { start, end } = range.cloned().unwrap_or_default();
    let from = start.map(|text| bound("start", &text)).transpose()?;
    let until = end.map(|text| bound("end", &text)).transpose()?;
    if from.is_none() && until.is_none() {
        return Ok(scope);
    }
    if scope.tables.iter().all(|table| table.range_field.is_none()) {
        return Err(format!("dateRange is for appointments, not for {sync_type}"));
    }
    let range = Range::between(from, until).ok_or("dateRange: end is before start")?;
    Ok(Scope { range: Some(range), ..scope })
}

/// Parses a date, or a time with a time zone.
fn bound(name: &str, text: &str) -> Result<Bound, String> {
    if let Some(day) = Bound::parse_day(text) {
        return Ok(day);
    }
    match timestamp::parse(text.trim()) {
        Some(Timestamp::Instant(instant)) => Ok(Bound::Instant(instant)),
        _ => Err(format!("dateRange.{name}: not a time (use 2026-01-31 or 2026-01-31T10:00:00Z)")),
    }
}
