//! The schema, step by step: each step runs once, in one transaction, and is never edited afterwards.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use crate::domain::time::Timestamp;
use crate::store::contract::StoreError;

/// "Snow" in ASCII: tells our files from other programs' databases.
const APPLICATION_ID: i64 = 0x536e_6f77;

/// One step of the schema.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 4] = [
    Migration { name: "0001_lanes", sql: include_str!("../../../migrations/sqlite/0001_lanes.sql") },
    Migration { name: "0002_way_back", sql: include_str!("../../../migrations/sqlite/0002_way_back.sql") },
    Migration { name: "0003_audit", sql: include_str!("../../../migrations/sqlite/0003_audit.sql") },
    Migration { name: "0004_shared", sql: include_str!("../../../migrations/sqlite/0004_shared.sql") },
];

/// The number of the schema that this version knows.
pub(super) fn known_schema() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the file to the newest schema, or says why not.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let refused = |error: rusqlite::Error| StoreError::Refused(format!("the schema could not be made: {error}"));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    let ours = check_owner(&transaction)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS migration (
               version INTEGER PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL, applied_at INTEGER NOT NULL
             ) STRICT",
        )
        .map_err(refused)?;
    let newest: i64 = transaction
        .query_row("SELECT coalesce(max(version), 0) FROM migration", [], |row| row.get(0))
        .map_err(refused)?;
    let known = known_schema();
    if newest > known {
        return Err(StoreError::Refused(format!(
            "it was written by a newer Snowgate (schema {newest}, this one knows {known}): start that version, or restore a backup"
        )));
    }
    for (version, migration) in (1_i64..).zip(&MIGRATIONS) {
        apply(&transaction, version, migration, now)?;
    }
    if !ours {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(refused)?;
    }
    transaction.commit().map_err(refused)
}

/// Whether the file is ours already; a fresh one is nobody's, and any other is refused.
fn check_owner(connection: &Connection) -> Result<bool, StoreError> {
    let refused = |error: rusqlite::Error| StoreError::Refused(format!("the schema could not be read: {error}"));
    let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(refused)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(refused)?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        return Ok(owner == APPLICATION_ID);
    }
    Err(StoreError::Refused("the file is another program's database: choose another path".to_owned()))
}

fn apply(connection: &Connection, version: i64, migration: &Migration, now: Timestamp) -> Result<(), StoreError> {
    let Migration { name, sql } = migration;
    let refused = |error: rusqlite::Error| StoreError::Refused(format!("migration {name}: {error}"));
    let hash: [u8; 32] = Sha256::digest(sql).into();
    let applied: Option<Vec<u8>> = connection
        .query_row("SELECT hash FROM migration WHERE version = ?1", [version], |row| row.get(0))
        .optional()
        .map_err(refused)?;
    match applied {
        Some(applied) if applied == hash => Ok(()),
        Some(_) => Err(StoreError::Refused(format!(
            "migration {name} was applied with another text than this version's: start the version that wrote the file"
        ))),
        None => {
            connection.execute_batch(sql).map_err(refused)?;
            let row = params![version, name, hash.as_slice(), now.millis()];
            connection.execute("INSERT INTO migration VALUES (?1, ?2, ?3, ?4)", row).map_err(refused)?;
            Ok(())
        }
    }
}
