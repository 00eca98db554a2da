//! What wix-sync needs in its schema: tables, columns, keys, links and indexes, as the migrations leave them.

use std::sync::LazyLock;

use crate::table::{CUSTOMERS, Relation, Table};

#[derive(Debug)]
pub(super) struct NeededTable {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
    /// Primary key. Another unique constraint over the same columns is accepted too.
    pub(super) key: &'static [&'static str],
    /// Other unique constraints, by name.
    pub(super) unique: &'static [(&'static str, &'static [&'static str])],
    /// CHECK constraints of a new table. An adopted table need not have them.
    pub(super) checks: &'static [(&'static str, &'static str)],
    /// Whether `customer_id` references `customers`.
    pub(super) has_customer: bool,
    pub(super) indexes: &'static [Index],
    /// Columns that have a value in every row that wix-sync writes, so NOT NULL is harmless. `None`: all columns that
    /// are NOT NULL here.
    pub(super) filled: Option<&'static [&'static str]>,
}

/// A column. `data_type` is spelled as `format_type` returns it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) data_type: &'static str,
    pub(super) not_null: bool,
    pub(super) default: Option<&'static str>,
    /// For restoring a column that is NOT NULL without a default: the value for existing rows. `None`: existing rows
    /// are deleted.
    pub(super) refill: Option<&'static str>,
}

/// An index: its name and the text after USING.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) keys: &'static str,
    pub(super) condition: &'static str,
}

const UUID: &str = "uuid";
const TEXT: &str = "text";
const TEXTS: &str = "text[]";
const TIME: &str = "timestamp with time zone";
const JSONB: &str = "jsonb";
const BYTEA: &str = "bytea";
const INTEGER: &str = "integer";
const BIGINT: &str = "bigint";

/// A column that may be NULL.
const fn may(name: &'static str, data_type: &'static str) -> Column {
    Column { name, data_type, not_null: false, default: None, refill: None }
}

/// A NOT NULL column without a default.
const fn must(name: &'static str, data_type: &'static str) -> Column {
    Column { name, data_type, not_null: true, default: None, refill: None }
}

/// A NOT NULL column with a default.
const fn with(name: &'static str, data_type: &'static str, default: &'static str) -> Column {
    Column { name, data_type, not_null: true, default: Some(default), refill: None }
}

/// A NOT NULL column without a default, and the value that existing rows get if it is restored.
const fn refilled(name: &'static str, data_type: &'static str, refill: &'static str) -> Column {
    Column { name, data_type, not_null: true, default: None, refill: Some(refill) }
}

const fn index(name: &'static str, keys: &'static str, condition: &'static str) -> Index {
    Index { name, keys, condition }
}

const LIVE: &str = "WHERE (deleted_at IS NULL)";
const RANDOM: &str = "gen_random_uuid()";
const NOW: &str = "now()";

/// All tables, in the order in which they can be created.
pub(super) static TABLES: LazyLock<Vec<NeededTable>> = LazyLock::new(|| {
    let mut tables: Vec<NeededTable> = Table::ALL.into_iter().map(synced).collect();
    let [migrations, logs, others @ ..] = OWN;
    tables.splice(0..0, [migrations, logs]);
    tables.extend(others);
    tables
});

