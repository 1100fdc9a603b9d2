//! Connections that can be trusted: every setting that durability rests on is set, read back, and refused if different.

use std::path::Path;
use std::sync::mpsc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::limits::{
    QUICK_CHECK_MAX, SQLITE_STATEMENTS_MAX, STORE_BUSY_MAX, STORE_READ_CACHE_KIB, STORE_WRITE_CACHE_KIB,
    WAL_PAGES_BEFORE_RESTART,
};
use crate::store::contract::StoreError;

/// The first version without the WAL-reset defect that could lose a committed transaction.
const VERSION_MIN: i32 = 3_051_003;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
    Checkpoint,
}

/// Opens the database.
pub(super) fn open(path: &Path, purpose: Use) -> Result<Connection, StoreError> {
    let refused = |error: rusqlite::Error| StoreError::Refused(format!("{}: {error}", path.display()));
    if rusqlite::version_number() < VERSION_MIN {
        return Err(StoreError::Refused(format!("SQLite {} is too old: 3.51.3 is needed", rusqlite::version())));
    }
    // No other thread ever sees this connection, so SQLite need not lock around each call.
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, purpose == Use::Write);
    let connection = Connection::open_with_flags(path, flags).map_err(refused)?;
    connection.set_prepared_statement_cache_capacity(SQLITE_STATEMENTS_MAX);
    connection.busy_timeout(STORE_BUSY_MAX).map_err(refused)?;
    // Plans must not depend on bound values: else a cached statement is compiled again with every new tenant or time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(refused)?;
    for (name, value, _) in SETTINGS {
        set(&connection, name, value).map_err(|error| meaning(path, &error))?;
    }
    let cache = if purpose == Use::Write { STORE_WRITE_CACHE_KIB } else { STORE_READ_CACHE_KIB };
    set(&connection, "cache_size", &format!("-{cache}")).map_err(refused)?;
    // The checkpoint thread does the copying; the writer only ends a round, so that the log starts over in place.
    let restart = if purpose == Use::Write { WAL_PAGES_BEFORE_RESTART } else { 0 };
    set(&connection, "wal_autocheckpoint", &restart.to_string()).map_err(refused)?;
    if purpose == Use::Read {
        set(&connection, "query_only", "1").map_err(refused)?;
    }
    verify(&connection)?;
    Ok(connection)
}

/// Name, value, and what SQLite answers when it took the value.
const SETTINGS: [(&str, &str, &str); 7] = [
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", "2"),
    ("foreign_keys", "ON", "1"),
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
    // A memory map turns an I/O error into a signal, and a stray write of ours into damage.
    ("mmap_size", "0", "0"),
    // Sorting a list must not depend on room in the system's temporary directory.
    ("temp_store", "MEMORY", "2"),
];

fn set(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    // Some settings answer with a row and some do not.
    connection.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    })
}

/// Refuses a connection on which a promise would not hold.
pub(super) fn verify(connection: &Connection) -> Result<(), StoreError> {
    let busy = i64::try_from(STORE_BUSY_MAX.as_millis()).unwrap_or(i64::MAX).to_string();
    let expected = SETTINGS.iter().map(|(name, _, answer)| (*name, *answer)).chain([("busy_timeout", busy.as_str())]);
    for (name, answer) in expected {
        let found = read(connection, name)
            .map_err(|error| StoreError::Refused(format!("SQLite does not tell its {name}: {error}")))?;
        // A connection compiled without memory maps answers nothing for them, which is what we want.
        if found.as_deref().unwrap_or(answer) != answer {
            let found = found.unwrap_or_default();
            return Err(StoreError::Refused(format!(
                "SQLite runs with {name} = {found} instead of {answer}: accepted work could be lost"
            )));
        }
    }
    Ok(())
}

fn read(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let text = |row: &rusqlite::Row<'_>| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        })
    };
    match connection.pragma_query_value(None, name, text) {
        Ok(found) => Ok(Some(found)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error while opening, told apart: a damaged file is another matter than a missing right.
pub(super) fn meaning(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => StoreError::Damaged(format!(
            "{}: {error}; restore the file from a backup, never repair it in place",
            path.display()
        )),
        _ => StoreError::Refused(format!("{}: {error}", path.display())),
    }
}

/// Looks for structural damage, as far as the time allows; answers a warning if it did not suffice.
pub(super) fn quick_check(path: &Path, connection: &Connection) -> Result<Option<String>, StoreError> {
    let interrupt = connection.get_interrupt_handle();
    let (done, wait) = mpsc::channel::<()>();
    let found = std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(QUICK_CHECK_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        drop(done);
        found
    });
    match found {
        Ok(word) if word == "ok" => Ok(None),
        Ok(damage) => Err(StoreError::Damaged(format!(
            "{}: {damage}; restore the file from a backup, never repair it in place",
            path.display()
        ))),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            Ok(Some(format!("{} is too large to be checked whole at start", path.display())))
        }
        Err(error) => Err(meaning(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_would_not_sync_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("store.db"), Use::Write).unwrap();
        for (name, tampered) in [("synchronous", "NORMAL"), ("foreign_keys", "OFF"), ("trusted_schema", "ON")] {
            let before = read(&connection, name).unwrap().unwrap();
            set(&connection, name, tampered).unwrap();
            let refusal = verify(&connection).unwrap_err().to_string();
            assert!(refusal.contains(name) && refusal.contains("could be lost"), "{refusal}");
            set(&connection, name, &before).unwrap();
        }
        verify(&connection).unwrap();
    }
}
