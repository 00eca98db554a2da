//! The migrations: numbered SQL files with checksums, compiled into the program; and the migration state of a schema.

use sha2::{Digest, Sha256};

use super::catalog::Checksums;
use super::error::StoreError;
use super::schema::Schema;

pub(super) struct Migration {
    pub(super) number: i32,
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration { number: $number, name: $name, sql: include_str!(concat!("../../migrations/", $name, ".sql")) }
    };
}

/// Forward only: a released file never changes; changes come as new files.
pub(super) const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_sync_logs"),
    migration!(2, "0002_customers"),
    migration!(3, "0003_appointments"),
    migration!(4, "0004_orders"),
    migration!(5, "0005_sync_state"),
    migration!(6, "0006_sync_errors"),
    migration!(7, "0007_sync_logs_user"),
    migration!(8, "0008_sync_locks"),
    migration!(9, "0009_sync_state_checkpoint"),
    migration!(10, "0010_sync_missing"),
    migration!(11, "0011_sync_errors_tries"),
    migration!(12, "0012_sync_health"),
    migration!(13, "0013_sync_unlinked"),
    migration!(14, "0014_lz4"),
    migration!(15, "0015_email_indexes"),
    migration!(16, "0016_books"),
    migration!(17, "0017_sync_missing_absent"),
    migration!(18, "0018_sync_state_instance"),
    migration!(19, "0019_sync_health_honest"),
    migration!(20, "0020_sync_unreadable"),
    migration!(21, "0021_ids_emails_statuses"),
    migration!(22, "0022_sync_logs_exit_code"),
    migration!(23, "0023_sync_inbox"),
    migration!(24, "0024_sync_queue"),
];

/// Message for [`SchemaState::Unrecorded`].
pub const UNRECORDED: &str = "sync_migrations is missing or empty, although the other tables are there";

impl Migration {
    pub(super) fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// No migration was applied.
    NotMigrated,
    /// The tables exist, but `sync_migrations` is missing or empty, so it is unknown which migrations were applied.
    Unrecorded,
    /// Number of migrations that are missing.
    Pending(usize),
    Current,
}

impl SchemaState {
    /// Returns an error unless all migrations are applied.
    pub(super) fn check(self, schema: &Schema) -> Result<(), StoreError> {
        let (schema, total) = (schema.name().to_owned(), MIGRATIONS.len());
        let pending = match self {
            SchemaState::Current => return Ok(()),
            SchemaState::NotMigrated => total,
            SchemaState::Unrecorded => {
                return Err(StoreError::Damaged { schema, what: UNRECORDED.to_owned(), others: 0 });
            }
            SchemaState::Pending(pending) => pending,
        };
        Err(StoreError::NotMigrated { schema, pending, total })
    }
}

/// State of a schema in which these migrations, at least one, are applied.
pub(super) fn state_of(schema: &Schema, applied: &Checksums) -> Result<SchemaState, StoreError> {
    check_applied(schema, applied)?;
    Ok(match MIGRATIONS.len() - applied.len() {
        0 => SchemaState::Current,
        pending => SchemaState::Pending(pending),
    })
}

pub(super) fn check_applied(schema: &Schema, applied: &Checksums) -> Result<(), StoreError> {
    let diverged = |what: String| StoreError::Diverged { schema: schema.name().to_owned(), what };
    for (number, checksum) in applied {
        match MIGRATIONS.iter().find(|migration| migration.number == *number) {
            None => {
                return Err(diverged(format!(
                    "migration {number} is from a newer version of wix-sync; use that version"
                )));
            }
            Some(migration) if migration.checksum() != *checksum => {
                return Err(diverged(format!("migration {} is not the one that was applied here", migration.name)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.number as usize, index + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.number)), "{}", migration.name);
        }
    }
}