/// Needs of a synced table. The memory is leaked: it is created once and used until the program ends.
fn synced(table: &'static Table) -> NeededTable {
    let Table { name, id_column, relation, .. } = *table;
    let (is_person, has_email) = match relation {
        Some(Relation::Customer) => (true, Some(LIVE)),
        Some(Relation::Order) => (false, Some("")),
        Some(Relation::Booking { .. }) | None => (false, None),
    };
    let has_customer = table.needs.contains(&&CUSTOMERS);
    let mut columns = vec![with("id", UUID, RANDOM), may(id_column, TEXT)];
    columns.extend(has_customer.then(|| may("customer_id", UUID)));
    columns.extend(table.fields.iter().map(|field| may(field.name, field.kind.sql_type())));
    columns.extend(table.has_notes.then(|| may("notes", TEXT)));
    columns.extend([with("created_at", TIME, NOW), with("updated_at", TIME, NOW)]);
    columns.extend(is_person.then(|| may("merged_into", TEXT)));
    columns.extend([
        may("raw", JSONB),
        may("content_hash", BYTEA),
        may("wix_created_at", TIME),
        may("wix_updated_at", TIME),
        may("wix_revision", BIGINT),
        may("deleted_at", TIME),
    ]);
    let named = |column: &str, keys: &'static str, condition: &'static str| Index {
        name: format!("{name}_{column}_idx").leak(),
        keys,
        condition,
    };
    let mut indexes = vec![named("wix_created_at", "btree (wix_created_at)", LIVE)];
    if has_customer {
        indexes.push(named("wix_contact_id", "btree (wix_contact_id)", ""));
        indexes.push(named("customer_id", "btree (customer_id)", ""));
    }
    if is_person {
        indexes.push(named("merged_into", "btree (merged_into)", "WHERE (merged_into IS NOT NULL)"));
    }
    let folded = "btree (lower((btrim(email) COLLATE \"C\")))";
    indexes.extend(has_email.map(|condition| named("email_folded", folded, condition)));
    let key: &'static [&'static str] = vec![id_column].leak();
    NeededTable {
        name,
        columns: columns.leak(),
        unique: vec![(&*format!("{name}_{id_column}_key").leak(), key)].leak(),
        has_customer,
        indexes: indexes.leak(),
        filled: Some(vec!["id", id_column, "created_at", "updated_at"].leak()),
        ..STATE
    }
}

/// wix-sync's own tables. A test drops all of them, lets `migrate` restore them from here, and compares the catalog
/// with the one that the migrations create. So a migration that adds a column needs a line here too.
const OWN: [NeededTable; 11] = [
    NeededTable {
        name: "sync_migrations",
        columns: &[must("number", INTEGER), must("name", TEXT), must("checksum", TEXT), with("applied_at", TIME, NOW)],
        key: &["number"],
        ..STATE
    },
    NeededTable {
        name: "sync_logs",
        columns: &[
            with("id", UUID, RANDOM),
            refilled("sync_type", TEXT, "'all'"),
            refilled(
                "status",
                TEXT,
                "case when completed_at is null then 'running' when error is null then 'completed' else 'failed' end",
            ),
            may("user_id", UUID),
            with("started_at", TIME, NOW),
            may("completed_at", TIME),
            with("synced_count", INTEGER, "0"),
            with("error_count", INTEGER, "0"),
            may("results", JSONB),
            may("error", TEXT),
            with("created_at", TIME, NOW),
            may("exit_code", INTEGER),
        ],
        checks: &[
            ("sync_logs_status_is_known", "status in ('running', 'completed', 'failed')"),
            ("sync_logs_ended_runs_have_an_end", "(status = 'running') = (completed_at is null)"),
        ],
        indexes: &[index("sync_logs_started_at_idx", "btree (started_at DESC)", "")],
        ..STATE
    },
    NeededTable {
        name: "sync_state",
        columns: &[
            must("table_name", TEXT),
            must("wix_site_id", TEXT),
            may("watermark", TIME),
            may("last_full_pass_at", TIME),
            may("last_run_id", UUID),
            with("updated_at", TIME, NOW),
            may("checkpoint", JSONB),
            may("last_success_at", TIME),
            with("write_number", BIGINT, "0"),
            may("live_rows", BIGINT),
            may("full_checkpoint", JSONB),
            with("shortfall", BIGINT, "0"),
            may("drift", JSONB),
            may("wix_instance_id", TEXT),
            may("wix_instance_site_id", TEXT),
            may("order_statuses", JSONB),
        ],
        key: &["table_name"],
        ..STATE
    },
    NeededTable {
        name: "sync_errors",
        columns: &[
            with("id", UUID, RANDOM),
            must("table_name", TEXT),
            must("record_key", TEXT),
            may("wix_id", TEXT),
            may("run_id", UUID),
            must("reason", TEXT),
            may("record", TEXT),
            with("tries", INTEGER, "1"),
            with("first_failed_at", TIME, NOW),
            with("last_failed_at", TIME, NOW),
            may("resolved_at", TIME),
            may("program_version", TEXT),
        ],
        unique: &[("sync_errors_one_row_a_record", &["table_name", "record_key"])],
        indexes: &[index(
            "sync_errors_unresolved_idx",
            "btree (table_name, last_failed_at)",
            "WHERE (resolved_at IS NULL)",
        )],
        ..STATE
    },
    NeededTable {
        name: "sync_locks",
        columns: &[
            must("name", TEXT),
            must("token", BIGINT),
            must("run_id", UUID),
            must("holder", JSONB),
            must("acquired_at", TIME),
            must("renewed_at", TIME),
            must("expires_at", TIME),
            may("progress", JSONB),
        ],
        key: &["name"],
        unique: &[("sync_locks_token_is_a_key", &["name", "token"])],
        ..STATE
    },
    NeededTable {
        name: "sync_missing",
        columns: &[
            must("table_name", TEXT),
            must("wix_id", TEXT),
            with("found_at", TIME, NOW),
            may("tried_at", TIME),
            may("absent_at", TIME),
        ],
        key: &["table_name", "wix_id"],
        ..STATE
    },
    NeededTable { name: "sync_unlinked", columns: &[must("wix_contact_id", TEXT)], key: &["wix_contact_id"], ..STATE },
    NeededTable {
        name: "sync_held",
        columns: &[
            must("table_name", TEXT),
            must("wix_id", TEXT),
            must("lost", TEXTS),
            must("record", TEXT),
            with("found_at", TIME, NOW),
        ],
        key: &["table_name", "wix_id"],
        ..STATE
    },
    NeededTable {
        name: "sync_unreadable",
        columns: &[must("table_name", TEXT), must("wix_id", TEXT), must("fields", TEXTS)],
        key: &["table_name", "wix_id"],
        ..STATE
    },
    NeededTable {
        name: "sync_inbox",
        columns: &[
            must("table_name", TEXT),
            must("wix_id", TEXT),
            with("events", BIGINT, "1"),
            with("received_at", TIME, NOW),
            with("tries", INTEGER, "0"),
            with("due_at", TIME, NOW),
        ],
        key: &["table_name", "wix_id"],
        ..STATE
    },
    NeededTable {
        name: "sync_queue",
        columns: &[
            must("id", UUID),
            must("sync_type", TEXT),
            may("date_range", JSONB),
            may("user_id", UUID),
            with("requested_at", TIME, NOW),
            may("started_at", TIME),
        ],
        ..STATE
    },
];

