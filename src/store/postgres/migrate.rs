//! The schema, step by step: each step runs once, in one transaction, and is never edited afterwards.
//!
//! Replicas start together, and an old and a new version run together during a rolling update. So:
//!
//! * One of them migrates, behind a lock of the database; the others wait and find it done. A step that is interrupted
//!   is rolled back by the server, and the next start does it.
//! * A step that needs a table for itself asks for it for a moment only, shorter than after what time the server looks for
//!   circles of waiting, and then lets go and asks anew: the replicas of the version before, which go on working, are never the
//!   ones that are sent away.
//! * **Expand, then contract.** A step may add tables, columns with a default, indexes and functions: the version before
//!   goes on working. What the version before still needs goes away in a step of a later release, when no replica of it
//!   runs any more; but for what no statement of the version before would miss: an index whose place another takes, a
//!   constraint that cannot fail. Building an index holds up who writes to its table for as long. Each step says in `readable_by` the lowest schema number whose version still works with it: its own
//!   number minus one for a step that only adds, its own number for one that takes away.
//! * A version that finds a newer schema works on if `readable_by` allows it, and else refuses to start and says so.
//!
//! Never: changes the schema outside of its transaction. Fails: with [`StoreError::Refused`]; nothing was changed.
//! Proved by: `tests/store/postgres_server.rs`.

use deadpool_postgres::Pool;
use sha2::{Digest, Sha256};
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::fault::Fault;
use crate::limits::{POSTGRES_MIGRATION_LOCK_WAIT, POSTGRES_MIGRATION_REST, POSTGRES_MIGRATION_WAIT};
use crate::store::contract::StoreError;

/// "Snow" in ASCII, twice: the lock that whoever migrates holds; no other program's by accident.
const LOCK: i64 = 0x536e_6f77_536e_6f77;

/// One step of the schema.
struct Migration {
    name: &'static str,
    sql: &'static str,
    /// The lowest schema number whose version still works after this step.
    readable_by: i32,
}

const MIGRATIONS: [Migration; 3] = [
    Migration { name: "0001_store", sql: include_str!("../../../migrations/postgres/0001_store.sql"), readable_by: 1 },
    Migration {
        name: "0002_shared",
        sql: include_str!("../../../migrations/postgres/0002_shared.sql"),
        readable_by: 1,
    },
    Migration {
        name: "0003_straight",
        sql: include_str!("../../../migrations/postgres/0003_straight.sql"),
        // An index takes another one's place; every statement of the versions before finds its way by it.
        readable_by: 1,
    },
];

const TABLE: &str = "CREATE TABLE migration (
       version integer PRIMARY KEY, name text NOT NULL, hash bytea NOT NULL,
       readable_by integer NOT NULL, applied_at bigint NOT NULL)";

/// A row of the table `migration`.
struct Applied {
    version: i32,
    hash: Vec<u8>,
    readable_by: i32,
}

/// Brings the database to the newest schema, or says why not.
pub(super) async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    let work = async {
        let mut client = pool.get().await.map_err(|error| Fault::from(error).into_error())?;
        bring_up(&mut client).await
    };
    let waited = tokio::time::timeout(POSTGRES_MIGRATION_WAIT, work).await;
    waited.unwrap_or_else(|_| {
        Err(StoreError::Refused(format!(
            "another replica is migrating the schema for more than {} minutes: look at it first",
            POSTGRES_MIGRATION_WAIT.as_secs() / 60
        )))
    })
}

/// The same over one connection, however long another one takes.
pub(super) async fn bring_up(client: &mut tokio_postgres::Client) -> Result<(), StoreError> {
    while step(client).await? {}
    Ok(())
}

/// The number of the schema that this version knows.
pub(super) fn known_schema() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Applies the next missing step; answers whether there may be another one.
async fn step(client: &mut tokio_postgres::Client) -> Result<bool, StoreError> {
    let failed = |error: tokio_postgres::Error| Fault::from(error).into_error();
    let transaction = client.transaction().await.map_err(failed)?;
    let begin = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
                 SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL client_min_messages = warning";
    transaction.batch_execute(begin).await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let applied = applied(&transaction).await.map_err(failed)?;
    let Some((version, migration)) = next(&applied)? else { return Ok(false) };
    let refused = |error: tokio_postgres::Error| {
        StoreError::Refused(format!("migration {}: {}", migration.name, super::fault::chain(&error)))
    };
    if applied.is_empty() {
        transaction.batch_execute(TABLE).await.map_err(refused)?;
    }
    let impatient = format!("SET LOCAL lock_timeout = {}", POSTGRES_MIGRATION_LOCK_WAIT.as_millis());
    transaction.batch_execute(&impatient).await.map_err(refused)?;
    match transaction.batch_execute(migration.sql).await {
        Ok(()) => {}
        Err(error) if is_in_the_way(&error) => {
            transaction.rollback().await.map_err(failed)?;
            tokio::time::sleep(POSTGRES_MIGRATION_REST).await;
            return Ok(true);
        }
        Err(error) => return Err(refused(error)),
    }
    let hash = Sha256::digest(migration.sql).to_vec();
    transaction
        .execute(
            "INSERT INTO migration VALUES ($1, $2, $3, $4, store_now())",
            &[&version, &migration.name, &hash, &migration.readable_by],
        )
        .await
        .map_err(refused)?;
    transaction.commit().await.map_err(refused)?;
    Ok(true)
}

/// Somebody used a table that the step needs for itself; nothing was done.
fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code))
}

/// The steps applied so far, in order.
async fn applied(transaction: &Transaction<'_>) -> Result<Vec<Applied>, tokio_postgres::Error> {
    let known = "SELECT to_regclass('migration') IS NOT NULL";
    if !transaction.query_one(known, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let all = "SELECT version, hash, readable_by FROM migration ORDER BY version";
    let rows = transaction.query(all, &[]).await?;
    rows.iter()
        .map(|row| Ok(Applied { version: row.try_get(0)?, hash: row.try_get(1)?, readable_by: row.try_get(2)? }))
        .collect()
}

/// The first step that is missing, after those that are there were checked.
fn next(applied: &[Applied]) -> Result<Option<(i32, &'static Migration)>, StoreError> {
    for (version, migration) in (1..).zip(&MIGRATIONS) {
        let Some(row) = applied.iter().find(|row| row.version == version) else {
            return Ok(Some((version, migration)));
        };
        if row.hash != Sha256::digest(migration.sql).to_vec() {
            return Err(StoreError::Refused(format!(
                "migration {} was applied with another text than this version's: start the version that made the schema",
                migration.name
            )));
        }
    }
    let known = known_schema();
    let newer = applied.iter().filter(|row| row.version > known);
    match newer.max_by_key(|row| row.readable_by).filter(|row| row.readable_by > known) {
        Some(row) => Err(StoreError::Refused(format!(
            "the schema was made by a newer Snowgate (schema {}; this one knows {known}, and {} is needed): start that version",
            row.version, row.readable_by
        ))),
        None => Ok(None),
    }
}
