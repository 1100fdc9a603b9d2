//! What a failing SQLite means: for one command, for a whole batch, or for the store.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::store::contract::StoreError;

/// Why a command did not go through.
#[derive(Debug)]
pub(super) enum Fault {
    /// Refused before it wrote anything: the batch goes on without it.
    Declined(StoreError),
    /// A row says what nobody wrote, or what only a newer version understands: no one else is concerned.
    Unreadable(StoreError),
    /// Failed, perhaps half done: its transaction must be rolled back.
    Failed(StoreError),
    /// No other command can do better now: the whole batch fails with it.
    Everyone(StoreError),
    /// Nothing can be trusted any more: the store stops.
    Fatal(StoreError),
}

impl Fault {
    /// The error a caller is told.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Declined(error)
            | Self::Unreadable(error)
            | Self::Failed(error)
            | Self::Everyone(error)
            | Self::Fatal(error) => error,
        }
    }

    /// Stored text or numbers that cannot be what was written.
    pub(super) fn nonsense(what: &str, detail: impl std::fmt::Display) -> Self {
        Self::Unreadable(StoreError::Damaged(format!("{what}: {detail}")))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, _) = &error else {
            return Self::Failed(StoreError::Damaged(error.to_string()));
        };
        match (code.code, code.extended_code) {
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Fatal(StoreError::Damaged(format!(
                "{error}; restore the file from a backup, never repair it in place"
            ))),
            // After a failed sync the kernel may have dropped the very pages: only a restart reads what is on disk.
            (ErrorCode::SystemIoFailure, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => Self::Fatal(
                StoreError::Damaged(format!("{error}; the disk did not keep what was written, start again")),
            ),
            (ErrorCode::DiskFull, _) => Self::Everyone(StoreError::Unavailable("the disk is full".to_owned())),
            (
                ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen,
                _,
            ) => Self::Everyone(StoreError::Unavailable(error.to_string())),
            // Two receipts with one id, at most: the sender's repeat comes with another.
            (ErrorCode::ConstraintViolation, _) => Self::Failed(StoreError::Unavailable(error.to_string())),
            _ => Self::Failed(StoreError::Damaged(error.to_string())),
        }
    }
}