/// Values that most tables have in common.
const STATE: NeededTable = NeededTable {
    name: "",
    columns: &[],
    key: &["id"],
    unique: &[],
    checks: &[],
    has_customer: false,
    indexes: &[],
    filled: None,
};

pub(super) const VIEW: &str = "sync_health";

/// Tables that the view reads, in addition to the synced ones.
pub(super) const VIEW_TABLES: [&str; 4] = ["sync_errors", "sync_missing", "sync_state", "sync_locks"];

pub(super) const VIEW_COLUMNS: [(&str, &str); 11] = [
    ("table_name", TEXT),
    ("rows", BIGINT),
    ("deleted_rows", BIGINT),
    ("unresolved_errors", BIGINT),
    ("missing_rows", BIGINT),
    ("last_success_at", TIME),
    ("age", "interval"),
    ("last_full_pass_at", TIME),
    ("watermark", TIME),
    ("running_run_id", UUID),
    ("running_progress", JSONB),
];

impl NeededTable {
    /// Whether it holds Wix records.
    pub(super) fn is_of_wix(&self) -> bool {
        self.filled.is_some()
    }

    /// Whether wix-sync writes NULL to this column if a record has no value for it.
    pub(super) fn may_write_null(&self, column: &Column) -> bool {
        match self.filled {
            Some(filled) => column.name != "notes" && !filled.contains(&column.name),
            None => !column.not_null && column.name != "user_id",
        }
    }
}

impl Column {
    /// The definition, as it follows `add column`.
    pub(super) fn definition(&self) -> String {
        let default = self.default.map(|default| format!(" default {default}")).unwrap_or_default();
        let not_null = if self.not_null { " not null" } else { "" };
        format!("{} {}{default}{not_null}", self.name, self.data_type)
    }
}
