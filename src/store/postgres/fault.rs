//! What a failing PostgreSQL means: come again, run it again, or the content is damaged.
//!
//! Owns: the meaning of every error, decided by its SQLSTATE and never by its wording. Never: lets a password, a
//! statement's values or a row's text into a message. Fails: never; what it does not know is [`StoreError::Damaged`],
//! because a statement of ours that the server refuses for another reason is a defect of ours or of the schema.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::contract::StoreError;

/// Why an operation did not go through. Its transaction was rolled back, or (a lost commit) nobody knows.
#[derive(Debug)]
pub(super) enum Fault {
    /// A row says what nobody wrote, or what only a newer version understands: no one else is concerned.
    Unreadable(StoreError),
    /// Another transaction came between: the same again may well go through.
    Contested(StoreError),
    /// It failed.
    Failed(StoreError),
}

impl Fault {
    /// The error a caller is told.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Unreadable(error) | Self::Contested(error) | Self::Failed(error) => error,
        }
    }

    /// Stored text or numbers that cannot be what was written.
    pub(super) fn nonsense(what: &str, detail: impl std::fmt::Display) -> Self {
        Self::Unreadable(StoreError::Damaged(format!("{what}: {detail}")))
    }

    /// The store cannot be reached or cannot write just now.
    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self::Failed(StoreError::Unavailable(why.into()))
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return if error.is_closed() || std::error::Error::source(&error).is_some_and(is_of_the_connection) {
                Self::unavailable(format!("the connection to PostgreSQL broke: {}", chain(&error)))
            } else {
                // A value that does not fit its column's type, and the like.
                Self::nonsense("an answer of PostgreSQL", chain(&error))
            };
        };
        let told = || format!("PostgreSQL: {} ({})", said.message(), said.code().code());
        let state = said.code();
        if *state == SqlState::UNIQUE_VIOLATION
            || *state == SqlState::T_R_SERIALIZATION_FAILURE
            || *state == SqlState::T_R_DEADLOCK_DETECTED
        {
            // The message names the constraint; the values stand in the detail, which is left out.
            return Self::Contested(StoreError::Unavailable(told()));
        }
        match meaning(state) {
            Some(words) => Self::unavailable(format!("{words} ({})", state.code())),
            None => Self::Failed(StoreError::Damaged(told())),
        }
    }
}

/// What it means in plain words when the server cannot work just now.
fn meaning(state: &SqlState) -> Option<&'static str> {
    let words = [
        (SqlState::DISK_FULL, "the database's disk is full"),
        (SqlState::OUT_OF_MEMORY, "the database is out of memory"),
        (SqlState::TOO_MANY_CONNECTIONS, "the database has no connection left for us"),
        (SqlState::READ_ONLY_SQL_TRANSACTION, "the database only reads: it is a standby, or was made read-only"),
        (SqlState::LOCK_NOT_AVAILABLE, "somebody holds a lock in the database for too long"),
        (SqlState::QUERY_CANCELED, "the database took too long for a statement, or somebody cancelled it"),
        (SqlState::ADMIN_SHUTDOWN, "the database is being stopped, or somebody ended our connection"),
        (SqlState::CRASH_SHUTDOWN, "the database stopped after a crash"),
        (SqlState::CANNOT_CONNECT_NOW, "the database is starting or stopping"),
        (SqlState::INVALID_PASSWORD, "the database refuses our password"),
        (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "the database refuses our user"),
        (SqlState::INSUFFICIENT_PRIVILEGE, "our user in the database lacks a right"),
        (SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, "the database ended a transaction of ours that stood still"),
    ];
    let exact = words.into_iter().find(|(known, _)| known == state).map(|(_, words)| words);
    exact.or_else(|| match state.code().get(..2) {
        Some("08") => Some("the connection to the database broke"),
        Some("53") => Some("the database is short of something it needs"),
        Some("57") => Some("the database was told to stop what it did for us"),
        Some("58") => Some("the database's machine has a fault"),
        _ => None,
    })
}

fn is_of_the_connection(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

/// An error and what lies below it; none of them holds a value of ours.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        told = format!("{told}: {source}");
        below = source.source();
    }
    told
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match Self::from(error) {
                // While connecting there is no statement of ours that could be wrong.
                Self::Unreadable(error) | Self::Contested(error) | Self::Failed(error) => match error {
                    StoreError::Damaged(words) => Self::unavailable(words),
                    other @ (StoreError::Unavailable(_) | StoreError::Refused(_)) => Self::Failed(other),
                },
            },
            PoolError::Timeout(_) => Self::unavailable("no connection to PostgreSQL became free in time"),
            PoolError::Closed => Self::unavailable("the store is closed"),
            PoolError::NoRuntimeSpecified => Self::unavailable("the store runs without a timer"),
            PoolError::PostCreateHook(error) => Self::unavailable(format!("PostgreSQL cannot be used: {error}")),
        }
    }
}
